"""U-Net: a value for each pixel, out of features at several scales."""

from numbers import Integral, Real
from typing import Any

from torch import nn
from torch.nn import functional

from sklearn_cnn._compat import Interval, StrOptions, validate_parameter_constraints
from sklearn_cnn.architectures._backbone import Backbone
from sklearn_cnn.architectures._base import Architecture
from sklearn_cnn.architectures._decoder import Decoder, UNetModule, pad_to_multiples, rectified
from sklearn_cnn.architectures._fine_tuning import FineTuning, Recipe
from sklearn_cnn.architectures._learned import LearnedArchitecture
from sklearn_cnn.architectures._resnet import BasicBlock, convolution
from sklearn_cnn.architectures._widths import check_positive_integers

# Side in pixels from which on the network works on patches of 2 x 2 pixels: the full size would
# take most of the time, and what surrounds a pixel says more than its neighbours.
_SMALLEST_FOR_PATCHES = 128
_WIDTHS = (32, 64, 128, 256)

# Rates as of the other networks here, which a few epochs on road scenes of half the size bore out;
# masks of a few hundred images ask for more epochs than labels of thousands.
_FROM_SCRATCH = Recipe(lr=0.005, weight_decay=0.05, max_epochs=40)
_PRETRAINED = Recipe(lr=0.003, weight_decay=0.05, max_epochs=30, keeps_statistics=True)


class UNet(Architecture):
    """A U-Net [1]_: logits for each pixel of an image, for y with a value for each pixel.

    An encoder halves the image from stage to stage. A decoder comes back: each of its stages
    doubles the maps, joins them to the encoder's of that size, and goes on with a convolution.
    Images of any size work, from 1 x 1 pixels up.

    Parameters
    ----------
    widths : "auto" or tuple of int, default="auto"
        Channels of each stage, that of the largest maps first. "auto" is (32, 64, 128, 256). With
        an `encoder` those of the decoder, one fewer than the encoder has maps of different sizes.
    depth : int, default=1
        Blocks of two 3 x 3 convolutions of each stage of its own encoder.
    residual : bool, default=True
        Whether the result of a block of its own encoder is added to its input [2]_.
    patch_size : "auto" or int, default="auto"
        Side of the patches of pixels that the first convolution sees as one: the largest maps are
        that much smaller than the image, and logits are interpolated to its size at the end. "auto"
        is 2 for images with a side of 128 pixels or more, which takes a quarter of the time, and
        else 1.
    dropout : float, default=0.0
        Probability in [0, 1) that a map of the last decoder stage is dropped in training.
    encoder : str, Architecture, nn.Module class or callable, default=None
        A network for classification, given as an estimator's `architecture`, such as
        `TimmModel("efficientnet_lite0", weights=True)` or "resnet18". Its maps of several sizes
        take the place of the U-Net's own encoder; `depth`, `residual` and `patch_size` then say
        nothing. Its weights, standardization of pixels, `freeze`, `head_lr_ratio` and
        `unfreeze_after` hold, with the whole decoder as its last layer.
        It needs maps that are half as large from stage to stage, as convolutional networks have
        and plain vision transformers do not. None: an encoder of its own, from scratch.

    References
    ----------
    .. [1] O. Ronneberger, P. Fischer, T. Brox, "U-Net: convolutional networks for biomedical image
       segmentation", MICCAI 2015.
    .. [2] Z. Zhang, Q. Liu, Y. Wang, "Road extraction by deep residual U-Net", IEEE Geoscience and
       Remote Sensing Letters 15, 2018.

    Examples
    --------
    >>> import torch
    >>> from sklearn_cnn.architectures import UNet
    >>> network = UNet().build(3, (180, 240), 11)
    >>> network(torch.zeros(2, 3, 180, 240)).shape
    torch.Size([2, 11, 180, 240])
    """

    output = "map"

    _parameter_constraints: dict = {
        "widths": [StrOptions({"auto"}), "array-like"],
        "depth": [Interval(Integral, 1, None, closed="left")],
        "residual": ["boolean"],
        "patch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(
        self,
        widths="auto",
        *,
        depth=1,
        residual=True,
        patch_size="auto",
        dropout=0.0,
        encoder=None,
    ):
        self.widths = widths
        self.depth = depth
        self.residual = residual
        self.patch_size = patch_size
        self.dropout = dropout
        self.encoder = encoder

    def set_params(self, **params):
        """Set the parameters of this architecture.

        `encoder__<parameter>` works where the encoder is given by name, too: what the name stands
        for takes its place first.

        Parameters
        ----------
        **params : dict
            Name to value.

        Returns
        -------
        self : UNet
            This architecture.

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        if any(name.startswith("encoder__") for name in params):
            params = {**params, "encoder": _as_architecture(params.get("encoder", self.encoder))}
        return super().set_params(**params)

    def resolve(self):
        """Check parameters and read the encoder's weights, before any image is opened.

        Returns
        -------
        UNet
            One whose encoder holds its weights.

        Raises
        ------
        ValueError
            If a parameter is out of its range, or the encoder returns maps itself. What the
            encoder's own `resolve` raises.
        TypeError
            If the encoder is nothing that stands for a network.
        """
        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(deep=False), type(self).__name__
        )
        widths = self._widths()
        check_positive_integers("widths", widths)
        if len(widths) == 0:
            raise ValueError(f"widths={self.widths!r} must hold a number for at least one stage.")
        encoder = self._encoder
        if encoder is None:
            return self
        if encoder.output == "map":
            raise ValueError(
                f"encoder={self.encoder} returns maps already. Pass a network for classification."
            )
        return type(self)(**{**self.get_params(deep=False), "encoder": encoder.resolve()})

    def build(self, in_channels, image_size, n_outputs):
        """Build a network with fresh weights.

        Parameters
        ----------
        in_channels : int
            Number of channels of an image.
        image_size : tuple of (int, int)
            Height and width in pixels.
        n_outputs : int
            Number of outputs of a pixel.

        Returns
        -------
        torch.nn.Module
            Maps images of shape (n, in_channels, height, width) to logits of shape
            (n, n_outputs, height, width).

        Raises
        ------
        ValueError
            If a parameter is out of its range, or `widths` has not as many numbers as the encoder
            asks for. What the encoder's own `build` raises.
        """
        resolved = self.resolve()
        encoder: nn.Module
        if resolved.encoder is not None:
            encoder = Backbone(resolved.encoder, in_channels, image_size)
            channels, widths = encoder.channels, self._widths_for(encoder.channels)
        else:
            channels = self._widths()
            widths, patch_size = channels[:-1], self._patch_size(image_size)
            encoder = Encoder(in_channels, channels, self.depth, self.residual, patch_size)
        return UNetModule(encoder, Decoder(channels, widths), n_outputs, self.dropout)

    def standardization(self, pixels):
        """Return the layer that brings pixels to the scale that the network expects.

        Parameters
        ----------
        pixels : PixelStatistics
            Of the training images.

        Returns
        -------
        torch.nn.Module
            That of the encoder.
        """
        if self.encoder is None:
            return super().standardization(pixels)
        return self._encoder.standardization(pixels)

    def initialize(self, network, sample):
        """Set what the encoder takes from the images before training.

        Parameters
        ----------
        network : torch.nn.Module
            What `build` returned; changed in place.
        sample : callable
            `sample()` returns some of the training images, standardized: a torch.Tensor of
            shape (n, in_channels, height, width), float32.
        """
        if self.encoder is not None:
            self._encoder.initialize(network.encoder.trunk, sample)

    def fine_tuning(self, network):
        """Return how the parts of the network differ in learning.

        Parameters
        ----------
        network : torch.nn.Module
            What `build` returned.

        Returns
        -------
        FineTuning
            What `head_lr_ratio` and `unfreeze_after` of the encoder say of its parameters.
        """
        encoder = self._encoder
        if not isinstance(encoder, LearnedArchitecture):
            return FineTuning()
        trunk = [name for name, _ in network.named_parameters() if name.startswith("encoder.")]
        return encoder.fine_tuning_of(trunk)

    def recipe(self):
        """Return how the network is best trained.

        Returns
        -------
        Recipe
            More epochs than for one label an image, since masks are seldom many; with an encoder
            that has learned a smaller rate, and its statistics of batch normalization.
        """
        return _PRETRAINED if self.has_learned_weights else _FROM_SCRATCH

    @property
    def has_learned_weights(self):
        """Whether the encoder starts from learned weights."""
        return self.encoder is not None and self._encoder.has_learned_weights

    def recommended_size(self):
        """Return the size of images that the learned weights are for.

        Returns
        -------
        tuple of (int, int) or None
            That of the encoder.
        """
        return None if self.encoder is None else self._encoder.recommended_size()

    def recommended_interpolation(self):
        """Return how images are resized.

        Returns
        -------
        {"bilinear", "bicubic"}
            That of the encoder; "bilinear" without one.
        """
        return "bilinear" if self.encoder is None else self._encoder.recommended_interpolation()

    def head_names(self, network):
        """Return which layers of a network are its last ones.

        Parameters
        ----------
        network : torch.nn.Module
            What `build` returned.

        Returns
        -------
        tuple of str
            The convolution of 1 x 1 that makes the logits.
        """
        return ("head",)

    def without_weights(self):
        """Return an architecture that builds the same layers with random weights.

        Returns
        -------
        UNet
            One whose encoder has no weights.
        """
        if self.encoder is None:
            return self
        encoder = self._encoder.without_weights()
        return type(self)(**{**self.get_params(deep=False), "encoder": encoder})

    def _as_built(self, network):
        if self.encoder is not None:
            return self
        patch_size = network.encoder.patch_size
        return type(self)(**{**self.get_params(deep=False), "patch_size": patch_size})

    @property
    def _encoder(self) -> Any:
        """The object that the encoder stands for, or None."""
        return None if self.encoder is None else _as_architecture(self.encoder)

    def _widths(self):
        return _WIDTHS if isinstance(self.widths, str) else tuple(self.widths)

    def _widths_for(self, channels):
        """Return the decoder's widths for an encoder's maps."""
        n_stages = len(channels) - 1
        if isinstance(self.widths, str):
            return (_WIDTHS + _WIDTHS[-1:] * n_stages)[:n_stages]
        if len(self.widths) != n_stages:
            raise ValueError(
                f"widths={self.widths!r} must hold {n_stages} numbers: {self.encoder} has maps of "
                f"{n_stages + 1} sizes."
            )
        return tuple(self.widths)

    def _patch_size(self, image_size):
        if self.patch_size == "auto":
            return 2 if max(image_size) >= _SMALLEST_FOR_PATCHES else 1
        return self.patch_size


class Encoder(nn.Module):
    """Stages of blocks, each but the first behind a pooling that halves the image.

    Parameters
    ----------
    in_channels : int
    widths : sequence of int
        Channels of each stage.
    depth : int
        Blocks of each stage.
    residual : bool
    patch_size : int
        How many times as large as the first maps the image is.
    """

    def __init__(self, in_channels, widths, depth, residual, patch_size):
        super().__init__()
        self.patch_size = patch_size
        channels = in_channels * patch_size**2
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(patch_size),
            *convolution(channels, widths[0], 3),
            nn.ReLU(inplace=True),
        )
        block = BasicBlock if residual else _two_convolutions
        self.stages, channels = nn.ModuleList(), widths[0]
        for width in widths:
            first, others = block(channels, width), (block(width, width) for _ in range(depth - 1))
            self.stages.append(nn.Sequential(first, *others))
            channels = width

    def forward(self, images):
        """Return maps of several sizes, the largest first."""
        maps = [self.stem(pad_to_multiples(images, self.patch_size))]
        for number, stage in enumerate(self.stages):
            # rounded up, so that no pixel at the edge is lost
            last = maps[-1] if number == 0 else functional.max_pool2d(maps[-1], 2, ceil_mode=True)
            maps.append(stage(last))
        return maps[1:]


def _as_architecture(encoder):
    from sklearn_cnn.architectures._registry import as_architecture  # which imports this file

    return as_architecture(encoder, "encoder")


def _two_convolutions(in_channels, out_channels):
    return nn.Sequential(
        rectified(in_channels, out_channels, 3), rectified(out_channels, out_channels, 3)
    )

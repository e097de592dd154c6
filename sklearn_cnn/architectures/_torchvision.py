"""torchvision's networks for classification and segmentation, with fresh or learned weights."""

import os
from enum import Enum

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from sklearn_cnn._compat import validate_parameter_constraints
from sklearn_cnn.architectures._heads import (
    freeze_parts,
    replace_stem,
    with_stem_of,
)
from sklearn_cnn.architectures._learned import (
    FINE_TUNING_CONSTRAINTS,
    ModelByName,
    check_unfreezing,
    learned_standardization,
)
from sklearn_cnn.architectures._weights import downloading, load_into, read_weights_file
from sklearn_cnn.runtime.suggestions import did_you_mean

# Networks with outputs for training beside the head, which a loss on logits has no use for.
_WITH_AUXILIARY_HEADS = ("googlenet", "inception_v3")
_AUXILIARY_PARTS = ("aux1.", "aux2.", "AuxLogits.")

# MaxViT divides its maps into 7 x 7 windows after halving the image five times.
_MAXVIT_STEP = 7 * 32

# No network needs images larger than this.
_LARGE_SIDE = 512


def torchvision_models():
    """Return the module `torchvision.models`."""
    import torchvision  # takes a second, and few fits need it

    return torchvision.models


def torchvision_names():
    """List the names of torchvision's classification models."""
    return torchvision_models().list_models(module=torchvision_models())


def torchvision_segmentation_names():
    """List the names of torchvision's networks that return maps."""
    return torchvision_models().list_models(module=torchvision_models().segmentation)


def all_torchvision_names():
    """List the names of torchvision's networks that return a vector or maps."""
    return [*torchvision_names(), *torchvision_segmentation_names()]


class TorchvisionModel(ModelByName):
    """One of torchvision's networks for classification or segmentation, from scratch or pretrained.

    The first convolution is made for the images' channels, and the last layer for the
    outputs. Networks for segmentation are for y with a value for each pixel. Most of the others are
    made for photos of 224 x 224; images too small for one are refused with the smallest size that
    it takes. For small images see `ResNet`.

    Parameters
    ----------
    name : str
        A name out of `torchvision.models.list_models(module=torchvision.models)`, or of
        `torchvision.models.segmentation`, such as "lraspp_mobilenet_v3_large".
    weights : str, path or torchvision.models.WeightsEnum, default=None
        Learned weights to start from. A name of torchvision's, "DEFAULT" or
        "IMAGENET1K_V1" for example, is downloaded once and kept in torch's cache. A file
        holds a `state_dict` of this network: `.safetensors`, or what `torch.save` wrote,
        read with `weights_only=True`. None: random weights.
    freeze : bool, sequence of str or "auto", default="auto"
        What does not learn: with True all but the last layer, else the parts of the network
        of these names, such as `("conv1", "layer1")`. Frozen parts compute in training what
        they do in prediction: normalizations keep their statistics.
        "auto": all but the last layer with `weights`, else nothing.
    head_lr_ratio : float or "auto", default="auto"
        How many times as fast as the rest of the network the last layer learns: it learns
        at `lr`, the rest at `lr / head_lr_ratio`. "auto": 10 with `weights`, else 1.
    unfreeze_after : int, "auto" or None, default="auto"
        Epochs after which the frozen parts learn too. None: never. "auto": never what `freeze`
        names; with `freeze="auto"` after two thirds of them, so that the last layer learns first.
    aux_loss : bool, default=False
        Whether an FCN or DeepLabV3 learns from an auxiliary head too, which makes maps of what
        the middle of the network sees. Half its loss is added to that of the last layer [1]_, in
        training alone: nothing else computes it.

    Notes
    -----
    With weights, pixels are brought to [0, 1] and standardized by the mean and standard
    deviation that the weights were trained with (those of torchvision's default weights, if
    they come out of a file), not by those of the images. So they have to be of dtype uint8,
    0 to 255, float in [0, 1], or bool; uint8 that are all 0 or 1 in `fit` are black and white
    too. Without weights they may be of any scale.

    A last layer of another number of outputs than in `weights` starts at random. The first
    convolution sums its weights over the channels for gray images, and repeats them in turn,
    scaled, for more channels than three. Position embeddings of vision transformers are
    interpolated to the size of the images. Outputs for training only are left out of GoogLeNet
    and Inception. SqueezeNet ends in a Linear behind the mean over the image instead of a
    convolution before it.

    References
    ----------
    .. [1] torchvision, references/segmentation/train.py; of the auxiliary loss see H. Zhao et al.,
       "Pyramid scene parsing network", CVPR 2017, where it counts 0.4.

    Examples
    --------
    >>> from sklearn_cnn.architectures import TorchvisionModel
    >>> network = TorchvisionModel("resnet18").build(1, (64, 64), 5)
    >>> network.conv1.in_channels, network.fc.out_features
    (1, 5)
    """

    _parameter_constraints: dict = {
        "name": [str],
        # a member of torchvision's enumerations
        "weights": [str, os.PathLike, Enum, None],
        **FINE_TUNING_CONSTRAINTS,
        "aux_loss": ["boolean"],
    }

    def __init__(
        self,
        name,
        *,
        weights=None,
        freeze="auto",
        head_lr_ratio="auto",
        unfreeze_after="auto",
        aux_loss=False,
    ):
        super().__init__(
            name,
            weights=weights,
            freeze=freeze,
            head_lr_ratio=head_lr_ratio,
            unfreeze_after=unfreeze_after,
        )
        self.aux_loss = aux_loss

    @property
    def output(self):  # type: ignore[override]
        """What an image gets: "map" of networks for segmentation, else "vector"."""
        return "map" if self._returns_maps else "vector"

    @property
    def _returns_maps(self):
        return self.name in torchvision_segmentation_names()

    def resolve(self):
        """Check parameters and read the weights, before any image is opened.

        Returns
        -------
        TorchvisionModel
            A copy that holds the weights.

        Raises
        ------
        ValueError
            If a parameter is out of its range, or torchvision has no such network or weights.
        FileNotFoundError
            If `weights` is a path without a file.
        IsADirectoryError
            If it is the path of a folder.
        OSError
            If the weights cannot be downloaded.
        """
        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(deep=False), type(self).__name__
        )
        if self.name not in all_torchvision_names():
            raise ValueError(
                f"torchvision has no classification model named {self.name!r}, and none for "
                f"segmentation.{did_you_mean(self.name, all_torchvision_names())} The names are "
                "those of torchvision.models.list_models(torchvision.models), and of "
                "torchvision.models.segmentation."
            )
        if self.aux_loss and (self.name.startswith("lraspp") or not self._returns_maps):
            raise ValueError(
                f"aux_loss=True is for FCN and DeepLabV3, whose auxiliary head {self.name} does "
                "not have. Write aux_loss=False."
            )
        check_unfreezing(self._frozen, self.unfreeze_after)
        resolved = type(self)(**self.get_params(deep=False))
        resolved._state = self._read_weights()
        return resolved

    def build(self, in_channels, image_size, n_outputs):
        """Build the network, and load its weights.

        Parameters
        ----------
        in_channels : int
            Number of channels of an image.
        image_size : tuple of (int, int)
            Height and width in pixels.
        n_outputs : int
            Number of outputs.

        Returns
        -------
        torch.nn.Module
            Maps images of shape (n, in_channels, height, width) to logits of shape
            (n, n_outputs).

        Raises
        ------
        ValueError
            If torchvision has no such network or weights, the images are too small for it,
            or the weights are those of another network.
        FileNotFoundError
            If `weights` is a path without a file.
        IsADirectoryError
            If it is the path of a folder.
        """
        state = self._state if hasattr(self, "_state") else self.resolve()._state
        network = self._make(in_channels, tuple(image_size), n_outputs, is_random=state is None)
        if state is not None:
            state = self._adapted(state, network, image_size)
            head = self.head_names(network)[-1]
            load_into(network, state, head, f"weights={self.weights!r}")
        freeze_parts(network, self._frozen, self.head_names(network))
        return network

    def standardization(self, pixels):
        """Return the layer that brings pixels to the scale that the network expects.

        Parameters
        ----------
        pixels : PixelStatistics
            Of the training images.

        Returns
        -------
        torch.nn.Module
            Maps images of shape (b, C, H, W) to float32 images of that shape.

        Raises
        ------
        ValueError
            If the network has learned weights and the pixels are floats outside of [0, 1].

        Warns
        -----
        UserWarning
            If the network has learned weights and the pixels are uint8 whose largest is 2 to 31.
        """
        if self.weights is None:
            return super().standardization(pixels)
        mean, std = self._pixel_statistics()
        return learned_standardization(pixels, mean, std, f"weights={self.weights!r}")

    @property
    def has_learned_weights(self):
        """Whether it starts from learned weights, and not from random ones."""
        return self.weights is not None

    def recommended_size(self):
        """Return the size of images that the learned weights are for.

        Returns
        -------
        tuple of (int, int) or None
            Height and width that torchvision tested the weights with; None without weights.
        """
        # networks for segmentation take any size
        if self.weights is None or self._returns_maps:
            return None
        [side] = self._preset().crop_size
        return side, side

    def recommended_interpolation(self):
        """Return how images are resized.

        Returns
        -------
        {"bilinear", "bicubic"}
            What torchvision tested the weights with; "bilinear" without weights.
        """
        return "bilinear" if self.weights is None else self._preset().interpolation.value

    def head_names(self, network):
        """Return which layers of a network are its last ones.

        Parameters
        ----------
        network : torch.nn.Module
            What `build` returned.

        Returns
        -------
        tuple of str
            The last Linear; of networks for segmentation the convolutions that make the logits,
            those of an auxiliary head first.
        """
        if not self._returns_maps:
            return super().head_names(network)
        if self.name.startswith("lraspp"):
            return "classifier.low_classifier", "classifier.high_classifier"
        parts = ("aux_classifier", "classifier") if self.aux_loss else ("classifier",)
        return tuple(f"{part}.{len(network.get_submodule(part)) - 1}" for part in parts)

    def without_weights(self):
        """Return an architecture that builds the same layers with random weights.

        Returns
        -------
        TorchvisionModel
            One with `weights=None`.
        """
        return TorchvisionModel(self.name, freeze=self.freeze, aux_loss=self.aux_loss)

    def _make(self, in_channels, image_size, n_outputs, is_random):
        """Return the network with random weights."""
        arguments = {}
        if self.name in _WITH_AUXILIARY_HEADS:
            arguments = {"aux_logits": False, "init_weights": is_random}
        elif self.name.startswith("vit_"):
            step = int(self.name.rpartition("_")[2])
            self._check_sides(image_size, step, is_square=True)
            arguments = {"image_size": image_size[0]}
        elif self.name.startswith("maxvit_"):
            self._check_sides(image_size, _MAXVIT_STEP, is_square=False)
            arguments = {"input_size": image_size}
        elif self._returns_maps:
            # by default the backbone's weights would be downloaded
            arguments = {"weights_backbone": None, "aux_loss": self.aux_loss}
        network = torchvision_models().get_model(self.name, num_classes=n_outputs, **arguments)
        if self.name.startswith("squeezenet"):
            network.classifier = nn.Sequential(
                nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, n_outputs)
            )
        if self.aux_loss:
            network = SegmentationNetwork(network)
        elif self._returns_maps:
            network.register_forward_hook(_without_names)
        replace_stem(network, in_channels)
        self._check_size(network.eval(), in_channels, image_size)
        return network

    def _check_sides(self, image_size, step, is_square):
        height, width = image_size
        fits = height % step == 0 and width % step == 0
        if fits and (height == width or not is_square):
            return
        side = step * -(-max(image_size) // step)
        raise ValueError(
            f"{self.name} cannot take images of {height} x {width}: it needs at least "
            f"{step} x {step}, and {'square images with ' if is_square else ''}sides that are "
            f"multiples of {step}. Write image_shape=({side}, {side}) to have images resized, or "
            "use ResNet, which takes images of any size."
        )

    def _check_size(self, network, in_channels, image_size):
        if _takes(network, in_channels, image_size):
            return
        # bisection: _LARGE_SIDE is enough, 0 is not
        too_small, side = 0, _LARGE_SIDE
        while side - too_small > 1:
            middle = (too_small + side) // 2
            if _takes(network, in_channels, (middle, middle)):
                side = middle
            else:
                too_small = middle
        raise ValueError(
            f"{self.name} cannot take images of {image_size[0]} x {image_size[1]}: it needs at "
            f"least {side} x {side}. Write image_shape=({side}, {side}) to have images resized, "
            "or use ResNet, which takes images of any size."
        )

    def _read_weights(self):
        """Return the state dict that `weights` stands for, or None."""
        if self.weights is None:
            return None
        named = self._torchvision_weights()
        if named is None:
            return read_weights_file(self.weights)
        place = os.path.join(torch.hub.get_dir(), "checkpoints", os.path.basename(named.url))
        with downloading(f"weights={self.weights!r}", named.url, place):
            return named.get_state_dict(check_hash=True, weights_only=True)

    def _torchvision_weights(self):
        """Return the member of torchvision's enumeration that `weights` names, if it does."""
        kinds = torchvision_models().get_model_weights(self.name)
        if isinstance(self.weights, Enum):
            if self.weights not in kinds:
                raise ValueError(
                    f"weights={self.weights!r} are not those of {self.name}, which are "
                    f"{list(kinds.__members__)}."
                )
            return self.weights
        name = os.fspath(self.weights)
        if name in kinds.__members__:
            return kinds[name]
        if name.isidentifier() and not os.path.exists(name):
            raise ValueError(
                f"weights={name!r} is neither a file nor a name of weights of {self.name}, which "
                f"are {list(kinds.__members__)}."
            )
        return None

    def _pixel_statistics(self):
        """Return mean and standard deviation of pixels in [0, 1] that the weights expect."""
        if self.name in _WITH_AUXILIARY_HEADS:
            # what torchvision's `transform_input` makes of its usual standardization
            return (0.5,) * 3, (0.5,) * 3
        preset = self._preset()
        return preset.mean, preset.std

    def _preset(self):
        """Return how torchvision prepares images for the weights; by default for its own ones."""
        default = torchvision_models().get_model_weights(self.name).DEFAULT
        return (self._torchvision_weights() or default).transforms()

    def _adapted(self, state, network, image_size):
        """Return a state dict whose first convolution and positions suit the images."""
        left_out = _AUXILIARY_PARTS if self.aux_loss else (*_AUXILIARY_PARTS, "aux_classifier.")
        state = {name: tensor for name, tensor in state.items() if not name.startswith(left_out)}
        if self.name.startswith("squeezenet"):
            state = {k: v for k, v in state.items() if not k.startswith("classifier.")}
        state = with_stem_of(network, state)
        heads = self.head_names(network)
        if len(heads) > 1 and _has_other_outputs(network, state, heads[0]):
            fresh = network.state_dict()
            state = {k: fresh[k] if k.rpartition(".")[0] in heads else v for k, v in state.items()}
        if "encoder.pos_embedding" in state:
            transformer = torchvision_models().vision_transformer
            state = transformer.interpolate_embeddings(image_size[0], network.patch_size, state)
        return state


class SegmentationNetwork(nn.Module):
    """An FCN or DeepLabV3 of torchvision's layers, whose auxiliary head is for training alone.

    torchvision's own network computes it in each prediction too.

    Parameters
    ----------
    network : nn.Module
        torchvision's, with an auxiliary head.
    """

    def __init__(self, network):
        super().__init__()
        self.backbone = network.backbone
        self.classifier = network.classifier
        self.aux_classifier = network.aux_classifier

    def forward(self, images):
        """Return logits; in training a dict of them, "out", and those of the head, "aux"."""
        maps, size = self.backbone(images), images.shape[-2:]
        out = _interpolated(self.classifier(maps["out"]), size)
        if not self.training:
            return out
        return {"out": out, "aux": _interpolated(self.aux_classifier(maps["aux"]), size)}


def _interpolated(logits, size):
    return functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def _without_names(_network, _inputs, outputs):
    """Return the logits out of the dict of outputs of a network for segmentation."""
    return outputs["out"]


def _has_other_outputs(network, state, head):
    weight = state.get(f"{head}.weight")
    return weight is not None and len(weight) != len(network.get_submodule(head).weight)


def _takes(network, in_channels, image_size):
    """Say whether a network takes images of a size; nothing is computed but shapes."""
    tensors = [*network.named_parameters(), *network.named_buffers()]
    shapes = {name: tensor.to("meta") for name, tensor in tensors}
    image = torch.empty((1, in_channels, *image_size), device="meta")
    try:
        with torch.no_grad():
            functional_call(network, shapes, (image,))
    except RuntimeError:
        return False
    return True

"""Residual networks for small images."""

from numbers import Integral, Real

from torch import nn

from sklearn_cnn._compat import Interval, StrOptions, validate_parameter_constraints
from sklearn_cnn.architectures._base import Architecture
from sklearn_cnn.architectures._widths import check_positive_integers

# Longest side in pixels up to which the first convolution keeps the size of the image.
_LARGEST_SMALL_SIDE = 64


class ResNet(Architecture):
    """A residual network [1]_ whose first layers suit the size of the images.

    Stages of residual blocks, each of two 3 x 3 convolutions with batch normalization whose
    result is added to their input. All stages but the first halve the image: there the input
    is averaged over 2 x 2 pixels, projected and normalized before it is added [4]_. The mean
    over the last feature maps goes to one dense layer. Images from 1 x 1 pixels up work. For
    the networks of the literature that expect photos of 224 x 224, see `TorchvisionModel`.

    Parameters
    ----------
    widths : tuple of int, default=(32, 64, 128)
        Channels of each stage.
    depth : int or tuple of int, default=1
        Residual blocks of each stage; one number holds for all.
    stem : {"auto", "small", "large"}, default="auto"
        The first layers. "small": a 3 x 3 convolution that keeps the size of the image.
        "large": a 7 x 7 convolution and a pooling that leave a quarter of each side, as in
        [1]_. "auto": "small" up to a longest side of 64 pixels.
    dropout : float, default=0.0
        Probability in [0, 1) that an input of the dense layer is dropped in training.

    Notes
    -----
    Convolutions are initialized as in [2]_. In the blocks that keep the shape of their input
    the scale of the last normalization starts at zero, so that they start as the identity [3]_.
    A block that halves the image cannot: with a scale of zero it would start as a projection
    alone, and a network of few blocks learns slowly from there (benchmarks/results/tasks.md).

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition",
       CVPR 2016.
    .. [2] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015.
    .. [3] P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour",
       2017.
    .. [4] T. He et al., "Bag of tricks for image classification with convolutional neural
       networks", CVPR 2019: the shortcut of ResNet-D.

    Examples
    --------
    A ResNet-18 for images of 32 x 32:

    >>> from sklearn_cnn.architectures import ResNet
    >>> resnet18 = ResNet((64, 128, 256, 512), depth=2)
    >>> sum(p.numel() for p in resnet18.build(3, (32, 32), 10).parameters())
    11173962
    """

    _parameter_constraints: dict = {
        "widths": ["array-like"],
        "depth": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "stem": [StrOptions({"auto", "small", "large"})],
        "dropout": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(self, widths=(32, 64, 128), *, depth=1, stem="auto", dropout=0.0):
        self.widths = widths
        self.depth = depth
        self.stem = stem
        self.dropout = dropout

    def resolve(self):
        """Check parameters, before any image is opened.

        Returns
        -------
        ResNet
            This object.

        Raises
        ------
        ValueError
            If a parameter is out of its range, or `depth` has not one number a stage.
        """
        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(deep=False), type(self).__name__
        )
        self._stages()
        return self

    def build(self, in_channels, image_size, n_outputs):
        """Build a network with fresh weights.

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
            If a parameter is out of its range, or `depth` has not one number a stage.
        """
        self.resolve()
        widths, depths = self._stages()
        layers, channels = _stem(in_channels, widths[0], self._is_small(image_size)), widths[0]
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for block in range(depth):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(BasicBlock(channels, width, stride))
                channels = width
        head: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        if self.dropout:
            head.append(nn.Dropout(self.dropout))
        return nn.Sequential(*layers, *head, nn.Linear(channels, n_outputs))

    def _stages(self):
        check_positive_integers("widths", self.widths)
        widths = tuple(self.widths)
        depths = (self.depth,) * len(widths) if isinstance(self.depth, Integral) else self.depth
        check_positive_integers("depth", depths)
        if len(widths) == 0 or len(depths) != len(widths):
            raise ValueError(
                f"depth={self.depth!r} must be one number, or one for each of the "
                f"{len(widths)} stages of widths={self.widths!r}, of which there is at least one."
            )
        return widths, depths

    def _is_small(self, image_size):
        if self.stem == "auto":
            return max(image_size) <= _LARGEST_SMALL_SIDE
        return self.stem == "small"


class BasicBlock(nn.Module):
    """Two convolutions whose result is added to their input.

    Parameters
    ----------
    in_channels, out_channels : int
    stride : {1, 2}, default=1
        2 halves the image.
    """

    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__()
        last_convolution, last_norm = convolution(out_channels, out_channels, 3)
        self.residual = nn.Sequential(
            *convolution(in_channels, out_channels, 3, stride),
            nn.ReLU(inplace=True),
            last_convolution,
            last_norm,
        )
        self.shortcut = _shortcut(in_channels, out_channels, stride)
        if not len(self.shortcut):
            nn.init.zeros_(last_norm.weight)

    def forward(self, x):
        """Return the rectified sum."""
        return nn.functional.relu(self.shortcut(x) + self.residual(x), inplace=True)


def _shortcut(in_channels, out_channels, stride):
    """Return the layers that give a block's input the shape of its result: often none."""
    if stride == 1 and in_channels == out_channels:
        return nn.Sequential()
    # every pixel counts, where a projection of stride 2 would drop three of four; ceil_mode
    # rounds odd sides as a padded convolution of stride 2 does
    pooling = [nn.AvgPool2d(2, ceil_mode=True)] if stride == 2 else []
    return nn.Sequential(*pooling, *convolution(in_channels, out_channels, 1))


def _stem(in_channels, width, is_small):
    if is_small:
        return [*convolution(in_channels, width, 3), nn.ReLU(inplace=True)]
    return [
        *convolution(in_channels, width, 7, stride=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
    ]


def convolution(in_channels, out_channels, kernel_size, stride=1):
    """Return a padded convolution and its normalization, which has the bias."""
    layer = nn.Conv2d(
        in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False
    )
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer, nn.BatchNorm2d(out_channels)

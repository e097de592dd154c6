"""A plain or residual stack of convolutions, for images of any size."""

from numbers import Integral, Real

from torch import nn

from sklearn_cnn._compat import Interval, StrOptions, validate_parameter_constraints
from sklearn_cnn.architectures._base import Architecture
from sklearn_cnn.architectures._whitening import PatchWhitening
from sklearn_cnn.architectures._widths import check_positive_integers

# Side in pixels from which on a fourth stage pays: faces of 64 and photos of 96 gain by it
# (benchmarks/results/tasks.md); images of 28 or 32 have few pixels left behind three.
_SMALLEST_FOR_FOUR = 48
_ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU}


class ConvNet(Architecture):
    """Stages of 3 x 3 convolutions and pooling, then dense layers.

    Neighbouring pixels are whitened first. Each stage runs its convolutions, halves the image by
    max-pooling and applies the activation; a stage pools only along a side that is still at
    least two pixels long, so images from 1 x 1 up work. After the last stage the feature maps
    are averaged down to at most `grid` x `grid` and flattened: unlike a global average, this
    keeps where something is, which regression of positions needs.

    Parameters
    ----------
    widths : "auto" or tuple of int, default="auto"
        Channels of each stage. "auto" is (32, 64, 128), and (32, 64, 128, 256) for images with a
        side of 48 pixels or more.
    convs_per_stage : int, default=1
        Convolutions of a stage before its pooling.
    residual : bool, default=True
        Whether a stage ends with one more convolution whose activated output is added to its
        input [1]_. It works on the pooled, smaller images, and so costs little.
    whitening : bool, default=True
        Whether the first layer turns the pixels of 2 x 2 patches into uncorrelated numbers of
        variance one [2]_. It is learned from the training images, without labels, before training
        starts (in `partial_fit` from the first batch), and stays as it is.
    activation : {"gelu", "relu"}, default="gelu"
        What follows each convolution and hidden dense layer: the Gaussian error linear unit
        [3]_, which is smooth, or the rectified linear unit.
    kernel_size : int, default=3
        Side of the convolutions' kernels in pixels, odd.
    padding : {"same", "valid"}, default="same"
        "same" keeps the size of the image in a convolution, "valid" trims its border.
    norm : {"batch", None}, default="batch"
        "batch" puts a batch normalization behind every convolution.
    grid : int or None, default=4
        Largest side of the feature maps that are flattened. None: no averaging.
    hidden : tuple of int, default=()
        Units of the dense layers between the flattened features and the outputs.
    dropout : float, default=0.0
        Probability in [0, 1) that an input of a dense layer is dropped in training.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition",
       CVPR 2016.
    .. [2] K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024.
    .. [3] D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016.

    Examples
    --------
    The network of the textbook Keras example:

    >>> from sklearn_cnn.architectures import ConvNet
    >>> textbook = ConvNet(
    ...     (32, 64), residual=False, whitening=False, activation="relu", padding="valid",
    ...     norm=None, grid=None, hidden=(128,))
    >>> sum(p.numel() for p in textbook.build(3, (64, 64), 10).parameters())
    1626442
    """

    _parameter_constraints: dict = {
        "widths": [StrOptions({"auto"}), "array-like"],
        "convs_per_stage": [Interval(Integral, 1, None, closed="left")],
        "residual": ["boolean"],
        "whitening": ["boolean"],
        "activation": [StrOptions(set(_ACTIVATIONS))],
        "kernel_size": [Interval(Integral, 1, None, closed="left")],
        "padding": [StrOptions({"same", "valid"})],
        "norm": [StrOptions({"batch"}), None],
        "grid": [Interval(Integral, 1, None, closed="left"), None],
        "hidden": ["array-like"],
        "dropout": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(
        self,
        widths="auto",
        *,
        convs_per_stage=1,
        residual=True,
        whitening=True,
        activation="gelu",
        kernel_size=3,
        padding="same",
        norm="batch",
        grid=4,
        hidden=(),
        dropout=0.0,
    ):
        self.widths = widths
        self.convs_per_stage = convs_per_stage
        self.residual = residual
        self.whitening = whitening
        self.activation = activation
        self.kernel_size = kernel_size
        self.padding = padding
        self.norm = norm
        self.grid = grid
        self.hidden = hidden
        self.dropout = dropout

    def resolve(self):
        """Check parameters, before any image is opened.

        Returns
        -------
        ConvNet
            This object.

        Raises
        ------
        ValueError
            If a parameter is out of its range.
        """
        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(deep=False), type(self).__name__
        )
        if not isinstance(self.widths, str):
            check_positive_integers("widths", self.widths)
        check_positive_integers("hidden", self.hidden)
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={self.kernel_size} must be odd.")
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
            If a parameter is out of its range, or the images are too small for unpadded
            convolutions.
        """
        self.resolve()
        widths = self._widths(image_size)
        layers: list[nn.Module] = []
        channels, size = in_channels, tuple(image_size)
        if self.whitening:
            whitening = PatchWhitening(in_channels)
            layers += [whitening, self._activation()]
            channels = whitening.out_channels
        for width in widths:
            layers += self._stage(channels, width, size)
            channels, size = width, self._size_after_stage(size)
        if self.grid is not None and max(size) > self.grid:
            size = tuple(min(side, self.grid) for side in size)
            layers.append(nn.AdaptiveAvgPool2d(size))
        features = channels * size[0] * size[1]
        return nn.Sequential(*layers, nn.Flatten(), *self._dense(features, n_outputs))

    def initialize(self, network, sample):
        """Learn the whitening from images.

        Parameters
        ----------
        network : torch.nn.Module
            What `build` returned; changed in place.
        sample : callable
            `sample()` returns some of the training images, standardized: a torch.Tensor of
            shape (n, in_channels, height, width), float32.
        """
        for layer in network.modules():
            if isinstance(layer, PatchWhitening):
                layer.learn(sample())

    def _activation(self):
        return _ACTIVATIONS[self.activation]()

    def _widths(self, image_size):
        if isinstance(self.widths, str):
            return (32, 64, 128) + (256,) * (max(image_size) >= _SMALLEST_FOR_FOUR)
        return self.widths

    def _stage(self, channels, width, size):
        layers: list[nn.Module] = []
        for position in range(self.convs_per_stage):
            if position > 0:
                layers.append(self._activation())
            layers += self._convolution(channels, width)
            channels = width
        # pooling first leaves the activation a quarter of the work; with ReLU it is the same
        layers += [_pool(self._size_before_pool(size)), self._activation()]
        if self.residual:
            layers.append(Residual(*self._convolution(width, width, "same"), self._activation()))
        return layers

    def _convolution(self, channels, width, padding=None):
        layers: list[nn.Module] = [
            nn.Conv2d(
                channels,
                width,
                self.kernel_size,
                padding=padding or self.padding,
                bias=self.norm is None,
            )
        ]
        if self.norm == "batch":
            layers.append(nn.BatchNorm2d(width))
        return layers

    def _dense(self, features, n_outputs):
        layers: list[nn.Module] = []
        for units in (*self.hidden, n_outputs):
            if self.dropout:
                layers.append(nn.Dropout(self.dropout))
            layers += [nn.Linear(features, units), self._activation()]
            features = units
        return layers[:-1]

    def _size_before_pool(self, size):
        trim = 0 if self.padding == "same" else self.convs_per_stage * (self.kernel_size - 1)
        before_pool = tuple(side - trim for side in size)
        if min(before_pool) < 1:
            raise ValueError(
                f"{self!r} trims {trim} pixels of each side in a stage that gets images of "
                f'{size[0]} x {size[1]}. Use fewer stages, or padding="same".'
            )
        return before_pool

    def _size_after_stage(self, size):
        return tuple(max(side // 2, 1) for side in self._size_before_pool(size))


class Residual(nn.Sequential):
    """Layers whose output is added to their input."""

    def forward(self, x):
        return x + super().forward(x)


def _pool(size):
    window = tuple(2 if side >= 2 else 1 for side in size)
    return nn.MaxPool2d(window) if max(window) > 1 else nn.Identity()

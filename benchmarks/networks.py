"""The networks of the speed benchmarks, the same for every contender."""

from torch import nn


class Textbook(nn.Sequential):
    """Conv 32 - pool - Conv 64 - pool - Dense 128 - outputs, the network of the Keras example.

    Parameters
    ----------
    in_channels : int
    image_size : tuple of (int, int)
    num_classes : int
    pool_first : bool, default=False
        Whether pooling comes before the ReLU, which is the same function and less work.
    padding : {"valid", "same"}, default="valid"
        The example's is "valid", for which images of 8 x 8 are too small.
    """

    def __init__(self, in_channels, image_size, num_classes, pool_first=False, padding="valid"):
        behind = [nn.MaxPool2d(2), nn.ReLU()] if pool_first else [nn.ReLU(), nn.MaxPool2d(2)]
        trim = 2 if padding == "valid" else 0
        height, width = (((side - trim) // 2 - trim) // 2 for side in image_size)
        super().__init__(
            nn.Conv2d(in_channels, 32, 3, padding=padding),
            *behind,
            nn.Conv2d(32, 64, 3, padding=padding),
            *behind,
            nn.Flatten(),
            nn.Linear(64 * height * width, 128),
            nn.ReLU(),
            nn.Linear(128, num_classes),
        )


class ResNet18(nn.Sequential):
    """ResNet-18: eight blocks of 64 to 512 channels.

    Parameters
    ----------
    in_channels, num_classes : int
    image_size : tuple of (int, int)
        Images of less than 100 pixels a side get a stem of 3 x 3 without pooling.
    """

    def __init__(self, in_channels, num_classes, image_size):
        is_small = min(image_size) < 100
        kernel, stride = (3, 1) if is_small else (7, 2)
        layers = [
            nn.Conv2d(in_channels, 64, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
        ]
        if not is_small:
            layers.append(nn.MaxPool2d(3, 2, 1))
        channels = 64
        for width, stride in [(64, 1), (128, 2), (256, 2), (512, 2)]:
            layers += [BasicBlock(channels, width, stride), BasicBlock(width, width, 1)]
            channels = width
        super().__init__(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, num_classes)
        )


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut, projected where the shape changes."""

    def __init__(self, channels, width, stride):
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut = nn.Sequential()
        if stride > 1 or channels != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )
        self.relu = nn.ReLU()

    def forward(self, x):
        """Add the convolutions' output to the shortcut's."""
        return self.relu(self.convolutions(x) + self.shortcut(x))

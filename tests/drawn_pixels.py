"""Drawn images with a value for each pixel, and networks that return maps for them."""

import numpy as np
from torch import nn

from sklearn_cnn import CNNClassifier

RNG = np.random.default_rng(0)


def shapes(n=24, size=(16, 20), seed=0):
    """Return images of noise with a bright square and a darker disc, and masks: 0, 1 and 2."""
    rng = np.random.default_rng(seed)
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    masks = np.zeros((n, height, width), dtype=np.uint8)
    for mask in masks:
        y, x = rng.integers(2, height - 5), rng.integers(2, width - 5)
        mask[y : y + 5, x : x + 5] = 1
        y, x = rng.integers(3, height - 3), rng.integers(3, width - 3)
        mask[(rows - y) ** 2 + (columns - x) ** 2 <= 9] = 2
    levels = np.array([40, 200, 120])[masks]
    images = levels + rng.integers(-30, 31, masks.shape)
    return images.astype(np.uint8), masks


class MapNet(nn.Sequential):
    """Two convolutions; logits for each pixel."""

    def __init__(self, in_channels, num_classes, width=8):
        super().__init__(
            nn.Conv2d(in_channels, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, num_classes, 3, padding=1),
        )


def map_classifier(**params):
    """Return a classifier of pixels that is fitted in a moment."""
    defaults = {"architecture": MapNet, "max_epochs": 8, "batch_size": 8, "lr": 0.03}
    return CNNClassifier(**{**defaults, "random_state": 0, **params})

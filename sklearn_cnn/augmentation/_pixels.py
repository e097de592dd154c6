"""What changes the values of pixels and not their places: brightness, contrast, erasing, mixup."""

import functools
import math

import numpy as np
import torch
from scipy.special import betaincinv

from sklearn_cnn.augmentation._geometry import uniform
from sklearn_cnn.runtime.device import sent

# Share of the image that is erased, and ratio of the rectangle's sides, as in the paper.
_ERASED_AREA = (0.02, 0.4)
_ERASED_ASPECT = (0.3, 1 / 0.3)
# Points that the inverse of Beta's distribution function is interpolated between.
_N_QUANTILES = 1025


def change_colour(images, brightness, contrast, generator):
    """Change brightness and contrast, both in units of each image's own deviation of pixels.

    Parameters
    ----------
    images : Tensor of shape (b, C, H, W), float32
    brightness : float
        Largest shift of all pixels, in standard deviations of the image.
    contrast : float
        Largest relative change of the distances from the image's mean.
    generator : torch.Generator
    """
    n = len(images)
    std, mean = torch.std_mean(images, dim=(1, 2, 3), correction=0)
    gain = 1 + uniform(n, -contrast, contrast, generator)
    offset = mean * (1 - gain) + std * uniform(n, -brightness, brightness, generator)
    return torch.addcmul(offset[:, None, None, None], images, gain[:, None, None, None])


def erase(images, probability, generator):
    """Fill one rectangle of an image with the mean of each channel.

    Parameters
    ----------
    images : Tensor of shape (b, C, H, W), float32
    probability : float
        Of an image to be erased.
    generator : torch.Generator
    """
    n, _, height, width = images.shape
    area = uniform(n, *_ERASED_AREA, generator)
    low, high = map(math.log, _ERASED_ASPECT)
    log_aspect = uniform(n, low, high, generator)
    # where one side would be longer than the image, or less than a pixel, the other makes up for it
    tall = area.sqrt() * (log_aspect / 2).exp()
    tall = tall.maximum(area.clamp(min=1 / height)).minimum((area * width).clamp(max=1))
    sides = (tall * height, height), (area / tall * width, width)
    chosen = uniform(n, 0, 1, generator) < probability
    rows, columns = (_stretch(side, length, generator) for side, length in sides)
    erased = (rows & chosen[:, None])[:, None, :, None] & columns[:, None, None, :]
    return torch.where(erased, images.mean(dim=(2, 3), keepdim=True), images)


def _stretch(side, length, generator):
    """Return which of `length` positions lie in a stretch of a given length, at random."""
    side = side.round().clamp(1, length)[:, None]
    first = (uniform(len(side), 0, 1, generator)[:, None] * (length - side + 1)).floor()
    positions = torch.arange(length, device=side.device)
    return (positions >= first) & (positions < first + side)


def draw_mixture(n, alpha, generator):
    """Draw for each of n images a partner, and its own share in their mixture.

    Parameters
    ----------
    n : int
    alpha : float
        Both parameters of the Beta distribution of the share.
    generator : torch.Generator

    Returns
    -------
    partner : Tensor of shape (n,), int64
    share : Tensor of shape (n,), float32
    """
    device = generator.device
    partner = torch.randperm(n, generator=generator, device=device)
    # torch has no Beta variates that take a generator: those of a table by its inverse do
    position = uniform(n, 0, _N_QUANTILES - 1, generator)
    below = position.long().clamp(max=_N_QUANTILES - 2)
    table = sent(_beta_quantiles(alpha), device)
    return partner, torch.lerp(table[below], table[below + 1], position - below)


@functools.lru_cache(maxsize=8)
def _beta_quantiles(alpha):
    return betaincinv(alpha, alpha, np.linspace(0, 1, _N_QUANTILES)).astype(np.float32)


def mix(images, partner, share):
    """Mix each image of a float32 batch with its partner."""
    return torch.lerp(images[partner], images, share[:, None, None, None])

"""What a network takes from the training images, in one pass over them."""

import math
from dataclasses import dataclass

import torch

# Images that are looked at at a time, to bound the memory of their float64 copy.
_CHUNK = 512
# What is enough to know how pixels vary: images, and numbers in all of them.
_ENOUGH_IMAGES, _ENOUGH_NUMBERS = 1000, 2**23


@dataclass(frozen=True)
class PixelStatistics:
    """What the pixels of the training images are like.

    Parameters
    ----------
    mean, std : torch.Tensor of shape (C,), float32
        Mean and standard deviation of each channel; 1 in place of a deviation of 0.
    low, high : float
        Smallest and largest value.
    sample : torch.Tensor of shape (n, H, W, C), uint8 or float32
        Up to a thousand of the images, fewer if they are large, two at least if there are.
    """

    mean: torch.Tensor
    std: torch.Tensor
    low: float
    high: float
    sample: torch.Tensor


def pixel_statistics(images, indices):
    """Return the statistics of some images, each of which is read once.

    Parameters
    ----------
    images : Tensor or LazyImages of shape (n, H, W, C)
    indices : Tensor of int64
        Which of them count.

    Returns
    -------
    PixelStatistics
    """
    total = torch.zeros(images.shape[3], dtype=torch.float64)
    squares, lows, highs, sample = torch.zeros_like(total), [], [], []
    chosen = _spread(len(indices), math.prod(images.shape[1:]))
    measure = _measure_bytes if images.dtype == torch.uint8 else _measure
    for number, chunk in enumerate(indices.split(_CHUNK)):
        pixels = images[chunk]
        sums, sums_of_squares, low, high = measure(pixels)
        total += sums
        squares += sums_of_squares
        lows.append(low)
        highs.append(high)
        within = (chosen >= number * _CHUNK) & (chosen < (number + 1) * _CHUNK)
        sample.append(pixels[chosen[within] - number * _CHUNK])
    n_pixels = len(indices) * images.shape[1] * images.shape[2]
    mean = total / n_pixels
    variance = squares / n_pixels - mean.square()
    # a channel without variance, up to rounding, is only centred
    constant = variance <= 1e-12 * mean.square()
    std = torch.where(constant, torch.ones_like(variance), variance).sqrt()
    return PixelStatistics(mean.float(), std.float(), min(lows), max(highs), torch.cat(sample))


def _spread(n_images, n_numbers):
    """Return positions of a sample, evenly spread: y may be sorted."""
    n_chosen = min(max(min(_ENOUGH_IMAGES, _ENOUGH_NUMBERS // n_numbers), 2), n_images)
    return torch.arange(n_chosen) * n_images // n_chosen


def _measure(images):
    """Return the sums of the pixels and of their squares, a channel, and their range."""
    low, high = images.aminmax()
    pixels = images.double()
    return pixels.sum(dim=(0, 1, 2)), pixels.square().sum(dim=(0, 1, 2)), low.item(), high.item()


def _measure_bytes(images):
    """Return the same by way of a histogram, which needs no copy in float64."""
    channels = images.flatten(0, 2).unbind(1)
    counts = torch.stack([torch.bincount(pixels, minlength=256) for pixels in channels]).double()
    values = torch.arange(256, dtype=torch.float64)
    found = counts.sum(dim=0).nonzero()
    return counts @ values, counts @ values.square(), found.min().item(), found.max().item()

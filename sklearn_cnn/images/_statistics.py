"""What a network takes from the training images, in one pass, and whether others are like them."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from sklearn_cnn.images._lazy import LazyImages
from sklearn_cnn.runtime.warnings import warn

# Images that are looked at at a time, to bound the memory of their float64 copy.
_CHUNK = 512
# What is enough to know how pixels vary: images, and numbers in all of them.
_ENOUGH_IMAGES, _ENOUGH_NUMBERS = 1000, 2**23
# The largest that bytes get which are no shades of 0 to 255, but of 4 bits or fewer.
_FEW_SHADES = 16
_LARGEST_BYTE = 255
# The mean of pixels above which a whole batch between 0 and 1 is no dark one.
_BRIGHT = 2
# The part of the range of the training images that some hundreds like them span at least.
_TYPICAL_PART = 0.5


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

    @property
    def are_bytes(self):
        """Whether they are bytes."""
        return self.sample.dtype == torch.uint8


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

    Warns
    -----
    UserWarning
        If float32 cannot tell the pixels of a channel apart, of any channel.
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
    low, high = min(lows), max(highs)
    if images.dtype != torch.uint8 and constant.all() and (low or high):
        warn(
            f"The pixels of X, from {low:.7g} to {high:.7g}, are the same in all images, up to the "
            "7 digits that float32 keeps: there is nothing to learn. If they differ in later "
            "digits, subtract a number that they share, in float64, here and in prediction."
        )
    return PixelStatistics(mean.float(), std.float(), low, high, torch.cat(sample))


class PixelRange(NamedTuple):
    """Which values the pixels of the training images have, to tell their scale from another.

    Parameters
    ----------
    low, high, mean : float
    """

    low: float
    high: float
    mean: float

    @classmethod
    def of(cls, pixels):
        """Return that of `PixelStatistics`."""
        return cls(pixels.low, pixels.high, pixels.mean.mean().item())

    def widened(self, extremes):
        """Return the range that covers further images too."""
        return self._replace(low=min(self.low, extremes.low), high=max(self.high, extremes.high))

    def is_another_scale(self, extremes):
        """Say whether images plainly are on another scale than the training images.

        Parameters
        ----------
        extremes : Extremes or PixelStatistics
            Of a batch, which may be a single image.
        """
        low, high = extremes.low, extremes.high
        if extremes.are_bytes and self.high > _LARGEST_BYTE:
            return True
        if self.low >= 0 and self.mean > _BRIGHT:
            is_divided, is_standardized = low >= 0 and 0 < high <= 1, low < 0 and high < self.mean
            if is_divided or is_standardized:
                return True
        if extremes.are_bytes and self.low >= 0 and self.high > _FEW_SHADES:
            # dark bytes and bright ones
            return False
        width = self.high - self.low
        return width > 0 and (high >= self.high + width or low <= self.low - width)

    def is_hardly_spanned(self, extremes):
        """Say whether images span much less of the range than some hundreds like them would.

        Parameters
        ----------
        extremes : Extremes
        """
        return extremes.high - extremes.low < _TYPICAL_PART * (self.high - self.low)

    def warn_of_another_scale(self, extremes, name, owner):
        """Warn if images plainly are on another scale than the training images.

        Parameters
        ----------
        extremes : Extremes or PixelStatistics
        name : str
            What holds the images.
        owner : str
            The subject of the training images, and its verb.
        """
        if self.is_another_scale(extremes):
            warn(
                f"{name} has pixels from {extremes.low:g} to {extremes.high:g}, but {owner} pixels "
                f"from {self.low:g} to {self.high:g}, and neither is scaled to the other. Bring "
                "both to one unit: the network does not know images of another."
            )


class Extremes:
    """The smallest and the largest pixel of images that come in batches, from any device."""

    def __init__(self):
        self._found, self.are_bytes = [], True

    @classmethod
    def of(cls, images, indices):
        """Return those of some images, or of a sample where each is read for it.

        Parameters
        ----------
        images : Tensor or LazyImages of shape (n, H, W, C)
        indices : Tensor of int64
        """
        if isinstance(images, LazyImages):
            indices = indices[_spread(len(indices), math.prod(images.shape[1:]))]
        extremes = cls()
        for chunk in indices.split(_CHUNK):
            extremes.add(images[chunk])
        return extremes

    def add(self, images):
        """Look at a batch; the host does not wait for the device."""
        self._found.append(images.aminmax())
        self.are_bytes &= images.dtype == torch.uint8

    @property
    def low(self):
        """The smallest pixel."""
        return min(found.min.item() for found in self._found)

    @property
    def high(self):
        """The largest pixel."""
        return max(found.max.item() for found in self._found)


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

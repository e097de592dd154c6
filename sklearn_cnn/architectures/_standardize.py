"""The first layer of every module: pixels to numbers around zero."""

import torch
from torch import nn

# Images whose statistics are summed up at a time, to bound the memory of their float64 copy.
_CHUNK = 512


class Standardize(nn.Module):
    """Subtracts a mean and divides by a standard deviation, a channel.

    It is part of the module, so that predictions, saved models and exports preprocess as
    training did.

    Parameters
    ----------
    mean, std : Tensor of shape (C,)
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", mean.reshape(1, -1, 1, 1))
        self.register_buffer("std", std.reshape(1, -1, 1, 1))

    @classmethod
    def of(cls, images, rows):
        """Return the standardization of some of the images.

        Parameters
        ----------
        images : Tensor or LazyImages of shape (n, H, W, C)
        rows : Tensor of int64
            Which images count.
        """
        total = torch.zeros(images.shape[3], dtype=torch.float64)
        squares = torch.zeros_like(total)
        sums = _sums_of_bytes if images.dtype == torch.uint8 else _sums
        for chunk in rows.split(_CHUNK):
            for so_far, more in zip((total, squares), sums(images[chunk]), strict=True):
                so_far += more
        n_pixels = len(rows) * images.shape[1] * images.shape[2]
        mean = total / n_pixels
        variance = squares / n_pixels - mean.square()
        # a channel without variance, up to rounding, is only centred
        constant = variance <= 1e-12 * mean.square()
        std = torch.where(constant, torch.ones_like(variance), variance).sqrt()
        return cls(mean.float(), std.float())

    def forward(self, images):
        """Standardize images of shape (b, C, H, W), of any dtype, to float32."""
        # The same arithmetic for bytes and floats, so that they give the same predictions. Bytes
        # turn to float32 on the way: a pass of its own for that took as long again.
        return (images - self.mean) / self.std


def pixel_range(images, rows):
    """Return the smallest and the largest value of some of the images.

    Parameters
    ----------
    images : Tensor or LazyImages of shape (n, H, W, C)
    rows : Tensor of int64
        Which images count.
    """
    lows, highs = zip(*(images[chunk].aminmax() for chunk in rows.split(_CHUNK)), strict=True)
    return min(lows).item(), max(highs).item()


def _sums(images):
    """Return the sums of the pixels and of their squares, a channel."""
    pixels = images.double()
    return pixels.sum(dim=(0, 1, 2)), pixels.square().sum(dim=(0, 1, 2))


def _sums_of_bytes(images):
    """Return the same by way of a histogram, which needs no copy in float64."""
    channels = images.flatten(0, 2).unbind(1)
    counts = torch.stack([torch.bincount(pixels, minlength=256) for pixels in channels]).double()
    values = torch.arange(256, dtype=torch.float64)
    return counts @ values, counts @ values.square()

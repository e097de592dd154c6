"""Bringing images to one size and number of channels."""

from collections.abc import Callable

import torch
from torch.nn.functional import interpolate, pad

# Images resized at a time: enough to keep the threads busy, little memory.
_CHUNK = 256
RESIZE_MODES = ("squash", "crop", "pad")
# ITU-R 601, in 65536ths, as Pillow computes gray
_LUMA = torch.tensor([19595, 38470, 7471], dtype=torch.int32, device="cpu")


def resize(images, size, mode="squash", interpolation="bilinear"):
    """Resize a batch of images with antialiasing.

    Parameters
    ----------
    images : Tensor of shape (n, H, W, C), uint8 or float32
    size : tuple of (int, int)
        Height and width to reach, in pixels.
    mode : {"squash", "crop", "pad"}, default="squash"
        "squash" ignores the aspect ratio; "crop" covers the target and cuts what juts out,
        evenly; "pad" fits inside the target and fills up with zeros, evenly.
    interpolation : {"bilinear", "bicubic"}, default="bilinear"
        Bicubic pixels that overshoot are clipped: bytes to 0 to 255, floats to 0 to 1, or to the
        range of their image where that is wider.

    Returns
    -------
    Tensor of shape (n, *size, C)
        Of the dtype of `images`; `images` itself if nothing is to be done.
    """
    if tuple(images.shape[1:3]) == tuple(size):
        return images
    resized = images.new_empty((len(images), *size, images.shape[3]))
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK].permute(0, 3, 1, 2)
        scaled = _resize_chunk(chunk, size, mode, _SCALES[interpolation])
        resized[start : start + _CHUNK] = scaled.permute(0, 2, 3, 1)
    return resized


def resize_map(maps, size, mode="squash", outside=0):
    """Resize maps: whole numbers, which are codes, by the nearest pixel, others bilinearly.

    Parameters
    ----------
    maps : Tensor of shape (n, H, W, C)
        Of whole numbers, or of floats of which NaN are missing.
    size : tuple of (int, int)
        Height and width to reach, in pixels.
    mode : {"squash", "crop", "pad"}, default="squash"
        As `resize` takes it.
    outside : int or float, default=0
        What "pad" fills up with.

    Returns
    -------
    Tensor of shape (n, *size, C)
        Of the dtype of `maps`; NaN where what is missing weighs most.
    """
    if tuple(maps.shape[1:3]) == tuple(size):
        return maps
    scale = _scale_known if maps.is_floating_point() else _take_nearest
    resized = _resize_chunk(maps.permute(0, 3, 1, 2), size, mode, scale, outside)
    return resized.permute(0, 2, 3, 1)


def resized_back(maps, size, mode):
    """Return maps of an image that was resized at the size that it had before.

    Parameters
    ----------
    maps : Tensor of shape (1, H, W, C), float32
    size : tuple of (int, int)
        Height and width of the image before.
    mode : {"squash", "pad"}
        How it was resized.

    Returns
    -------
    Tensor of shape (1, *size, C)
    """
    chunk = maps.permute(0, 3, 1, 2)
    if mode == "pad":
        found = chunk.shape[2:]
        ratio = min(side / own for side, own in zip(found, size, strict=True))
        inside = [max(round(own * ratio), 1) for own in size]
        top, left = ((side - part) // 2 for side, part in zip(found, inside, strict=True))
        chunk = chunk[:, :, top : top + inside[0], left : left + inside[1]]
    return _scale(chunk, size).permute(0, 2, 3, 1)


def convert_channels(images, channels):
    """Bring images of 1 or 3 channels to 1 or 3.

    Parameters
    ----------
    images : Tensor of shape (..., C)
        Of uint8, or gray of any dtype.
    channels : int

    Returns
    -------
    Tensor of shape (..., channels)
        Maybe a view.
    """
    found = images.shape[-1]
    if found == 3 and channels == 1:
        luma = (images.int() * _LUMA).sum(dim=-1, keepdim=True, dtype=torch.int32)
        return ((luma + 2**15) >> 16).to(torch.uint8)
    return images if found == channels else images.expand(*images.shape[:-1], channels)


def _resize_chunk(chunk: torch.Tensor, size, mode, scale: Callable, outside=0):
    if mode == "squash":
        return scale(chunk, size)
    height, width = chunk.shape[2:]
    ratios = size[0] / height, size[1] / width
    ratio = max(ratios) if mode == "crop" else min(ratios)
    scaled = [max(round(height * ratio), 1), max(round(width * ratio), 1)]
    scaled_up = scale(chunk, scaled)
    # a margin is cut off where it is negative, and filled up where it is positive
    margins = [wanted - side for wanted, side in zip(size, scaled, strict=True)]
    top, left = (m // 2 if m > 0 else -round(-m / 2) for m in margins)
    bottom, right = margins[0] - top, margins[1] - left
    return pad(scaled_up, (left, right, top, bottom), value=outside)


def _scale(chunk, size, mode="bilinear"):
    # what torchvision's resize comes to, whose own work takes as long as scaling a small photo
    return interpolate(chunk, size=tuple(size), mode=mode, antialias=True)


def _scale_bicubic(chunk, size):
    if chunk.dtype == torch.uint8:
        # torch clips and rounds bytes after each direction, as Pillow does
        return _scale(chunk, size, "bicubic")
    low = chunk.amin(dim=(1, 2, 3), keepdim=True).clamp(max=0)
    high = chunk.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1)
    for step in ((chunk.shape[2], size[1]), size):
        chunk = _scale(chunk, step, "bicubic").clamp(low, high)
    return chunk


_SCALES: dict[str, Callable] = {"bilinear": _scale, "bicubic": _scale_bicubic}
INTERPOLATIONS = tuple(_SCALES)


def _take_nearest(chunk, size):
    rows, columns = (
        ((torch.arange(wanted) + 0.5) * (found / wanted)).long()
        for wanted, found in zip(size, chunk.shape[2:], strict=True)
    )
    return chunk[:, :, rows][:, :, :, columns]


def _scale_known(chunk, size):
    """Scale numbers, of which each result is a mean of those that are not NaN."""
    known = ~chunk.isnan()
    weights = _scale(known.float(), size)
    return torch.where(weights > 0.5, _scale(chunk.nan_to_num() * known, size) / weights, torch.nan)

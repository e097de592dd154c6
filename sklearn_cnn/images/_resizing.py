"""Bringing images to one size."""

import torch
from torch.nn.functional import interpolate
from torchvision.transforms.v2 import functional as tvf

# Images resized at a time: enough to keep the threads busy, little memory.
_CHUNK = 256


def resize(images, size, mode="squash"):
    """Resize a batch of images with antialiasing.

    Parameters
    ----------
    images : Tensor of shape (n, H, W, C), uint8 or float32
    size : tuple of (int, int)
        Height and width to reach, in pixels.
    mode : {"squash", "crop", "pad"}, default="squash"
        "squash" ignores the aspect ratio; "crop" covers the target and cuts what juts out,
        evenly; "pad" fits inside the target and fills up with zeros, evenly.

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
        resized[start : start + _CHUNK] = _resize_chunk(chunk, size, mode).permute(0, 2, 3, 1)
    return resized


def _resize_chunk(chunk: torch.Tensor, size, mode):
    if mode == "squash":
        return _scale(chunk, size)
    height, width = chunk.shape[2:]
    ratios = size[0] / height, size[1] / width
    ratio = max(ratios) if mode == "crop" else min(ratios)
    scaled = [max(round(height * ratio), 1), max(round(width * ratio), 1)]
    # center_crop pads with zeros where the image is smaller than the target
    return tvf.center_crop(_scale(chunk, scaled), list(size))


def _scale(chunk, size):
    # what torchvision's resize comes to, whose own work takes as long as scaling a small photo
    return interpolate(chunk, size=tuple(size), mode="bilinear", antialias=True)

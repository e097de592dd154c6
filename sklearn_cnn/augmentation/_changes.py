"""One augmentation's changes of one batch of images, in their order."""

from numbers import Integral

import torch

from sklearn_cnn.augmentation._geometry import AffineTransform
from sklearn_cnn.augmentation._pixels import change_colour, erase

# Where no byte is above this one, rounding undoes much of a change: all of it in images of 0 and 1.
_LARGEST_OF_FEW = 31
# Images that are looked at before others are read.
_CHUNK = 32


def moves_pixels(augmentation):
    """Say whether an augmentation takes pixels to other places."""
    return any((augmentation.flip, augmentation.crop, augmentation.rotation, augmentation.scale))


def hold_few_values(images, rows):
    """Say whether images are bytes of so small a range that their changes must not be rounded.

    Parameters
    ----------
    images : Tensor or LazyImages of shape (n, H, W, C)
    rows : Tensor of int64
        Which images count.
    """
    # the first images of most sets answer it: others need not be read
    return images.dtype == torch.uint8 and all(
        images[chunk].max() <= _LARGEST_OF_FEW for chunk in rows.split(_CHUNK)
    )


def change(augmentation, images, generator):
    """Change a batch in every way but mixup, which concerns labels too.

    Parameters
    ----------
    augmentation : Augmentation
    images : Tensor of shape (b, C, H, W), uint8 or float32
    generator : torch.Generator
        On the device of the images.

    Returns
    -------
    images : Tensor of shape (b, C, H, W)
        float32 if they were computed with: see `restored`.
    moves : AffineTransform or None
        Where the images have gone; None where they stay.
    """
    moves = None
    if moves_pixels(augmentation):
        size = tuple(images.shape[2:])
        moves = AffineTransform.draw(
            len(images),
            size,
            generator,
            flip=augmentation.flip,
            crop=_in_pixels(augmentation.crop, size),
            rotation=augmentation.rotation,
            scale=augmentation.scale,
        )
        images = moves.move_images(images, augmentation.fill)
    brightness, contrast = augmentation.brightness, augmentation.contrast
    if brightness or contrast:
        images = change_colour(images.float(), brightness, contrast, generator)
    if augmentation.erasing:
        images = erase(images.float(), augmentation.erasing, generator)
    return images, moves


def restored(changed, images):
    """Return changed images in the dtype of the images that they were made of, channels last."""
    if images.dtype == torch.uint8 and changed.dtype != torch.uint8:
        changed = changed.round().clamp(0, 255).to(torch.uint8)
    return changed.contiguous(memory_format=torch.channels_last)


def _in_pixels(crop, size):
    if isinstance(crop, Integral):
        return int(crop), int(crop)
    return tuple(round(crop * side) for side in size)

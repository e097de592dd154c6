"""Test-time augmentation: the mean of the outputs for an image and for its mirror image."""

import torch

from sklearn_cnn.augmentation._augmentation import Augmentation
from sklearn_cnn.augmentation._coordinates import check_coordinates, move_coordinates
from sklearn_cnn.augmentation._geometry import AffineTransform
from sklearn_cnn.augmentation._presets import as_augmentation
from sklearn_cnn.targets import Continuous


def flip_average(module, spec, target, size):
    """Return what averages the outputs of a module over images and their mirror images.

    Parameters
    ----------
    module : nn.Module
        Maps images of shape (b, C, H, W) to outputs.
    spec : None, str, Augmentation or callable
        The value of `augmentation=`, which says what coordinates y holds.
    target : SingleLabel, MultiLabel or Continuous
    size : tuple of (int, int)
        Height and width of an image.

    Returns
    -------
    callable
        Maps images to outputs, as the module does.

    Raises
    ------
    ValueError
        If y has several columns and `spec` does not say whether they are coordinates.
    """
    mirror_back = _mirror_back(as_augmentation(spec), target, size)

    def averaged(images):
        return (module(images).float() + mirror_back(module(images.flip(3)).float())) / 2

    return averaged


def _mirror_back(augmentation, target, size):
    """Return what takes outputs for mirrored images to those for the images themselves."""
    if not isinstance(target, Continuous) or target.n_outputs == 1:
        return _unchanged
    keypoints = getattr(augmentation, "keypoints", None)
    if keypoints is None or not isinstance(augmentation, Augmentation):
        raise ValueError(
            f"test_time_augmentation averages over mirror images, but y of {target.n_outputs} "
            "columns may hold coordinates, which have to be mirrored back. Write "
            "augmentation=Augmentation(keypoints=True, flip_index=...) for points, "
            'keypoints="boxes" for boxes, or keypoints=False for numbers that are no coordinates.'
        )
    if not keypoints:
        return _unchanged
    check_coordinates(augmentation, target.n_outputs, mirrored=True)

    def mirror_back(outputs):
        flipped = torch.ones(len(outputs), dtype=torch.bool, device=outputs.device)
        still = torch.zeros(len(outputs), 2, dtype=torch.int64, device=outputs.device)
        moves = AffineTransform(size, flipped, still, None)
        back = move_coordinates(augmentation, moves, target.to_units(outputs))
        return target.from_units(back)

    return mirror_back


def _unchanged(outputs):
    return outputs

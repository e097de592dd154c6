"""Test-time augmentation: the mean of the outputs for an image and for its mirror image."""

import torch
from torch import nn

from sklearn_cnn.augmentation._augmentation import Augmentation
from sklearn_cnn.augmentation._coordinates import check_coordinates, move_coordinates
from sklearn_cnn.augmentation._geometry import AffineTransform
from sklearn_cnn.augmentation._presets import as_augmentation
from sklearn_cnn.targets import Continuous


def flip_average(module, spec, target, size):
    """Return a module that averages the outputs of another over images and their mirror images.

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
    nn.Module
        Maps images to outputs, as the module does.

    Raises
    ------
    ValueError
        If y has several columns and `spec` does not say whether they are coordinates.
    """
    augmentation = as_augmentation(spec)
    are_moved = _are_coordinates(augmentation, target)
    return _FlipAverage(module, augmentation if are_moved else None, target, size)


def _are_coordinates(augmentation, target):
    """Say whether outputs for a mirrored image have to be mirrored back."""
    if target.is_map or not isinstance(target, Continuous) or target.n_columns == 1:
        return False
    keypoints = getattr(augmentation, "keypoints", None)
    if keypoints is None or not isinstance(augmentation, Augmentation):
        raise ValueError(
            f"test_time_augmentation averages over mirror images, but y of {target.n_columns} "
            "columns may hold coordinates, which have to be mirrored back. Write "
            "augmentation=Augmentation(keypoints=True, flip_index=...) for points, "
            'keypoints="boxes" for boxes, or keypoints=False for numbers that are no coordinates.'
        )
    if keypoints:
        check_coordinates(augmentation, target.n_columns, mirrored=True)
    return bool(keypoints)


class _FlipAverage(nn.Module):
    """The mean of a module's outputs for images and for their mirror images."""

    def __init__(self, module, coordinates, target, size):
        super().__init__()
        self.module, self.coordinates, self.target, self.size = module, coordinates, target, size

    def forward(self, images):
        outputs = self.module(images).float()
        mirrored = self.module(images.flip(3)).float()
        return (outputs + self._mirrored_back(mirrored)) / 2

    def _mirrored_back(self, outputs):
        """Return outputs for the images themselves out of those for mirrored images."""
        if self.target.is_map:
            return outputs.flip(3)
        if self.coordinates is None:
            return outputs
        # not len(): a trace would take it for a constant
        n_images = outputs.shape[0]
        flipped = torch.ones(n_images, dtype=torch.bool, device=outputs.device)
        still = torch.zeros(n_images, 2, dtype=torch.int64, device=outputs.device)
        moves = AffineTransform(self.size, flipped, still, None)
        back = move_coordinates(self.coordinates, moves, self.target.to_units(outputs))
        return self.target.from_units(back)

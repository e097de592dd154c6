"""The coordinates that y holds: which form they have, and how they move with the image."""

import numpy as np
import torch

from sklearn_cnn.augmentation._geometry import move_boxes
from sklearn_cnn.runtime.device import sent


def check_coordinates(augmentation, n_coordinates, mirrored):
    """Raise a ValueError if y is not of the form that `keypoints` says, or cannot be mirrored.

    Parameters
    ----------
    augmentation : Augmentation
        With `keypoints`.
    n_coordinates : int
        Columns of y.
    mirrored : bool
        Whether images will be.
    """
    keypoints, flip_index = augmentation.keypoints, augmentation.flip_index
    per_thing = 4 if keypoints == "boxes" else 2
    if n_coordinates % per_thing:
        form = "x0, y0, x1, y1" + ("" if per_thing == 4 else ", ...")
        raise ValueError(
            f"keypoints={keypoints!r} takes y of {form}: a multiple of {per_thing} columns, but y "
            f"has {n_coordinates}."
        )
    if keypoints == "boxes" or not mirrored:
        return
    n_points = n_coordinates // 2
    if flip_index is None and n_points > 1:
        raise ValueError(
            "Mirroring swaps left and right points, so keypoints=True needs flip_index: point i of "
            "the mirrored image is what was point flip_index[i]. Write "
            f"flip_index=range({n_points}) if no point changes places with another."
        )
    if flip_index is not None and len(flip_index) != n_points:
        raise ValueError(f"flip_index has {len(flip_index)} entries, but y has {n_points} points.")


def move_coordinates(augmentation, moves, coordinates):
    """Move coordinates with their images.

    Parameters
    ----------
    augmentation : Augmentation
        With `keypoints`.
    moves : AffineTransform
    coordinates : Tensor of shape (b, n_coordinates)
        In pixels.
    """
    if augmentation.keypoints == "boxes":
        return move_boxes(moves, coordinates.unflatten(1, (-1, 4))).flatten(1)
    points = moves.move_points(coordinates.unflatten(1, (-1, 2)))
    if augmentation.flip_index is not None:
        index = sent(np.asarray(augmentation.flip_index), points.device)
        points = torch.where(moves.flipped[:, None, None], points[:, index], points)
    return points.flatten(1)

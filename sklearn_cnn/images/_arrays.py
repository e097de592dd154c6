"""X as numbers → tensors of images, checked as scikit-learn checks it."""

import warnings

import numpy as np
import torch
from sklearn.utils import check_array

from sklearn_cnn.images._resizing import resize
from sklearn_cnn.images._shape import (
    array_shape,
    flat_row_shape,
    has_channels,
    refuse_resizing,
    refuse_torch_order,
)

# Kept as they are; anything else numeric becomes float32.
_DTYPES = [np.float32, np.uint8]


def is_rows(X):
    """Say whether X is flat rows, or what is no array of images either."""
    return len(getattr(X, "shape", ())) < 3 and _depth(X) < 3


def check_rows(X, options):
    """Return flat rows as an array of numbers that are finite."""
    return check_array(
        _bool_as_uint8(X),
        dtype=_DTYPES,
        order="C",
        estimator=options.estimator_name,
        input_name="X",
    )


def images_of_rows(rows, options, expected):
    """Return flat rows as images.

    Parameters
    ----------
    rows : ndarray of shape (n, H*W*C)
        Checked by `check_rows`.
    options : ReadOptions
    expected : tuple of (int, int, int) or None
        The shape of the images that `fit` saw.

    Returns
    -------
    Tensor of shape (n, H, W, C), uint8 or float32
    """
    if expected is None:
        refuse_torch_order(options.image_shape)
    shape = flat_row_shape(rows.shape[1], expected or options.image_shape)
    if options.channel_axis == 1:
        images = np.moveaxis(rows.reshape(len(rows), shape.channels, *shape.size), 1, -1)
    else:
        images = rows.reshape(len(rows), *shape)
    return _as_tensor(images)


def read_stack(X, options, name):
    """Return images of three or four dimensions, resized to `image_shape`.

    Parameters
    ----------
    X : array-like of shape (n, H, W), (n, H, W, C) or (n, C, H, W)
    options : ReadOptions
    name : str
        What to call X in an error.

    Returns
    -------
    Tensor of shape (n, H, W, C), uint8 or float32
    """
    X = check_array(
        _bool_as_uint8(X),
        dtype=_DTYPES,
        allow_nd=True,
        input_name=name,
        estimator=options.estimator_name,
    )
    wanted = options.image_shape
    found = array_shape(X.shape, options.channel_axis, wanted)
    if X.ndim == 3:
        X = X[..., np.newaxis]
    elif options.channel_axis == 1:
        X = np.moveaxis(X, 1, -1)
    if wanted is None:
        return _as_tensor(X)
    if not has_channels(found, wanted):
        remedy = ""
        if tuple(wanted) == (found.channels, *found.size):
            remedy = f" It means (height, width, channels): write image_shape={tuple(found)}"
            is_signal = found.channels == 1
            remedy += f", or pass signals as {name}[:, np.newaxis]." if is_signal else "."
        raise ValueError(
            f"{name} has images of {found.channels} channels, but image_shape={tuple(wanted)} "
            f"asks for {wanted[2]}. Images are resized, their channels are not converted.{remedy}"
        )
    refuse_resizing(options, found.size, name)
    return resize(_as_tensor(X), wanted[:2], options.resize_mode, options.interpolation)


def _depth(X):
    depth = 0
    while isinstance(X, (list, tuple)) and len(X) > 0:
        X, depth = X[0], depth + 1
    return depth + len(getattr(X, "shape", ())) if depth else 0


def _as_tensor(X):
    if any(stride < 0 or stride % X.itemsize for stride in X.strides):
        # torch has no such views
        X = np.ascontiguousarray(X)
    with warnings.catch_warnings():
        # torch has no read-only tensors and says so of memmaps; nothing here writes to X
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(X)


def _bool_as_uint8(X):
    return X.astype(np.uint8) if isinstance(X, np.ndarray) and X.dtype == bool else X

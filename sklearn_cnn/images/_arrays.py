"""X as numbers → tensors of images, checked as scikit-learn checks it."""

import warnings

import numpy as np
import torch
from sklearn.utils.validation import check_array, validate_data

from sklearn_cnn.images._resizing import resize
from sklearn_cnn.images._shape import array_shape, fits, flat_row_shape, refuse_resizing

# Kept as they are; anything else numeric becomes float32.
_DTYPES = [np.float32, np.uint8]


def read_rows(estimator, X, reset):
    """Return flat rows as images.

    Parameters
    ----------
    estimator : estimator
        Whose `n_features_in_` is set, or checked.
    X : array-like of shape (n, H*W*C)
    reset : bool
        Whether this is `fit`.

    Returns
    -------
    Tensor of shape (n, H, W, C), uint8 or float32
    """
    rows = validate_data(estimator, _bool_as_uint8(X), dtype=_DTYPES, reset=reset, order="C")
    shape = flat_row_shape(
        rows.shape[1], estimator.image_shape if reset else estimator.image_shape_
    )
    if estimator.channel_axis == 1:
        images = np.moveaxis(rows.reshape(len(rows), shape.channels, *shape.size), 1, -1)
    else:
        images = rows.reshape(len(rows), *shape)
    return _as_tensor(images)


def read_nd(estimator, X, name):
    """Return images of three or four dimensions, resized to `image_shape`.

    Parameters
    ----------
    estimator : estimator
    X : array-like of shape (n, H, W), (n, H, W, C) or (n, C, H, W)
    name : str
        What to call X in an error.

    Returns
    -------
    Tensor of shape (n, H, W, C), uint8 or float32
    """
    X = check_array(
        _bool_as_uint8(X), dtype=_DTYPES, allow_nd=True, input_name=name, estimator=estimator
    )
    wanted = estimator.image_shape
    found = array_shape(X.shape, estimator.channel_axis, wanted)
    if X.ndim == 3:
        X = X[..., np.newaxis]
    elif estimator.channel_axis == 1:
        X = np.moveaxis(X, 1, -1)
    if wanted is None:
        return _as_tensor(X)
    if not fits(found, wanted):
        raise ValueError(
            f"{name} has images of {found.channels} channels, but image_shape={tuple(wanted)} "
            f"asks for {wanted[2]}. Images are resized, their channels are not converted."
        )
    refuse_resizing(estimator, found.size, name)
    return resize(_as_tensor(X), wanted[:2], estimator.resize_mode)


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

"""X of every accepted kind → one tensor of images, checked as scikit-learn checks it."""

import warnings

import numpy as np
import torch
from sklearn.utils.validation import check_array, validate_data

from sklearn_cnn.images import _containers
from sklearn_cnn.images._resizing import resize
from sklearn_cnn.images._shape import ImageShape, array_shape, fits, flat_row_shape

# Kept as they are; anything else numeric becomes float32.
_DTYPES = [np.float32, np.uint8]


def read_images(estimator, X, *, reset, name="X"):
    """Check X and return its images as one tensor.

    Reads `image_shape`, `channel_axis` and `resize_mode` of the estimator. With `reset`, its
    `image_shape_`, `n_features_in_` and `feature_names_in_` are set, else X must agree with
    them.

    Parameters
    ----------
    estimator : BaseCNN
        Whose X it is.
    X : array-like, tensor, sequence of arrays or frame
        See "X" in the documentation of the estimators.
    reset : bool
        Whether this is `fit`, where shapes are learned.
    name : str, default="X"
        What to call X in an error.

    Returns
    -------
    Tensor of shape (n, H, W, C), uint8 or float32
        Memory is shared with X where its dtype and layout allow.

    Raises
    ------
    ValueError
        If shape or values are not those of images, or not of those seen in `fit`.
    TypeError
        If X is sparse, or holds other things than numbers.
    """
    X = _containers.as_numpy(X)
    _containers.refuse_files(X)
    if _containers.is_image_column(X):
        # one feature, the column of images: ColumnTransformer and clones of it rely on that
        validate_data(estimator, X, skip_check_array=True, reset=reset)
        images = _read_sequence(estimator, _containers.column_of(X), reset, name)
    elif _containers.is_image_sequence(X):
        images = _read_sequence(estimator, X, reset, name)
    elif len(getattr(X, "shape", ())) >= 3 or _depth(X) >= 3:
        images = _read_nd(estimator, X, reset, name)
        # one row says how many features there are; all of them might be a copy
        row = images[:1].reshape(1, -1).numpy()
        validate_data(estimator, row, skip_check_array=True, reset=reset)
    else:
        images = _read_rows(estimator, X, reset, name)
    return images


def _read_rows(estimator, X, reset, name):
    if not reset:
        _refuse_lone_image(estimator, X)
    rows = validate_data(estimator, _bool_as_uint8(X), dtype=_DTYPES, reset=reset, order="C")
    shape = flat_row_shape(
        rows.shape[1], estimator.image_shape if reset else estimator.image_shape_
    )
    _agree(estimator, shape, reset, name)
    return _as_tensor(_unflatten(rows, shape, estimator.channel_axis))


def _read_nd(estimator, X, reset, name):
    if not reset:
        _refuse_lone_image(estimator, X)
    images = _sized(estimator, X, name)
    _agree(estimator, ImageShape(*images.shape[1:]), reset, name)
    return images


def _read_sequence(estimator, images, reset, name):
    if estimator.image_shape is None:
        return _read_nd(estimator, _containers.stack_images(images, name), reset, name)
    # images of any size: each is resized before they are stacked
    singles = [_sized(estimator, _containers.stack_images([i], name), name) for i in images]
    channels = sorted({single.shape[3] for single in singles})
    if len(channels) > 1:
        raise ValueError(
            f"{name} mixes images of {channels} channels. Images are resized, their channels are "
            "not converted: bring all of them to gray or to colour first."
        )
    stacked = torch.cat(singles)
    _agree(estimator, ImageShape(*stacked.shape[1:]), reset, name)
    return stacked


def _sized(estimator, X, name):
    """Return images of three or four dimensions as (n, H, W, C), resized to `image_shape`."""
    X = check_array(
        _bool_as_uint8(X), dtype=_DTYPES, allow_nd=True, input_name=name, estimator=estimator
    )
    found = array_shape(X.shape, estimator.channel_axis)
    if X.ndim == 3:
        X = X[..., np.newaxis]
    elif estimator.channel_axis == 1:
        X = np.moveaxis(X, 1, -1)
    wanted = estimator.image_shape
    if wanted is None:
        return _as_tensor(X)
    if not fits(found, wanted):
        raise ValueError(
            f"{name} has images of {found.channels} channels, but image_shape={tuple(wanted)} "
            f"asks for {wanted[2]}. Images are resized, their channels are not converted."
        )
    return resize(_as_tensor(X), wanted[:2], estimator.resize_mode)


def _agree(estimator, found, reset, name):
    if reset:
        estimator.image_shape_ = tuple(found)
    elif tuple(found) != tuple(estimator.image_shape_):
        raise ValueError(
            f"{name} has images of {found} (height x width x channels), but "
            f"{type(estimator).__name__} was fitted on images of "
            f"{ImageShape(*estimator.image_shape_)}. To have images of any size resized, fit with "
            "image_shape=(height, width)."
        )


def _refuse_lone_image(estimator, X):
    shape = tuple(getattr(X, "shape", ()))
    height, width, channels = estimator.image_shape_
    lone: set[tuple[int, ...]] = {(height, width, channels), (channels, height, width)}
    batches: set[tuple[int, ...]] = {(height * width * channels,)}
    if channels == 1:
        lone.add((height, width))
        batches.add((height, width))
    if shape in lone and shape[1:] not in batches:
        raise ValueError(
            f"X has shape {shape}, which is one image of the size seen in fit. X must be a batch: "
            "write X[np.newaxis]."
        )


def _unflatten(rows, shape, channel_axis):
    if channel_axis == 1:
        return np.moveaxis(rows.reshape(len(rows), shape.channels, *shape.size), 1, -1)
    return rows.reshape(len(rows), *shape)


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


def _depth(X):
    depth = 0
    while isinstance(X, (list, tuple)) and len(X) > 0:
        X, depth = X[0], depth + 1
    return depth + len(getattr(X, "shape", ())) if depth else 0

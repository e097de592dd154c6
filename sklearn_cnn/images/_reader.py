"""X of every accepted kind → images, as one tensor or read as they are needed."""

import math

import numpy as np
from sklearn.utils.validation import validate_data

from sklearn_cnn._warnings import warn
from sklearn_cnn.images import _arrays, _containers
from sklearn_cnn.images._lazy import DecodedImages, MappedImages
from sklearn_cnn.images._sequences import Name, read_sequence, reading_bar, refuse_all_broken
from sklearn_cnn.images._shape import ImageShape
from sklearn_cnn.runtime.memory import fits, free_memory

# Images that are decoded at a time where all are looked at but not kept.
_CHUNK = 1024


def read_images(estimator, X, *, reset=False, name="X"):
    """Check X and return its images.

    Reads `image_shape`, `channel_axis`, `resize_mode`, `memory`, `in_memory` and `verbose` of the
    estimator, and `_why_not_resized`, why images of another size than `image_shape` are refused,
    or None. With `reset`, its `image_shape_`, `n_features_in_` and `feature_names_in_` are set,
    else X must agree with them.

    Parameters
    ----------
    estimator : estimator
        Whose X it is.
    X : array-like, tensor, frame, Dataset, or sequence of arrays, paths or PIL images
        See "X" in the documentation of the estimators.
    reset : bool, default=False
        Whether this is `fit`, where shapes are learned.
    name : str, default="X"
        What to call X in an error.

    Returns
    -------
    Tensor or LazyImages of shape (n, H, W, C), uint8 or float32
        Memory is shared with X where its dtype and layout allow. Lazy are files that do not fit
        in memory, or that `memory` has cached.

    Raises
    ------
    ValueError
        If shape or values are not those of images, or not of those seen in `fit`, or a file
        cannot be read.
    TypeError
        If X is sparse, or holds other things than images and numbers.
    """
    return _read(estimator, X, reset, name, None)


def read_training_images(estimator, X, *, reset, name="X"):
    """Check X as `read_images` does; broken files may be left out.

    Reads `handle_broken` of the estimator, besides what `read_images` reads.

    Returns
    -------
    images : Tensor or LazyImages of shape (n, H, W, C)
    broken : list of int
        Rows whose files cannot be read; their images do not count.

    Warns
    -----
    UserWarning
        If files are left out; they are counted and named.

    Raises
    ------
    ValueError
        As `read_images`, or if all files are broken.
    """
    broken: dict[int, str] | None = {} if estimator.handle_broken == "skip" else None
    images = _read(estimator, X, reset, name, broken)
    if not broken:
        return images, []
    named = Name(name, _containers.cells_of(X))
    refuse_all_broken(named, broken)
    warn(
        f"{len(broken)} of {len(images)} files of {name} cannot be read and are left out: "
        f"{named.listed(broken)}.",
    )
    return images, sorted(broken)


def _read(estimator, X, reset, name, broken):
    X = _containers.as_numpy(X)
    _containers.refuse_others(X)
    is_column = _containers.is_image_column(X)
    # files may be predicted after a fit on numbers, which has as many features as pixels
    if is_column and (reset or getattr(estimator, "n_features_in_", 1) == 1):
        # one feature, the column of images: ColumnTransformer and clones of it rely on that
        validate_data(estimator, X, skip_check_array=True, reset=reset)
    if not is_column and not _containers.is_image_sequence(X):
        return _read_numbers(estimator, X, reset, name)
    images = read_sequence(estimator, _containers.cells_of(X), reset, name, broken)
    _agree(estimator, images, reset, name)
    return _decoded(estimator, images, broken) if isinstance(images, DecodedImages) else images


def _read_numbers(estimator, X, reset, name):
    if not reset:
        _refuse_lone_image(estimator, X)
    has_rows = len(getattr(X, "shape", ())) < 3 and _depth(X) < 3
    if has_rows:
        images = _arrays.read_rows(estimator, X, reset)
    else:
        images = _arrays.read_nd(estimator, X, name)
    _agree(estimator, images, reset, name)
    if not has_rows:
        # one row says how many features there are; all of them might be a copy
        row = images[:1].reshape(1, -1).numpy()
        validate_data(estimator, row, skip_check_array=True, reset=reset)
    is_mapped = isinstance(X, np.memmap) and np.may_share_memory(X, images.numpy())
    if is_mapped and not _is_kept(estimator, images.nbytes):
        return MappedImages(images)
    return images


def _is_kept(estimator, n_bytes):
    """Say whether images that take so much are kept in memory or read anew each time."""
    if estimator.in_memory == "auto":
        return fits(n_bytes, free_memory())
    return estimator.in_memory


def _decoded(estimator, images, broken):
    """Return images in memory if they fit, else as they are; look for broken ones in any case."""
    n_bytes = math.prod(images.shape) * images.dtype.itemsize
    is_kept = _is_kept(estimator, n_bytes)
    if not is_kept and broken is None:
        return images
    with reading_bar(estimator, len(images)) as progress:
        if is_kept:
            return images.read(None, broken, progress)
        for start in range(0, len(images), _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, len(images)))
            images.read(rows, broken, progress)
    return images


def _agree(estimator, images, reset, name):
    found = ImageShape(*images.shape[1:])
    if reset:
        estimator.image_shape_ = tuple(found)
    elif tuple(found) != tuple(estimator.image_shape_):
        fitted = "X has" if name == "X_val" else f"{type(estimator).__name__} was fitted on"
        advice = "To have images of any size resized, fit with image_shape=(height, width)."
        raise ValueError(
            f"{name} has images of {found} (height x width x channels), but {fitted} images of "
            f"{ImageShape(*estimator.image_shape_)}. {estimator._why_not_resized or advice}"
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


def _depth(X):
    depth = 0
    while isinstance(X, (list, tuple)) and len(X) > 0:
        X, depth = X[0], depth + 1
    return depth + len(getattr(X, "shape", ())) if depth else 0

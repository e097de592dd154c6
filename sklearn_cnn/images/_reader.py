"""X of every accepted kind → images, as one tensor or read as they are needed."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from sklearn_cnn.images import _arrays
from sklearn_cnn.images._containers import parse, refuse_missing_labels
from sklearn_cnn.images._encoded import Name, leave_out, reading_bar
from sklearn_cnn.images._lazy import DecodedImages, LazyImages, MappedImages
from sklearn_cnn.images._options import keeps_in_memory
from sklearn_cnn.images._refusals import refuse_empty
from sklearn_cnn.images._sequences import read_cells
from sklearn_cnn.images._shape import ImageShape, warn_of_signals

# Images that are decoded at a time where all are looked at but not kept.
_CHUNK = 1024


class ImageSet(NamedTuple):
    """What was read of X.

    Parameters
    ----------
    images : Tensor or LazyImages of shape (n, H, W, C), uint8 or float32
        Memory is shared with X where its dtype and layout allow. Lazy are files that do not fit
        in memory, or that `memory` has cached.
    labels : ndarray of shape (n,) or (n, n_outputs), or None
        Those of (image, label) pairs.
    broken : list of int
        Rows whose files cannot be read; their images are zero and do not count.
    """

    images: torch.Tensor | LazyImages
    labels: np.ndarray | None
    broken: list[int]


def read_images(
    X,
    options,
    *,
    expected=None,
    check_features: Callable | None = None,
    name="X",
    with_labels=False,
):
    """Check X and return its images.

    Parameters
    ----------
    X : array-like, tensor, frame, Dataset, or sequence of arrays or encoded images
        See "X" in the documentation of the estimators.
    options : ReadOptions
    expected : tuple of (int, int, int), default=None
        Height, width and channels of the images that `fit` saw; None in `fit`.
    check_features : callable, default=None
        Told of the frame or array whose columns scikit-learn counts and names: X where it is flat
        rows or (`holds_images=True`) a column of images, one row of pixels of other arrays, nothing
        of sequences.
    name : str, default="X"
        What to call X in an error.
    with_labels : bool, default=False
        Whether the labels of (image, label) pairs are wanted.

    Returns
    -------
    ImageSet

    Raises
    ------
    ValueError
        If shape or values are not those of images, or not of those seen in `fit`, or a file
        cannot be read.
        If X has no labels where they are wanted.
    TypeError
        If X is sparse, or holds other things than images and numbers.

    Warns
    -----
    UserWarning
        If files are left out (`handle_broken="skip"`); they are counted and named.
    """
    check_features = check_features or _ignore_features
    parsed = parse(X, name)
    if parsed.cells is None:
        if with_labels:
            refuse_missing_labels(options)
        images = _read_numbers(parsed.table, options, expected, check_features, name)
        return ImageSet(images, None, [])
    if parsed.table is not None:
        check_features(parsed.table, holds_images=True)
    broken: dict[int, str] | None = {} if options.handle_broken == "skip" else None
    images, labels = read_cells(parsed.cells, options, expected, name, broken, with_labels)
    _check_shape(images, options, expected, name)
    if isinstance(images, DecodedImages):
        images = _decoded(images, options, broken)
    leave_out(Name(name, parsed.cells), broken or {})
    return ImageSet(images, labels(), sorted(broken or ()))


def _ignore_features(table, holds_images=False):
    """Count no features, where nobody asks."""


def _read_numbers(X, options, expected, check_features, name):
    refuse_empty(X, options.estimator_name)
    if expected is not None:
        _refuse_lone_image(tuple(getattr(X, "shape", ())), expected)
    if _arrays.is_rows(X):
        # as in scikit-learn: names of columns before their values, numbers of them after
        is_frame = hasattr(X, "columns")
        if is_frame:
            check_features(X)
        rows = _arrays.check_rows(X, options)
        if not is_frame:
            check_features(X)
        images = _arrays.images_of_rows(rows, options, expected)
        _check_shape(images, options, expected, name)
    else:
        images = _arrays.read_stack(X, options, name)
        if expected is None:
            warn_of_signals(np.shape(X)[1:], options, are_stacked=True)
        _check_shape(images, options, expected, name)
        # one row says how many features there are; all of them might be a copy
        check_features(images[:1].reshape(1, -1).numpy())
    is_mapped = isinstance(X, np.memmap) and np.may_share_memory(X, images.numpy())
    if is_mapped and not keeps_in_memory(options, images.nbytes):
        return MappedImages(images)
    return images


def _decoded(images, options, broken):
    """Return images in memory if they fit, else as they are; look for broken ones in any case."""
    n_bytes = math.prod(images.shape) * images.dtype.itemsize
    is_kept = keeps_in_memory(options, n_bytes)
    if not is_kept and broken is None:
        return images
    with reading_bar(options, len(images)) as progress:
        if is_kept:
            return images.read(None, broken, progress)
        for start in range(0, len(images), _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, len(images)))
            images.read(rows, broken, progress)
    return images


def _check_shape(images, options, expected, name):
    """Raise unless images have the shape of those that `fit` saw."""
    found = ImageShape(*images.shape[1:])
    if expected is not None and tuple(found) != tuple(expected):
        fitted = "X has" if name == "X_val" else f"{options.estimator_name} was fitted on"
        advice = "To have images of any size resized, fit with image_shape=(height, width)."
        if found.size == ImageShape(*expected).size:
            advice = "Bring them to the same channels."
            if found.channels == 1:
                times = f"{expected[2]}, axis=-1)"
                advice = (
                    f"Gray repeats in each channel: np.repeat({name}[..., np.newaxis], {times}."
                )
        elif options.why_not_resized:
            advice = options.why_not_resized
        raise ValueError(
            f"{name} has images of {found} (height x width x channels), but {fitted} images of "
            f"{ImageShape(*expected)}. {advice}"
        )


def _refuse_lone_image(shape, expected):
    height, width, channels = expected
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

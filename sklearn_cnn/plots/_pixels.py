"""Images of X as a figure shows them: in the size they are given in, black at 0 and white at 1."""

import math
import os

import numpy as np

from sklearn_cnn._compat import safe_indexing
from sklearn_cnn.images import ImageReader, array_shape, parse

# What white may be: in images of 0 to 1, of scikit-learn's digits, of bytes.
_WHITE = (1, 16, 255)


def images_at(X, rows, image_shape, channel_axis, network_shape=None):
    """Return some images of X, each in its own size.

    Parameters
    ----------
    X : array-like, tensor, frame, Dataset, or sequence of arrays, paths or PIL images
    rows : ndarray of int
    image_shape : tuple of int or None
        How flat rows unflatten, as the user gave it.
    channel_axis : {-1, 1}
    network_shape : tuple of (int, int, int) or None
        What the network sees, which takes the place of None as `image_shape` where it has the
        values of X: what stands before the network in a Pipeline may change their number. Else
        None guesses, as the estimators do.

    Returns
    -------
    list of ndarray of shape (H, W, C)
    """
    parsed = parse(X)
    if parsed.cells is not None:
        return [_read([parsed.cells[row]], None, channel_axis)[0] for row in rows.tolist()]
    numbers = np.asarray(safe_indexing(parsed.table, rows))
    shape = _shape_of(numbers, image_shape, channel_axis, network_shape)
    return list(_read(numbers, shape, channel_axis))


def names_at(X, rows):
    """Return what to call some images of X: their files with the folder, or their rows.

    Parameters
    ----------
    X : array-like, tensor, frame, Dataset, or sequence of arrays, paths or PIL images
    rows : ndarray of int

    Returns
    -------
    list of str
    """
    cells = parse(X).cells
    # a Dataset would read its images anew
    are_files = isinstance(cells, (list, tuple))
    return [(are_files and _file_name(cells[row])) or f"X[{row}]" for row in rows.tolist()]


def _file_name(cell):
    """Return the path of a file from its folder on; None if the cell holds something else."""
    if not isinstance(cell, (str, os.PathLike)):
        return None
    folder, name = os.path.split(os.fspath(cell))
    return os.path.join(os.path.basename(folder), name)


def _shape_of(numbers, image_shape, channel_axis, network_shape):
    """Return the shape of images as it was said, or None where that is not theirs."""
    said = image_shape or network_shape
    if said is None:
        return None
    if numbers.ndim == 2:
        is_theirs = image_shape is not None or math.prod(said) == numbers.shape[1]
    else:
        # images are shown in their own size; signals may need what was said of their channels
        is_theirs = array_shape(numbers.shape, channel_axis, said) == tuple(said)
    return said if is_theirs else None


def _read(X, image_shape, channel_axis):
    reader = ImageReader(image_shape, channel_axis=channel_axis, flatten=False)
    return reader.set_output(transform="default").fit_transform(X)


def to_unit_range(images):
    """Return images with values in [0, 1] and one, three or four channels.

    They share one scale, so that their brightness can be compared: 0 to 1, 16 or 255 if all
    values are in there, else from their smallest value, or 0, to their largest. Images of
    other numbers of channels become gray, the mean over them.

    Parameters
    ----------
    images : list of ndarray of shape (H, W, C)

    Returns
    -------
    list of ndarray of shape (H, W, C), float64
    """
    low = min(float(image.min()) for image in images)
    high = max(float(image.max()) for image in images)
    if low >= 0:
        low, high = 0.0, next((white for white in _WHITE if high <= white), high)
    scaled = [(image.astype(np.float64) - low) / (high - low or 1) for image in images]
    return [
        image if image.shape[2] in (1, 3, 4) else image.mean(axis=2, keepdims=True)
        for image in scaled
    ]

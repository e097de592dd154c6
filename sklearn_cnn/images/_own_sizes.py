"""The sizes that images have before they are resized."""

import numpy as np

from sklearn_cnn.images import _containers
from sklearn_cnn.images._arrays import is_rows
from sklearn_cnn.images._decoding import BrokenImageError
from sklearn_cnn.images._encoded import look_at
from sklearn_cnn.images._shape import array_shape


def own_sizes(X, options, images):
    """Return height and width of each image as it was given.

    Parameters
    ----------
    X : array-like, tensor, frame, Dataset, or sequence of arrays or encoded images
        As `read_images` took it.
    options : ReadOptions
    images : Tensor or LazyImages of shape (n, H, W, C)
        What `read_images` made of it.

    Returns
    -------
    ndarray of shape (n, 2), int64
        (0, 0) for files that cannot be read.
    """
    own = np.tile(np.array(images.shape[1:3]), (len(images), 1))
    if options.image_shape is None and options.recommended_size is None:
        return own
    parsed = _containers.parse(X)
    if parsed.cells is None:
        if not is_rows(X):
            own[:] = array_shape(np.shape(X), options.channel_axis, options.image_shape).size
        return own
    for row in range(len(own)):
        own[row] = size_of(_containers.image_of(parsed.cells[row]), options)
    return own


def size_of(cell, options):
    """Return height and width of an image; (0, 0) of a file that cannot be read."""
    if _containers.is_array(cell):
        return array_shape((1, *cell.shape), options.channel_axis, options.image_shape).size
    try:
        found = look_at(cell)
    except BrokenImageError:
        return 0, 0
    return found.height, found.width

"""y with a value for each pixel: masks and maps, one an image, brought to the size of images."""

import copy
import math

import numpy as np
import torch

from sklearn_cnn.images._containers import as_numpy
from sklearn_cnn.images._resizing import resize_map
from sklearn_cnn.runtime.warnings import warn

# Values that are worked on at a time.
_CHUNK = 2**20


class Maps:
    """Masks or maps, one an image, with the user's own values.

    Parameters
    ----------
    stack : ndarray of shape (n, H, W) or (n, H, W, k)
    name : str
        What to call y in an error.
    """

    def __init__(self, stack, name):
        self.stack, self.name = stack, name
        # those of the images that they belong to
        self.size, self.resize_mode = stack.shape[1:3], "squash"
        # whether `resize_mode` fills up some of them
        self.are_padded = False

    def __len__(self):
        return len(self.stack)

    @property
    def dtype(self):
        """NumPy's dtype of the values."""
        return self.stack.dtype

    @property
    def n_values(self):
        """Values of a pixel that come along an axis of their own; None where there is no axis."""
        return self.stack.shape[3] if self.stack.ndim == 4 else None

    def of_images(self, own_sizes, size, resize_mode):
        """Return the maps of images that have been brought to a size.

        Parameters
        ----------
        own_sizes : ndarray of shape (n, 2)
            Height and width of each image as it was given.
        size : tuple of (int, int)
            Height and width of all images as they were read.
        resize_mode : str

        Raises
        ------
        ValueError
            If a map has another size than its image.
        """
        # of images that cannot be read nobody knows a size
        unlike = (own_sizes != self.stack.shape[1:3]).any(axis=1) & own_sizes.all(axis=1)
        if unlike.any():
            row = int(unlike.argmax())
            height, width = self.stack.shape[1:3]
            raise ValueError(
                f"{self.name_of(row)} has {height} x {width} pixels (height x width), but its "
                f"image has {own_sizes[row][0]} x {own_sizes[row][1]}. y with a value for each "
                "pixel has the size of the images; image_shape=(height, width) resizes both "
                "together."
            )
        fitting = copy.copy(self)
        fitting.size, fitting.resize_mode = tuple(size), resize_mode
        heights, widths = own_sizes.T
        fitting.are_padded = resize_mode == "pad" and (heights * size[1] != widths * size[0]).any()
        return fitting

    def name_of(self, row):
        """Return what to call a map in an error."""
        return f"{self.name}[{row}]"

    def chunks(self):
        """Yield the number of a first map, and the values of some from there on."""
        n_chunk = max(_CHUNK // max(math.prod(self.stack.shape[1:]), 1), 1)
        for start in range(0, len(self), n_chunk):
            yield start, self.stack[start : start + n_chunk]

    def encoded(self, encode, dtype, n_values, outside):
        """Return the maps as an image each, of the size of the images.

        Parameters
        ----------
        encode : callable
            Maps the number of a first map, and values of some maps from there on, to what is
            learned, a Tensor of shape (b, H, W, n_values).
        dtype : torch.dtype
        n_values : int
        outside : int or float
            What is learned outside of the image, where `resize_mode` fills up.

        Returns
        -------
        Tensor of shape (n, H, W, n_values)
        """
        encoded = torch.empty((len(self), *self.size, n_values), dtype=dtype, device="cpu")
        for start, values in self.chunks():
            maps = encode(start, values)
            encoded[start : start + len(values)] = resize_map(
                maps, self.size, self.resize_mode, outside
            )
        return encoded


def as_maps(y, image_size, name="y"):
    """Return y with a value for each pixel, or None if it has values of whole images.

    An array of three or four dimensions has a value for each pixel.

    Parameters
    ----------
    y : object
        As the user gave it.
    image_size : tuple of (int, int)
        Height and width of the images as the network gets them.
    name : str, default="y"
        What to call it in an error.

    Returns
    -------
    Maps or None

    Warns
    -----
    UserWarning
        If y has a column for each pixel, but the form of values of images.
    """
    y = as_numpy(y, name)
    if isinstance(y, (list, tuple)) and len(y) > 0 and _depth(y[0]) in (2, 3):
        y = _stacked(y, name)
    shape: tuple[int, ...] = getattr(y, "shape", ())
    if len(shape) in (3, 4) and isinstance(y, np.ndarray):
        return Maps(y, name)
    n_pixels = math.prod(image_size)
    if len(shape) == 2 and shape[1] == n_pixels > 1:
        warn(
            f"{name} of shape {tuple(shape)} has as many columns as the images have pixels, and is "
            f"taken for {n_pixels} values of each image. If it holds a value for each pixel, pass "
            f"{name}.reshape(-1, {image_size[0]}, {image_size[1]})."
        )
    return None


def _depth(cell):
    """Return how many dimensions an array, a tensor or nested lists have."""
    if hasattr(cell, "shape"):
        return len(cell.shape)
    return 1 + _depth(cell[0]) if isinstance(cell, (list, tuple)) and len(cell) > 0 else 0


def _stacked(cells, name):
    """Return maps of one size in one array."""
    arrays = [np.asarray(as_numpy(cell, f"{name}[{row}]")) for row, cell in enumerate(cells)]
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        raise ValueError(f"{name} holds maps of several shapes: {shapes[:5]}.")
    return np.stack(arrays)

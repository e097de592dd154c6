"""y with a value for each pixel: masks and maps, one an image, brought to the size of images."""

import copy
import functools
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from sklearn_cnn.images import _containers
from sklearn_cnn.images._containers import as_numpy
from sklearn_cnn.images._decoding import BrokenImageError, UnknownColourError, shown
from sklearn_cnn.images._encoded import Name, leave_out
from sklearn_cnn.images._lazy import DecodedImages, in_threads
from sklearn_cnn.images._map_files import (
    MapFormat,
    is_map_cell,
    is_scaled,
    open_cached_maps,
    read_map,
)
from sklearn_cnn.images._options import ReadOptions, keeps_in_memory
from sklearn_cnn.images._resizing import resize_map
from sklearn_cnn.runtime.warnings import warn

# Values that are worked on at a time.
_CHUNK = 2**20
# Files that threads read before the first of them is needed.
_N_AHEAD = 64


class Maps(ABC):
    """Masks or maps, one an image, with the user's own values.

    Parameters
    ----------
    name : str
        What to call y in an error.
    form : MapFormat
    """

    def __init__(self, name, form):
        self.name, self.form = name, form
        # those of the images that they belong to: each as it was given, and all as they were read
        self.own_sizes: Any = None
        self.size, self.options = (0, 0), ReadOptions()
        # whether `resize_mode` fills up some of them
        self.are_padded = False
        # the rows of those that cannot be read and are left out, and why
        self.broken: dict[int, str] = {}

    @abstractmethod
    def __len__(self):
        """Return the number of maps."""

    @property
    @abstractmethod
    def dtype(self):
        """NumPy's dtype of the values."""

    @property
    @abstractmethod
    def n_values(self):
        """Values of a pixel that come along an axis of their own; None where there is no axis."""

    @property
    @abstractmethod
    def are_scaled(self):
        """Whether `scale` of the form changes a value: that of image files does."""

    @abstractmethod
    def chunks(self):
        """Yield the number of a first map, and the values of some of one size from there on."""

    @abstractmethod
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
        Tensor or LazyImages of shape (n, H, W, n_values)
        """

    @abstractmethod
    def encoded_at(self, rows, encode, dtype, n_values, outside):
        """Return the maps of some rows, a Tensor; all have been encoded once. See `encoded`."""

    @abstractmethod
    def _with_values_last(self, n_values):
        """Return what to write where the values of a pixel come first."""

    def of_images(self, own_sizes, size, options):
        """Return the maps of images that have been brought to a size.

        Parameters
        ----------
        own_sizes : ndarray of shape (n, 2)
            Height and width of each image as it was given.
        size : tuple of (int, int)
            Height and width of all images as they were read.
        options : ReadOptions
            How they were.
        """
        fitting = copy.copy(self)
        fitting.own_sizes, fitting.size, fitting.options = own_sizes, tuple(size), options
        are_alike = own_sizes[:, 0] * size[1] == own_sizes[:, 1] * size[0]
        fitting.are_padded = options.resize_mode == "pad" and not are_alike.all()
        return fitting

    def name_of(self, row):
        """Return what to call a map in an error."""
        return f"{self.name}[{row}]"

    def _check_sizes(self, start, values):
        """Raise if some maps have another size than their images."""
        size, own = values.shape[1:3], self.own_sizes[start : start + len(values)]
        # of images that cannot be read nobody knows a size
        unlike = (own != size).any(axis=1) & own.all(axis=1)
        if unlike.any():
            row = start + int(unlike.argmax())
            if values.ndim == 4 and values.shape[2:] == tuple(self.own_sizes[row]):
                raise ValueError(
                    f"{self.name_of(row)} has the shape {values.shape[1:]}, with the values of a "
                    "pixel first, as in torch, but they come last: write "
                    f"{self._with_values_last(values.shape[1])}."
                )
            raise ValueError(
                f"{self.name_of(row)} has {size[0]} x {size[1]} pixels (height x width), but its "
                f"image has {self.own_sizes[row][0]} x {self.own_sizes[row][1]}. y with a value "
                "for each pixel has the size of the images; image_shape=(height, width) resizes "
                "both together."
            )

    def _fitted(self, start, maps, outside):
        """Return encoded maps at the size of the images; raise if nothing that counts is left."""
        mode = self.options.resize_mode
        fitted = resize_map(maps, self.size, mode, outside)
        if fitted is maps:
            return maps
        counts = ~fitted.isnan() if fitted.is_floating_point() else fitted != outside
        is_empty = ~counts.flatten(1).any(dim=1)
        if is_empty.any():
            raise ValueError(
                f"{self.name_of(start + int(is_empty.int().argmax()))} has no pixel that counts "
                f'after resizing to {self.size[0]} x {self.size[1]} by resize_mode="{mode}". Leave '
                "out such rows, of X too, or write a larger image_shape or another resize_mode."
            )
        return fitted


class StackedMaps(Maps):
    """Those of one array.

    Parameters
    ----------
    stack : ndarray of shape (n, H, W) or (n, H, W, k)
    name : str
    form : MapFormat
    """

    def __init__(self, stack, name, form):
        super().__init__(name, form)
        self.stack = stack

    def __len__(self):
        return len(self.stack)

    @property
    def dtype(self):
        return self.stack.dtype

    @property
    def n_values(self):
        return self.stack.shape[3] if self.stack.ndim == 4 else None

    @property
    def are_scaled(self):
        return False

    def _with_values_last(self, n_values):
        return f"{self.name}[:, 0]" if n_values == 1 else f"np.moveaxis({self.name}, 1, -1)"

    def chunks(self):
        self._check_sizes(0, self.stack)
        n_chunk = max(_CHUNK // max(math.prod(self.stack.shape[1:]), 1), 1)
        for start in range(0, len(self), n_chunk):
            yield start, self.stack[start : start + n_chunk]

    def encoded(self, encode, dtype, n_values, outside):
        encoded = torch.empty((len(self), *self.size, n_values), dtype=dtype, device="cpu")
        for start, values in self.chunks():
            maps = self._fitted(start, encode(start, values), outside)
            encoded[start : start + len(values)] = maps
        return encoded

    def encoded_at(self, rows, encode, dtype, n_values, outside):
        some = copy.copy(self)
        some.stack, some.own_sizes = self.stack[rows], self.own_sizes[rows]
        return some.encoded(encode, dtype, n_values, outside)


class SingleMaps(Maps):
    """Those of files, PIL images or arrays of their own sizes, which are read one by one.

    Parameters
    ----------
    cells : sequence
    name : str
    form : MapFormat
    """

    def __init__(self, cells, name, form):
        super().__init__(name, form)
        self.cells = cells
        # reads those of files that are cached
        self._cached: Callable | None = None

    def __len__(self):
        return len(self.cells)

    @property
    def are_scaled(self):
        return any(map(is_scaled, self.cells))

    @functools.cached_property
    def _first_row(self):
        return self._known_rows()[0]

    @functools.cached_property
    def _first(self):
        return self._named(self._first_row)

    @property
    def dtype(self):
        return self._first.dtype

    @property
    def n_values(self):
        return self._first.shape[2] if self._first.ndim == 3 else None

    def of_images(self, own_sizes, size, options):
        fitting = super().of_images(own_sizes, size, options)
        named, fitting.broken = Name(self.name, self.cells), {}
        skips = options.handle_broken == "skip"
        broken = fitting.broken if skips else None
        fitting._cached = open_cached_maps(self.cells, self.form, options, named, broken)
        if skips and fitting._cached is None:
            rows = range(len(self))
            reasons = in_threads(fitting._why_broken, rows, torch.get_num_threads())
            fitting.broken.update((row, why) for row, why in zip(rows, reasons, strict=True) if why)
        leave_out(named, fitting.broken)
        return fitting

    def name_of(self, row):
        return Name(self.name, self.cells).of(row)

    def _with_values_last(self, n_values):
        each = "values[0]" if n_values == 1 else "np.moveaxis(values, 0, -1)"
        return f"[{each} for values in {self.name}]"

    def chunks(self):
        known = self._known_rows()
        for start in range(0, len(known), _N_AHEAD):
            rows = known[start : start + _N_AHEAD]
            maps = in_threads(self._named, rows, torch.get_num_threads())
            yield from ((row, values[None]) for row, values in zip(rows, maps, strict=True))

    def encoded(self, encode, dtype, n_values, outside):
        maps = self._decoded(encode, dtype, n_values, outside)
        is_kept = keeps_in_memory(self.options, math.prod(maps.shape) * dtype.itemsize)
        return maps.read() if is_kept else maps

    def encoded_at(self, rows, encode, dtype, n_values, outside):
        return self._decoded(encode, dtype, n_values, outside).read(rows)

    def _decoded(self, encode, dtype, n_values, outside):
        """Return encoded maps that are read when they are asked for."""

        def encoded_map(row):
            if row in self.broken:
                return torch.full((*self.size, n_values), outside, dtype=dtype, device="cpu")
            return self._fitted(row, encode(row, self._read(row)[None]), outside)[0]

        shape = (len(self), *self.size, n_values)
        mode = self.options.resize_mode
        return DecodedImages(range(len(self)), encoded_map, shape, mode, self.name_of, dtype)

    def _known_rows(self):
        return [row for row in range(len(self)) if row not in self.broken]

    def _why_broken(self, row):
        try:
            self._values(row)
        except UnknownColourError as error:
            raise ValueError(f"{self.name_of(row)}: {error}.") from error
        except BrokenImageError as error:
            return str(error)
        return None

    def _named(self, row):
        """Return the values of a map; a ValueError names one that cannot be read."""
        try:
            return self._read(row)
        except BrokenImageError as error:
            raise ValueError(f"{self.name_of(row)}: {error}.") from error

    def _values(self, row):
        cached = self._cached
        return read_map(self.cells[row], self.form) if cached is None else cached(row)

    def _read(self, row):
        values = self._values(row)
        if values.ndim not in (2, 3):
            raise ValueError(
                f"{self.name_of(row)} holds an array of shape {values.shape}: a mask or map has "
                "the shape (height, width), or (height, width, k) with k values a pixel. Save "
                "values.reshape(height, width)."
            )
        if row > self._first_row:
            first = self._first
            if (values.ndim, values.dtype.kind) != (first.ndim, first.dtype.kind):
                raise ValueError(
                    f"{self.name_of(row)} holds {values.dtype} of shape {values.shape}, but "
                    f"{self.name_of(self._first_row)} holds {first.dtype} of shape {first.shape}: "
                    "bring all to one kind."
                )
        if self.own_sizes is not None:
            self._check_sizes(row, values[None])
        return values


def as_maps(y, image_size, name="y", form=None):
    """Return y with a value for each pixel, or None if it has values of whole images.

    An array of three or four dimensions has a value for each pixel, and so has a sequence or column
    of masks or maps: of files, PIL images, or arrays.

    Parameters
    ----------
    y : object
        As the user gave it.
    image_size : tuple of (int, int)
        Height and width of the images as the network gets them.
    name : str, default="y"
        What to call it in an error.
    form : MapFormat, default=None
        How files say their values; None: as numbers.

    Returns
    -------
    Maps or None

    Warns
    -----
    UserWarning
        If y has a column for each pixel, but the form of values of images.
    """
    form = form or MapFormat()
    y = as_numpy(y, name)
    cells = _cells_of(y, name)
    if cells is not None:
        return SingleMaps(cells, name, form)
    if isinstance(y, (list, tuple)) and len(y) > 0 and _depth(y[0]) in (2, 3):
        y = np.array(y)
    shape: tuple[int, ...] = getattr(y, "shape", ())
    if len(shape) in (3, 4) and isinstance(y, np.ndarray):
        is_coloured = form.palette is not None and shape[3:] == (3,)
        return StackedMaps(_labels_of_colours(y, form, name) if is_coloured else y, name, form)
    n_pixels = math.prod(image_size)
    if len(shape) == 2 and shape[1] == n_pixels > 1:
        warn(
            f"{name} of shape {tuple(shape)} has as many columns as the images have pixels, and is "
            f"taken for {n_pixels} values of each image. If it holds a value for each pixel, pass "
            f"{name}.reshape(-1, {image_size[0]}, {image_size[1]})."
        )
    return None


def _labels_of_colours(colours, form, name):
    """Return the labels of RGB masks of shape (n, H, W, 3); a ValueError names an unknown one."""
    masks = []
    for row, mask in enumerate(colours):
        try:
            masks.append(form.of_colours(mask))
        except UnknownColourError as error:
            raise ValueError(f"{name}[{row}]: {error}.") from error
    return np.stack(masks)


def with_broken_maps(read, values):
    """Return an `ImageSet` that leaves out the rows of masks or maps that cannot be read, too.

    Parameters
    ----------
    read : ImageSet
    values : Maps or array-like
        What y is of its images; other than maps nothing of it is broken.
    """
    broken = values.broken if isinstance(values, Maps) else ()
    return read._replace(broken=sorted({*read.broken, *broken}))


def _cells_of(y, name):
    """Return the cells of a sequence or of one column, that are not numbers; None of others.

    A ValueError names what is no file of masks or maps: a `Path`, and text where half of the cells
    or more are masks or maps.
    """
    shape: tuple[int, ...] = getattr(y, "shape", (0,))
    is_column = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    kind = getattr(getattr(y, "dtype", None), "kind", "O")
    if y is None or not is_column or kind not in "OSUT" or not hasattr(y, "__len__"):
        return None
    cells = list(_containers.cells_of(y))
    # a missing one has an error of its own
    known = {row: cell for row, cell in enumerate(cells) if cell is not None}
    others = {row: cell for row, cell in known.items() if not is_map_cell(cell)}
    are_mostly_maps = 2 * len(others) <= len(known)
    for row, cell in others.items():
        # text may be a label
        if isinstance(cell, os.PathLike) or (isinstance(cell, str) and are_mostly_maps):
            raise ValueError(
                f"{name}[{row}], {shown(os.fspath(cell))}: it does not end as files of masks do "
                "that are read, .png or .npy say. List the files of a folder, one an image."
            )
    if len(others) == len(known):
        return None
    # bytes that are text are labels, but beside images they are what is left of a broken one
    are_bytes = all(isinstance(cell, bytes) for cell in others.values())
    return cells if are_mostly_maps or are_bytes else None


def _depth(cell):
    """Return how many levels nested lists have."""
    return 1 + _depth(cell[0]) if isinstance(cell, (list, tuple)) and len(cell) > 0 else 0

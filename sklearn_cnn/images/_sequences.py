"""Sequences of images: files, PIL images, arrays of any size, and Datasets of them."""

import os
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from sklearn_cnn._warnings import warn
from sklearn_cnn.images import _arrays, _containers
from sklearn_cnn.images._cache import ImageCache, cache_folder
from sklearn_cnn.images._decoding import (
    BrokenImageError,
    ImageFile,
    convert_channels,
    decode_file,
    decode_pil,
    identify,
    pil_channels,
    pil_size,
    read_header,
)
from sklearn_cnn.images._lazy import DecodedImages
from sklearn_cnn.images._shape import refuse_resizing


class Wanted(NamedTuple):
    """What encoded images are brought to; None leaves it to the images.

    Parameters
    ----------
    size : tuple of (int, int) or None
        Height and width.
    channels : {1, 3, 4} or None
    resize_mode : str
    """

    size: tuple[int, int] | None
    channels: int | None
    resize_mode: str

    @classmethod
    def by(cls, estimator, reset):
        """Return what the parameters ask for and, in prediction, `fit` has seen."""
        shape = estimator.image_shape
        channels = None if shape is None or len(shape) == 2 else shape[2]
        if channels not in (None, 1, 3, 4):
            raise ValueError(
                f"image_shape={tuple(shape)} asks for {channels} channels, but image files and PIL "
                "images have 1 (gray), 3 (RGB) or 4 (RGBA)."
            )
        if channels is None and not reset and estimator.image_shape_[2] in (1, 3, 4):
            channels = estimator.image_shape_[2]
        return cls(None if shape is None else tuple(shape[:2]), channels, estimator.resize_mode)

    @property
    def with_alpha(self):
        """Whether the alpha channel is kept."""
        return self.channels == 4

    def with_own_channels(self):
        """Return the same for images that are not made gray or coloured."""
        return self._replace(channels=4 if self.with_alpha else None)

    def decoded(self, items, name):
        """Return items still to be decoded, brought to what is wanted.

        Parameters
        ----------
        items : list of ImageFile, _Picture or None
            None where there is no image to decode.
        name : Name
        """
        found = [item for item in items if item is not None]
        size = self.size
        if size is None:
            _containers.refuse_mixed_sizes({(i.height, i.width) for i in found}, name.of_all)
            size = found[0].height, found[0].width
        channels = self.channels or max(item.channels for item in found)
        shape = len(items), *size, channels
        return DecodedImages(items, self._decode, shape, self.resize_mode, name.of)

    def _decode(self, item):
        if item is None:
            raise BrokenImageError("its header cannot be read")
        if isinstance(item, ImageFile):
            return decode_file(item, self.with_alpha)
        return decode_pil(item.image, self.with_alpha)


class _Picture(NamedTuple):
    """A PIL image, and what an `ImageFile` says of a file."""

    image: Any
    height: int
    width: int
    channels: int


class Name(NamedTuple):
    """What errors call the images: all of them, and each, with its path where it has one."""

    of_all: str
    cells: Any
    rows: list | None = None

    def of(self, row):
        """Return the name of an image."""
        row = row if self.rows is None else self.rows[row]
        cell = _containers.image_of(self.cells[row])
        path = f", {os.fspath(cell)!r}" if _containers.is_path(cell) else ""
        return f"{self.of_all}[{row}]{path}"

    def listed(self, broken):
        """Return the names of the first broken images, and what is wrong with each."""
        listed = "; ".join(f"{self.of(row)}: {broken[row]}" for row in sorted(broken)[:10])
        return f"{listed}{'; ...' if len(broken) > 10 else ''}"

    def at(self, rows):
        """Return the names of some of the images."""
        return self._replace(rows=rows)


def read_sequence(estimator, cells: Any, reset, name, broken):
    """Return the images of a sequence, in memory or still to be decoded.

    Parameters
    ----------
    estimator : estimator
    cells : sequence
        Of images, or of (image, label) pairs.
    reset : bool
        Whether this is `fit`.
    name : str
        What to call the sequence in an error.
    broken : dict or None
        Takes the rows of files that cannot be read, and why. None: the first raises.

    Returns
    -------
    Tensor or LazyImages of shape (n, H, W, C)
    """
    first = _containers.image_of(cells[0])
    if isinstance(cells, Dataset) and not _containers.is_path(first):
        return _open_dataset(estimator, cells, reset, name)
    cells = [_containers.image_of(cells[row]) for row in range(len(cells))]
    if _containers.is_array(first):
        return _read_arrays(estimator, cells, name)
    wanted, named = Wanted.by(estimator, reset), Name(name, cells)
    # cached images do not say whether they were resized: where none may be, they lie by themselves
    how = "unresized" if estimator._why_not_resized else wanted.resize_mode
    # decoders turn their OSErrors into BrokenImageError: one that comes here is the cache's
    try:
        folder = cache_folder(estimator.memory, wanted.size, wanted.with_alpha, how)
        if folder is not None and all(map(_containers.is_path, cells)):
            return _open_cached(estimator, ImageCache(folder), cells, wanted, named, broken)
    except OSError as error:
        warn(
            f"memory={estimator.memory!r} cannot be used ({error}): images are decoded without a "
            "cache. Make room there, or choose a folder that can be written to."
        )
    items = [_tried(_look_at, cell, named, row, broken) for row, cell in enumerate(cells)]
    refuse_all_broken(named, broken)
    _refuse_resizing(estimator, items, named)
    return wanted.decoded(items, named)


def _read_arrays(estimator, images, name):
    arrays = _containers.arrays_of(images, name)
    if estimator.image_shape is None:
        _containers.refuse_mixed_sizes({array.shape for array in arrays}, name)
        return _arrays.read_nd(estimator, np.stack(arrays), name)
    # images of any size: each is resized before they are stacked
    singles = [_arrays.read_nd(estimator, array[np.newaxis], name) for array in arrays]
    channels = sorted({single.shape[3] for single in singles})
    if len(channels) > 1:
        raise ValueError(
            f"{name} mixes images of {channels} channels. Images are resized, their channels are "
            "not converted: bring all of them to gray or to colour first."
        )
    return torch.cat(singles)


def _open_dataset(estimator, dataset: Any, reset, name):
    """Return the images of a Dataset, still to be read: one at a time and in one thread."""

    def read(row):
        return _dataset_image(estimator, dataset, row, reset, name)

    first, first_dtype = read(0)
    size = first.shape[:2] if estimator.image_shape is None else estimator.image_shape[:2]

    def read_alike(row):
        image, dtype = read(row)
        _containers.refuse_mixed_numbers(first_dtype, dtype, name, row)
        if estimator.image_shape is None:
            _containers.refuse_mixed_sizes({tuple(size), tuple(image.shape[:2])}, name)
        if image.shape[2] not in (1, first.shape[2]) or image.dtype != first.dtype:
            raise ValueError(
                f"{name}[{row}] has {image.shape[2]} channels of {image.dtype}, but {name}[0] has "
                f"{first.shape[2]} of {first.dtype}. PIL images are converted to those of "
                "image_shape=(height, width, channels); arrays are not converted."
            )
        return image

    shape = len(dataset), *size, first.shape[2]
    name_of = Name(name, dataset).of
    return DecodedImages(
        range(len(dataset)), read_alike, shape, estimator.resize_mode, name_of, first.dtype, 1
    )


def _dataset_image(estimator, dataset, row, reset, name):
    """Return an image of a Dataset, and the dtype that the Dataset has it in."""
    image = _containers.image_of(dataset[row])
    if _containers.is_pil(image):
        wanted = Wanted.by(estimator, reset)
        pixels = decode_pil(image, wanted.with_alpha)
        refuse_resizing(estimator, pixels.shape[:2], f"{name}[{row}]")
        return convert_channels(pixels, wanted.channels or pixels.shape[2]), np.dtype(np.uint8)
    if not _containers.is_array(image):
        raise TypeError(
            f"{name}[{row}] is a {type(image).__name__}, but {name} must hold PIL images or arrays."
        )
    [array] = _containers.arrays_of([image])
    return _arrays.read_nd(estimator, array[np.newaxis], name)[0], array.dtype


def _open_cached(estimator, cache, paths, wanted, named, broken):
    """Return the images of files out of a cache, to which those that it lacks are added first."""
    files = [_tried(_identify, path, named, row, broken) for row, path in enumerate(paths)]
    cache.find(files)
    if any(file is not None and file not in cache for file in files):
        # one process decodes while others wait, and then find what they need
        with cache.locked():
            cache.find(files)
            _add_missing(estimator, cache, files, wanted, named, broken)
    refuse_all_broken(named, broken)
    _containers.refuse_mixed_sizes(cache.sizes(files), named.of_all)
    return cache.images(files, wanted.channels)


def _add_missing(estimator, cache, files, wanted, named, broken):
    rows: dict = {}
    for row, file in enumerate(files):
        if file is not None and file not in cache:
            rows.setdefault(file, []).append(row)
    # of a file that is there twice the first row stands for all
    headers = {
        row: _tried(_read_same_header, file, named, row, broken) for file, (row, *_) in rows.items()
    }
    readable = {row: header for row, header in headers.items() if header is not None}
    named_readable = named.at(list(readable))
    _refuse_resizing(estimator, readable.values(), named_readable)
    if readable:
        # other fits may want the same files in colour: gray is made when they are read
        images = wanted.with_own_channels().decoded(list(readable.values()), named_readable)
        damaged: dict[int, str] | None = None if broken is None else {}
        with reading_bar(estimator, len(readable)) as progress:
            cache.add(list(readable.values()), images, damaged, progress)
        for position, reason in (damaged or {}).items():
            broken[list(readable)[position]] = reason
    for same in rows.values():
        if broken is not None and same[0] in broken:
            broken.update(dict.fromkeys(same, broken[same[0]]))


def _read_same_header(file):
    header = read_header(file[0])
    if (header.path, header.n_bytes, header.modified) != file:
        raise BrokenImageError("the file has changed since it was first looked at")
    return header


@contextmanager
def reading_bar(estimator, n_images):
    """Show, if `verbose`, a bar of the images that are decoded; yields what is told of more.

    None otherwise: tqdm starts a thread even for a bar that it does not show.
    """
    if not estimator.verbose:
        yield None
        return
    title = f"{type(estimator).__name__}: reading images"
    with tqdm(total=n_images, desc=title, unit="image", leave=False) as bar:
        yield bar.update


def _tried(function, cell, named, row, broken):
    """Return what a function makes of a cell; None, and a note, where the cell is broken."""
    try:
        return function(cell)
    except BrokenImageError as error:
        if broken is None:
            raise ValueError(f"{named.of(row)}: {error}.") from error
        broken[row] = str(error)
        return None


def _refuse_resizing(estimator, items, named):
    """Raise if one of the images, or their headers, has a size that may not be changed."""
    for row, item in enumerate(items):
        if item is not None:
            refuse_resizing(estimator, (item.height, item.width), named.of(row))


def _look_at(cell):
    """Return what is known of a file or PIL image before it is decoded."""
    if _containers.is_path(cell):
        return read_header(os.fspath(cell))
    if _containers.is_pil(cell):
        height, width = pil_size(cell)
        return _Picture(cell, height, width, pil_channels(cell))
    raise BrokenImageError(
        f"a {type(cell).__name__} where paths of image files or PIL images are expected"
    )


def _identify(path):
    path = os.path.abspath(os.fspath(path))
    return (path, *identify(path))


def refuse_all_broken(named, broken):
    """Raise if no image of a sequence can be read.

    Parameters
    ----------
    named : Name
    broken : dict or None
        The rows of files that cannot be read, and why.

    Raises
    ------
    ValueError
        With the reasons.
    """
    if broken and len(broken) == len(named.cells):
        raise ValueError(
            f"None of the {len(broken)} files of {named.of_all} can be read as an image: "
            f"{named.listed(broken)}."
        )

"""One mask or map in a file, PIL image or array → its values."""

import functools
import io
import os
from typing import NamedTuple

import numpy as np
import torch
from PIL import ImageOps

from sklearn_cnn.images import _containers
from sklearn_cnn.images._cache import ImageCache, decoded_maps_folder
from sklearn_cnn.images._cached_files import add_to_cache, warn_of_no_cache
from sklearn_cnn.images._decoding import (
    BrokenImageError,
    UnknownColourError,
    content_of,
    identify,
    is_named_as_image,
    naming_the_reason,
    open_image,
    pil_dtype,
)
from sklearn_cnn.images._encoded import bytes_of
from sklearn_cnn.images._lazy import DecodedImages
from sklearn_cnn.images._orientation import orientation_of
from sklearn_cnn.images._stored import stored_numbers
from sklearn_cnn.runtime.warnings import warn

# Modes whose numbers are the values: indices of a palette among them.
_VALUES = {"1", "L", "P", "I", "F"}


class MapFormat(NamedTuple):
    """How masks and maps say their values.

    Parameters
    ----------
    palette : dict of label to (int, int, int), or None, default=None
        The colour of each label, where masks are RGB images.
    scale : float, default=1.0
        What the numbers in image files are multiplied by.
    are_depths : bool, default=False
        Whether numbers must be positive.
    are_numbers : bool, default=False
        Whether they say how much of something there is, as indices of a palette do not.
    """

    palette: dict | None = None
    scale: float = 1.0
    are_depths: bool = False
    are_numbers: bool = False

    def of_picture(self, image):
        """Return the values of a PIL image, of shape (H, W)."""
        return self.values(self._numbers_of(image, lambda pixels: pixels))

    def of_file(self, image):
        """Return the values of an image file that was just opened, of shape (H, W)."""
        return self.values(self.numbers_of_file(image))

    def numbers_of_file(self, image):
        """Return what a file holds, as `values` takes it: numbers, or places in a palette."""
        return self._numbers_of(image, stored_numbers(image))

    def _numbers_of(self, image, stored):
        image.load()
        if image.format in ("JPEG", "MPO"):
            warn(
                "Masks or maps are JPEG files, whose compression changes the values of pixels: "
                "save them as PNG."
            )
        dtype = pil_dtype(image)
        if orientation_of(image) != 1:
            image = ImageOps.exif_transpose(image)
        if self.palette is not None:
            return self._places_of(np.asarray(image.convert("RGB")))
        if image.mode not in _VALUES and not image.mode.startswith("I;16"):
            raise UnknownColourError(
                f"it is a colour image ({image.mode}), which does not say what the colours stand "
                "for: pass palette={label: (red, green, blue), ...} to CNNClassifier, or convert "
                "it to gray numbers"
            )
        if self.are_numbers and image.mode == "P":
            raise UnknownColourError(
                "it has a palette, whose indices stand for classes, not for numbers: save the "
                "numbers as gray, or use CNNClassifier for classes"
            )
        numbers = stored(np.array(image))
        if dtype in (np.int8, np.uint32):
            # Pillow has no mode of these, and their bits in one of the same size
            numbers = numbers.view(dtype)
        # 16 bits may come in 32, or in the other order of bytes
        return numbers.astype(dtype, copy=False)

    def values(self, numbers):
        """Return the values that numbers in a file, or places in the palette, stand for."""
        if self.palette is not None:
            table = self._table()
            return np.array([table[code] for code in self.colours.tolist()])[numbers]
        return numbers if self.scale == 1 else numbers.astype(np.float64) * self.scale

    def of_colours(self, colours):
        """Return the labels of RGB values of shape (..., 3)."""
        return self.values(self._places_of(colours))

    @property
    def colours(self):
        """The colours of the palette, each as one number, sorted."""
        return np.array(sorted(self._table()), dtype=np.int64)

    def dtype_of(self, dtype):
        """Return the dtype of what `numbers_of_file` makes of pixels of another."""
        return dtype if self.palette is None else np.min_scalar_type(len(self.palette) - 1)

    def _table(self):
        return {_code(colour): label for label, colour in (self.palette or {}).items()}

    def _places_of(self, colours):
        known = self.colours
        codes = _code(np.moveaxis(colours.astype(np.int64), -1, 0))
        indices = np.searchsorted(known, codes).clip(max=len(known) - 1)
        unknown = np.argwhere(known[indices] != codes)
        if len(unknown) > 0:
            place = tuple(unknown[0])
            colour = tuple(colours[place].tolist())
            raise UnknownColourError(
                f"it holds the colour {colour} at row {place[-2]}, column {place[-1]}, which is "
                f"none of the {len(known)} of palette"
            )
        return indices.astype(self.dtype_of(None))


def check_palette(palette):
    """Raise a ValueError if `palette=` does not map labels of a type to different RGB colours."""
    if palette is None:
        return
    are_colours = all(
        isinstance(colour, (tuple, list))
        and len(colour) == 3
        and all(isinstance(value, int) and 0 <= value <= 255 for value in colour)
        for colour in palette.values()
    )
    if not palette or not are_colours or len(set(map(tuple, palette.values()))) < len(palette):
        raise ValueError(
            "palette must map each label to a colour of its own, (red, green, blue) of 0 to 255, "
            f"got {palette!r}."
        )
    if len(kinds_of_labels(palette)) > 1:
        raise ValueError(
            f"palette must have labels of one type, text or numbers, got {list(palette)!r}."
        )


def is_map_cell(cell):
    """Say whether a cell of y holds a mask or map rather than a label."""
    if _containers.is_path(cell):
        return _is_named_as_map(os.fspath(cell))
    # bytes may be labels
    return _containers.is_plainly_image(cell)


def is_scaled(cell):
    """Say whether the numbers of a cell come from an image, which `MapFormat.scale` multiplies."""
    if cell is None or _containers.is_array(cell):
        return False
    image = _containers.image_of(cell)
    return not (_containers.is_path(image) and _is_npy(os.fspath(image)))


def kinds_of_labels(labels):
    """Return what labels are: of "text", "bytes" and "numbers", which are never equal."""
    kinds = {str: "text", bytes: "bytes"}
    return {
        next((name for kind, name in kinds.items() if isinstance(label, kind)), "numbers")
        for label in labels
    }


def read_map(cell, form):
    """Return the values of a mask or map.

    Parameters
    ----------
    cell : str, path, PIL image, array, bytes, open file, or dict of bytes and path
    form : MapFormat

    Returns
    -------
    ndarray of shape (H, W) or, of arrays alone, (H, W, k)

    Raises
    ------
    BrokenImageError
        If it cannot be read.
    """
    if _containers.is_array(cell):
        values = np.asarray(_containers.as_numpy(cell))
        is_coloured = form.palette is not None and values.ndim == 3 and values.shape[2] == 3
        return form.of_colours(values) if is_coloured else values
    if _containers.is_pil(cell):
        with naming_the_reason():
            return form.of_picture(cell)
    image = _containers.image_of(cell)
    if _containers.is_content(image):
        with naming_the_reason(), open_image(io.BytesIO(bytes_of(image))) as picture:
            return form.of_file(picture)
    if not _containers.is_path(image):
        raise BrokenImageError(
            f"there is no mask or map, but {cell}: leave out such rows, of X too"
        )
    path = os.fspath(image)
    identify(path)
    if _is_npy(path):
        with naming_the_reason():
            return np.load(path, allow_pickle=False)
    with naming_the_reason(), open(path, "rb") as file, open_image(file) as picture:
        return form.of_file(picture)


def open_cached_maps(cells, form, options, named, broken):
    """Return what reads masks or maps out of the cache of decoded files, with those it lacked.

    Parameters
    ----------
    cells : sequence
    form : MapFormat
    options : ReadOptions
    named : Name
        What errors call the masks or maps.
    broken : dict or None
        Takes the rows of those that cannot be read, and why. None: the first raises.

    Returns
    -------
    callable or None
        Maps a row to its values. None if nothing is to be cached, or the cache cannot be used, or
        they are not all in image files: `.npy` files hold what is to be read already.

    Raises
    ------
    ValueError
        If one of them cannot be read, and `broken` is None.
    """
    try:
        folder = decoded_maps_folder(options.memory, form.colours, form.are_numbers)
        if folder is None or not all(map(_is_image_path, cells)):
            return None
        cache = ImageCache(folder, is_exact=True)
        files = add_to_cache(cache, cells, named, broken, functools.partial(_add, cache, form))
    except OSError as error:
        warn_of_no_cache(options, error, "masks or maps")
        return None
    return lambda row: form.values(cache.image(files[row])[..., 0])


def _add(cache, form, headers, named, damaged):
    """Add the numbers of files to a cache, those of a size and dtype as one entry."""
    of_kind: dict = {}
    for position, header in enumerate(headers):
        header = header._replace(dtype=form.dtype_of(header.dtype))
        kind = header.height, header.width, header.dtype
        of_kind.setdefault(kind, []).append((position, header))
    for (*size, dtype), members in of_kind.items():
        positions, alike = zip(*members, strict=True)
        name_of = named.at([named.rows[position] for position in positions]).of
        shape, stored = (len(alike), *size, 1), torch.from_numpy(np.empty(0, dtype)).dtype
        decode = functools.partial(_decode, form)
        decoded = DecodedImages(alike, decode, shape, "squash", name_of, stored)
        broken: dict[int, str] | None = None if damaged is None else {}
        cache.add(alike, decoded, broken)
        for place, reason in (broken or {}).items():
            damaged[positions[place]] = reason


def _decode(form, file):
    """Return the numbers of a file as an image of one channel."""
    with naming_the_reason(), open_image(io.BytesIO(content_of(file))) as image:
        numbers = form.numbers_of_file(image)
    if (numbers.shape, numbers.dtype) != ((file.height, file.width), file.dtype):
        raise BrokenImageError(
            f"its header says {file.height} x {file.width} of {file.dtype}, its pixels are "
            f"{' x '.join(map(str, numbers.shape))} of {numbers.dtype}"
        )
    return torch.from_numpy(numbers[..., None])


def _is_image_path(cell):
    return _containers.is_path(cell) and is_named_as_image(os.fspath(cell))


def _is_named_as_map(name):
    return _is_npy(name) or is_named_as_image(name)


def _is_npy(name):
    return name.lower().endswith(".npy")


def _code(colour):
    red, green, blue = colour
    return (red << 16) + (green << 8) + blue

"""Encoded images: what they are brought to, what they are called, and the first look at each."""

import os
from typing import Any, NamedTuple

from sklearn_cnn.images import _containers
from sklearn_cnn.images._decoding import (
    BrokenImageError,
    ImageFile,
    decode_file,
    decode_pil,
    kept_dtype,
    pil_channels,
    pil_dtype,
    pil_size,
    read_header,
    read_header_of,
    shown,
)
from sklearn_cnn.images._lazy import DecodedImages
from sklearn_cnn.images._refusals import refuse_mixed_sizes
from sklearn_cnn.runtime.progress import image_bar
from sklearn_cnn.runtime.warnings import warn


class Wanted(NamedTuple):
    """What encoded images are brought to; None leaves it to the images.

    Parameters
    ----------
    size : tuple of (int, int) or None
        Height and width.
    channels : {1, 3, 4} or None
    resize_mode, interpolation : str
    """

    size: tuple[int, int] | None
    channels: int | None
    resize_mode: str
    interpolation: str

    @classmethod
    def by(cls, options, expected):
        """Return what the parameters ask for and, in prediction, `fit` has seen."""
        shape = options.image_shape
        channels = None if shape is None or len(shape) == 2 else shape[2]
        if channels not in (None, 1, 3, 4):
            raise ValueError(
                f"image_shape={tuple(shape)} asks for {channels} channels, but image files and PIL "
                "images have 1 (gray), 3 (RGB) or 4 (RGBA)."
            )
        if channels is None and expected is not None and expected[2] in (1, 3, 4):
            channels = expected[2]
        size = None if shape is None else tuple(shape[:2])
        return cls(size, channels, options.resize_mode, options.interpolation)

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
        items : list of ImageFile, Picture or None
            None where there is no image to decode.
        name : Name
        """
        found = [item for item in items if item is not None]
        dtypes = {row: item.dtype for row, item in enumerate(items) if item is not None}
        _containers.refuse_mixed_numbers(dtypes, name.of)
        size = self.size
        if size is None:
            refuse_mixed_sizes({(i.height, i.width) for i in found}, name.of_all)
            size = found[0].height, found[0].width
        channels = self.channels or max(item.channels for item in found)
        shape = len(items), *size, channels
        how, dtype = self.resize_mode, kept_dtype(found[0].dtype)
        return DecodedImages(
            items, self.decode, shape, how, name.of, dtype, interpolation=self.interpolation
        )

    def decode(self, item):
        """Return the pixels of an ImageFile or Picture."""
        if item is None:
            raise BrokenImageError("its header cannot be read")
        if isinstance(item, ImageFile):
            return decode_file(item, self.with_alpha)
        return decode_pil(item.image, self.with_alpha)


class Picture(NamedTuple):
    """A PIL image, and what an `ImageFile` says of a file."""

    image: Any
    height: int
    width: int
    channels: int
    dtype: Any


class Name(NamedTuple):
    """What errors call the images: all of them, and each, with its path where it has one."""

    of_all: str
    cells: Any
    rows: list | None = None

    def of(self, row):
        """Return the name of an image."""
        row = row if self.rows is None else self.rows[row]
        cell = _containers.image_of(self.cells[row])
        path = f", {shown(os.fspath(cell))}" if _containers.is_path(cell) else ""
        return f"{self.of_all}[{row}]{path}"

    def listed(self, broken):
        """Return the names of the first broken images, and what is wrong with each."""
        listed = "; ".join(f"{self.of(row)}: {broken[row]}" for row in sorted(broken)[:10])
        return f"{listed}{'; ...' if len(broken) > 10 else ''}"

    def at(self, rows):
        """Return the names of some of the images."""
        return self._replace(rows=rows)


def look_at(cell):
    """Return what is known of an encoded image before it is decoded."""
    if _containers.is_path(cell):
        return read_header(os.fspath(cell))
    if _containers.is_content(cell):
        return read_header_of(bytes_of(cell))
    if _containers.is_pil(cell):
        height, width = pil_size(cell)
        return Picture(cell, height, width, pil_channels(cell), pil_dtype(cell))
    # frames have NaN for None, or pandas' NA
    if cell is None or isinstance(cell, float) or type(cell).__name__ == "NAType":
        raise BrokenImageError(f"there is no image, but {cell}: leave out such rows, of y too")
    raise BrokenImageError(
        f"a {type(cell).__name__} where paths or bytes of image files, or PIL images, are expected"
    )


def bytes_of(cell):
    """Return bytes, or those of an open file from its start on; it stays where it was."""
    if not hasattr(cell, "read"):
        return bytes(cell)
    try:
        position = cell.tell()
        cell.seek(0)
        content = cell.read()
        cell.seek(position)
    except (OSError, ValueError) as error:
        raise BrokenImageError(f"it cannot be read from its start ({error})") from error
    if not isinstance(content, bytes):
        raise BrokenImageError(
            f"its read() returns a {type(content).__name__}, not bytes: open files as binary, "
            'by open(path, "rb")'
        )
    return content


def attempt(function, cell, named, row, broken):
    """Return what a function makes of a cell; None, and a note, where the cell is broken."""
    try:
        return function(cell)
    except BrokenImageError as error:
        if broken is None:
            raise ValueError(f"{named.of(row)}: {error}.") from error
        broken[row] = str(error)
        return None


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


def leave_out(named, broken):
    """Warn of files that are left out, counted and named; raise if none can be read.

    Parameters
    ----------
    named : Name
    broken : dict
        Their rows, and why they cannot be read.
    """
    refuse_all_broken(named, broken)
    if broken:
        warn(
            f"{len(broken)} of {len(named.cells)} files of {named.of_all} cannot be read and are "
            f"left out: {named.listed(broken)}."
        )


def reading_bar(options, n_images):
    """Return an `image_bar`, shown if `verbose`, of the images that are decoded."""
    return image_bar(n_images, f"{options.estimator_name}: reading images", options.verbose)

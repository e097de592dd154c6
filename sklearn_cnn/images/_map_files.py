"""One mask or map in a file, PIL image or array → its values."""

import os
from typing import NamedTuple

import numpy as np

from sklearn_cnn.images import _containers
from sklearn_cnn.images._decoding import (
    BrokenImageError,
    identify,
    is_named_as_image,
    naming_the_reason,
    open_image,
    pil_dtype,
)
from sklearn_cnn.runtime.warnings import warn

# Modes whose numbers are the values: indices of a palette among them.
_VALUES = {"1", "L", "P", "I", "F"}


class MapFormat(NamedTuple):
    """How masks and maps in image files say their values.

    Parameters
    ----------
    palette : dict of label to (int, int, int), or None, default=None
        The colour of each label, where masks are RGB images.
    scale : float, default=1.0
        What the numbers in image files are multiplied by.
    """

    palette: dict | None = None
    scale: float = 1.0

    def of_picture(self, image):
        """Return the values of a PIL image, of shape (H, W)."""
        image.load()
        if image.format in ("JPEG", "MPO"):
            warn(
                "Masks or maps are JPEG files, whose compression changes the values of pixels: "
                "save them as PNG."
            )
        if self.palette is not None:
            return self.of_colours(np.asarray(image.convert("RGB")))
        if image.mode not in _VALUES and not image.mode.startswith("I;16"):
            raise BrokenImageError(
                f"it is a colour image ({image.mode}), which does not say what the colours stand "
                "for: pass palette={label: (red, green, blue), ...} to CNNClassifier, or convert "
                "it to gray numbers"
            )
        values, dtype = np.array(image), pil_dtype(image)
        if image.mode == "1":
            return values.astype(np.uint8)
        # Pillow has 8 and 32 bits of some kinds in others, and 16 bits of PNGs in 32
        values = values.view(dtype) if values.itemsize == dtype.itemsize else values.astype(dtype)
        return values if self.scale == 1 else values.astype(np.float64) * self.scale

    def of_colours(self, colours):
        """Return the labels of RGB values of shape (..., 3)."""
        table = {_code(colour): label for label, colour in (self.palette or {}).items()}
        known = np.array(sorted(table))
        labels = np.array([table[code] for code in known.tolist()])
        codes = _code(np.moveaxis(colours.astype(np.int64), -1, 0))
        indices = np.searchsorted(known, codes).clip(max=len(known) - 1)
        unknown = np.argwhere(known[indices] != codes)
        if len(unknown) > 0:
            place = tuple(unknown[0])
            colour = tuple(colours[place].tolist())
            raise BrokenImageError(
                f"it holds the colour {colour} at row {place[-2]}, column {place[-1]}, which is "
                f"none of the {len(known)} of palette"
            )
        return labels[indices]


def check_palette(palette):
    """Raise a ValueError if `palette=` does not map labels to different RGB colours."""
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


def is_map_cell(cell):
    """Say whether a cell of y holds a mask or map rather than a label."""
    if isinstance(cell, (str, os.PathLike)):
        return _is_named_as_map(os.fspath(cell))
    # bytes are labels
    return _containers.is_pil(cell) or _containers.is_array(cell)


def read_map(cell, form):
    """Return the values of a mask or map.

    Parameters
    ----------
    cell : str, path, PIL image or array
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
    if not isinstance(cell, (str, os.PathLike)):
        raise BrokenImageError(
            f"there is no mask or map, but {cell}: leave out such rows, of X too"
        )
    path = os.fspath(cell)
    identify(path)
    if path.lower().endswith(".npy"):
        with naming_the_reason():
            return np.load(path, allow_pickle=False)
    with naming_the_reason(), open(path, "rb") as file, open_image(file) as image:
        return form.of_picture(image)


def _is_named_as_map(name):
    return name.lower().endswith(".npy") or is_named_as_image(name)


def _code(colour):
    red, green, blue = colour
    return (red << 16) + (green << 8) + blue

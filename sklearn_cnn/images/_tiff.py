"""What TIFF files hold that Pillow would read as something else, or not at all."""

import numpy as np
from PIL import TiffImagePlugin

# Numbers of TIFF's tags.
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _N_BANDS = 254, 256, 257, 258, 262, 277
_LAYOUT, _EXTRA_BANDS, _SAMPLE_FORMAT = 284, 338, 339

# Bands that colours have, by what the photometric interpretation says: RGB, CMYK, YCbCr, Lab.
_N_COLOURS = {2: 3, 5: 4, 6: 3, 8: 3}
# What an extra band may be said to be, and what a page that is no image of its own: a smaller copy,
# or a mask.
_ALPHA, _REDUCED_OR_MASK = (1, 2), 0b101
_SEPARATE = 2
_KINDS = {1: "uint", 2: "int", 3: "float", 5: "complex", 6: "complex"}
_SIGNED = 2


def read_pages(file):
    """Yield the tags of each page of an open file, as a dict by number; of no TIFF nothing."""
    file.seek(0)
    header = file.read(8)
    if header[:4] not in TiffImagePlugin.PREFIXES:
        return
    if header[2] == ord("+"):
        # whose offsets have 64 bits
        header += file.read(8)
    offset, seen = TiffImagePlugin.ImageFileDirectory_v2(header).next, set()
    while offset and offset not in seen:
        seen.add(offset)
        file.seek(offset)
        page = TiffImagePlugin.ImageFileDirectory_v2(header)
        page.load(file)
        yield page
        offset = page.next


def why_not_read(pages):
    """Return what Pillow would leave out of a TIFF without a word, or None.

    Parameters
    ----------
    pages : iterable of dict
        The tags of each page.
    """
    first, *others = pages
    reason = why_not_bands(first)
    if reason is not None:
        return reason
    size = first.get(_WIDTH), first.get(_HEIGHT)
    n_pages = 1 + sum(
        (page.get(_WIDTH), page.get(_HEIGHT)) == size
        and not page.get(_SUBFILE, 0) & _REDUCED_OR_MASK
        for page in others
    )
    return f"this TIFF has {n_pages} pages" if n_pages > 1 else None


def why_not_bands(page):
    """Return which bands of a page Pillow would leave out or take for others, or None."""
    n_colours = _n_colours(page)
    n_bands, extra = page.get(_N_BANDS, n_colours), page.get(_EXTRA_BANDS, ())
    has_alpha = n_bands == n_colours + 1 and len(extra) == 1 and extra[0] in _ALPHA
    if n_bands == n_colours + 1 and not has_alpha:
        return f"this TIFF has {n_bands} bands, and does not say that the last one is alpha"
    if n_bands != n_colours and not has_alpha:
        return f"this TIFF has {n_bands} bands"
    if n_bands > 1 and _bits(page) > 8 and page.get(_LAYOUT) == _SEPARATE:
        return f"this TIFF has bands of {_bits(page)} bits one after the other"
    return None


def described(page):
    """Return what a page that Pillow does not know is."""
    kind = _KINDS.get(page.get(_SAMPLE_FORMAT, (1,))[0], "unknown")
    n_bands = page.get(_N_BANDS, _n_colours(page))
    bands = "1 band" if n_bands == 1 else f"{n_bands} bands"
    return f"this TIFF has {bands} of {kind}{_bits(page)}"


def unusual_dtype(image):
    """Return the dtype of a PIL image out of a TIFF where its mode does not say it, or None."""
    tags = getattr(image, "tag_v2", {})
    is_signed = tags.get(_SAMPLE_FORMAT, (1,))[0] == _SIGNED
    if image.mode == "L" and is_signed:
        return np.dtype(np.int8)
    if image.mode == "I" and tags and not is_signed and _bits(tags) == 32:
        return np.dtype(np.uint32)
    return None


def _n_colours(page):
    return _N_COLOURS.get(page.get(_PHOTOMETRIC), 1)


def _bits(page):
    return max(page.get(_BITS, (1,)))

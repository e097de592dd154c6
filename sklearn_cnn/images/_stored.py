"""Numbers in gray files that Pillow scales or inverts, so that they look as they should."""

import re

import numpy as np

# How Pillow calls gray of 2 and 4 bits, and gray whose 0 is white: "L;2", "L;2I", "1;I". The R is
# of the order of bits alone.
_LOOKS = re.compile(r"[1L];(?P<bits>[24]?)(?P<inverted>I?)R?")
# What Pillow brings white to in a PGM, by the mode.
_WHITE = {"L": 255, "I": 65535}


def stored_numbers(image):
    """Return what makes the numbers in its file of the pixels of an image that was just opened.

    A bitmap of Netpbm's stays as it looks: its 1 is black, and whoever writes one means white by
    what is true.

    Parameters
    ----------
    image : PIL.Image.Image
        Whose pixels are still in the file: after that it does not say what they were.

    Returns
    -------
    callable
        Maps an array of shape (H, W) to one of that shape.
    """
    decoder, *_, told = image.tile[0] if image.tile else ("", ())
    # the layout of pixels and, of a PGM that is scaled, the value of white
    layout, *white = (told,) if isinstance(told, str) else told or ("",)
    if image.format == "PPM" and decoder.startswith("ppm") and image.mode in _WHITE:
        return lambda pixels: np.rint(pixels * (white[0] / _WHITE[image.mode]))
    looks = _LOOKS.fullmatch(str(layout)) if image.format in ("PNG", "TIFF") else None
    if looks is None:
        return lambda pixels: pixels

    def stored(pixels):
        pixels = ~pixels if looks["inverted"] else pixels
        return pixels >> 8 - int(looks["bits"]) if looks["bits"] else pixels

    return stored

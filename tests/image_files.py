"""Image files that tests write and read again."""

import struct
import zlib

import numpy as np
from PIL import Image


def noise(height=6, width=5, channels=3, seed=0):
    """Return an image of random pixels; of one channel it has the shape (H, W)."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_images(folder, images, extension="png", **options):
    """Write arrays as image files, and return their paths as str in the same order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(folder / f"{row:04}.{extension}") for row in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path, **options)
    return paths


def png_chunk(kind, content):
    """Return one chunk of a PNG."""
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def png(width, height, bits, colour_type, rows, interlace=0, before=b"", after=b""):
    """Return a PNG of unfiltered rows of bytes, with chunks before and after its pixels."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, interlace)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", header),
            before,
            png_chunk(b"IDAT", pixels),
            after,
            png_chunk(b"IEND", b""),
        ]
    )

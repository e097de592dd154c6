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


def packed_bits(values, bits):
    """Return rows of bytes, (H, n_bytes), that hold values of fewer bits, (H, W)."""
    digits = values[..., None] >> np.arange(bits - 1, -1, -1) & 1
    return np.packbits(digits.reshape(len(values), -1).astype(np.uint8), axis=1)


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


def tiff(*pages, extra=(), separate=False, subfiles=(), bits=8, white_is_zero=False):
    """Return an uncompressed TIFF.

    Parameters
    ----------
    *pages : ndarray of shape (H, W) or (H, W, bands)
        Three bands or more are RGB and others.
    extra : tuple of int
        What the bands after the colours are said to be: 0 for anything, 1 or 2 for alpha.
    separate : bool
        Whether bands lie one after the other.
    subfiles : tuple of int
        What each page is said to be, if anything: 1 for a smaller copy.
    bits : {1, 2, 4, 8}
        Of gray bytes: how many of them are kept.
    white_is_zero : bool
        Whether gray is said to be shown the other way round.
    """
    content, link = b"II*\0\0\0\0\0", 4
    for page, pixels in enumerate(pages):
        bands = pixels[..., None] if pixels.ndim == 2 else pixels
        height, width, n_bands = bands.shape
        data = bands.transpose(2, 0, 1) if separate else bands
        data = data if bits == 8 else packed_bits(pixels, bits)
        planes = n_bands if separate else 1
        start, n_bytes = len(content), data.nbytes // planes
        content += np.ascontiguousarray(data.astype(data.dtype.newbyteorder("<"))).tobytes()
        tags = {
            254: subfiles[page : page + 1],
            256: (width,),
            257: (height,),
            258: (bits * bands.itemsize,) * n_bands,
            259: (1,),
            262: (2 if n_bands > 2 else int(not white_is_zero),),
            273: tuple(start + n_bytes * plane for plane in range(planes)),
            277: (n_bands,),
            278: (height,),
            279: (n_bytes,) * planes,
            284: (2 if separate else 1,),
            338: extra,
            339: ({"u": 1, "i": 2, "f": 3}[bands.dtype.kind],) * n_bands,
        }
        tags = {tag: values for tag, values in tags.items() if values}
        directory = struct.pack("<H", len(tags))
        for tag, values in tags.items():
            packed = struct.pack(f"<{len(values)}I", *values)
            if len(values) > 1:
                content, packed = content + packed, struct.pack("<I", len(content))
            directory += struct.pack("<HHI", tag, 4, len(values)) + packed
        content = content[:link] + struct.pack("<I", len(content)) + content[link + 4 :]
        link = len(content) + len(directory)
        content += directory + bytes(4)
    return content

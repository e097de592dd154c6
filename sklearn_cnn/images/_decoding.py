"""One image file, its content, or one PIL image → a tensor of pixels."""

import functools
import io
import os
import re
import stat
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import PIL.ImageFile
import torch
from PIL import Image, ImageOps

from sklearn_cnn._compat import image_operators
from sklearn_cnn.images import _tiff
from sklearn_cnn.images._orientation import (
    orientation_in_file,
    orientation_of,
    stored_size,
    turned,
    upright,
)

# Formats that only hold pixels: others, such as EPS, run programs or fetch further files. MPO is
# opened as JPEG, which it begins with; Pillow has no opener of that name.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF")

_GRAY_MODES = {"1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N", "I", "F"}
_PIL_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# What a mode is brought to first, lest its alpha be lost or Pillow refuse: palettes may have one,
# and colours that were multiplied by theirs lead to few other modes.
_BY_WAY_OF = {"P": "RGBA", "PA": "RGBA", "RGBa": "RGBA", "La": "LA"}

# What torchvision decodes exactly as Pillow does, in half the time: formats and modes. Not PNG:
# its decoder ends the process where the pixels of one are damaged.
_FAST_KINDS = {("JPEG", "L"), ("JPEG", "RGB")}
# What torchvision calls the channels that the file has.
_UNCHANGED = 0

# No path is longer, but an image in base64 mostly is.
_LONGEST_SHOWN = 300
# How base64 starts: with more letters in a row than words and most hashes have.
_BASE64 = re.compile(r"data:[\w/+.-]+;base64,|[A-Za-z0-9+/]{70}")


class BrokenImageError(ValueError):
    """A file or object that cannot be read as an image; the message is the reason."""


class UnknownColourError(BrokenImageError):
    """A mask that can be read, but whose colours stand for no label: it is never left out."""


def shown(text):
    """Return how errors show a path, or what came in place of one: the start, if it is long."""
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:80]}...")


def advice_on_base64(content):
    """Return what to write where text or bytes look like base64; else an empty text."""
    start = content[:_LONGEST_SHOWN]
    text = start if isinstance(start, str) else bytes(start).decode("latin-1")
    # slashes are of base64 too, dots of paths alone
    if not _BASE64.match(text) or ("." in text and not text.startswith("data:")):
        return ""
    data = 'text.partition(",")[2]' if text.startswith("data:") else "text"
    return f"; it looks like base64: pass what it holds, base64.b64decode({data})"


def is_named_as_image(name):
    """Say whether the name of a file ends as those of images that can be read do."""
    return os.path.splitext(name)[1].lower() in image_extensions()


@functools.cache
def image_extensions():
    """Return how names of images end that can be read, .jpg and .png say."""
    readable = {*formats(), "MPO"}
    registered = Image.registered_extensions()
    return {extension for extension, name in registered.items() if name in readable}


@functools.cache
def formats():
    """Return the formats that Pillow can open here: HEIF if pillow-heif is installed."""
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


class ImageFile(NamedTuple):
    """What the header of an image file says.

    Parameters
    ----------
    path : str
        Empty where the content came by itself.
    n_bytes, modified : int
        Size and time of modification, in nanoseconds: whether it is still the same file.
    height, width : int
        In pixels, after the rotation that EXIF asks for.
    channels : {1, 3}
        1 for gray, else 3; an alpha channel does not count.
    orientation : int
        What EXIF or XMP asks for, from 1, which is none, to 8.
    kind : tuple of (str, str)
        Format and mode as Pillow names them.
    dtype : numpy.dtype
        What the pixels are, see `pil_dtype`.
    loses_bits : bool
        Whether it has 16 bits a colour, of which Pillow reads the upper 8.
    content : bytes or None, default=None
        What the file holds, if it is not read from the path.
    """

    path: str
    n_bytes: int
    modified: int
    height: int
    width: int
    channels: int
    orientation: int
    kind: tuple[str, str]
    dtype: np.dtype
    loses_bits: bool
    content: bytes | None = None


def identify(path):
    """Return size and time of modification of a regular file.

    Parameters
    ----------
    path : str

    Returns
    -------
    n_bytes, modified : int

    Raises
    ------
    BrokenImageError
        If there is no such file, or it is a directory, a pipe or a device: opening those may
        never end.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        # as text an error of the system's holds the path once more
        reason = getattr(error, "strerror", None) or str(error)
        reason = "no such file" if isinstance(error, FileNotFoundError) else reason
        raise BrokenImageError(f"{reason}{advice_on_base64(path)}") from error
    if not stat.S_ISREG(status.st_mode):
        is_folder = stat.S_ISDIR(status.st_mode)
        raise BrokenImageError("it is a directory" if is_folder else "it is not a regular file")
    return status.st_size, status.st_mtime_ns


def read_header(path):
    """Read the header of an image file, without its pixels.

    Parameters
    ----------
    path : str

    Returns
    -------
    ImageFile

    Raises
    ------
    BrokenImageError
        If it is no image of a known format, or of more pixels than Pillow's limit.
    """
    n_bytes, modified = identify(path)
    with naming_the_reason(), open(path, "rb") as file:
        return ImageFile(path, n_bytes, modified, *_header(file, n_bytes))


def read_header_of(content):
    """Read the header of the bytes that an image file holds, as `read_header` does."""
    with naming_the_reason():
        header = _header(io.BytesIO(content), len(content))
    return ImageFile("", len(content), 0, *header)._replace(content=content)


def _header(file, n_bytes):
    """Return what an `ImageFile` says of an open file, from its height to its bits."""
    if n_bytes == 0:
        raise BrokenImageError("the file is empty")
    with open_image(file) as image:
        _check_pixels(*image.size)
        orientation = orientation_in_file(image, file)
        height, width = upright(stored_size(image), orientation)
        channels, kind = pil_channels(image), (image.format or "", image.mode)
        bits = pil_dtype(image), _loses_bits(image)
        return height, width, channels, orientation, kind, *bits


def decode_file(file, with_alpha=False):
    """Decode an image file.

    Parameters
    ----------
    file : ImageFile
        What its header said.
    with_alpha : bool, default=False
        Whether to return four channels, whatever the file has.

    Returns
    -------
    Tensor of shape (H, W, C), uint8 or float32
        As `decode_pil` returns it.

    Raises
    ------
    BrokenImageError
        If the file is damaged, or has changed since its header was read.
    """
    channels = 4 if with_alpha else file.channels
    with naming_the_reason():
        content = content_of(file)
        pixels = None if with_alpha else _decode_fast(content, file)
        if pixels is None:
            with Image.open(io.BytesIO(content), formats=formats()) as image:
                pixels = decode_pil(image, with_alpha)
    if tuple(pixels.shape) != (file.height, file.width, channels):
        raise BrokenImageError(
            f"its header says {file.height} x {file.width} x {channels}, its pixels are "
            f"{' x '.join(map(str, pixels.shape))}"
        )
    return pixels


def decode_pil(image, with_alpha=False):
    """Return the pixels of a PIL image, turned as its EXIF says.

    Parameters
    ----------
    image : PIL.Image.Image
    with_alpha : bool, default=False
        Whether to return four channels, whatever the image has.

    Returns
    -------
    Tensor of shape (H, W, C), uint8 or float32
        C is 1 for gray and 3 for colour. Gray of more than 8 bits keeps its values, as float32.

    Raises
    ------
    BrokenImageError
        If the pixels cannot be read or are not finite, or nothing says what is opaque where alpha
        is asked for.
    """
    with naming_the_reason():
        _check_picture(image)
        channels = 4 if with_alpha else pil_channels(image)
        dtype = pil_dtype(image)
        image.load()
        # both would copy an image that is as it should be
        if orientation_of(image) != 1:
            image = ImageOps.exif_transpose(image)
        if dtype == np.uint8:
            image, mode = _convertible(image), _PIL_MODES[channels]
            pixels = np.array(image if image.mode == mode else image.convert(mode))
        else:
            pixels = _deep_pixels(image, dtype, with_alpha)
    return torch.from_numpy(pixels).reshape(*pixels.shape[:2], channels)


def pil_channels(image):
    """Return the channels of a PIL image: 1 for gray, else 3; alpha does not count."""
    return 1 if image.mode in _GRAY_MODES else 3


def pil_dtype(image):
    """Return what the pixels of a PIL image are: uint8 or, of gray alone, numbers of more bits."""
    unusual = _tiff.unusual_dtype(image)
    if unusual is not None:
        return unusual
    # Pillow has 16 bits in 32 where it has no mode for them
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return np.dtype(np.uint16)
    return np.dtype({"I": np.int32, "F": np.float32}.get(image.mode, np.uint8))


def kept_dtype(dtype):
    """Return the torch dtype that pixels are kept in: all but uint8 become float32."""
    return torch.uint8 if dtype == np.uint8 else torch.float32


def pil_size(image):
    """Return height and width of a PIL image, once it is turned as its EXIF says.

    Parameters
    ----------
    image : PIL.Image.Image
        Its pixels are loaded if they are still in a file.

    Returns
    -------
    height, width : int

    Raises
    ------
    BrokenImageError
        If that fails.
    """
    with naming_the_reason():
        _check_picture(image)
        # here, since threads that load the same image disturb each other
        image.load()
        return upright(image.size, orientation_of(image))


def _decode_fast(content, file):
    """Return the pixels of a JPEG that torchvision can decode, else None."""
    # torchvision's Python function warns of its removal at each call; where the operator is
    # missing, Pillow decodes
    decoder = getattr(image_operators(), "decode_jpeg", None)
    # and what it can of files that are cut off, where the user says so
    reads_truncated = PIL.ImageFile.LOAD_TRUNCATED_IMAGES
    if decoder is None or file.kind not in _FAST_KINDS or reads_truncated:
        return None
    encoded = torch.frombuffer(content, dtype=torch.uint8)
    pixels = decoder(encoded, _UNCHANGED, False).permute(1, 2, 0)
    return turned(pixels, file.orientation)


def open_image(file):
    """Return the image of an open file; of a TIFF only what Pillow reads all of."""
    pages = list(_tiff.read_pages(file))
    file.seek(0)
    if not pages:
        try:
            return Image.open(file, formats=formats())
        except Image.UnidentifiedImageError as error:
            file.seek(0)
            advice = advice_on_base64(file.read(_LONGEST_SHOWN))
            if advice:
                raise BrokenImageError(f"it is no image{advice}") from error
            raise
    reason = _tiff.why_not_read(pages)
    if reason is None:
        try:
            return Image.open(file, formats=["TIFF"])
        except Image.UnidentifiedImageError:
            reason = f"{_tiff.described(pages[0])}, which Pillow does not read"
    raise BrokenImageError(f"{reason}: read it into an array")


def _loses_bits(image):
    """Say whether Pillow reads the upper 8 of 16 bits of an image that was just opened."""
    # what decoders are told: the layout of pixels or, of a PPM, also the value of white
    told = [tile[3] if isinstance(tile[3], tuple) else (tile[3],) for tile in image.tile]
    is_deep = any(";16" in str(word) for words in told for word in words)
    is_deep |= image.format == "PPM" and any(words[-1] in range(256, 65536) for words in told)
    return pil_dtype(image) == np.uint8 and is_deep


def content_of(file):
    """Return what a file holds; a BrokenImageError if it has changed since it was looked at."""
    if file.content is not None:
        return bytearray(file.content)
    if identify(file.path) == (file.n_bytes, file.modified):
        content = bytearray(file.n_bytes)
        with open(file.path, "rb", buffering=0) as stream:
            if stream.readinto(content) == file.n_bytes:
                return content
    raise BrokenImageError("the file has changed since it was first read")


def _deep_pixels(image, dtype, with_alpha):
    """Return the values of gray of more than 8 bits, which often fill a small part of their range.

    Scaled to 8 bits, a camera's 12 would be 4.
    """
    values = np.asarray(image)
    if dtype in (np.int8, np.uint32):
        # Pillow has no mode of these, and their bits in one of the same size
        values = values.view(dtype)
    values = values.astype(np.float32)[..., np.newaxis]
    if not np.isfinite(values).all():
        raise BrokenImageError("it holds NaN or infinite pixels")
    if not with_alpha:
        return values
    if dtype != np.uint16:
        raise BrokenImageError(
            f"its pixels are {dtype}, of which none says what is opaque: leave out the four "
            "channels of image_shape"
        )
    opaque = np.float32(np.iinfo(dtype).max)
    # of a PNG one value may be transparent
    alpha = np.where(values == image.info.get("transparency"), 0, opaque)
    return np.concatenate([values, values, values, alpha], axis=-1)


def _convertible(image):
    """Return an image of 8 bits whose `convert` neither clips nor warns."""
    if image.mode in _BY_WAY_OF:
        return image.convert(_BY_WAY_OF[image.mode])
    # Pillow knows no direct way from CMYK and its like to gray
    return image if image.mode in {*_GRAY_MODES, "RGB", "RGBA"} else image.convert("RGB")


def _check_picture(image):
    _check_pixels(*image.size)
    # only an image that was opened has tags, and no pickle of it
    tags = getattr(image, "tag_v2", None)
    reason = _tiff.why_not_bands(tags) if tags else None
    if reason is not None:
        raise BrokenImageError(f"{reason}: read it into an array")


def _check_pixels(width, height):
    if min(width, height) < 1:
        raise BrokenImageError(f"the image has no pixels: {height} x {width}")
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise BrokenImageError(
            f"the image says that it has {height} x {width} pixels, more than "
            f"PIL.Image.MAX_IMAGE_PIXELS = {limit}, which guards against decompression bombs"
        )


class naming_the_reason:  # noqa: N801
    """Context that turns whatever a decoder raises into a `BrokenImageError`.

    Decoders meet damaged data with errors of every kind: OSError, SyntaxError, struct.error, ...
    """

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, BrokenImageError) or not isinstance(error, Exception):
            return
        if isinstance(error, Image.UnidentifiedImageError):
            reason = f"it is no image of a format that can be read ({', '.join(formats())})"
        else:
            # torchvision names the line of its own source
            told = re.sub(r"\S+\.cpp:\d+, ", "", str(error))[:200]
            reason = f"it cannot be decoded ({type(error).__name__}: {told})"
        raise BrokenImageError(reason) from error

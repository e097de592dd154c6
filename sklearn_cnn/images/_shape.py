"""How arrays are read as images: pure functions of an array's shape and the parameters."""

import math
from numbers import Integral
from typing import NamedTuple

from sklearn_cnn.runtime.warnings import warn

# A strip this long or longer is more likely an image that was flattened.
_LONG_STRIP = 48
# From this side on, a square could be a 4 : 3 RGB image: 32 x 24 x 3 has the pixels of 48 x 48.
_AMBIGUOUS_SQUARE = 48
_COLOUR_CHANNELS = (1, 3, 4)
# Few enough to be the channels of a signal, or the bands of a multispectral image.
_FEW_CHANNELS = 16
# Sides that are so unlike, the shorter one of few pixels, are more likely the length and the
# channels of a signal than the height and width of a gray image.
_SIGNAL_RATIO = 3


class ImageShape(NamedTuple):
    """Height and width in pixels, and the number of channels."""

    height: int
    width: int
    channels: int

    @property
    def size(self):
        """Height and width."""
        return self.height, self.width

    def __str__(self):
        return f"{self.height} x {self.width} x {self.channels}"


def check_image_shape(image_shape):
    """Check the parameter of this name.

    Parameters
    ----------
    image_shape : tuple of int or None

    Raises
    ------
    ValueError
        If it is not (height, width) or (height, width, channels).
    """
    if image_shape is None:
        return
    sides = (image_shape,) if isinstance(image_shape, Integral) else tuple(image_shape)
    are_sides = all(isinstance(side, Integral) and int(side) > 0 for side in sides)
    if len(sides) not in (2, 3) or not are_sides:
        is_one = are_sides and len(sides) == 1
        raise ValueError(
            "image_shape must be (height, width) or (height, width, channels), got "
            f"{image_shape!r}.{f' Write image_shape={(int(sides[0]),) * 2}.' if is_one else ''}"
        )


def flat_row_shape(n_features, image_shape=None):
    """Return the shape of the images that flat rows hold.

    Parameters
    ----------
    n_features : int
        Length of a row.
    image_shape : tuple of int or None
        (H, W) or (H, W, C) as the user gave it. None guesses: a square gray image where the
        length is a perfect square, else a strip of height 1.

    Returns
    -------
    ImageShape

    Raises
    ------
    ValueError
        If `image_shape` has another number of pixels.

    Warns
    -----
    UserWarning
        If the guess may be wrong.
    """
    if image_shape is not None:
        return _given_shape(n_features, image_shape)
    side = math.isqrt(n_features)
    if side * side == n_features:
        if side >= _AMBIGUOUS_SQUARE and side % 6 == 0:
            warn(
                f"Rows of {n_features} values are taken for gray images of {side} x {side}; they "
                f"could be RGB images of {side // 2} x {side * 2 // 3} too. Write "
                f"image_shape=({side}, {side}) or image_shape=({side // 2}, {side * 2 // 3}, 3).",
            )
        return ImageShape(side, side, 1)
    if n_features >= _LONG_STRIP:
        warn(
            f"Rows of {n_features} values are taken for strips of 1 x {n_features} pixels. If they "
            f"are images, write image_shape=(height, width, channels){_likely(n_features)}; if "
            f"they are strips, write image_shape=(1, {n_features}).",
        )
    return ImageShape(1, n_features, 1)


def array_shape(shape, channel_axis=-1, image_shape=None):
    """Return the shape of the images in an array of three or four dimensions.

    Parameters
    ----------
    shape : tuple of int
        (n, H, W), or with channels (n, H, W, C) or (n, C, H, W).
    channel_axis : {-1, 1}, default=-1
        Where an array of four dimensions keeps its channels.
    image_shape : tuple of int or None
        (H, W) or (H, W, C) as the user gave it.

    Returns
    -------
    ImageShape

    Raises
    ------
    ValueError
        If there are more dimensions or no pixels, or the channels plainly are elsewhere and
        `image_shape` does not name as many, or may name them as torch does: (3, 32, 32).
    """
    if len(shape) == 3:
        found = ImageShape(shape[1], shape[2], 1)
    elif len(shape) == 4:
        height, width = shape[1:3] if channel_axis == -1 else shape[2:]
        found = ImageShape(height, width, shape[channel_axis])
        _check_channel_axis(shape, channel_axis, found, image_shape)
    else:
        raise ValueError(
            f"X has {len(shape)} dimensions. Images come as (n, H*W*C), (n, H, W), (n, H, W, C) "
            "or, with channel_axis=1, (n, C, H, W)."
        )
    if 0 in found:
        raise ValueError(
            f"X holds images of {found}: 0 feature(s) where a minimum of 1 is required."
        )
    return found


def looks_channels_first(shape):
    """Say whether an array of four dimensions plainly is (n, C, H, W), and not (n, H, W, C).

    Square images are: few have as many channels as pixels in a row. So are those of few bands and
    many pixels, and those of the channels that colours have; but 1 may be the height of signals,
    whose channels come last: (n, 1, 50, 8).

    Parameters
    ----------
    shape : tuple of int
    """
    _, first, middle, last = shape
    is_square = first != middle == last > 1
    has_bands = 1 < first <= _FEW_CHANNELS < min(middle, last)
    has_colours = first in _COLOUR_CHANNELS and last > max(_COLOUR_CHANNELS)
    is_signal = first == 1 and _are_of_a_signal(middle, last)
    return is_square or has_bands or (has_colours and not is_signal)


def refuse_torch_order(image_shape):
    """Raise if `image_shape`, of flat rows, looks like torch's (C, H, W).

    Parameters
    ----------
    image_shape : tuple of int or None
        As the user gave it.

    Raises
    ------
    ValueError
        With what to write.
    """
    if image_shape is None or len(image_shape) == 2:
        return
    first, middle, last = image_shape
    # a strip may have more channels than most: nothing else could say so
    if not looks_channels_first((1, *image_shape)) or (first == 1 and middle != last):
        return
    remedy = f"Write image_shape={(middle, last, first)}"
    if first > 1:
        remedy += ", with channel_axis=1 if rows were flattened from (C, H, W)"
    raise ValueError(
        f"image_shape={tuple(image_shape)} looks like torch's (channels, height, width), but means "
        f"(height, width, channels). {remedy}. If it is meant as it stands, pass X of four "
        "dimensions in place of flat rows."
    )


def warn_of_signals(shape, options, *, are_stacked):
    """Warn if gray images may be signals, whose channels no layer would know as such.

    Parameters
    ----------
    shape : tuple of int
        Of one image, as `fit` is given it.
    options : ReadOptions
    are_stacked : bool
        Whether the images come as one array, else as a sequence of arrays.

    Warns
    -----
    UserWarning
        With what to write.
    """
    if len(shape) != 2 or options.image_shape is not None:
        return
    channels, length = sorted(shape)
    if channels == 1 or not _are_of_a_signal(length, channels):
        return
    axis, index = (-1, "np.newaxis") if shape[1] == channels else (1, ":, np.newaxis")
    remedy = f"X[:, {index}]" if are_stacked else f"[x[{index}] for x in X]"
    if axis != options.channel_axis:
        remedy += f" and write channel_axis={axis}"
    warn(
        f"Arrays of {shape[0]} x {shape[1]} are taken for gray images. If they are signals of "
        f"{length} values and {channels} channels, pass {remedy}; if they are images, write "
        f"image_shape={tuple(shape)}."
    )


def _are_of_a_signal(length, channels):
    """Say whether two sides are more likely those of a signal than of a gray image."""
    return channels <= _FEW_CHANNELS and length > _SIGNAL_RATIO * channels


def has_channels(found, image_shape):
    """Say whether images have the channels that `image_shape` names, if it names them."""
    return len(image_shape) == 2 or found.channels == image_shape[2]


def refuse_resizing(options, size, name):
    """Raise if images would be resized that may not be.

    Parameters
    ----------
    options : ReadOptions
    size : tuple of (int, int)
        Height and width of the images.
    name : str
        What to call them in an error.

    Raises
    ------
    ValueError
        With the reason.
    """
    wanted, reason = options.image_shape, options.why_not_resized
    if reason and wanted is not None and tuple(size) != tuple(wanted[:2]):
        height, width = size
        raise ValueError(
            f"image_shape={tuple(wanted)} resizes {name} from {height} x {width} pixels. {reason}"
        )


def _given_shape(n_features, image_shape):
    height, width = image_shape[:2]
    if len(image_shape) == 3:
        channels = image_shape[2]
    else:
        channels = n_features // (height * width)
        if channels not in _COLOUR_CHANNELS:
            channels = 1
    if height * width * channels != n_features:
        raise ValueError(
            f"X has rows of {n_features} values, but image_shape={tuple(image_shape)} takes "
            f"{height * width * channels}. Flat rows are not resized: image_shape must be the "
            "(height, width, channels) that they were flattened from."
        )
    if channels == 4 and len(image_shape) == 2:
        warn(
            f"Rows of {n_features} values are taken for RGBA images of {height} x {width}; they "
            f"could be gray images of {2 * height} x {2 * width} too, and flat rows are not "
            f"resized. Write image_shape=({height}, {width}, 4) or "
            f"image_shape=({2 * height}, {2 * width}).",
        )
    return ImageShape(height, width, channels)


def _likely(n_features):
    side = math.isqrt(n_features // 3)
    return f", for example image_shape=({side}, {side}, 3)" if 3 * side * side == n_features else ""


def _check_channel_axis(shape, channel_axis, found, image_shape):
    n, first, middle, last = shape
    if channel_axis == -1:
        as_if_first, seen, expected = shape, "(n, C, H, W)", "(n, H, W, C)"
        remedy = "Write channel_axis=1, or pass X.transpose(0, 2, 3, 1)"
    else:
        as_if_first, seen, expected = (n, last, middle, first), "(n, H, W, C)", "(n, C, H, W)"
        remedy = "Leave out channel_axis, or pass X.transpose(0, 3, 1, 2)"
    if not looks_channels_first(as_if_first):
        return
    # (1, 28, 28) was written as torch has it: as many channels as a signal has values are rare
    if found.channels != middle or as_if_first[1] not in _COLOUR_CHANNELS:
        # who names the number of channels has said which axis they are
        if len(image_shape or ()) == 3 and has_channels(found, image_shape):
            return
        remedy += (
            f". If these are images of {found.height} x {found.width} pixels with "
            f"{found.channels} channels, write image_shape={tuple(found)}"
        )
    raise ValueError(
        f"X has shape {tuple(shape)}, which looks like {seen}, but channel_axis={channel_axis} "
        f"expects {expected}. {remedy}."
    )

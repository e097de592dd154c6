"""How shapes of arrays are read as shapes of images."""

import re
import warnings

import pytest

from sklearn_cnn.images import ReadOptions
from sklearn_cnn.images._shape import (
    ImageShape,
    array_shape,
    flat_row_shape,
    has_channels,
    refuse_torch_order,
    warn_of_signals,
)


@pytest.fixture
def silent():
    """Turn any warning into an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def suggestions(message):
    """Return the image shapes that a warning says to write."""
    found = re.findall(r"image_shape=\(([\d, ]+)\)", message)
    return [tuple(int(side) for side in shape.split(",")) for shape in found]


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("side", [1, 2, 3, 8, 28, 42, 47, 49, 50, 64, 100])
def test_a_perfect_square_is_a_square_gray_image(side):
    assert flat_row_shape(side * side) == (side, side, 1)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("length", [2, 3, 5, 12, 40, 47])
def test_another_short_row_is_a_strip(length):
    assert flat_row_shape(length) == (1, length, 1)


@pytest.mark.parametrize("side", [48, 54, 60, 96, 192])
def test_a_square_that_could_be_a_colour_photo_warns(side):
    with pytest.warns(UserWarning, match="^Rows of") as caught:
        assert flat_row_shape(side * side) == (side, side, 1)
    assert suggestions(str(caught[0].message)) == [(side, side), (side // 2, side * 2 // 3, 3)]
    assert f"{side} x {side}" in str(caught[0].message)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (3, 5)])
def test_rows_of_four_channels_that_are_not_asked_for_warn(height, width):
    with pytest.warns(UserWarning, match="^Rows of") as caught:
        assert flat_row_shape(4 * height * width, (height, width)) == (height, width, 4)
    suggested = [(height, width, 4), (2 * height, 2 * width)]
    assert suggestions(str(caught[0].message)) == suggested


@pytest.mark.usefixtures("silent")
def test_rows_of_channels_that_are_asked_for_are_read_in_silence():
    assert flat_row_shape(4 * 32 * 32, (32, 32, 4)) == (32, 32, 4)
    assert flat_row_shape(4 * 32 * 32, (64, 64)) == (64, 64, 1)
    assert flat_row_shape(3 * 32 * 32, (32, 32)) == (32, 32, 3)


@pytest.mark.parametrize("length", [50, 99, 1000])
def test_a_long_strip_warns(length):
    with pytest.warns(UserWarning, match="^Rows of") as caught:
        assert flat_row_shape(length) == (1, length, 1)
    assert suggestions(str(caught[0].message)) == [(1, length)]
    assert "image_shape=(height, width, channels)" in str(caught[0].message)


@pytest.mark.parametrize(("length", "side"), [(48, 4), (108, 6), (3072, 32), (12288, 64)])
def test_a_strip_that_could_be_a_square_colour_image_says_so(length, side):
    with pytest.warns(UserWarning, match="^Rows of") as caught:
        assert flat_row_shape(length) == (1, length, 1)
    assert suggestions(str(caught[0].message)) == [(side, side, 3), (1, length)]


@pytest.mark.parametrize("length", [48, 50, 3072, 48 * 48, 96 * 96])
def test_what_a_warning_suggests_fits_and_is_silent(length):
    with pytest.warns(UserWarning, match="^Rows of") as caught:
        flat_row_shape(length)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for suggested in suggestions(str(caught[0].message)):
            assert flat_row_shape(length, suggested)[: len(suggested)] == suggested


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("channels", [1, 3])
def test_height_and_width_leave_the_channels_to_the_length(channels):
    assert flat_row_shape(5 * 7 * channels, (5, 7)) == (5, 7, channels)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 12])
def test_given_channels_are_taken(channels):
    assert flat_row_shape(5 * 7 * channels, (5, 7, channels)) == (5, 7, channels)


@pytest.mark.parametrize(
    ("length", "image_shape", "takes"),
    [
        (64, (8, 7), 56),
        (63, (8, 8), 64),
        (8 * 8 * 2, (8, 8), 64),
        (8 * 8 * 5, (8, 8), 64),
        (64, (8, 8, 3), 192),
        (192, (8, 8, 1), 64),
        (3, (8, 8), 64),
    ],
)
def test_another_number_of_pixels_is_an_error(length, image_shape, takes):
    with pytest.raises(ValueError, match="Flat rows are not resized") as caught:
        flat_row_shape(length, image_shape)
    assert f"rows of {length} values" in str(caught.value)
    assert f"takes {takes}." in str(caught.value)


def test_three_dimensions_are_gray_images():
    assert array_shape((10, 5, 7)) == (5, 7, 1)
    assert array_shape((10, 5, 7), channel_axis=1) == (5, 7, 1)
    # not plainly anything else
    assert array_shape((10, 32, 3)) == (32, 3, 1)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 12])
def test_four_dimensions_follow_channel_axis(channels):
    assert array_shape((10, 32, 48, channels), -1) == (32, 48, channels)
    assert array_shape((10, channels, 32, 48), 1) == (32, 48, channels)


@pytest.mark.parametrize("channel_axis", [-1, 1])
@pytest.mark.parametrize("shape", [(10, 3, 3, 3), (10, 3, 7, 4), (10, 4, 9, 1), (10, 1, 1, 1)])
def test_small_sides_on_both_ends_are_not_plainly_wrong(shape, channel_axis):
    height, width, channels = shape[1:] if channel_axis == -1 else (*shape[2:], shape[1])
    assert array_shape(shape, channel_axis) == (height, width, channels)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_on_the_other_side_are_an_error_that_says_what_to_write(channels):
    with pytest.raises(ValueError, match=r"looks like \(n, C, H, W\)") as caught:
        array_shape((10, channels, 32, 48), -1)
    assert "channel_axis=1" in str(caught.value)
    assert "X.transpose(0, 2, 3, 1)" in str(caught.value)
    with pytest.raises(ValueError, match=r"looks like \(n, H, W, C\)") as caught:
        array_shape((10, 32, 48, channels), 1)
    assert "Leave out channel_axis" in str(caught.value)
    assert "X.transpose(0, 3, 1, 2)" in str(caught.value)


@pytest.mark.parametrize("side", [8, 12, 16, 28, 32])
def test_gray_images_of_a_channel_are_not_taken_for_signals(side):
    with pytest.raises(ValueError, match=r"looks like \(n, C, H, W\)"):
        array_shape((10, 1, side, side), -1)
    with pytest.raises(ValueError, match=r"looks like \(n, H, W, C\)"):
        array_shape((10, side, side, 1), 1)
    # as torch writes the shape of an image
    with pytest.raises(
        ValueError, match=r"expects \(n, H, W, C\)\. Write channel_axis=1.*3, 1\)\.$"
    ):
        array_shape((10, 1, side, side), -1, image_shape=(1, side, side))


@pytest.mark.parametrize("bands", [2, 5, 6, 8, 13])
@pytest.mark.parametrize("size", [(16, 16), (32, 48)])
def test_bands_on_the_other_side_are_an_error_that_says_what_to_write(bands, size):
    with pytest.raises(ValueError, match=r"looks like \(n, C, H, W\)") as caught:
        array_shape((10, bands, *size), -1)
    assert "Write channel_axis=1" in str(caught.value)
    assert f"write image_shape={(bands, *size)}" in str(caught.value)
    with pytest.raises(ValueError, match=r"looks like \(n, H, W, C\)") as caught:
        array_shape((10, *size, bands), 1)
    assert "Leave out channel_axis" in str(caught.value)
    assert f"write image_shape={(size[1], bands, size[0])}" in str(caught.value)
    # with three numbers it is said, with two it is not
    assert array_shape((10, bands, *size), -1, (bands, *size)) == (bands, *size)
    with pytest.raises(ValueError, match="looks like"):
        array_shape((10, bands, *size), -1, size)


@pytest.mark.parametrize("image", [(64, 16, 16), (200, 3, 3), (5, 2, 2)])
def test_more_channels_than_pixels_in_a_row_are_channels(image):
    with pytest.raises(ValueError, match=r"looks like \(n, C, H, W\)"):
        array_shape((10, *image), -1)


@pytest.mark.parametrize("channel_axis", [-1, 1])
def test_square_images_of_any_channels_are_taken(channel_axis):
    for channels in (1, 2, 5, 13, 200):
        shape = (10, 7, 7, channels) if channel_axis == -1 else (10, channels, 7, 7)
        assert array_shape(shape, channel_axis) == (7, 7, channels)
    # as features of a network, or spectra, have it
    assert array_shape((10, 7, 10, 512), -1) == (7, 10, 512)
    assert array_shape((10, 50, 1, 1), -1) == (50, 1, 1)


@pytest.mark.parametrize(
    ("image_shape", "meant"),
    [
        ((1, 28, 28), (28, 28, 1)),
        ((3, 32, 32), (32, 32, 3)),
        ((3, 218, 178), (218, 178, 3)),
        ((5, 32, 32), (32, 32, 5)),
        ((13, 32, 48), (32, 48, 13)),
    ],
)
def test_image_shape_of_flat_rows_as_torch_has_it_is_an_error(image_shape, meant):
    with pytest.raises(ValueError, match="looks like torch's") as caught:
        refuse_torch_order(image_shape)
    assert f"Write image_shape={meant}" in str(caught.value)
    assert ("channel_axis=1" in str(caught.value)) == (meant[2] > 1)
    refuse_torch_order(meant)


@pytest.mark.parametrize(
    "image_shape", [None, (28, 28), (5, 7, 12), (1, 128, 9), (1, 50, 40), (50, 1, 40), (1, 1, 9)]
)
def test_other_shapes_of_flat_rows_are_taken(image_shape):
    refuse_torch_order(image_shape)


@pytest.mark.parametrize(
    ("shape", "channel_axis", "are_stacked", "remedy"),
    [
        ((128, 9), -1, True, "pass X[:, np.newaxis];"),
        ((128, 9), 1, True, "pass X[:, np.newaxis] and write channel_axis=-1;"),
        ((128, 9), -1, False, "pass [x[np.newaxis] for x in X];"),
        ((9, 128), 1, True, "pass X[:, :, np.newaxis];"),
        ((9, 128), -1, False, "pass [x[:, np.newaxis] for x in X] and write channel_axis=1;"),
    ],
)
def test_gray_images_that_could_be_signals_warn(shape, channel_axis, are_stacked, remedy):
    with pytest.warns(UserWarning, match="signals of 128 values and 9 channels") as caught:
        warn_of_signals(shape, ReadOptions(channel_axis=channel_axis), are_stacked=are_stacked)
    assert remedy in str(caught[0].message)
    assert f"write image_shape={shape}." in str(caught[0].message)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (1, 128), (128, 1), (20, 60), (128, 9, 1)])
def test_other_gray_images_are_read_in_silence(shape):
    warn_of_signals(shape, ReadOptions(), are_stacked=True)
    warn_of_signals((128, 9), ReadOptions(image_shape=(128, 9)), are_stacked=True)


def test_signals_of_several_channels_are_strips():
    assert array_shape((10, 1, 128, 9), -1) == (1, 128, 9)
    assert array_shape((10, 9, 1, 128), 1) == (1, 128, 9)
    assert array_shape((10, 1, 50, 8), -1) == (1, 50, 8)
    assert array_shape((10, 8, 50, 1), 1) == (50, 1, 8)


@pytest.mark.parametrize(
    ("shape", "channel_axis", "found"),
    [
        ((10, 1, 50, 40), -1, (1, 50, 40)),
        ((10, 40, 50, 1), 1, (50, 1, 40)),
        ((10, 3, 50, 8), -1, (3, 50, 8)),
    ],
)
def test_named_channels_say_which_axis_they_are(shape, channel_axis, found):
    with pytest.raises(ValueError, match="looks like") as caught:
        array_shape(shape, channel_axis)
    assert f"write image_shape={found}" in str(caught.value)
    for image_shape in (found, list(found), (9, 9, found[2])):
        assert array_shape(shape, channel_axis, image_shape) == found
    # these do not answer the question
    for image_shape in (found[:2], (50, 8, 3)):
        with pytest.raises(ValueError, match="looks like"):
            array_shape(shape, channel_axis, image_shape)


@pytest.mark.parametrize("shape", [(10, 2, 3, 8, 8), (10,), (10, 64)])
def test_another_number_of_dimensions_is_an_error(shape):
    with pytest.raises(ValueError, match=f"X has {len(shape)} dimensions") as caught:
        array_shape(shape)
    assert "(n, H, W, C)" in str(caught.value)


@pytest.mark.parametrize("shape", [(10, 0, 7), (10, 5, 0), (10, 0, 5, 3), (10, 5, 5, 0)])
def test_images_without_pixels_are_an_error(shape):
    with pytest.raises(ValueError, match=r"0 feature\(s\)"):
        array_shape(shape)


def test_no_images_still_have_a_shape():
    assert array_shape((0, 5, 7, 3)) == (5, 7, 3)


def test_any_channels_will_do_unless_others_are_named():
    gray, colour = ImageShape(5, 7, 1), ImageShape(5, 7, 3)
    assert has_channels(gray, (9, 9))
    assert has_channels(colour, (9, 9))
    assert has_channels(colour, (9, 9, 3))
    assert not has_channels(gray, (9, 9, 3))


def test_an_image_shape_has_a_size_and_reads_well():
    shape = ImageShape(5, 7, 3)
    assert shape.size == (5, 7)
    assert str(shape) == "5 x 7 x 3"

"""Resizing, and gray from colours, on images whose result is known."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from sklearn_cnn.images._resizing import convert_channels, resize

MODES = ["squash", "crop", "pad"]
DTYPES = [torch.uint8, torch.float32]


def numbered(n, height, width, channels, dtype=torch.uint8):
    """Return images of random pixels."""
    generator = torch.Generator().manual_seed(0)
    shape = (n, height, width, channels)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).to(dtype)


@pytest.mark.parametrize("mode", MODES)
def test_images_of_the_right_size_are_returned_themselves(mode):
    images = numbered(2, 5, 7, 3)
    assert resize(images, (5, 7), mode) is images


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("channels", [1, 3, 4, 5])
def test_size_is_reached_and_the_rest_kept(mode, dtype, channels):
    images = numbered(2, 6, 9, channels, dtype)
    before = images.clone()
    resized = resize(images, (4, 5), mode)
    assert resized.shape == (2, 4, 5, channels)
    assert resized.dtype == dtype
    assert torch.equal(images, before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(3, 4), (12, 16), (5, 20), (1, 1)])
@pytest.mark.parametrize("mode", ["squash", "crop"])
def test_one_colour_stays_that_colour(mode, size, dtype):
    colour = torch.tensor([10, 200, 90], dtype=dtype)
    images = colour.expand(2, 6, 8, 3)
    resized = resize(images, size, mode)
    torch.testing.assert_close(resized, colour.expand(2, *size, 3), rtol=1e-5, atol=0)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pad_frames_the_whole_image_with_zeros(dtype, interpolation):
    images = numbered(2, 4, 8, 3, dtype)
    padded = resize(images, (8, 8), "pad", interpolation)
    assert torch.equal(padded[:, 2:6], images)
    assert not padded[:, :2].any()
    assert not padded[:, 6:].any()
    upright = resize(images.transpose(1, 2), (8, 8), "pad", interpolation)
    assert torch.equal(upright, padded.transpose(1, 2))


def test_pad_scales_to_the_longer_side():
    images = torch.full((1, 4, 8, 1), 200, dtype=torch.uint8)
    padded = resize(images, (16, 16), "pad")[0, :, :, 0]
    assert (padded[4:12] == 200).all()
    assert padded.bool().sum() == 8 * 16


def test_pad_by_an_odd_width_is_uneven_by_one():
    rows = resize(torch.full((1, 3, 8, 1), 9, dtype=torch.uint8), (8, 8), "pad")[0, :, 0, 0]
    (filled,) = np.nonzero(rows.numpy())
    above, below = filled[0], 7 - filled[-1]
    assert len(filled) == 3
    assert abs(above - below) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_crop_keeps_the_centre(dtype):
    images = numbered(2, 4, 8, 3, dtype)
    assert torch.equal(resize(images, (4, 4), "crop"), images[:, :, 2:6])
    upright = images.transpose(1, 2)
    assert torch.equal(resize(upright, (4, 4), "crop"), upright[:, 2:6])


def test_crop_scales_to_the_shorter_side():
    # black, a white square in the middle, black
    images = torch.zeros((1, 8, 24, 1))
    images[:, :, 8:16] = 100
    cropped = resize(images, (16, 16), "crop")[0, :, :, 0]
    assert (cropped[:, 2:-2] == 100).all()
    assert (cropped[:, [0, -1]] > 50).all()


def test_squash_ignores_the_aspect_ratio():
    images = torch.zeros((1, 8, 24, 1))
    images[:, :, 8:16] = 100
    squashed = resize(images, (6, 6), "squash")[0, :, :, 0]
    # thirds stay thirds
    assert (squashed[:, 2:4] > 80).all()
    assert (squashed[:, [0, 5]] < 5).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_a_checkerboard_shrinks_to_gray(mode, dtype):
    rows, columns = np.indices((33, 33))
    board = torch.from_numpy(((rows + columns) % 2 * 255).astype(np.uint8)).to(dtype)
    # without antialiasing, a third of the size takes one pixel of three as it is
    small = resize(board.reshape(1, 33, 33, 1), (11, 11), mode).float()
    assert (small - 127.5).abs().max() <= 3


# torch has weights of 16 bits where Pillow has 22: of noise in both directions two levels
@pytest.mark.parametrize(("interpolation", "tolerance"), [("bilinear", 1), ("bicubic", 2)])
@pytest.mark.parametrize("size", [(9, 7), (40, 31), (64, 64)])
def test_squash_agrees_with_pillow(size, interpolation, tolerance):
    images = numbered(1, 33, 47, 3)
    resized = resize(images, size, "squash", interpolation)[0].numpy()
    filter_ = Image.Resampling[interpolation.upper()]
    pillow = Image.fromarray(images[0].numpy()).resize(size[::-1], filter_)
    assert np.abs(resized.astype(int) - np.asarray(pillow).astype(int)).max() <= tolerance


@pytest.mark.parametrize("size", [(96, 128), (224, 224)])
def test_a_photo_in_bicubic_is_pillows_within_a_level(size):
    photo = load_sample_image("china.jpg")
    pillow = np.asarray(Image.fromarray(photo).resize(size[::-1], Image.Resampling.BICUBIC))
    resized = resize(torch.tensor(photo)[None], size, interpolation="bicubic")[0].numpy()
    assert np.abs(resized.astype(int) - pillow).max() <= 1
    bilinear = resize(torch.tensor(photo)[None], size)[0].numpy()
    assert np.abs(bilinear.astype(int) - pillow).max() > 10


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(5, 4), (18, 24), (64, 31)])
def test_bicubic_floats_are_the_bytes_that_were_clipped(mode, size):
    # black and white, where every edge overshoots
    images = numbered(3, 12, 16, 3) // 128 * 255
    expected = resize(images, size, mode, "bicubic").float() / 255
    resized = resize(images.float() / 255, size, mode, "bicubic")
    torch.testing.assert_close(resized, expected, rtol=0, atol=3 / 255)
    assert resized.min() >= 0
    assert resized.max() <= 1


def test_bicubic_floats_stay_in_the_range_of_their_image():
    images = torch.stack([numbered(1, 8, 8, 1, torch.float32)[0] * 16, torch.full((8, 8, 1), 0.5)])
    images[0] -= 1000
    resized = resize(images, (20, 20), interpolation="bicubic")
    assert resized[0].min() == images[0].min()
    assert resized[0].max() == images[0].max()
    torch.testing.assert_close(resized[1], torch.full((20, 20, 1), 0.5))


@pytest.mark.parametrize("mode", MODES)
def test_many_images_are_resized_as_each_alone(mode):
    images = numbered(600, 4, 6, 1)
    resized = resize(images, (3, 3), mode)
    for position in (0, 1, 255, 256, 257, 511, 512, 599):
        alone = resize(images[position : position + 1], (3, 3), mode)
        assert torch.equal(resized[position : position + 1], alone)


@pytest.mark.parametrize("mode", MODES)
def test_layout_in_memory_does_not_matter(mode):
    images = numbered(2, 6, 9, 3)
    channels_first = images.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    assert torch.equal(resize(channels_first, (4, 4), mode), resize(images, (4, 4), mode))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(1, 100), (100, 1), (1, 1)])
def test_thin_images_reach_any_size(shape, mode):
    images = torch.full((1, *shape, 3), 7, dtype=torch.uint8)
    resized = resize(images, (10, 10), mode)
    assert resized.shape == (1, 10, 10, 3)
    assert set(resized.unique().tolist()) <= {0, 7}
    assert (resized == 7).any()


def test_gray_is_itu_r_601_as_in_pillow():
    every_64th = np.stack(np.meshgrid(*[np.arange(0, 256, 5)] * 3), axis=-1).reshape(1, -1, 3)
    colours = every_64th.astype(np.uint8)
    gray = convert_channels(torch.from_numpy(colours), 1)
    assert np.array_equal(gray[..., 0].numpy(), np.asarray(Image.fromarray(colours).convert("L")))


def test_gray_becomes_colour_and_comes_back():
    gray = torch.arange(256, dtype=torch.uint8).reshape(1, 256, 1)
    colour = convert_channels(gray, 3)
    assert colour.shape == (1, 256, 3)
    assert torch.equal(convert_channels(colour, 1), gray)

"""What a network takes from the pixels of the training images, and which others are unlike them."""

import numpy as np
import pytest
import torch

from sklearn_cnn.architectures._standardize import Standardize
from sklearn_cnn.images import Extremes, PixelRange, pixel_statistics

GENERATOR = np.random.default_rng(0)
IMAGES = torch.from_numpy(GENERATOR.integers(0, 256, (12, 8, 6, 3), dtype=np.uint8))


def statistics_of(images, indices=None):
    indices = torch.arange(len(images)) if indices is None else torch.as_tensor(indices)
    return pixel_statistics(images, indices)


def standardized(images):
    """Return images in the layout of a network, standardized by their own statistics."""
    pixels = statistics_of(images)
    return Standardize(pixels.mean, pixels.std)(images.permute(0, 3, 1, 2))


def assert_like_numpy(images, indices=None, rtol=1e-6):
    """Compare the statistics of some of the images with NumPy's."""
    ours = statistics_of(images, indices)
    pixels = images.numpy() if indices is None else images.numpy()[indices]
    pixels = pixels.astype(np.float64).reshape(-1, images.shape[3])
    np.testing.assert_allclose(ours.mean.numpy(), pixels.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(ours.std.numpy(), pixels.std(axis=0), rtol=rtol)
    assert (ours.low, ours.high) == (pixels.min(), pixels.max())


@pytest.mark.parametrize("n_images", [1, 12, 1100])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_statistics_are_those_of_numpy(dtype, n_images):
    images = GENERATOR.integers(3, 200, (n_images, 3, 5, 4)).astype(dtype)
    assert_like_numpy(torch.from_numpy(images))


@pytest.mark.parametrize("offset", [1e4, -1e4, 1e5])
def test_a_large_offset_does_not_blur_the_deviation(offset):
    images = (offset + GENERATOR.uniform(-1, 1, (50, 8, 8, 2))).astype(np.float32)
    assert_like_numpy(torch.from_numpy(images), rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e3, 1e6])
def test_pixels_of_any_scale_are_brought_to_one(scale):
    images = torch.from_numpy((scale * GENERATOR.normal(3, 1, (50, 8, 8, 1))).astype(np.float32))
    assert standardized(images).mean().item() == pytest.approx(0, abs=1e-4)
    assert standardized(images).std(correction=0).item() == pytest.approx(1, abs=1e-4)


def test_only_the_images_that_count_are_looked_at():
    assert_like_numpy(IMAGES, [3, 4, 9])


@pytest.mark.parametrize("value", [0.0, 0.1, 123.456, 255.0, 1e4 + 1 / 3])
def test_a_constant_channel_is_only_centred(value):
    # a number of pixels that leaves the variance a rounding error above 0
    images = torch.from_numpy(GENERATOR.normal(size=(12, 7, 9, 2)).astype(np.float32))
    images[..., 1] = value
    pixels = statistics_of(images)
    assert pixels.std[1] == 1
    layer = Standardize(pixels.mean, pixels.std)
    channels_first = images.permute(0, 3, 1, 2)
    assert (layer(channels_first)[:, 1] == 0).all()
    assert layer(channels_first)[:, 0].std(correction=0).item() == pytest.approx(1, abs=1e-5)
    # a pixel that differs later is neither blown up nor lost
    images[0, 0, 0, 1] = value + 2
    assert layer(channels_first)[0, 1, 0, 0].item() == pytest.approx(2, abs=1e-3)


@pytest.mark.parametrize(
    ("n_images", "side", "expected"),
    [(12, 4, 12), (1500, 4, 1000), (40, 1024, 8), (3, 3000, 2), (1, 4000, 1)],
    ids=["all", "a thousand", "eight million numbers", "two at least", "one"],
)
def test_the_sample_is_spread_evenly_from_first_to_last(n_images, side, expected):
    numbers = torch.arange(n_images, dtype=torch.float32).reshape(-1, 1, 1, 1)
    indices = torch.arange(n_images).flip(0)
    sample = statistics_of(numbers.expand(-1, side, side, 1), indices).sample
    assert sample.shape == (expected, side, side, 1)
    places = torch.arange(expected) * n_images // expected
    assert torch.equal(sample[:, 0, 0, 0], numbers.flatten()[indices[places]])


def test_the_sample_holds_only_images_that_count():
    sample = statistics_of(IMAGES, [7, 2]).sample
    assert sample.dtype == torch.uint8
    assert torch.equal(sample, IMAGES[[7, 2]])


def test_the_sample_is_counted_in_integers_whatever_the_default_dtype():
    torch.set_default_dtype(torch.bfloat16)
    try:
        pixels = statistics_of(IMAGES[:1].expand(300, -1, -1, -1))
    finally:
        torch.set_default_dtype(torch.float32)
    assert len(pixels.sample) == 300
    assert pixels.mean.dtype == pixels.std.dtype == torch.float32


@pytest.mark.parametrize("offset", [1e6, -3e5])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_pixels_that_float32_cannot_tell_apart_warn(offset, n_channels):
    noise = GENERATOR.normal(size=(9, 4, 4, n_channels))
    with pytest.warns(UserWarning, match="the 7 digits that float32 keeps"):
        statistics_of(torch.from_numpy((offset + 1e-3 * noise).astype(np.float32)))


@pytest.mark.filterwarnings("error")
def test_pixels_that_float32_can_tell_apart_do_not_warn():
    noise = GENERATOR.normal(size=(9, 4, 4, 1)).astype(np.float32)
    for images in (100 + noise, 1e6 + 10 * noise, 1e-9 * noise, 0 * noise):
        statistics_of(torch.from_numpy(images.astype(np.float32)))
    # one of several channels may be constant
    statistics_of(torch.from_numpy(np.concatenate([noise, 0 * noise + 7], axis=-1)))
    statistics_of(torch.full((3, 4, 4, 1), 7, dtype=torch.uint8))


BYTES = torch.from_numpy(GENERATOR.integers(0, 256, (20, 6, 6, 1), dtype=np.uint8))
SCALES = {
    "bytes": BYTES,
    "whole floats": BYTES.float(),
    "4 bits": (BYTES // 16).float(),
    "0 to 1": BYTES / 255,
    "-1 to 1": BYTES / 127.5 - 1,
    "standardized": (BYTES - 127.5) / 75,
    "12 bits": BYTES.float() * 16,
    "16 bits": BYTES.float() * 257,
    "bool": (BYTES > 127).byte(),
}
SMALL, LARGE = {"0 to 1", "-1 to 1", "standardized", "bool"}, {"12 bits", "16 bits"}
SHADES = {"bytes", "whole floats", "4 bits"}
# which others a network that learned on one does not know
UNLIKE = {
    "bytes": SMALL | LARGE,
    "4 bits": SMALL | LARGE | SHADES - {"4 bits"},
    "0 to 1": {"-1 to 1", "standardized"} | LARGE | SHADES,
    "-1 to 1": LARGE | SHADES,
    "standardized": LARGE | SHADES,
    "16 bits": SMALL | {"bytes"},
}


def is_unlike(fitted, images):
    extremes = Extremes.of(images, torch.arange(len(images)))
    return PixelRange.of(statistics_of(fitted)).is_another_scale(extremes)


@pytest.mark.parametrize("fitted", UNLIKE)
def test_another_scale_is_told_by_the_range_of_the_pixels(fitted):
    others = {name for name, images in SCALES.items() if is_unlike(SCALES[fitted], images)}
    assert others == UNLIKE[fitted]


@pytest.mark.parametrize("fitted", SCALES)
def test_single_images_of_the_training_set_are_of_its_scale(fitted):
    images = SCALES[fitted]
    assert not any(is_unlike(images, image[None]) for image in images)
    assert not is_unlike(images, torch.zeros(1, 6, 6, 1))


def test_bytes_may_be_darker_and_brighter():
    dark = BYTES // 8
    assert not is_unlike(dark, BYTES)
    assert not is_unlike(BYTES, dark)
    # as floats the same may be anything
    assert is_unlike(dark, BYTES.float())


def test_images_without_contrast_have_no_scale():
    assert not is_unlike(torch.zeros(2, 4, 4, 1), SCALES["16 bits"])


def test_extremes_of_batches_and_of_some_rows():
    extremes = Extremes()
    for start in range(0, 20, 7):
        extremes.add(SCALES["standardized"][start : start + 7])
    assert extremes.low == SCALES["standardized"].min()
    assert extremes.high == SCALES["standardized"].max()
    assert not extremes.are_bytes
    chosen = Extremes.of(BYTES, torch.tensor([3, 5]))
    assert (chosen.low, chosen.high) == (BYTES[[3, 5]].min(), BYTES[[3, 5]].max())
    assert chosen.are_bytes

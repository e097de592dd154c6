"""What a network takes from the pixels of the training images."""

import numpy as np
import pytest
import torch

from sklearn_cnn.architectures._standardize import Standardize
from sklearn_cnn.images import pixel_statistics

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

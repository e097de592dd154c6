"""Batches of predictions; an image has the same whatever images come with it."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.training.prediction import prediction_batches

RNG = np.random.default_rng(0)


@pytest.fixture(params=[1, 2])
def threads(request):
    """Run on some threads; matrix products are cut up differently."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


class Wide(nn.Sequential):
    """Two layers whose sizes fill no block of a matrix product."""

    def __init__(self, num_classes):
        super().__init__(
            nn.AdaptiveAvgPool2d(5),
            nn.Flatten(),
            nn.Linear(25, 101),
            nn.ReLU(),
            nn.Linear(101, num_classes),
        )


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(
    ("architecture", "shape", "n_images"),
    [
        ("convnet", (28, 28), 70),
        ("convnet", (5, 7), 40),
        (ConvNet((8, 9), grid=1), (33, 35), 70),
        ("resnet", (32, 32, 3), 12),
        ("resnet18", (32, 32, 3), 12),
        (Wide, (8, 8), 140),
        ("convnet", (64, 64, 3), 5),
        ("resnet18", (64, 64, 3), 5),
        (Wide, (100, 100), 13),
    ],
)
def test_predictions_do_not_depend_on_the_images_around(architecture, shape, n_images):
    X = RNG.integers(0, 256, (n_images, *shape), dtype=np.uint8)
    y = np.arange(len(X)) % 3
    model = CNNClassifier(architecture, max_epochs=1, random_state=0).fit(X, y)
    expected = model.predict_proba(X)
    np.testing.assert_array_equal(model.predict_proba(X), expected)
    # kernels of some CPUs sum an image that is alone in another order: 4.3e-6 was seen
    close = functools.partial(np.testing.assert_allclose, atol=6e-6)
    shuffled = RNG.permutation(len(X))
    close(model.predict_proba(X[shuffled]), expected[shuffled])
    for n in (1, 2, 3, 7):
        close(model.predict_proba(X[-n:]), expected[-n:])


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_numbers_do_not_depend_on_the_images_around(precision):
    X = RNG.integers(0, 256, (30, 8, 8), dtype=np.uint8)
    model = CNNRegressor(Wide, max_epochs=1, precision=precision, random_state=0)
    expected = model.fit(X, X.mean(axis=(1, 2))).predict(X)
    tolerance = {"float32": 1e-6, "bf16": 1e-2}[precision]
    np.testing.assert_allclose(model.predict(X[::-1]), expected[::-1], rtol=tolerance)
    np.testing.assert_allclose(model.predict(X[:1]), expected[:1], rtol=tolerance)


def test_one_image_goes_through_the_network_alone():
    sizes = []

    class Noted(nn.Sequential):
        def __init__(self, num_classes):
            super().__init__(nn.Flatten(), nn.LazyLinear(num_classes))

        def forward(self, images):
            sizes.append(len(images))
            return super().forward(images)

    X = RNG.integers(0, 256, (100, 20, 20), dtype=np.uint8)
    model = CNNClassifier(Noted, max_epochs=1).fit(X, np.arange(100) % 2)
    for n, expected in [(1, [1]), (3, [3]), (100, [64, 36])]:
        sizes.clear()
        model.predict(X[:n])
        assert sizes == expected


def images_of(n, channels=1):
    """Return images whose pixels are their row's number."""
    return torch.arange(n, dtype=torch.float32).reshape(n, 1, 1, 1).expand(n, 3, 2, channels)


@pytest.mark.parametrize(
    ("n", "multiple", "reals", "sizes"),
    [
        (8, 2, [4, 4], [4, 4]),
        (9, 2, [4, 4, 1], [4, 4, 2]),
        (3, 2, [3], [4]),
        (1, 4, [1], [4]),
        (2, 2, [2], [2]),
        (7, 1, [4, 3], [4, 3]),
        # a multiple is never more than a batch
        (5, 3, [4, 1], [4, 3]),
        (1, 9, [1], [4]),
    ],
)
def test_the_last_prediction_batch_is_filled_up(n, multiple, reals, sizes):
    images = images_of(n, channels=3) + 1
    batches = list(prediction_batches(images, 4, multiple, torch.device("cpu")))
    assert [n_real for _, n_real in batches] == reals
    assert [tuple(batch.shape) for batch, _ in batches] == [(size, 3, 3, 2) for size in sizes]
    real = torch.cat([batch[:n_real] for batch, n_real in batches])
    assert torch.equal(real, images.permute(0, 3, 1, 2))
    for batch, n_real in batches:
        assert not batch[n_real:].any()
        assert batch.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_prediction_batches_keep_the_dtype(dtype):
    for batch, _ in prediction_batches(images_of(5).to(dtype), 4, 2, torch.device("cpu")):
        assert batch.dtype == dtype


def test_prediction_batches_of_strided_images():
    channels_first = torch.arange(5 * 3 * 4 * 6).reshape(5, 3, 4, 6)
    images = channels_first.permute(0, 2, 3, 1)
    batches = list(prediction_batches(images, 2, 2, torch.device("cpu")))
    for batch, _ in batches:
        assert batch.is_contiguous(memory_format=torch.channels_last)
    real = torch.cat([batch[:n_real] for batch, n_real in batches])
    assert torch.equal(real, channels_first)


def test_no_images_make_no_prediction_batches():
    assert list(prediction_batches(images_of(5)[:0], 4, 2, torch.device("cpu"))) == []

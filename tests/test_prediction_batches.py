"""An image has the same predictions whatever images come with it."""

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet

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
    shuffled = RNG.permutation(len(X))
    np.testing.assert_allclose(model.predict_proba(X[shuffled]), expected[shuffled], atol=1e-6)
    for n in (1, 2, 3, 7):
        np.testing.assert_allclose(model.predict_proba(X[-n:]), expected[-n:], atol=1e-6)


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

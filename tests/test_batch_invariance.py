"""An image has the same outputs, to the last bit, wherever it stands in X."""

import contextlib
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.training.batch_invariance import batch_invariant

RNG = np.random.default_rng(0)


@pytest.fixture(params=[1, 2])
def threads(request):
    """Run on some threads; matrix products are cut up differently."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def outputs_at_every_place(layer, row, batch_size):
    rows = row.expand(batch_size, *row.shape).contiguous()
    with batch_invariant(layer, batch_size, "cpu"), torch.inference_mode():
        return layer(rows)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("batch_size", [2, 5, 9, 16, 20, 64, 128])
def test_a_row_has_the_same_output_at_every_place(batch_size):
    generator = torch.Generator().manual_seed(0)
    for n_inputs, n_outputs in itertools.product(
        (1, 3, 7, 9, 16, 18, 33, 64, 100, 129, 512), (1, 2, 3, 7, 10, 11, 16, 17, 40, 100, 129)
    ):
        layer = nn.Linear(n_inputs, n_outputs)
        row = torch.randn(n_inputs, generator=generator)
        outputs = outputs_at_every_place(layer, row, batch_size)
        assert outputs.shape == (batch_size, n_outputs)
        assert (outputs == outputs[0]).all(), (n_inputs, n_outputs)
        torch.testing.assert_close(outputs[0], layer(row).detach())


@pytest.mark.usefixtures("threads")
def test_layers_of_sequences_and_without_bias():
    tokens = torch.randn(7, 9, generator=torch.Generator().manual_seed(0))
    layer = nn.Linear(9, 5, bias=False)
    outputs = outputs_at_every_place(layer, tokens, 3)
    assert outputs.shape == (3, 7, 5)
    assert (outputs == outputs[0]).all()
    torch.testing.assert_close(outputs[0], layer(tokens).detach())


@pytest.mark.parametrize(
    ("layer", "batch_size", "device_type", "is_filled"),
    [
        (nn.Linear(64, 10), 128, "cpu", False),
        (nn.Linear(48, 100), 16, "cpu", False),
        (nn.Conv2d(3, 4, 3), 5, "cpu", False),
        (nn.Linear(9, 10), 1, "cpu", False),
        (nn.Linear(9, 10), 64, "cuda", False),
        (nn.Linear(9, 100), 64, "cpu", True),
        (nn.Linear(64, 100), 5, "cpu", True),
    ],
)
def test_nothing_is_filled_up_without_need(layer, batch_size, device_type, is_filled):
    context = batch_invariant(nn.Sequential(layer), batch_size, device_type)
    assert isinstance(context, contextlib.nullcontext) is not is_filled


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
    ("architecture", "side", "n_classes"),
    [
        (ConvNet((4,), hidden=(9,)), 8, 10),
        (ConvNet((8, 9), grid=1), 8, 3),
        (Wide, 8, 11),
        # at this size a batch has five images
        (Wide, 100, 13),
        (ConvNet((4, 9), grid=1), 100, 2),
    ],
)
def test_predictions_do_not_depend_on_the_rows_around(architecture, side, n_classes):
    X = RNG.integers(0, 256, (130 if side < 50 else 13, side, side), dtype=np.uint8)
    y = np.arange(len(X)) % n_classes
    model = CNNClassifier(architecture, max_epochs=1, random_state=0).fit(X, y)
    expected = model.decision_function(X)
    shuffled = RNG.permutation(len(X))
    np.testing.assert_array_equal(model.decision_function(X[shuffled]), expected[shuffled])
    for row in range(9):
        np.testing.assert_array_equal(model.decision_function(X[row : row + 1])[0], expected[row])
    features = model.transform(X)
    np.testing.assert_array_equal(model.transform(X[shuffled]), features[shuffled])


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_numbers_do_not_depend_on_the_rows_around(precision):
    X = RNG.integers(0, 256, (30, 8, 8), dtype=np.uint8)
    model = CNNRegressor(Wide, max_epochs=1, precision=precision, random_state=0)
    expected = model.fit(X, X.mean(axis=(1, 2))).predict(X)
    np.testing.assert_array_equal(model.predict(X[::-1]), expected[::-1])

"""Tables of layers."""

import sys

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet, ResNet, TorchModule, TorchvisionModel, summary

X = np.random.default_rng(0).integers(0, 256, (20, 8, 6, 3), dtype=np.uint8)
Y = np.arange(20) % 2
SMALL = ConvNet((4,), residual=False, whitening=False, grid=None)

# convolution, its normalization, the dense layer
N_PARAMETERS = 4 * 3 * 9 + 2 * 4 + (4 * 4 * 3 * 2 + 2)
MULTIPLY_ADDS = 4 * 3 * 9 * 8 * 6 + 2 * 4 + (4 * 4 * 3 * 2 + 2)


def test_a_fitted_estimator():
    model = CNNClassifier(SMALL, max_epochs=1, random_state=0).fit(X, Y)
    before = {name: tensor.clone() for name, tensor in model.module_.state_dict().items()}
    table = summary(model)
    assert table.total_params == N_PARAMETERS
    assert table.total_mult_adds == MULTIPLY_ADDS
    text = str(table)
    for part in "Conv2d", "[1, 4, 8, 6]", "BatchNorm2d", "Linear", "[1, 2]", "Mult-Adds":
        assert part in text
    assert not any(layer.training for layer in model.module_.modules())
    assert all(torch.equal(model.module_.state_dict()[name], before[name]) for name in before)


def test_an_architecture_before_any_fit():
    table = SMALL.summary((8, 6, 3), 2)
    assert (table.total_params, table.total_mult_adds) == (N_PARAMETERS, MULTIPLY_ADDS)


def test_weights_are_not_looked_for():
    table = TorchvisionModel("resnet18", weights="no such file", freeze=True).summary((32, 32, 3))
    assert table.total_params == 11_177_025
    assert table.trainable_params == 513


def test_lazy_layers_are_counted():
    table = TorchModule(lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(2))).summary((8, 6, 3), 2)
    assert table.total_params == 8 * 6 * 3 * 2 + 2


def test_global_generators_are_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    ResNet((4,)).summary((8, 8, 1))
    assert torch.equal(torch.rand(3), expected)


def test_an_estimator_that_is_not_fitted_has_no_layers():
    with pytest.raises(NotFittedError):
        summary(CNNClassifier())


def test_images_that_are_too_small():
    with pytest.raises(ValueError, match="at least 63 x 63"):
        TorchvisionModel("alexnet").summary((32, 32, 3))


def test_torchinfo_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchinfo", None)
    with pytest.raises(ImportError, match=r"sklearn-cnn\[summary\]"):
        SMALL.summary((8, 6, 3))

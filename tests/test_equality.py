"""Parameters are the same by value, to the last entry, however long they are."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from torch import nn

from sklearn_cnn import Augmentation, CNNClassifier
from sklearn_cnn.architectures import ConvNet, Finetuned, ResNet, TorchModule, TorchvisionModel
from sklearn_cnn.runtime.equality import is_same


def network_of(width):
    """Return a class of networks whose name says nothing of the width."""

    class Network(nn.Sequential):
        def __init__(self, num_classes):
            super().__init__(nn.Flatten(), nn.LazyLinear(width), nn.Linear(width, num_classes))

    return Network


NETWORK, MODULE = network_of(4), nn.Linear(2, 2)
LONG, OTHER_LONG = [8] * 31, [8] * 30 + [9]
SLICES = [f"features.{i}" for i in range(40)]
FITTED = FrozenEstimator(CNNClassifier())

SAME = [
    ((4, 8), [4, 8]),
    ((), []),
    (range(3), (0, 1, 2)),
    ([(1, 2), "a"], ((1, 2), "a")),
    (ConvNet((4, 8)), ConvNet([4, 8])),
    (ConvNet(hidden=LONG), ConvNet(hidden=tuple(LONG))),
    (TorchvisionModel("resnet18", freeze=SLICES), TorchvisionModel("resnet18", freeze=[*SLICES])),
    (TorchModule(NETWORK), TorchModule(NETWORK)),
    (TorchModule(MODULE), TorchModule(MODULE)),
    (Augmentation(mixup=0.4), Augmentation(mixup=0.4)),
    (partial(torch.optim.SGD, momentum=0.9), partial(torch.optim.SGD, momentum=0.9)),
    (partial(torch.optim.Adam, betas=(0.8, 0.9)), partial(torch.optim.Adam, betas=[0.8, 0.9])),
    (torch.optim.SGD, torch.optim.SGD),
    ({"a": (1, 2), "b": None}, {"b": None, "a": [1, 2]}),
    (np.arange(3), np.arange(3)),
    (torch.arange(3), torch.arange(3)),
    (1, 1.0),
    (FITTED, FITTED),
]

ANOTHER = [
    ((4, 8), (4, 9)),
    ((4, 8), (4, 8, 8)),
    ([(1, 2), "a"], [(1, 3), "a"]),
    (ConvNet(), ResNet()),
    (ConvNet((4, 8)), ConvNet((4, 8), dropout=0.1)),
    (ConvNet(hidden=LONG), ConvNet(hidden=OTHER_LONG)),
    (
        TorchvisionModel("resnet18", freeze=SLICES),
        TorchvisionModel("resnet18", freeze=[*SLICES[:-1], "fc"]),
    ),
    (TorchModule(NETWORK), TorchModule(network_of(5))),
    (TorchModule(NETWORK), TorchModule(NETWORK, width=5)),
    (TorchModule(MODULE), TorchModule(nn.Linear(2, 2))),
    (partial(torch.optim.SGD, momentum=0.9), partial(torch.optim.SGD, momentum=0.8)),
    (partial(torch.optim.SGD, momentum=0.9), partial(torch.optim.Adam, momentum=0.9)),
    (partial(torch.optim.SGD, momentum=0.9), torch.optim.SGD),
    ({"a": 1}, {"a": 2}),
    ({"a": 1}, {"b": 1}),
    ([1, 2], {1: 2}),
    (np.arange(3), np.arange(4)),
    (torch.arange(3), torch.tensor([0, 1, 3])),
    ("adam", torch.optim.Adam),
    ("auto", np.arange(3)),
    (None, ()),
    # what was learned may differ
    (Finetuned(FITTED), Finetuned(FrozenEstimator(CNNClassifier()))),
]


def short(value):
    return repr(value)[:40]


@pytest.mark.parametrize(("first", "second"), SAME, ids=short)
def test_equal_values_are_the_same(first, second):
    assert is_same(first, second) is True
    assert is_same(second, first) is True


@pytest.mark.parametrize(("first", "second"), ANOTHER, ids=short)
def test_values_that_differ_anywhere_are_others(first, second):
    assert is_same(first, second) is False
    assert is_same(second, first) is False

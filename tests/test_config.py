"""A parameter that cannot be used is an error before an image is read."""

import functools

import numpy as np
import pytest
import skorch.callbacks
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import f1_score
from torch import nn
from torch.utils.data import Dataset

from sklearn_cnn import Augmentation, CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet, Finetuned, ResNet, TorchModule, TorchvisionModel


class Pairs(Dataset):
    """Pairs of an image and a label, which are counted as they are read."""

    def __init__(self, n_items=12):
        self.n_items, self.n_read = n_items, 0

    def __len__(self):
        return self.n_items

    def __getitem__(self, row):
        self.n_read += 1
        return np.full((8, 8, 3), row, dtype=np.uint8), row % 2


class Net(nn.Module):
    def __init__(self, in_channels, num_classes, width=2):
        super().__init__()


class NeedsMore(nn.Module):
    def __init__(self, num_classes, nobody_says_this):
        super().__init__()


class LossThatNeedsMore(nn.Module):
    def __init__(self, margin):
        super().__init__()


def check_nothing_is_read(estimator):
    """Check that a fit raises before it reads one item of X, and changes nothing."""
    before, pairs = dict(vars(estimator)), Pairs()
    with pytest.raises((ValueError, TypeError, FileNotFoundError, NotFittedError)):
        estimator.fit(pairs)
    assert pairs.n_read == 0
    assert vars(estimator) == before


# Of each parameter values that cannot be used.
BAD = {
    "architecture": [
        "nope",
        3,
        ConvNet,
        ConvNet((0,)),
        ConvNet(hidden=(0,)),
        ConvNet(dropout=1),
        ConvNet(kernel_size=2),
        ResNet((4, 8), depth=(1,)),
        ResNet(stem="nope"),
        TorchvisionModel("nope"),
        TorchvisionModel("resnet18", weights="nope"),
        TorchvisionModel("resnet18", weights="nope.pth"),
        TorchvisionModel("resnet18", unfreeze_after=1),
        Finetuned("missing"),
        Finetuned(FrozenEstimator(CNNClassifier())),
        Finetuned(CNNClassifier()),
        TorchModule(Net, nothing=1),
        TorchModule("nope"),
        NeedsMore,
    ],
    "image_shape": [(3,), (0, 8), (8.0, 8), 8],
    "channel_axis": [2],
    "resize_mode": ["nope"],
    "augmentation": ["nope", 3, Augmentation, Augmentation(flip=3), Augmentation(flip_index=[1])],
    "test_time_augmentation": ["yes"],
    "loss": [
        "nope",
        3,
        nn.NLLLoss,
        nn.NLLLoss(),
        nn.CTCLoss,
        nn.Linear,
        BaseEstimator,
        LossThatNeedsMore,
    ],
    "quantile": [0, 1.5, (), (0.9, 0.5), [0.5, 1]],
    "optimizer": [
        "nope",
        torch.optim.LBFGS,
        torch.optim.SparseAdam,
        nn.Linear,
        functools.partial(torch.optim.SGD, lr=1),
        functools.partial(torch.optim.SGD, weight_decay=1),
        functools.partial(torch.optim.SGD, momentum=-1),
        functools.partial(torch.optim.SGD, nope=1),
    ],
    "lr": [0, "nope"],
    "weight_decay": [-1, "nope"],
    "lr_schedule": ["nope"],
    "max_epochs": [0, 2.5],
    "batch_size": [0, "nope"],
    "palette": [3, {}, {0: (0, 0)}, {0: (0, 0, 256)}, {0: (0, 0, 0), 1: (0, 0, 0)}],
    "target_scale": [0, "nope"],
    "label_smoothing": [-0.1, 1, "nope"],
    "ignore_label": [0.5, [1]],
    "class_weight": ["nope", 3, {0: -1.0}, {0: np.nan}, {0: "nope"}],
    "time_limit": [0, "nope"],
    "scoring": ["nope", 3, ["accuracy"], f1_score],
    "early_stopping": ["yes"],
    "validation_fraction": [0, 1.0],
    "n_iter_no_change": [0],
    "tol": [-1],
    "device": ["gpu", "cuda:99", "meta", 3],
    "precision": ["half"],
    "compile": ["yes"],
    "callbacks": [
        3,
        [3],
        [skorch.callbacks.EarlyStopping()],
        [("stop", skorch.callbacks.EarlyStopping)],
        [skorch.callbacks.LRScheduler()],
    ],
    "memory": [3],
    "in_memory": ["yes"],
    "handle_broken": ["nope"],
    "warm_start": ["yes"],
    "random_state": ["nope", -1],
    "verbose": [-1],
}
CASES = [
    # numbered: what an object looks like may hold its address, and differ between workers
    pytest.param(kind, name, value, id=f"{kind.__name__}-{name}-{number}")
    for kind in (CNNClassifier, CNNRegressor)
    for name in kind._get_param_names()
    for number, value in enumerate(BAD[name])
]


def test_every_parameter_is_tried():
    assert BAD.keys() == {*CNNClassifier._get_param_names(), *CNNRegressor._get_param_names()}


@pytest.mark.parametrize(("kind", "name", "value"), CASES)
def test_a_bad_value_is_an_error_before_an_image_is_read(kind, name, value):
    check_nothing_is_read(kind(**{name: value}))


@pytest.mark.parametrize("loss", ["hinge", "dice", "focal", nn.CrossEntropyLoss])
def test_labels_that_a_loss_does_not_smooth(loss):
    check_nothing_is_read(CNNClassifier(loss=loss, label_smoothing=0.1))


@pytest.mark.parametrize(
    ("kind", "augmentation"),
    [
        (CNNClassifier, Augmentation(keypoints=True)),
        (CNNClassifier, Augmentation(keypoints="boxes")),
        (CNNRegressor, Augmentation(mixup=0.2)),
    ],
)
def test_an_augmentation_for_another_kind_of_y(kind, augmentation):
    check_nothing_is_read(kind(augmentation=augmentation))


@pytest.mark.parametrize("kind", [CNNClassifier, CNNRegressor])
def test_parts_that_a_learned_network_does_not_have(kind):
    source = CNNRegressor(ConvNet((2,)), max_epochs=1).fit(Pairs())
    check_nothing_is_read(kind(Finetuned(FrozenEstimator(source), freeze=("nope",))))


@pytest.mark.parametrize("kind", [CNNClassifier, CNNRegressor])
def test_what_training_cannot_go_on_with_is_an_error_before_an_image_is_read(kind):
    for change in {"architecture": ConvNet((3,))}, {"image_shape": (9, 9)}:
        estimator = kind(ConvNet((2,)), max_epochs=1, warm_start=True).fit(Pairs())
        check_nothing_is_read(estimator.set_params(**change))

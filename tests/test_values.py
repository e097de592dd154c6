"""Parameters as values of JSON, and back."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from sklearn_cnn.architectures import ConvNet, ResNet, TorchModule, TorchvisionModel, UNet
from sklearn_cnn.persistence._values import decode, decode_array, encode


def through_json(value):
    """Return what comes back through the text of a file."""
    return decode(json.loads(json.dumps(encode(value), allow_nan=False)), "value")


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        -(2**63),
        0.1,
        float("inf"),
        "text",
        (1, (2.5, None)),
        [1, "a", [()]],
        {"a": 1, 2: (3, [4]), "dict": {}, None: -np.inf},
        torch.optim.SGD,
        nn.CrossEntropyLoss,
        torch.device("cuda:1"),
        torchvision.models.ResNet18_Weights.IMAGENET1K_V1,
    ],
    ids=repr,
)
def test_values_come_back_with_their_types(value):
    back = through_json(value)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int16).reshape(2, 3),
        np.array(3.5),
        np.zeros((0, 4)),
        np.array(["a", "bcd"]),
        np.array(["a", 1, None, 2.5, True], dtype=object),
        np.array([[b"x", b"yz"]]),
        np.array([True, False]),
        np.arange(6)[::-2],
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        np.arange(3, dtype=">i4"),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_come_back_exactly(array):
    encoded = json.loads(json.dumps(encode(array)))
    back = decode_array(encoded, "value")
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    np.testing.assert_array_equal(back, array)
    assert [type(x) for x in back.ravel()] == [type(x) for x in array.ravel()]


def test_tensors_come_back_on_the_cpu():
    back = through_json({"w": torch.arange(3.0, requires_grad=True)})["w"]
    assert torch.equal(back, torch.arange(3.0))
    assert not back.requires_grad


@pytest.mark.parametrize(
    "architecture",
    [
        ConvNet((4, 8), hidden=[3]),
        ResNet(depth=(1, 2, 3)),
        UNet((8, 16), patch_size=2),
        TorchvisionModel("resnet18", weights=torchvision.models.ResNet18_Weights.DEFAULT),
    ],
)
def test_architectures_come_back(architecture):
    assert repr(through_json(architecture)) == repr(architecture)


def test_partials_and_losses_come_back():
    partial = through_json(functools.partial(torch.optim.Adam, betas=(0.8, 0.9)))
    assert (partial.func, partial.args, partial.keywords) == (
        torch.optim.Adam,
        (),
        {"betas": (0.8, 0.9)},
    )
    loss = through_json(nn.CrossEntropyLoss(torch.tensor([1.0, 2.0]), label_smoothing=0.1))
    assert type(loss) is nn.CrossEntropyLoss
    assert (loss.label_smoothing, loss.reduction) == (0.1, "mean")
    assert torch.equal(loss.weight, torch.tensor([1.0, 2.0]))
    assert through_json(nn.HuberLoss(delta=0.3)).delta == 0.3


def test_what_torch_makes_of_numpy_scalars_and_paths():
    assert through_json([np.float64(0.5), np.int64(3), np.True_, np.str_("a")]) == [
        0.5,
        3,
        True,
        "a",
    ]
    assert through_json(Path("folder") / "file") == str(Path("folder") / "file")


@pytest.mark.parametrize(
    "value",
    [
        object(),
        lambda x: x,
        nn.Linear(2, 2),
        {"deep": [object()]},
        functools.partial(print),
        nn.NLLLoss(),
        nn.BCELoss,
        TorchModule(nn.Identity),
        np.array([object()]),
        2**70,
        {1, 2},
        int,
    ],
    ids=lambda value: type(value).__name__,
)
def test_code_is_refused(value):
    with pytest.raises(TypeError, match="without code"):
        encode(value)

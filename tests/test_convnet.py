"""ConvNet builds what its parameters say, for images of any size."""

import re

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from sklearn_cnn.architectures import Architecture, ConvNet
from sklearn_cnn.architectures._whitening import PatchWhitening

TEXTBOOK = {
    "residual": False,
    "whitening": False,
    "activation": "relu",
    "padding": "valid",
    "norm": None,
    "grid": None,
    "hidden": (128,),
}
SIZES = [(1, 1), (1, 2), (1, 100), (2, 1), (5, 7), (8, 8), (28, 28), (224, 224)]


def layers_of(network, kind):
    return [layer for layer in network.modules() if isinstance(layer, kind)]


def textbook_by_hand(images, weights):
    """Compute the textbook network's logits with torch's functions."""
    conv_1, bias_1, conv_2, bias_2, dense_1, bias_3, dense_2, bias_4 = weights
    functional = nn.functional
    x = functional.max_pool2d(functional.relu(functional.conv2d(images, conv_1, bias_1)), 2)
    x = functional.max_pool2d(functional.relu(functional.conv2d(x, conv_2, bias_2)), 2)
    x = functional.relu(functional.linear(x.flatten(1), dense_1, bias_3))
    return functional.linear(x, dense_2, bias_4)


def test_the_textbook_network_has_its_number_of_parameters():
    network = ConvNet((32, 64), **TEXTBOOK).build(3, (64, 64), 10)
    assert sum(p.numel() for p in network.parameters()) == 1_626_442


def test_the_textbook_network_has_its_layers():
    layers = list(ConvNet((32, 64), **TEXTBOOK).build(3, (64, 64), 10))
    assert [type(layer) for layer in layers if not isinstance(layer, (nn.ReLU, nn.MaxPool2d))] == [
        nn.Conv2d,
        nn.Conv2d,
        nn.Flatten,
        nn.Linear,
        nn.Linear,
    ]
    for start, channels in (0, (3, 32)), (3, (32, 64)):
        convolution, *rest = layers[start : start + 3]
        assert (convolution.in_channels, convolution.out_channels) == channels
        assert convolution.kernel_size == (3, 3)
        assert convolution.padding in ("valid", (0, 0))
        # the two commute
        assert {type(layer) for layer in rest} == {nn.ReLU, nn.MaxPool2d}
    assert [type(layer) for layer in layers[6:]] == [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear]
    assert [layer.out_features for layer in layers_of(nn.Sequential(*layers), nn.Linear)] == [
        128,
        10,
    ]


@pytest.mark.parametrize("size", [(64, 64), (13, 22)])
def test_the_textbook_network_computes_the_textbook_function(size):
    network = ConvNet((4, 6), **TEXTBOOK).build(3, size, 10)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = textbook_by_hand(images, list(network.parameters()))
        torch.testing.assert_close(network(images), expected)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_images_of_any_size_are_taken(size, channels):
    network = ConvNet().build(channels, size, 4)
    images = torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(0))
    assert network.train()(images).shape == (2, 4)
    logits = network.eval()(images[:1])
    assert logits.shape == (1, 4)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (5, 7), (8, 8), (28, 28)], ids=str)
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"residual": False},
        {"norm": None},
        {"grid": None},
        {"grid": 1},
        {"grid": 3},
        {"hidden": (6, 5)},
        {"dropout": 0.5},
        {"convs_per_stage": 3},
        {"kernel_size": 1},
        {"kernel_size": 7},
        {"widths": (3,) * 7},
    ],
    ids=str,
)
def test_every_parameter_of_the_network_is_trained(params, size):
    network = ConvNet(**{"widths": (6, 8), **params}).build(2, size, 3)
    images = torch.randn(4, 2, *size, generator=torch.Generator().manual_seed(0))
    network.train()(images).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_logits_come_unsquashed():
    network = ConvNet((4,), hidden=(5,)).build(1, (8, 8), 3)
    last = layers_of(network, nn.Linear)[-1]
    assert last is list(network.modules())[-1]
    with torch.no_grad():
        last.bias.fill_(-1000)
        assert (network.eval()(torch.zeros(1, 1, 8, 8)) < -900).all()


@pytest.mark.parametrize("convs_per_stage", [1, 2, 3])
def test_convolutions_of_each_stage(convs_per_stage):
    network = ConvNet(
        (4, 6), convs_per_stage=convs_per_stage, residual=False, whitening=False
    ).build(3, (8, 8), 2)
    convolutions = layers_of(network, nn.Conv2d)
    assert [layer.out_channels for layer in convolutions] == (
        [4] * convs_per_stage + [6] * convs_per_stage
    )
    assert [layer.in_channels for layer in convolutions] == (
        [3] + [4] * convs_per_stage + [6] * (convs_per_stage - 1)
    )


@pytest.mark.parametrize(("activation", "layer"), [("relu", nn.ReLU), ("gelu", nn.GELU)])
def test_the_activation_is_everywhere(activation, layer):
    params = {"activation": activation, "convs_per_stage": 2, "hidden": (5,)}
    network = ConvNet((4, 6), **params).build(3, (8, 8), 2)
    # behind the whitening, two convolutions and the residual one of each stage, and a dense layer
    assert len(layers_of(network, layer)) == 1 + 3 + 3 + 1
    assert len(layers_of(network, (nn.ReLU, nn.GELU))) == 8


@pytest.mark.parametrize("channels", [1, 3])
def test_whitened_pixels_come_first(channels):
    network = ConvNet((6,)).build(channels, (8, 8), 2)
    assert isinstance(network[0], PatchWhitening)
    assert layers_of(network, nn.Conv2d)[0].in_channels == network[0].out_channels == 8 * channels


@pytest.mark.parametrize(
    ("size", "widths"),
    [
        ((8, 8), (32, 64, 128)),
        ((47, 32), (32, 64, 128)),
        ((48, 20), (32, 64, 128, 256)),
        ((224, 224), (32, 64, 128, 256)),
    ],
    ids=str,
)
def test_larger_images_have_a_fourth_stage(size, widths):
    network = ConvNet(residual=False).build(3, size, 2)
    assert [layer.out_channels for layer in layers_of(network, nn.Conv2d)] == list(widths)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_residual_adds_one_convolution_a_stage(padding):
    plain, residual = (
        ConvNet((4, 6), residual=residual, padding=padding).build(3, (16, 16), 2)
        for residual in (False, True)
    )
    assert residual.eval()(torch.zeros(1, 3, 16, 16)).shape == (1, 2)
    assert len(layers_of(residual, nn.Conv2d)) == len(layers_of(plain, nn.Conv2d)) + 2


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_kernel_size_and_padding(padding):
    network = ConvNet(
        (4,), kernel_size=5, padding=padding, residual=False, whitening=False, grid=None
    ).build(1, (16, 16), 2)
    (convolution,) = layers_of(network, nn.Conv2d)
    assert convolution.kernel_size == (5, 5)
    side = 16 if padding == "same" else 12
    assert convolution(torch.zeros(1, 1, 16, 16)).shape == (1, 4, side, side)


def test_each_convolution_is_normalized_and_has_no_bias_then():
    normed, plain = (ConvNet((4, 6), norm=norm).build(3, (8, 8), 2) for norm in ("batch", None))
    widths = [layer.num_features for layer in layers_of(normed, nn.BatchNorm2d)]
    assert widths == [layer.out_channels for layer in layers_of(normed, nn.Conv2d)]
    assert all(layer.bias is None for layer in layers_of(normed, nn.Conv2d))
    assert layers_of(plain, nn.BatchNorm2d) == []
    assert all(layer.bias is not None for layer in layers_of(plain, nn.Conv2d))


@pytest.mark.parametrize(
    ("size", "grid", "features"),
    [
        ((64, 64), 4, 8 * 4 * 4),
        ((64, 64), 1, 8),
        ((64, 2), 4, 8 * 4 * 1),
        ((64, 64), None, 8 * 32 * 32),
        ((4, 4), 4, 8 * 2 * 2),
    ],
)
def test_feature_maps_shrink_to_the_grid(size, grid, features):
    network = ConvNet((8,), grid=grid).build(1, size, 2)
    assert layers_of(network, nn.Linear)[0].in_features == features


def test_dense_layers_and_dropout():
    network = ConvNet((4,), hidden=[20, 10], dropout=0.25).build(1, (8, 8), 3)
    assert [layer.out_features for layer in layers_of(network, nn.Linear)] == [20, 10, 3]
    assert [layer.p for layer in layers_of(network, nn.Dropout)] == [0.25] * 3
    assert layers_of(ConvNet().build(1, (8, 8), 3), nn.Dropout) == []


def test_each_build_has_weights_of_its_own():
    architecture = ConvNet((4,))
    first, second = (architecture.build(1, (8, 8), 2) for _ in range(2))
    assert not torch.equal(next(first.parameters()), next(second.parameters()))


def test_torch_seed_fixes_the_weights():
    with torch.random.fork_rng(devices=[]):
        states = []
        for _ in range(2):
            torch.manual_seed(3)
            states.append(ConvNet((4,)).build(1, (8, 8), 2).state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"widths": 8}, "widths"),
        ({"widths": "abc"}, "widths"),
        ({"widths": (8, 0)}, "widths"),
        ({"widths": (8, -1)}, "widths"),
        ({"widths": (8.5,)}, "widths"),
        ({"widths": ("a",)}, "widths"),
        ({"widths": ((8,),)}, "widths"),
        ({"widths": None}, "widths"),
        ({"convs_per_stage": 0}, "convs_per_stage"),
        ({"convs_per_stage": 1.5}, "convs_per_stage"),
        ({"residual": "yes"}, "residual"),
        ({"kernel_size": 0}, "kernel_size"),
        ({"kernel_size": 2}, "kernel_size"),
        ({"kernel_size": (3, 3)}, "kernel_size"),
        ({"padding": "reflect"}, "padding"),
        ({"padding": 1}, "padding"),
        ({"norm": "layer"}, "norm"),
        ({"grid": 0}, "grid"),
        ({"grid": (4, 4)}, "grid"),
        ({"hidden": 128}, "hidden"),
        ({"hidden": (0,)}, "hidden"),
        ({"hidden": (-3,)}, "hidden"),
        ({"hidden": (2.5,)}, "hidden"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
    ],
    ids=str,
)
def test_a_parameter_out_of_range_is_named(params, name):
    with pytest.raises((ValueError, TypeError), match=name):
        ConvNet(**params).build(3, (32, 32), 2)


@pytest.mark.parametrize("name", ["widths", "hidden"])
@pytest.mark.parametrize("unordered", [{8, 9}, frozenset({8}), {8: 1}, {8: 1}.keys()])
def test_widths_without_an_order_are_refused(name, unordered):
    message = f"{name}={unordered!r} has no order. Write a tuple or a list."
    with pytest.raises(ValueError, match=re.escape(message)):
        ConvNet(**{name: unordered}).build(3, (32, 32), 2)


@pytest.mark.parametrize("name", ["widths", "hidden"])
@pytest.mark.parametrize("numbers", [(True,), [8, False], np.array([True])])
def test_truth_values_are_no_widths(name, numbers):
    message = f"{name}={numbers!r} must hold positive integers only."
    with pytest.raises(ValueError, match=re.escape(message)):
        ConvNet(**{name: numbers}).build(3, (32, 32), 2)


@pytest.mark.parametrize("numbers", [[8, 9], np.array([8, 9]), range(8, 10)])
def test_widths_may_be_of_any_kind_of_sequence(numbers):
    network = ConvNet(numbers, hidden=numbers).build(3, (32, 32), 2)
    assert [layer.out_features for layer in layers_of(network, nn.Linear)] == [8, 9, 2]


def test_the_constructor_only_stores():
    assert ConvNet(widths="nonsense", kernel_size=2).get_params()["widths"] == "nonsense"


@pytest.mark.parametrize(
    ("size", "widths", "params"),
    [
        ((2, 2), (4,), {}),
        ((8, 2), (4,), {}),
        ((2, 8), (4,), {}),
        ((8, 8), (4, 4, 4), {}),
        ((4, 4), (4,), {"convs_per_stage": 2}),
        ((4, 4), (4,), {"kernel_size": 5}),
    ],
)
def test_images_too_small_for_unpadded_convolutions_are_an_error(size, widths, params):
    with pytest.raises(ValueError, match='padding="same"') as caught:
        ConvNet(widths, padding="valid", **params).build(1, size, 2)
    assert "ConvNet(" in str(caught.value)


def test_images_just_large_enough_for_unpadded_convolutions_are_taken():
    network = ConvNet((4,), padding="valid", residual=False).build(1, (3, 3), 2)
    assert network.eval()(torch.zeros(1, 1, 3, 3)).shape == (1, 2)


def test_it_is_a_scikit_learn_object():
    architecture = ConvNet((8, 16), dropout=0.1)
    assert isinstance(architecture, Architecture)
    params = architecture.get_params()
    assert params["widths"] == (8, 16)
    assert params["dropout"] == 0.1
    copied = clone(architecture)
    assert copied is not architecture
    assert copied.get_params() == params
    assert copied.set_params(widths=(4,)) is copied
    assert copied.widths == (4,)
    assert architecture.widths == (8, 16)
    with pytest.raises(ValueError, match="Invalid parameter 'depth'"):
        architecture.set_params(depth=3)


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(ConvNet()) == "ConvNet()"
    assert repr(ConvNet((8, 16), dropout=0.1)) == "ConvNet(dropout=0.1, widths=(8, 16))"

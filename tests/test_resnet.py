"""Residual networks for small images."""

import numpy as np
import pytest
import torch
from drawn import bars_and_discs, placed_discs
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ResNet

SMALL = {"widths": (4, 8)}


def n_parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def convolutions(network):
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (7, 5), (28, 28), (64, 64), (65, 20)])
@pytest.mark.parametrize("stem", ["auto", "small", "large"])
def test_images_of_any_size(size, stem):
    network = ResNet(**SMALL, stem=stem).build(2, size, 3).train()
    assert network(torch.rand(2, 2, *size)).shape == (2, 3)


def test_a_resnet18_for_small_images_has_the_parameters_of_the_literature():
    network = ResNet((64, 128, 256, 512), depth=2).build(3, (32, 32), 10)
    assert n_parameters(network) == 11_173_962
    assert len(convolutions(network)) == 17 + 3  # three shortcuts change the width


def test_resnet20_of_the_paper():
    """He et al. report 0.27 million parameters; theirs has no convolutions in the shortcuts."""
    network = ResNet((16, 32, 64), depth=3).build(3, (32, 32), 10)
    shortcuts = (16 * 32 + 64) + (32 * 64 + 128)
    assert n_parameters(network) - shortcuts == 269_722


@pytest.mark.parametrize(
    ("size", "kernel_size", "stride"),
    [((64, 64), 3, 1), ((28, 64), 3, 1), ((65, 28), 7, 2), ((224, 224), 7, 2)],
)
def test_the_stem_follows_the_size_of_the_images(size, kernel_size, stride):
    stem = convolutions(ResNet(**SMALL).build(3, size, 2))[0]
    assert stem.kernel_size == (kernel_size, kernel_size)
    assert stem.stride == (stride, stride)


def test_the_large_stem_leaves_a_quarter_of_each_side():
    sizes = {}
    for stem in "small", "large":
        network = ResNet((4,), stem=stem).build(3, (96, 64), 2)
        pool = next(layer for layer in network if isinstance(layer, nn.AdaptiveAvgPool2d))
        pool.register_forward_hook(lambda _, x, __, stem=stem: sizes.update({stem: x[0].shape}))
        network(torch.zeros(1, 3, 96, 64))
    assert sizes == {"small": (1, 4, 96, 64), "large": (1, 4, 24, 16)}


def test_a_number_of_blocks_for_each_stage():
    network = ResNet((4, 8, 16), depth=(1, 3, 2)).build(1, (8, 8), 2)
    assert len(convolutions(network)) == 1 + 2 * (1 + 3 + 2) + 2


def test_blocks_that_keep_the_shape_start_as_the_identity():
    network = ResNet((4,), depth=3).build(1, (8, 8), 2).eval()
    stem, blocks = network[:3], network[3:6]
    features = stem(torch.rand(2, 1, 8, 8))
    assert torch.equal(blocks(features), features)


def test_blocks_that_halve_the_image_start_with_their_convolutions():
    halving = ResNet((4, 8)).build(1, (8, 8), 2).eval()[4]
    features = torch.rand(2, 4, 8, 8)
    assert halving.residual(features).abs().min(dim=0).values.max() > 0.1


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 4)])
def test_the_shortcut_sees_every_pixel(size):
    halving = ResNet((4, 8)).build(1, size, 2).eval()[4]
    features = torch.rand(1, 4, *size, requires_grad=True)
    halving.shortcut(features).sum().backward()
    assert (features.grad != 0).all()


def test_dropout_is_in_front_of_the_last_layer():
    dropout, linear = ResNet(**SMALL, dropout=0.3).build(1, (8, 8), 2)[-2:]
    assert (dropout.p, linear.in_features) == (0.3, 8)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"depth": 0}, "depth"),
        ({"depth": (1, 2, 3)}, "one for each of the 2 stages"),
        ({"depth": (1, 0)}, "positive integers"),
        ({"widths": (4, -8)}, "positive integers"),
        ({"widths": (4, True)}, "positive integers"),
        ({"depth": True}, "positive integers"),
        ({"widths": {4, 8}}, "has no order. Write a tuple"),
        ({"depth": {1, 2}}, "has no order. Write a tuple"),
        ({"widths": ()}, "at least one"),
        ({"stem": "medium"}, "stem"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_parameters_out_of_range_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        ResNet(**{**SMALL, **params}).build(1, (8, 8), 2)


def test_it_learns_shapes():
    X, y = bars_and_discs(300)
    model = CNNClassifier("resnet", max_epochs=8, random_state=0).fit(X[:200], y[:200])
    assert model.score(X[200:], y[200:]) > 0.95
    assert model.transform(X[:3]).shape == (3, 128)


def test_it_learns_positions():
    X, y = placed_discs(400)
    model = CNNRegressor(ResNet((8, 16)), max_epochs=20, random_state=0).fit(X[:300], y[:300])
    assert model.score(X[300:], y[300:]) > 0.8


def test_training_is_repeatable():
    X, y = bars_and_discs(40)
    one, other = (
        CNNClassifier(ResNet(**SMALL), max_epochs=1, random_state=3).fit(X, y) for _ in range(2)
    )
    np.testing.assert_array_equal(one.decision_function(X), other.decision_function(X))

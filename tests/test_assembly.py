"""The whole module: standardization in front of the network, checked before training."""

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sklearn_cnn.architectures import ConvNet, ResNet, TorchModule, TorchvisionModel
from sklearn_cnn.architectures._assembly import assemble, initialize, last_linear, penultimate
from sklearn_cnn.architectures._standardize import Standardize
from sklearn_cnn.images import pixel_statistics

GENERATOR = np.random.default_rng(0)
IMAGES = torch.from_numpy(GENERATOR.integers(0, 256, (12, 8, 6, 3), dtype=np.uint8))


def channels_first(images):
    return images.permute(0, 3, 1, 2)


def pixels_of(images):
    """Return the statistics of all of the images."""
    return pixel_statistics(images, torch.arange(len(images)))


PIXELS = pixels_of(IMAGES)


def test_standardized_pixels_by_hand():
    layer = Standardize(torch.tensor([10.0, 20.0]), torch.tensor([2.0, 5.0]))
    images = torch.tensor([[14, 30]], dtype=torch.uint8).reshape(1, 2, 1, 1)
    standardized = layer(images)
    assert standardized.dtype == torch.float32
    assert standardized.flatten().tolist() == [2.0, 2.0]


def test_statistics_are_saved_with_the_module_but_not_trained():
    layer = Standardize(PIXELS.mean, PIXELS.std)
    assert set(layer.state_dict()) == {"mean", "std"}
    assert list(layer.parameters()) == []


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_module_is_the_network_on_standardized_pixels(dtype):
    images = IMAGES.to(dtype)
    statistics = pixels_of(images)
    module = assemble(ConvNet((4, 6)), statistics, 5)
    assert not module.training
    pixels = channels_first(images)
    with torch.no_grad():
        logits = module(pixels)
        expected = module.network(Standardize(statistics.mean, statistics.std)(pixels))
    assert logits.shape == (12, 5)
    assert torch.equal(logits, expected)


def test_the_architecture_is_told_of_images_and_outputs():
    told = []

    class Recorder(ConvNet):
        def build(self, *facts):
            told.append(facts)
            return super().build(*facts)

    assemble(Recorder(), PIXELS, 7)
    assert told == [(3, (8, 6), 7)]


def test_initialize_is_given_the_sample_standardized():
    taken = []

    class Asking(ConvNet):
        def initialize(self, network, sample):
            taken.append((network, sample()))

    module = assemble(Asking((4,)), PIXELS, 2)
    initialize(Asking((4,)), module, PIXELS)
    ((network, sample),) = taken
    assert network is module.network
    assert torch.equal(sample, module.standardize(channels_first(PIXELS.sample)))
    assert sample.dtype == torch.float32


def test_the_check_trains_nothing():
    class Counting(nn.Sequential):
        def __init__(self, num_classes):
            super().__init__(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(8 * 6 * 3, num_classes))

    module = assemble(TorchModule(Counting), PIXELS, 2)
    assert module.network[0].num_batches_tracked == 0
    assert all(p.grad is None for p in module.parameters())


def test_the_module_is_float32_whatever_the_default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        module = assemble(ConvNet((4,)), PIXELS, 2)
    finally:
        torch.set_default_dtype(torch.float32)
    tensors = [*module.parameters(), *module.buffers()]
    assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {torch.float32}


def module_of(*layers):
    """Return an architecture of these layers, made by functions of the number of outputs."""

    def factory(num_classes):
        return nn.Sequential(*[layer(num_classes) for layer in layers])

    return TorchModule(factory)


def flatten(_):
    return nn.Flatten()


def linear(n_outputs):
    return nn.Linear(8 * 6 * 3, n_outputs)


@pytest.mark.parametrize("end", [nn.Softmax, nn.LogSoftmax, nn.Sigmoid, nn.LogSigmoid])
def test_a_network_that_ends_in_probabilities_is_refused(end):
    architecture = module_of(flatten, linear, lambda _: end(*[1] if "Softmax" in str(end) else []))
    with pytest.raises(ValueError, match=f"ends in {end.__name__}") as caught:
        assemble(architecture, PIXELS, 4)
    assert "logits" in str(caught.value)


class Gated(nn.Module):
    """Attention whose gate is the last that the constructor names, but not the end."""

    def __init__(self, num_classes):
        super().__init__()
        self.dense = nn.Linear(8 * 6 * 3, num_classes)
        self.gate = nn.Sigmoid()

    def forward(self, images):
        return self.dense((images * self.gate(images)).flatten(1))


def test_a_sigmoid_inside_the_network_is_no_end():
    assert assemble(TorchModule(Gated), PIXELS, 4)(channels_first(IMAGES)).shape == (12, 4)


@pytest.mark.parametrize(
    ("architecture", "found"),
    [
        (module_of(flatten, lambda _: nn.Linear(8 * 6 * 3, 7)), r"\(2, 7\)"),
        (module_of(lambda _: nn.Conv2d(3, 4, 1)), r"\(2, 4, 8, 6\)"),
        (module_of(lambda _: nn.Flatten(0), nn.LazyLinear), r"\(4,\)"),
    ],
)
def test_another_shape_than_that_of_logits_is_refused(architecture, found):
    with pytest.raises(ValueError, match=r"logits of shape \(2, 4\), got " + found):
        assemble(architecture, PIXELS, 4)


def test_a_network_that_returns_a_tuple_is_refused():
    class Two(nn.Module):
        def forward(self, images):
            return images, images

    with pytest.raises(ValueError, match=r"logits of shape \(2, 4\), got tuple"):
        assemble(TorchModule(Two), PIXELS, 4)


def test_images_too_small_for_the_network_are_a_value_error():
    architecture = module_of(lambda _: nn.Conv2d(3, 4, 9), flatten, linear)
    with pytest.raises(ValueError, match="cannot take images of 8 x 6 x 3") as caught:
        assemble(architecture, PIXELS, 4)
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(
    "architecture",
    [
        module_of(flatten, nn.LazyLinear),
        module_of(
            lambda _: nn.LazyConv2d(5, 3), lambda _: nn.LazyBatchNorm2d(), flatten, nn.LazyLinear
        ),
    ],
    ids=["dense", "convolution"],
)
def test_lazy_layers_find_their_size(architecture):
    module = assemble(architecture, PIXELS, 4)
    assert not any(nn.parameter.is_lazy(p) for p in module.parameters())
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    with torch.no_grad():
        assert module(channels_first(IMAGES)).shape == (12, 4)


@pytest.mark.parametrize("hidden", [(), (9,), (9, 7)], ids=str)
def test_features_are_the_input_of_the_last_linear(hidden):
    network = ConvNet((4,), activation="relu", hidden=hidden, dropout=0.5)
    module = assemble(network, PIXELS, 5)
    pixels = channels_first(IMAGES)
    last = last_linear(module)
    features = penultimate(module)
    with torch.no_grad():
        seen = features(pixels)
        again = features(pixels[:3])
        logits = module(pixels)
        assert torch.equal(nn.functional.linear(seen, last.weight, last.bias), logits)
    assert last.out_features == 5
    assert seen.shape == (12, last.in_features)
    assert again.shape == (3, last.in_features)
    if hidden:
        assert last.in_features == hidden[-1]
        assert (seen >= 0).all()


def test_features_by_hand():
    architecture = module_of(flatten, lambda _: nn.Linear(8 * 6 * 3, 5), lambda _: nn.Tanh())
    network = architecture.build(3, (8, 6), 2)
    whole = nn.Sequential(network, nn.Linear(5, 2)).eval()
    images = channels_first(IMAGES).float()
    features = penultimate(whole)
    with torch.no_grad():
        assert torch.equal(features(images), network(images))


def test_features_leave_the_module_alone_and_share_its_weights():
    module = assemble(ConvNet((4,)), PIXELS, 5)
    features = penultimate(module)
    assert all(not layer._forward_pre_hooks for layer in module.modules())
    before = features(channels_first(IMAGES))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert before.abs().max() > 0
    assert features(channels_first(IMAGES)).abs().max() == 0


def test_a_network_without_linear_has_no_features():
    module = nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ValueError, match=r"has\s+none"):
        penultimate(module)


@pytest.mark.parametrize(
    "architecture",
    [ConvNet(), ResNet(), *map(TorchvisionModel, ("resnet18", "mobilenet_v3_small", "swin_t"))],
    ids=repr,
)
def test_weights_are_saved_by_safetensors_and_fit_torchs_own_layers(architecture, tmp_path):
    module = assemble(architecture, PIXELS, 4)
    assert any(not p.is_contiguous() for p in module.parameters())
    for part in (module, module.network, copy.deepcopy(module)):
        save_file(part.state_dict(), tmp_path / "w.safetensors")
        saved = load_file(tmp_path / "w.safetensors")
        assert saved.keys() == part.state_dict().keys()
    plain = architecture.build(3, (8, 6), 4).eval()
    plain.load_state_dict(module.network.state_dict())
    pixels = torch.rand(2, 3, 8, 6)
    torch.testing.assert_close(plain(pixels), module.network(pixels))


def test_parameters_themselves_are_in_a_state_dict_of_keep_vars():
    module = assemble(ConvNet(), PIXELS, 4)
    state = module.state_dict(keep_vars=True)
    assert all(state[name] is parameter for name, parameter in module.named_parameters())

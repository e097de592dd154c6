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

GENERATOR = np.random.default_rng(0)
IMAGES = torch.from_numpy(GENERATOR.integers(0, 256, (12, 8, 6, 3), dtype=np.uint8))
ROWS = torch.arange(12)


def channels_first(images):
    return images.permute(0, 3, 1, 2)


def statistics(images, rows=None):
    """Return mean and standard deviation of each channel, by torch's and by NumPy's way."""
    rows = torch.arange(len(images)) if rows is None else rows
    layer = Standardize.of(images, rows)
    pixels = images[rows].numpy().astype(np.float64).reshape(-1, images.shape[3])
    ours = layer.mean.flatten().numpy(), layer.std.flatten().numpy()
    return ours, (pixels.mean(axis=0), pixels.std(axis=0))


@pytest.mark.parametrize("n_images", [1, 12, 1100])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_mean_and_deviation_are_those_of_numpy(dtype, n_images):
    images = GENERATOR.integers(0, 256, (n_images, 3, 5, 4)).astype(dtype)
    (mean, std), (numpy_mean, numpy_std) = statistics(torch.from_numpy(images))
    np.testing.assert_allclose(mean, numpy_mean, rtol=1e-6)
    np.testing.assert_allclose(std, numpy_std, rtol=1e-6)


@pytest.mark.parametrize("offset", [1e4, -1e4, 1e5])
def test_a_large_offset_does_not_blur_the_deviation(offset):
    images = (offset + GENERATOR.uniform(-1, 1, (50, 8, 8, 2))).astype(np.float32)
    (mean, std), (numpy_mean, numpy_std) = statistics(torch.from_numpy(images))
    np.testing.assert_allclose(mean, numpy_mean, rtol=1e-6)
    np.testing.assert_allclose(std, numpy_std, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e3, 1e6])
def test_pixels_of_any_scale_are_brought_to_one(scale):
    images = torch.from_numpy((scale * GENERATOR.normal(3, 1, (50, 8, 8, 1))).astype(np.float32))
    standardized = Standardize.of(images, torch.arange(50))(channels_first(images))
    assert standardized.mean().item() == pytest.approx(0, abs=1e-4)
    assert standardized.std(correction=0).item() == pytest.approx(1, abs=1e-4)


def test_only_the_rows_that_count_are_looked_at():
    rows = torch.tensor([3, 4, 9])
    (mean, std), (numpy_mean, numpy_std) = statistics(IMAGES, rows)
    np.testing.assert_allclose(mean, numpy_mean, rtol=1e-6)
    np.testing.assert_allclose(std, numpy_std, rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 123.456, 255.0, 1e4 + 1 / 3])
def test_a_constant_channel_is_only_centred(value):
    # a number of pixels that leaves the variance a rounding error above 0
    images = torch.from_numpy(GENERATOR.normal(size=(12, 7, 9, 2)).astype(np.float32))
    images[..., 1] = value
    layer = Standardize.of(images, ROWS)
    assert layer.std.flatten()[1] == 1
    standardized = layer(channels_first(images))
    assert (standardized[:, 1] == 0).all()
    assert standardized[:, 0].std(correction=0).item() == pytest.approx(1, abs=1e-5)
    # a pixel that differs later is neither blown up nor lost
    images[0, 0, 0, 1] = value + 2
    assert layer(channels_first(images))[0, 1, 0, 0].item() == pytest.approx(2, abs=1e-3)


def test_standardized_pixels_by_hand():
    layer = Standardize(torch.tensor([10.0, 20.0]), torch.tensor([2.0, 5.0]))
    images = torch.tensor([[14, 30]], dtype=torch.uint8).reshape(1, 2, 1, 1)
    standardized = layer(images)
    assert standardized.dtype == torch.float32
    assert standardized.flatten().tolist() == [2.0, 2.0]


def test_statistics_are_saved_with_the_module_but_not_trained():
    layer = Standardize.of(IMAGES, ROWS)
    assert set(layer.state_dict()) == {"mean", "std"}
    assert list(layer.parameters()) == []


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_module_is_the_network_on_standardized_pixels(dtype):
    images = IMAGES.to(dtype)
    module = assemble(ConvNet((4, 6)), images, ROWS, 5)
    assert not module.training
    pixels = channels_first(images)
    with torch.no_grad():
        logits = module(pixels)
        expected = module.network(Standardize.of(images, ROWS)(pixels))
    assert logits.shape == (12, 5)
    assert torch.equal(logits, expected)


def test_the_architecture_is_told_of_images_and_outputs():
    told = []

    class Recorder(ConvNet):
        def build(self, *facts):
            told.append(facts)
            return super().build(*facts)

    assemble(Recorder(), IMAGES, ROWS, 7)
    assert told == [(3, (8, 6), 7)]


def taken_by_initialize(images, rows):
    """Return the images that an architecture can ask for, as they are in X."""
    taken = []

    class Asking(ConvNet):
        def initialize(self, network, sample):
            taken.append(sample())

    module = assemble(Asking((4,)), images, rows, 2)
    initialize(Asking((4,)), module, images, rows)
    (standardized,) = taken
    assert standardized.dtype == torch.float32
    layer = module.standardize
    return (standardized * layer.std + layer.mean).permute(0, 2, 3, 1)


@pytest.mark.parametrize(
    ("n_rows", "side", "expected"),
    [(12, 4, 12), (1500, 4, 1000), (40, 1024, 8)],
    ids=["all", "a thousand", "eight million numbers"],
)
def test_initialize_is_given_images_from_first_to_last(n_rows, side, expected):
    numbers = torch.arange(n_rows, dtype=torch.float32).reshape(-1, 1, 1, 1)
    rows = torch.arange(n_rows).flip(0)
    taken = taken_by_initialize(numbers.expand(-1, side, side, 1), rows)
    assert taken.shape == (expected, side, side, 1)
    places = torch.arange(expected) * n_rows // expected
    torch.testing.assert_close(taken[:, 0, 0, 0], numbers.flatten()[rows[places]])


def test_initialize_sees_only_rows_that_count():
    torch.testing.assert_close(
        taken_by_initialize(IMAGES, torch.tensor([7, 2])), IMAGES[[7, 2]].float()
    )


def test_initialize_counts_in_integers_whatever_the_default_dtype():
    images, rows = IMAGES[:1].expand(300, -1, -1, -1), torch.arange(300)
    torch.set_default_dtype(torch.bfloat16)
    try:
        assert len(taken_by_initialize(images, rows)) == 300
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_check_trains_nothing():
    class Counting(nn.Sequential):
        def __init__(self, num_classes):
            super().__init__(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(8 * 6 * 3, num_classes))

    module = assemble(TorchModule(Counting), IMAGES, ROWS, 2)
    assert module.network[0].num_batches_tracked == 0
    assert all(p.grad is None for p in module.parameters())


def test_the_module_is_float32_whatever_the_default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        module = assemble(ConvNet((4,)), IMAGES, ROWS, 2)
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
        assemble(architecture, IMAGES, ROWS, 4)
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
    assert assemble(TorchModule(Gated), IMAGES, ROWS, 4)(channels_first(IMAGES)).shape == (12, 4)


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
        assemble(architecture, IMAGES, ROWS, 4)


def test_a_network_that_returns_a_tuple_is_refused():
    class Two(nn.Module):
        def forward(self, images):
            return images, images

    with pytest.raises(ValueError, match=r"logits of shape \(2, 4\), got tuple"):
        assemble(TorchModule(Two), IMAGES, ROWS, 4)


def test_images_too_small_for_the_network_are_a_value_error():
    architecture = module_of(lambda _: nn.Conv2d(3, 4, 9), flatten, linear)
    with pytest.raises(ValueError, match="cannot take images of 8 x 6 x 3") as caught:
        assemble(architecture, IMAGES, ROWS, 4)
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
    module = assemble(architecture, IMAGES, ROWS, 4)
    assert not any(nn.parameter.is_lazy(p) for p in module.parameters())
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    with torch.no_grad():
        assert module(channels_first(IMAGES)).shape == (12, 4)


@pytest.mark.parametrize("hidden", [(), (9,), (9, 7)], ids=str)
def test_features_are_the_input_of_the_last_linear(hidden):
    network = ConvNet((4,), activation="relu", hidden=hidden, dropout=0.5)
    module = assemble(network, IMAGES, ROWS, 5)
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
    module = assemble(ConvNet((4,)), IMAGES, ROWS, 5)
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
    module = assemble(architecture, IMAGES, ROWS, 4)
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
    module = assemble(ConvNet(), IMAGES, ROWS, 4)
    state = module.state_dict(keep_vars=True)
    assert all(state[name] is parameter for name, parameter in module.named_parameters())

"""A network of any library with a file of learned weights: `TorchModule` as a backbone."""

import functools

import numpy as np
import pytest
import torch
from learned import MEAN, STD, lite0, lite0_file
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.datasets import load_sample_images
from sklearn.model_selection import GridSearchCV
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import Finetuned, TorchModule
from sklearn_cnn.architectures._fine_tuning import FineTuning

X = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
Y = np.arange(12) % 3


class Trunk(nn.Sequential):
    """A small network whose head is not the layer that was made last."""

    def __init__(self, in_chans=3, width=4, num_classes=10):
        super().__init__()
        self.conv = nn.Conv2d(in_chans, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(width, num_classes)


class TwoHeads(nn.Module):
    """A network that was trained with two heads, and predicts with the first."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.labels = nn.Linear(4, 10)
        self.rotation = nn.Linear(4, 4)

    def forward(self, images):
        return self.labels(self.trunk(images))


class Pointwise(nn.Sequential):
    """A network that ends in a convolution, as SqueezeNet does."""

    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 9, 1), nn.AdaptiveAvgPool2d(1))
        self.append(nn.Flatten())


@pytest.fixture
def learned():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Trunk().eval()


@pytest.fixture
def path(learned, tmp_path):
    save_file(learned.state_dict(), tmp_path / "trunk.safetensors")
    return tmp_path / "trunk.safetensors"


def fit(architecture, images=X, y=Y, **params):
    return CNNClassifier(architecture, max_epochs=1, random_state=0, **params).fit(images, y)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_fit_starts_from_the_weights_of_the_file(learned, tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    (torch.save if suffix == ".pth" else save_file)(learned.state_dict(), path)
    # the factory makes ten outputs, as the file has them
    model = fit(TorchModule(lambda: Trunk(), weights=path), lr=1e-12)
    network = model.module_.network
    torch.testing.assert_close(network.conv.state_dict(), learned.conv.state_dict())
    assert network.fc.out_features == 3
    assert model.predict_proba(X).shape == (12, 3)


def test_a_head_of_as_many_outputs_keeps_its_weights(learned, path):
    network = TorchModule(Trunk, weights=path).build(3, (8, 8), 10)
    assert torch.equal(network.fc.weight, learned.fc.weight)


def test_pixels_are_standardized_as_the_weights_expect(path):
    architecture = TorchModule(Trunk, weights=path, mean=MEAN, std=(0.5, 0.25, 0.125))
    for unit in 255, 1:
        pixels = X if unit == 255 else X / np.float32(255)
        layer = fit(architecture, pixels).module_.standardize
        torch.testing.assert_close(layer.mean.flatten(), torch.tensor(MEAN) * unit)
        torch.testing.assert_close(layer.std.flatten(), torch.tensor([0.5, 0.25, 0.125]) * unit)
    with pytest.raises(ValueError, match=r"floats from 0 to 255\. Pass pixels as uint8"):
        fit(architecture, X.astype(np.float32).clip(0) * (255 / X.max()))


@pytest.mark.parametrize(
    ("mean", "std"),
    [((0.5,), None), ((0.5,) * 3, (0.5,) * 2), ((0.5,), (0,)), ((), ()), (("a",), (1.0,))],
)
def test_mean_and_std_are_a_number_a_channel(mean, std):
    with pytest.raises(ValueError, match=r"must hold a number for each channel, .*std=\(0\.229"):
        fit(TorchModule(Trunk, mean=mean, std=std))


def test_a_gray_image_gives_what_the_same_image_in_equal_colours_gave(learned, path):
    image = torch.rand(2, 1, 8, 8)
    colours = learned(image.expand(-1, 3, -1, -1))
    # one factory names the channels, the other one makes three
    for factory in Trunk, lambda: Trunk():
        network = TorchModule(factory, weights=path).build(1, (8, 8), 10).eval()
        torch.testing.assert_close(network(image), colours)


def test_the_last_linear_is_replaced_or_the_layer_that_head_names():
    network = TorchModule(TwoHeads, head="auto").build(3, (8, 8), 2)
    assert (network.labels.out_features, network.rotation.out_features) == (10, 2)
    model = fit(TorchModule(TwoHeads, head="labels", freeze=True))
    network = model.module_.network
    assert (network.labels.out_features, network.rotation.out_features) == (3, 4)
    assert {n for n, p in network.named_parameters() if p.requires_grad} == {
        "labels.weight",
        "labels.bias",
    }
    features = model.transform(X)
    logits = features @ network.labels.weight.detach().numpy().T
    logits += network.labels.bias.detach().numpy()
    np.testing.assert_array_equal(logits.argmax(axis=1), model.predict(X))


def test_a_convolution_can_be_the_head():
    model = fit(TorchModule(Pointwise, head="1", freeze=True, head_lr_ratio=10))
    assert model.module_.network[1].out_channels == 3
    assert model.transform(X).shape == (12, 4)
    assert len(model.get_feature_names_out()) == 4


def test_an_error_names_what_can_be_replaced():
    with pytest.raises(ValueError, match=r"Pointwise has none\. Write head= .* \['1'\]"):
        fit(TorchModule(Pointwise, head="auto"))
    with pytest.raises(ValueError, match=r"has no such layer\. .* \['labels', 'rotation'\]"):
        fit(TorchModule(TwoHeads, head="fc"))
    with pytest.raises(ValueError, match=r"has Conv2d\(3, 4, .* there\. .*'labels'"):
        fit(TorchModule(TwoHeads, head="trunk.0"))
    with pytest.raises(ValueError, match="no layer that could be replaced"):
        fit(TorchModule(lambda: nn.Sequential(nn.Conv2d(3, 2, 8), nn.Flatten()), head="auto"))


def test_without_a_head_a_network_is_used_as_it_is():
    network = TorchModule(lambda: nn.Sequential(nn.Conv2d(3, 2, 8), nn.Flatten())).build(
        3, (8, 8), 2
    )
    assert len(network) == 2


class Maps(nn.Module):
    """A network that answers with maps, and has no layer that could be replaced but of 1 x 1."""

    def __init__(self, in_channels=3, num_classes=2, kernel_size=3):
        super().__init__()
        self.trunk = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.out = nn.Conv2d(4, num_classes, kernel_size, padding="same")

    def forward(self, images):
        return self.out(torch.relu(self.trunk(images)))


MASKS = (X[..., 0] > 128).astype(np.uint8)


@pytest.fixture(params=[1, 3])
def maps(request, tmp_path):
    """Return the size of the last convolution, the learned network, and its file."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Maps(kernel_size=request.param)
    torch.save(network.state_dict(), tmp_path / "maps.pt")
    return request.param, network, tmp_path / "maps.pt"


@pytest.mark.parametrize(
    ("params", "learns"),
    [
        ({}, ["trunk", "out"]),
        ({"freeze": False}, ["trunk", "out"]),
        ({"freeze": ("trunk",)}, ["out"]),
        ({"head_lr_ratio": 1}, ["trunk", "out"]),
    ],
)
def test_with_head_none_nothing_is_replaced_and_all_weights_are_used(maps, params, learns):
    size, learned, path = maps
    architecture = TorchModule(Maps, weights=path, head=None, kernel_size=size, **params)
    start = architecture.build(3, (8, 8), 2)
    torch.testing.assert_close(dict(start.state_dict()), dict(learned.state_dict()))
    model = fit(architecture, y=MASKS)
    after = dict(model.module_.network.named_children())
    changed = [
        n for n, layer in after.items() if not torch.equal(layer.weight, getattr(learned, n).weight)
    ]
    assert changed == learns
    assert (model.lr_, model.max_epochs_) == (0.0003, 1)
    assert architecture.fine_tuning(start) == FineTuning()
    assert clone(architecture).head is None


def test_with_head_none_the_outputs_of_the_file_have_to_fit_y(maps):
    size, _, path = maps
    message = r"are not weights of Maps, and with head=None all of them have to fit: they have"
    labels = MASKS + (X[..., 1] > 128)
    with pytest.raises(ValueError, match=message + r" in other shapes out\.weight, out\.bias"):
        fit(TorchModule(Maps, weights=path, head=None, kernel_size=size), y=labels)
    fixed = TorchModule(lambda: Maps(kernel_size=size), weights=path, head=None)
    with pytest.raises(ValueError, match=r"shape \(2, 3, 8, 8\), got \(2, 2, 8, 8\)"):
        fit(fixed, y=labels)


def test_a_saved_model_whose_weights_are_all_used_needs_no_weights_file(maps, tmp_path):
    size, _, path = maps
    model = fit(TorchModule(Maps, weights=path, head=None, kernel_size=size), y=MASKS)
    model.save(tmp_path / "model.safetensors")
    path.unlink()
    for given in (
        TorchModule(Maps, weights=path, head=None),
        TorchModule(Maps, weights=path),
        Maps,
    ):
        loaded = CNNClassifier.load(tmp_path / "model.safetensors", architecture=given)
        np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_with_head_none_images_may_have_other_channels(maps):
    size, learned, path = maps
    image = torch.rand(2, 1, 8, 8)
    for factory in (functools.partial(Maps, kernel_size=size), lambda: Maps(kernel_size=size)):
        network = TorchModule(factory, weights=path, head=None).build(1, (8, 8), 2)
        torch.testing.assert_close(network(image), learned(image.expand(-1, 3, -1, -1)))


def test_weights_without_head_none_ask_for_the_layer_that_is_replaced(maps):
    size, _, path = maps
    message = r'head="auto", which is meant with weights=, .* Maps has none\. '
    advice = {1: r"Write head= .* \['out'\]", 3: "write head=None and fit its outputs"}[size]
    with pytest.raises(ValueError, match=message + f".*{advice}"):
        fit(TorchModule(Maps, weights=path, kernel_size=size), y=MASKS)


def test_a_layer_that_answers_nothing_may_be_last_where_none_is_replaced(tmp_path):
    network = TwoHeads()
    torch.save(network.state_dict(), tmp_path / "two.pt")
    given = {"weights": tmp_path / "two.pt", "head": None}
    images, labels = X[np.arange(40) % 12], np.arange(40) % 10
    model = fit(TorchModule(TwoHeads, **given), images, labels, lr=1e-12)
    torch.testing.assert_close(model.module_.network.labels.weight, network.labels.weight)
    with pytest.raises(ValueError, match=r"network.rotation, .* takes no part .*head="):
        fit(TorchModule(TwoHeads, **given, freeze=True), images, labels)


def test_the_trunk_learns_slower_and_later(path):
    architecture = TorchModule(
        Trunk, weights=path, freeze=("conv",), head_lr_ratio=4, unfreeze_after=1
    )
    one = fit(architecture).module_.network
    frozen = {n for n, p in one.named_parameters() if not p.requires_grad}
    assert frozen == {"conv.weight", "conv.bias"}
    ratios = architecture.fine_tuning(one).lr_ratios
    assert ratios == dict.fromkeys(["conv.weight", "conv.bias", "norm.weight", "norm.bias"], 1 / 4)
    both = CNNClassifier(architecture, max_epochs=2, random_state=0).fit(X, Y).module_.network
    assert not torch.equal(both.conv.weight, one.conv.weight)


def test_unfreezing_needs_frozen_parts():
    with pytest.raises(ValueError, match="unfreeze_after=1 has no effect with freeze=False"):
        fit(TorchModule(Trunk, unfreeze_after=1))
    net = Trunk(num_classes=3)
    net.conv.requires_grad_(False)
    model = CNNClassifier(TorchModule(net, unfreeze_after=1), max_epochs=2, random_state=0)
    model.fit(X, Y)
    assert not torch.equal(model.module_.network.conv.weight, net.conv.weight)


def test_parameters_can_be_searched_over_and_copied(path):
    architecture = TorchModule(Trunk, weights=path, width=4)
    search = GridSearchCV(
        CNNClassifier(architecture, max_epochs=1, random_state=0),
        {"architecture__freeze": [True, False], "architecture__width": [4]},
        cv=2,
        error_score="raise",
    ).fit(X, Y)
    assert set(search.best_params_) == {"architecture__freeze", "architecture__width"}
    assert clone(architecture).get_params() == architecture.get_params()
    assert str(TorchModule(Trunk, head="fc", width=2)) == "TorchModule(Trunk, head='fc', width=2)"


def test_a_constructors_own_argument_of_such_a_name_is_set_by_a_partial():
    def factory(in_channels, num_classes, mean=0.0):
        network = Trunk(in_channels, num_classes=num_classes)
        nn.init.constant_(network.fc.weight, mean)
        return network

    fixed = TorchModule(functools.partial(factory, mean=3.0)).build(3, (8, 8), 2)
    assert (fixed.fc.weight == 3).all()
    renamed = TorchModule(lambda in_channels, center=1.0: factory(in_channels, 2, center), center=2)
    assert (renamed.build(3, (8, 8), 2).fc.weight == 2).all()


def test_what_cannot_be_read_is_refused_before_an_image_is_opened(path, tmp_path):
    missing = [str(tmp_path / "none.png")] * 4
    with pytest.raises(FileNotFoundError, match="no file of weights"):
        fit(TorchModule(Trunk, weights=tmp_path / "other.pth"), missing, [0, 1, 0, 1])
    with pytest.raises(ValueError, match="head_lr_ratio"):
        fit(TorchModule(Trunk, weights=path, head_lr_ratio=0), missing, [0, 1, 0, 1])


def test_the_weights_of_another_network_are_shown_beside_its_own_names(path):
    with pytest.raises(ValueError, match=r"are not weights of TwoHeads: they lack ") as caught:
        fit(TorchModule(TwoHeads, weights=path))
    rows = [line.split("  ") for line in str(caught.value).splitlines()]
    table = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert ["conv.weight (4, 3, 3, 3)", "trunk.0.weight (4, 3, 3, 3)"] in table
    with pytest.raises(ValueError, match=r"in other shapes conv\.weight, conv\.bias") as caught:
        fit(TorchModule(Trunk, weights=path, width=6))
    assert "conv.weight (4, 3, 3, 3)  conv.weight (6, 3, 3, 3)" in str(caught.value)


def test_a_saved_model_needs_no_weights_file(path, tmp_path):
    architecture = TorchModule(lambda: Trunk(), weights=path, mean=MEAN, std=STD)
    model = fit(architecture, X[..., :1])
    model.save(tmp_path / "model.safetensors")
    path.unlink()
    for given in architecture, TorchModule(lambda: Trunk()):
        loaded = CNNClassifier.load(tmp_path / "model.safetensors", architecture=given)
        np.testing.assert_array_equal(
            loaded.predict_proba(X[..., :1]), model.predict_proba(X[..., :1])
        )
    # where another fit starts is what was given
    loaded = CNNClassifier.load(tmp_path / "model.safetensors", architecture=architecture)
    assert loaded.architecture.weights == path


def test_a_backbone_can_be_the_source_of_another_one():
    from sklearn.frozen import FrozenEstimator

    source = fit(TorchModule(TwoHeads, head="labels"))
    tuned = fit(Finetuned(FrozenEstimator(source)), y=Y % 2)
    assert tuned.module_.network.labels.out_features == 2
    assert tuned.transform(X).shape == (12, 4)


# ------------------------------------------------------------------- a network learned on ImageNet


def test_efficientnet_of_another_library_knows_what_is_on_a_photo():
    network = lite0().build(3, (224, 224), 1000).eval()
    assert len(network.state_dict()) == len(torch.load(lite0_file(), weights_only=True))
    china, _ = load_sample_images().images
    photo = torch.tensor(china[:, 100:527]).permute(2, 0, 1)[None].float()
    photo = nn.functional.interpolate(photo, (224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        best = network((photo - 127) / 128).argmax().item()
    # the summer palace of Beijing: ImageNet's class "palace"
    assert best == 698


def test_efficientnet_learns_with_a_frozen_trunk():
    photos = [photo[::4, ::4] for photo in load_sample_images().images]
    images = np.stack([p[i : i + 64, i : i + 64] for p in photos for i in range(0, 40, 4)])
    labels = np.repeat([0, 1], 10)
    model = CNNClassifier(lite0(freeze=True), max_epochs=8, random_state=0).fit(images, labels)
    assert model.score(images, labels) == 1
    assert model.transform(images[:2]).shape == (2, 1280)
    torch.testing.assert_close(model.module_.standardize.mean.flatten(), torch.full((3,), 127.0))
    counts = CNNRegressor(lite0(freeze=True), max_epochs=1, random_state=0).fit(images, labels)
    assert counts.module_.network._fc.out_features == 1


def test_weights_of_another_efficientnet_are_refused():
    from efficientnet_lite_pytorch import EfficientNet

    with pytest.raises(ValueError, match="are not weights of EfficientNet"):
        fit(TorchModule(lambda: EfficientNet.from_name("efficientnet-lite1"), weights=lite0_file()))

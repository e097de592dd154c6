"""torchvision's networks: each of its families is built, trained a step and refused."""

import copy

import numpy as np
import pytest
import torch
import torchvision
from drawn_pixels import shapes
from safetensors.torch import save_file
from sklearn.frozen import FrozenEstimator
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import Finetuned, TorchvisionModel, as_architecture
from sklearn_cnn.architectures._heads import as_stem_weight, last_linear_name
from sklearn_cnn.architectures._torchvision import torchvision_names
from sklearn_cnn.images import pixel_statistics
from sklearn_cnn.inspection import attributions

TORCH = torch.torch_version.TorchVersion(torch.__version__)
READS_PTH = pytest.mark.skipif(TORCH < (2, 10), reason="torch.load is not safe below 2.10")

# Smallest side in pixels that a family takes; 1 for those that are not here.
SMALLEST = {
    "alexnet": 63,
    "convnext": 32,
    "densenet": 29,
    "googlenet": 15,
    "inception": 75,
    "maxvit": 224,
    "squeezenet1_0": 21,
    "squeezenet1_1": 17,
    "swin": 4,
    "vgg": 32,
    "vit_b_16": 16,
    "vit_b_32": 32,
    "vit_l_16": 16,
    "vit_l_32": 32,
    "vit_h_14": 14,
}

# One of each family, the smallest; benchmarks/torchvision_models.py trains all 80.
TRAINED = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "resnet18",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5",
    "squeezenet1_0",
    "squeezenet1_1",
    "swin_t",
    "swin_v2_t",
    "vgg11",
    "vit_b_32",
    "wide_resnet50_2",
]

# More parameters than these have to be made with values, which takes seconds each.
LARGEST_BUILT = 20e6

NAMES = torchvision_names()


def smallest_side(name):
    return next((side for family, side in SMALLEST.items() if name.startswith(family)), 1)


def n_parameters_of(name):
    return torchvision.models.get_model_weights(name).DEFAULT.meta["num_params"]


def images(side, n=4, channels=2, dtype=np.uint8):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, side, side, channels)).astype(dtype)


def test_every_family_is_trained():
    def family(name):
        return name.rstrip("0123456789_").split("_")[0].rstrip("0123456789")

    assert {family(name) for name in NAMES} == {family(name) for name in TRAINED}


@pytest.mark.parametrize("name", TRAINED)
def test_a_step_of_training_at_the_smallest_size(name):
    side = smallest_side(name)
    # plain SGD keeps no state, which for 130 million parameters is a gigabyte
    model = CNNClassifier(
        name, optimizer=torch.optim.SGD, lr=1e-4, max_epochs=1, batch_size=4, random_state=0
    )
    model.fit(images(side), ["a", "b", "c", "a"])
    assert model.n_outputs_ == 3
    assert np.isfinite(model.loss_curve_).all()
    assert model.transform(images(side, 1)).shape[0] == 1


@pytest.mark.skipif(TORCH < (2, 6), reason="torch 2.5 computes on images without pixels")
@pytest.mark.parametrize(
    "name",
    [n for n in NAMES if smallest_side(n) > 1 and (n in TRAINED or n.startswith("vit_"))],
)
def test_smaller_images_are_refused_with_the_smallest_size(name):
    side = smallest_side(name)
    message = rf"{name} cannot take images of {side - 1} x {side - 1}: it needs at least "
    with pytest.raises(ValueError, match=message + f"{side} x {side}"):
        TorchvisionModel(name).build(3, (side - 1, side - 1), 2)


@pytest.mark.parametrize("name", [n for n in NAMES if n_parameters_of(n) <= LARGEST_BUILT])
def test_stem_and_head_suit_the_data(name):
    side = max(smallest_side(name), 32)
    network = TorchvisionModel(name).build(5, (side, side), 7).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 5, side, side)).shape == (1, 7)
    assert network.get_submodule(last_linear_name(network)).out_features == 7


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("vit_b_32", (40, 40), r"multiples of 32\. Write image_shape=\(64, 64\)"),
        ("vit_b_32", (64, 32), "square images"),
        ("maxvit_t", (256, 256), r"multiples of 224\. Write image_shape=\(448, 448\)"),
    ],
)
def test_networks_of_windows_say_which_sizes_they_take(name, size, message):
    with pytest.raises(ValueError, match=message):
        TorchvisionModel(name).build(3, size, 2)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no classification model named 'resnet19'.*'resnet18'"):
        TorchvisionModel("resnet19").build(3, (32, 32), 2)


def test_a_regressor_takes_them_too():
    model = CNNRegressor("squeezenet1_1", max_epochs=1, image_shape=(17, 17), random_state=0)
    model.fit(images(20), [0.0, 1.0, 2.0, -5.0])
    assert model.predict(images(20)).shape == (4,)


# ------------------------------------------------------------------------------ learned weights


@pytest.fixture
def resnet():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torchvision.models.resnet18().eval()


@pytest.fixture
def downloaded(resnet, tmp_path, monkeypatch):
    """Put weights where torchvision keeps what it downloaded."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url = torchvision.models.ResNet18_Weights.DEFAULT.url
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(resnet.state_dict(), folder / url.rpartition("/")[2])
    return resnet


@pytest.mark.parametrize(
    "weights", ["DEFAULT", "IMAGENET1K_V1", torchvision.models.ResNet18_Weights.IMAGENET1K_V1]
)
def test_torchvisions_weights_by_name(downloaded, weights):
    network = TorchvisionModel("resnet18", weights=weights).build(3, (32, 32), 1000).eval()
    image = torch.rand(2, 3, 32, 32)
    assert torch.equal(network(image), downloaded(image))


def test_weights_of_another_network_by_name_are_refused():
    other = torchvision.models.VGG11_Weights.DEFAULT
    with pytest.raises(ValueError, match=r"are not those of resnet18, which are \['IMAGENET1K_V1'"):
        TorchvisionModel("resnet18", weights=other).build(3, (32, 32), 2)
    with pytest.raises(ValueError, match=r"'IMAGENET1K_V9' is neither a file nor a name"):
        TorchvisionModel("resnet18", weights="IMAGENET1K_V9").build(3, (32, 32), 2)


@pytest.mark.parametrize("suffix", [pytest.param(".pth", marks=READS_PTH), ".safetensors"])
def test_weights_out_of_a_file(resnet, tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    (torch.save if suffix == ".pth" else save_file)(resnet.state_dict(), path)
    network = TorchvisionModel("resnet18", weights=path).build(3, (32, 32), 1000).eval()
    image = torch.rand(2, 3, 32, 32)
    assert torch.equal(network(image), resnet(image))


@pytest.mark.parametrize(
    "name", ["densenet121", "efficientnet_b0", "mnasnet0_5", "mobilenet_v3_small", "squeezenet1_1"]
)
def test_weights_of_other_families_out_of_a_file(name, tmp_path):
    trained = torchvision.models.get_model(name)
    save_file(trained.state_dict(), tmp_path / "weights.safetensors")
    weights = tmp_path / "weights.safetensors"
    network = TorchvisionModel(name, weights=weights).build(3, (32, 32), 5)
    ours, theirs = network.state_dict(), trained.state_dict()
    head = last_linear_name(network)
    trunk = [n for n in ours if not n.startswith(f"{head}.")]
    assert all(torch.equal(ours[n], theirs[n]) for n in trunk)


def test_a_head_of_another_size_is_new(downloaded):
    network = TorchvisionModel("resnet18", weights="DEFAULT").build(3, (32, 32), 5)
    ours, theirs = network.state_dict(), downloaded.state_dict()
    assert ours["fc.weight"].shape == (5, 512)
    assert all(torch.equal(ours[n], theirs[n]) for n in theirs if not n.startswith("fc."))


def test_a_gray_image_gives_what_the_same_image_in_equal_colours_gave(downloaded):
    gray = TorchvisionModel("resnet18", weights="DEFAULT").build(1, (32, 32), 1000).eval()
    image = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(
        gray(image), downloaded(image.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 7])
def test_weights_of_a_stem_keep_their_sum(channels):
    weight = torch.rand(4, 3, 5, 5, dtype=torch.float64)
    adapted = as_stem_weight(weight, channels)
    assert adapted.shape == (4, channels, 5, 5)
    if channels % 3 == 0 or channels == 1:
        torch.testing.assert_close(adapted.sum(dim=1), weight.sum(dim=1))


@pytest.mark.usefixtures("downloaded")
def test_pixels_are_standardized_as_the_weights_expect():
    X, y = images(32, channels=3), [0, 1, 0, 1]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    architecture = TorchvisionModel("resnet18", weights="DEFAULT")
    for unit in 255, 1:
        pixels = X if unit == 255 else (X / np.float32(255))
        model = CNNClassifier(architecture, max_epochs=1, random_state=0).fit(pixels, y)
        layer = model.module_.standardize
        torch.testing.assert_close(layer.mean.flatten(), mean * unit)
        torch.testing.assert_close(layer.std.flatten(), std * unit)


@pytest.mark.usefixtures("downloaded")
def test_floats_that_are_no_pixels_are_refused():
    architecture = TorchvisionModel("resnet18", weights="DEFAULT")
    with pytest.raises(ValueError, match=r"floats from .* to .*uint8 from 0 to 255, or as floats"):
        CNNClassifier(architecture).fit(images(32, channels=3, dtype=np.float32), [0, 1, 0, 1])


def test_inception_gets_the_pixels_of_its_own_transformation():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torchvision.models.googlenet(
            aux_logits=False, transform_input=True, init_weights=False
        ).eval()
    ours = torchvision.models.googlenet(aux_logits=False, init_weights=False).eval()
    ours.load_state_dict(theirs.state_dict())
    pixels = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    standardize = TorchvisionModel("googlenet", weights="DEFAULT").standardization(
        pixel_statistics(pixels.permute(0, 2, 3, 1), torch.arange(1))
    )
    with torch.no_grad():
        torch.testing.assert_close(
            ours(standardize(pixels)), theirs((pixels / 255 - mean) / std), rtol=1e-3, atol=1e-4
        )


def test_auxiliary_heads_of_a_file_are_left_out(tmp_path):
    trained = torchvision.models.googlenet(aux_logits=True, init_weights=False)
    save_file(trained.state_dict(), tmp_path / "weights.safetensors")
    weights = tmp_path / "weights.safetensors"
    network = TorchvisionModel("googlenet", weights=weights).build(3, (64, 64), 2)
    assert torch.equal(network.conv1.conv.weight, trained.conv1.conv.weight)


def test_positions_are_interpolated_to_the_size_of_the_images(tmp_path):
    trained = torchvision.models.vit_b_32(image_size=96)
    nn.init.normal_(trained.encoder.pos_embedding)
    save_file(trained.state_dict(), tmp_path / "weights.safetensors")
    architecture = TorchvisionModel("vit_b_32", weights=tmp_path / "weights.safetensors")
    positions = architecture.build(3, (64, 64), 2).encoder.pos_embedding
    assert positions.shape == (1, 1 + 2 * 2, 768)
    before = trained.encoder.pos_embedding
    assert torch.equal(positions[:, 0], before[:, 0])
    # the corners of the 3 x 3 patches become those of the 2 x 2
    torch.testing.assert_close(positions[:, 1:], before[:, [1, 3, 7, 9]])


# ------------------------------------------------------------------------------------- freezing


def test_a_frozen_trunk_does_not_change_and_the_head_does(downloaded):
    X, y = images(32, 8, channels=3), np.arange(8) % 2
    architecture = TorchvisionModel("resnet18", weights="DEFAULT", freeze=True)
    model = CNNClassifier(architecture, max_epochs=2, random_state=0).fit(X, y)
    learned, before = model.module_.network.state_dict(), downloaded.state_dict()
    assert all(torch.equal(learned[n], before[n]) for n in before if not n.startswith("fc."))
    fresh = CNNClassifier(architecture, lr=1e-12, max_epochs=1, random_state=0).fit(X, y)
    assert not torch.allclose(learned["fc.weight"], fresh.module_.network.fc.weight)
    assert [len(group["params"]) for group in model.net_.optimizer_.param_groups] == [1, 1]
    assert all(p.grad is None for n, p in model.module_.network.named_parameters() if "fc" not in n)


@pytest.mark.usefixtures("downloaded")
def test_named_parts_are_frozen():
    network = TorchvisionModel("resnet18", weights="DEFAULT", freeze=("conv1", "layer1.0")).build(
        3, (32, 32), 2
    )
    frozen = {n for n, p in network.named_parameters() if not p.requires_grad}
    assert "conv1.weight" in frozen
    assert all(n.startswith(("conv1.", "layer1.0.")) for n in frozen)


@pytest.mark.usefixtures("downloaded")
def test_an_unknown_part_is_named_with_the_parts():
    architecture = TorchvisionModel("resnet18", weights="DEFAULT", freeze=("layer9",))
    with pytest.raises(ValueError, match=r"no part named 'layer9'.*'layer1', 'layer2'"):
        architecture.build(3, (32, 32), 2)


def test_unfreezing_of_what_is_not_frozen_is_refused():
    with pytest.raises(ValueError, match="unfreeze_after=3 has no effect with freeze=False"):
        TorchvisionModel("resnet18", unfreeze_after=3).build(3, (32, 32), 2)


# networks that return maps


SEGMENTATION = ["lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large", "fcn_resnet50"]


@pytest.mark.parametrize("name", SEGMENTATION)
def test_networks_for_segmentation_return_logits_of_each_pixel(name):
    model = as_architecture(name)
    assert model.output == "map"
    network = model.build(2, (40, 50), 3).train()
    assert network(torch.rand(2, 2, 40, 50)).shape == (2, 3, 40, 50)
    assert not any("aux" in part for part, _ in network.named_modules())
    assert all(network.get_submodule(head).out_channels == 3 for head in model.head_names(network))


@pytest.mark.parametrize("name", SEGMENTATION[:2])
@pytest.mark.parametrize("n_outputs", [2, 21])
def test_weights_of_networks_for_segmentation_out_of_a_file(name, n_outputs, tmp_path):
    learned = torchvision.models.get_model(name, num_classes=21, weights_backbone=None)
    save_file(learned.state_dict(), tmp_path / "weights.safetensors")
    model = TorchvisionModel(name, weights=tmp_path / "weights.safetensors")
    assert model.recommended_size() is None
    network = model.build(3, (32, 32), n_outputs)
    heads = model.head_names(network)
    for part, weight in network.state_dict().items():
        if n_outputs == 21 or part.rpartition(".")[0] not in heads:
            assert torch.equal(weight, learned.state_dict()[part])
    learning = {
        part.rpartition(".")[0] for part, p in network.named_parameters() if p.requires_grad
    }
    assert learning == set(heads)


# their auxiliary heads


WITH_AUX = TorchvisionModel("deeplabv3_mobilenet_v3_large", aux_loss=True)


@pytest.fixture(scope="module")
def masked():
    return shapes(6, size=(32, 32))


@pytest.fixture(scope="module")
def with_aux(masked):
    return CNNClassifier(WITH_AUX, max_epochs=1, batch_size=6, random_state=0).fit(*masked)


def same_weights(first, second):
    first, second = first.module_.state_dict(), second.module_.state_dict()
    return all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("name", SEGMENTATION[1:])
def test_an_auxiliary_head_computes_in_training_what_torchvisions_own_does(name):
    theirs = torchvision.models.get_model(name, num_classes=3, weights_backbone=None, aux_loss=True)
    ours = TorchvisionModel(name, aux_loss=True).build(3, (32, 48), 3)
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(2, 3, 32, 48)
    outputs = []
    for network in ours, theirs:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            outputs.append(network.train()(images))
    assert outputs[0].keys() == outputs[1].keys()
    assert all(torch.equal(outputs[0][head], outputs[1][head]) for head in outputs[1])
    assert torch.equal(ours.eval()(images), theirs.eval()(images)["out"])


def test_nothing_but_training_computes_an_auxiliary_head(masked, with_aux):
    calls, X = [], masked[0]
    # copies of the network take the hook with them
    handle = with_aux.module_.network.aux_classifier.register_forward_hook(
        lambda *_: calls.append(1)
    )
    try:
        with_aux.predict(X), with_aux.transform(X), with_aux.score(*masked)
        for method in "hires_cam", "occlusion":
            attributions(with_aux, X[:1], method=method, target=1)
        with_aux.export_module()(torch.from_numpy(X))
        assert calls == []
        with_aux.module_.train()(torch.from_numpy(X)[:, None])
        assert calls == [1]
    finally:
        handle.remove()
        with_aux.module_.eval()


def test_a_saved_auxiliary_head_goes_on_learning(masked, with_aux, tmp_path):
    with_aux.save(tmp_path / "model.cnn")
    models = [copy.deepcopy(with_aux), CNNClassifier.load(tmp_path / "model.cnn")]
    for model in models:
        model.partial_fit(*masked).set_params(warm_start=True).fit(*masked)
    assert same_weights(*models)
    before, after = (model.module_.network.aux_classifier for model in (with_aux, models[0]))
    assert not torch.equal(before[-1].weight, after[-1].weight)


@pytest.mark.parametrize("n_outputs", [3, 21])
@pytest.mark.parametrize("aux_loss", [True, False])
def test_the_auxiliary_head_of_a_file_is_kept_if_it_is_asked_for(tmp_path, n_outputs, aux_loss):
    learned = torchvision.models.get_model(
        WITH_AUX.name, num_classes=21, weights_backbone=None, aux_loss=True
    ).state_dict()
    save_file(learned, tmp_path / "weights.safetensors")
    model = TorchvisionModel(
        WITH_AUX.name, weights=tmp_path / "weights.safetensors", aux_loss=aux_loss
    )
    network = model.build(3, (32, 32), n_outputs)
    state, heads = network.state_dict(), model.head_names(network)
    assert heads == (("aux_classifier.4",) if aux_loss else ()) + ("classifier.4",)
    assert any(name.startswith("aux_classifier") for name in state) == aux_loss
    for part, weight in state.items():
        if n_outputs == 21 or part.rpartition(".")[0] not in heads:
            assert torch.equal(weight, learned[part])
        else:
            assert len(weight) == n_outputs
    # both last layers learn first, and faster than the rest
    learning = {p.rpartition(".")[0] for p, w in network.named_parameters() if w.requires_grad}
    assert learning == set(heads)
    plan = model.fine_tuning(network)
    slow = {name.rpartition(".")[0] for name in plan.lr_ratios}
    assert slow.isdisjoint(heads)
    assert "backbone.0.0" in slow


def test_a_file_without_an_auxiliary_head_is_refused_where_it_is_asked_for(tmp_path):
    learned = torchvision.models.get_model(WITH_AUX.name, num_classes=3, weights_backbone=None)
    save_file(learned.state_dict(), tmp_path / "weights.safetensors")
    model = TorchvisionModel(WITH_AUX.name, weights=tmp_path / "weights.safetensors", aux_loss=True)
    with pytest.raises(ValueError, match="they lack aux_classifier"):
        model.build(3, (32, 32), 3)


def test_an_auxiliary_head_is_new_for_another_task(masked, with_aux):
    X, masks = masked
    tuned = CNNClassifier(Finetuned(FrozenEstimator(with_aux)), max_epochs=1, random_state=0)
    network = tuned.fit(X, masks > 0).module_.network
    assert len(network.aux_classifier[-1].weight) == len(network.classifier[-1].weight) == 2


@pytest.mark.parametrize("name", ["lraspp_mobilenet_v3_large", "resnet18"])
def test_networks_without_an_auxiliary_head_are_named(name):
    with pytest.raises(ValueError, match=rf"aux_loss=True .* {name} does not have"):
        CNNClassifier(TorchvisionModel(name, aux_loss=True)).fit(images(32), [0, 1, 0, 1])

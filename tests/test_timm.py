"""timm's networks: by name, from scratch, and from learned weights."""

import builtins
import functools

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from sklearn.model_selection import GridSearchCV

from sklearn_cnn import CNNClassifier, CNNFeatures, CNNRegressor, ImageReader
from sklearn_cnn.architectures import Finetuned, TimmModel, TorchModule, TorchvisionModel

timm = pytest.importorskip("timm", reason="needs timm (extra test)")

X = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
Y = np.arange(12) % 3
# Networks of several families that timm keeps for tests.
SMALL = ["test_vit", "test_resnet", "test_efficientnet", "test_convnext"]
# younger than the lowest version
SMALL += timm.list_models("test_maxvit")


def fit(architecture, images=X, y=Y, **params):
    return CNNClassifier(architecture, max_epochs=1, random_state=0, **params).fit(images, y)


@pytest.fixture
def learned():
    """Return a function that makes a network with weights, and its file."""

    def make(name, path, **arguments):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = timm.create_model(name, **arguments).eval()
        save_file(network.state_dict(), path)
        return network

    return make


def test_a_search_over_names():
    search = GridSearchCV(
        CNNClassifier(TimmModel("test_vit"), max_epochs=1, random_state=0),
        {"architecture__name": SMALL},
        cv=2,
        error_score="raise",
    ).fit(X, Y)
    assert search.best_params_["architecture__name"] in SMALL
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("name", [*SMALL, "deit_tiny_distilled_patch16_224", "levit_128s"])
@pytest.mark.parametrize("channels", [1, 5])
def test_networks_are_made_for_channels_size_and_outputs(name, channels):
    network = TimmModel(name, freeze=True).build(channels, (64, 64), 7).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, channels, 64, 64)).shape == (1, 7)
    heads = TimmModel(name).head_names(network)
    assert {n for n, p in network.named_parameters() if p.requires_grad} == {
        f"{head}.{part}" for head in heads for part in ("weight", "bias")
    }
    assert all(network.get_submodule(head).out_features == 7 for head in heads)


def test_features_are_the_input_of_the_classifier():
    model = CNNRegressor(TimmModel("test_convnext"), max_epochs=1, random_state=0).fit(X, Y)
    network = model.module_.network
    images = torch.from_numpy(X).permute(0, 3, 1, 2)
    with torch.no_grad():
        maps = network.forward_features(model.module_.standardize(images))
        expected = network.forward_head(maps, pre_logits=True)
    np.testing.assert_allclose(model.transform(X), expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_weights_out_of_a_file(name, learned, tmp_path):
    theirs = learned(name, tmp_path / "w.safetensors", num_classes=11)
    # what the file's outputs are for is kept where y has as many
    kwargs = {"img_size": (160, 160)} if name == "test_vit" else {}
    theirs.load_state_dict(timm.create_model(name, num_classes=11, **kwargs).state_dict())
    save_file(theirs.state_dict(), tmp_path / "w.safetensors")
    architecture = TimmModel(name, weights=tmp_path / "w.safetensors")
    ours = architecture.build(3, (160, 160), 11).eval()
    image = torch.rand(1, 3, 160, 160)
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(image))
    other = architecture.build(3, (160, 160), 2)
    [head] = architecture.head_names(other)
    trunk = [n for n in theirs.state_dict() if not n.startswith(f"{head}.")]
    assert all(torch.equal(other.state_dict()[n], theirs.state_dict()[n]) for n in trunk)
    assert other.get_submodule(head).out_features == 2


def test_positions_are_interpolated_and_gray_images_taken(learned, tmp_path):
    theirs = learned("test_vit", tmp_path / "w.safetensors")
    network = TimmModel("test_vit", weights=tmp_path / "w.safetensors").build(1, (64, 64), 3)
    assert network.pos_embed.shape[1] == 1 + 4 * 4
    torch.testing.assert_close(
        network.patch_embed.proj.weight, theirs.patch_embed.proj.weight.sum(dim=1, keepdim=True)
    )
    assert network.eval()(torch.zeros(1, 1, 64, 64)).shape == (1, 3)


@pytest.mark.parametrize("name", ["test_vit", "test_efficientnet", "test_convnext"])
@pytest.mark.parametrize("n_outputs", [2, 1000])
def test_the_weights_of_another_network_are_refused(name, n_outputs, learned, tmp_path):
    learned("test_resnet", tmp_path / "w.safetensors")
    architecture = TimmModel(name, weights=tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=f"are not weights of {name}: they lack ") as caught:
        architecture.build(3, (32, 32), n_outputs)
    # names of both, side by side
    table = str(caught.value).splitlines()[1:]
    assert table[0].split() == ["in", "the", "weights", "in", "the", "network"]
    assert all("-" not in line.split() for line in table)


def test_pixels_are_standardized_as_timm_says(learned, tmp_path):
    learned("test_vit", tmp_path / "w.safetensors")
    layer = fit(TimmModel("test_vit", weights=tmp_path / "w.safetensors")).module_.standardize
    known = timm.models.get_pretrained_cfg("test_vit")
    torch.testing.assert_close(layer.mean.flatten(), torch.tensor(known.mean) * 255)
    torch.testing.assert_close(layer.std.flatten(), torch.tensor(known.std) * 255)
    with pytest.raises(ValueError, match="were trained on pixels from 0 to 1"):
        fit(TimmModel("test_vit", weights=tmp_path / "w.safetensors"), X.astype(float))


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_a_photo_is_resized_and_standardized_as_timm_does_it(name, learned, tmp_path):
    learned(name, tmp_path / "w.safetensors")
    architecture = TimmModel(name, weights=tmp_path / "w.safetensors")
    photo = Image.fromarray(load_sample_image("flower.jpg"))
    small = photo.resize((100, 80))
    # photos of several sizes get the size of the weights
    features = CNNFeatures(architecture, layer="penultimate").fit([photo, small])
    known = timm.models.get_pretrained_cfg(name)
    assert known.interpolation == {"test_vit": "bicubic", "test_resnet": "bilinear"}[name]
    assert features.image_shape_ == (160, 160, 3)
    transform = timm.data.create_transform(
        known.input_size,
        mean=known.mean,
        std=known.std,
        interpolation=known.interpolation,
        crop_pct=1.0,
        crop_mode="squash",
    )
    reader = ImageReader(
        (160, 160), interpolation=architecture.recommended_interpolation(), flatten=False
    )
    pixels = torch.from_numpy(reader.fit_transform([photo, small]))
    ours = features.module_.standardize(pixels.permute(0, 3, 1, 2))
    theirs = torch.stack([transform(photo), transform(small)])
    level = 1 / 255 / min(known.std)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1.01 * level)
    expected = CNNFeatures(architecture).fit_transform(pixels.numpy())
    np.testing.assert_allclose(features.transform([photo, small]), expected, rtol=1e-4, atol=1e-5)
    assert TimmModel(name).recommended_interpolation() == "bilinear"


def test_the_trunk_learns_slower_and_later(learned, tmp_path):
    learned("test_resnet", tmp_path / "w.safetensors")
    architecture = TimmModel(
        "test_resnet",
        weights=tmp_path / "w.safetensors",
        freeze=True,
        head_lr_ratio=5,
        unfreeze_after=1,
    )
    network = fit(architecture).module_.network
    ratios = architecture.fine_tuning(network).lr_ratios
    assert set(ratios.values()) == {1 / 5}
    names = {name for name, _ in network.named_parameters()}
    assert names - ratios.keys() == {"fc.weight", "fc.bias"}


def test_a_saved_model_needs_no_weights(learned, tmp_path):
    learned("test_vit", tmp_path / "w.safetensors")
    # which is resized in bicubic interpolation
    photos = [Image.fromarray(image).resize((50, 40)) for image in X]
    weights = str(tmp_path / "w.safetensors")
    model = fit(TimmModel("test_vit", weights=weights), photos, image_shape=(32, 32))
    model.save(tmp_path / "model.safetensors")
    (tmp_path / "w.safetensors").unlink()
    loaded = CNNClassifier.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(photos), model.predict_proba(photos))
    reader = ImageReader((32, 32), interpolation="bicubic", flatten=False)
    pixels = reader.fit_transform(photos)
    np.testing.assert_array_equal(loaded.predict_proba(photos), loaded.predict_proba(pixels))
    tuned = Finetuned(tmp_path / "model.safetensors").resolve()
    assert tuned.recommended_interpolation() == "bicubic"
    assert loaded.architecture.get_params() == model.architecture.get_params()


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (TimmModel("test_vitt"), r"no model named 'test_vitt'.*similar ones are \['test_byobnet'"),
        (TimmModel("hf-hub:timm/test_vit.r160_in1k"), "no model named 'hf-hub:"),
        (TimmModel("test_vit.other"), r"no model named 'test_vit\.other'"),
        (TimmModel("test_vit", weights="in1k"), r"nor a tag .*\['test_vit\.r160_in1k'\]"),
        (TimmModel("test_vit", head_lr_ratio=0), "head_lr_ratio"),
        (TimmModel("test_vit", unfreeze_after=1), "no effect with freeze=False"),
    ],
)
def test_what_cannot_be_is_refused(architecture, message):
    with pytest.raises(ValueError, match=message):
        fit(architecture)


def test_sizes_that_a_network_cannot_take_are_refused():
    with pytest.raises(ValueError, match="images of 8 x 8"):
        fit(TimmModel("test_vit"), X[:, :8, :8])


def test_without_timm_the_extra_is_named(monkeypatch):
    usual = builtins.__import__

    def without_timm(name, *args):
        if name == "timm":
            raise ImportError("No module named 'timm'")
        return usual(name, *args)

    monkeypatch.setattr(builtins, "__import__", without_timm)
    with pytest.raises(ImportError, match=r'pip install "sklearn-cnn\[timm\]"'):
        fit(TimmModel("test_vit"))


def test_without_internet_an_error_says_what_to_do(monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    advice = (
        r"cannot be downloaded .*huggingface\.co/timm/test_vit\.r160_in1k/resolve/main/"
        r"model\.safetensors on another machine; pass the file, weights='path/to/model\.safet"
    )
    for weights in True, "r160_in1k":
        with pytest.raises(OSError, match=advice):
            fit(TimmModel("test_vit", weights=weights))


def test_without_internet_torchvisions_weights_say_what_to_do(monkeypatch, tmp_path):
    from urllib.error import URLError

    def refuse(*_args, **_kwargs):
        raise URLError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    file = r"resnet18-f37072fd\.pth"
    advice = rf"fetch https://.*/{file} on .* copy it to '{tmp_path}.*/{file}', or pass the file"
    with pytest.raises(OSError, match=advice):
        fit(TorchvisionModel("resnet18", weights="DEFAULT"))


@pytest.mark.parametrize("channels", [1, 3])
def test_functions_of_timm_are_passed_the_facts_that_they_do_not_name(channels):
    for function in (functools.partial(timm.create_model, "resnet10t"), timm.models.resnet10t):
        network = TorchModule(function).build(channels, (32, 32), 4)
        assert network(torch.zeros(2, channels, 32, 32)).shape == (2, 4)

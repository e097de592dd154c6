"""CNNFeatures: what a network sees in images, for any scikit-learn estimator."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from image_files import noise, write_images
from learned import lite0
from listed import Listed
from PIL import Image
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from sklearn_cnn import CNNClassifier, CNNFeatures, ImageReader
from sklearn_cnn.architectures import ConvNet, TorchModule, TorchvisionModel, UNet
from sklearn_cnn.runtime import progress

N = 12
IMAGES = np.stack([noise(9, 8, seed=seed) for seed in range(N)])
Y = np.arange(N) % 2


class Trunk(nn.Sequential):
    """A small network for images of any number of channels and of any size."""

    def __init__(self, in_channels, width=6):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, width, 3, padding=1)
        self.act = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(width, 1000)


def backbone(in_channels=3):
    """A module that has learned, as far as anybody can know."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Trunk(in_channels)


@pytest.fixture
def paths(tmp_path):
    return write_images(tmp_path / "images", IMAGES)


@parametrize_with_checks([CNNFeatures(TorchModule(Trunk, head="auto"))])
@pytest.mark.filterwarnings("ignore")
def test_contract(estimator, check):
    check(estimator)


def test_features_are_the_input_of_the_last_layer(paths):
    network = backbone()
    features = CNNFeatures(network).fit(paths)
    found = features.transform(paths)
    assert found.dtype == np.float32
    pixels = torch.from_numpy(IMAGES).permute(0, 3, 1, 2).double()
    mean, std = pixels.mean((0, 2, 3), True), pixels.std((0, 2, 3), correction=0, keepdim=True)
    with torch.no_grad():
        expected = ((pixels - mean) / std).float()
        for layer in list(network)[:-1]:
            expected = layer(expected)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)
    assert features.get_feature_names_out().tolist() == [f"cnnfeatures{i}" for i in range(6)]
    assert features.image_shape_ == (9, 8, 3)


def test_nothing_is_learned_of_y_and_nothing_trained(paths):
    network = backbone()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first = CNNFeatures(network).fit_transform(paths, Y)
    second = CNNFeatures(network).fit(paths).transform(paths)
    assert np.array_equal(first, second)
    assert all(torch.equal(t, before[n]) for n, t in network.state_dict().items())


@pytest.mark.parametrize(("layer", "n"), [("conv", 6), ("act", 6), ("pool", 6), ("fc", 1000)])
def test_any_layer_by_name_averaged_over_pixels(layer, n):
    assert CNNFeatures(backbone(), layer=layer).fit_transform(IMAGES).shape == (N, n)


def test_maps_of_a_layer_are_averaged():
    network, images = backbone(), IMAGES / np.float32(255)
    architecture = TorchModule(network, mean=(0,) * 3, std=(1,) * 3)
    found = CNNFeatures(architecture, layer="conv").fit_transform(images)
    with torch.no_grad():
        maps = network.conv(torch.from_numpy(images).permute(0, 3, 1, 2))
    np.testing.assert_allclose(found, maps.mean((2, 3)).numpy(), rtol=1e-4, atol=1e-6)


def test_tokens_and_maps_with_channels_last_are_averaged():
    class Last(nn.Module):
        def forward(self, x):
            return x.permute(0, 2, 3, 1)

    def make(in_channels):
        layers = nn.Sequential(nn.Conv2d(in_channels, 5, 3), Last(), nn.Flatten(1, 2))
        layers.append(nn.Linear(5, 4))
        return layers

    square = IMAGES[:, :8]
    by_maps = CNNFeatures(make(3), layer="0").fit(square)
    for layer in "1", "2", "penultimate":
        other = clone(by_maps).set_params(layer=layer)
        np.testing.assert_allclose(
            other.fit_transform(square), by_maps.transform(square), rtol=1e-4, atol=1e-6
        )


def test_an_unknown_layer_is_named_with_the_layers():
    with pytest.raises(ValueError, match=r"layer='conv9' is neither .* \['conv', 'act', 'pool'"):
        CNNFeatures(backbone(), layer="conv9").fit(IMAGES)


def test_random_weights_warn_and_are_the_same_each_time():
    with pytest.warns(UserWarning, match=r"ConvNet\(\) has random weights"):
        first = CNNFeatures("convnet").fit_transform(IMAGES)
    with pytest.warns(UserWarning, match="random weights"):
        assert np.array_equal(CNNFeatures(ConvNet()).fit_transform(IMAGES), first)


def test_in_a_pipeline_with_a_cache(paths, tmp_path, monkeypatch):
    computed, compute = [], CNNFeatures._features

    def count(self, images, **how):
        computed.append(len(images))
        return compute(self, images, **how)

    monkeypatch.setattr(CNNFeatures, "_features", count)
    torch.save(backbone().state_dict(), tmp_path / "w.pth")
    architecture = TorchModule(Trunk, weights=tmp_path / "w.pth")
    pipeline = make_pipeline(
        CNNFeatures(architecture), LogisticRegression(), memory=str(tmp_path / "cache")
    )
    for C in 1, 10:
        pipeline.set_params(logisticregression__C=C).fit(paths, Y)
    assert computed == [N]
    assert pipeline.predict(paths).shape == (N,)


def test_beside_the_columns_of_a_table(paths):
    table = pd.DataFrame({"photo": paths, "rooms": np.arange(N), "area": np.arange(N) % 3})
    both = make_column_transformer(
        (CNNFeatures(backbone()), ["photo"]), (StandardScaler(), ["rooms", "area"])
    )
    model = make_pipeline(both, LogisticRegression()).fit(table, Y)
    assert model.predict(table).shape == (N,)
    names = both.set_output(transform="pandas").fit_transform(table).columns
    assert names[0] == "cnnfeatures__cnnfeatures0"
    assert names[-1] == "standardscaler__area"


def test_a_search_over_networks_and_sizes():
    pipeline = make_pipeline(CNNFeatures(backbone()), LogisticRegression())
    grid = {
        "cnnfeatures__architecture": [backbone(), TorchModule(backbone(), head="auto")],
        "cnnfeatures__image_shape": [(4, 4), (8, 8)],
        "cnnfeatures__layer": ["penultimate", "conv"],
    }
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(IMAGES, Y)
    assert len(search.cv_results_["mean_test_score"]) == 8


def test_frames_come_out_where_asked():
    frame = CNNFeatures(backbone()).set_output(transform="pandas").fit_transform(IMAGES)
    assert list(frame) == [f"cnnfeatures{i}" for i in range(6)]


def test_a_progress_bar_where_asked(capfd, paths, monkeypatch):
    # whatever takes less has none
    monkeypatch.setattr(progress, "_SHORT", 0)
    CNNFeatures(backbone(), verbose=1).fit_transform(paths)
    assert "CNNFeatures: computing features" in capfd.readouterr().err
    CNNFeatures(backbone()).fit_transform(paths)
    assert capfd.readouterr().err == ""


def test_a_pickle_gives_the_same_features():
    features = CNNFeatures(backbone()).fit(IMAGES)
    assert np.array_equal(
        pickle.loads(pickle.dumps(features)).transform(IMAGES), features.transform(IMAGES)
    )


def test_what_cannot_be_used_is_refused_and_changes_nothing():
    with pytest.raises(NotFittedError):
        CNNFeatures(backbone()).transform(IMAGES)
    features = CNNFeatures(backbone()).fit(IMAGES)
    before = features.transform(IMAGES)
    with pytest.raises(ValueError, match="cannot take images of 9 x 8 x 1"):
        features.fit(IMAGES[..., :1])
    assert np.array_equal(features.transform(IMAGES), before)
    with pytest.raises(ValueError, match="CNNFeatures was fitted on images of 9 x 8 x 3"):
        features.transform(IMAGES[:, :8])
    with pytest.raises(ValueError, match="precision"):
        CNNFeatures(backbone(), precision="half").fit(IMAGES)
    unlike = IMAGES.astype(np.float32)
    unlike[3] = 3e38
    features.module_.network.conv.weight.data *= 1000
    with pytest.raises(ValueError, match="NaN or infinite for 1 of 12 images"):
        features.transform(unlike)


# --------------------------------------------------------------------- a size for mixed ones


@pytest.fixture
def mixed(tmp_path):
    sizes = [(9, 8), (12, 7), (20, 30), (9, 9)] * 3
    images = [noise(height, width, seed=seed) for seed, (height, width) in enumerate(sizes)]
    return images, write_images(tmp_path / "mixed", images)


def learned():
    return TorchModule(backbone(), mean=(0.5,) * 3, std=(0.5,) * 3, head="auto")


def test_files_and_images_of_several_sizes_get_the_recommended_one(mixed, tmp_path):
    images, paths = mixed
    features = CNNFeatures(learned()).fit(paths)
    assert features.image_shape_ == (224, 224, 3)
    by_hand = CNNFeatures(learned(), image_shape=(224, 224)).fit(paths)
    assert np.array_equal(features.transform(paths), by_hand.transform(paths))
    # what is told apart in fit is resized later, even if all have one size
    assert np.array_equal(features.transform(paths[:1]), by_hand.transform(paths[:1]))
    cached = CNNFeatures(learned(), memory=str(tmp_path / "cache")).fit(paths)
    assert np.array_equal(cached.transform(paths), by_hand.transform(paths))
    arrays = CNNFeatures(learned()).fit(images)
    assert arrays.image_shape_ == (224, 224, 3)
    np.testing.assert_allclose(arrays.transform(images[2:4]), by_hand.transform(paths[2:4]), 1e-5)


def test_images_of_one_size_keep_it(paths, mixed):
    features = CNNFeatures(learned()).fit(paths)
    assert features.image_shape_ == (9, 8, 3)
    assert features.transform(mixed[1]).shape == (N, 6)


@pytest.mark.parametrize(
    "later", [{"image_shape": (6, 6)}, {"resize_mode": "pad"}, {"channel_axis": 1}], ids=str
)
def test_transform_prepares_images_as_fit_did(mixed, later):
    features = CNNFeatures(learned(), image_shape=(12, 12)).fit(mixed[0])
    expected = features.transform(mixed[0])
    features.set_params(**later)
    assert np.array_equal(features.transform(mixed[0]), expected)
    loaded = pickle.loads(pickle.dumps(features))
    assert np.array_equal(loaded.transform(mixed[0]), expected)


def test_estimators_resize_alike(mixed):
    _, paths = mixed
    model = CNNClassifier(learned(), max_epochs=1, random_state=0).fit(paths, Y)
    assert model.image_shape_ == (224, 224, 3)
    assert model.predict(paths[:3]).shape == (3,)


@pytest.mark.parametrize("kind", ["files", "arrays", "PIL", "Dataset"])
def test_images_are_interpolated_as_the_architecture_says(kind, mixed, tmp_path):
    images, paths = mixed
    pictures = [Image.fromarray(image) for image in images]
    X = {"files": paths, "arrays": images, "PIL": pictures, "Dataset": Listed(pictures)}[kind]
    shape = {"image_shape": (12, 10), "resize_mode": "pad", "flatten": False}
    bicubic = ImageReader(interpolation="bicubic", **shape).fit_transform(paths)
    bilinear = ImageReader(**shape).fit_transform(paths)
    assert np.array_equal(ImageReader(interpolation="bicubic", **shape).fit_transform(X), bicubic)
    assert not np.array_equal(bilinear, bicubic)
    how = {"image_shape": (12, 10), "resize_mode": "pad", "memory": str(tmp_path / "cache")}
    for interpolation, pixels in {"bilinear": bilinear, "bicubic": bicubic}.items():
        architecture = learned().set_params(interpolation=interpolation)
        features = CNNFeatures(architecture, **how)
        expected = CNNFeatures(architecture).fit_transform(pixels)
        np.testing.assert_allclose(features.fit_transform(X), expected, rtol=1e-5)
        np.testing.assert_allclose(features.transform(X), expected, rtol=1e-5)
        for in_memory in True, False:
            model = CNNClassifier(architecture, max_epochs=1, random_state=0, in_memory=in_memory)
            by_hand = clone(model).fit(pixels, Y)
            model.set_params(**how).fit(X, Y)
            assert model.loss_curve_ == by_hand.loss_curve_
            expected = by_hand.predict_proba(pixels)
            np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-5)


def test_without_learned_weights_several_sizes_are_an_error(mixed):
    images, paths = mixed
    for X in images, paths:
        with pytest.raises(ValueError, match=r"images of 4 sizes.*Write image_shape="):
            CNNClassifier(max_epochs=1).fit(X, Y)


def test_sizes_are_torchvisions_own():
    assert TorchvisionModel("resnet18", weights="DEFAULT").recommended_size() == (224, 224)
    assert TorchvisionModel("inception_v3", weights="DEFAULT").recommended_size() == (299, 299)
    assert TorchvisionModel("resnet18").recommended_size() is None


@pytest.mark.parametrize(
    ("name", "weights", "expected"),
    [
        ("resnet18", "DEFAULT", "bilinear"),
        ("efficientnet_b0", "DEFAULT", "bicubic"),
        ("efficientnet_b0", None, "bilinear"),
        ("vit_b_16", "IMAGENET1K_V1", "bilinear"),
        ("vit_b_16", "IMAGENET1K_SWAG_E2E_V1", "bicubic"),
        ("lraspp_mobilenet_v3_large", "DEFAULT", "bilinear"),
    ],
)
def test_interpolation_is_torchvisions_own(name, weights, expected):
    model = TorchvisionModel(name, weights=weights)
    assert model.recommended_interpolation() == expected
    if weights and name != "lraspp_mobilenet_v3_large":
        assert UNet(encoder=model).recommended_interpolation() == expected


def test_photos_are_told_apart_by_features_of_imagenet():
    from sklearn.datasets import load_sample_images

    images = [
        photo[top : top + size, left : left + size]
        for photo in load_sample_images().images
        for top, left, size in [(0, 0, 300), (100, 200, 250), (50, 300, 300), (150, 0, 270)]
    ]
    labels = np.repeat([0, 1], 4)
    model = make_pipeline(CNNFeatures(lite0(), image_shape=(96, 96)), LogisticRegression())
    assert (cross_val_score(model, images, labels, cv=4) == 1).all()


def test_images_on_another_scale_than_in_fit_warn():
    features = CNNFeatures(TorchModule(backbone(), head="auto")).fit(IMAGES)
    expected = r"^X has pixels from \S+ to 1, but CNNFeatures was fitted on pixels from 0 to 255"
    for model in features, pickle.loads(pickle.dumps(features)):
        with pytest.warns(UserWarning, match=expected):
            model.transform(IMAGES / 255)


def test_black_and_white_has_the_features_of_floats_of_0_and_1(recwarn):
    backbone_of_photos = TorchModule(backbone(), head="auto", mean=(0.5,) * 3, std=(0.25,) * 3)
    black_and_white = IMAGES > 127
    floats = black_and_white.astype(np.float32)
    expected = CNNFeatures(backbone_of_photos).fit_transform(floats)
    for pixels in black_and_white, black_and_white.astype(np.uint8):
        features = CNNFeatures(backbone_of_photos).fit(pixels)
        for fitted in features, pickle.loads(pickle.dumps(features)):
            np.testing.assert_array_equal(fitted.transform(pixels), expected)
            # a batch of black alone
            black = fitted.transform(np.zeros_like(pixels[:1]))
            np.testing.assert_array_equal(black, fitted.transform(np.zeros_like(floats[:1])))
    assert not recwarn


def test_bytes_of_a_small_range_say_what_to_write():
    backbone_of_photos = TorchModule(backbone(), head="auto", mean=(0.5,) * 3, std=(0.25,) * 3)
    with pytest.warns(UserWarning, match=r"bytes from 0 to 15: nearly black\. .* pass X / 15 as f"):
        CNNFeatures(backbone_of_photos).fit(IMAGES // 16)


def test_layers_that_say_nothing_are_refused():
    images = np.zeros((2, 16, 16, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="layer='linear' is the last layer"):
        CNNFeatures(TorchModule(_InParts), layer="linear").fit(images)
    with pytest.raises(ValueError, match="layer='parts' holds layers, and is not called itself"):
        CNNFeatures(TorchModule(_InParts), layer="parts").fit(images)


class _InParts(nn.Module):
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.parts = nn.ModuleList([nn.Conv2d(in_channels, 4, 3), nn.AdaptiveAvgPool2d(1)])
        self.linear = nn.Linear(4, num_classes)

    def forward(self, images):
        for part in self.parts:
            images = part(images)
        return self.linear(images.flatten(1))

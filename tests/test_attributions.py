"""Attributions point at what the network was made to look at, and say so in the right units."""

import copy
import functools
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from drawn import placed_discs, several_shapes
from drawn_pixels import MapNet, shapes
from image_files import noise, write_images
from scipy.ndimage import binary_dilation
from scipy.stats import spearmanr
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from small_networks import network
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor, ImageReader
from sklearn_cnn.architectures import ConvNet, ResNet, UNet
from sklearn_cnn.architectures._convnet import Residual
from sklearn_cnn.inspection import attributions
from sklearn_cnn.inspection._layers import layer_of_maps

METHODS = ["hires_cam", "grad_cam", "integrated_gradients", "occlusion"]
SIDE, PATCH = 24, 8


def striped_patches(n, seed=0):
    """Gray images of noise with a striped patch anywhere; y says which way the stripes run.

    Also returned is which pixels are the patch's.
    """
    rng = np.random.default_rng(seed)
    X = rng.integers(100, 156, (n, SIDE, SIDE)).astype(np.uint8)
    y, inside = np.arange(n) % 2, np.zeros(X.shape, dtype=bool)
    places = rng.integers(0, SIDE - PATCH + 1, (n, 2))
    for image, runs, of_patch, (row, column) in zip(X, y, inside, places, strict=True):
        where = slice(row, row + PATCH), slice(column, column + PATCH)
        image[where] = np.indices((PATCH, PATCH))[runs] // 2 % 2 * 255
        of_patch[where] = True
    return X, y, inside


@pytest.fixture(scope="module")
def striped():
    """A network that tells stripes apart without an error, and images that it has not seen."""
    X, y, _ = striped_patches(96)
    classifier = CNNClassifier(ResNet((8, 16)), max_epochs=8, batch_size=16, random_state=0)
    unseen = striped_patches(12, seed=1)
    assert classifier.fit(X, y).score(*unseen[:2]) == 1
    return classifier, *unseen


@pytest.mark.parametrize(
    ("method", "params", "blur"),
    [
        # maps of 12 x 12 see some pixels around their own
        ("hires_cam", {}, 4),
        ("grad_cam", {}, 4),
        ("integrated_gradients", {}, 0),
        # a window that juts out of the patch covers it too
        ("occlusion", {"window": 2}, 0),
    ],
)
def test_the_patch_that_the_class_depends_on_gets_the_most(method, params, blur, striped):
    classifier, X, y, inside = striped
    found = np.abs(attributions(classifier, X, method=method, target=y, **params))
    near = binary_dilation(inside, np.ones((1, 2 * blur + 1, 2 * blur + 1)))
    shares = (found * near).sum(axis=(1, 2)) / found.sum(axis=(1, 2))
    assert near.mean() < 0.45
    assert shares.min() > 0.8


@pytest.mark.parametrize("method", METHODS)
def test_random_weights_have_other_attributions(method, striped):
    # the sanity check of Adebayo et al., NeurIPS 2018
    classifier, X, y, _ = striped
    found = attributions(classifier, X, method=method, target=y)
    shuffled = copy.deepcopy(classifier)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in shuffled.module_.network.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
    others = attributions(shuffled, X, method=method, target=y)
    ranks = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(found, others, strict=True)]
    # of a map that is zero there are no ranks; any network is moved by the patch more than by noise
    assert np.nanmean(np.abs(ranks)) < 0.6
    again = attributions(classifier, X, method=method, target=y)
    np.testing.assert_array_equal(again, found)


def mean_image(estimator, n):
    """Return n images whose pixels are those that the network standardizes to zero."""
    mean = estimator.module_.standardize.mean.numpy().ravel()
    return np.broadcast_to(mean, (n, *estimator.image_shape_)).astype(np.float32)


def test_integrated_gradients_sum_to_how_far_one_class_is_ahead(striped):
    classifier, X, _, _ = striped
    found = attributions(classifier, X, method="integrated_gradients", target=1)
    far = classifier.decision_function(X)
    differences = far - classifier.decision_function(mean_image(classifier, len(X)))
    close = functools.partial(np.testing.assert_allclose, atol=0.01 * np.abs(differences).max())
    close(found.sum(axis=(1, 2)), differences)
    # what speaks for one of two classes speaks against the other
    other = attributions(classifier, X, method="integrated_gradients", target=0)
    np.testing.assert_allclose(other, -found, atol=1e-5 * np.abs(found).max())
    black = attributions(classifier, X, method="integrated_gradients", target=1, baseline=0)
    differences = far - classifier.decision_function(np.zeros_like(X))
    close(black.sum(axis=(1, 2)), differences)


def test_integrated_gradients_sum_to_logits_and_to_numbers_in_their_units():
    X, y = several_shapes(40)
    several = network(max_epochs=4).fit(X, y)
    found = attributions(several, X, method="integrated_gradients", target=1, n_steps=200)
    logits = several.decision_function(X) - several.decision_function(mean_image(several, 40))
    np.testing.assert_allclose(found.sum(axis=(1, 2)), logits[:, 1], rtol=0.01, atol=0.01)

    X, centres = placed_discs(40)
    y = 1000 * centres + 50
    regressor = network(CNNRegressor, max_epochs=4).fit(X, y)
    columns = np.arange(40) % 2
    found = attributions(regressor, X, method="integrated_gradients", target=columns, n_steps=200)
    numbers = regressor.predict(X) - regressor.predict(mean_image(regressor, 40))
    differences = numbers[np.arange(40), columns]
    scale = np.abs(differences).max()
    np.testing.assert_allclose(found.sum(axis=(1, 2)), differences, rtol=0.01, atol=0.01 * scale)


def test_occlusion_is_what_covering_changes(striped):
    classifier, X, _, _ = striped
    found = attributions(
        classifier, X[:2], method="occlusion", target=1, window=(SIDE, 6), baseline=7.0
    )
    covered = np.repeat(X[:2, None], 2, axis=1)
    # the first three columns are under the first window alone, the next under two
    covered[:, 0, :, :6] = covered[:, 1, :, 3:9] = 7
    falls = classifier.decision_function(X[:2, None].repeat(2, 1).reshape(-1, SIDE, SIDE))
    falls = (falls - classifier.decision_function(covered.reshape(-1, SIDE, SIDE))).reshape(2, 2)
    np.testing.assert_allclose(
        found[:, :, :3], falls[:, :1, None].repeat(3, 2).repeat(SIDE, 1), rtol=1e-3
    )
    means = falls.mean(axis=1)[:, None, None]
    np.testing.assert_allclose(found[:, :, 3:6], means.repeat(3, 2).repeat(SIDE, 1), rtol=1e-3)


def test_where_maps_are_averaged_one_weight_a_map_is_as_good(striped):
    classifier, X, y, _ = striped
    hires, one_weight = (
        attributions(classifier, X, method=method, target=y) for method in ("hires_cam", "grad_cam")
    )
    np.testing.assert_allclose(hires, one_weight, rtol=1e-3, atol=1e-5 * hires.max())


def test_where_places_are_told_apart_one_weight_a_map_may_say_nothing():
    def bright_patches(n, seed):
        rng = np.random.default_rng(seed)
        X, y = rng.integers(100, 156, (n, 32, 32)).astype(np.uint8), np.arange(n) % 3
        kinds = np.zeros((3, PATCH, PATCH), dtype=np.uint8)
        kinds[0, :4] = kinds[1, :, :4] = kinds[2, 2:6, 2:6] = 255
        X[:, 16:24, 8:16] = kinds[y]
        return X, y

    classifier = CNNClassifier(
        ConvNet((8, 16)), augmentation=None, max_epochs=8, batch_size=16, random_state=1
    )
    classifier.fit(*bright_patches(150, seed=0))
    X, y = bright_patches(24, seed=1)
    assert classifier.score(X, y) == 1
    hires, one_weight = (
        attributions(classifier, X, method=method, target=y) for method in ("hires_cam", "grad_cam")
    )
    near = np.s_[:, 12:28, 4:20]
    assert (one_weight.sum(axis=(1, 2)) == 0).any()
    assert one_weight[near].sum() < 0.7 * one_weight.sum()
    assert (hires.sum(axis=(1, 2)) > 0).all()
    assert hires[near].sum() > 0.7 * hires.sum()


def test_the_target_is_the_predicted_class_unless_it_is_said():
    levels = np.arange(30) % 3
    X = noise(8, 30 * 8).reshape(30, 8, 8, 3) // 4 + 80 * levels[:, None, None, None]
    y = np.array(["left", "right", "up"])[levels]
    classifier = network(max_epochs=6).fit(X, y)
    predicted = classifier.predict(X)
    assert len(set(predicted)) > 1
    found = attributions(classifier, X, method="integrated_gradients")
    said = attributions(classifier, X, method="integrated_gradients", target=predicted)
    np.testing.assert_array_equal(found, said)
    up = attributions(classifier, X, method="integrated_gradients", target="up")
    is_up = predicted == "up"
    np.testing.assert_allclose(up[is_up], found[is_up], atol=1e-6)
    assert not np.allclose(up[~is_up], found[~is_up])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_channels", [1, 3, 5])
def test_images_of_any_channels(method, n_channels):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 8, 10, n_channels)).astype(np.float32)
    y = np.arange(20) % 2
    classifier = network().fit(X, y)
    found = attributions(classifier, X, method=method)
    assert found.shape == (20, 8, 10)
    assert found.dtype == np.float32
    assert np.abs(found).max() > 0
    first = attributions(classifier, np.moveaxis(X, -1, 1)[:3].transpose(0, 2, 3, 1), method=method)
    np.testing.assert_allclose(first, found[:3], rtol=1e-3, atol=1e-5)


def test_an_image_of_any_form_has_the_same_attributions(tmp_path):
    images = np.stack([noise(8, 8, seed=seed) for seed in range(6)])
    paths, y = write_images(tmp_path, images), np.arange(6) % 2
    model = network(image_shape=(8, 8, 3)).fit(images, y)
    known = attributions(model, images, method="integrated_gradients", target=1)
    rows = images.reshape(6, -1)
    for X in (paths, pd.Series(paths), rows, torch.from_numpy(images), list(images)):
        found = attributions(model, X, method="integrated_gradients", target=1)
        np.testing.assert_allclose(found, known, rtol=1e-3, atol=1e-5)


def test_files_get_attributions_of_the_size_that_the_network_sees(tmp_path):
    paths = write_images(tmp_path, [noise(9, 14, seed=seed) for seed in range(4)])
    model = network(image_shape=(6, 8), in_memory=False).fit(paths, [0, 1, 0, 1])
    assert attributions(model, paths).shape == (4, 6, 8)


def test_networks_in_pipelines_and_searches_are_found():
    X, y, _ = striped_patches(12)
    rows = X.reshape(12, -1)
    pipeline = make_pipeline(MinMaxScaler(), network(image_shape=(SIDE, SIDE))).fit(rows, y)
    known = attributions(pipeline[-1], pipeline[0].transform(rows), method="integrated_gradients")
    search = GridSearchCV(pipeline, {"cnnclassifier__max_epochs": [2]}, cv=2).fit(rows, y)
    for outer in (pipeline, search, FrozenEstimator(pipeline)):
        found = attributions(outer, rows, method="integrated_gradients")
        np.testing.assert_allclose(found, known, rtol=1e-3, atol=1e-5)
    passing = make_pipeline("passthrough", network()).fit(X, y)
    assert attributions(passing, X).shape == X.shape


@pytest.fixture(scope="module")
def segmenter():
    X, masks = shapes(50, seed=3)
    classifier = CNNClassifier(UNet((8, 16)), max_epochs=25, batch_size=5, random_state=0)
    return classifier.fit(X[:40], masks[:40]), X[40:], masks[40:]


def test_masks_sum_to_the_mean_logit_of_the_pixels_of_a_class(segmenter):
    classifier, X, masks = segmenter
    predicted = classifier.predict(X)
    has_class = (predicted == 2).any(axis=(1, 2))
    assert has_class.sum() > 5
    found = attributions(classifier, X, method="integrated_gradients", target=2, n_steps=200)
    mean = np.repeat(mean_image(classifier, 1)[..., 0], len(X), axis=0)
    change = classifier.decision_function(X) - classifier.decision_function(mean)
    means = [
        of_image[of_class == 2].mean() if (of_class == 2).any() else 0
        for of_image, of_class in zip(change[..., 2], predicted, strict=True)
    ]
    np.testing.assert_allclose(found.sum(axis=(1, 2)), means, rtol=0.01, atol=0.01)
    # an image in which nothing is the class has no reasons for it
    assert (found[~has_class] == 0).all()
    # a disc is told by its pixels and the next
    near = binary_dilation(masks == 2, np.ones((1, 5, 5)))
    for method in ("integrated_gradients", "occlusion"):
        of_class = np.abs(attributions(classifier, X[has_class], method=method, target=2))
        assert (of_class * near[has_class]).sum() > 0.8 * of_class.sum(), method
    assert attributions(classifier, X, target=1).max() > 0


def test_numbers_and_labels_of_pixels_have_attributions():
    X, masks = shapes(12)
    params = {"max_epochs": 2, "batch_size": 6, "random_state": 0}
    depths = masks.astype(float) * 10 + 3
    regressor = CNNRegressor(UNet((4, 8)), **params).fit(X, depths)
    found = attributions(regressor, X, method="integrated_gradients", n_steps=100)
    mean = np.repeat(mean_image(regressor, 1)[..., 0], 12, axis=0)
    change = (regressor.predict(X) - regressor.predict(mean)).mean(axis=(1, 2))
    np.testing.assert_allclose(found.sum(axis=(1, 2)), change, rtol=0.02, atol=0.02)
    labels = np.stack([masks == 1, masks > 0], axis=-1).astype(int)
    several = CNNClassifier(UNet((4, 8)), **params).fit(X, labels)
    assert attributions(several, X, target=1, method="occlusion").shape == X.shape
    with pytest.raises(ValueError, match=r"which of the outputs is meant: \[0, 1\]"):
        attributions(several, X)


def test_the_estimator_is_left_as_it_is(striped):
    classifier, X, _, _ = striped
    module = classifier.module_
    state = {name: value.clone() for name, value in module.state_dict().items()}
    gradients = [parameter.grad for parameter in module.parameters()]
    for method in METHODS:
        with torch.inference_mode():
            attributions(classifier, X[:2], method=method)
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    after = [parameter.grad for parameter in module.parameters()]
    assert all(new is old for new, old in zip(after, gradients, strict=True))
    layers = list(module.modules())
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in layers)


def test_frozen_weights_are_no_hindrance(striped):
    classifier, X, _, _ = striped
    frozen = copy.deepcopy(classifier)
    frozen.module_.requires_grad_(False)
    for method in METHODS[:3]:
        found, known = (
            attributions(model, X[:3], method=method, target=1) for model in (frozen, classifier)
        )
        np.testing.assert_array_equal(found, known)


def test_a_batch_at_a_time_is_as_all_at_once(striped, monkeypatch):
    classifier, X, y, _ = striped
    X, y = X[:7], y[:7]
    known = {m: attributions(classifier, X, method=m, target=y) for m in METHODS}
    monkeypatch.setattr("sklearn_cnn.inspection._attributions.prediction_batch_size", lambda *_: 3)
    for method in METHODS:
        found = attributions(classifier, X, method=method, target=y)
        scale = np.abs(known[method]).max()
        np.testing.assert_allclose(found, known[method], rtol=1e-3, atol=1e-4 * scale)


def test_what_takes_long_shows_a_bar(striped, monkeypatch, capsys):
    classifier, X, _, _ = striped
    monkeypatch.setattr("sklearn_cnn.runtime.progress._SHORT", 0)
    attributions(classifier, X)
    assert capsys.readouterr().err == ""
    attributions(copy.deepcopy(classifier).set_params(verbose=1), X)
    assert "CNNClassifier: attributing" in capsys.readouterr().err


def test_pixels_on_another_scale_warn(striped):
    classifier, X, _, _ = striped
    with pytest.warns(UserWarning, match="scale"):
        attributions(classifier, X / 255.0)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"method": "saliency"}, "hires_cam, grad_cam, integrated_gradients, occlusion, got 'sal"),
        ({"target": 7}, r"target=7 is not a class: they are \[0, 1\]"),
        ({"target": True}, r"target=True is not a class: they are \[0, 1\]"),
        ({"target": [0, 1]}, r"one for each of 12 images, but has shape \(2,\)"),
        ({"window": 3}, "window is for occlusion, but method='hires_cam'"),
        ({"layer": "1", "method": "occlusion"}, "layer is for hires_cam and grad_cam"),
        ({"layer": "no_such"}, "layer='no_such' is no layer of the network: the last"),
        ({"method": "occlusion", "window": 0}, "window == 0"),
        ({"method": "occlusion", "window": 25}, "window == 25"),
        ({"method": "occlusion", "window": (1, 2, 3)}, "height and width"),
        ({"method": "integrated_gradients", "n_steps": 0}, "n_steps == 0"),
        ({"method": "integrated_gradients", "baseline": [1, 2]}, r"baseline of shape \(2,\)"),
        ({"method": "occlusion", "baseline": np.zeros((12, SIDE, SIDE))}, "serves all images"),
        ({"method": "occlusion", "baseline": np.nan}, "baseline must hold finite numbers, got nan"),
        ({"method": "occlusion", "baseline": "mean"}, "got 'mean'. None is the mean"),
    ],
)
def test_wrong_arguments_are_refused(params, message, striped):
    classifier, X, _, _ = striped
    with pytest.raises(ValueError, match=message):
        attributions(classifier, X, **params)


def test_a_window_is_a_number_of_pixels(striped):
    classifier, X, _, _ = striped
    with pytest.raises(TypeError, match="window must be an instance of int"):
        attributions(classifier, X, method="occlusion", window=2.5)
    with pytest.raises(TypeError, match="n_steps must be an instance of int"):
        attributions(classifier, X, method="integrated_gradients", n_steps=2.5)
    with pytest.raises(TypeError, match="n_steps must be an instance of int, not bool"):
        attributions(classifier, X, method="integrated_gradients", n_steps=True)


def test_a_baseline_may_be_a_flat_row():
    X = np.stack([noise(6, 8, seed=seed) for seed in range(8)])
    base = noise(6, 8, seed=9)
    for channel_axis, images, row in (
        (-1, X, base.ravel()),
        (1, X.transpose(0, 3, 1, 2), base.transpose(2, 0, 1).ravel()),
    ):
        model = network(channel_axis=channel_axis).fit(images, [0, 1] * 4)
        found, known = (
            attributions(model, images, method="occlusion", baseline=given) for given in (row, base)
        )
        np.testing.assert_array_equal(found, known)


def test_a_layer_has_a_name(striped):
    classifier, X, _, _ = striped
    known = attributions(classifier, X, layer="0")
    np.testing.assert_array_equal(attributions(classifier, X, layer="network.0"), known)
    layers = dict(classifier.module_.network.named_modules())
    with pytest.raises(TypeError, match=r"the name of a layer.* object of type Conv2d"):
        attributions(classifier, X, layer=layers["0"])
    linear = next(name for name, layer in layers.items() if isinstance(layer, nn.Linear))
    with pytest.raises(ValueError, match=r"and not maps.*the last ones with maps are \['"):
        attributions(classifier, X, layer=linear)


def test_a_target_that_has_to_be_said(segmenter):
    X, centres = placed_discs(8)
    regressor = network(CNNRegressor).fit(X, centres)
    with pytest.raises(ValueError, match=r"which of the outputs is meant: \[0, 1\]"):
        attributions(regressor, X)
    with pytest.raises(ValueError, match=r"target=2 is not an output: they are \[0, 1\]"):
        attributions(regressor, X, target=2)
    with pytest.raises(ValueError, match=r"which of the classes is meant: \[0, 1, 2\]"):
        attributions(*segmenter[:2])


def test_a_quantile_is_an_output():
    X, centres = placed_discs(12)
    model = network(CNNRegressor, loss="quantile", quantile=(0.1, 0.9)).fit(X, centres[:, 0])
    params = {"method": "integrated_gradients", "n_steps": 200}
    found = attributions(model, X, target=1, **params)
    # `predict` sorts the quantiles
    other = attributions(model, X, target=0, **params)
    sums = np.sort([other.sum(axis=(1, 2)), found.sum(axis=(1, 2))], axis=0)
    mean = model.predict(mean_image(model, 1))
    change = np.sort((model.predict(X) - mean).T, axis=0)
    np.testing.assert_allclose(sums, change, atol=0.02 * np.abs(change).max())


def test_what_has_no_network_of_its_own_is_refused():
    X, y, _ = striped_patches(8)
    with pytest.raises(NotFittedError):
        attributions(network(), X)
    pipeline = make_pipeline(ImageReader(), LogisticRegression()).fit(X, y)
    ensemble = VotingClassifier([("one", network(image_shape=(SIDE, SIDE)))], voting="soft")
    for model in (pipeline, ensemble.fit(X.reshape(8, -1), y)):
        with pytest.raises(ValueError, match=f"{type(model).__name__} does not predict with one"):
            attributions(model, X)


def test_what_changes_the_answers_of_a_network_is_refused():
    X, y, _ = striped_patches(12)
    rows, inner = X.reshape(12, -1), network(image_shape=(SIDE, SIDE))
    for model in (
        FixedThresholdClassifier(inner, threshold=0.9),
        TunedThresholdClassifierCV(inner),
    ):
        model.fit(rows, y)
        with pytest.raises(ValueError, match=r"predicts by a threshold.* Pass its estimator_\."):
            attributions(model, rows)
        assert attributions(model.estimator_, rows).shape == X.shape
    numbers = TransformedTargetRegressor(network(CNNRegressor), func=np.log, inverse_func=np.exp)
    numbers.fit(X, y + 1.0)
    with pytest.raises(ValueError, match=r"Pass its regressor_, .* units of the transformed y"):
        attributions(numbers, X)
    assert attributions(numbers.regressor_, X).shape == X.shape


def test_what_holds_no_estimator_says_what_to_pass(striped):
    classifier, X, y, _ = striped
    with pytest.raises(TypeError, match="pass the CNNClassifier or CNNRegressor, and not its mod"):
        attributions(classifier.module_, X)
    search = GridSearchCV(network(), {"max_epochs": [1]}, cv=2, refit=False).fit(X, y)
    with pytest.raises(ValueError, match="Fit it with refit=True"):
        attributions(search, X)


def test_without_captum_the_error_says_what_to_install(striped, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(ImportError, match=r"sklearn-cnn\[explain\]"):
        attributions(*striped[:2])


def test_images_that_give_no_number_are_named(striped):
    classifier, X, _, _ = striped
    broken = copy.deepcopy(classifier)
    with torch.no_grad():
        next(broken.module_.network.parameters()).fill_(torch.nan)
    with pytest.raises(ValueError, match=r"NaN or infinite for 12 of 12 images"):
        attributions(broken, X)


class Tokens(nn.Module):
    """Patches of an image as tokens, as in vision transformers."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.patches = nn.Conv2d(in_channels, 6, 4, stride=4)
        self.mix = nn.TransformerEncoderLayer(6, 2, 8, dropout=0, batch_first=True)
        self.head = nn.Linear(6, num_classes)

    def forward(self, images):
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        return self.head(self.mix(tokens).mean(dim=1))


def test_tokens_are_no_maps():
    X, y, _ = striped_patches(12)
    classifier = CNNClassifier(Tokens, max_epochs=1, random_state=0).fit(X, y)
    for method in ("hires_cam", "grad_cam"):
        with pytest.raises(ValueError, match=r"but tokens.*\('mix'\).*integrated_gradients"):
            attributions(classifier, X, method=method)
    with pytest.raises(ValueError, match=r"layer='mix' returns the shape \(1, 36, 6\)"):
        attributions(classifier, X, layer="mix")
    assert attributions(classifier, X, layer="patches").shape == X.shape
    assert attributions(classifier, X, method="integrated_gradients").shape == X.shape


def test_a_network_without_maps_is_refused():
    class Dense(nn.Sequential):
        def __init__(self, in_channels, num_classes):
            super().__init__(nn.Flatten(), nn.Linear(SIDE * SIDE, num_classes))

    X, y, _ = striped_patches(12)
    classifier = CNNClassifier(Dense, max_epochs=1, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="ends in no layer that returns maps"):
        attributions(classifier, X)


def layer_of(network, size, is_map=False, name=None):
    """Return the name of the layer that is found in a network."""
    module = nn.Sequential()
    module.add_module("standardize", nn.Identity())
    module.add_module("network", network.eval())
    images = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    layer = layer_of_maps(module, images, is_map, name)
    return next(name for name, other in network.named_modules() if other is layer)


def test_the_layer_is_the_last_one_that_says_where():
    # behind three stages there are 4 x 4 of 32 x 32 pixels, and 1 x 1 of 8 x 8
    large, small = (ConvNet((4, 8, 16)).build(3, (side, side), 5) for side in (32, 8))
    residuals = [name for name, layer in large.named_modules() if type(layer) is Residual]
    assert layer_of(large, 32) == residuals[-1]
    # the last one before the pooling to 2 x 2
    found = small.get_submodule(layer_of(small, 8))
    assert isinstance(found, nn.BatchNorm2d)
    assert found.num_features == 8
    assert layer_of(large, 32, name=residuals[0]) == residuals[0]
    assert layer_of(UNet((4, 8, 16)).build(3, (32, 32), 5), 32, is_map=True) == "decoder.narrow.0"
    # the last maps of the same size before the answer
    assert layer_of(MapNet(3, 4), 16, is_map=True) == "2"


@pytest.mark.parametrize(
    ("name", "layer"),
    # 2 x 2 pixels are left behind the last stages; what is inside of a block, an image also passes
    # by; before the permutation channels come last
    [("resnet18", "layer3"), ("shufflenet_v2_x0_5", "stage3"), ("swin_t", "permute")],
)
def test_all_of_the_image_goes_through_the_layer(name, layer):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torchvision.models.get_model(name)
    assert layer_of(network, 64) == layer

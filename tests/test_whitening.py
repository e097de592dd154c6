"""Patches of pixels become uncorrelated numbers, learned from the images and then left alone."""

import numpy as np
import pytest
import torch
from drawn import bars_and_discs
from sklearn.frozen import FrozenEstimator

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet, Finetuned
from sklearn_cnn.architectures._whitening import PatchWhitening


def smooth_images(n=60, channels=3, side=12, seed=0):
    """Standardized images whose neighbouring pixels and channels are much alike."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, 1, side, side)) + 0.3 * rng.normal(size=(n, channels, side, side))
    noise = noise + np.roll(noise, 1, axis=2) + np.roll(noise, 1, axis=3)
    return torch.from_numpy((noise - noise.mean()) / noise.std()).float()


def second_moments(outputs):
    """Return the mean products of the channels of a batch of feature maps."""
    rows = outputs.double().permute(1, 0, 2, 3).flatten(1)
    return rows @ rows.T / rows.shape[1]


def learned(images):
    layer = PatchWhitening(images.shape[1])
    layer.learn(images)
    return layer


@pytest.mark.parametrize("n_images", [60, 150], ids=["at once", "in chunks"])
@pytest.mark.parametrize("channels", [1, 3])
def test_outputs_are_uncorrelated_and_vary_by_one(channels, n_images):
    images = smooth_images(n_images, channels)
    n_components = 4 * channels
    before = second_moments(PatchWhitening(channels)(images)[:, :n_components])
    after = second_moments(learned(images)(images)[:, :n_components])
    assert before.triu(1).abs().max() > 0.3
    variances = torch.linalg.eigvalsh(before)
    # the least variance that is added keeps each a little below one
    expected = torch.diag(variances / (variances + 5e-4))
    torch.testing.assert_close(after, expected, atol=1e-4, rtol=0)


def test_of_many_channels_it_is_single_pixels_that_are_whitened():
    images = smooth_images(channels=9)
    layer = learned(images)
    assert layer.weight.shape == (18, 9, 1, 1)
    moments = second_moments(layer(images)[:, :9])
    assert moments.triu(1).abs().max() < 1e-4


def test_each_component_is_there_with_either_sign():
    images = smooth_images()
    outputs = learned(images)(images)
    assert outputs.shape == (60, 24, 12, 12)
    torch.testing.assert_close(outputs[:, 12:], -outputs[:, :12])


def test_before_it_has_learned_it_passes_pixels_on():
    images = smooth_images(n=2, channels=1, side=3)
    outputs = PatchWhitening(1)(images)
    torch.testing.assert_close(outputs[:, 0], images[:, 0])
    # the pixel to the right, beyond the border 0
    torch.testing.assert_close(outputs[:, 1, :, :2], images[:, 0, :, 1:])
    assert (outputs[:, 1, :, 2] == 0).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 1)], ids=str)
def test_small_and_constant_images_give_finite_numbers(size):
    for images in (torch.zeros(3, 2, *size), torch.randn(3, 2, *size), torch.ones(1, 2, *size)):
        outputs = learned(images)(images)
        assert outputs.shape == (len(images), 16, *size)
        assert torch.isfinite(outputs).all()


def fitted(X, y, architecture=None, sample_weight=None, **params):
    architecture = ConvNet((4,)) if architecture is None else architecture
    params = {"max_epochs": 2, "batch_size": 16, "random_state": 0, **params}
    return CNNClassifier(architecture, **params).fit(X, y, sample_weight)


def whitening_of(classifier):
    return classifier.module_.network[0].weight


def test_training_leaves_it_as_it_was_learned():
    X, y = bars_and_discs(40)
    short, long = (fitted(X, y, max_epochs=epochs) for epochs in (1, 4))
    assert torch.equal(whitening_of(short), whitening_of(long))
    standardized = short.module_.standardize(torch.from_numpy(X).permute(0, 3, 1, 2))
    torch.testing.assert_close(whitening_of(short), learned(standardized).weight)


def test_images_of_no_weight_do_not_count():
    X, y = bars_and_discs(40)
    noise = np.random.default_rng(0).integers(0, 256, X.shape, dtype=np.uint8)
    weights = np.repeat([1.0, 0.0], 40)
    both = fitted(np.concatenate([X, noise]), np.concatenate([y, y]), sample_weight=weights)
    assert torch.equal(whitening_of(both), whitening_of(fitted(X, y)))


def test_fine_tuning_keeps_that_of_the_source():
    X, y = bars_and_discs(40)
    source = fitted(X, y)
    inverted = fitted(255 - X[:, ::-1] // 2, y, Finetuned(FrozenEstimator(source)))
    assert torch.equal(whitening_of(inverted), whitening_of(source))


def test_a_saved_estimator_has_it(tmp_path):
    X, y = bars_and_discs(40)
    classifier = fitted(X, y)
    classifier.save(tmp_path / "model")
    loaded = CNNClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))


def test_partial_fit_takes_it_from_the_first_batch():
    X, y = bars_and_discs(40)
    once = CNNClassifier(ConvNet((4,)), random_state=0).partial_fit(X[:20], y[:20], ["bar", "disc"])
    first = whitening_of(once).clone()
    assert torch.equal(first, whitening_of(fitted(X[:20], y[:20])))
    assert torch.equal(first, whitening_of(once.partial_fit(255 - X[20:], y[20:])))


def test_a_network_inside_another_is_whitened_too():
    class Wrapped(ConvNet):
        def build(self, *facts):
            return torch.nn.Sequential(torch.nn.Identity(), super().build(*facts))

    X, y = bars_and_discs(40)
    inner = fitted(X, y, Wrapped((4,))).module_.network[1]
    assert torch.equal(inner[0].weight, whitening_of(fitted(X, y)))


def test_it_can_be_left_out():
    X, y = bars_and_discs(40)
    network = fitted(X, y, ConvNet((4,), whitening=False)).module_.network
    assert not any(isinstance(layer, PatchWhitening) for layer in network.modules())
    assert network[0].in_channels == 3

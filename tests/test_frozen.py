"""A frozen trunk sees each image once a fit, and what is learned is what it would be anyway."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from skorch.callbacks import Unfreezer
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import TorchModule, TorchvisionModel
from sklearn_cnn.architectures._assembly import frozen_trunk

DIGITS, CLASSES = load_digits(return_X_y=True)
X, y = DIGITS[:80].reshape(-1, 8, 8).astype(np.uint8) * 15, CLASSES[:80]

# Images that the trunks of `Net` have seen in training and prediction.
SEEN = []


class Trunk(nn.Sequential):
    """Counts the images that it sees."""

    def forward(self, images):
        SEEN.append(len(images))
        return super().forward(images)


class Net(nn.Module):
    """Convolution, normalization, and a head behind dropout."""

    def __init__(self, num_classes=10, dropout=0.0, after=None):
        super().__init__()
        self.trunk = Trunk(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(3))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(24, num_classes)
        self.after = after

    def forward(self, images):
        logits = self.head(self.dropout(self.trunk(images).flatten(1)))
        return logits if self.after is None else self.after(logits)


def as_drawn(images, *_):
    """Return images as they are: what is drawn is not known to be the same each time."""
    return images


def classifier(architecture=None, **parameters):
    """Return a classifier that trains the head of a frozen `Net`."""
    architecture = (
        TorchModule(Net, head="head", freeze=True) if architecture is None else architecture
    )
    parameters = {"max_epochs": 5, "batch_size": 16, "precision": "float32", **parameters}
    return CNNClassifier(architecture, random_state=0, **parameters)


def n_seen(estimator, *args, **kwargs):
    """Return how many images the trunk sees in a fit, but for the ones of checks."""
    SEEN.clear()
    estimator.fit(*args, **kwargs)
    # the first images in each of them, filled up to four
    checks = [n for n in SEEN if n <= 4]
    assert len(checks) <= 6
    return sum(SEEN) - sum(checks)


def same_weights(one, other):
    """Assert that two estimators have learned the same."""
    weights, others = one.module_.state_dict(), other.module_.state_dict()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, others[name], rtol=1e-4, atol=1e-5, msg=name)


def test_a_frozen_trunk_sees_each_image_once():
    assert n_seen(classifier(), X, y) == len(X)


def test_images_to_validate_on_are_seen_once_too():
    assert n_seen(classifier(early_stopping=True), X, y) == len(X)
    assert n_seen(classifier(), X[:60], y[:60], X_val=X[60:], y_val=y[60:]) == len(X)


def test_images_of_no_weight_are_not_seen():
    weights = np.ones(len(X))
    weights[:20] = 0
    assert n_seen(classifier(), X, y, sample_weight=weights) == len(X) - 20


def test_images_that_are_drawn_are_seen_as_they_are_drawn():
    assert n_seen(classifier(augmentation=as_drawn), X, y) == 5 * len(X)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_what_is_learned_is_what_the_images_themselves_teach(dropout, early_stopping):
    architecture = TorchModule(Net, head="head", freeze=True, dropout=dropout)
    at_once = classifier(architecture, early_stopping=early_stopping).fit(X, y)
    again = classifier(architecture, early_stopping=early_stopping, augmentation=as_drawn).fit(X, y)
    same_weights(at_once, again)
    np.testing.assert_allclose(at_once.loss_curve_, again.loss_curve_, rtol=1e-4)
    assert at_once.validation_scores_ == again.validation_scores_


def test_dropout_before_the_head_drops_anew_in_each_step():
    losses = [
        classifier(TorchModule(Net, head="head", freeze=True, dropout=p)).fit(X, y).loss_curve_
        for p in (0.0, 0.9)
    ]
    assert losses[1][-1] > losses[0][-1]


def test_a_trunk_that_is_unfrozen_sees_images_from_then_on():
    architecture = TorchModule(Net, head="head", freeze=True, unfreeze_after=3)
    estimator = classifier(architecture)
    assert n_seen(estimator, X, y) >= len(X) + 2 * len(X)
    again = classifier(architecture, augmentation=as_drawn).fit(X, y)
    same_weights(estimator, again)


def test_training_that_goes_on_with_a_trunk_that_has_learned_sees_images():
    architecture = TorchModule(Net, head="head", freeze=True, unfreeze_after=3)
    estimator = classifier(architecture, warm_start=True).fit(X, y)
    trunk = estimator.module_.network.trunk[0].weight.detach().clone()
    estimator.set_params(max_epochs=1).fit(X, y)
    assert not torch.equal(trunk, estimator.module_.network.trunk[0].weight)


def test_a_callback_that_unfreezes_is_heeded():
    architecture = TorchModule(Net, head="head", freeze=True, unfreeze_after=100)
    callback = Unfreezer("network.trunk.*", at=3)
    at_once = classifier(architecture, callbacks=[callback]).fit(X, y)
    again = classifier(architecture, callbacks=[callback], augmentation=as_drawn).fit(X, y)
    same_weights(at_once, again)
    still = classifier(architecture).fit(X, y)
    trunks = [e.module_.network.trunk[0].weight for e in (at_once, still)]
    assert not torch.equal(*trunks)


def test_a_network_that_goes_on_behind_its_head_learns_as_ever():
    architecture = TorchModule(Net, head="head", freeze=True, after=nn.Tanh())
    assert n_seen(classifier(architecture), X, y) == 5 * len(X)


def test_numbers_are_learned_behind_a_frozen_trunk():
    regressor = CNNRegressor(
        TorchModule(Net, head="head", freeze=True), max_epochs=5, batch_size=16, random_state=0
    )
    assert n_seen(regressor, X, y.astype(float)) == len(X)


def test_partial_fit_learns_behind_a_frozen_trunk():
    estimator = classifier()
    estimator.partial_fit(X[:40], y[:40], classes=range(10))
    first = estimator.module_.network.head.weight.detach().clone()
    estimator.partial_fit(X[40:], y[40:])
    assert not torch.equal(first, estimator.module_.network.head.weight)


def split_of(network, head, side=32):
    """Return what enters the layers from the last one on, and their names."""
    module = nn.Sequential()
    module.network = network.eval().requires_grad_(False)
    network.get_submodule(head).requires_grad_(True)
    images = torch.rand(2, 3, side, side)
    trunk, rest = frozen_trunk(module, f"network.{head}", images)
    with torch.no_grad():
        entry = trunk(images).permute(0, 3, 1, 2)
        torch.testing.assert_close(rest.eval()(entry), network(images), rtol=1e-4, atol=1e-5)
    return entry.shape[1:], [type(layer).__name__ for layer in rest]


def test_networks_of_torchvision_are_split_before_their_last_layer():
    architecture = TorchvisionModel("mobilenet_v3_small")
    network = architecture.build(3, (32, 32), 4)
    features, layers = split_of(network, *architecture.head_names(network))
    assert features == (1024, 1, 1)
    assert layers == ["Flatten", "Dropout", "Linear", "Flatten"]


def test_maps_enter_a_head_that_is_a_convolution():
    head = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(8, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), head, nn.Flatten())
    features, layers = split_of(network, "1.1")
    assert features == (8, 15, 15)
    assert layers == ["Dropout", "Conv2d", "ReLU", "AdaptiveAvgPool2d", "Flatten"]


def test_dropout_deeper_in_the_trunk_is_no_part_of_what_learns():
    # torch hands the memory of one layer's outputs on to another's
    trunk = [layer for _ in range(8) for layer in (nn.Linear(12, 12), nn.Dropout(0.5), nn.ReLU())]
    network = nn.Sequential(nn.Flatten(), *trunk, nn.Linear(12, 4))
    _, layers = split_of(network, "25", side=2)
    assert layers == ["Flatten", "Linear", "Flatten"]


def test_a_network_of_which_more_learns_is_not_split():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(16, 8), nn.Linear(8, 2))
    module[0].requires_grad_(False)
    assert frozen_trunk(module, "3", torch.rand(2, 3, 2, 2)) is None


def test_what_begins_to_learn_late_has_a_cycle_of_the_rate_of_its_own():
    architecture = TorchModule(Net, head="head", freeze=True, unfreeze_after=4)
    estimator = classifier(architecture, max_epochs=8, lr_schedule="cosine").fit(X, y)
    rates = [row["lr"] for row in estimator.history_]
    assert rates[:4] == sorted(rates[:4], reverse=True)
    assert rates[4:] == rates[:4]
    whole = classifier(max_epochs=8, lr_schedule="cosine").fit(X, y)
    rates = [row["lr"] for row in whole.history_]
    assert rates == sorted(rates, reverse=True)

"""What "auto" comes to: from scratch, and with learned weights."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet, Finetuned, TorchModule, TorchvisionModel

DIGITS, CLASSES = load_digits(return_X_y=True)
X, y = DIGITS[:60].reshape(-1, 8, 8).astype(np.uint8) * 15, CLASSES[:60]


class Net(nn.Sequential):
    """A trunk with normalization, and a head."""

    def __init__(self, num_classes=10):
        trunk = nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(3))
        super().__init__(trunk, nn.Flatten(), nn.Linear(24, num_classes))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of the weights of a network that has learned."""
    path = tmp_path_factory.mktemp("weights") / "net.pt"
    learned = CNNClassifier(TorchModule(Net), max_epochs=3, random_state=0).fit(X, y)
    torch.save(learned.module_.network.state_dict(), path)
    return str(path)


def trunk_of(estimator):
    """Return the weights of the first layer, and the running mean behind it."""
    trunk = estimator.module_.network[0]
    return trunk[0].weight.detach().clone(), trunk[1].running_mean.clone()


def test_from_scratch_training_is_what_it_was():
    automatic = CNNClassifier(ConvNet((4,)), random_state=0).fit(X, y)
    explicit = CNNClassifier(
        ConvNet((4,)), lr=0.005, weight_decay=0.5, max_epochs=20, random_state=0
    ).fit(X, y)
    assert (automatic.lr_, automatic.weight_decay_, automatic.max_epochs_) == (0.005, 0.5, 20)
    np.testing.assert_array_equal(automatic.loss_curve_, explicit.loss_curve_)


def test_learned_weights_have_a_recipe_of_their_own(weights):
    estimator = CNNClassifier(TorchModule(Net, weights=weights), random_state=0).fit(X, y)
    found = (estimator.lr_, estimator.weight_decay_, estimator.max_epochs_, estimator.n_iter_)
    assert found == (0.003, 0.05, 12, 12)
    ratios = {group["lr_ratio"] for group in estimator.net_.optimizer_.param_groups}
    assert ratios == {1.0, 0.1}


def test_a_value_of_your_own_wins(weights):
    estimator = CNNClassifier(
        TorchModule(Net, weights=weights, head_lr_ratio=1.0),
        lr=0.01,
        weight_decay=0.1,
        max_epochs=3,
        random_state=0,
    ).fit(X, y)
    assert (estimator.lr_, estimator.weight_decay_, estimator.n_iter_) == (0.01, 0.1, 3)
    assert {group["lr_ratio"] for group in estimator.net_.optimizer_.param_groups} == {1.0}


def test_the_head_learns_first_and_then_all_of_it(weights):
    architecture = TorchModule(Net, weights=weights)
    before = trunk_of(CNNClassifier(architecture, max_epochs=1, random_state=0).fit(X, y))
    after = trunk_of(CNNClassifier(architecture, max_epochs=3, random_state=0).fit(X, y))
    loaded = torch.load(weights)
    assert torch.equal(before[0], loaded["0.0.weight"])
    assert not torch.equal(after[0], loaded["0.0.weight"])
    # batch normalization goes by the statistics of the images that it learned from
    assert torch.equal(after[1], loaded["0.1.running_mean"])


@pytest.mark.parametrize("freeze", [False, True])
def test_freeze_is_what_it_says(weights, freeze):
    architecture = TorchModule(Net, weights=weights, freeze=freeze)
    estimator = CNNClassifier(architecture, max_epochs=2, random_state=0).fit(X, y)
    is_kept = torch.equal(trunk_of(estimator)[0], torch.load(weights)["0.0.weight"])
    assert is_kept == freeze


def test_random_weights_and_instances_learn_from_the_first_epoch():
    for architecture in (TorchModule(Net), TorchModule(Net()), TorchvisionModel("squeezenet1_1")):
        shape = (32, 32) if isinstance(architecture, TorchvisionModel) else None
        images = np.repeat(np.repeat(X, 4, axis=1), 4, axis=2) if shape else X
        estimator = CNNClassifier(architecture, max_epochs=1, random_state=0)
        estimator.fit(images[:20], y[:20])
        assert all(p.requires_grad for p in estimator.module_.parameters())
        assert (estimator.lr_, estimator.weight_decay_) == (0.005, 0.5)


def test_a_source_of_your_own_is_learned_on_as_it_learned(tmp_path):
    source = CNNClassifier(ConvNet((4,)), max_epochs=1, random_state=0).fit(X, y)
    source.save(tmp_path / "source.safetensors")
    finetuned = Finetuned(str(tmp_path / "source.safetensors"))
    estimator = CNNClassifier(finetuned, max_epochs=1, random_state=0).fit(X, y)
    assert (estimator.lr_, estimator.weight_decay_) == (0.005, 0.5)


def test_sgd_and_adam_have_their_own_decay(weights):
    for optimizer, decay in (("sgd", 5e-4), ("adam", 0.0)):
        estimator = CNNClassifier(
            TorchModule(Net, weights=weights), optimizer=optimizer, max_epochs=1, random_state=0
        )
        assert estimator.fit(X, y).weight_decay_ == decay


def test_training_goes_on_by_the_recipe_of_its_start(weights, tmp_path):
    estimator = CNNRegressor(
        TorchModule(Net, weights=weights), max_epochs=3, warm_start=True, random_state=0
    ).fit(X, y.astype(float))
    estimator.save(tmp_path / "model.safetensors")
    loaded = CNNRegressor.load(tmp_path / "model.safetensors", architecture=Net)
    for again in (estimator, loaded):
        again.set_params(max_epochs=1).fit(X, y.astype(float))
        assert (again.lr_, again.weight_decay_) == (0.003, 0.05)
        assert torch.equal(trunk_of(again)[1], torch.load(weights)["0.1.running_mean"])
    for one, other in zip(trunk_of(estimator), trunk_of(loaded), strict=True):
        assert torch.equal(one, other)


def test_auto_is_a_value_as_others_are():
    estimator = clone(CNNClassifier(lr="auto", max_epochs="auto"))
    assert estimator.get_params()["max_epochs"] == "auto"
    with pytest.raises(ValueError, match="'lr' parameter"):
        CNNClassifier(ConvNet((4,)), lr="fast").fit(X, y)

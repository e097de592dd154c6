"""`net_` is a skorch net that a skorch user can go on with, and does what skorch documents."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch import NeuralNet
from skorch.callbacks import Callback, LRScheduler
from skorch.dataset import ValidSplit
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.training.net import Net

RNG = np.random.default_rng(0)
X = RNG.integers(0, 128, (60, 12, 10, 3), dtype=np.uint8)
LABELS = np.arange(60) % 3
X[LABELS == 1, 3:9] += 100
X[LABELS == 2, :, 3:6] += 100
INDICATOR = np.c_[LABELS == 0, LABELS < 2].astype(int)
NUMBERS = X.mean(axis=(1, 2, 3)) * 10

# what a network takes
X32 = X.transpose(0, 3, 1, 2).astype(np.float32)


def classifier(**params):
    params = {"max_epochs": 4, "random_state": 0, "precision": "float32", **params}
    return CNNClassifier(ConvNet((8,)), **params)


@pytest.fixture(scope="module")
def fitted():
    return classifier().fit(X, np.array(["a", "b", "c"])[LABELS])


@pytest.fixture
def net(fitted):
    return copy.deepcopy(fitted.net_)


def loss_of(net, y):
    """Return the mean loss of a net over X."""
    with torch.no_grad():
        return net.criterion_(net.forward(X32), torch.as_tensor(y)).item()


def weights_of(net):
    return {name: value.clone() for name, value in net.module_.state_dict().items()}


def assert_equal_weights(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("y", [LABELS, LABELS % 2, INDICATOR], ids=["three", "two", "indicator"])
def test_probabilities_are_those_of_the_estimator(y):
    model = classifier().fit(X, y)
    assert isinstance(model.net_, NeuralNet)
    np.testing.assert_allclose(model.net_.predict_proba(X32), model.predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(model.net_.predict(X32), model.predict_proba(X), atol=1e-5)


def test_outputs_of_a_loss_without_probabilities_are_decisions():
    model = classifier(loss="hinge").fit(X, LABELS)
    expected = model.decision_function(X)
    np.testing.assert_allclose(model.net_.predict_proba(X32), expected, atol=1e-4)


def test_outputs_of_a_regressor_are_standardized_targets():
    model = CNNRegressor(ConvNet((8,)), max_epochs=4, random_state=0).fit(X, NUMBERS)
    outputs = model.net_.predict_proba(X32)[:, 0]
    in_units = outputs * NUMBERS.std() + NUMBERS.mean()
    np.testing.assert_allclose(in_units, model.predict(X), rtol=1e-4)


def test_a_clone_is_not_fitted_and_trains(net):
    before = weights_of(net)
    cloned = clone(net)
    assert type(cloned) is Net
    assert not cloned.initialized_
    cloned.fit(X32, LABELS)
    assert len(cloned.history_) == net.max_epochs
    assert loss_of(cloned, LABELS) < loss_of(net, LABELS)
    assert_equal_weights(weights_of(net), before)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"]
)
def test_a_net_that_is_not_initialized_can_be_copied(net, copied):
    cloned = clone(net).set_params(callbacks="disable")
    other = copied(cloned)
    assert not other.initialized_
    assert other.callbacks == "disable"
    assert len(other.fit(X32, LABELS).history_) == net.max_epochs


def test_a_net_trimmed_for_prediction_predicts(net):
    expected = net.predict_proba(X32)
    net.trim_for_prediction()
    trimmed = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(trimmed.predict_proba(X32), expected)


def test_the_net_of_a_loaded_estimator_goes_on(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = CNNClassifier.load(tmp_path / "model")
    probabilities = loaded.net_.predict_proba(X32)
    np.testing.assert_allclose(probabilities, fitted.predict_proba(X), atol=1e-5)
    loss = loss_of(loaded.net_, LABELS)
    loaded.net_.partial_fit(X32, LABELS)
    assert loss_of(loaded.net_, LABELS) < loss
    np.testing.assert_allclose(loaded.net_.predict_proba(X32), loaded.predict_proba(X), atol=1e-5)


def test_training_goes_on_in_skorchs_own_loop(net):
    before, loss = weights_of(net), loss_of(net, LABELS)
    n_epochs = len(net.history_)
    net.partial_fit(X32, LABELS)
    assert len(net.history_) == n_epochs + net.max_epochs
    assert loss_of(net, LABELS) < loss
    for name, parameter in net.module_.named_parameters():
        assert not torch.equal(before[name], parameter)


def test_history_has_the_losses_of_skorchs_own_loop(net):
    net.set_params(train_split=ValidSplit(5), batch_size=7).partial_fit(X32, LABELS)
    for row in net.history_[-net.max_epochs :]:
        for name in ("train", "valid"):
            losses = [batch[f"{name}_loss"] for batch in row["batches"] if f"{name}_loss" in batch]
            sizes = [b[f"{name}_batch_size"] for b in row["batches"] if f"{name}_loss" in b]
            expected = np.average(losses, weights=sizes)
            assert row[f"{name}_loss"] == pytest.approx(expected)


def test_the_estimator_goes_on_after_skorchs_own_loop(fitted):
    model = copy.deepcopy(fitted)
    model.net_.partial_fit(X32, LABELS)
    y = model.classes_[LABELS]
    loss = loss_of(model.net_, LABELS)
    model.partial_fit(X, y)
    assert len(model.loss_curve_) == model.n_iter_ == 9
    assert model.loss_curve_[-1] < fitted.loss_curve_[-1]
    assert loss_of(model.net_, LABELS) < loss


@pytest.mark.parametrize("use_safetensors", [False, True])
def test_weights_go_through_a_file(net, tmp_path, use_safetensors):
    path = tmp_path / "weights"
    net.save_params(f_params=path, use_safetensors=use_safetensors)
    other = clone(net).initialize()
    other.partial_fit(X32, LABELS)
    other.load_params(f_params=path, use_safetensors=use_safetensors)
    assert_equal_weights(weights_of(other), weights_of(net))
    np.testing.assert_array_equal(other.predict_proba(X32), net.predict_proba(X32))


def test_a_checkpoint_of_all_parts_goes_on_as_the_net_itself(net, tmp_path):
    paths = {f"f_{part}": tmp_path / part for part in ("params", "optimizer", "history")}
    net.save_params(**paths)
    other = clone(net).initialize()
    other.load_params(**paths)
    assert list(other.history_) == list(net.history_)
    for going_on in (net, other):
        torch.manual_seed(0)
        going_on.partial_fit(X32, LABELS)
    assert_equal_weights(weights_of(other), weights_of(net))
    steps = [{int(s["step"]) for s in n.optimizer_.state.values()} for n in (net, other)]
    assert steps[0] == steps[1]


def test_parameters_are_those_of_the_constructor(net):
    params = net.get_params()
    assert isinstance(params["module"], nn.Module)
    for name in ("lr", "max_epochs", "optimizer", "weight_decay", "lr_ratios", "with_frozen"):
        assert params[name] == getattr(net, name)
    assert not [name for name in params if name.endswith("_")]


def test_parameters_can_be_set(net):
    net.set_params(lr=0.125, max_epochs=1)
    assert {group["lr"] for group in net.optimizer_.param_groups} == {0.125}
    net.set_params(optimizer__weight_decay=0.0)
    assert {group["weight_decay"] for group in net.optimizer_.param_groups} == {0.0}
    assert len(net.fit(X32, LABELS).history_) == 1


def test_arguments_of_the_optimizer_are_passed_on(net):
    other = clone(net).set_params(optimizer__betas=(0.5, 0.6), optimizer__eps=1e-3).initialize()
    assert {group["betas"] for group in other.optimizer_.param_groups} == {(0.5, 0.6)}
    assert {group["eps"] for group in other.optimizer_.param_groups} == {1e-3}
    other = clone(net).set_params(optimizer=torch.optim.SGD, optimizer__momentum=0.5).initialize()
    assert type(other.optimizer_) is torch.optim.SGD
    assert {group["momentum"] for group in other.optimizer_.param_groups} == {0.5}


def test_what_the_optimizer_does_not_take_is_refused(net):
    with pytest.raises((TypeError, ValueError), match="momentun"):
        clone(net).set_params(optimizer=torch.optim.SGD, optimizer__momentun=0.5).initialize()


class Epochs(Callback):
    """Count epochs."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        self.n_epochs = 0

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs += 1


def test_callbacks_are_told_by_skorchs_own_loop(net):
    net.set_params(callbacks=[Epochs()]).initialize()
    net.fit(X32, LABELS)
    assert dict(net.callbacks_)["Epochs"].n_epochs == net.max_epochs


def test_a_scheduler_goes_on_in_skorchs_own_loop():
    scheduler = LRScheduler("LambdaLR", lr_lambda=lambda epoch: 0.5**epoch, event_name="rate")
    model = classifier(callbacks=[scheduler], lr_schedule="constant", lr=0.01).fit(X, LABELS)
    model.net_.partial_fit(X32, LABELS)
    expected = [0.01 * 0.5**epoch for epoch in range(8)]
    assert model.history_[:, "rate"] == pytest.approx(expected)
    assert model.history_[:, "lr"] == pytest.approx(expected)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"]
)
def test_a_copy_is_a_net_of_its_own_that_goes_on(net, copied):
    before, other = weights_of(net), copied(net)
    np.testing.assert_array_equal(other.predict_proba(X32), net.predict_proba(X32))
    assert list(other.history_) == list(net.history_)
    other.partial_fit(X32, LABELS)
    assert_equal_weights(weights_of(net), before)
    assert loss_of(other, LABELS) < loss_of(net, LABELS)
    # the optimizer of the copy trains the weights of the copy
    held = {id(p) for group in other.optimizer_.param_groups for p in group["params"]}
    assert held == {id(p) for p in other.module_.parameters()}

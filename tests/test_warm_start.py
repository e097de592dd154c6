"""Training goes on with the weights and under the parameters as they are now."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from drawn import bars_and_discs
from PIL import Image
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.targets import Continuous

X, Y = bars_and_discs(40)
N_STEPS = 5  # of 8 images, an epoch


class Counter(Callback):
    """Counts the epochs that it has seen."""

    def __init__(self):
        self.n_epochs = 0

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs += 1


class WeightedCrossEntropy(nn.Module):
    """A loss of the user's own that holds a tensor."""

    def __init__(self, weight=2.0):
        super().__init__()
        self.reduction = "mean"
        self.register_buffer("weight", torch.tensor([weight, 1.0]))

    def forward(self, logits, target):
        return nn.functional.cross_entropy(logits, target, self.weight, reduction=self.reduction)


class OwnSGD(torch.optim.SGD):
    """An optimizer of the user's own."""


def classifier(**params):
    settings = {"max_epochs": 1, "batch_size": 8, "warm_start": True, "random_state": 0}
    return CNNClassifier(ConvNet((4,)), **{**settings, **params})


def go_on(model, method="fit", **params):
    return getattr(model.set_params(**params), method)(X, Y)


def n_steps_of_optimizer(model):
    return n_steps_of_optimizer_of(model.net_)


def n_steps_of_optimizer_of(net):
    return {int(state["step"]) for state in net.optimizer_.state.values()}


def counted(model):
    return [callback.n_epochs for _, callback in model.net_.callbacks_]


@pytest.mark.parametrize(("method", "n_steps"), [("fit", N_STEPS), ("partial_fit", 2 * N_STEPS)])
def test_weights_and_history_go_on_and_the_optimizer_in_partial_fit(method, n_steps):
    model = classifier(callbacks=[Counter()]).fit(X, Y)
    before, losses = model.net_, model.loss_curve_
    go_on(model, method)
    assert n_steps_of_optimizer(model) == {n_steps}
    assert model.loss_curve_[:1] == losses
    assert model.n_iter_ == 2
    assert model.loss_curve_[1] < losses[0]
    # the callbacks of each training are its own
    assert counted(model) == [1]
    # what was learned before is left as it was
    assert n_steps_of_optimizer_of(before) == {N_STEPS}
    assert not torch.equal(before.module_[1][-1].weight, model.module_[1][-1].weight)


def test_steps_without_learning_leave_the_weights_as_they_are():
    model = classifier(optimizer="sgd", weight_decay=0.0).fit(X, Y)
    weights = [p.clone() for p in model.module_.parameters()]
    go_on(model, lr=1e-30)
    for before, after in zip(weights, model.module_.parameters(), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize(("method", "n_steps"), [("fit", N_STEPS), ("partial_fit", 2 * N_STEPS)])
def test_a_changed_loss_is_the_one_that_trains(method, n_steps):
    model = go_on(classifier().fit(X, Y), method, loss="hinge")
    assert isinstance(model.net_.criterion_.loss, nn.MultiMarginLoss)
    assert n_steps_of_optimizer(model) == {n_steps}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_changed_rate_is_the_one_that_trains(method):
    model = go_on(classifier(lr_schedule="constant", lr=0.01).fit(X, Y), method, lr=0.002)
    assert model.history_[:, "lr"] == [0.01, 0.002]


def test_a_changed_quantile_is_the_one_that_trains():
    noise = np.random.default_rng(0).uniform(size=len(X))
    model = CNNRegressor(
        ConvNet((4,)), loss="quantile", quantile=0.1, max_epochs=1, warm_start=True, random_state=0
    )
    model.fit(X, noise).set_params(quantile=0.9).fit(X, noise)
    assert model.net_.criterion_.loss.quantile == 0.9


@pytest.mark.parametrize(
    ("params", "kind", "weight_decay", "n_steps"),
    [
        ({"optimizer": "sgd"}, torch.optim.SGD, 5e-4, None),
        ({"optimizer": "adam"}, torch.optim.Adam, 0, N_STEPS),
        ({"optimizer": partial(torch.optim.AdamW, eps=1e-6)}, torch.optim.AdamW, 0.5, N_STEPS),
        # another optimizer only if `optimizer` says so
        ({"weight_decay": 3.0}, torch.optim.AdamW, 3.0, 2 * N_STEPS),
        ({"lr": 1e-3}, torch.optim.AdamW, 0.5, 2 * N_STEPS),
    ],
    ids=str,
)
def test_a_changed_optimizer_starts_anew(params, kind, weight_decay, n_steps):
    model = go_on(classifier().fit(X, Y), "partial_fit", **params)
    assert type(model.net_.optimizer_) is kind
    assert model.net_.optimizer_.param_groups[0]["weight_decay"] == weight_decay
    if n_steps is not None:
        assert n_steps_of_optimizer(model) == {n_steps}


def test_an_optimizer_that_is_equal_by_value_goes_on():
    model = classifier(optimizer=partial(torch.optim.AdamW, betas=(0.8, 0.9))).fit(X, Y)
    go_on(model, "partial_fit", optimizer=partial(torch.optim.AdamW, betas=[0.8, 0.9]))
    assert n_steps_of_optimizer(model) == {2 * N_STEPS}


def test_changed_callbacks_are_called():
    model = go_on(classifier(callbacks=[Counter()]).fit(X, Y), callbacks=[Counter(), Counter()])
    assert counted(model) == [1, 1]
    model.callbacks.append(Counter())
    assert counted(model.fit(X, Y)) == [1, 1, 1]
    assert [callback.n_epochs for callback in model.callbacks] == [0, 0, 0]


@pytest.mark.parametrize(
    ("first", "then", "reason"),
    [
        ({}, {"callbacks": [EarlyStopping()]}, "early_stopping=True instead"),
        (
            {"lr_schedule": "constant", "callbacks": [LRScheduler("StepLR", step_size=1)]},
            {"lr_schedule": "one_cycle"},
            'lr_schedule="constant"',
        ),
    ],
    ids=["callback", "schedule"],
)
def test_what_fit_refuses_it_refuses_when_it_goes_on(first, then, reason):
    model = classifier(**first).fit(X, Y)
    before = model.decision_function(X)
    with pytest.raises(ValueError, match=reason):
        go_on(model, **then)
    np.testing.assert_array_equal(model.decision_function(X), before)
    assert model.n_iter_ == 1


HALVES = slice(None, 20), slice(20, None)


def unlike(half):
    """Return a batch, of which three or two in four are of the first class."""
    return X[half], np.where(np.arange(20) % (4 if half is HALVES[0] else 2) == 0, 1, 0)


def going_on(first, then, dicts=(None, None)):
    """Learn from two batches, either with a class_weight or with sample weights by hand."""
    model = classifier()
    for class_weight, by_hand, half in zip((first, then), dicts, HALVES, strict=True):
        images, y = unlike(half)
        weight = None if by_hand is None else np.array(by_hand)[y]
        model.set_params(class_weight=class_weight)
        model.partial_fit(images, y, classes=[0, 1], sample_weight=weight)
    return model.decision_function(X)


@pytest.mark.parametrize(
    ("first", "then", "dicts"),
    [
        (None, {0: 1, 1: 9}, (None, [1, 9])),
        ({0: 1, 1: 9}, {1: 0.5}, ([1, 9], [1, 0.5])),
        ({0: 1, 1: 9}, None, ([1, 9], None)),
        # what the first batch to have it holds: 15 and 5, then 10 and 10
        ("balanced", "balanced", ([20 / 30, 20 / 10], [20 / 30, 20 / 10])),
        ({0: 1, 1: 9}, "balanced", ([1, 9], None)),
        ("balanced", {0: 1, 1: 9}, ([20 / 30, 20 / 10], [1, 9])),
    ],
    ids=str,
)
def test_partial_fit_weighs_classes_as_the_parameter_says(first, then, dicts):
    expected = going_on(None, None, dicts)
    np.testing.assert_array_equal(going_on(first, then), expected)


def test_balanced_weights_are_those_of_the_first_batch_that_had_them(tmp_path):
    batches = [unlike(half) for half in HALVES]
    weights = [20 / 30, 20 / 10]
    model, by_hand = classifier(class_weight="balanced"), classifier()
    for class_weight, expected, batch in [
        ("balanced", weights, batches[0]),
        (None, [1, 1], batches[0]),
        ("balanced", weights, batches[1]),
    ]:
        model.set_params(class_weight=class_weight).partial_fit(*batch, classes=[0, 1])
        by_hand.partial_fit(*batch, classes=[0, 1], sample_weight=np.array(expected)[batch[1]])
    model.save(tmp_path / "model.pt")
    model = CNNClassifier.load(tmp_path / "model.pt").partial_fit(*batches[1])
    by_hand.partial_fit(*batches[1], sample_weight=np.array(weights)[batches[1][1]])
    np.testing.assert_array_equal(model.decision_function(X), by_hand.decision_function(X))


@pytest.mark.parametrize("class_weight", [{0: -1}, {0: np.nan}, {0: 0, 1: 0}, {7: 1}], ids=str)
def test_partial_fit_refuses_class_weights_in_any_batch(class_weight):
    y = np.arange(len(X)) % 2
    with pytest.raises(ValueError, match="weight") as at_first:
        classifier(class_weight=class_weight).partial_fit(X, y, classes=[0, 1])
    model = classifier().partial_fit(X, y, classes=[0, 1])
    before = model.decision_function(X)
    with pytest.raises(ValueError, match="weight") as later:
        model.set_params(class_weight=class_weight).partial_fit(X, y)
    assert str(later.value) == str(at_first.value)
    np.testing.assert_array_equal(model.decision_function(X), before)
    assert model.n_iter_ == 1


@pytest.mark.parametrize("wrong", [lambda Y: 3 * Y, lambda Y: Y[:, :1]], ids=["values", "shape"])
def test_balanced_weights_are_not_learned_from_what_is_no_indicator(wrong):
    indicator = np.c_[np.arange(len(X)) % 2, np.arange(len(X)) % 3 == 0].astype(int)
    model = classifier().partial_fit(X, indicator).set_params(class_weight="balanced")
    with pytest.raises(ValueError, match="indicator"):
        model.partial_fit(X, wrong(indicator))


def test_precision_may_change():
    model = classifier(precision="float32").fit(X, Y)
    assert go_on(model, precision="bf16").precision_ == "bf16"


@pytest.mark.parametrize("then", [0, 1, None, np.random.RandomState(1)], ids=str)
def test_the_same_images_stay_held_out(then):
    held_out = []

    class Look(Callback):
        def on_train_begin(self, net, **kwargs):
            held_out.append(None)

        def on_epoch_end(self, net, dataset_valid=None, **kwargs):
            held_out[-1] = dataset_valid.samples.images.clone()

    model = classifier(early_stopping=True, validation_fraction=0.3, callbacks=[Look()])
    go_on(model.fit(X, Y), random_state=then)
    assert len(held_out) == 2
    assert torch.equal(*held_out)


CONTAINERS = {
    "rows": X[..., 0].reshape(len(X), -1),
    "gray": X[..., 0],
    "colour": X,
    "PIL": [Image.fromarray(image) for image in X],
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("kind", CONTAINERS)
def test_training_does_not_go_on_with_images_of_another_shape(kind, method):
    images = CONTAINERS[kind]
    model = classifier().fit(images, Y)
    before, fitted = model.predict_proba(images), model.image_shape_
    for other in [(9, 16), (12, 13), (6, 6), (12, 12, 4 - fitted[2])]:
        model.set_params(image_shape=other)
        with pytest.raises(ValueError, match=r"\(12, 12, [13]\), and image_shape cannot change"):
            getattr(model, method)(images, Y)
    for same in [(12, 12), [12, 12], fitted, None]:
        model.set_params(image_shape=same)
        assert model.image_shape_ == fitted
        np.testing.assert_array_equal(model.predict_proba(images), before)
    assert getattr(model, method)(images, Y).n_iter_ == 2


def test_without_warm_start_images_may_have_another_shape():
    model = classifier(warm_start=False).fit(CONTAINERS["rows"], Y)
    model.set_params(image_shape=(9, 16)).fit(CONTAINERS["rows"], Y)
    assert model.image_shape_ == (9, 16, 1)


def regressor(**params):
    settings = {"max_epochs": 1, "warm_start": True, "random_state": 0}
    return CNNRegressor(**{"architecture": ConvNet((4,)), **settings, **params})


NUMBERS = X.mean(axis=(1, 2, 3)) / 8 + np.arange(40)
ANOTHER_SCALE = r"CNNRegressor goes on with numbers y from .* but subtracts .*warm_start=False"


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    "change",
    [
        lambda y: y * 1e4,
        lambda y: y * 100,
        lambda y: y / 100,
        lambda y: y * 1e-20,
        lambda y: y + 1e4,
    ],
    ids=["times 1e4", "times 100", "by 100", "by 1e20", "moved"],
)
def test_numbers_on_another_scale_warn_where_training_goes_on(change, method):
    model = regressor().fit(X, NUMBERS)
    other = change(NUMBERS)
    with pytest.warns(UserWarning, match=ANOTHER_SCALE) as caught:
        getattr(model, method)(X, other)
    said = f"y from {other.min():.4g} to {other.max():.4g}, but subtracts {NUMBERS.mean():.4g} and"
    assert said in str(caught[0].message)
    assert f"divides by {NUMBERS.std():.4g}, as it learned" in str(caught[0].message)
    # anew there is nothing to compare with
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.set_params(warm_start=False).fit(X, other)


def test_one_column_or_maps_on_another_scale_warn_too():
    columns = np.column_stack([NUMBERS, -NUMBERS])
    model = regressor().fit(X, columns)
    with pytest.warns(UserWarning, match=ANOTHER_SCALE):
        model.partial_fit(X, columns * [1, 1000])
    weights = np.arange(40) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, np.where(weights[:, None], columns, 1e6), weights)
    maps = X[..., 0] + np.arange(40)[:, None, None]
    model = regressor(architecture="unet", max_epochs=1).fit(X, maps)
    with pytest.warns(UserWarning, match=ANOTHER_SCALE):
        model.partial_fit(X, maps * 1000.0)
    nearly_flat = np.full((9, 12, 12), 5.0) + 0.1 * np.eye(12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit(X[:9], nearly_flat)


def test_a_first_batch_of_one_value_is_no_scale_of_other_numbers():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = regressor().partial_fit(X, np.full(40, 5000.0))
        model.partial_fit(X[:9], np.arange(5000.0, 5009))
    with pytest.warns(UserWarning, match="but subtracts 5000 and divides by 1, as it learned"):
        model.partial_fit(X, 1000 * NUMBERS)


@pytest.mark.parametrize("draw", ["normal", "exponential", "lognormal", "counts"])
def test_ordinary_batches_do_not_warn(draw):
    rng = np.random.default_rng(0)
    y = {
        "normal": rng.normal(7, 3, 4000),
        "exponential": rng.exponential(5, 4000),
        "lognormal": rng.lognormal(0, 1, 4000),
        "counts": rng.poisson(0.2, 4000).astype(float),
    }[draw]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # squares of the last two are 0 and infinite
        for unit in 1.0, 2.0**-900, 2.0**900:
            target = Continuous(y * unit)
            for n in 2, 10, 50:
                for start in range(0, 4000, n):
                    target.warn_of_another_scale(y[start : start + n] * unit, "It")
        target = Continuous(y)
        # as alike as one value is in any unit, and a few neighbours
        target.warn_of_another_scale(np.full(50, y[0]), "It")
        target.warn_of_another_scale(y[0] + 1e-3 * np.arange(5), "It")


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_another_int_as_random_state_counts(method):
    def outputs(first, then):
        model = classifier(random_state=first).fit(X, Y)
        return go_on(model, method, random_state=then).decision_function(X)

    expected, other = outputs(0, 0), outputs(0, 1)
    assert not np.array_equal(other, expected)
    np.testing.assert_array_equal(outputs(0, 1), other)
    # nothing to draw anew from
    np.testing.assert_array_equal(outputs(0, None), expected)
    assert not np.array_equal(outputs(None, 1), outputs(None, 1))  # the first draws differ


def network_of(width):
    def make(in_channels, num_classes):
        return nn.Sequential(
            nn.Conv2d(in_channels, width, 3),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, num_classes),
        )

    return make


@pytest.mark.parametrize(
    "make", [network_of, lambda width: network_of(width)(3, 2)], ids=["function", "instance"]
)
def test_training_does_not_go_on_with_another_module_of_the_same_name(make):
    module = make(4)
    model = classifier().set_params(architecture=module).fit(X, Y)
    assert go_on(model, architecture=module).n_iter_ == 2
    with pytest.raises(
        ValueError, match=r"last fit is TorchModule\(.*cannot change to another of that name"
    ):
        go_on(model, architecture=make(5))
    assert model.n_iter_ == 2


@pytest.mark.parametrize(
    "params",
    [{"optimizer": "sgd"}, {"weight_decay": 1.0}, {"loss": "hinge"}, {"loss": nn.CrossEntropyLoss}],
    ids=str,
)
def test_parameters_changed_before_saving_count_when_the_loaded_goes_on(params, tmp_path):
    model = classifier().fit(X, Y).set_params(**params)
    model.save(tmp_path / "model.pt")
    loaded = CNNClassifier.load(tmp_path / "model.pt")
    np.testing.assert_array_equal(
        loaded.partial_fit(X, Y).decision_function(X), model.partial_fit(X, Y).decision_function(X)
    )


@pytest.mark.parametrize(
    "params", [{"loss": WeightedCrossEntropy()}, {"optimizer": OwnSGD}, {"callbacks": [Counter()]}]
)
def test_what_did_not_come_back_can_be_set_again(params, tmp_path):
    model = classifier(**params).fit(X, Y)
    model.save(tmp_path / "model.pt")
    with pytest.warns(UserWarning, match="set them again"):
        loaded = CNNClassifier.load(tmp_path / "model.pt")
    np.testing.assert_array_equal(loaded.decision_function(X), model.decision_function(X))
    assert go_on(loaded, "partial_fit").n_iter_ == 2  # with the defaults
    go_on(loaded, "partial_fit", **params)
    if "loss" in params:
        assert isinstance(loaded.net_.criterion_.loss, WeightedCrossEntropy)
    elif "optimizer" in params:
        assert isinstance(loaded.net_.optimizer_, OwnSGD)
    else:
        assert counted(loaded) == [1]


def test_a_fitted_loss_with_tensors_can_be_exchanged_and_saved(tmp_path):
    model = classifier(loss=WeightedCrossEntropy()).fit(X, Y).set_params(loss="log_loss")
    model.save(tmp_path / "model.pt")
    loaded = CNNClassifier.load(tmp_path / "model.pt")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_features_of_one_thread_are_not_those_of_another():
    model = classifier().fit(X, Y)
    halves = X[:20], X[20:]
    expected = [model.transform(half) for half in halves]

    def count_equal(which):
        return sum(
            np.array_equal(model.transform(halves[which]), expected[which]) for _ in range(25)
        )

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(count_equal, [0, 1, 0, 1])) == [25] * 4

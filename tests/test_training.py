"""Training as users of scikit-learn and skorch expect it."""

import functools
import re
import warnings

import numpy as np
import pytest
import torch
from drawn import upright_and_lying_bars
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, LRScheduler
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet, TorchModule
from sklearn_cnn.runtime.device import has_fast_bf16

SMALL = ConvNet((8, 16))


class Headed(nn.Module):
    """A network of which the last layer alone may learn."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.trunk = nn.Conv2d(in_channels, 4, 3)
        self.head = nn.Linear(4, num_classes)

    def forward(self, images):
        return self.head(self.trunk(images).mean(dim=(2, 3)))


@pytest.fixture(scope="module")
def bars():
    return upright_and_lying_bars(120)


def classifier(**params):
    return CNNClassifier(SMALL, random_state=0, **{"max_epochs": 5, **params})


def weights(estimator):
    return {name: value.clone() for name, value in estimator.module_.state_dict().items()}


def same(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_curves_have_an_entry_an_epoch(bars):
    fitted = classifier().fit(*bars)
    assert fitted.n_iter_ == len(fitted.loss_curve_) == len(fitted.history_) == 5
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]
    assert fitted.best_loss_ == min(fitted.loss_curve_)
    assert fitted.validation_scores_ is None
    assert fitted.best_validation_score_ is None
    assert [row["train_loss"] for row in fitted.history_] == fitted.loss_curve_


def test_what_the_size_of_a_batch_came_to(bars):
    X, y = bars
    fitted = classifier(max_epochs=2).fit(X[:80], y[:80])
    assert (fitted.batch_size_, fitted.n_steps_) == (8, 20)
    fitted.set_params(batch_size=30, warm_start=True).fit(*bars)
    assert (fitted.batch_size_, fitted.n_steps_) == (30, 20 + 8)
    fitted.partial_fit(X[:20], y[:20])
    assert (fitted.batch_size_, fitted.n_steps_) == (20, 20 + 8 + 1)


def test_given_validation_data_is_scored_but_never_trained_on(bars):
    X, y = bars
    plain = classifier().fit(X[:80], y[:80])
    watched = classifier().fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:])
    assert same(weights(plain), weights(watched))
    assert len(watched.validation_scores_) == 5
    # the last entry is the score of the model that is left
    assert watched.validation_scores_[-1] == watched.score(X[80:], y[80:])


def test_validation_scores_follow_their_sample_weight(bars):
    X, y = bars
    wrong = 1 - y[80:]
    weight = np.r_[np.ones(20), np.zeros(20)]
    labels = np.r_[y[80:100], wrong[20:]]
    fitted = classifier(max_epochs=10).fit(
        X[:80], y[:80], X_val=X[80:], y_val=labels, sample_weight_val=weight
    )
    assert fitted.validation_scores_[-1] == fitted.score(X[80:100], y[80:100])


@pytest.mark.parametrize("class_weight", [None, {0: 1, 1: 5}])
def test_losses_are_weighted_means_of_the_parts_that_early_stopping_makes(bars, class_weight):
    X, y = bars
    parts = []

    class Look(Callback):
        def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
            held_out = dataset_valid.samples.images.numpy()[..., 0]
            parts.append(np.array([(image == held_out).all(axis=(1, 2)).any() for image in X]))

    # without normalization and with next to no step, the loss of training is that of prediction
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    model = CNNClassifier(
        linear,
        early_stopping=True,
        class_weight=class_weight,
        max_epochs=1,
        lr=1e-12,
        callbacks=[Look()],
        random_state=0,
    )
    sample_weight = np.random.default_rng(0).uniform(0, 3, len(X)) ** 3
    model.fit(X, y, sample_weight=sample_weight)
    weight = sample_weight * np.where(y == 1, 5 if class_weight else 1, 1)
    loss = -model.predict_log_proba(X)[np.arange(len(X)), y]
    [held_out] = parts
    assert held_out.sum() == 12
    for name, part in [("train_loss", ~held_out), ("valid_loss", held_out)]:
        expected = np.average(loss[part], weights=weight[part])
        np.testing.assert_allclose(model.history_[-1][name], expected, rtol=1e-5)


def test_early_stopping_at_a_constant_rate_keeps_the_best_weights(bars):
    X, y = bars
    fitted = classifier(
        early_stopping=True, max_epochs=60, n_iter_no_change=3, lr=0.02, lr_schedule="constant"
    ).fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:])
    assert fitted.n_iter_ < 60
    assert fitted.best_validation_score_ == max(fitted.validation_scores_)
    assert fitted.score(X[80:], y[80:]) == fitted.best_validation_score_


@pytest.mark.parametrize("lr_schedule", ["one_cycle", "cosine"])
def test_early_stopping_of_a_schedule_keeps_the_last_weights(bars, lr_schedule):
    X, y = bars
    # the labels of these images are chance: the surer the network, the worse they are told
    wrong = np.random.default_rng(0).permutation(y[80:])
    params = {"max_epochs": 20, "lr_schedule": lr_schedule, "scoring": "neg_log_loss"}
    fitted = classifier(early_stopping=True, n_iter_no_change=4, **params)
    fitted.fit(X[:80], y[:80], X_val=X[80:], y_val=wrong)
    # patience from epoch 10 on to 13, and a quarter of these more
    assert fitted.best_epoch_ == fitted.n_iter_ == 13 + 4
    scores = fitted.validation_scores_
    assert fitted.best_validation_score_ == max(scores) > scores[-1]
    assert -log_loss(wrong, fitted.predict_proba(X[80:])) == pytest.approx(scores[-1])


# After the first epoch no gain in accuracy can exceed it.
IMPATIENT = {"early_stopping": True, "tol": 1.0}


def test_early_stopping_at_a_constant_rate_stops_after_n_iter_no_change_epochs(bars):
    impatient = classifier(
        max_epochs=80, n_iter_no_change=4, lr_schedule="constant", **IMPATIENT
    ).fit(*bars)
    assert impatient.n_iter_ == 1 + 4
    assert {row["lr"] for row in impatient.history_} == {impatient.lr_}


@pytest.mark.parametrize(
    ("max_epochs", "patience", "n_epochs"),
    [
        # counted from epoch 10 on to 11, and a quarter of these more
        (20, 2, 11 + 3),
        (20, 5, 14 + 4),
        # no more than there are
        (20, 9, 20),
        (4, 1, 2 + 1),
    ],
)
@pytest.mark.parametrize("lr_schedule", ["one_cycle", "cosine"])
def test_early_stopping_hurries_through_the_rest_of_a_schedule(
    bars, lr_schedule, max_epochs, patience, n_epochs
):
    params = {"max_epochs": max_epochs, "lr_schedule": lr_schedule}
    impatient = classifier(n_iter_no_change=patience, **params, **IMPATIENT).fit(*bars)
    assert impatient.n_iter_ == n_epochs
    rates = [row["lr"] for row in impatient.history_]
    # it falls after the warm-up, and next to nothing is left in the end
    assert np.all(np.diff(rates[max_epochs // 4 :]) < 0)
    assert rates[-1] < 0.01 * impatient.lr_


def test_early_stopping_that_does_not_stop_changes_nothing(bars):
    X, y = bars
    parts = {"X_val": X[80:], "y_val": y[80:]}
    plain = classifier().fit(X[:80], y[:80], **parts)
    patient = classifier(early_stopping=True).fit(X[:80], y[:80], **parts)
    assert same(weights(plain), weights(patient))
    assert patient.validation_scores_ == plain.validation_scores_
    assert (plain.best_epoch_, patient.best_epoch_) == (None, 5)


@pytest.mark.parametrize("lr_schedule", ["one_cycle", "constant"])
def test_early_stopping_waits_until_all_parts_learn(bars, lr_schedule):
    architecture = TorchModule(Headed, head="head", freeze=True, unfreeze_after=10)
    fitted = CNNClassifier(
        architecture,
        max_epochs=20,
        lr=0.01,
        lr_schedule=lr_schedule,
        n_iter_no_change=2,
        random_state=0,
        **IMPATIENT,
    ).fit(*bars)
    # of a schedule, counted from half of the second cycle on, epoch 15, and a quarter of six more
    assert fitted.n_iter_ == {"one_cycle": 16 + 2, "constant": 12}[lr_schedule]
    assert all(parameter.requires_grad for parameter in fitted.module_.parameters())


def test_early_stopping_holds_out_validation_fraction(bars):
    seen = []

    class Sizes(Callback):
        def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
            seen.append((len(dataset_train), len(dataset_valid)))

    classifier(early_stopping=True, validation_fraction=0.25, callbacks=[Sizes()]).fit(*bars)
    assert set(seen) == {(90, 30)}


@pytest.mark.parametrize(
    ("n_classes", "fraction", "message"),
    [
        (2, 0.001, "the score of 2 images of 2 classes"),
        (2, 0.05, None),
        (6, 0.05, "the score of 5 images of 6 classes"),
        (6, 0.06, None),
    ],
)
def test_a_validation_part_that_says_little_warns(n_classes, fraction, message):
    X = np.random.RandomState(0).randint(0, 256, (100, 4, 4), dtype=np.uint8)
    stopping = classifier(early_stopping=True, validation_fraction=fraction, max_epochs=1)
    with warnings.catch_warnings(record=True, action="always") as caught:
        stopping.fit(X, np.arange(100) % n_classes)
    told = [str(warning.message) for warning in caught if "the score of" in str(warning.message)]
    assert len(told) == (message is not None)
    assert all(message in text and "validation_fraction" in text for text in told)


def test_early_stopping_without_a_sample_to_spare_warns_and_trains():
    X = np.zeros((2, 4, 4), dtype=np.uint8)
    X[1] = 255
    with pytest.warns(UserWarning, match="finds no sample to spare"):
        fitted = classifier(early_stopping=True).fit(X, [0, 1])
    assert fitted.n_iter_ == 5


def test_regression_scores_r2_on_validation_data(bars):
    X, _ = bars
    y = X.mean(axis=(1, 2)) * 10 + 500
    regressor = CNNRegressor(SMALL, random_state=0, max_epochs=5)
    regressor.fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:])
    assert regressor.validation_scores_[-1] == pytest.approx(
        regressor.score(X[80:], y[80:]), abs=1e-6
    )


def test_warm_start_goes_on_from_the_weights(bars):
    warm = classifier(warm_start=True, max_epochs=2)
    once = weights(warm.fit(*bars))
    loss = warm.loss_curve_[-1]
    warm.fit(*bars)
    assert not same(once, weights(warm))
    assert warm.n_iter_ == 4
    assert warm.loss_curve_[2] < loss * 1.5
    cold = classifier(max_epochs=2).fit(*bars)
    assert same(once, weights(cold.fit(*bars)))


def test_warm_start_refuses_other_classes_and_keeps_the_model(bars):
    X, y = bars
    warm = classifier(warm_start=True).fit(X, y)
    before = warm.predict_proba(X)
    with pytest.raises(ValueError, match="warm_start"):
        warm.fit(X, y + 5)
    assert np.array_equal(warm.predict_proba(X), before)


def test_partial_fit_learns_batch_by_batch(bars):
    X, y = bars
    online = classifier(lr=0.01)
    for _ in range(10):
        for start in range(0, 120, 40):
            online.partial_fit(X[start : start + 40], y[start : start + 40], classes=[0, 1])
    assert online.n_iter_ == 30
    assert online.score(X, y) > 0.95
    assert {row["lr"] for row in online.history_} == {0.01}


def test_partial_fit_after_fit_goes_on(bars):
    fitted = classifier().fit(*bars)
    before = weights(fitted)
    fitted.partial_fit(*bars)
    assert fitted.n_iter_ == 6
    assert not same(before, weights(fitted))


def test_partial_fit_needs_classes_first_and_the_same_ones_later(bars):
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        classifier().partial_fit(*bars)
    online = classifier().partial_fit(*bars, classes=[0, 1, 2])
    assert online.classes_.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="not those of the first call"):
        online.partial_fit(*bars, classes=[0, 1])


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_schedules_reach_their_ends(bars, schedule):
    rates = [row["lr"] for row in classifier(lr_schedule=schedule, lr=0.01).fit(*bars).history_]
    if schedule == "constant":
        assert set(rates) == {0.01}
    else:
        assert rates[-1] < 0.01 / 10
        assert max(rates) > 0.9 * 0.01
        assert np.all(np.diff(rates[2:]) < 0)


@pytest.mark.parametrize(
    "optimizer",
    ["adamw", "adam", "sgd", torch.optim.RMSprop, functools.partial(torch.optim.SGD, momentum=0.5)],
)
def test_optimizers_by_name_class_and_partial(bars, optimizer):
    fitted = classifier(optimizer=optimizer, lr=0.005, max_epochs=10).fit(*bars)
    assert fitted.loss_curve_[-1] < 0.5 * fitted.loss_curve_[0]


def test_augmentation_acts_in_training_only(bars):
    X, y = bars
    batches = []

    def darken(images):
        batches.append(images.shape[1:])
        return images // 2

    fitted = classifier(augmentation=darken).fit(X, y)
    assert set(batches) == {torch.Size([1, 8, 8])}
    n_batches = len(batches)
    fitted.predict(X)
    assert len(batches) == n_batches


def test_compiled_training_leaves_a_plain_module(bars):
    X, y = bars
    tiny = {"architecture": ConvNet((8,), residual=False), "batch_size": 60}
    compiled = CNNClassifier(**tiny, compile=True, max_epochs=2, random_state=0).fit(X, y)
    plain = CNNClassifier(**tiny, max_epochs=2, random_state=0).fit(X, y)
    assert type(compiled.module_) is torch.nn.Sequential
    assert weights(compiled).keys() == weights(plain).keys()
    assert compiled.loss_curve_ == pytest.approx(plain.loss_curve_, rel=0.05)


def test_bf16_training_learns_and_predicts_in_float32(bars):
    X, y = bars
    fitted = classifier(precision="bf16", max_epochs=10).fit(X, y)
    assert fitted.precision_ == "bf16"
    assert fitted.score(X, y) > 0.95
    assert next(fitted.module_.parameters()).dtype == torch.float32


class Fixed(torch.nn.Sequential):
    """A network that starts from the same weights each time, for images of 8 x 8."""

    def __init__(self):
        with torch.random.fork_rng():
            torch.manual_seed(3)
            super().__init__(
                torch.nn.Conv2d(1, 8, 3),
                torch.nn.ReLU(),
                torch.nn.Flatten(),
                torch.nn.Linear(8 * 36, 2),
            )


def test_float32_gives_what_plain_torch_gives(bars):
    X, y = bars
    fitted = CNNClassifier(
        Fixed,
        optimizer="adam",
        weight_decay=0.0,
        lr=0.01,
        lr_schedule="constant",
        max_epochs=5,
        batch_size=len(X),
        precision="float32",
        augmentation=None,
        device="cpu",
    ).fit(X, y)
    images, labels = torch.from_numpy(X).float()[:, None], torch.from_numpy(y)
    images = (images - images.mean()) / images.std(correction=0)
    network, losses = Fixed(), []
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(5):
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert fitted.loss_curve_ == pytest.approx(losses, rel=1e-5)
    logits = network(images).detach().numpy()
    np.testing.assert_allclose(fitted.decision_function(X), logits[:, 1] - logits[:, 0], atol=1e-4)


def test_auto_precision_follows_image_and_network():
    images = np.random.default_rng(0).integers(0, 255, (8, 16, 16), dtype=np.uint8)
    y = np.arange(8) % 2
    one_epoch = {"max_epochs": 1, "device": "cpu"}
    expected = "bf16" if has_fast_bf16(torch.device("cpu")) else "float32"
    assert CNNClassifier(ConvNet((32,)), **one_epoch).fit(images, y).precision_ == expected
    assert CNNClassifier(ConvNet((8,)), **one_epoch).fit(images, y).precision_ == "float32"
    small = images[:, :8, :8]
    assert CNNClassifier(ConvNet((32,)), **one_epoch).fit(small, y).precision_ == "float32"


class Recorder(Callback):
    """Note every hook that is called."""

    def initialize(self):
        self.calls = []
        return self

    def on_train_begin(self, net, **kwargs):
        self.calls.append("train begins")

    def on_train_end(self, net, **kwargs):
        self.calls.append("train ends")

    def on_epoch_begin(self, net, **kwargs):
        self.calls.append("epoch begins")

    def on_epoch_end(self, net, **kwargs):
        self.calls.append(f"epoch ends, {len(net.history)} rows")

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        assert training
        self.calls.append("batch ends")


def test_skorch_callbacks_are_copied_and_called(bars):
    recorder = Recorder()
    fitted = classifier(callbacks=[recorder], max_epochs=2, batch_size=60).fit(*bars)
    assert vars(recorder) == {}
    (_, used) = fitted.net_.callbacks_[0]
    epochs = [["epoch begins", *["batch ends"] * 2, f"epoch ends, {i} rows"] for i in (1, 2)]
    assert used.calls == ["train begins", *epochs[0], *epochs[1], "train ends"]


def test_skorch_checkpoint_saves_the_best_epoch(bars, tmp_path):
    X, y = bars
    checkpoint = Checkpoint(dirname=tmp_path, event_name="saved")
    fitted = classifier(callbacks=[checkpoint], max_epochs=8).fit(
        X[:80], y[:80], X_val=X[80:], y_val=y[80:]
    )
    losses = np.array(fitted.history_[:, "valid_loss"])
    assert fitted.history_[:, "saved"] == (losses == np.minimum.accumulate(losses)).tolist()
    fitted.module_.load_state_dict(torch.load(tmp_path / "params.pt", weights_only=True))
    proba = fitted.predict_proba(X[80:])[np.arange(40), y[80:]]
    assert -np.log(proba).mean() == pytest.approx(losses.min(), rel=1e-4)


def test_skorch_lr_scheduler_moves_a_constant_rate(bars):
    scheduler = LRScheduler(policy="StepLR", step_size=1, gamma=0.5)
    fitted = classifier(lr=0.008, lr_schedule="constant", callbacks=[scheduler]).fit(*bars)
    assert [row["lr"] for row in fitted.history_] == pytest.approx(
        [0.008 * 0.5**epoch for epoch in range(5)]
    )


def test_skorch_early_stopping_is_refused_by_the_name_of_ours(bars):
    with pytest.raises(ValueError, match="early_stopping=True"):
        classifier(callbacks=[EarlyStopping()]).fit(*bars)


def test_a_failing_callback_leaves_the_estimator_as_it_was(bars):
    class Fails(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise RuntimeError("disk full")

    unfitted = classifier(callbacks=[Fails()])
    before = dict(vars(unfitted))
    with pytest.raises(RuntimeError, match="disk full"):
        unfitted.fit(*bars)
    assert vars(unfitted) == before


def test_verbose_says_what_is_trained_and_how_it_goes(bars, capsys):
    X, y = bars
    classifier(verbose=1, max_epochs=3).fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:])
    begins, *_, ends = capsys.readouterr().err.splitlines()
    n_parameters = sum(p.numel() for p in classifier(max_epochs=1).fit(X, y).module_.parameters())
    assert begins == (
        f"CNNClassifier: 80 images of 8 × 8 × 1, 2 classes; {SMALL}, {n_parameters:,} parameters; "
        "cpu, float32; batch_size=8, max_epochs=3, 10 steps an epoch"
    )
    figures = r"loss 0\.\d+, validation 0\.\d+, accuracy [01](\.\d+)?"
    assert re.fullmatch(rf"Epoch 3/3 \|#+\| .*, {figures}", ends)


def test_verbose_names_the_fit_of_a_search(bars, capsys):
    pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")
    pipeline = make_pipeline(FunctionTransformer(), classifier(verbose=1, max_epochs=1))
    grid = {"cnnclassifier__lr": [0.001, 0.01]}
    GridSearchCV(pipeline, grid, cv=2, refit=False).fit(*bars)
    lines = capsys.readouterr().err.splitlines()
    names = [line.partition(":")[0] for line in lines if "images of" in line]
    assert names == [f"CNNClassifier (GridSearchCV, fit {fit} of 4)" for fit in range(1, 5)]
    assert lines[-1].startswith("GridSearchCV, fit 4 of 4, epoch 1/1 |")


def test_short_predictions_are_silent(bars, capsys):
    fitted = classifier().fit(*bars).set_params(verbose=1)
    fitted.predict(bars[0])
    assert capsys.readouterr().err == ""


def test_silent_by_default(bars, capfd):
    classifier().fit(*bars).predict(bars[0])
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_clone_forgets_callbacks_state_and_fit(bars):
    fitted = classifier().fit(*bars)
    fresh = clone(fitted)
    assert not hasattr(fresh, "net_")
    assert fresh.get_params()["architecture__widths"] == (8, 16)

"""skorch's own callbacks: those that work, and those that are refused by the name of ours."""

import pickle
import threading

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EpochScoring,
    EpochTimer,
    Freezer,
    GradientNormClipping,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    TensorBoard,
    TrainEndCheckpoint,
)
from torch.optim.lr_scheduler import ConstantLR, LinearLR

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (40, 8, 8), dtype=np.uint8), np.arange(40) % 2


def classifier(callbacks, **params):
    params = {"max_epochs": 2, "batch_size": 20, "random_state": 0, **params}
    return CNNClassifier(ConvNet((4,), whitening=False), callbacks=callbacks, **params)


@pytest.mark.parametrize(
    ("callback", "instead"),
    [
        (ProgressBar(), "verbose=1"),
        (PrintLog(), "verbose=1"),
        (EpochScoring("accuracy"), "X_val and y_val"),
        (BatchScoring("accuracy"), "X_val and y_val"),
        (PassthroughScoring("train_loss"), "X_val and y_val"),
        (InputShapeSetter(), "in_channels"),
        (LRScheduler("StepLR", step_size=1), 'lr_schedule="constant"'),
        (LRScheduler, 'lr_schedule="constant"'),
        (("rate", LRScheduler("StepLR", step_size=1)), 'lr_schedule="constant"'),
    ],
)
def test_what_would_do_nothing_is_refused_by_the_name_of_ours(images, callback, instead):
    unfitted = classifier([callback])
    with pytest.raises(ValueError, match="callbacks holds skorch's") as caught:
        unfitted.fit(*images)
    assert instead in str(caught.value)
    assert not hasattr(unfitted, "net_")


class Hooks(Callback):
    """Note every hook, and what batch hooks are passed."""

    def __init__(self):
        self.calls = []
        self.batches = []

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        self.calls.append("train begins")

    def on_train_end(self, net, X=None, y=None, **kwargs):
        self.calls.append("train ends")

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        self.calls.append("epoch begins")

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        self.calls.append("epoch ends")

    def on_batch_begin(self, net, batch=None, training=None, **kwargs):
        self.calls.append("batch begins")
        self.batches.append((tuple(batch[0].shape), training))

    def on_grad_computed(self, net, named_parameters, batch=None, training=None, **kwargs):
        assert all(parameter.grad is not None for _, parameter in named_parameters)
        self.calls.append("gradient")

    def on_batch_end(self, net, batch=None, training=None, loss=None, **kwargs):
        assert loss.ndim == 0
        self.calls.append("batch ends")


def test_every_hook_is_called_in_skorchs_order(images):
    fitted = classifier([Hooks()]).fit(*images)
    ((_, hooks),) = fitted.net_.callbacks_
    batch = ["batch begins", "gradient", "batch ends"]
    epoch = ["epoch begins", *batch * 2, "epoch ends"]
    assert hooks.calls == ["train begins", *epoch * 2, "train ends"]
    assert hooks.batches == [((20, 1, 8, 8), True)] * 4


def test_checkpoint_keeps_the_epoch_of_the_lowest_training_loss(images, tmp_path):
    checkpoint = Checkpoint(monitor="train_loss_best", dirname=tmp_path, event_name="saved")
    fitted = classifier([checkpoint], max_epochs=4).fit(*images)
    losses = np.array(fitted.loss_curve_)
    assert fitted.history_[:, "saved"] == (losses == np.minimum.accumulate(losses)).tolist()
    saved = torch.load(tmp_path / "params.pt", weights_only=True)
    assert saved.keys() == fitted.module_.state_dict().keys()


def test_callbacks_that_refer_to_each_other_still_do(images, tmp_path):
    saved = TrainEndCheckpoint(dirname=tmp_path)
    lengths = [len(classifier([saved, LoadInitState(saved)]).fit(*images).history_) for _ in "ab"]
    # the second fit goes on from what the first one saved
    assert lengths == [2, 4]


class Recorder(Callback):
    """Record the losses of epochs; its constructor does not take what it holds."""

    def __init__(self, name):
        self._title = name
        self.losses = []

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs = len(net.history_)
        self.losses.append((self._title, net.history_[-1]["train_loss"]))


class Both(Callback):
    """Hold other callbacks."""

    def __init__(self, *callbacks):
        self.callbacks = callbacks

    def on_epoch_end(self, net, **kwargs):
        for callback in self.callbacks:
            callback.on_epoch_end(net, **kwargs)


@pytest.mark.parametrize("hold", [lambda it: [it], lambda it: [("one", it)], lambda it: [Both(it)]])
def test_what_a_callback_records_reaches_the_users_object(images, hold):
    recorder = Recorder("a")
    fitted = classifier(hold(recorder)).fit(*images)
    assert recorder.losses == [("a", loss) for loss in fitted.loss_curve_]
    # and no more than that: attributes are those of a copy
    assert vars(recorder).keys() == {"_title", "losses"}


def test_one_callback_in_two_places_is_one(images):
    recorder = Recorder("a")
    net = classifier([("first", recorder), ("second", Both(recorder))]).fit(*images).net_
    (_, first), (_, second) = net.callbacks_
    assert second.callbacks == (first,)
    assert first is not recorder


def test_clones_share_what_callbacks_hold(images):
    recorder = Recorder("a")
    model = classifier([recorder])
    scores = cross_val_score(model, *images, cv=2, error_score="raise")
    assert len(scores) == 2
    assert len(recorder.losses) == 2 * 2
    cloned = clone(model)
    cloned.callbacks.append(EpochTimer())
    assert model.callbacks == [recorder]
    assert cloned.get_params().keys() == model.get_params().keys()
    assert clone(classifier(None)).callbacks is None


@pytest.mark.parametrize("storage", [None, "sqlite:///{}/trials.db"], ids=["memory", "sqlite"])
def test_optuna_prunes_by_validation_scores(images, tmp_path, storage):
    optuna = pytest.importorskip("optuna", reason="needs optuna (extra test)")
    from optuna_integration import SkorchPruningCallback

    X, y = images
    study = optuna.create_study(
        storage=storage and storage.format(tmp_path),
        direction="maximize",
        pruner=optuna.pruners.PercentilePruner(50, n_startup_trials=1, n_warmup_steps=0),
    )

    def train(trial):
        # of the same network, which is wrong here where it was right in the first trial
        y_val = y if trial.number == 0 else 1 - y
        callback = SkorchPruningCallback(trial, "valid_score")
        model = classifier([callback], max_epochs=8, lr=0.01)
        return clone(model).fit(X, y, X_val=X, y_val=y_val).validation_scores_[-1]

    study.optimize(train, n_trials=2)
    first, second = study.trials
    assert first.state.name == "COMPLETE"
    assert len(first.intermediate_values) == 8
    assert second.state.name == "PRUNED"
    epoch, score = max(second.intermediate_values.items())
    assert score < first.intermediate_values[epoch]


def test_the_end_of_training_can_be_saved(images, tmp_path):
    fitted = classifier([TrainEndCheckpoint(dirname=tmp_path)]).fit(*images)
    (path,) = tmp_path.glob("*params.pt")
    saved = torch.load(path, weights_only=True)
    for name, value in fitted.module_.state_dict().items():
        assert torch.equal(saved[name], value)


def lr_scheduler(policy, images, **kwargs):
    """Fit three epochs under a scheduler of torch's; return the estimator."""
    scheduler = LRScheduler(policy, event_name="planned", **kwargs)
    params = {"max_epochs": 3, "lr": 0.01, "lr_schedule": "constant", "warm_start": True}
    return classifier([scheduler], **params).fit(*images)


@pytest.mark.parametrize(
    ("policy", "kwargs", "factors"),
    [
        ("StepLR", {"step_size": 2, "gamma": 0.5}, [1, 1, 0.5]),
        (LinearLR, {"start_factor": 0.1, "total_iters": 2}, [0.1, 0.55, 1]),
        (ConstantLR, {"factor": 0.5, "total_iters": 2}, [0.5, 0.5, 1]),
        ("LambdaLR", {"lr_lambda": lambda epoch: 0.5 / (epoch + 1)}, [1 / 2, 1 / 4, 1 / 6]),
    ],
)
def test_a_scheduler_sets_the_rate_of_each_epoch_from_the_first_on(images, policy, kwargs, factors):
    history = lr_scheduler(policy, images, **kwargs).history_
    assert history[:, "lr"] == pytest.approx([0.01 * factor for factor in factors])
    assert history[:, "planned"] == history[:, "lr"]


def test_a_scheduler_that_steps_by_batch_sets_the_rate_of_each_batch(images):
    kwargs = {"step_every": "batch", "base_lr": 0.001, "max_lr": 0.003, "step_size_up": 2}
    fitted = lr_scheduler("CyclicLR", images, cycle_momentum=False, **kwargs)
    rates = [row["planned"] for batches in fitted.history_[:, "batches"] for row in batches]
    assert rates == pytest.approx([0.001, 0.002, 0.003, 0.002, 0.001, 0.002])


def test_a_scheduler_can_follow_the_loss_of_batches(images):
    kwargs = {"step_every": "batch", "patience": 0, "threshold": 1e9, "factor": 0.5}
    fitted = lr_scheduler("ReduceLROnPlateau", images, monitor="train_loss", **kwargs)
    # no loss is better by so much, so each batch halves the rate
    assert fitted.history_[:, "lr"] == pytest.approx([0.0025, 0.000625, 0.00015625])


@pytest.mark.parametrize("lr", [0.01, 0.001])
def test_a_schedule_goes_on_with_training(images, lr):
    fitted = lr_scheduler("LambdaLR", images, lr_lambda=lambda epoch: 0.5**epoch)
    fitted.set_params(lr=lr, max_epochs=2).fit(*images)
    assert fitted.history_[3:, "lr"] == pytest.approx([lr / 8, lr / 16])


def test_the_rate_is_the_estimators_again_without_the_scheduler(images):
    fitted = lr_scheduler("ExponentialLR", images, gamma=0.1)
    fitted.set_params(callbacks=None, max_epochs=1).fit(*images)
    assert fitted.history_[-1]["lr"] == 0.01


def test_a_scheduler_may_join_later(images):
    fitted = classifier(None, warm_start=True, lr=0.01, max_epochs=1).fit(*images)
    scheduler = LRScheduler("LambdaLR", lr_lambda=lambda epoch: 0.5**epoch)
    fitted.set_params(callbacks=[scheduler], lr_schedule="constant").fit(*images)
    assert fitted.history_[-1]["lr"] == pytest.approx(0.005)


class BatchLosses(Callback):
    """Write into the row of each batch, and note the losses that come with it."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        self.losses = []

    def on_batch_begin(self, net, batch=None, training=None, **kwargs):
        net.history.record_batch("first_pixel", batch[0].flatten()[0].item())

    def on_batch_end(self, net, batch=None, training=None, loss=None, **kwargs):
        assert net.history[-1, "batches", -1, "train_loss"] == loss
        self.losses.append(loss.item())


def test_batches_have_rows_of_history_where_a_callback_asks_for_them(images):
    fitted = classifier([BatchLosses()], batch_size=30).fit(*images)
    ((_, noted),) = fitted.net_.callbacks_
    rows = [row for batches in fitted.history_[:, "batches"] for row in batches]
    assert [row["train_loss"] for row in rows] == noted.losses
    assert all(isinstance(row["train_loss"], float) for row in rows)
    assert [row["train_batch_size"] for row in rows] == [30, 10, 30, 10]
    assert all(0 <= row["first_pixel"] < 255 for row in rows)
    means = np.average(np.reshape(noted.losses, (2, 2)), axis=1, weights=[30, 10])
    np.testing.assert_allclose(fitted.loss_curve_, means, rtol=1e-6)
    assert classifier(None).fit(*images).history_[:, "batches"] == [[{}], [{}]]


def test_gradients_can_be_clipped(images):
    sgd = {"optimizer": "sgd", "lr": 0.1, "lr_schedule": "constant", "weight_decay": 0.0}
    still = classifier([GradientNormClipping(1e-9)], max_epochs=1, **sgd).fit(*images)
    moved = classifier(None, max_epochs=1, **sgd).fit(*images)
    first = still.module_[1][0].weight
    assert (first - moved.module_[1][0].weight).abs().max() > 1e-4
    again = classifier([GradientNormClipping(1e-9)], max_epochs=3, **sgd).fit(*images)
    torch.testing.assert_close(again.module_[1][0].weight, first, atol=1e-6, rtol=0)


def test_weights_can_be_frozen(images):
    fitted = classifier([Freezer("network.0.weight")], max_epochs=1).fit(*images)
    thawed = classifier(None, max_epochs=1).fit(*images)
    longer = classifier([Freezer("network.0.weight")], max_epochs=3).fit(*images)
    assert torch.equal(fitted.module_[1][0].weight, longer.module_[1][0].weight)
    assert not torch.equal(fitted.module_[1][0].weight, thawed.module_[1][0].weight)


def test_epochs_can_be_timed(images):
    fitted = classifier([EpochTimer()]).fit(*images)
    assert all(row["dur"] > 0 for row in fitted.history_)


class Writer:
    """A writer of TensorBoard's, as far as the callback knows it: it cannot be copied."""

    def __init__(self):
        self.lock = threading.Lock()
        self.scalars = []
        self.is_closed = False

    def add_scalar(self, tag, scalar_value, global_step):
        self.scalars.append((tag, scalar_value, global_step))

    def close(self):
        self.is_closed = True


def test_tensorboard_is_written_to(images):
    X, y = images
    writer = Writer()
    callback = TensorBoard(writer)
    fitted = classifier([callback], warm_start=True).fit(X, y, X_val=X, y_val=y)
    of_loss = [(value, step) for tag, value, step in writer.scalars if tag == "Loss/train_loss"]
    assert of_loss == [(loss, epoch) for epoch, loss in enumerate(fitted.loss_curve_, start=1)]
    assert {tag for tag, _, _ in writer.scalars} >= {"Loss/valid_loss", "Loss/valid_score", "lr"}
    assert writer.is_closed
    assert not hasattr(callback, "first_batch_")
    # a copy of the net goes on writing to the same file
    fitted.fit(X, y)
    assert {step for _, _, step in writer.scalars} == {1, 2, 3, 4}


def test_callbacks_that_can_be_pickled_go_with_the_estimator(images):
    fitted = classifier([EpochTimer()]).fit(*images)
    loaded = pickle.loads(pickle.dumps(fitted))
    assert [name for name, _ in loaded.net_.callbacks_] == ["EpochTimer"]

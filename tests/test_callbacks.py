"""skorch's own callbacks: those that work, and those that are refused by the name of ours."""

import pickle
import threading

import numpy as np
import pytest
import torch
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EpochScoring,
    EpochTimer,
    Freezer,
    GradientNormClipping,
    InputShapeSetter,
    LRScheduler,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    TensorBoard,
    TrainEndCheckpoint,
)

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


def test_the_end_of_training_can_be_saved(images, tmp_path):
    fitted = classifier([TrainEndCheckpoint(dirname=tmp_path)]).fit(*images)
    (path,) = tmp_path.glob("*params.pt")
    saved = torch.load(path, weights_only=True)
    for name, value in fitted.module_.state_dict().items():
        assert torch.equal(saved[name], value)


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

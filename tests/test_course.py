"""How far a training has come, by its steps or by the clock, which is one of the tests' here."""

import numpy as np
import pytest
import torch
from drawn import bars_and_discs
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_validate
from skorch.callbacks import Callback
from small_networks import network
from torch import nn

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import TorchModule
from sklearn_cnn.training import course as course_module
from sklearn_cnn.training.course import Course, TimeLimit

X, Y = bars_and_discs(64)  # four steps an epoch


class Clock:
    """A clock that stands still unless it is moved."""

    now = 1000.0

    def __call__(self):
        return Clock.now


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(course_module, "monotonic", Clock())
    monkeypatch.setattr(Clock, "now", 1000.0)


class Takes(Callback):
    """Lets the clock move on in each step, and in each end of an epoch."""

    def __init__(self, step=1.0, epoch_end=0.0):
        self.step = step
        self.epoch_end = epoch_end

    def on_train_begin(self, net, **kwargs):
        self.rates = []

    def on_batch_end(self, net, **kwargs):
        Clock.now += self.step
        self.rates.append(net.optimizer_.param_groups[0]["lr"])

    def on_epoch_end(self, net, **kwargs):
        Clock.now += self.epoch_end


def fitted(time_limit, takes, **params):
    params = {"max_epochs": 10, "lr": 0.01, **params}
    model = network(time_limit=time_limit, callbacks=[takes], **params)
    return model.fit(X, Y)


def rates_of(model):
    return model.net_.callbacks_[0][1].rates


def advance(course, steps, seconds=0.0):
    for _ in range(steps):
        Clock.now += seconds
        course.step_ends(torch.zeros(()))


def test_without_a_limit_a_step_is_a_step():
    course = Course(4, [1, 2], TimeLimit(None))
    progress = []
    while not course.is_over:
        progress.append(course.progress)
        advance(course, 1, seconds=1e6)
        course.turns()
    assert progress == [0, 1 / 4, 2 / 4, 3 / 4, *(step / 8 for step in range(8))]


def test_where_time_is_short_the_course_follows_the_clock():
    course = Course(4, [10], TimeLimit(11))
    advance(course, 1, seconds=1)
    assert course.position == 1
    for passed in (0.1, 0.2, 0.3):
        advance(course, 1, seconds=1)
        assert course.progress == pytest.approx(passed)
    advance(course, 7, seconds=1)
    assert course.is_over
    assert course.progress == 1


def test_what_is_left_passes_in_so_many_epochs():
    course = Course(4, [10], TimeLimit(None))
    advance(course, 8)
    assert course.n_epochs_done == 2
    course.end_in(2)
    progress = []
    while not course.is_over:
        progress.append(course.progress)
        # more than is left of them
        course.end_in(3)
        advance(course, 1)
    assert progress == pytest.approx([0.2 + 0.1 * step for step in range(8)])
    assert course.progress == 1


@pytest.mark.parametrize("position", [0, 3, 8, 39])
def test_no_epoch_ends_it_at_once(position):
    course = Course(4, [10], TimeLimit(None))
    advance(course, position)
    course.end_in(0)
    assert course.is_over


def test_the_clock_may_end_it_sooner():
    course = Course(4, [10], TimeLimit(11))
    advance(course, 4, seconds=1)
    assert course.progress == pytest.approx(0.3)
    course.end_in(5)
    advance(course, 6, seconds=1)
    assert course.progress == pytest.approx(0.9)
    course.end_in(0)
    assert course.is_over
    course = Course(4, [10], TimeLimit(1000))
    advance(course, 4, seconds=1)
    course.end_in(2)
    advance(course, 8, seconds=1)
    assert course.is_over


def test_the_last_cycle_alone_is_hurried_through():
    course = Course(4, [2, 8], TimeLimit(None))
    assert not course.is_in_last_cycle
    advance(course, 8)
    assert course.turns()
    assert course.is_in_last_cycle
    advance(course, 16)
    assert (course.n_epochs_done, course.progress) == (4, 0.5)
    course.end_in(1)
    advance(course, 2)
    assert course.progress == 0.75
    advance(course, 2)
    assert course.is_over


def test_time_that_is_paused_is_not_counted():
    limit = TimeLimit(10)
    Clock.now += 2
    limit.pause()
    Clock.now += 100
    limit.resume()
    Clock.now += 1
    assert limit.passed == 3


def test_training_takes_the_time_that_there_is():
    assert len(rates_of(fitted(22, Takes()))) == 22
    assert Clock.now == 1022


@pytest.mark.parametrize(
    ("limit", "n_steps"),
    [
        # two epochs of four steps and an end of seven seconds
        (22, 8),
        # the third one is cut, so that its end has its time too
        (31, 10),
        # nobody knew what the end of the first one takes; there is no second one
        (5, 4),
        (16, 4),
    ],
)
def test_the_end_of_an_epoch_has_its_time(limit, n_steps):
    assert len(rates_of(fitted(limit, Takes(epoch_end=7)))) == n_steps
    # a step and the end of an epoch at most
    assert Clock.now <= 1000 + limit + 8


def test_the_rate_goes_its_whole_way_in_that_time():
    rates = rates_of(fitted(22, Takes(), lr_schedule="cosine"))
    assert rates[0] == 0.01
    # the time is shared out after the first step, which is the slowest
    expected = [0.005 * (1 + np.cos(np.pi * step / 21)) for step in range(2, 21)]
    np.testing.assert_allclose(rates[3:], expected, atol=1e-12)
    ends = rates_of(fitted(41, Takes(epoch_end=7), lr_schedule="cosine"))
    assert np.all(np.diff(ends) < 0)
    assert ends[-1] < 0.001


def test_the_last_epoch_is_cut_and_counts_as_one():
    model = fitted(22, Takes())
    assert model.n_iter_ == len(model.loss_curve_) == 6
    assert model.max_epochs_ == 10
    assert [len(row["batches"]) for row in model.history_] == [4, 4, 4, 4, 4, 2]
    # the mean over the images that it has seen
    last = model.history_[-1]
    sizes = [batch["train_batch_size"] for batch in last["batches"]]
    losses = [batch["train_loss"] for batch in last["batches"]]
    assert model.loss_curve_[-1] == pytest.approx(np.average(losses, weights=sizes))


def test_enough_time_changes_nothing():
    limited, free = fitted(1000, Takes()), fitted(None, Takes())
    assert limited.loss_curve_ == free.loss_curve_
    assert rates_of(limited) == rates_of(free)
    assert limited.n_iter_ == 10


def test_a_constant_rate_stays():
    model = fitted(6, Takes(), lr_schedule="constant")
    assert rates_of(model) == [0.01] * 6


def test_reading_takes_of_the_time(monkeypatch):
    from sklearn_cnn import _base

    read_images = _base.read_images

    def slow(*args, **kwargs):
        Clock.now += 15
        return read_images(*args, **kwargs)

    monkeypatch.setattr(_base, "read_images", slow)
    assert len(rates_of(fitted(22, Takes()))) == 7


def test_a_wait_for_a_gpu_takes_nothing(monkeypatch):
    from contextlib import contextmanager

    from sklearn_cnn import _base

    @contextmanager
    def busy(device):
        Clock.now += 100
        yield device

    monkeypatch.setattr(_base, "gpu_slot", busy)
    assert len(rates_of(fitted(22, Takes()))) == 22


@pytest.mark.parametrize(("seconds", "n_steps"), [(0.5, 1), (3, 3)])
def test_less_than_an_epoch_warns_and_is_fitted(seconds, n_steps):
    message = f"time_limit={seconds} seconds were up after {n_steps} of the 4 steps"
    with pytest.warns(ConvergenceWarning, match=message):
        model = fitted(seconds, Takes())
    assert len(rates_of(model)) == n_steps
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("lr_schedule", ["one_cycle", "constant"])
def test_validation_and_the_weights_that_are_kept_go_with_it(lr_schedule):
    params = {"lr_schedule": lr_schedule, "early_stopping": True}
    model = network(time_limit=10, max_epochs=10, callbacks=[Takes()], **params)
    model.fit(X, Y, X_val=X, y_val=Y)
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_ == 3
    assert model.score(X, Y) == (max(scores) if lr_schedule == "constant" else scores[-1])


def test_early_stopping_ends_before_the_time_does():
    # no gain in accuracy exceeds tol
    stops = {"early_stopping": True, "n_iter_no_change": 2, "tol": 1.0}
    rates = rates_of(fitted(1000, Takes(), max_epochs=20, **stops))
    # patience from epoch 10 on to 11, and a quarter of these more
    assert len(rates) == 4 * (11 + 3)
    assert rates == rates_of(fitted(None, Takes(), max_epochs=20, **stops))


def test_each_fit_has_its_own_time():
    model = fitted(6, Takes(), warm_start=True).fit(X, Y)
    assert [len(row["batches"]) for row in model.history_] == [4, 2, 4, 2]
    folds = cross_validate(
        network(time_limit=6, max_epochs=10, callbacks=[Takes()]), X, Y, cv=2, return_estimator=True
    )
    assert [len(rates_of(fit)) for fit in folds["estimator"]] == [6, 6]


def test_partial_fit_knows_no_limit():
    model = network(time_limit=2, callbacks=[Takes()])
    model.partial_fit(X, Y, classes=["bar", "disc"])
    assert len(rates_of(model)) == 4


class Net(nn.Module):
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.trunk = nn.Conv2d(in_channels, 4, 3)
        self.head = nn.Linear(4, num_classes)

    def forward(self, images):
        return self.head(self.trunk(images).mean(dim=(2, 3)))


def test_each_cycle_of_a_network_that_unfreezes_has_its_share_of_the_time():
    architecture = TorchModule(Net, head="head", freeze=True, unfreeze_after=5)
    model = CNNClassifier(
        architecture,
        max_epochs=10,
        time_limit=21,
        lr=0.01,
        lr_schedule="cosine",
        batch_size=16,
        callbacks=[Takes()],
        random_state=0,
    ).fit(X, Y)
    rates = rates_of(model)
    assert len(rates) == 21
    # down in the first half, and down again
    assert np.flatnonzero(np.diff(rates) > 0).tolist() == [10]
    assert all(parameter.requires_grad for parameter in model.module_.parameters())


def test_the_limit_comes_back_from_a_file(tmp_path):
    fitted(6, Takes()).save(tmp_path / "model")
    with pytest.warns(UserWarning, match="callbacks"):
        assert CNNClassifier.load(tmp_path / "model").time_limit == 6

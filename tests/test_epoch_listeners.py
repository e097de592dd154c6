"""scikit-learn's own callbacks are told of each epoch, with an estimator that predicts."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import upright_and_lying_bars
from image_files import write_images
from sklearn.model_selection import GridSearchCV
from torch.utils.data import TensorDataset

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9")


@pytest.fixture(scope="module")
def bars():
    return upright_and_lying_bars(120)


def classifier(**params):
    return CNNClassifier(ConvNet((4,)), random_state=0, **{"max_epochs": 3, **params})


class Tasks:
    """A callback in the sense of scikit-learn that notes the tasks it is told of."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.ended = []

    def setup(self, estimator, context):
        self.ended.append("setup")

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        score = fitted_estimator.score(X, y)
        self.ended.append((context.task_name, context.task_id, score))
        return self.stop_after is not None and context.task_id + 1 == self.stop_after

    def teardown(self, estimator, context):
        self.ended.append("teardown")


def test_sklearn_callbacks_see_each_epoch_with_a_usable_model(bars):
    tasks = Tasks()
    fitted = classifier(max_epochs=3).set_callbacks(tasks).fit(*bars)
    assert tasks.ended[0] == "setup"
    assert tasks.ended[-1] == "teardown"
    epochs = [task for task in tasks.ended[1:-1] if task[0] == "epoch"]
    assert [task[1] for task in epochs] == [0, 1, 2]
    assert epochs[-1][2] == fitted.score(*bars)
    assert tasks.ended[-2][0] == "fit"


def monitored(estimator, *data, **fit_params):
    """Fit under scikit-learn's monitor of accuracy; return the scores of the epochs."""
    monitor = callback.ScoringMonitor(scoring="accuracy")
    estimator.set_callbacks(monitor).fit(*data, **fit_params)
    rows = monitor.get_logs().data
    return [row["accuracy"] for row in rows if row["task_name"] == "epoch"]


def test_sklearn_monitor_scores_each_epoch(bars):
    scored = classifier(max_epochs=3).fit(*bars, X_val=bars[0], y_val=bars[1])
    assert monitored(classifier(max_epochs=3), *bars) == scored.validation_scores_


def test_sklearn_monitor_scores_a_dataset_of_pairs(bars):
    X, y = map(torch.from_numpy, bars)
    pairs = TensorDataset(X[..., None] / 255, y)
    assert monitored(classifier(), pairs) == monitored(classifier(), bars[0] / 255, bars[1])


def test_sklearn_monitor_does_not_see_broken_files(bars, tmp_path):
    X, y = bars
    paths = np.array(write_images(tmp_path, X))
    Path(paths[3]).write_bytes(b"no image")
    kept = np.delete(np.arange(len(X)), 3)
    with pytest.warns(UserWarning, match="1 of 120 files"):
        skipped = monitored(classifier(handle_broken="skip"), paths, y)
    assert skipped == monitored(classifier(), paths[kept], y[kept])


def test_sklearn_monitor_weighs_samples(bars):
    weight = np.r_[np.ones(60), np.full(60, 3.0)]
    scored = classifier().fit(
        *bars, sample_weight=weight, X_val=bars[0], y_val=bars[1], sample_weight_val=weight
    )
    assert monitored(classifier(), *bars, weight) == scored.validation_scores_


def test_sklearn_callback_can_stop_training(bars):
    fitted = classifier(max_epochs=10).set_callbacks(Tasks(stop_after=2)).fit(*bars)
    assert fitted.n_iter_ == 2


def test_sklearn_callbacks_are_torn_down_when_fit_fails(bars):
    tasks = Tasks()
    diverging = classifier(optimizer="sgd", lr=1e30).set_callbacks(tasks)
    with pytest.raises(ValueError, match="Lower lr"):
        diverging.fit(*bars)
    assert tasks.ended[-1] == "teardown"
    assert not hasattr(diverging, "net_")


def test_sklearn_progress_bar_alone_and_under_a_search(bars, monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stdout", shown)
    classifier(max_epochs=2).set_callbacks(callback.ProgressBar()).fit(*bars)
    assert "CNNClassifier - fit" in shown.getvalue()
    search = GridSearchCV(classifier(max_epochs=2), {"lr": [0.001, 0.01]}, cv=2)
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(*bars)
    assert "GridSearchCV - fit" in shown.getvalue()
    assert search.best_score_ > 0.4

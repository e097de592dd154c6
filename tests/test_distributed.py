"""A search runs on a Dask cluster as it is, and outlives the death of a worker."""

import contextlib
import itertools
import os
import signal
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

X, Y = load_digits(n_class=3, return_X_y=True)
X, Y = X[:300].astype(np.uint8), Y[:300]
CLASSIFIER = CNNClassifier(ConvNet((2,)), max_epochs=1, random_state=0)
GRID = {"lr": [0.001, 0.01], "batch_size": [16, 32]}


class Deadly(ConvNet):
    """Kills the process that builds it, the first time that one does.

    Parameters
    ----------
    widths : tuple of int
    mark : str
        A file that is made by then.
    """

    def __init__(self, widths, mark):
        super().__init__(widths)
        self.mark = mark

    def build(self, in_channels, image_size, n_outputs):
        with contextlib.suppress(FileExistsError):
            Path(self.mark).touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().build(in_channels, image_size, n_outputs)


@pytest.fixture(scope="module")
def client():
    """Return a client of two worker processes of one thread each."""
    # else the scheduler takes scattered data away from all workers but one
    keep_replicas = {"distributed.scheduler.active-memory-manager.start": False}
    with (
        dask.config.set(keep_replicas),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def scores(search):
    return {
        name: search.cv_results_[name].tolist() for name in search.cv_results_ if "test" in name
    }


@pytest.fixture(scope="module")
def expected():
    """Return the scores of a search in this process, with one thread as the workers have."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return scores(GridSearchCV(CLASSIFIER, GRID, cv=3).fit(X, Y))
    finally:
        torch.set_num_threads(n_threads)


@pytest.mark.usefixtures("client")
def test_a_search_on_a_cluster_has_the_scores_of_one_process(expected):
    with joblib.parallel_config("dask"):
        search = GridSearchCV(CLASSIFIER, GRID, cv=3).fit(X, Y)
    assert scores(search) == expected
    assert search.best_estimator_.predict(X).shape == (300,)


@pytest.mark.usefixtures("client")
def test_the_death_of_a_worker_loses_no_result(expected, tmp_path):
    mark = tmp_path / "mark"
    deadly = CNNClassifier(Deadly((2,), str(mark)), max_epochs=1, random_state=0)
    folds = list(StratifiedKFold(3).split(X, Y))
    # what lies on one worker alone would be lost with it
    everywhere = [X, Y, *itertools.chain(*folds)]
    with joblib.parallel_config("dask", scatter=everywhere):
        search = GridSearchCV(deadly, GRID, cv=folds, refit=False).fit(X, Y)
    # a worker made the mark and died
    assert mark.exists()
    assert scores(search) == expected

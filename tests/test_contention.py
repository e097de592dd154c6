"""Whoever trains on cores that others use is told what to set."""

import time
import warnings

import numpy as np
import pytest
import torch
from small_networks import network

from sklearn_cnn.images import MappedImages
from sklearn_cnn.training import contention
from sklearn_cnn.training.contention import ContentionWatch

CPU, IMAGES = torch.device("cpu"), torch.zeros(2, 4, 4, 1)


@pytest.fixture
def clocks(monkeypatch):
    """Set what the clocks say when an epoch has ended."""

    def pass_epoch(watch, wall, at_work):
        with monkeypatch.context() as patched:
            for name, seconds in {"perf_counter": wall, "thread_time": at_work}.items():
                reading = iter([100.0, 100.0 + seconds])
                patched.setattr(time, name, lambda reading=reading: next(reading))
            watch.epoch_begins(None)
            return watch.epoch_ends(None, None)

    return pass_epoch


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_idle_threads_are_told_of_once(clocks):
    watch = ContentionWatch.of_training(CPU, IMAGES)
    with pytest.warns(UserWarning, match=r"took 20 s, .* for 8 s only: its 2 threads .* torch.set"):
        assert clocks(watch, 20, 8) is False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clocks(watch, 20, 8)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("wall", "at_work"), [(20, 18), (1, 0.1)], ids=["busy", "short"])
def test_nothing_is_said_without_need(clocks, wall, at_work):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clocks(ContentionWatch.of_training(CPU, IMAGES), wall, at_work)


@pytest.mark.usefixtures("two_threads")
def test_a_gpu_a_disk_and_a_compiler_are_waited_for_rightly(clocks):
    lazy = MappedImages(IMAGES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clocks(ContentionWatch.of_training(torch.device("cuda"), IMAGES), 20, 1)
        clocks(ContentionWatch.of_training(CPU, lazy), 20, 1)
        clocks(ContentionWatch.of_training(CPU, IMAGES, is_compiled=True), 20, 1)


def test_a_single_thread_has_nothing_to_set(clocks):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            clocks(ContentionWatch.of_training(CPU, IMAGES), 20, 1)
    finally:
        torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_fit_watches(monkeypatch):
    monkeypatch.setattr(contention, "_SHORTEST", 0)
    monkeypatch.setattr(contention, "_BUSY", -1.0)
    X, y = np.zeros((8, 8, 8), dtype=np.uint8), np.arange(8) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network().fit(X, y)
    monkeypatch.setattr(contention, "_BUSY", float("inf"))
    with pytest.warns(UserWarning, match="threads wait for cores"):
        network().fit(X, y)

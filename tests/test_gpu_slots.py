"""Which GPU a fit takes and when it waits, on machines that are only pretended."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.runtime import gpu_slots
from sklearn_cnn.runtime.gpu_slots import FITS_PER_GPU, fits_per_gpu, gpu_slot, hold_slot

fork = multiprocessing.get_context("fork")


@pytest.mark.parametrize(("text", "n_fits"), [("", 1), ("1", 1), (" 12 ", 12)])
def test_the_number_of_fits_is_read(text, n_fits):
    assert fits_per_gpu({FITS_PER_GPU: text}) == n_fits
    assert fits_per_gpu({}) == 1


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_what_is_no_number_of_fits_is_an_error(text):
    with pytest.raises(ValueError, match=f"{FITS_PER_GPU} must be a positive integer.*{text}"):
        fits_per_gpu({FITS_PER_GPU: text})


def hold(folder, names, n_slots, pipe):
    """Hold a slot, say of which GPU, and keep it until told otherwise."""
    with hold_slot(names, n_slots, folder) as name:
        pipe.send(name)
        pipe.recv()


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a process that holds a slot."""
    processes = []

    def start_one(names, n_slots=1):
        ours, theirs = fork.Pipe()
        process = fork.Process(target=hold, args=(tmp_path, names, n_slots, theirs))
        process.start()
        processes.append(process)
        return process, ours

    yield start_one
    for process in processes:
        process.kill()
        process.join()


def answer(pipe):
    """Return the GPU that a process got."""
    assert pipe.poll(20), "the process got no slot"
    return pipe.recv()


def test_processes_spread_and_wait_until_one_ends_or_is_killed(start):
    gpus = ["gpu-a", "gpu-b"]
    held = []
    for _ in range(4):
        held.append(start(gpus, n_slots=2))
        held[-1] += (answer(held[-1][1]),)
    assert [name for _, _, name in held] == ["gpu-a", "gpu-b", "gpu-a", "gpu-b"]
    (_, first_waiting), (_, second_waiting) = start(gpus, 2), start(gpus, 2)
    assert not first_waiting.poll(0.3)
    assert not second_waiting.poll(0.3)
    # one ends as it should, another without a chance to clean up
    held[1][1].send("end")
    (served,) = multiprocessing.connection.wait([first_waiting, second_waiting], timeout=20)
    waiting = second_waiting if served is first_waiting else first_waiting
    assert answer(served) == "gpu-b"
    assert not waiting.poll(0.3)
    os.kill(held[2][0].pid, signal.SIGKILL)
    assert answer(waiting) == "gpu-a"


def test_a_gpu_is_the_same_under_another_index(start):
    _, first = start(["gpu-a", "gpu-b"])
    assert answer(first) == "gpu-a"
    _, second = start(["gpu-b", "gpu-a"])
    assert answer(second) == "gpu-b"
    _, third = start(["gpu-a"])
    assert not third.poll(0.3)


def test_who_waits_long_is_told_for_whom(start, tmp_path):
    process, pipe = start(["gpu"])
    assert answer(pipe) == "gpu"

    def end(message, *_, **__):
        messages.append(str(message))
        pipe.send("end")

    messages = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = end
        with hold_slot(["gpu"], 1, tmp_path, patience=0.1) as name:
            assert name == "gpu"
    (message,) = messages
    assert f"the processes {process.pid}." in message
    assert FITS_PER_GPU in message


def test_threads_of_one_process_wait_for_each_other(tmp_path):
    together, most = [], []

    def work():
        with hold_slot(["gpu"], 2, tmp_path):
            together.append(1)
            most.append(len(together))
            inside.wait(0.2)
            together.pop()

    inside = threading.Event()
    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 2
    assert len(most) == 5


def test_a_fit_inside_a_fit_shares_its_slot(tmp_path):
    with hold_slot(["a"], 1, tmp_path), hold_slot(["b"], 1, tmp_path):
        for names in (["a", "b"], ["a"], ["b"]):
            with hold_slot(names, 1, tmp_path) as inner:
                assert inner == names[0]


def test_a_slot_is_given_back_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), hold_slot(["a"], 1, tmp_path):
        1 / 0  # noqa: B018
    with hold_slot(["a"], 1, tmp_path) as name:
        assert name == "a"


@pytest.fixture
def cuda_machine(monkeypatch, tmp_path):
    """Return a function that pretends that this machine has some GPUs."""
    emptied = []

    def pretend(n_gpus):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
        monkeypatch.setattr(gpu_slots, "_gpu_name", lambda index: f"gpu-{index}")
        monkeypatch.setattr(gpu_slots, "_folder", lambda: tmp_path)
        return emptied

    monkeypatch.delenv(FITS_PER_GPU, raising=False)
    return pretend


def test_a_cuda_device_without_an_index_gets_one_where_there_is_a_choice(cuda_machine, start):
    emptied = cuda_machine(2)
    with gpu_slot(torch.device("cuda")) as device:
        assert device == torch.device("cuda", 0)
        assert not emptied
    assert emptied == [True]
    with gpu_slot(torch.device("cuda", 1)) as device:
        assert device == torch.device("cuda", 1)
    _, pipe = start(["gpu-0"])
    assert answer(pipe) == "gpu-0"
    with gpu_slot(torch.device("cuda")) as device:
        assert device == torch.device("cuda", 1)
    pipe.send("end")
    cuda_machine(1)
    with gpu_slot(torch.device("cuda")) as device:
        assert device == torch.device("cuda")


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_other_devices_are_not_shared(device, monkeypatch):
    monkeypatch.setattr(gpu_slots, "_folder", lambda: pytest.fail("no lock is needed"))
    with gpu_slot(torch.device(device)) as given:
        assert given == torch.device(device)


def test_each_training_asks_for_a_slot(monkeypatch):
    asked = []

    @contextmanager
    def pretend(device):
        asked.append(device)
        yield torch.device("cpu")

    monkeypatch.setattr("sklearn_cnn._base.gpu_slot", pretend)
    X = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    y = np.arange(40) % 2
    fitted = CNNClassifier(ConvNet((4,)), max_epochs=1, warm_start=True, device="cpu").fit(X, y)
    assert asked == [torch.device("cpu")]
    fitted.fit(X, y).partial_fit(X, y)
    assert len(asked) == 3

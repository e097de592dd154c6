"""Which GPU a fit takes and when it waits, on machines that are only pretended."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.training import sharing
from sklearn_cnn.training.sharing import (
    LIMIT,
    Load,
    choose_gpu,
    count_outputs,
    has_room,
    hold_place,
    needed_memory,
    read_limit,
    shared,
)

GIB = 1 << 30
fork = multiprocessing.get_context("fork")


def crowd(n_fits, n_gpus, need, free, limit=None):
    """Let fits come one by one; return the GPU of each, None for those that wait."""
    loads, places = [Load() for _ in range(n_gpus)], []
    for _ in range(n_fits):
        chosen = choose_gpu(loads, need, limit)
        places.append(chosen)
        if chosen is not None:
            loads[chosen] = Load((*loads[chosen].needs, need), free)
    return places


def test_one_gpu_takes_as_many_fits_as_its_free_memory_holds():
    # 0.9 * 24 GiB hold four fits of 5 GiB
    assert crowd(8, 1, 5 * GIB, 24 * GIB) == [0, 0, 0, 0, None, None, None, None]
    assert crowd(8, 1, 1 * GIB, 24 * GIB) == [0] * 8


def test_a_fit_that_is_too_large_runs_alone():
    assert crowd(3, 1, 30 * GIB, 24 * GIB) == [0, None, None]


def test_fits_spread_over_several_gpus():
    assert crowd(5, 4, 1 * GIB, 24 * GIB) == [0, 1, 2, 3, 0]
    assert crowd(6, 2, 10 * GIB, 24 * GIB) == [0, 1, 0, 1, None, None]


@pytest.mark.parametrize("need", [0, 1 * GIB, 30 * GIB])
def test_a_limit_takes_the_place_of_memory(need):
    assert crowd(5, 2, need, 24 * GIB, limit=2) == [0, 1, 0, 1, None]
    assert crowd(3, 1, need, 24 * GIB, limit=1) == [0, None, None]


def test_fits_of_different_needs_add_up():
    assert has_room(Load((10 * GIB, 1 * GIB), 24 * GIB), 10 * GIB)
    assert not has_room(Load((10 * GIB, 2 * GIB), 24 * GIB), 10 * GIB)
    assert choose_gpu([Load((20 * GIB,), 24 * GIB), Load((1, 1), 24 * GIB)], 5 * GIB) == 1


def test_the_need_grows_with_network_batch_and_data():
    least = needed_memory(0, 0, 1, 0)
    assert least >= GIB / 2
    assert needed_memory(1000, 0, 1, 0) - least >= 4 * 4 * 1000
    assert needed_memory(0, 1000, 64, 0) - least >= 2 * 4 * 1000 * 64
    assert needed_memory(0, 0, 1, 12345) - least == 12345


def test_outputs_of_layers_are_counted():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU(), nn.Flatten()))
    assert count_outputs(network, torch.zeros(1, 1, 6, 6)) == 3 * 2 * 4 * 4
    assert not network[0]._forward_hooks


@pytest.mark.parametrize(("text", "limit"), [("", None), ("1", 1), (" 12 ", 12)])
def test_the_limit_is_read(text, limit):
    assert read_limit({LIMIT: text}) == limit
    assert read_limit({}) is None


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_a_limit_that_is_no_number_is_an_error(text):
    with pytest.raises(ValueError, match=f"{LIMIT} must be a positive integer.*{text}"):
        read_limit({LIMIT: text})


def hold(folder, names, need, pipe, limit=None):
    """Hold a place, say which one it is, and keep it until told otherwise."""
    with hold_place(
        names, need, free_memory=lambda _: 24 * GIB, folder=folder, limit=limit
    ) as position:
        pipe.send(position)
        pipe.recv()


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a process that holds a place."""
    processes = []

    def start_one(names, need=10 * GIB, limit=None):
        ours, theirs = fork.Pipe()
        process = fork.Process(target=hold, args=(tmp_path, names, need, theirs, limit))
        process.start()
        processes.append(process)
        return process, ours

    yield start_one
    for process in processes:
        process.kill()
        process.join()


def answer(pipe):
    """Return the place that a process got."""
    assert pipe.poll(20), "the process got no place"
    return pipe.recv()


def test_processes_spread_and_wait_until_one_ends_or_is_killed(start):
    gpus = ["gpu-a", "gpu-b"]
    held = []
    for _ in range(4):
        held.append(start(gpus))
        held[-1] += (answer(held[-1][1]),)
    assert [place for _, _, place in held] == [0, 1, 0, 1]
    (_, first_waiting), (_, second_waiting) = start(gpus), start(gpus)
    assert not first_waiting.poll(0.3)
    assert not second_waiting.poll(0.3)
    # one ends as it should, another without a chance to clean up
    held[1][1].send("end")
    (served,) = multiprocessing.connection.wait([first_waiting, second_waiting], timeout=20)
    waiting = second_waiting if served is first_waiting else first_waiting
    assert answer(served) == 1
    assert not waiting.poll(0.3)
    os.kill(held[2][0].pid, signal.SIGKILL)
    assert answer(waiting) == 0


def test_a_gpu_is_the_same_under_another_index(start):
    _, first = start(["gpu-a", "gpu-b"])
    assert answer(first) == 0
    _, second = start(["gpu-b", "gpu-a"])
    assert answer(second) == 0
    _, third = start(["gpu-a"], limit=1)
    assert not third.poll(0.3)


def test_threads_of_one_process_wait_for_each_other(tmp_path):
    together, most = [], []

    def work():
        with hold_place(["gpu"], 10 * GIB, free_memory=lambda _: 24 * GIB, folder=tmp_path):
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


def test_memory_that_idle_processes_keep_counts(tmp_path):
    free = [24 * GIB, 4 * GIB, 12 * GIB]
    with (
        hold_place(["gpu"], 5 * GIB, free_memory=lambda _: free[0], folder=tmp_path),
        ThreadPoolExecutor(1) as pool,
    ):
        # there is room by what the fits need, but less is free: it waits until more is
        looks = []

        def look(_):
            looks.append(free[min(len(looks) + 1, 2)])
            return looks[-1]

        def work():
            with hold_place(["gpu"], 5 * GIB, free_memory=look, folder=tmp_path) as position:
                return position

        assert pool.submit(work).result(timeout=20) == 0
        assert looks == free[1:]


def test_a_fit_inside_a_fit_shares_its_place(tmp_path):
    options = {"free_memory": lambda _: GIB, "folder": tmp_path, "limit": 1}
    with (
        hold_place(["a", "b"], GIB, **options) as outer,
        hold_place(["b", "a"], GIB, **options) as inner,
    ):
        assert (outer, inner) == (0, 1)
    with hold_place(["a"], GIB, **options) as again:
        assert again == 0


def test_a_place_is_given_back_after_an_error(tmp_path):
    def unknown(_):
        raise RuntimeError("no memory to be seen")

    with (
        pytest.raises(RuntimeError, match="no memory"),
        hold_place(["a"], GIB, free_memory=unknown, folder=tmp_path),
    ):
        pytest.fail("the place is not to be had")
    options = {"free_memory": lambda _: GIB, "folder": tmp_path, "limit": 1}
    with pytest.raises(ZeroDivisionError), hold_place(["a"], GIB, **options):
        1 / 0  # noqa: B018
    with hold_place(["a"], GIB, **options) as position:
        assert position == 0


@pytest.fixture
def cuda_machine(monkeypatch, tmp_path):
    """Return a function that pretends that this machine has some GPUs."""
    emptied = []

    def pretend(n_gpus, free=24 * GIB):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 80 * GIB))
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
        monkeypatch.setattr(sharing, "_gpu_name", lambda index: f"gpu-{index}")
        monkeypatch.setattr(sharing, "_folder", lambda: tmp_path)
        return emptied

    monkeypatch.delenv(LIMIT, raising=False)
    return pretend


def test_a_cuda_device_without_an_index_gets_one_where_there_is_a_choice(cuda_machine, tmp_path):
    emptied = cuda_machine(2)
    with shared(torch.device("cuda"), lambda: GIB) as device:
        assert device == torch.device("cuda", 0)
        assert not emptied
    assert emptied == [True]
    with shared(torch.device("cuda", 1), lambda: GIB) as device:
        assert device == torch.device("cuda", 1)
        assert (tmp_path / "gpu-1" / "0.need").read_text() == str(GIB)
        assert (tmp_path / "gpu-1" / "free").read_text() == str(24 * GIB)
    cuda_machine(1)
    with shared(torch.device("cuda"), lambda: GIB) as device:
        assert device == torch.device("cuda")


def test_no_estimate_is_made_where_a_limit_is_set(cuda_machine, monkeypatch):
    cuda_machine(1)
    monkeypatch.setenv(LIMIT, "2")
    with shared(torch.device("cuda"), lambda: pytest.fail("not needed")) as device:
        assert device.type == "cuda"


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_other_devices_are_not_shared(device):
    with shared(torch.device(device), lambda: pytest.fail("not needed")) as given:
        assert given == torch.device(device)


def test_a_fit_asks_for_a_place_with_its_need(monkeypatch):
    asked = []

    def pretend(device, estimate):
        asked.append((device, estimate()))
        return nullcontext(torch.device("cpu"))

    monkeypatch.setattr("sklearn_cnn._base.shared", pretend)
    X = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    y = np.arange(40) % 2
    torch.manual_seed(0)
    weights = []
    for widths in ((4,), (32, 64)):
        fitted = CNNClassifier(ConvNet(widths), max_epochs=1, random_state=0).fit(X, y)
        weights.append(sum(p.numel() for p in fitted.module_.parameters()))
    (device, small), (_, large) = asked
    assert device == torch.device("cpu")
    assert large - small > 16 * (weights[1] - weights[0])
    # a net that goes on has its place
    fitted.set_params(warm_start=True).fit(X, y).partial_fit(X, y)
    assert len(asked) == 2
    # the estimate draws from no stream of random numbers
    assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(0))

"""Random numbers: seeds, and the user's global generators left as they were."""

import multiprocessing
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from sklearn_cnn.runtime.seeds import draw_seed, float32_by_default, seeded

CPU = torch.device("cpu")


def test_the_same_random_state_draws_the_same_seed():
    assert draw_seed(0) == draw_seed(0)
    assert draw_seed(0) != draw_seed(1)
    assert draw_seed(np.random.RandomState(7)) == draw_seed(7)


@pytest.mark.parametrize("random_state", [0, 2**32 - 1, np.int64(5), None])
def test_a_seed_fits_every_generator(random_state):
    seed = draw_seed(random_state)
    assert type(seed) is int
    assert 0 <= seed < 2**31


def test_a_random_state_moves_on():
    random_state = np.random.RandomState(0)
    first = draw_seed(random_state)
    assert draw_seed(random_state) != first
    follower = np.random.RandomState(0)
    follower.randint(np.iinfo(np.int32).max, size=2)
    assert random_state.randint(1000) == follower.randint(1000)


def streams():
    """Return the state of each global generator, in comparable form."""
    return (
        torch.get_rng_state().tolist(),
        [np.asarray(part).tolist() for part in np.random.get_state()],  # noqa: NPY002
        random.getstate(),
    )


def draw():
    """Draw from each global generator."""
    return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()  # noqa: NPY002


def test_no_random_state_draws_afresh_and_leaves_the_global_streams():
    before = streams()
    drawn = [draw_seed(None) for _ in range(5)]
    assert len(set(drawn)) == 5
    assert streams() == before


def test_an_int_leaves_the_global_streams():
    before = streams()
    draw_seed(3)
    assert streams() == before


def test_seeded_fixes_all_three_generators_and_gives_them_back():
    before = streams()
    with seeded(1, CPU):
        first = draw()
    assert streams() == before
    with seeded(1, CPU):
        assert draw() == first
    with seeded(2, CPU):
        others = draw()
    assert all(other != one for other, one in zip(others, first, strict=True))
    assert streams() == before


def test_seeded_gives_generators_back_after_an_error():
    def interrupted():
        with seeded(1, CPU):
            draw()
            raise KeyboardInterrupt

    before = streams()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert streams() == before


@pytest.mark.parametrize("seed", [0, 2**31 - 1, 2**32 - 1])
def test_seeded_takes_any_seed_of_32_bits(seed):
    with seeded(seed, CPU):
        first = draw()
    with seeded(seed, CPU):
        assert draw() == first


def test_seeded_may_be_nested():
    with seeded(1, CPU):
        draw()
        expected = draw()
    with seeded(1, CPU):
        draw()
        with seeded(2, CPU):
            draw()
        assert draw() == expected


def test_threads_take_turns_with_the_global_generators():
    def draw(seed):
        with seeded(seed, CPU):
            # the second draw would be another one if a thread seeded in between
            torch.rand(1)
            time.sleep(0.01)
            return torch.rand(1).item()

    before = torch.get_rng_state()
    alone = [draw(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(draw, range(8))) == alone
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_while_another_thread_trains_can_train():
    inside, leave = threading.Event(), threading.Event()

    def train():
        with seeded(1, CPU):
            inside.set()
            leave.wait()

    thread = threading.Thread(target=train)
    thread.start()
    inside.wait()
    child = multiprocessing.get_context("fork").Process(target=_train_in_child)
    child.start()
    child.join(timeout=20)
    exitcode = child.exitcode
    child.kill()
    leave.set()
    thread.join()
    assert exitcode == 0


def _train_in_child():
    with seeded(1, CPU):
        pass


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float32])
def test_layers_are_float32_whatever_the_default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        with float32_by_default():
            assert torch.nn.Linear(2, 2).weight.dtype == torch.float32
        assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(torch.float32)

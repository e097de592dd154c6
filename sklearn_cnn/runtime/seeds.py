"""Whose random numbers: seeds, and the user's global generators left as they were."""

import random
import threading
from contextlib import contextmanager

import numpy as np
import torch

from sklearn_cnn.runtime.fork import after_fork_in_child


def draw_seed(random_state):
    """Return an integer seed that is fixed by `random_state`.

    None draws from the operating system rather than from NumPy's global generator,
    which is the user's.
    """
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0] >> 1)
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(np.iinfo(np.int32).max))
    return int(np.random.RandomState(random_state).randint(np.iinfo(np.int32).max))


_global_generators = threading.RLock()


@after_fork_in_child
def _renew_lock():
    """Let a forked process begin with a free lock: the thread that held it is not in it."""
    global _global_generators
    _global_generators = threading.RLock()


@contextmanager
def seeded(seed, device):
    """Seed torch's, NumPy's and Python's global generators, and give them back as they were.

    Initialisation, dropout and users' augmentations draw from the global generators; the
    user's own streams must not notice. Fits in several threads of one process go one after
    another, as they could not draw from the same generators at once.
    """
    with _global_generators:
        yield from _seeded(seed, device)


def _seeded(seed, device):
    # NumPy's legacy generator is the global one: what is seeded here is put back below
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    accelerators = [device] if device.type in ("cuda", "mps") else []
    with torch.random.fork_rng(
        devices=accelerators, device_type=device.type if accelerators else "cuda"
    ):
        # torch.manual_seed would also queue a reseeding of every CUDA device
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)


@contextmanager
def float32_by_default():
    """Make tensors float32 unless a dtype is named, whatever `torch.set_default_dtype` said.

    Layers made in another dtype would draw other weights. The default is that of all threads:
    this is for within `seeded`, which lets in one at a time.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)

"""How many fits of all processes a GPU takes at once, and who waits.

Workers of a parallel search know nothing of each other. Each fit on a GPU therefore holds a file
lock, one of so many a GPU, in a folder that all of them see; the operating system gives the lock
back however the process ends.
"""

import os
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from sklearn_cnn.runtime.warnings import warn

# Names the environment variable that says how many fits one GPU takes at once.
FITS_PER_GPU = "SKLEARN_CNN_FITS_PER_GPU"

_SECONDS_BETWEEN_TRIES = 0.05
_SECONDS_UNTIL_WARNING = 30

_of_thread = threading.local()


@contextmanager
def gpu_slot(device):
    """Hold a slot of a GPU while a fit runs; other devices are handed out at once.

    Parameters
    ----------
    device : torch.device
        "cuda" without an index is any of the GPUs.

    Yields
    ------
    torch.device
        With an index, if there are several GPUs to choose from.
    """
    if device.type != "cuda":
        yield device
        return
    indices = range(torch.cuda.device_count()) if device.index is None else [device.index]
    index_of = {_gpu_name(index): index for index in indices}
    with hold_slot(list(index_of), fits_per_gpu(os.environ), _folder()) as name:
        try:
            yield torch.device("cuda", index_of[name]) if len(index_of) > 1 else device
        finally:
            # what torch keeps in reserve is of use to the next process
            torch.cuda.empty_cache()


@contextmanager
def hold_slot(names, n_slots, folder, patience=_SECONDS_UNTIL_WARNING):
    """Hold a slot of one of some GPUs; wait until there is one.

    Parameters
    ----------
    names : list of str
        What the GPUs are called in every process.
    n_slots : int
        Slots of each.
    folder : Path
        Where the locked files are.
    patience : float, default=30
        Seconds after which a warning names the processes that hold the slots.

    Yields
    ------
    str
        The name of the GPU.
    """
    held = getattr(_of_thread, "names", ())
    own = next((name for name in names if name in held), None)
    if own is not None:
        # a fit inside a fit, of a callback say, would wait for itself
        yield own
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # the first slots of all GPUs come before the second of any: fits spread
    slots = [(name, folder / f"{name}-{slot}.lock") for slot in range(n_slots) for name in names]
    name, lock = _wait_for_one(slots, patience)
    _of_thread.names = (*held, name)
    try:
        yield name
    finally:
        _of_thread.names = held
        lock.release()


def fits_per_gpu(environment):
    """Return how many fits one GPU takes at once: 1, unless the environment says otherwise.

    Raises
    ------
    ValueError
        If the variable is set to anything but a positive integer.
    """
    text = environment.get(FITS_PER_GPU, "").strip() or "1"
    if not (text.isdecimal() and int(text) > 0):
        raise ValueError(
            f"The environment variable {FITS_PER_GPU} must be a positive integer, the number of "
            f"fits that one GPU takes at once, got {text!r}."
        )
    return int(text)


def _wait_for_one(slots, patience):
    started, has_warned = time.monotonic(), False
    while True:
        for name, path in slots:
            lock = FileLock(path, thread_local=False)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            _holder(path).write_text(str(os.getpid()))
            return name, lock
        if not has_warned and time.monotonic() - started > patience:
            has_warned = True
            _warn_of_holders([path for _, path in slots])
        time.sleep(_SECONDS_BETWEEN_TRIES)


def _holder(path):
    # beside the lock: whoever tries a lock empties its file
    return path.with_suffix(".pid")


def _warn_of_holders(paths):
    holders = [_holder(path).read_text() for path in paths if _holder(path).exists()]
    warn(
        f"This fit waits for a GPU: all slots are taken by fits of the processes "
        f"{', '.join(holders)}. Where several fit into its memory at once, set the environment "
        f"variable {FITS_PER_GPU} to their number."
    )


def _gpu_name(index):
    """Return a GPU's serial number: CUDA_VISIBLE_DEVICES may count them in another order."""
    return f"gpu-{getattr(torch.cuda.get_device_properties(index), 'uuid', index)}"


def _folder():
    # others' locked files cannot be opened
    user = os.getuid() if hasattr(os, "getuid") else ""
    return Path(tempfile.gettempdir()) / f"sklearn_cnn-{user}"

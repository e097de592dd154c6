"""How fits in several processes share the GPUs of a machine: who goes where, and who waits.

Workers of a parallel search know nothing of each other. Each fit on a GPU therefore holds a
locked file in a folder that all of them see; the operating system gives the lock back however
the process ends. Which GPU a fit takes, if any, is a pure function of the fits that run.
"""

import os
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from sklearn_cnn.architectures._assembly import assemble
from sklearn_cnn.training.device import seeded

# Names the environment variable that says how many fits one GPU takes at once.
LIMIT = "SKLEARN_CNN_FITS_PER_GPU"

# CUDA's own memory in each process: its context, cuDNN's workspaces.
_CONTEXT = 1 << 30
# Share of the free memory that is given away; the rest is for what estimates miss.
_USABLE = 0.9
# Bytes a weight: itself, its gradient and two moments of the optimizer, in float32.
_BYTES_A_WEIGHT = 16
# Bytes a value that a layer puts out: itself and its gradient, in float32, and as much again
# for what the allocator keeps in reserve.
_BYTES_A_VALUE = 16
# Seconds between two looks for a place.
_PATIENCE = 0.05

_placed = threading.local()


@dataclass(frozen=True)
class Load:
    """The fits on a GPU.

    Parameters
    ----------
    needs : tuple of int
        Bytes that each of the fits needs.
    free : int
        Bytes that were free before the first of them began; of no meaning if there is none.
    """

    needs: tuple[int, ...] = ()
    free: int = 0


def choose_gpu(loads, need, limit=None):
    """Return the index of the GPU that a fit should take, or None if it has to wait.

    Parameters
    ----------
    loads : sequence of Load
        The GPUs.
    need : int
        Bytes that the fit needs; see `needed_memory`.
    limit : int or None
        Most fits on one GPU; None goes by memory.

    Returns
    -------
    int or None
        Of the GPUs with room, the one with the fewest fits.
    """
    with_room = [index for index, load in enumerate(loads) if has_room(load, need, limit)]
    return min(with_room, key=lambda index: len(loads[index].needs), default=None)


def has_room(load, need, limit=None):
    """Say whether one more fit may run on a GPU.

    The first always may: if it does not fit, no waiting helps, and torch says so best.
    """
    if not load.needs:
        return True
    if limit is not None:
        return len(load.needs) < limit
    return sum(load.needs) + need <= _USABLE * load.free


def estimate_memory(architecture, samples, n_outputs, batch_size):
    """Estimate the bytes that a fit needs on a GPU, by a network that is built and dropped.

    Parameters
    ----------
    architecture : Architecture
    samples : Samples
        The training set.
    n_outputs : int
    batch_size : int

    Returns
    -------
    int
    """
    with seeded(0, torch.device("cpu")):
        image = samples.images[samples.rows[:1]]
        module = assemble(architecture, image, torch.arange(1), n_outputs)
        n_values = count_outputs(module, image.permute(0, 3, 1, 2))
    n_weights = sum(parameter.numel() for parameter in module.parameters())
    return needed_memory(n_weights, n_values, batch_size, samples.images.nbytes)


def needed_memory(n_weights, n_values, batch_size, n_data_bytes):
    """Estimate the bytes that a fit needs on a GPU, on the safe side.

    Parameters
    ----------
    n_weights : int
        Parameters of the network.
    n_values : int
        Values that its layers put out for one image; see `count_outputs`.
    batch_size : int
    n_data_bytes : int
        Of the training and validation images, which lie on the GPU.

    Returns
    -------
    int
    """
    return (
        _CONTEXT
        + n_data_bytes
        + _BYTES_A_WEIGHT * n_weights
        + _BYTES_A_VALUE * n_values * batch_size
    )


def count_outputs(module, image):
    """Count the values that the layers of a module put out for one image.

    Parameters
    ----------
    module : nn.Module
    image : Tensor of shape (1, C, H, W)

    Returns
    -------
    int
    """
    counts = []

    def count(_layer, _inputs, output):
        if isinstance(output, torch.Tensor):
            counts.append(output.numel())

    layers = [layer for layer in module.modules() if not any(layer.children())]
    handles = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.no_grad():
            module(image)
    finally:
        for handle in handles:
            handle.remove()
    return sum(counts)


@contextmanager
def shared(device, estimate):
    """Hold a place on a GPU while a fit runs; wait until there is one.

    Other devices are handed out at once.

    Parameters
    ----------
    device : torch.device
        "cuda" without an index is any of the GPUs.
    estimate : callable
        Returns the bytes that the fit needs. It is called only if that is asked.

    Yields
    ------
    torch.device
        With an index, if there are several GPUs to choose from.
    """
    if device.type != "cuda":
        yield device
        return
    indices = range(torch.cuda.device_count()) if device.index is None else [device.index]
    limit = read_limit(os.environ)
    with hold_place(
        [_gpu_name(index) for index in indices],
        estimate() if limit is None else 0,
        free_memory=lambda position: torch.cuda.mem_get_info(indices[position])[0],
        folder=_folder(),
        limit=limit,
    ) as position:
        try:
            yield torch.device("cuda", indices[position]) if len(indices) > 1 else device
        finally:
            # what torch keeps in reserve is of use to the next process
            torch.cuda.empty_cache()


def read_limit(environment):
    """Return how many fits one GPU takes at once, or None where memory decides.

    Raises
    ------
    ValueError
        If the variable is set to anything but a positive integer.
    """
    text = environment.get(LIMIT, "").strip()
    if not text:
        return None
    if not (text.isdecimal() and int(text) > 0):
        raise ValueError(
            f"The environment variable {LIMIT} must be a positive integer, the number of fits "
            f"that one GPU takes at once, got {text!r}."
        )
    return int(text)


@contextmanager
def hold_place(names, need, *, free_memory, folder, limit=None):
    """Hold a place on one of some GPUs; wait until one has room.

    Parameters
    ----------
    names : sequence of str
        What the GPUs are called in every process.
    need : int
        Bytes that the fit needs.
    free_memory : callable
        Maps a position in `names` to the bytes that are free there now. It is asked of the
        chosen GPU alone: the question takes memory itself.
    folder : Path
        Where the locked files are.
    limit : int or None
        Most fits on one GPU; None goes by memory.

    Yields
    ------
    int
        The position of the GPU in `names`.
    """
    outer = getattr(_placed, "name", None)
    if outer in names:
        # a fit inside a fit, of a callback say, would wait for itself
        yield names.index(outer)
        return
    folders = [folder / name for name in names]
    for path in folders:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    while (place := _take_place(folder, folders, need, free_memory, limit)) is None:
        time.sleep(_PATIENCE)
    position, lock = place
    _placed.name = names[position]
    try:
        yield position
    finally:
        del _placed.name
        lock.release()


def _take_place(folder, folders, need, free_memory, limit):
    """Return the position of a GPU and the lock that holds a place on it, or None."""
    # one process at a time looks and takes
    with FileLock(folder / "choice.lock"):
        loads = [_read_load(path) for path in folders]
        position = choose_gpu(loads, need, limit)
        if position is None:
            return None
        load, chosen, free = loads[position], folders[position], free_memory(position)
        if load.needs and limit is None and free < need:
            # processes without a fit keep some memory too
            return None
        lock = _lock_first_free(chosen)
        try:
            if not load.needs:
                (chosen / "free").write_text(str(free))
            Path(lock.lock_file).with_suffix(".need").write_text(str(need))
        except BaseException:
            lock.release()
            raise
        return position, lock


def _read_load(folder):
    held = [path for path in folder.glob("*.lock") if _is_held(path)]
    if not held:
        return Load()
    needs = tuple(int(path.with_suffix(".need").read_text()) for path in held)
    return Load(needs, int((folder / "free").read_text()))


def _is_held(path):
    lock = _try_lock(path)
    if lock is None:
        return True
    lock.release()
    return False


def _lock_first_free(folder):
    number = 0
    while (lock := _try_lock(folder / f"{number}.lock")) is None:
        number += 1
    return lock


def _try_lock(path):
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def _gpu_name(index):
    """Return a GPU's serial number: CUDA_VISIBLE_DEVICES may count them in another order."""
    return f"gpu-{getattr(torch.cuda.get_device_properties(index), 'uuid', index)}"


def _folder():
    # others' locked files cannot be opened
    user = os.getuid() if hasattr(os, "getuid") else ""
    return Path(tempfile.gettempdir()) / f"sklearn_cnn-{user}"

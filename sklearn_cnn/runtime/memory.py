"""How much memory is free, and whether the C library keeps what a training step frees.

glibc gives large blocks back to the system as soon as they are freed. The next step's
activations are then new pages, which the system clears and maps one by one: up to half of the
time of a step. While a network trains, glibc is told to keep them.

The setting is the whole process's, so it is undone: afterwards the thresholds are those that
glibc's own adjustment reaches in any process that has once freed an array of 32 MiB, and after
training the memory that was kept goes back to the system. Nothing is done under another C
library (musl, macOS, Windows), where the user has set thresholds of their own
(MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_, GLIBC_TUNABLES), or where
SKLEARN_CNN_KEEP_FREED_MEMORY is 0.
"""

import ctypes
import functools
import os
from contextlib import contextmanager
from pathlib import Path

import torch

from sklearn_cnn.runtime.fork import after_fork_in_child
from sklearn_cnn.runtime.process_settings import setting_held

SWITCH = "SKLEARN_CNN_KEEP_FREED_MEMORY"

# Of what is free: the rest is for the network, its activations and the user's other work.
_SHARE_FOR_IMAGES = 0.5
# Where a system does not tell.
_UNKNOWN = 4 * 2**30

# Names of mallopt's parameters in <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

_MIB = 2**20
# mallopt takes an int
_NEVER = 2**31 - 1
# The largest that glibc's dynamic threshold becomes (DEFAULT_MMAP_THRESHOLD_MAX); it trims at
# twice that. Before glibc 2.35 no larger one could be set either.
_LARGEST_DYNAMIC = 32 * _MIB

# One entry for each context that is open, in whatever thread.
_open: set[object] = set()


def fits(n_bytes, free):
    """Say whether images of so many bytes should be kept in memory of which so much is free.

    Parameters
    ----------
    n_bytes : int
        Of all the images.
    free : int
        See `free_memory`.

    Returns
    -------
    bool
        True if they take at most half of it.
    """
    return n_bytes <= _SHARE_FOR_IMAGES * free


def free_memory(device=None):
    """Return the memory, in bytes, that this process may still take.

    Parameters
    ----------
    device : torch.device or None
        A CUDA device; None is the host. There it is on Linux what the kernel calls available,
        or what is left of the limit of a container if that is less; elsewhere half of the
        machine's memory.

    Returns
    -------
    int
    """
    if device is not None:
        return torch.cuda.mem_get_info(device)[0]
    try:
        fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        available = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return _half_of_all()
    return min(available, _left_in_container(available))


def _left_in_container(otherwise):
    # version 2 of Linux' control groups, then version 1
    for limit, used in [
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ]:
        try:
            return max(int(Path(limit).read_text()) - int(Path(used).read_text()), 0)
        except (OSError, ValueError):
            # no such group, or "max", which is no limit
            continue
    return otherwise


def _half_of_all():
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return _UNKNOWN


@contextmanager
def freed_memory_kept(give_back=True):
    """Let glibc keep what is freed inside.

    May be nested, and entered by several threads at a time: the last to leave undoes it.

    Parameters
    ----------
    give_back : bool, default=True
        Whether all that is free goes back to the system at the end. Otherwise that is left to
        glibc, which does so with what exceeds 64 MiB when the next large block is freed.
    """
    libc = _glibc() if _is_wanted(os.environ) else None
    if libc is None:
        yield
        return

    def undo():
        _set_thresholds(libc, _LARGEST_DYNAMIC, 2 * _LARGEST_DYNAMIC)
        if give_back:
            libc.malloc_trim(0)

    with setting_held(_open, lambda: _set_thresholds(libc, _NEVER, _NEVER), undo):
        yield


@after_fork_in_child
def _forget_other_threads():
    if _open:
        _open.clear()
        _set_thresholds(_glibc(), _LARGEST_DYNAMIC, 2 * _LARGEST_DYNAMIC)


def _is_wanted(environment):
    """Say whether neither our switch nor thresholds of the user's are set."""
    if environment.get(SWITCH, "1") == "0":
        return False
    tunables = environment.get("GLIBC_TUNABLES", "")
    return not any(
        f"MALLOC_{name.upper()}_" in environment or f"glibc.malloc.{name}" in tunables
        for name in ("mmap_threshold", "trim_threshold")
    )


@functools.cache
def _glibc():
    """Return the C library of this process if it is a 64-bit glibc, else None."""
    if "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", {}):
        return None
    is_64_bit = ctypes.sizeof(ctypes.c_void_p) == 8
    return ctypes.CDLL(None) if is_64_bit and os.confstr("CS_GNU_LIBC_VERSION") else None


def _set_thresholds(libc, mmap, trim):
    if not libc.mallopt(_M_MMAP_THRESHOLD, mmap):
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_DYNAMIC)
    libc.mallopt(_M_TRIM_THRESHOLD, trim)

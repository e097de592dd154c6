"""What the C library does with memory that a training step frees, on glibc.

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
import threading
from contextlib import contextmanager

SWITCH = "SKLEARN_CNN_KEEP_FREED_MEMORY"

# Names of mallopt's parameters in <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

_MIB = 2**20
# mallopt takes an int
_NEVER = 2**31 - 1
# The largest that glibc's dynamic threshold becomes (DEFAULT_MMAP_THRESHOLD_MAX); it trims at
# twice that. Before glibc 2.35 no larger one could be set either.
_LARGEST_DYNAMIC = 32 * _MIB

_lock = threading.Lock()
_n_inside = 0


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
    global _n_inside
    libc = _glibc() if _is_wanted(os.environ) else None
    if libc is None:
        yield
        return
    with _lock:
        _n_inside += 1
        if _n_inside == 1:
            _set_thresholds(libc, _NEVER, _NEVER)
    try:
        yield
    finally:
        with _lock:
            _n_inside -= 1
            if _n_inside == 0:
                _set_thresholds(libc, _LARGEST_DYNAMIC, 2 * _LARGEST_DYNAMIC)
                if give_back:
                    libc.malloc_trim(0)


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

"""How much memory there is, and whether images should be kept in it."""

import os
from pathlib import Path

# Of what is free: the rest is for the network, its activations and the user's other work.
_SHARE_FOR_IMAGES = 0.5
# Where a system does not tell.
_UNKNOWN = 4 * 2**30


def keep_in_memory(in_memory, n_bytes, free):
    """Decide whether images are kept in memory or read anew each time.

    Parameters
    ----------
    in_memory : {"auto"} or bool
        "auto" keeps what takes at most half of the free memory.
    n_bytes : int
        What the images take.
    free : int
        Free memory in bytes.

    Returns
    -------
    bool
    """
    if in_memory == "auto":
        return n_bytes <= _SHARE_FOR_IMAGES * free
    return bool(in_memory)


def free_memory():
    """Return the memory, in bytes, that this process may still take.

    On Linux what the kernel calls available, or what is left of the limit of a container
    if that is less; elsewhere half of the machine's memory.
    """
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

"""Whether images are kept in memory follows from sizes alone."""

from pathlib import Path

import pytest

from sklearn_cnn.images import _free_memory
from sklearn_cnn.images._free_memory import free_memory, keep_in_memory


@pytest.mark.parametrize(
    ("in_memory", "n_bytes", "free", "kept"),
    [
        ("auto", 0, 0, True),
        ("auto", 50, 100, True),
        ("auto", 51, 100, False),
        ("auto", 1, 0, False),
        (True, 10**15, 0, True),
        (False, 0, 10**15, False),
    ],
)
def test_half_of_the_free_memory_is_for_images(in_memory, n_bytes, free, kept):
    assert keep_in_memory(in_memory, n_bytes, free) is kept


@pytest.fixture
def system(monkeypatch):
    """Return the files that the system shows; path to content."""
    files = {}

    def read_text(path):
        if str(path) not in files:
            raise FileNotFoundError(path)
        return files[str(path)]

    monkeypatch.setattr(Path, "read_text", read_text)
    return files


MEMINFO = "MemTotal:       16000 kB\nMemFree:         100 kB\nMemAvailable:    8000 kB\n"


def test_linux_tells_what_is_available(system):
    system["/proc/meminfo"] = MEMINFO
    assert free_memory() == 8000 * 1024


@pytest.mark.parametrize(
    ("limit", "used"),
    [
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ],
    ids=["version 2", "version 1"],
)
def test_a_container_may_have_less(system, limit, used):
    system["/proc/meminfo"] = MEMINFO
    system.update({limit: "5000000\n", used: "2000000\n"})
    assert free_memory() == 3_000_000
    system.update({limit: "5000000\n", used: "6000000\n"})
    assert free_memory() == 0
    system.update({limit: f"{2**62}\n", used: "2000000\n"})
    assert free_memory() == 8000 * 1024


def test_a_container_without_a_limit(system):
    system["/proc/meminfo"] = MEMINFO
    system.update({"/sys/fs/cgroup/memory.max": "max\n", "/sys/fs/cgroup/memory.current": "9\n"})
    assert free_memory() == 8000 * 1024


@pytest.mark.usefixtures("system")
def test_elsewhere_half_of_the_machines_memory_counts(monkeypatch):
    sizes = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(_free_memory.os, "sysconf", sizes.__getitem__)
    assert free_memory() == 1000 * 4096 // 2
    monkeypatch.delattr(_free_memory.os, "sysconf")
    assert free_memory() == 4 * 2**30


def test_this_machine_has_memory():
    assert free_memory() > 2**20

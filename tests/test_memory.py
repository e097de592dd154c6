"""How much memory is free, and the C library's thresholds: kept in training, undone afterwards."""

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
import torch

from sklearn_cnn.runtime import memory
from sklearn_cnn.runtime.memory import SWITCH, fits, free_memory, freed_memory_kept

INT_MAX = 2**31 - 1
MIB = 2**20
KEPT = [("mallopt", -3, INT_MAX), ("mallopt", -1, INT_MAX)]
UNDONE = [("mallopt", -3, 32 * MIB), ("mallopt", -1, 64 * MIB), ("malloc_trim", 0)]


class Libc:
    """Notes what it is told, and takes thresholds up to a largest one."""

    def __init__(self, largest=INT_MAX):
        self.largest = largest
        self.told = []

    def mallopt(self, name, value):
        self.told.append(("mallopt", name, value))
        return int(value <= self.largest)

    def malloc_trim(self, pad):
        self.told.append(("malloc_trim", pad))


@pytest.fixture
def libc(monkeypatch):
    fake = Libc()
    monkeypatch.setattr(memory, "_glibc", lambda: fake)
    # Dask sets some of these where it starts workers
    for name in list(os.environ):
        if name.startswith(("MALLOC_", "GLIBC_")) or name == SWITCH:
            monkeypatch.delenv(name)
    return fake


def test_thresholds_are_raised_inside_and_undone_behind(libc):
    with freed_memory_kept():
        assert libc.told == KEPT
    assert libc.told == KEPT + UNDONE


def test_what_is_kept_may_be_left_to_glibc(libc):
    with freed_memory_kept(give_back=False):
        pass
    assert libc.told == KEPT + UNDONE[:2]


def test_thresholds_are_undone_after_an_error(libc):
    with pytest.raises(KeyboardInterrupt), freed_memory_kept():
        raise KeyboardInterrupt
    assert libc.told == KEPT + UNDONE


def test_the_last_of_several_threads_undoes_it(libc):
    first_is_in, second_is_out = threading.Event(), threading.Event()

    def first():
        with freed_memory_kept():
            first_is_in.set()
            second_is_out.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    first_is_in.wait(10)
    with freed_memory_kept():
        pass
    assert libc.told == KEPT
    second_is_out.set()
    thread.join()
    assert libc.told == KEPT + UNDONE


def test_an_old_glibc_that_refuses_a_large_threshold_gets_its_largest(libc):
    libc.largest = 32 * MIB
    with freed_memory_kept():
        assert ("mallopt", -3, 32 * MIB) in libc.told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (SWITCH, "0"),
        ("MALLOC_MMAP_THRESHOLD_", "65536"),
        ("MALLOC_TRIM_THRESHOLD_", "65536"),
        ("GLIBC_TUNABLES", "glibc.malloc.check=1:glibc.malloc.trim_threshold=65536"),
    ],
)
def test_the_user_can_switch_it_off_or_choose_thresholds(libc, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with freed_memory_kept():
        pass
    assert libc.told == []


@pytest.mark.parametrize(
    ("name", "value"), [(SWITCH, "1"), ("GLIBC_TUNABLES", "glibc.malloc.check=1")]
)
def test_other_settings_leave_it_on(libc, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with freed_memory_kept():
        assert libc.told == KEPT


def test_another_c_library_is_left_alone(monkeypatch):
    memory._glibc.cache_clear()
    monkeypatch.setattr(memory.os, "confstr_names", {}, raising=False)
    assert memory._glibc() is None
    with freed_memory_kept():
        pass
    monkeypatch.undo()
    memory._glibc.cache_clear()


@pytest.mark.skipif(memory._glibc() is None, reason="needs a 64-bit glibc")
def test_training_maps_pages_once_and_gives_them_back():
    script = """
        import resource
        import torch
        from sklearn_cnn.runtime.memory import freed_memory_kept

        def faults_of(n_rounds):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(n_rounds):
                torch.ones(12 * 2**20)  # 48 MiB
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        def resident():
            with open("/proc/self/statm") as statm:
                return int(statm.read().split()[1]) * resource.getpagesize()

        torch.ones(1)
        plain = faults_of(10)
        before = resident()
        with freed_memory_kept():
            faults_of(1)
            # a system that reclaims idle pages may map some of them anew
            assert faults_of(10) < plain / 4
        assert resident() - before < 8 * 2**20
        assert faults_of(10) > plain / 2
    """
    environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, env=environment)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_begins_with_the_usual_thresholds(libc):
    with freed_memory_kept():
        pid = os.fork()
        if pid == 0:
            undone = libc.told == KEPT + UNDONE[:2]
            with freed_memory_kept():
                again = libc.told == KEPT + UNDONE[:2] + KEPT
            os._exit(0 if undone and again else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert libc.told == KEPT


GIB = 2**30


@pytest.mark.parametrize(
    ("n_bytes", "free", "kept"),
    [(0, 0, True), (4 * GIB, 8 * GIB, True), (4 * GIB + 1, 8 * GIB, False), (1, 0, False)],
)
def test_images_may_take_half_of_the_free_memory(n_bytes, free, kept):
    assert fits(n_bytes, free) is kept


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
    monkeypatch.setattr(memory.os, "sysconf", sizes.__getitem__)
    assert free_memory() == 1000 * 4096 // 2
    monkeypatch.delattr(memory.os, "sysconf")
    assert free_memory() == 4 * 2**30


def test_a_gpu_tells_what_is_free(monkeypatch):
    device = torch.device("cuda", 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", {device: (35, 80 * GIB)}.__getitem__)
    assert free_memory(device) == 35


def test_this_machine_has_memory():
    assert free_memory() > 2**20

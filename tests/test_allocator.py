"""The C library's thresholds: kept in training, undone afterwards, not touched where unwanted."""

import subprocess
import sys
import textwrap
import threading

import pytest

from sklearn_cnn.training import allocator
from sklearn_cnn.training.allocator import SWITCH, freed_memory_kept

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
    monkeypatch.setattr(allocator, "_glibc", lambda: fake)
    monkeypatch.delenv(SWITCH, raising=False)
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
    allocator._glibc.cache_clear()
    monkeypatch.setattr(allocator.os, "confstr_names", {}, raising=False)
    assert allocator._glibc() is None
    with freed_memory_kept():
        pass
    monkeypatch.undo()
    allocator._glibc.cache_clear()


@pytest.mark.skipif(allocator._glibc() is None, reason="needs a 64-bit glibc")
def test_training_maps_pages_once_and_gives_them_back():
    script = """
        import resource
        import torch
        from sklearn_cnn.training.allocator import freed_memory_kept

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

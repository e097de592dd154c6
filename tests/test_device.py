"""Rules of device and precision for machines other than this one."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from sklearn_cnn.runtime import device as rules
from sklearn_cnn.runtime.device import (
    best_device,
    cpu_has_fast_bf16,
    exact_convolutions,
    has_fast_bf16,
    prediction_batch_size,
    prediction_multiple,
    resolve_device,
    resolve_precision,
    widest_fan_in,
)

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch):
    """Return a function that pretends that the machine has these accelerators."""

    def pretend(cuda=False, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2 * cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("cuda", "mps", "best"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_cuda_then_mps_then_the_cpu(machine, cuda, mps, best):
    assert best_device(cuda, mps) == best
    machine(cuda, mps)
    assert resolve_device("auto") == resolve_device() == torch.device(best)


@pytest.mark.parametrize("asked", ["cpu", torch.device("cpu")])
def test_the_device_that_is_asked_for_is_taken(machine, asked):
    machine(cuda=True, mps=True)
    assert resolve_device(asked) == CPU
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    assert resolve_device("mps").type == "mps"


@pytest.mark.parametrize("asked", ["cpu:1", "cpu:999"])
def test_there_is_one_cpu(asked):
    with pytest.raises(ValueError, match="the CPU is one device"):
        resolve_device(asked)


@pytest.mark.parametrize("asked", ["cuda", "cuda:0", "mps", torch.device("cuda")])
def test_a_device_that_the_machine_lacks_is_an_error(machine, asked):
    machine()
    kind = "MPS" if asked == "mps" else "CUDA"
    with pytest.raises(ValueError, match=f"no {kind} device") as caught:
        resolve_device(asked)
    assert 'device="auto"' in str(caught.value)


def test_a_gpu_that_the_machine_lacks_is_an_error(machine):
    machine(cuda=True)
    with pytest.raises(ValueError, match="this machine has 2 CUDA devices, counted from 0"):
        resolve_device("cuda:2")
    assert not rules.has_device("cuda:2")


@pytest.mark.parametrize("asked", ["gpu", "CUDA 0", "", "cuda:x"])
def test_a_device_that_torch_does_not_know_is_an_error(asked):
    with pytest.raises(ValueError, match=f"device={asked!r} is not a device that torch knows"):
        resolve_device(asked)


@pytest.mark.parametrize(
    ("capabilities", "fast"),
    [
        ([], False),
        (["avx2", "avx512f"], False),
        (["avx512_bf16"], True),
        (["amx_tile"], True),
        ({"avx2", "avx512_bf16", "amx_tile"}, True),
    ],
)
def test_a_cpu_is_fast_at_bf16_if_it_has_the_instructions(monkeypatch, capabilities, fast):
    assert cpu_has_fast_bf16(capabilities) is fast
    monkeypatch.setattr(rules, "cpu_capabilities", lambda: capabilities)
    assert has_fast_bf16(CPU) is fast


@pytest.mark.parametrize(
    ("capability", "fast"), [((7, 0), False), ((7, 5), False), ((8, 0), True), ((9, 0), True)]
)
def test_cuda_is_fast_at_bf16_from_ampere_on(monkeypatch, capability, fast):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    assert has_fast_bf16(torch.device("cuda")) is fast


def test_other_devices_stay_in_float32():
    assert not has_fast_bf16(torch.device("mps"))


@pytest.mark.parametrize(
    ("image_size", "fan_in", "fast", "precision"),
    [
        ((28, 28), 288, True, "bf16"),
        ((28, 28), 288, False, "float32"),
        ((8, 8), 1152, True, "float32"),
        ((12, 12), 288, True, "bf16"),
        ((11, 13), 288, True, "float32"),
        ((1, 144), 288, True, "bf16"),
        ((64, 64), 256, True, "bf16"),
        ((64, 64), 255, True, "float32"),
        ((64, 64), 0, True, "float32"),
    ],
)
def test_auto_precision_needs_hardware_pixels_and_width(
    monkeypatch, image_size, fan_in, fast, precision
):
    monkeypatch.setattr(rules, "has_fast_bf16", lambda *_: fast)
    assert resolve_precision("auto", CPU, image_size, fan_in) == precision


@pytest.mark.parametrize(
    ("module", "fan_in"),
    [
        (nn.Linear(5000, 2), 0),
        (nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 5), nn.Linear(999, 2)), 200),
        (nn.Sequential(nn.Conv2d(32, 32, 3, groups=32), nn.Conv2d(3, 2, (1, 7))), 21),
    ],
)
def test_the_widest_convolution_counts(module, fan_in):
    assert widest_fan_in(module) == fan_in


@pytest.mark.parametrize("asked", ["bf16", "float32"])
@pytest.mark.parametrize("fast", [True, False])
def test_the_precision_that_is_asked_for_is_taken(monkeypatch, asked, fast):
    monkeypatch.setattr(rules, "has_fast_bf16", lambda *_: fast)
    assert resolve_precision(asked, CPU, (8, 8), 9) == asked
    assert resolve_precision(asked, CPU, (224, 224), 4608) == asked


@pytest.mark.parametrize(
    ("image_size", "size"),
    [
        ((1, 1), 128),
        ((8, 8), 128),
        ((16, 16), 128),
        ((16, 17), 64),
        ((56, 56), 64),
        ((64, 64), 50),
        ((96, 96), 22),
        ((160, 160), 8),
        ((224, 224), 4),
        ((320, 320), 2),
        ((321, 321), 1),
        ((512, 512), 1),
        ((4000, 3000), 1),
        ((1, 10**6), 1),
    ],
)
def test_prediction_batches_follow_the_cost_of_an_image(image_size, size):
    batch_size = prediction_batch_size(image_size)
    assert batch_size == size
    assert type(batch_size) is int


@pytest.mark.parametrize("device_type", ["cuda", "mps"])
@pytest.mark.parametrize(
    ("image_size", "size"),
    [((8, 8), 1024), ((32, 32), 1024), ((64, 64), 256), ((224, 224), 20), ((4000, 3000), 1)],
)
def test_prediction_batches_of_a_gpu_are_larger(device_type, image_size, size):
    assert prediction_batch_size(image_size, device_type) == size
    is_tiny = image_size[0] * image_size[1] <= 16 * 16
    assert prediction_multiple(image_size, device_type) == (size if is_tiny else 1)


@pytest.mark.parametrize(
    ("image_size", "multiple"),
    [((1, 1), 4), ((16, 16), 4), ((16, 17), 1), ((224, 224), 1)],
)
def test_one_image_on_a_cpu_does_not_pay_for_a_batch(image_size, multiple):
    assert prediction_multiple(image_size) == multiple


def test_convolutions_of_a_gpu_are_exact_while_a_context_is_open():
    flags = torch.backends.cudnn
    before = flags.deterministic, flags.allow_tf32
    with exact_convolutions("cuda"):
        with exact_convolutions(torch.device("cuda", 0)):
            assert (flags.deterministic, flags.allow_tf32) == (True, False)
        assert (flags.deterministic, flags.allow_tf32) == (True, False)
    assert (flags.deterministic, flags.allow_tf32) == before


def test_the_last_thread_to_leave_gives_the_flags_back():
    flags = torch.backends.cudnn
    first, second = exact_convolutions("cuda"), exact_convolutions("cuda")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert (flags.deterministic, flags.allow_tf32) == (True, False)
    second.__exit__(None, None, None)
    assert (flags.deterministic, flags.allow_tf32) == (False, True)


def test_nothing_is_done_to_flags_on_a_cpu():
    with exact_convolutions("cpu"):
        assert torch.backends.cudnn.allow_tf32
        assert not torch.backends.cudnn.deterministic


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="torch has no newer flags")
def test_who_sets_the_newer_flags_keeps_them():
    # a process of its own: torch never reads the old flag again
    code = """
import torch
from sklearn_cnn.runtime.device import exact_convolutions
flags = torch.backends.cudnn
flags.conv.fp32_precision = "ieee"
with exact_convolutions("cuda"):
    assert flags.deterministic
    assert (flags.conv.fp32_precision, flags.rnn.fp32_precision) == ("ieee", "tf32")
assert not flags.deterministic
assert (flags.conv.fp32_precision, flags.rnn.fp32_precision) == ("ieee", "tf32")
"""
    subprocess.run([sys.executable, "-c", code], check=True)

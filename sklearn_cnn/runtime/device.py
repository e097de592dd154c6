"""Questions to the machine: which device, which precision, how many images at a time.

The rules are pure functions of what they are told, so that a test can pass in the
capabilities of a machine that it does not run on.
"""

from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import numpy as np
import torch
from torch import nn

from sklearn_cnn._compat import cpu_capabilities
from sklearn_cnn.runtime.process_settings import setting_held

# What a training step must have to repay bfloat16's casts (benchmarks/results/throughput.md): on
# images of 8 x 8 it gains nothing, from 12 x 12 on 9 % and more; networks whose widest
# convolution sums 144 products an output lose up to 14 %, those with 288 gain 9 % and more.
MIN_PIXELS_FOR_BF16 = 144
MIN_FAN_IN_FOR_BF16 = 256

# On a CPU, as many images as stay in the cache: ConvNet is fastest with 32 of 64 x 64, 12 of
# 96 x 96 and 8 of 128 x 128, EfficientNet-Lite0, ResNet-18 and -50, MobileNetV3 and ConvNeXt with 4
# to 16 of 160 x 160 and of 224 x 224: an image of 8 takes 0.3 to 0.7 of the time of a lone one. Of
# tiny images more go through at once, where the calls cost more than the products.
_CPU_PREDICTION = 8 * 160 * 160
_TINY, _LARGEST_TINY, _LARGEST = 16 * 16, 128, 64
# A GPU needs more at a time to be busy, and has its answer sooner.
_GPU_PREDICTION = 256 * 64 * 64
_LARGEST_ON_GPU = 1024

# One entry for each context that is open, in whatever thread, and the flags of before the first.
_exact: set[object] = set()
_flags_before: dict[str, Any] = {}


@contextmanager
def new_tensors_on_cpu():
    """Make tensors on the CPU unless a device is named, whatever `torch.set_default_device` said.

    Images are read there, and sent to the network's device batch by batch.
    """
    # the context slows down every call of torch's, and is rarely needed
    is_default = torch.get_default_device().type == "cpu"
    with nullcontext() if is_default else torch.device("cpu"):
        yield


def sent(values, device, dtype=None):
    """Return a few numbers as a tensor on a device, for which the host does not wait.

    `torch.tensor(..., device=)` waits until a GPU has done all that it was told before.
    """
    return torch.as_tensor(values, dtype=dtype, device="cpu").to(device, non_blocking=True)


def resolve_device(device="auto"):
    """Return the `torch.device` that `device` asks for.

    Parameters
    ----------
    device : {"auto"}, str or torch.device, default="auto"
        "auto" takes CUDA where there is one, then MPS, then the CPU.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If torch does not know the device or this machine does not have it.
    """
    if device == "auto":
        return torch.device(best_device(torch.cuda.is_available(), _mps_is_available()))
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is not a device that torch knows: {error}") from error
    if resolved.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f'device={device!r} must be "auto", or a "cpu", "cuda" or "mps" device.')
    if resolved.type == "cpu" and resolved.index:
        raise ValueError(f'device={device!r} was asked for, but the CPU is one device: "cpu".')
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={device!r} was asked for, but torch finds no CUDA device on this machine. "
            'Write device="auto" to take the best device that there is, or device="cpu".'
        )
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={device!r} was asked for, but this machine has {torch.cuda.device_count()} "
            "CUDA devices, counted from 0."
        )
    if resolved.type == "mps" and not _mps_is_available():
        raise ValueError(
            f"device={device!r} was asked for, but torch finds no MPS device on this machine. "
            'Write device="auto" or device="cpu".'
        )
    return resolved


def has_device(device):
    """Say whether this machine has a device that was resolved, perhaps elsewhere."""
    try:
        resolve_device(device)
    except ValueError:
        return False
    return True


def best_device(has_cuda, has_mps):
    """Return the type of the fastest device among those that a machine has."""
    if has_cuda:
        return "cuda"
    return "mps" if has_mps else "cpu"


def resolve_precision(precision, device, image_size, fan_in):
    """Return the precision of training on a device: "bf16" or "float32".

    Parameters
    ----------
    precision : {"auto", "bf16", "float32"}
        What the user asked for. "auto" is "bf16" where the device has instructions for it, the
        images have 144 pixels at least and the network's widest convolution sums 256 products
        at least: below that, float32 is as fast or faster.
    device : torch.device
    image_size : tuple of (int, int)
        Height and width in pixels.
    fan_in : int
        See `widest_fan_in`.
    """
    if precision != "auto":
        return precision
    repays = image_size[0] * image_size[1] >= MIN_PIXELS_FOR_BF16 and fan_in >= MIN_FAN_IN_FOR_BF16
    return "bf16" if repays and has_fast_bf16(device) else "float32"


def autocast(device, precision):
    """Return the context of forward passes in a precision.

    Parameters
    ----------
    device : torch.device or str
    precision : {"bf16", "float32"}

    Returns
    -------
    torch.autocast
    """
    # A cache of cast weights lives until the outermost autocast ends, and so would outlive a step
    # that changes the weights. Each is cast once a pass anyway.
    use_bf16, kind = precision == "bf16", torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=use_bf16, cache_enabled=False)


@contextmanager
def exact_convolutions(device):
    """Let the convolutions of a GPU compute in float32, and the same each time.

    cuDNN takes kernels that add in any order, so that no two trainings are alike, and rounds
    factors to 10 bits (TF32): an output then moves by 0.3 % of the outputs' standard deviation
    with the number of images beside it, else by 0.0005 %. Who sets TF32 by the newer flags of
    torch, `torch.backends.cudnn.conv.fp32_precision`, has chosen it, and keeps it.

    May be nested, and entered by several threads at a time: the last to leave undoes it.

    Parameters
    ----------
    device : torch.device or str
        Nothing is done but for CUDA.
    """
    if torch.device(device).type != "cuda":
        yield
        return
    with setting_held(_exact, _set_exact_flags, _restore_flags):
        yield


def _set_exact_flags():
    flags = torch.backends.cudnn
    _flags_before["deterministic"], flags.deterministic = flags.deterministic, True
    # torch refuses to read the old flag where the newer ones are set
    with suppress(RuntimeError):
        _flags_before["allow_tf32"], flags.allow_tf32 = flags.allow_tf32, False


def _restore_flags():
    for name, value in _flags_before.items():
        setattr(torch.backends.cudnn, name, value)
    _flags_before.clear()


def widest_fan_in(module):
    """Return how many products the widest convolution sums for one output; 0 if there is none."""
    convolutions = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    layers = [layer for layer in module.modules() if isinstance(layer, convolutions)]
    return max((layer.weight[0].numel() for layer in layers), default=0)


def has_fast_bf16(device):
    """Say whether a device has instructions of its own for bfloat16 products."""
    if device.type == "cuda":
        # bfloat16 tensor cores came with compute capability 8.0 (Ampere)
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return cpu_has_fast_bf16(cpu_capabilities())
    return False


def cpu_has_fast_bf16(capabilities):
    """Say whether a CPU with these instruction sets multiplies bfloat16 natively."""
    return bool({"avx512_bf16", "amx_tile"} & set(capabilities))


def prediction_batch_size(image_size, device_type="cpu"):
    """Return how many images go through the network at once in prediction.

    The size follows the cost of one image: on a CPU 128 up to 16 x 16, 50 at 64 x 64, 4 at
    224 x 224 and 1 from 321 x 321 on; on a GPU 256 at 64 x 64 and 20 at 224 x 224.

    Parameters
    ----------
    image_size : tuple of (int, int)
        Height and width in pixels.
    device_type : {"cpu", "cuda", "mps"}

    Returns
    -------
    int
    """
    pixels = max(1, image_size[0] * image_size[1])
    if device_type == "cpu":
        size, largest = _CPU_PREDICTION // pixels, _LARGEST_TINY if pixels <= _TINY else _LARGEST
    else:
        size, largest = _GPU_PREDICTION // pixels, _LARGEST_ON_GPU
    return int(np.clip(size, 1, largest))


def prediction_multiple(image_size, device_type="cpu"):
    """Return the multiple of images that the last batch of a prediction is filled up to.

    float32 kernels differ between batch sizes. Where four tiny images go through a CPU at least,
    or a whole batch of them through a GPU, predictions are the same to the last bit; a single
    larger one does not wait for others, and its probabilities differ by about 1e-6 from those that
    it has among them.

    Parameters
    ----------
    image_size : tuple of (int, int)
    device_type : {"cpu", "cuda", "mps"}

    Returns
    -------
    int
    """
    if image_size[0] * image_size[1] > _TINY:
        return 1
    return 4 if device_type == "cpu" else prediction_batch_size(image_size, device_type)


def _mps_is_available():
    return torch.backends.mps.is_available()

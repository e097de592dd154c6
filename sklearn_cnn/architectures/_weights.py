"""Learned weights: files that hold them, and how they reach a network."""

import os
import re

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

# torch.load with weights_only=True could be made to run code below 2.6 (CVE-2025-32434), and to
# corrupt memory below 2.10 (CVE-2026-24747).
_SAFE_TORCH = (2, 10)
# Layers of torchvision's DenseNet files were named when names could hold dots.
_OLD_DENSENET_NAME = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")

_MOST_NAMES = 3


def read_weights_file(path):
    """Return the state dict that a file holds.

    Parameters
    ----------
    path : str or path
        `.safetensors`, or what `torch.save` wrote.

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    IsADirectoryError
        If it is a folder.
    ValueError
        If the file holds something else, or this version of torch cannot read it safely.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        raise IsADirectoryError(
            f"{path!r} is a folder. Weights are one file: .safetensors, or what "
            "torch.save(network.state_dict(), path) wrote."
        )
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no file of weights at {path!r}.")
    if path.endswith(".safetensors"):
        return _read_safetensors(path)
    state = load_tensors(path)
    if not isinstance(state, dict) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        found = list(state)[:_MOST_NAMES] if isinstance(state, dict) else type(state).__name__
        raise ValueError(
            f"{path!r} must hold a state dict, names of parameters to tensors, but holds {found}. "
            "Write one with torch.save(network.state_dict(), path)."
        )
    return {_OLD_DENSENET_NAME.sub(r"\1\2", name): tensor for name, tensor in state.items()}


def load_tensors(path):
    """Return what `torch.save` wrote, if that is tensors and plain values alone.

    Raises
    ------
    ValueError
        If it is something else, or this version of torch cannot read it safely.
    """
    _check_torch(path)
    with open(path, "rb") as file:
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        # a reader of broken bytes may fail in any way
        except Exception as error:
            raise ValueError(
                f"{os.fspath(path)!r} is no file of tensors that torch.save wrote, or a broken "
                f"one: torch.load with weights_only=True says {error}"
            ) from error


def _check_torch(path):
    release = tuple(map(int, re.findall(r"\d+", torch.__version__)[:2]))
    if release < _SAFE_TORCH:
        raise ValueError(
            f"torch {torch.__version__} is not safe from what {os.fspath(path)!r} may hold: below "
            "2.10 even torch.load with weights_only=True can run code or corrupt memory. Upgrade "
            "torch to 2.10 or later; or convert the file where you trust it, by "
            'safetensors.torch.save_file(torch.load(path, weights_only=True), "w.safetensors").'
        )


def load_into(network, state, head, source):
    """Load weights into a network; a last layer of another size stays as it is.

    Parameters
    ----------
    network : nn.Module
    state : dict of str to Tensor
    head : str
        Name of the last layer.
    source : str
        What to call the weights in an error.

    Raises
    ------
    ValueError
        If names or shapes are not those of the network.
    """
    expected = network.state_dict()
    of_head = {f"{head}.weight", f"{head}.bias"}
    if state.get(f"{head}.weight", torch.empty(0)).shape != expected[f"{head}.weight"].shape:
        state = {name: tensor for name, tensor in state.items() if name not in of_head}
    # old files do not count the batches that a normalization has seen
    missing = [n for n in expected.keys() - state.keys() - of_head if "num_batches" not in n]
    unfit = {
        "lack": sorted(missing),
        "have in excess": sorted(state.keys() - expected.keys()),
        "have in other shapes": sorted(
            n for n in state.keys() & expected.keys() if state[n].shape != expected[n].shape
        ),
    }
    if any(unfit.values()):
        found = "; ".join(f"they {how} {_some(names)}" for how, names in unfit.items() if names)
        raise ValueError(f"{source} are not weights of {type(network).__name__}: {found}.")
    # torch keeps the versions of layers in its own dict
    complete = network.state_dict()
    complete.update(state)
    network.load_state_dict(complete)


def _read_safetensors(path):
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path!r} is no safetensors file, or a broken one: {error}") from error


def _some(names):
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")

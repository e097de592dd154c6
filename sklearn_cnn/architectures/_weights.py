"""Learned weights: files that hold them, and how they reach a network."""

import os
import re
from contextlib import contextmanager
from itertools import zip_longest

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

# torch.load with weights_only=True could be made to run code below 2.6 (CVE-2025-32434), and to
# corrupt memory below 2.10 (CVE-2026-24747).
_SAFE_TORCH = (2, 10)
# Layers of torchvision's DenseNet files were named when names could hold dots.
_OLD_DENSENET_NAME = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")

_UNPICKLER = re.compile(r"Unpickl\w* error: (.*?)\.?(?: Please use|\n|$)")

# Names in a sentence, and rows of the table below it.
_MOST_NAMES, _MOST_ROWS = 3, 10


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
    if not _is_state_dict(state):
        parts = state if isinstance(state, dict) else {}
        found = list(parts)[:_MOST_NAMES] or type(state).__name__
        name = next((name for name, part in parts.items() if _is_state_dict(part)), "state_dict")
        raise ValueError(
            f"{path!r} must hold a state dict, names of parameters to tensors, but holds {found}. "
            "Write one with torch.save(network.state_dict(), path), or out of a checkpoint that "
            f'has one: torch.save(torch.load(path)["{name}"], other).'
        )
    return {_OLD_DENSENET_NAME.sub(r"\1\2", name): tensor for name, tensor in state.items()}


def _is_state_dict(value):
    # an empty one is that of no network
    tensors = list(value.values()) if isinstance(value, dict) else []
    return bool(tensors) and all(isinstance(tensor, torch.Tensor) for tensor in tensors)


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
            # of torch's page of advice, part of which is dangerous, the line that says what it is
            told = _UNPICKLER.search(str(error))
            reason = told.group(1) if told else f"{type(error).__name__}: {error}".rstrip(": ")
            raise ValueError(
                f"{os.fspath(path)!r} is no file of tensors that torch.save wrote, or a broken "
                f"one: torch.load with weights_only=True says {reason}. Of a whole network save "
                "torch.save(network.state_dict(), path), where its class is known."
            ) from error


@contextmanager
def downloading(source, url, place=None):
    """Say in the error of a download that fails what to do instead.

    Parameters
    ----------
    source : str
        What to call the weights.
    url : str
        Where they are.
    place : str, default=None
        The file where a copy would be found.

    Raises
    ------
    OSError
        If it fails.
    """
    try:
        yield
    except OSError as error:
        copied = "" if place is None else f"copy it to {place!r}, or "
        raise OSError(
            f"{source} cannot be downloaded ({error}). Without internet: fetch {url} on another "
            f"machine; {copied}pass the file, weights='path/to/{url.rpartition('/')[2]}'."
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
    head : str or None
        Name of the last layer; None: all weights have to fit.
    source : str
        What to call the weights in an error.

    Raises
    ------
    ValueError
        If names or shapes are not those of the network; they are listed side by side, and nothing
        is loaded.
    """
    expected = network.state_dict()
    of_head = set() if head is None else {f"{head}.weight", f"{head}.bias"}
    if of_head and _has_other_outputs(state.get(f"{head}.weight"), expected[f"{head}.weight"]):
        state = {name: tensor for name, tensor in state.items() if name not in of_head}
    what = f"{source} are not weights of {type(network).__name__}"
    if head is None:
        what += ", and with head=None all of them have to fit"
    refuse_misfits(state, expected, of_head, what)
    # torch keeps the versions of layers in its own dict
    complete = network.state_dict()
    complete.update(state)
    network.load_state_dict(complete)


def refuse_misfits(state, expected, optional, what):
    """Raise if tensors are not those of a network.

    Parameters
    ----------
    state, expected : dict of str to Tensor
        Learned weights, and the state dict of the network.
    optional : collection of str
        Names that may be missing.
    what : str
        How the error begins.

    Raises
    ------
    ValueError
        If names or shapes differ, with a table of them.
    """
    # old files do not count the batches that a normalization has seen
    missing = [n for n in expected if n not in {*state, *optional} and "num_batches" not in n]
    excess = [n for n in state if n not in expected]
    unlike = [n for n in expected if n in state and not _has_shape(expected[n], state[n].shape)]
    if missing or excess or unlike:
        table = _side_by_side(state, expected, missing, excess, unlike)
        advice = _advice_on_prefix(state, expected)
        raise ValueError(f"{what}: {_listed(missing, excess, unlike)}.{advice}\n{table}")


def _advice_on_prefix(state, expected):
    """Return what to write if names have a prefix too many, that of `nn.DataParallel` say."""
    first, dot, _ = next(iter(state), "").partition(".")
    prefix = first + dot
    without = {name.removeprefix(prefix) for name in state if name.startswith(prefix)}
    if not dot or len(without) < len(state) or not without & {*expected}:
        return ""
    return (
        f' Each name begins with "{prefix}": save {{name.removeprefix("{prefix}"): tensor for '
        "name, tensor in torch.load(path).items()}."
    )


def _read_safetensors(path):
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path!r} is no safetensors file, or a broken one: {error}") from error


def _has_other_outputs(found, expected):
    if found is None or nn.parameter.is_lazy(expected):
        return found is None
    return len(found) != len(expected) and found.shape[1:] == expected.shape[1:]


def _has_shape(tensor, shape):
    # lazy layers take any
    return nn.parameter.is_lazy(tensor) or tensor.shape == shape


def _listed(missing, excess, unlike):
    found = {"lack": missing, "have in excess": excess, "have in other shapes": unlike}
    return "; ".join(f"they {how} {_some(names)}" for how, names in found.items() if names)


def _some(names):
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _side_by_side(state, expected, missing, excess, unlike):
    """Return a table of the tensors that do not fit, those of equal shapes in one row first."""
    rows, left, alone = [(name, name) for name in unlike], list(excess), []
    for ours in missing:
        theirs = next((n for n in left if _has_shape(expected[ours], state[n].shape)), None)
        if theirs is None:
            alone.append(ours)
        else:
            left.remove(theirs)
            rows.append((theirs, ours))
    rows += zip_longest(left, alone)
    lines = [("in the weights", "in the network")]
    for theirs, ours in rows[:_MOST_ROWS]:
        lines.append((_described(theirs, state), _described(ours, expected)))
    if len(rows) > _MOST_ROWS:
        lines.append((f"... {len(rows) - _MOST_ROWS} more", ""))
    width = max(len(left) for left, _ in lines)
    return "\n".join(f"  {left:{width}}  {right}".rstrip() for left, right in lines)


def _described(name, tensors):
    if name is None:
        return "-"
    tensor = tensors[name]
    return name if nn.parameter.is_lazy(tensor) else f"{name} {tuple(tensor.shape)}"

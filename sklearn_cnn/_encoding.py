"""Values as plain containers of numbers, text and tensors, which need no code to be read."""

import functools
import inspect
import os

import numpy as np
import torch
import torchvision
from torch import nn

from sklearn_cnn.architectures import ConvNet, Finetuned, ResNet, TorchvisionModel
from sklearn_cnn.training.augmentation import Augmentation

_PLAIN = (type(None), bool, int, float, str)

# Objects that are their class and the parameters of its constructor.
_OBJECTS = {
    kind.__name__: kind for kind in (Augmentation, ConvNet, Finetuned, ResNet, TorchvisionModel)
}

# Where torch keeps classes that may be parameters.
_ROOMS = {"torch.nn": nn, "torch.optim": torch.optim}

# What marks a dict that stands for something else.
_KIND = "__kind__"


def encode(value):
    """Return a value as plain containers.

    Parameters
    ----------
    value : object
        Numbers, text, tensors, arrays, architectures and augmentations of this package, losses
        and optimizers of torch, and containers of them.

    Returns
    -------
    object
        What `torch.load` reads with `weights_only=True`.

    Raises
    ------
    TypeError
        If there is something else in it.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, np.generic):
        return encode(value.item())
    if isinstance(value, np.ndarray):
        return _encode_array(value)
    if isinstance(value, dict):
        return {encode(name): encode(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple, range)):
        entries = [encode(entry) for entry in value]
        return tuple(entries) if isinstance(value, tuple) else entries
    return _encode_object(value)


def decode(value):
    """Return what `encode` was given."""
    if isinstance(value, dict) and _KIND in value:
        return _DECODERS[value[_KIND]](value)
    if isinstance(value, dict):
        return {name: decode(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(decode(entry) for entry in value)
    return value


def _encode_object(value):
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, torch.device):
        return {_KIND: "device", "name": str(value)}
    if isinstance(value, torchvision.models.WeightsEnum):
        return {_KIND: "weights", "name": str(value)}
    if type(value) in _OBJECTS.values():
        parameters = encode(value.get_params(deep=False))
        return {_KIND: "object", "name": type(value).__name__, "parameters": parameters}
    if isinstance(value, functools.partial):
        parts = [encode(part) for part in (value.func, value.args, value.keywords)]
        return {_KIND: "partial", "parts": parts}
    if inspect.isclass(value):
        return {_KIND: "class", **_place(value)}
    if isinstance(value, nn.modules.loss._Loss):
        # torch's losses keep the arguments of their constructors under the same names
        names = set(inspect.signature(type(value)).parameters) - {"size_average", "reduce"}
        arguments = {name: encode(getattr(value, name)) for name in sorted(names)}
        return {_KIND: "loss", "class": encode(type(value)), "arguments": arguments}
    raise TypeError(f"{value!r} cannot be saved without code.")


def _place(kind):
    """Return where a class of torch is found."""
    name = kind.__name__
    for room, module in _ROOMS.items():
        if getattr(module, name, None) is kind:
            return {"room": room, "name": name}
    raise TypeError(f"{kind!r} cannot be saved without code.")


def _encode_array(array):
    if array.dtype.kind == "O":
        return {_KIND: "objects", "shape": array.shape, "entries": encode(array.ravel().tolist())}
    if array.dtype.kind not in "biufcSUmM":
        raise TypeError(f"An array of dtype {array.dtype} cannot be saved.")
    data = torch.frombuffer(bytearray(array.tobytes()) or bytearray(1), dtype=torch.uint8)
    return {_KIND: "array", "dtype": array.dtype.str, "shape": array.shape, "bytes": data}


def _decode_objects(value):
    array = np.empty(len(value["entries"]), dtype=object)
    array[:] = decode(value["entries"])
    return array.reshape(value["shape"])


def _decode_array(value):
    count = int(np.prod(value["shape"]))
    data = value["bytes"].numpy().tobytes()
    return np.frombuffer(data, np.dtype(value["dtype"]), count).reshape(value["shape"]).copy()


def _decode_partial(value):
    function, arguments, keywords = (decode(part) for part in value["parts"])
    return functools.partial(function, *arguments, **keywords)


_DECODERS = {
    "array": _decode_array,
    "objects": _decode_objects,
    "partial": _decode_partial,
    "device": lambda value: torch.device(value["name"]),
    "weights": lambda value: torchvision.models.get_weight(value["name"]),
    "class": lambda value: getattr(_ROOMS[value["room"]], value["name"]),
    "loss": lambda value: decode(value["class"])(**decode(value["arguments"])),
    "object": lambda value: _OBJECTS[value["name"]](**decode(value["parameters"])),
}

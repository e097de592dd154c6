"""Parameters of estimators as plain values of JSON, and back, by tables that are closed.

Numbers, text, None and lists are themselves; everything else is an object of one entry, whose key
says what it stands for. No name in a file is looked up but in a table here.
"""

import functools
import inspect
import math
import os
import re
from collections.abc import Callable
from enum import Enum

import numpy as np
import torch
from torch import nn

from sklearn_cnn._compat import validate_parameter_constraints
from sklearn_cnn.architectures import (
    Architecture,
    ConvNet,
    Finetuned,
    ResNet,
    TimmModel,
    TorchvisionModel,
    UNet,
)
from sklearn_cnn.architectures._torchvision import all_torchvision_names, torchvision_models
from sklearn_cnn.augmentation import Augmentation
from sklearn_cnn.persistence._checks import (
    WHOLE_NUMBERS,
    boolean,
    dict_of,
    integer,
    list_of,
    number,
    one_of,
    optional,
    shown,
    text,
)

# Objects that are their class and the parameters of its constructor.
_OBJECTS = {
    kind.__name__: kind
    for kind in (Augmentation, ConvNet, Finetuned, ResNet, TimmModel, TorchvisionModel, UNet)
}

_OPTIMIZERS = {
    name: getattr(torch.optim, name)
    for name in (
        "ASGD",
        "Adadelta",
        "Adafactor",
        "Adagrad",
        "Adam",
        "AdamW",
        "Adamax",
        "NAdam",
        "RAdam",
        "RMSprop",
        "Rprop",
        "SGD",
    )
    # Adafactor came with torch 2.5
    if hasattr(torch.optim, name)
}

# What parameters that scikit-learn's table knows as callable may be, but for names and None.
_KINDS_OF_PARAMETERS: dict[str, tuple[type, ...]] = {
    "architecture": (Architecture,),
    "augmentation": (Augmentation,),
    "optimizer": (torch.optim.Optimizer, functools.partial),
    "loss": (nn.Module,),
    "scoring": (),
}

# torch's losses on logits or numbers, with those arguments of theirs that are kept.
_LOSSES: dict[str, tuple[type[nn.Module], tuple[str, ...]]] = {
    "CrossEntropyLoss": (nn.CrossEntropyLoss, ("weight", "ignore_index", "label_smoothing")),
    "MultiMarginLoss": (nn.MultiMarginLoss, ("p", "margin", "weight")),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss, ("weight", "pos_weight")),
    "MultiLabelSoftMarginLoss": (nn.MultiLabelSoftMarginLoss, ("weight",)),
    "MSELoss": (nn.MSELoss, ()),
    "L1Loss": (nn.L1Loss, ()),
    "SmoothL1Loss": (nn.SmoothL1Loss, ("beta",)),
    "HuberLoss": (nn.HuberLoss, ("delta",)),
}
_REDUCTIONS = ("mean", "sum", "none")

_DEVICE = re.compile(r"(auto|cpu|cuda|mps)(:[0-9]{1,3})?")
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_DEEPEST = 20

# Bytes that an array may take: `<U1000000` asks for 4 MB a label.
_LARGEST_ARRAY = 2**24
_ARRAY_DTYPE = re.compile(
    r"[<>|=]?(?:[biu][1248]|f[248]|[US][0-9]{1,7}|[mM]8\[[0-9]{0,6}[a-zA-Z]{1,2}\]|O)"
)


def encode(value):
    """Return a value as JSON holds it.

    Parameters
    ----------
    value : object
        Numbers, text, arrays, architectures and augmentations of this package, losses and
        optimizers of torch, and containers of them.

    Returns
    -------
    object
        None, bool, int, float, str, or lists and dicts of those.

    Raises
    ------
    TypeError
        If there is something else in it.
    """
    if value is None or type(value) in (bool, str):
        return value
    if type(value) is int and value in WHOLE_NUMBERS:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, np.generic):
        return encode(value.item())
    if isinstance(value, (list, range)):
        return [encode(entry) for entry in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(entry) for entry in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(entry)] for key, entry in value.items()]}
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return _encode_array(value)
    if isinstance(value, os.PathLike):
        return encode(os.fspath(value))
    return _encode_object(value)


def decode(value, name, depth=0):
    """Return what `encode` was given.

    Parameters
    ----------
    value : object
        Out of a file that anyone may have written.
    name : str
        What to call it in an error.

    Raises
    ------
    ValueError
        If `encode` does not write such a value.
    """
    if depth > _DEEPEST:
        raise ValueError(f"{name} is nested more than {_DEEPEST} levels deep")
    if isinstance(value, list):
        return [decode(entry, f"{name}[{i}]", depth + 1) for i, entry in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise ValueError(f"{name} is an object of {len(value)} entries, and not of one")
    [(kind, content)] = value.items()
    name = f"{name}.{kind}"
    if kind in _LEAVES:
        return _LEAVES[kind](content, name)
    if kind in _BRANCHES:
        return _BRANCHES[kind](content, name, depth + 1)
    raise ValueError(f"{name} is of a kind that this sklearn_cnn does not know")


def encode_architecture(architecture):
    """Return an architecture of this package's; a TypeError if there is other code in it."""
    return _encode_object(architecture)


def encode_parameters(parameters):
    """Return those parameters that plain values can hold, and how the others are spelled."""
    kept, lost = {}, {}
    for name, value in parameters.items():
        try:
            encoded = encode(value)
            decode(encoded, name)
            kept[name] = encoded
        # an object of torch's with values inside that no file may ask for
        except (TypeError, ValueError):
            lost[name] = " ".join(repr(value).split())
    return kept, lost


def decode_estimator_parameters(values, name, known):
    """Return parameters of an estimator; those that may be objects are of the right kind."""
    parameters = decode_parameters(values, name, known)
    if parameters.get("memory") is not None:
        raise ValueError(f"{name}.memory names a folder, which no reader may write into")
    for key in _KINDS_OF_PARAMETERS.keys() & parameters.keys():
        value = parameters[key]
        if not (value is None or isinstance(value, (str, *_KINDS_OF_PARAMETERS[key]))):
            is_class = isinstance(value, type) and issubclass(value, _KINDS_OF_PARAMETERS[key])
            if not is_class:
                raise ValueError(f"{name}.{key} is {shown(value)}, which does not belong there")
    return parameters


def decode_parameters(values, name, known, depth=0):
    """Return parameters, all of which are among the known names."""
    return dict_of(values, name, known, decode, depth)


def _encode_object(value):
    if isinstance(value, torch.device):
        return {"device": str(value)}
    if isinstance(value, Enum):
        return {"weights": str(value)}
    if type(value) in _OBJECTS.values():
        parameters = value.get_params(deep=False)
        return {type(value).__name__: {name: encode(v) for name, v in parameters.items()}}
    if isinstance(value, functools.partial) and not value.args:
        return {"partial": [encode(value.func), encode(value.keywords)]}
    if isinstance(value, type):
        name = value.__name__
        if _OPTIMIZERS.get(name) is value:
            return {"optimizer": name}
        if _LOSS_CLASSES.get(name) is value:
            return {"loss_class": name}
    for name, (loss, arguments) in _LOSSES.items():
        if type(value) is loss:
            # torch's losses keep the arguments of their constructors under the same names
            of_loss = {argument: getattr(value, argument) for argument in arguments}
            return {"loss": [name, encode({**of_loss, "reduction": value.reduction})]}
    raise TypeError(f"{value!r} cannot be saved without code.")


def _encode_array(value):
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
    kind = "tensor" if isinstance(value, torch.Tensor) else "array"
    dtype = array.dtype.str
    if not _ARRAY_DTYPE.fullmatch(dtype) or array.nbytes > _LARGEST_ARRAY:
        raise TypeError(f"An array of {array.nbytes} bytes, dtype {array.dtype}, cannot be saved.")
    if array.dtype.kind in "mM":
        array = array.astype(np.int64)
    entries = array.ravel().tolist()
    if array.dtype.kind == "S":
        entries = [entry.decode("latin-1") for entry in entries]
    return {kind: [dtype, list(array.shape), [_encode_scalar(entry) for entry in entries]]}


def _encode_scalar(value):
    if not isinstance(value, (bool, int, float, str, type(None), np.generic)):
        raise TypeError(f"{value!r} in an array cannot be saved without code.")
    return encode(value)


def decode_array(value, name):
    """Return the one array of its kind in a file, which may hold text."""
    if not isinstance(value, dict) or value.keys() != {"array"}:
        raise ValueError(f"{name} is no array")
    return _decode_array(value["array"], f"{name}.array", 0, with_text=True)


def _decode_array(content, name, depth, with_text=False):
    dtype, shape, entries = _parts(content, name, 3)
    if not _ARRAY_DTYPE.fullmatch(text(dtype, name)):
        raise ValueError(f"{name} is of dtype {shown(dtype)}, which no array of a model has")
    shape = list_of(shape, name, integer, 0, _LARGEST_ARRAY)
    entries = list_of(entries, name, decode, depth)
    try:
        dtype = np.dtype(dtype)
        if dtype.kind in "US" and not with_text:
            # each could ask for the largest size with a few bytes
            raise ValueError("parameters hold text in lists")
        if dtype.itemsize * len(entries) > _LARGEST_ARRAY:
            raise ValueError("it is too large")
        return _filled(dtype, entries).reshape(shape)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{name} holds no array of {dtype} ({error})") from error


def _filled(dtype, entries):
    """Return an array of one dimension; an error if an entry changes by becoming one of it."""
    kinds = {"b": (bool,), "i": (int,), "u": (int,), "f": (int, float), "m": (int,), "M": (int,)}
    allowed = kinds.get(dtype.kind, (str,))
    if dtype.kind == "O":
        allowed = (bool, int, float, str, type(None))
    if not all(type(entry) in allowed for entry in entries):
        raise ValueError(f"its entries are not all of {[kind.__name__ for kind in allowed]}")
    if dtype.kind == "S":
        entries = [entry.encode("latin-1") for entry in entries]
    if dtype.kind in "mM":
        return np.array(entries, dtype=np.int64).astype(dtype)
    array = np.empty(len(entries), dtype=dtype)
    array[:] = entries
    return array


def _decode_tensor(content, name, depth):
    array = _decode_array(content, name, depth)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} holds no numbers")
    return torch.from_numpy(array)


def _decode_tuple(content, name, depth):
    return tuple(list_of(content, name, decode, depth))


def _decode_dict(content, name, depth):
    pairs = list_of(content, name, _parts, 2)
    keys = [decode(key, name, depth) for key, _ in pairs]
    if not all(isinstance(key, (bool, int, float, str, type(None))) for key in keys):
        raise ValueError(f"{name} has keys that are neither numbers nor text")
    return {
        key: decode(entry, f"{name}[{shown(key)}]", depth)
        for key, (_, entry) in zip(keys, pairs, strict=True)
    }


def _decode_weights(content, name):
    members = _torchvision_weights()
    return members[one_of(content, name, members)]


@functools.cache
def _torchvision_weights():
    return {
        str(member): member
        for model in all_torchvision_names()
        for member in torchvision_models().get_model_weights(model)
    }


def _decode_device(content, name):
    if not _DEVICE.fullmatch(text(content, name)):
        raise ValueError(f"{name} is {shown(content)}, which is no device")
    return torch.device(content)


def _decode_loss(content, name, depth):
    loss, arguments = _parts(content, name, 2)
    kind, known = _LOSSES[one_of(loss, name, _LOSSES)]
    arguments = decode(arguments, name, depth)
    if not isinstance(arguments, dict) or set(arguments) != {*known, "reduction"}:
        raise ValueError(f"{name}: the arguments of {loss} are not {[*known, 'reduction']}")
    for argument, value in arguments.items():
        _LOSS_ARGUMENTS[argument](value, f"{name}.{argument}")
    try:
        return kind(**arguments)
    except ValueError as error:
        raise ValueError(f"{name} is no {loss} ({error})") from error


def _check_weight(value, name):
    if value is None:
        return
    if not isinstance(value, torch.Tensor) or value.ndim > 1 or not value.isfinite().all():
        raise ValueError(f"{name} is no tensor of finite weights")


_LOSS_ARGUMENTS = {
    "weight": _check_weight,
    "pos_weight": _check_weight,
    "ignore_index": lambda value, name: integer(value, name, -(2**31), 2**31),
    "label_smoothing": lambda value, name: number(value, name, 0, 1),
    "p": lambda value, name: integer(value, name, 1, 2),
    "margin": number,
    "beta": lambda value, name: number(value, name, 0),
    "delta": lambda value, name: number(value, name, 0),
    "reduction": lambda value, name: one_of(value, name, _REDUCTIONS),
}


def _decode_partial(content, name, depth):
    function, keywords = _parts(content, name, 2)
    optimizer, keywords = decode(function, name, depth), decode(keywords, name, depth)
    is_optimizer = any(optimizer is kind for kind in _OPTIMIZERS.values())
    if not is_optimizer or not isinstance(keywords, dict):
        raise ValueError(f"{name} is no optimizer with arguments")
    known = inspect.signature(optimizer).parameters
    for key, value in keywords.items():
        one_of(key, f"{name}: an argument", known.keys() - {"params"})
        _check_optimizer_argument(value, f"{name}.{key}", known[key].default)
    made = functools.partial(optimizer, **keywords)
    try:
        made([torch.zeros(1)])
    # how torch refuses numbers that are not in its range, or flags that do not go together
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{name} is no {optimizer.__name__} ({error})") from error
    return made


def _check_optimizer_argument(value, name, default):
    """Raise unless a value is of the kind of the default: numbers, a flag, or one of no value."""
    if isinstance(default, tuple):
        if not isinstance(value, (tuple, list)) or len(value) != len(default):
            raise ValueError(f"{name} does not hold {len(default)} numbers")
        list_of(list(value), name, optional, number)
    elif isinstance(default, bool) or (default is None and value is not None):
        # what torch leaves open by None are flags
        boolean(value, name)
    elif default is not None:
        number(value, name)


def _decode_object(kind, content, name, depth):
    parameters = decode_parameters(content, name, kind._get_param_names(), depth)
    try:
        built = kind(**parameters)
        validate_parameter_constraints(
            {k: v for k, v in kind._parameter_constraints.items() if k in parameters},
            parameters,
            kind.__name__,
        )
    # a parameter that has no default may be missing
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no {kind.__name__} ({error})") from error
    if kind is Finetuned and not isinstance(built.source, str):
        raise ValueError(f"{name} has a source that is no path")
    return built


def _parts(content, name, n):
    """Return a list of n entries."""
    if not isinstance(content, list) or len(content) != n:
        raise ValueError(f"{name} is no list of {n} entries")
    return content


_LOSS_CLASSES = {name: kind for name, (kind, _) in _LOSSES.items()}

# What holds no other values.
_LEAVES: dict[str, Callable] = {
    "float": lambda content, name: _NOT_FINITE[one_of(content, name, _NOT_FINITE)],
    "device": _decode_device,
    "weights": _decode_weights,
    "optimizer": lambda content, name: _OPTIMIZERS[one_of(content, name, _OPTIMIZERS)],
    "loss_class": lambda content, name: _LOSS_CLASSES[one_of(content, name, _LOSS_CLASSES)],
}

# What does, and so may be nested.
_BRANCHES: dict[str, Callable] = {
    "tuple": _decode_tuple,
    "dict": _decode_dict,
    "array": _decode_array,
    "tensor": _decode_tensor,
    "partial": _decode_partial,
    "loss": _decode_loss,
    **{name: functools.partial(_decode_object, kind) for name, kind in _OBJECTS.items()},
}

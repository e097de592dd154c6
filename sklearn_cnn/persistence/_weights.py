"""Weights of a network and state of an optimizer: taken from a file only where they fit."""

import copy
import math
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.utils import skip_init
from torch.overrides import TorchFunctionMode

from sklearn_cnn.persistence._checks import Record, list_of, number, one_of, shown
from sklearn_cnn.training.optimizers import make_optimizer

# What torch's optimizers keep for a parameter.
_OPTIMIZER_STATE = {
    "acc_delta",
    "ax",
    "col_var",
    "exp_avg",
    "exp_avg_sq",
    "exp_inf",
    "max_exp_avg_sq",
    "momentum_buffer",
    "prev",
    "row_var",
    "square_avg",
    "grad_avg",
    "step_size",
    "sum",
    "variance",
}
# What they keep one number of. Fused steps read as many of the others as there are weights, from
# wherever such a tensor lies.
_SCALARS = {"eta", "mu", "mu_product", "step"}
# Of a group of parameters: what is not among the optimizer's own arguments, or moves.
_GROUP = ("lr", "initial_lr", "lr_ratio", "weight_decay")

# Functions by which layers ask for the memory of their parameters.
_ALLOCATIONS = (torch.empty, torch.zeros, torch.ones, torch.eye, torch.rand, torch.randn)
# Tensors of a layer that are no part of its state: BatchNorm's counter before it is a buffer, say.
_ALLOCATIONS_A_TENSOR = 4


class _NoMemory(TorchFunctionMode):
    """Makes the tensors of layers on the device "meta", where they have a shape alone."""

    def __init__(self, most):
        super().__init__()
        self._left = most

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in _ALLOCATIONS:
            self._left -= 1
            if self._left < 0:
                raise ValueError("its architecture has more layers than the file has weights")
            kwargs = {**kwargs, "device": "meta"}
        return function(*args, **kwargs)


@contextmanager
def layers_without_memory(n_tensors):
    """Build layers inside that take no memory, and no more than a file of so many tensors fills."""
    try:
        with _NoMemory(_ALLOCATIONS_A_TENSOR * n_tensors), torch.no_grad():
            yield
    # how torch refuses sizes that it cannot count
    except (TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(f"its architecture cannot be built ({error})") from error


def check_output_shape(module, image_shape, output_shape):
    """Raise unless a module maps images of (H, W, C) to outputs; nothing but shapes is computed."""
    height, width, channels = image_shape
    shapes_only = copy.deepcopy(module).to("meta")
    try:
        image = torch.empty((1, channels, height, width), device="meta")
        with torch.no_grad():
            shape = tuple(shapes_only(image).shape)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ValueError(f"its network cannot take images of {image_shape} ({error})") from error
    if shape != (1, *output_shape):
        raise ValueError(f"its network has outputs of shape {shape}, and not {(1, *output_shape)}")


def check_weights(weights, expected):
    """Raise unless weights are finite, and of the names, shapes and dtypes that are expected.

    Parameters
    ----------
    weights, expected : dict of str to Tensor
        State dicts; of `expected` the values do not count.
    """
    missing, unknown = expected.keys() - weights.keys(), weights.keys() - expected.keys()
    if missing or unknown:
        raise ValueError(
            "its weights are not those of the architecture: "
            f"{len(missing)} are missing {sorted(missing)[:3]}, {len(unknown)} are unknown "
            f"{sorted(unknown)[:3]}"
        )
    for name, tensor in weights.items():
        wanted = expected[name]
        if (tensor.shape, tensor.dtype) != (wanted.shape, wanted.dtype):
            raise ValueError(
                f"its weights are not those of the architecture: {name} is {tensor.dtype} of "
                f"{tuple(tensor.shape)}, and not {wanted.dtype} of {tuple(wanted.shape)}"
            )
    check_values(weights)


def check_values(weights):
    """Raise if a number is not finite, or no variance or standard deviation can be such."""
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"{name} holds numbers that are not finite")
        if name.endswith("running_var") and (tensor < 0).any():
            raise ValueError(f"{name} holds negative variances")
        if name == "standardize.std" and (tensor <= 0).any():
            raise ValueError(f"{name} holds standard deviations that are not positive")


def encode_optimizer(net):
    """Return the groups of a net's optimizer as plain values, and its state as tensors."""
    names = {parameter: name for name, parameter in net.module_.named_parameters()}
    groups = [
        {
            "parameters": [names[parameter] for parameter in group["params"]],
            **{key: float(group[key]) for key in _GROUP if key in group},
        }
        for group in net.optimizer_.param_groups
    ]
    state = {
        f"{names[parameter]}.{key}": torch.as_tensor(value).detach().cpu()
        for parameter, entries in net.optimizer_.state.items()
        for key, value in entries.items()
        if value is not None
    }
    return groups, state


def restore_optimizer(net, groups, state):
    """Load what `encode_optimizer` returned, after checks, into the optimizer of a net."""
    parameters = dict(net.module_.named_parameters())
    optimizer = net.optimizer_
    names: list[str] = []
    fresh, saved = [], []
    for i, entries in enumerate(groups):
        group = Record(entries, f"optimizer[{i}]")
        of_group = group.take("parameters", list_of, one_of, parameters)
        options = {key: group.take(key, number, 0) for key in _GROUP if key in entries}
        group.end()
        places = range(len(names), len(names) + len(of_group))
        names += of_group
        fresh.append({**optimizer.defaults, "params": [parameters[name] for name in of_group]})
        saved.append({**optimizer.defaults, **options, "params": list(places)})
    if not names or len(set(names)) < len(names):
        raise ValueError("its optimizer has no parameters, or one of them twice")
    position = {name: place for place, name in enumerate(names)}
    # torch checks the groups of a state against those that are there
    optimizer.param_groups = fresh
    by_parameter = _by_parameter(state, parameters, position)
    _check_kinds(by_parameter, [parameters[name] for name in names], _rehearsed_state(net))
    optimizer.load_state_dict({"state": by_parameter, "param_groups": saved})


def _by_parameter(state, parameters, position):
    """Return the state of each parameter, by the parameter's position."""
    found: dict[int, dict[str, torch.Tensor]] = {}
    for full_name, tensor in state.items():
        name, _, key = full_name.rpartition(".")
        if name not in position or key not in _OPTIMIZER_STATE | _SCALARS:
            raise ValueError(f"its optimizer has an unknown state {shown(full_name)}")
        parameter = parameters[name]
        fits = tensor.shape == (() if key in _SCALARS else parameter.shape)
        if not fits and not (key in ("row_var", "col_var") and tensor.numel() < parameter.numel()):
            raise ValueError(f"its optimizer has a state {full_name} of another shape")
        if not tensor.is_floating_point() or not math.isfinite(tensor.double().abs().sum()):
            raise ValueError(f"its optimizer has a state {full_name} that is not finite")
        if key not in _SCALARS and fits:
            # torch's fused steps walk over both in the order of their memory
            tensor = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
        found.setdefault(position[name], {})[key] = tensor
    return found


def _rehearsed_state(net):
    """Return what the optimizer of a net keeps for a matrix and for a vector, after one step."""
    layer = skip_init(nn.Linear, 2, 2, dtype=torch.float32)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
        parameter.grad = torch.zeros_like(parameter)
    optimizer = make_optimizer(net.optimizer, layer, net.lr, net.weight_decay)
    try:
        optimizer.step()
    # torch asserts what some optimizers need of their arguments
    except (AssertionError, RuntimeError, ValueError, OverflowError) as error:
        raise ValueError(f"its optimizer cannot take a step ({error})") from error
    return [
        {key for key, value in optimizer.state[parameter].items() if value is not None}
        for parameter in (layer.weight, layer.bias)
    ]


def _check_kinds(found, parameters, expected):
    """Raise unless the state of each parameter that has stepped is what its optimizer keeps."""
    of_matrix, of_vector = expected
    for place, entries in found.items():
        keys = of_matrix if parameters[place].ndim > 1 else of_vector
        if entries.keys() != keys:
            raise ValueError(
                f"its optimizer has the states {sorted(entries)} for a parameter, and not "
                f"{sorted(keys)}"
            )

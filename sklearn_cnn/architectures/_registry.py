"""Names for architectures, and what may stand for one in `architecture=`."""

import functools
import inspect

from sklearn.base import clone
from torch import nn

from sklearn_cnn.architectures._base import Architecture
from sklearn_cnn.architectures._convnet import ConvNet
from sklearn_cnn.architectures._torch_module import TorchModule

_registry: dict[str, Architecture] = {"convnet": ConvNet()}


def available_architectures():
    """List the names that `architecture=` takes.

    Returns
    -------
    list of str
        In alphabetical order.
    """
    return sorted(_registry)


def register_architecture(name, architecture):
    """Give an architecture a name that `architecture=` takes from then on.

    Parameters
    ----------
    name : str
        The name.
    architecture : Architecture
        What the name stands for; a copy is handed out each time.

    Raises
    ------
    TypeError
        If `architecture` is no `Architecture` object.
    ValueError
        If the name is taken.
    """
    if not isinstance(architecture, Architecture):
        raise TypeError(
            "register_architecture takes an Architecture object, got "
            f"{type(architecture).__name__}. Wrap an nn.Module class in TorchModule."
        )
    if name in _registry:
        raise ValueError(f"There is an architecture named {name!r} already: {_registry[name]!r}.")
    _registry[name] = clone(architecture)


def as_architecture(spec):
    """Return the `Architecture` object that a value of `architecture=` stands for.

    Parameters
    ----------
    spec : str, Architecture, nn.Module class or callable
        A registered name, an object (returned as it is), or what `TorchModule` wraps.

    Returns
    -------
    Architecture
        Ready to build.

    Raises
    ------
    ValueError
        If no architecture has that name.
    TypeError
        If `spec` is none of these.
    """
    if isinstance(spec, Architecture):
        return spec
    if isinstance(spec, str):
        if spec not in _registry:
            raise ValueError(
                f"There is no architecture named {spec!r}; "
                f"the names are {available_architectures()}."
            )
        return clone(_registry[spec])
    if isinstance(spec, nn.Module):
        raise TypeError(
            f"architecture got an instance of {type(spec).__name__}. Pass its class instead, or "
            "TorchModule(cls, ...) with the arguments of its constructor, so that every fit "
            "starts from fresh weights."
        )
    if inspect.isclass(spec) and issubclass(spec, Architecture):
        raise TypeError(
            f"architecture got the class {spec.__name__}. Pass an object: {spec.__name__}()."
        )
    if inspect.isclass(spec) or inspect.isroutine(spec) or isinstance(spec, functools.partial):
        return TorchModule(spec)
    raise TypeError(
        "architecture must be a name, an Architecture, an nn.Module class or a function that "
        f"returns an nn.Module, got {spec!r}."
    )

"""Names for architectures, and what may stand for one in `architecture=`."""

import functools
import inspect

from sklearn.base import clone
from torch import nn

from sklearn_cnn.architectures._base import Architecture
from sklearn_cnn.architectures._convnet import ConvNet
from sklearn_cnn.architectures._resnet import ResNet
from sklearn_cnn.architectures._torch_module import TorchModule
from sklearn_cnn.architectures._torchvision import TorchvisionModel, all_torchvision_names
from sklearn_cnn.architectures._unet import UNet
from sklearn_cnn.runtime.suggestions import did_you_mean

_BUILT_IN = {"convnet": ConvNet(), "resnet": ResNet(), "unet": UNet()}
_registry: dict[str, Architecture] = dict(_BUILT_IN)


def available_architectures():
    """List the names that `architecture=` takes.

    Returns
    -------
    list of str
        In alphabetical order: what is registered, and torchvision's models for classification and
        segmentation, such as "resnet18", which stands for `TorchvisionModel("resnet18")`.
    """
    return sorted({*_registry, *all_torchvision_names()})


def register_architecture(name, architecture):
    """Give an architecture a name that `architecture=` takes from then on, in this process.

    An estimator that is sent to a worker process, or pickled, takes the object along in place
    of the name. A name alone, as in the grid of a search with `n_jobs=2`, means nothing there:
    write objects into the grid.

    Parameters
    ----------
    name : str
        The name.
    architecture : Architecture
        What the name stands for; a copy is handed out each time.

    Raises
    ------
    TypeError
        If `name` is no str, or `architecture` no `Architecture` object.
    ValueError
        If the name is empty or taken.
    """
    if not isinstance(name, str):
        raise TypeError(
            f"register_architecture takes a name first, a str, got {type(name).__name__}. Write "
            "register_architecture('mine', ConvNet())."
        )
    if not name:
        raise ValueError("register_architecture got an empty name.")
    if not isinstance(architecture, Architecture):
        raise TypeError(
            "register_architecture takes an Architecture object, got "
            f"{type(architecture).__name__}. Wrap an nn.Module class in TorchModule."
        )
    if name in _registry or name in all_torchvision_names():
        raise ValueError(
            f"There is an architecture named {name!r} already: {as_architecture(name)!r}."
        )
    _registry[name] = clone(architecture)


def own_architectures():
    """Return what was registered in this process, by name."""
    return {name: own for name, own in _registry.items() if name not in _BUILT_IN}


def without_own_name(spec):
    """Return a value of `architecture=` as other processes understand it: an own name's object."""
    is_own = isinstance(spec, str) and spec in own_architectures()
    return as_architecture(spec) if is_own else spec


def as_architecture(spec, parameter="architecture"):
    """Return the `Architecture` object that a value of `architecture=` stands for.

    Parameters
    ----------
    spec : str, Architecture, nn.Module, nn.Module class or callable
        A name out of `available_architectures`, an object (returned as it is), or what
        `TorchModule` wraps.
    parameter : str, default="architecture"
        What errors call the parameter.

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
        if spec in _registry:
            return clone(_registry[spec])
        if spec in all_torchvision_names():
            return TorchvisionModel(spec)
        question = did_you_mean(spec, available_architectures())
        raise ValueError(
            f"There is no architecture named {spec!r}.{question} The names are those of "
            "architectures.available_architectures(), such as 'convnet' and 'resnet18'. "
            "What register_architecture adds is known in the process that called it alone: pass "
            "others, such as the workers of a search, the object."
        )
    if inspect.isclass(spec) and issubclass(spec, Architecture):
        raise TypeError(
            f"{parameter} got the class {spec.__name__}. Pass an object: {spec.__name__}()."
        )
    is_factory = (
        inspect.isclass(spec) or inspect.isroutine(spec) or isinstance(spec, functools.partial)
    )
    if is_factory or isinstance(spec, nn.Module):
        return TorchModule(spec)
    advice = (
        " Wrap an object that can be called in a function that names what it needs: "
        "lambda in_channels, num_classes: build(in_channels, num_classes)."
    )
    raise TypeError(
        f"{parameter} must be a name, an Architecture, an nn.Module, its class or a function "
        f"that returns one, got {spec!r}.{advice if callable(spec) else ''}"
    )

"""The user's own `nn.Module`, its class or a factory as an architecture."""

import copy
import functools
import inspect

from sklearn.base import clone
from torch import nn

from sklearn_cnn.architectures._base import Architecture

# What a constructor may call the facts of the data that we pass to it.
_FACT_NAMES = {
    "in_channels": "in_channels",
    "num_classes": "n_outputs",
    "n_outputs": "n_outputs",
    "image_size": "image_size",
    "image_shape": "image_shape",
}
_WHAT_IS_PASSED = (
    "Passed are, by name, whichever of in_channels, num_classes (or n_outputs), image_size and "
    "image_shape it names, and the parameters that are set, as in TorchModule(Net, width=8). If it "
    "calls them otherwise, wrap it in a function: "
    "lambda in_channels, num_classes: Net(in_channels, num_classes)."
)
_ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class TorchModule(Architecture):
    """The user's own torch module as an architecture: its class, a function, or an instance.

    A constructor is passed whichever of `in_channels`, `num_classes` (or `n_outputs`),
    `image_size` (height, width) and `image_shape` (height, width, channels) it names, and
    `params`; `**kwargs` name none of them. Its output must be logits of shape (n, n_outputs).

    An instance is copied in each fit and never trained itself: each fit starts from the
    weights that it has, and parts whose parameters have `requires_grad` off do not learn.

    Parameters
    ----------
    module : type, callable or torch.nn.Module
        A subclass of `torch.nn.Module`, a function or a `functools.partial` that returns a
        module, or a module.
    **params : dict
        Arguments of the constructor; an instance has none. They are parameters of this
        object, so that `architecture__<name>` works in a search.

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_cnn.architectures import TorchModule
    >>> class Net(nn.Sequential):
    ...     def __init__(self, in_channels, num_classes, width=8):
    ...         super().__init__(
    ...             nn.Conv2d(in_channels, width, 3), nn.AdaptiveAvgPool2d(1),
    ...             nn.Flatten(), nn.Linear(width, num_classes))
    >>> print(TorchModule(Net, width=4).set_params(width=16))
    TorchModule(Net, width=16)
    """

    def __init__(self, module, /, **params):
        self.module = module
        self.params = params

    def get_params(self, deep=True):
        """Get the arguments of the module's constructor.

        Parameters
        ----------
        deep : bool, default=True
            Whether to return the arguments, which is what can be searched over. Otherwise what
            this object was made of, its `module` and `params`, which is what `repr` of an
            estimator shows; an argument may itself be named so.

        Returns
        -------
        dict
            Name to value; of the arguments, the constructor's own defaults included.
        """
        if not deep:
            return {"module": self.module, "params": self.params}
        return {**_defaults(self.module), **self.params}

    def set_params(self, **params):
        """Set arguments of the module's constructor.

        Parameters
        ----------
        **params : dict
            Name to value.

        Returns
        -------
        TorchModule
            This object.

        Raises
        ------
        ValueError
            If the constructor has no such argument.
        """
        for name in params:
            self._check_name(name)
        self.params = {**self.params, **params}
        return self

    def resolve(self):
        """Check what the constructor is passed, before any image is opened.

        Returns
        -------
        TorchModule
            This object.

        Raises
        ------
        ValueError
            If the constructor has no such argument as `params` names.
        TypeError
            If the module is none, or its constructor needs what it is not passed.
        """
        self._check_module()
        for name in self.params:
            self._check_name(name)
        self._check_arguments()
        return self

    def build(self, in_channels, image_size, n_outputs):
        """Call the constructor with what it asks for, or copy the instance.

        Parameters
        ----------
        in_channels : int
            Number of channels of an image.
        image_size : tuple of (int, int)
            Height and width in pixels.
        n_outputs : int
            Number of outputs.

        Returns
        -------
        torch.nn.Module
            Maps images of shape (n, in_channels, height, width) to logits of shape
            (n, n_outputs).

        Raises
        ------
        ValueError
            If the constructor has no such argument as `params` names.
        TypeError
            If the constructor needs what it is not passed, or does not return an `nn.Module`.
        """
        self.resolve()
        if isinstance(self.module, nn.Module):
            # the images of the first check are on the CPU
            return copy.deepcopy(self.module).cpu()
        facts = {
            "in_channels": in_channels,
            "n_outputs": n_outputs,
            "image_size": tuple(image_size),
        }
        facts["image_shape"] = (*image_size, in_channels)
        module = self._call({name: facts[fact] for name, fact in self._facts_asked_for().items()})
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"architecture={self} must build a torch.nn.Module, got {type(module).__name__}."
            )
        return module

    def _facts_asked_for(self):
        """Return the facts that the constructor names, by its names for them."""
        # what a partial fixes stays fixed
        names = _named(self.module).keys() - getattr(self.module, "keywords", {}).keys()
        return {name: fact for name, fact in _FACT_NAMES.items() if name in names}

    def _check_arguments(self):
        passed = {*self._facts_asked_for(), *self.params}
        missing = [
            f"{p.name} (by position)" if p.kind is p.POSITIONAL_ONLY else p.name
            for p in _arguments(self.module)
            if p.default is p.empty and p.kind not in _ANY and p.name not in passed
        ]
        if missing:
            raise TypeError(
                f"{_name(self.module)} needs {', '.join(missing)}, which it is not passed. "
                f"{_WHAT_IS_PASSED}"
            )

    def _call(self, facts):
        arguments = {**facts, **self.params}
        try:
            return self.module(**arguments)
        except (TypeError, KeyError, IndexError) as error:
            # what stands behind *args and **kwargs is not known before
            if not any(p.kind in _ANY for p in _arguments(self.module)):
                raise
            raise TypeError(
                f"{_name(self.module)} is passed {', '.join(arguments) or 'nothing'} and raises "
                f"{error!r}. {_WHAT_IS_PASSED}"
            ) from error

    def _check_module(self):
        if isinstance(self.module, nn.Module) or callable(self.module):
            return
        is_spec = isinstance(self.module, (str, Architecture))
        advice = f" Write architecture={self.module!r} instead." if is_spec else ""
        raise TypeError(
            "TorchModule takes an nn.Module, its class or a function that returns one, got "
            f"{self.module!r}.{advice}"
        )

    def _check_name(self, name):
        names = _named(self.module)
        takes_any = any(p.kind is p.VAR_KEYWORD for p in _arguments(self.module))
        if name not in names and not takes_any:
            raise ValueError(
                f"Invalid parameter {name!r} for {_name(self.module)}. "
                f"Valid parameters are: {sorted(names)!r}."
            )

    def __sklearn_clone__(self):
        return TorchModule(self.module, **clone(self.params, safe=False))

    # not __repr__: where lines are full, the printer of scikit-learn takes one that is shorter than
    # its own for that of the pair (name, value), and an estimator shows the pair
    def __str__(self):
        arguments = "".join(f", {name}={value!r}" for name, value in self.params.items())
        return f"{type(self).__name__}({_name(self.module)}{arguments})"


def _arguments(module):
    if isinstance(module, nn.Module):
        return []
    try:
        return list(inspect.signature(module).parameters.values())
    except (TypeError, ValueError):  # no callable, or one of Python's own
        return []


def _named(module):
    """Return the arguments that can be passed by name."""
    others = (*_ANY, inspect.Parameter.POSITIONAL_ONLY)
    return {p.name: p for p in _arguments(module) if p.kind not in others}


def _defaults(module):
    return {n: p.default for n, p in _named(module).items() if p.default is not p.empty}


def _name(module):
    if isinstance(module, functools.partial):
        return f"partial({_name(module.func)})"
    if isinstance(module, nn.Module):
        return f"<{type(module).__name__} instance>"
    return getattr(module, "__name__", repr(module))

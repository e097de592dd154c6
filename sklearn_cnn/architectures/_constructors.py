"""Constructors of the user's modules: which arguments they have, and what they are passed."""

import functools
import inspect

from torch import nn

# What a constructor may call the facts of the data that we pass to it.
_FACT_NAMES = {
    "in_channels": "in_channels",
    "in_chans": "in_channels",
    "num_classes": "n_outputs",
    "n_outputs": "n_outputs",
    "image_size": "image_size",
    "image_shape": "image_shape",
}
_WHAT_IS_PASSED = (
    "Passed are, by name, whichever of in_channels, num_classes (or in_chans, n_outputs), "
    "image_size and image_shape it names, and the parameters that are set, as in "
    "TorchModule(Net, width=8). If it calls them otherwise, wrap it in a function: "
    "lambda in_channels, num_classes: Net(in_channels, num_classes)."
)
# What the functions of these libraries take as keywords that they do not name.
_TAKEN_AS_KEYWORDS = {"timm": ("in_chans", "num_classes"), "torchvision": ("num_classes",)}
_ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def arguments_of(module):
    """Return the arguments of a constructor; none of an instance."""
    if isinstance(module, nn.Module):
        return []
    try:
        return list(inspect.signature(module).parameters.values())
    except (TypeError, ValueError):  # no callable, or one of Python's own
        return []


def named_arguments(module):
    """Return the arguments that can be passed by name."""
    others = (*_ANY, inspect.Parameter.POSITIONAL_ONLY)
    return {p.name: p for p in arguments_of(module) if p.kind not in others}


def defaults_of(module):
    """Return what those arguments are by default that have one."""
    return {n: p.default for n, p in named_arguments(module).items() if p.default is not p.empty}


def name_of(module):
    """Return what to call a constructor or an instance."""
    if isinstance(module, functools.partial):
        return f"partial({name_of(module.func)})"
    if isinstance(module, nn.Module):
        return f"<{type(module).__name__} instance>"
    return getattr(module, "__name__", repr(module))


def check_arguments(module, params):
    """Raise a TypeError if a constructor needs what it is not passed."""
    passed = {*_facts_asked_for(module), *params}
    missing = [
        f"{p.name} (by position)" if p.kind is p.POSITIONAL_ONLY else p.name
        for p in arguments_of(module)
        if p.default is p.empty and p.kind not in _ANY and p.name not in passed
    ]
    if missing:
        raise TypeError(
            f"{name_of(module)} needs {', '.join(missing)}, which it is not passed. "
            f"{_WHAT_IS_PASSED}"
        )


def construct(module, facts, params):
    """Call a constructor with those facts of the data that it names, and with parameters."""
    asked = {name: facts[fact] for name, fact in _facts_asked_for(module).items()}
    arguments = {**asked, **params}
    try:
        return module(**arguments)
    except (TypeError, KeyError, IndexError) as error:
        # what stands behind *args and **kwargs is not known before
        if not any(p.kind in _ANY for p in arguments_of(module)):
            raise
        raise TypeError(
            f"{name_of(module)} is passed {', '.join(arguments) or 'nothing'} and raises "
            f"{error!r}. {_WHAT_IS_PASSED}"
        ) from error


def _facts_asked_for(module):
    """Return the facts that a constructor names, by its names for them."""
    # what a partial fixes stays fixed
    fixed = getattr(module, "keywords", {}).keys()
    names = {*named_arguments(module), *_taken_as_keywords(module)} - fixed
    return {name: fact for name, fact in _FACT_NAMES.items() if name in names}


def _taken_as_keywords(module):
    """Return the facts that a function of timm or torchvision takes, and does not name."""
    while isinstance(module, functools.partial):
        module = module.func
    library = getattr(module, "__module__", None) or ""
    takes_any = any(p.kind is p.VAR_KEYWORD for p in arguments_of(module))
    return _TAKEN_AS_KEYWORDS.get(library.partition(".")[0], ()) if takes_any else ()


def what_is_passed(module):
    """Return a sentence that says which facts of the data a constructor is passed."""
    passed = ", ".join(_facts_asked_for(module)) or "neither in_channels nor num_classes"
    return (
        f"It is passed {passed}: of in_channels (or in_chans), num_classes (or n_outputs), "
        "image_size and image_shape those that it names."
    )

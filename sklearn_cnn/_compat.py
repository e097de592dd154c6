"""Private names of scikit-learn and torch, and what only some of their versions have.

The one place where they are reached: whoever raises the floor of a version, or follows one that
moved a name, looks here alone.
"""

import inspect
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from sklearn.utils import _safe_indexing as safe_indexing  # noqa: F401
from sklearn.utils._param_validation import (  # noqa: F401
    HasMethods,
    Interval,
    Options,
    RealNotInt,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils._repr_html.estimator import _VisualBlock as VisualBlock  # noqa: F401
from sklearn.utils.validation import _check_sample_weight as check_sample_weight  # noqa: F401
from sklearn.utils.validation import _num_samples as num_samples  # noqa: F401
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm  # noqa: F401
from torch.nn.modules.dropout import _DropoutNd as AnyDropout  # noqa: F401

try:
    # scikit-learn from 1.9 on has callbacks
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in for scikit-learn's class of the same name; nobody listens."""

        def _init_callback_context(self, max_subtasks):
            return _NoContext()

    class _NoContext:
        def subcontext(self, task_name):
            return self

        def call_on_fit_task_begin(self, **data):
            return self

        def call_on_fit_task_end(self, **data):
            return False

    def with_callbacks(method):
        """Return the method as it is."""
        return method


def begin_callbacks(estimator, n_epochs):
    """Return the context that tells scikit-learn's callbacks of an estimator's fit."""
    return estimator._init_callback_context(max_subtasks=n_epochs)


def has_callbacks(estimator):
    """Say whether `set_callbacks` gave an estimator callbacks of scikit-learn's."""
    return bool(getattr(estimator, "_skl_callbacks", ()))


def place_in_search(estimator):
    """Return which fit of a search an estimator is in, as text; "" if nothing says so.

    scikit-learn's tasks say so where they reach: through searches and pipelines, from 1.9 on.
    """
    task = getattr(estimator, "_callback_fit_ctx", None)
    while task is not None:
        if getattr(task, "source_task_name", None) == "candidate-split-evaluation":
            n_fits = task.parent.max_subtasks
            of_all = "" if n_fits is None else f" of {n_fits}"
            return f"{task.source_estimator_name}, fit {task.task_id + 1}{of_all}"
        task = getattr(task, "parent", None)
    return ""


class ScorerTraits(NamedTuple):
    """What a scorer is called, which methods of an estimator it asks, and whether it weighs.

    Parameters
    ----------
    name : str
    response_methods : tuple of str
        One of them has to be there; none where a function of the user's does not say.
    takes_weights : bool
        Whether it takes `sample_weight`.
    """

    name: str
    response_methods: tuple[str, ...]
    takes_weights: bool


def scorer_traits(scorer):
    """Return the `ScorerTraits` of a scorer of scikit-learn's, or of a user's function."""
    function: Any = getattr(scorer, "_score_func", scorer)
    methods = getattr(scorer, "_response_method", ())
    return ScorerTraits(
        name=getattr(function, "__name__", type(function).__name__),
        response_methods=(methods,) if isinstance(methods, str) else tuple(methods),
        takes_weights="sample_weight" in inspect.signature(function).parameters,
    )


def cpu_capabilities():
    """Return which instructions for bfloat16 a CPU has; no version of torch says so publicly."""
    questions = {
        "avx512_bf16": "_is_avx512_bf16_supported",
        "amx_tile": "_is_amx_tile_supported",
    }
    return [name for name, ask in questions.items() if getattr(torch.cpu, ask, lambda: False)()]


def image_operators():
    """Return torchvision's decoders, which it registers with torch when it is imported."""
    import torchvision.io  # noqa: F401 (takes a second, and only image files need it)

    return torch.ops.image


def compilations_unlimited(is_compiled):
    """Return a context in which `torch.compile` compiles every network that it is given.

    torch gives up on a function that it has compiled eight times, and runs it as it is from then
    on; networks share the function `forward` of `nn.Sequential`, so that the ninth architecture of
    a search, or the fifth if the last batch is smaller, was trained uncompiled.

    Parameters
    ----------
    is_compiled : bool
        Whether training is compiled. Otherwise nothing is imported, nor changed.

    Returns
    -------
    context manager
    """
    if not is_compiled:
        return nullcontext()
    from torch._dynamo import config

    # cache_size_limit until torch 2.6
    names = ("recompile_limit", "accumulated_recompile_limit")
    if not hasattr(config, names[0]):
        names = ("cache_size_limit", "accumulated_cache_size_limit")
    return config.patch(dict.fromkeys(names, 1_000_000))


def replace_state_dict_hook(layer, hook):
    """Have a layer call a hook on its state dict, in place of the one that was set so before.

    torch's own register counts its keys up from 0, and equal modules would differ by them.
    """
    layer._state_dict_hooks[-1] = hook

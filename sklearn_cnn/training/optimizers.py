"""Optimizers by name and class, and how the learning rate moves."""

import functools
import inspect
import math
from collections.abc import Callable

import torch

from sklearn_cnn.runtime.equality import is_same

OPTIMIZERS: dict[str, Callable] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": functools.partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}

_OF_SGD = 5e-4

# Optimizers whose steps need what training here does not give them.
_UNFIT = {
    torch.optim.LBFGS: "computes the loss of a batch several times a step",
    torch.optim.SparseAdam: "takes sparse gradients only, and those of convolutions are dense",
}

# Arguments of an optimizer that fix how it runs, and so leave no room for `fused`.
_EXCLUDE_FUSED = {"fused", "foreach", "differentiable"}
# Has a fused form, but none for CUDA, where a model of a CPU may go on.
_NOT_FUSED = torch.optim.Adagrad

# One cycle: share of the steps that warm up, and the rate that it starts from.
_WARM_UP, _START = 0.25, 0.04


def resolve_weight_decay(weight_decay, optimizer, recommended):
    """Return the weight decay for an optimizer.

    Parameters
    ----------
    weight_decay : float or "auto"
        "auto" follows how the optimizer applies it: AdamW shrinks weights by `lr` times it,
        apart from the gradient, and takes what is recommended; SGD adds 5e-4 to the gradient.
    optimizer : str, class or functools.partial
        See `make_optimizer`.
    recommended : float
        For AdamW.

    Returns
    -------
    float
    """
    if weight_decay != "auto":
        return weight_decay
    kind = OPTIMIZERS[optimizer] if isinstance(optimizer, str) else optimizer
    decays = {torch.optim.AdamW: recommended, torch.optim.SGD: _OF_SGD}
    return decays.get(_without_arguments(kind), 0.0)


def make_optimizer(optimizer, module, lr, weight_decay, lr_ratios=None, *, with_frozen=False):
    """Return a torch optimizer of those parameters of a module that learn, now or later.

    Parameters
    ----------
    optimizer : str, class or functools.partial
        A key of `OPTIMIZERS`, or what makes an optimizer of parameter groups.
    module : nn.Module
    lr : float
        Largest learning rate.
    weight_decay : float
    lr_ratios : dict of str to float, default=None
    with_frozen : bool, default=False
        See `parameter_groups`.

    Returns
    -------
    torch.optim.Optimizer

    Raises
    ------
    ValueError
        If the optimizer cannot take such steps, or fixes what the estimator has a parameter for,
        or no parameter of the module learns.
    """
    if isinstance(optimizer, str):
        optimizer = OPTIMIZERS[optimizer]
    kind = _without_arguments(optimizer)
    _check_fit(kind)
    arguments = {"lr": lr}
    chosen = set(getattr(optimizer, "keywords", {}))
    for name in ("lr", "weight_decay"):
        if name in chosen:
            raise ValueError(
                f"optimizer={optimizer!r} fixes {name}, which is a parameter of the estimator: "
                f"write {name}={optimizer.keywords[name]!r} there."
            )
    can_fuse = "fused" in inspect.signature(optimizer).parameters and kind is not _NOT_FUSED
    if can_fuse and not chosen & _EXCLUDE_FUSED:
        # one pass over the parameters instead of several
        arguments["fused"] = True
    groups = parameter_groups(module, lr, weight_decay, lr_ratios, with_frozen=with_frozen)
    if not groups:
        raise ValueError(
            "The network has no parameter that learns: it has none at all, or all have "
            "requires_grad off. Write requires_grad_(True) for the parts that shall learn."
        )
    return optimizer(groups, **arguments)


def _without_arguments(optimizer):
    """Return the class or function inside a partial."""
    return getattr(optimizer, "func", optimizer)


def _check_fit(kind):
    for unfit, reason in _UNFIT.items():
        if inspect.isclass(kind) and issubclass(kind, unfit):
            raise ValueError(
                f"optimizer={kind.__name__} does not fit here: it {reason}. Use one of "
                f"{sorted(OPTIMIZERS)}, or another class out of torch.optim."
            )


def parameter_groups(module, lr, weight_decay, lr_ratios=None, *, with_frozen=False):
    """Return the parameters of a module as groups of an optimizer.

    Weight decay is for the weights of layers alone: biases and normalizations have one
    dimension and are left free, as is usual since [1]_.

    Parameters
    ----------
    module : nn.Module
    lr, weight_decay : float
    lr_ratios : dict of str to float, default=None
        What `lr` is multiplied by for the parameters of these names; a group keeps the
        factor as `lr_ratio`.
    with_frozen : bool, default=False
        Whether frozen parameters are among them. An optimizer passes over what has no gradient,
        and a scheduler moves the rate of all groups, so that they can be unfrozen at any time.

    Returns
    -------
    list of dict
        First those that learn at the full rate.

    References
    ----------
    .. [1] T. He et al., "Bag of tricks for image classification with convolutional neural
       networks", CVPR 2019.
    """
    lr_ratios = lr_ratios or {}
    trained = [(n, p) for n, p in module.named_parameters() if p.requires_grad or with_frozen]
    groups = []
    for ratio in sorted({lr_ratios.get(name, 1.0) for name, _ in trained}, reverse=True):
        alike = [p for name, p in trained if lr_ratios.get(name, 1.0) == ratio]
        of_group = {"lr": lr * ratio, "lr_ratio": ratio}
        # without decay there is nothing to tell apart, and each group costs a pass of its own
        decayed = {
            "params": [p for p in alike if weight_decay and p.ndim > 1],
            "weight_decay": weight_decay,
        }
        free = {
            "params": [p for p in alike if not weight_decay or p.ndim <= 1],
            "weight_decay": 0.0,
        }
        groups += [{**group, **of_group} for group in (decayed, free) if group["params"]]
    return groups


def set_lr(net, lr):
    """Set the learning rate of all groups of a net's optimizer, each by its ratio."""
    for group in net.optimizer_.param_groups:
        group["lr"] = lr * group["lr_ratio"]


def set_first_lr(net):
    """Set the rate that more training begins with."""
    set_lr(net, net.lr)
    # what a scheduler of torch's multiplies, where it begins after other epochs
    for group in net.optimizer_.param_groups:
        group["initial_lr"] = group["lr"]


def carry_over_state(last, net):
    """Give the optimizer of a net what that of the last one has gathered, if it is of its kind.

    Parameters
    ----------
    last, net : Net
        Of modules of the same parameters.
    """
    if not is_same(last.optimizer, net.optimizer):
        return
    parameters = dict(net.module_.named_parameters())
    for name, old in last.module_.named_parameters():
        state = last.optimizer_.state.get(old)
        if state:
            net.optimizer_.state[parameters[name]] = {
                key: value.detach().clone().to(parameters[name].device)
                if isinstance(value, torch.Tensor)
                else value
                for key, value in state.items()
            }


def one_cycle(progress):
    """Return the factor of a cosine warm-up and decay [1]_.

    Parameters
    ----------
    progress : float
        Share of the steps that are done, in [0, 1].

    References
    ----------
    .. [1] L. N. Smith, N. Topin, "Super-convergence: very fast training of neural networks
       using large learning rates", 2019.
    """
    if progress < _WARM_UP:
        return _START + (1 - _START) * _rise(progress / _WARM_UP)
    return 1 - _rise((progress - _WARM_UP) / (1 - _WARM_UP))


def cosine(progress):
    """Return the factor of a cosine decay from 1 to 0."""
    return 1 - _rise(progress)


def _rise(progress):
    return 0.5 * (1 - math.cos(math.pi * progress))


# None leaves the rate alone, so that a callback may move it
SCHEDULES = {"one_cycle": one_cycle, "cosine": cosine, "constant": None}

"""The last layer of a network: where it is, what takes its place, what learns beside it."""

from numbers import Integral, Real

import torch
from torch import nn

from sklearn_cnn._compat import Interval
from sklearn_cnn.architectures._base import Architecture
from sklearn_cnn.architectures._fine_tuning import FineTuning

# Parameters that every architecture with learned weights has.
FINE_TUNING_CONSTRAINTS: dict = {
    "freeze": ["boolean", list, tuple],
    "head_lr_ratio": [Interval(Real, 0, None, closed="neither")],
    "unfreeze_after": [Interval(Integral, 1, None, closed="left"), None],
}


def last_linear_name(module):
    """Return the name of the last Linear of a module.

    Raises
    ------
    ValueError
        If it has none.
    """
    names = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    if not names:
        raise ValueError(
            "transform returns the input of the network's last nn.Linear, and fine-tuning puts a "
            "new one in its place, but this network has none. Use an architecture that ends in one."
        )
    return names[-1]


def replace_head(network, n_outputs):
    """Put a Linear with fresh weights in the place of the last one; return its name."""
    name = last_linear_name(network)
    old = network.get_submodule(name)
    new = nn.Linear(old.in_features, n_outputs, bias=old.bias is not None)
    network.set_submodule(name, new)
    return name


def freeze_parts(network, freeze):
    """Turn off the gradients of parts of a network.

    Parameters
    ----------
    network : nn.Module
    freeze : bool or sequence of str
        True: all but the last Linear. Names: the submodules of these names.

    Raises
    ------
    ValueError
        If the network has no submodule of a name, or nothing is left to learn.
    """
    network.requires_grad_(True)
    if freeze is True:
        network.requires_grad_(False)
        network.get_submodule(last_linear_name(network)).requires_grad_(True)
        return
    check_parts(network, freeze)
    for name in freeze or ():
        network.get_submodule(name).requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ValueError(f"freeze={freeze!r} leaves nothing that could learn.")


def check_parts(network, freeze):
    """Raise a ValueError if `freeze=` names a part that a network does not have."""
    known = {name for name, _ in network.named_modules()}
    for name in freeze if isinstance(freeze, (list, tuple)) else ():
        if name not in known:
            names = [part for part, _ in network.named_children()]
            raise ValueError(
                f"freeze={freeze!r}: the network has no part named {name!r}. Its parts are "
                f"{names}, and their own parts in dotted form."
            )


class LearnedArchitecture(Architecture):
    """Base class of architectures that start from learned weights, with a last Linear of their own.

    Subclasses have the parameters of `FINE_TUNING_CONSTRAINTS`.
    """

    head_lr_ratio: float
    unfreeze_after: int | None

    def fine_tuning(self, network):
        """Return how the parts of the network differ in learning.

        Parameters
        ----------
        network : torch.nn.Module
            What `build` returned.

        Returns
        -------
        FineTuning
            Names of its parameters to ratios of the learning rate, and when frozen parts
            begin to learn.
        """
        head = last_linear_name(network) + "."
        names = [name for name, _ in network.named_parameters() if not name.startswith(head)]
        ratios = {} if self.head_lr_ratio == 1 else dict.fromkeys(names, 1 / self.head_lr_ratio)
        return FineTuning(ratios, self.unfreeze_after)


def check_unfreezing(freeze, unfreeze_after):
    """Refuse to unfreeze what is not frozen."""
    if unfreeze_after is not None and not freeze:
        raise ValueError(
            f"unfreeze_after={unfreeze_after} has no effect with freeze={freeze!r}. Write "
            "freeze=True, or leave unfreeze_after out."
        )


def as_stem_weight(weight, in_channels):
    """Return the weight of a first convolution for another number of channels.

    One channel gets the sum over the old ones, so that a gray image gives what the same image
    in equal colours gave. More channels take them in turn, scaled so that equal channels give
    the same sum.

    Parameters
    ----------
    weight : Tensor of shape (n_filters, n_channels, h, w)
    in_channels : int
    """
    n_channels = weight.shape[1]
    if in_channels == n_channels:
        return weight
    if in_channels == 1:
        return weight.sum(dim=1, keepdim=True)
    taken = torch.arange(in_channels) % n_channels
    return weight[:, taken] * (n_channels / in_channels)

"""The ends of a network: its last layer, its first convolution, and what takes their place."""

import inspect

import torch
from torch import nn

_MOST_CANDIDATES = 10


def last_linear_name(module):
    """Return the name of the last Linear of a module.

    Raises
    ------
    ValueError
        If it has none.
    """
    names = _linear_names(module)
    if not names:
        raise ValueError(
            "transform returns the input of the network's last nn.Linear, and fine-tuning puts a "
            "new one in its place, but this network has none. Use an architecture that ends in one."
        )
    return names[-1]


def last_layer_name(network):
    """Return the name of the last Linear; without one, of a convolution of 1 x 1 at the end.

    The end is the last layer with weights in the order of the constructor.

    Raises
    ------
    ValueError
        If there is neither, with the names of what could be the last layer instead.
    """
    linear = _linear_names(network)
    if linear:
        return linear[-1]
    named = network.named_modules()
    with_weights = [name for name, layer in named if [*layer.parameters(recurse=False)]]
    names = _candidates(network)
    if names and names[-1] == with_weights[-1]:
        return names[-1]
    kind = type(network).__name__
    advice = (
        f"what can be named is {names}" if names else "it needs an nn.Linear or such a nn.Conv2d"
    )
    raise ValueError(
        "The last layer, whose input transform returns and which fine-tuning tells apart, is the "
        "last nn.Linear, or an nn.Conv2d of 1 x 1 that the constructor makes last, but "
        f'{kind} has none. Name it, TorchModule({kind}, head="..."): {advice}.'
    )


def mean_of_outputs(outputs, name):
    """Return what a layer makes of images as (b, n_features): the mean over tokens or pixels.

    Maps are (b, C, H, W); of square ones it shows where the channels come last.
    """
    if not isinstance(outputs, torch.Tensor) or not 2 <= outputs.ndim <= 4:
        found = tuple(getattr(outputs, "shape", ())) or type(outputs).__name__
        raise ValueError(
            f"layer={name!r} returns {found}, and not maps (n, C, H, W), tokens (n, t, C) or "
            "features (n, C). Name another layer."
        )
    if outputs.ndim == 2:
        return outputs
    if outputs.ndim == 3:
        return outputs.mean(dim=1)
    _, first, second, last = outputs.shape
    return outputs.mean(dim=(1, 2) if first == second != last else (2, 3))


def check_head_name(network, name):
    """Raise unless a network has a layer of a name that can be its last one.

    Raises
    ------
    ValueError
        With the names of those that can: Linear layers and convolutions of 1 x 1.
    """
    layers = dict(network.named_modules())
    if not _can_be_head(layers.get(name)):
        found = "has no such layer" if name not in layers else f"has {layers[name]} there"
        raise ValueError(
            f"head={name!r} must name an nn.Linear, or an nn.Conv2d of 1 x 1, but "
            f"{type(network).__name__} {found}. {_what_can_be_replaced(network)}"
        )


def auto_head_name(network):
    """Return the name of the last Linear.

    Raises
    ------
    ValueError
        If there is none, with the names of what could be the head instead.
    """
    linear = _linear_names(network)
    if not linear:
        raise ValueError(
            'head="auto", which is meant with weights=, replaces the last nn.Linear, but '
            f"{type(network).__name__} has none. {_what_can_be_replaced(network)}"
        )
    return linear[-1]


def replace_head(network, n_outputs, name):
    """Put a layer of its kind with fresh weights in the place of the last one.

    Parameters
    ----------
    network : nn.Module
    n_outputs : int
    name : str
        Of a Linear, or of a convolution of 1 x 1.
    """
    old = network.get_submodule(name)
    n_inputs, has_bias = n_inputs_of_head(old), old.bias is not None
    if isinstance(old, nn.Linear):
        new: nn.Module = nn.Linear(n_inputs, n_outputs, bias=has_bias)
    else:
        new = nn.Conv2d(n_inputs, n_outputs, kernel_size=1, bias=has_bias)
    network.set_submodule(name, new)


def n_inputs_of_head(layer):
    """Return how many features a last layer sees."""
    return layer.weight.shape[1]


def n_outputs_of_head(layer):
    """Return how many outputs a last layer has."""
    return layer.weight.shape[0]


def mean_over_space(inputs, layer):
    """Return what a last layer sees as (b, n_features): the mean over tokens or pixels."""
    if isinstance(layer, nn.Linear):
        return inputs if inputs.ndim == 2 else inputs.flatten(1, -2).mean(dim=1)
    return inputs.mean(dim=(2, 3))


def freeze_parts(network, freeze, heads):
    """Turn off the gradients of parts of a network.

    Parameters
    ----------
    network : nn.Module
    freeze : bool or sequence of str
        True: all but the heads. Names: the submodules of these names.
    heads : sequence of str
        Names of the last layers.

    Raises
    ------
    ValueError
        If the network has no submodule of a name, or nothing is left to learn.
    """
    network.requires_grad_(True)
    if freeze is True:
        network.requires_grad_(False)
        for head in heads:
            network.get_submodule(head).requires_grad_(True)
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


def stem_name(network):
    """Return the name of the first convolution; None if there is none."""
    names = (name for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d))
    return next(names, None)


def with_stem_of(network, state):
    """Return a state dict whose first convolution is made for the channels of the network's."""
    stem = stem_name(network)
    weight = state.get(f"{stem}.weight")
    if stem is None or getattr(weight, "ndim", 0) != 4 or network.get_submodule(stem).groups != 1:
        return state
    in_channels = network.get_submodule(stem).in_channels
    return {**state, f"{stem}.weight": as_stem_weight(weight, in_channels)}


def replace_stem(network, in_channels):
    """Put a first convolution for another number of channels in the place of the old one."""
    name = stem_name(network)
    old = network.get_submodule(name)
    if old.in_channels == in_channels:
        return
    arguments = inspect.signature(nn.Conv2d).parameters
    same = {n: getattr(old, n) for n in arguments if n not in ("bias", "device", "dtype")}
    new = nn.Conv2d(**{**same, "in_channels": in_channels, "bias": old.bias is not None})
    network.set_submodule(name, new)


def adapt_stem(network, in_channels):
    """Make the first convolution one for another number of channels, with its weights adapted."""
    name = stem_name(network)
    stem = None if name is None else network.get_submodule(name)
    # the layer itself stays: its class may pad in a way of its own
    if stem is not None and stem.groups == 1 and stem.in_channels != in_channels:
        stem.weight = nn.Parameter(as_stem_weight(stem.weight.detach(), in_channels))
        stem.in_channels = in_channels


def _can_be_head(layer):
    is_pointwise = isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)
    return isinstance(layer, nn.Linear) or (is_pointwise and layer.groups == 1)


def _linear_names(network):
    return [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]


def _candidates(network):
    """Return the names of the last layers of a network that can be its head."""
    named = network.named_modules()
    return [name for name, layer in named if name and _can_be_head(layer)][-_MOST_CANDIDATES:]


def _what_can_be_replaced(network):
    names = _candidates(network)
    if not names:
        return "It has no layer that could be replaced: write head=None and fit its outputs to y."
    return f"Write head= with the name of its last layer; what can be replaced is {names}."

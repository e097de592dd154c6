"""The layer whose maps speak for a target: the last one that still says where."""

import math
from collections import Counter
from typing import NamedTuple

import torch
from torch import nn

_POOLING = (
    *(nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d, nn.FractionalMaxPool2d),
    *(nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
)
_ON_THE_LAST = (nn.Linear, nn.LayerNorm)
# Pixels of a side from which on maps say where, if the network has such: networks for photos end
# in 7 x 7, and small images leave 2 x 2 or 1 x 1 behind the last stage.
_SMALLEST_SIDE = 4
_MOST_NAMED = 20
_ELSE = 'Name one by layer=, or write method="integrated_gradients" or "occlusion".'


class _Call(NamedTuple):
    """That a layer was called, and what it returned.

    The size is that of the images, or None where channels come first in all of the network.
    """

    name: str
    layer: nn.Module
    output: torch.Tensor
    size: tuple | None

    @property
    def has_weights(self):
        return any(True for _ in self.layer.parameters(recurse=False))

    @property
    def are_channels_last(self):
        """Whether it returned maps (b, H, W, C), whose sides are to each other as the image's."""
        if self.output.ndim != 4 or self.size is None:
            return False
        _, first, second, third = self.output.shape
        aspect = math.log(self.size[0] / self.size[1])
        return abs(math.log(first / second) - aspect) < abs(math.log(second / third) - aspect)

    @property
    def are_tokens(self):
        return self.output.ndim == 3 or self.are_channels_last

    @property
    def are_maps(self):
        """Whether it returned maps (b, C, H, W)."""
        return self.output.ndim == 4 and not self.are_channels_last

    @property
    def side(self):
        """The longer side of maps."""
        return max(self.output.shape[2:])

    @property
    def says_where(self):
        return self.are_maps and self.side > 1 and not isinstance(self.layer, _POOLING)


def layer_of_maps(module, images, is_map, name=None):
    """Return the layer of a module whose maps say where something is.

    Parameters
    ----------
    module : nn.Module
        Of `standardize` and `network`; hooks are put on it, and taken off.
    images : Tensor of shape (b, C, H, W)
        What is sent through it.
    is_map : bool
        Whether it returns a value for each pixel. Then the layer is the last one of the smallest
        maps, which see most of the image; else it is the last one before pooling.
    name : str, default=None
        Of the layer, as `named_modules()` of the network has it. None: it is looked for.

    Returns
    -------
    nn.Module

    Raises
    ------
    ValueError
        If there is no such layer, or it returns no maps.
    TypeError
        If `name` is no text.
    """
    calls, outputs = _calls(module, images)
    if name is not None:
        return _named(module, calls, name)
    # of a layer that is called more than once it is not said which call is meant
    times = Counter(call.name for call in calls)
    calls = [call for call in calls if times[call.name] == 1]
    if is_map:
        return _last_of_the_smallest(calls)
    return _last_on_the_way(module, calls, images, outputs)


def _last_of_the_smallest(calls):
    # what follows from the last weights on is the answer itself
    head = max((at for at, call in enumerate(calls) if call.has_weights), default=0)
    places = [call for call in calls[:head] if call.says_where]
    if not places:
        _refuse()
    large = [call for call in places if call.side >= _SMALLEST_SIDE] or places
    smallest = min(call.side for call in large)
    return [call for call in large if call.side == smallest][-1].layer


def _last_on_the_way(module, calls, images, outputs):
    """Return the last layer that all of an image goes through, and not past it by another way."""
    small, shape = None, images.shape
    low, high = images.min().item(), images.max().item() + 1
    others = torch.linspace(low, high, images.numel(), device=images.device).reshape(shape)
    for call in reversed(calls):
        # of small maps the last are enough
        is_candidate = call.says_where and (small is None or call.side >= _SMALLEST_SIDE)
        if not (is_candidate or call.are_tokens):
            continue
        if not _decides(module, call, others, outputs):
            continue
        if call.are_tokens:
            if small is None:
                _refuse(f", but tokens, or maps whose channels come last ({call.name!r})")
            break
        if call.side >= _SMALLEST_SIDE:
            return call.layer
        small = call.layer
    if small is None:
        _refuse()
    return small


def _decides(module, call, others, outputs):
    """Say whether the output of a layer decides the network's, whatever other images are seen."""
    handle = call.layer.register_forward_hook(lambda *_: call.output.clone())
    try:
        with torch.no_grad():
            found = module(others)
    finally:
        handle.remove()
    size = outputs.abs().max().item()
    return torch.allclose(found, outputs, rtol=1e-4, atol=1e-5 * size)


def _refuse(instead=""):
    raise ValueError(
        "The network ends in no layer that returns maps, (n, C, H, W) of more than one pixel, "
        f"which hires_cam and grad_cam look at{instead}. {_ELSE}"
    )


def _calls(module, images):
    """Return the layers of a network in the order in which they return, and its outputs."""
    calls: list[_Call] = []

    def seen(name):
        def hook(layer, _inputs, output):
            if isinstance(output, torch.Tensor):
                # layers behind it may change it in place
                calls.append(_Call(name, layer, output.clone(), tuple(images.shape[2:])))

        return hook

    handles = [
        layer.register_forward_hook(seen(name))
        for name, layer in module.network.named_modules()
        if name
    ]
    try:
        with torch.no_grad():
            outputs = module(images)
    finally:
        for handle in handles:
            handle.remove()
    # what works on the last dimension of four has the channels there
    if not any(isinstance(c.layer, _ON_THE_LAST) and c.output.ndim == 4 for c in calls):
        calls = [call._replace(size=None) for call in calls]
    return calls, outputs


def _named(module, calls, name):
    if not isinstance(name, str):
        raise TypeError(
            "layer must be the name of a layer, as module_.network.named_modules() has it, got "
            f"an object of type {type(name).__name__}."
        )
    known = dict(module.network.named_modules())
    # as module_.named_modules() has it
    name = name if name in known else name.removeprefix("network.")
    names = [call.name for call in calls if call.are_maps]
    last = f"the last ones with maps are {names[-_MOST_NAMED:]}."
    if name not in known:
        raise ValueError(f"layer={name!r} is no layer of the network: {last}")
    call = next((call for call in reversed(calls) if call.name == name), None)
    if call is None or not call.are_maps:
        found = "no tensor" if call is None else f"the shape {tuple(call.output.shape)}"
        raise ValueError(
            f"layer={name!r} returns {found}, and not maps (n, C, H, W), which hires_cam and "
            f"grad_cam look at: {last} {_ELSE}"
        )
    return call.layer

"""The whole module that is trained: standardization of the pixels, then the network."""

import copy
import dataclasses
import itertools
from collections import OrderedDict
from contextlib import contextmanager
from threading import get_ident

import torch
from torch import nn

from sklearn_cnn._compat import AnyDropout, replace_state_dict_hook
from sklearn_cnn.architectures._heads import (
    last_linear_name,
    mean_of_outputs,
    mean_over_space,
)
from sklearn_cnn.architectures._logits import check_kind_of_output, check_logits
from sklearn_cnn.runtime.seeds import float32_by_default

_ON_PROBABILITIES = (nn.Softmax, nn.LogSoftmax, nn.Sigmoid, nn.LogSigmoid)


@float32_by_default()
def assemble(architecture, pixels, n_outputs, is_map=False):
    """Build the module that maps raw images to logits.

    Parameters
    ----------
    architecture : Architecture
    pixels : PixelStatistics
        Of the training images.
    n_outputs : int
    is_map : bool, default=False
        Whether there are that many for each pixel.

    Returns
    -------
    nn.Sequential
        Of `standardize` and `network`, in evaluation mode.

    Raises
    ------
    ValueError
        If the network cannot take the images, returns another shape, or probabilities.
    """
    check_kind_of_output(architecture, is_map)
    module = _build(architecture, pixels, n_outputs)
    shape = (n_outputs, *pixels.sample.shape[1:3]) if is_map else (n_outputs,)
    # lazy layers get their shape, and so can be laid out, in this first pass
    _check_output(module, architecture, pixels.sample[:2], shape)
    return in_channels_last(module.float())


@float32_by_default()
def assemble_trunk(architecture, pixels):
    """Build a module for its features alone: what its last layer returns does not matter.

    Parameters
    ----------
    architecture : Architecture
    pixels : PixelStatistics

    Returns
    -------
    nn.Sequential
        Of `standardize` and `network`, in evaluation mode.

    Raises
    ------
    ValueError
        If the network cannot take the images.
    """
    module = _build(architecture, pixels, n_outputs=1)
    _first_pass(module, architecture, pixels.sample[:2])
    return in_channels_last(module.float())


def _build(architecture, pixels, n_outputs):
    height, width, channels = pixels.sample.shape[1:]
    network = architecture.build(channels, (height, width), n_outputs)
    # the user's own may have named another dtype
    return as_module(architecture.standardization(pixels), network).float()


def in_channels_last(module):
    """Lay the weights of a module out as convolutions are fastest with, but in its state dict."""
    for layer in module.modules():
        # torch's own register counts its keys up from 0, and equal fits would differ by them
        replace_state_dict_hook(layer, _make_contiguous)
    return module.to(memory_format=torch.channels_last)


def _make_contiguous(_module, state, _prefix, _metadata):
    """Give a state dict the layout that safetensors and other programs expect of weights."""
    for name, value in state.items():
        # with keep_vars=True the parameters themselves are asked for
        if isinstance(value, torch.Tensor) and not isinstance(value, nn.Parameter):
            state[name] = value.contiguous()


def as_module(standardize, network):
    """Return the module of two parts, from raw images to logits, in evaluation mode."""
    return nn.Sequential(OrderedDict(standardize=standardize, network=network)).eval()


@torch.no_grad()
def initialize(architecture, module, pixels):
    """Let an architecture set what its network takes from the images before training.

    Parameters
    ----------
    architecture : Architecture
    module : nn.Sequential
        What `assemble` returned.
    pixels : PixelStatistics
        Of the training images.
    """
    architecture.initialize(
        module.network, lambda: module.standardize(pixels.sample.permute(0, 3, 1, 2))
    )


def fine_tuning_of(architecture, module):
    """Return the `FineTuning` of an assembled module, by the names of its parameters."""
    plan = architecture.fine_tuning(module.network)
    ratios = {f"network.{name}": ratio for name, ratio in plan.lr_ratios.items()}
    return dataclasses.replace(plan, lr_ratios=ratios)


def frozen_trunk(module, head, images):
    """Split a module whose last layer alone learns into what comes before that layer, and the rest.

    Dropout right before the layer belongs to the rest, and so does what follows it in a Sequential.

    Parameters
    ----------
    module : nn.Module
    head : str
        Name of the last layer.
    images : Tensor of shape (b, C, H, W)
        What tells whether the two together are the module.

    Returns
    -------
    trunk : callable
        Maps images of shape (b, C, H, W) to what the rest sees, as images again, of shape
        (b, h, w, c): features (b, c) as images of one pixel.
    rest : nn.Module
        Maps images of shape (b, c, h, w) to logits. Made of layers of the module itself.
    None
        In place of both, if nothing is frozen, more than the rest learns, or the module does more
        with the images than the two.
    """
    names = _from_layer_on(module, head)
    if not is_frozen_except(module, [module.get_submodule(name) for name in names]):
        return None
    twin = twin_of(module).eval()
    inputs = _InputsOf(twin, head)

    def trunk(images):
        return _as_images(inputs(images)[1])

    with torch.no_grad():
        with _results_of(twin, AnyDropout) as dropped:
            logits, features = inputs(images)
        if features.ndim not in (2, 4):
            return None
        # in evaluation mode dropout returns the memory that it was given
        before = [layer for layer, result in dropped if result.data_ptr() == features.data_ptr()]
        names = [name for name, layer in twin.named_modules() if layer in before] + names
        seen = _as_images(features).permute(0, 3, 1, 2)
        alike = _layers(twin, names, features.ndim)(seen)
    is_whole = alike.shape == logits.shape and torch.allclose(alike, logits, rtol=1e-3, atol=1e-4)
    return (trunk, _layers(module, names, features.ndim)) if is_whole else None


def is_frozen_except(module, parts):
    """Say whether parameters of a module are frozen, all but those of some parts of it."""
    inside = {id(parameter) for part in parts for parameter in part.parameters()}
    outside = [p for p in module.parameters() if id(p) not in inside]
    return len(outside) > 0 and not any(parameter.requires_grad for parameter in outside)


def _as_images(features):
    """Return maps (b, c, h, w) as images (b, h, w, c), features (b, c) as images of one pixel."""
    return features[:, None, None] if features.ndim == 2 else features.permute(0, 2, 3, 1)


def _layers(module, names, n_dimensions):
    """Return layers of a module in a row, from images of what enters them to logits."""
    flatten = [nn.Flatten()] if n_dimensions == 2 else []
    layers = [module.get_submodule(name) for name in names]
    return nn.Sequential(*flatten, *layers, nn.Flatten())


def _from_layer_on(module, name):
    """Return the names of a layer and of those behind it in its Sequential, if it is in one."""
    owner, _, own = name.rpartition(".")
    if not isinstance(module.get_submodule(owner), nn.Sequential) or not owner:
        return [name]
    siblings = [sibling for sibling, _ in module.get_submodule(owner).named_children()]
    return [f"{owner}.{sibling}" for sibling in siblings[siblings.index(own) :]]


def penultimate(module, head=None):
    """Return a module that maps images to the input of another module's last layer.

    Parameters
    ----------
    module : nn.Module
    head : str, default=None
        Name of that layer; None takes the last Linear.

    Returns
    -------
    nn.Module
        Maps images of shape (b, C, H, W) to features of shape (b, n_features), the mean over
        tokens or pixels where the layer sees them one by one. It shares the module's weights.
    """
    return _Penultimate(twin_of(module), last_linear_name(module) if head is None else head)


class _InputsOf(nn.Module):
    """Maps images to the outputs of a module, and the inputs of one of its layers."""

    def __init__(self, module, name):
        super().__init__()
        self.module, self.name, self._seen = module, name, _Seen()
        module.get_submodule(name).register_forward_pre_hook(self._seen)

    def forward(self, images):
        outputs = self.module(images)
        if get_ident() not in self._seen:
            raise ValueError(
                f"{self.name}, taken for the last layer, takes no part in predictions. Name the "
                'one that does: TorchModule(YourNetwork, head="..."); without a name it is the '
                "last nn.Linear in the order of the constructor, or a convolution of 1 x 1."
            )
        return outputs, self._seen.pop(get_ident())


class _Seen(dict):
    """A hook that keeps what enters a layer, a thread: what was exported may serve several."""

    def __call__(self, _layer, inputs):
        self[get_ident()] = inputs[0]


class _Penultimate(_InputsOf):
    def forward(self, images):
        _, inputs = super().forward(images)
        return mean_over_space(inputs, self.module.get_submodule(self.name))


def layer_outputs(module, name):
    """Return a callable that maps images to the outputs of a layer, pooled over space.

    Parameters
    ----------
    module : nn.Module
    name : str
        Of the layer.

    Returns
    -------
    callable
        Maps images of shape (b, C, H, W) to features of shape (b, n_features): the mean over
        the pixels of maps, or over tokens.
    """
    twin, seen = twin_of(module), []
    twin.get_submodule(name).register_forward_hook(lambda _, _inputs, output: seen.append(output))

    def features(images):
        seen.clear()
        twin(images)
        if not seen:
            raise ValueError(
                f"layer={name.removeprefix('network.')!r} holds layers, and is not called itself: "
                "name one of them."
            )
        return mean_of_outputs(seen[-1], name)

    return features


def twin_of(module):
    """Return a copy of a module's layers around the same tensors, to put hooks on.

    Other threads may be predicting with the module itself.
    """
    tensors = itertools.chain(module.parameters(), module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})


def last_linear(module):
    """Return the last Linear of a module.

    Raises
    ------
    ValueError
        If it has none.
    """
    return module.get_submodule(last_linear_name(module))


def head_name(architecture, module):
    """Return the name, in an assembled module, of the layer that `transform` shows the input of."""
    return f"network.{architecture.head_names(module.network)[-1]}"


def _check_output(module, architecture, images, shape):
    """Send two images through the module, before any work is done."""
    outputs, last = _first_pass(module, architecture, images)
    if last is not None:
        raise ValueError(
            f"{architecture} ends in {last}. A network must return logits, since the loss and "
            "predict_proba apply it themselves. Leave that layer out."
        )
    check_logits(outputs, len(images), shape, str(architecture))
    if architecture._needs_head:
        _check_head_answers(module, architecture, images)


def _check_head_answers(module, architecture, images):
    """Raise if the last layer answers nothing: learning it alone, or anew, would change none."""
    try:
        head = head_name(architecture, module)
    except ValueError:  # a module of the user's that is taken as it is
        return
    with torch.no_grad():
        _InputsOf(twin_of(module), head)(images.permute(0, 3, 1, 2))


def _first_pass(module, architecture, images):
    """Return what `_traced` returns for two images; a ValueError if the network cannot take them.

    timm asserts sizes.
    """
    shape = tuple(images.shape[1:])
    try:
        return _traced(module, images.permute(0, 3, 1, 2))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ValueError(
            f"{architecture} cannot take images of {shape[0]} x {shape[1]} x {shape[2]}: {error}"
            f"{architecture._remark}"
        ) from error


def _traced(module, images):
    """Return the outputs, and the name of the layer if they are probabilities out of one."""
    with torch.no_grad(), _results_of(module, _ON_PROBABILITIES) as results:
        outputs = module(images)
    names = [type(layer).__name__ for layer, result in results if result is outputs]
    if not names and _are_probabilities(outputs):
        names = ["a softmax"]
    return outputs, names[0] if names else None


@contextmanager
def _results_of(module, kinds):
    """Yield a list that comes to hold the layers of some kinds, as they are called, and results."""
    results = []
    handles = [
        layer.register_forward_hook(lambda layer, _, result: results.append((layer, result)))
        for layer in module.modules()
        if isinstance(layer, kinds)
    ]
    try:
        yield results
    finally:
        for handle in handles:
            handle.remove()


def _are_probabilities(outputs):
    if getattr(outputs, "ndim", 0) not in (2, 4) or outputs.shape[1] < 2 or (outputs < 0).any():
        return False
    total = outputs.sum(dim=1)
    return torch.allclose(total, torch.ones_like(total), atol=1e-4)

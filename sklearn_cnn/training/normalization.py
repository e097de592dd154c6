"""Batch normalization after few steps, and in batches of one image."""

from contextlib import contextmanager

import torch
from torch.nn.modules.batchnorm import _BatchNorm

# Steps after which the running averages follow the weights: from 40 on nothing was gained.
_ENOUGH_STEPS = 50
# Variances over fewer images are too often zero, which makes a deep network explode.
_FEWEST_IMAGES = 8


def needs_settling(n_steps, n_images):
    """Say whether batch normalization should be settled after some steps on some images."""
    return n_steps < _ENOUGH_STEPS and n_images >= _FEWEST_IMAGES


@torch.no_grad()
def settle_batch_norm(module, batches, autocast):
    """Recompute the averages that batch normalization predicts with, by a pass over the images.

    In training these averages follow each batch by a tenth only (torch's default momentum), while
    the first steps change weights fast: after ten steps they describe a network that is gone.
    The mean over all batches under the weights as they are is what [1]_ calls precise.

    Parameters
    ----------
    module : nn.Module
        In evaluation mode, before and after.
    batches : TrainingBatches
        The images that the module was trained on. Their own order is left as it is.
    autocast : context manager
        What the forward passes run under.

    References
    ----------
    .. [1] Y. Wu, J. Johnson, "Rethinking 'batch' in BatchNorm", 2021.
    """
    layers = [layer for layer in _trained(module) if layer.momentum is not None]
    kept = [(layer, layer.momentum, layer.num_batches_tracked.clone()) for layer in layers]
    if not layers:
        return
    for layer in layers:
        layer.reset_running_stats()
        # torch's word for the mean over all batches
        layer.momentum = None
        layer.train()
    try:
        with autocast:
            for images in batches.images():
                module(images)
    finally:
        for layer, momentum, n_batches in kept:
            layer.momentum = momentum
            layer.num_batches_tracked.copy_(n_batches)
            layer.eval()


@contextmanager
def batches_of_one_explained():
    """Say in the user's words why torch cannot normalize a batch of one small image.

    Raises
    ------
    ValueError
        In place of torch's, which speaks of channels.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ValueError(
            "batch_size=1 is too small for this architecture, whose batch normalization compares "
            "the images of a batch. Use batch_size=2 or more, or a network without it, such as "
            "ConvNet(norm=None)."
        ) from error


def _trained(module):
    """Return the batch normalizations that keep averages and are not frozen."""
    return [
        layer
        for layer in module.modules()
        if isinstance(layer, _BatchNorm)
        and layer.track_running_stats
        and any(parameter.requires_grad for parameter in layer.parameters())
    ]

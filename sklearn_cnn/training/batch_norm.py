"""Batch normalization after few steps, and in batches of one image."""

from contextlib import contextmanager
from itertools import islice

import torch
from torch.optim.swa_utils import update_bn

# Steps after which the running averages follow the weights: from 40 on nothing was gained.
_ENOUGH_STEPS = 50
# Variances over fewer images are too often zero, which makes a deep network explode.
_FEWEST_IMAGES = 8
# Batches that suffice where training had not seen all of them yet.
_FEWEST_BATCHES = 8


def update_batch_norm(module, batches, n_steps, autocast):
    """Compute the statistics that batch normalization predicts with anew, after few steps.

    In training they follow each batch by a tenth only (torch's default momentum), while the first
    steps change weights fast: after ten steps they describe a network that is gone. The mean over
    all batches under the weights as they are is precise batch norm [1]_. Networks of which a
    part is frozen keep the statistics that they came with.

    Parameters
    ----------
    module : nn.Module
    batches : TrainingBatches
        The images that the module was trained on. Their own order is left as it is.
    n_steps : int
        Steps of the training so far; from 50 on nothing is done.
    autocast : context manager
        What the forward passes run under.

    Returns
    -------
    dict of str to Tensor
        The buffers of the module as they were, for `restore_buffers`; empty if nothing was done.

    References
    ----------
    .. [1] Y. Wu, J. Johnson, "Rethinking 'batch' in BatchNorm", 2021.
    """
    is_frozen = any(not parameter.requires_grad for parameter in module.parameters())
    if n_steps >= _ENOUGH_STEPS or len(batches) < _FEWEST_IMAGES or is_frozen:
        return {}
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    with autocast:
        update_bn(islice(batches.images(), max(n_steps, _FEWEST_BATCHES)), module)
    return before


@torch.no_grad()
def restore_buffers(module, before):
    """Put the buffers of a module back, so that training goes on as if nobody had looked."""
    for name, buffer in before.items():
        module.get_buffer(name).copy_(buffer)


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

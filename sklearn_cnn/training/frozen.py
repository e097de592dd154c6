"""What a frozen trunk makes of the images, computed once."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import torch

from sklearn_cnn.architectures._assembly import frozen_trunk
from sklearn_cnn.runtime.memory import fits, free_memory
from sklearn_cnn.runtime.progress import image_bar
from sklearn_cnn.training.batches import TrainingBatches
from sklearn_cnn.training.feature_cache import cached
from sklearn_cnn.training.prediction import predict_outputs
from sklearn_cnn.training.samples import Samples


class Learner(NamedTuple):
    """A module, and the samples that it learns from and is scored on.

    Parameters
    ----------
    module : callable
        Maps images of shape (b, C, H, W) to logits.
    batches : TrainingBatches
    held_out : Samples or None
    """

    module: Callable
    batches: TrainingBatches
    held_out: Samples | None


def behind_trunk(net, whole, plan):
    """Return the layers behind a frozen trunk, and what the trunk makes of the images.

    Parameters
    ----------
    net : Net
    whole : Learner
        The whole module.
    plan : TrainingPlan

    Returns
    -------
    Learner or None
        None if the trunk learns or is random, the images change with each epoch, or what the trunk
        makes of them does not fit in memory.
    """
    module, batches, device = net.module_, whole.batches, torch.device(net.device)
    if plan.head is None or batches.augmentation is not None:
        return None
    first = batches.first_image().to(device).permute(0, 3, 1, 2)
    split = frozen_trunk(module, plan.head, first)
    if split is None:
        return None
    trunk, rest = split
    n_images = len(batches) + (0 if whole.held_out is None else len(whole.held_out))
    with torch.no_grad():
        if not fits(n_images * trunk(first).nbytes, free_memory()):
            return None
    trunk = _cached(trunk, module, rest, plan.memory, device, plan.prediction_precision)
    with image_bar(n_images, "Training: frozen layers", plan.verbose) as progress:

        def features(images):
            return predict_outputs(
                trunk, images, device, plan.prediction_precision, progress=progress
            )

        def seen(samples):
            return samples.with_images(features).on(device)

        held_out = None if whole.held_out is None else seen(whole.held_out)
        batches = dataclasses.replace(batches, samples=seen(batches.samples))
    return Learner(rest, batches, held_out)


def through_cache(module, head, images, memory, device, precision):
    """Return a module that looks up what its frozen trunk made of images when it was trained.

    Parameters
    ----------
    module : nn.Module
    head : str or None
        Name of the last layer, if parts of the module are frozen.
    images : Tensor or LazyImages of shape (n, H, W, C)
    memory : str, path or joblib.Memory
        See `feature_cache`.
    device : torch.device
    precision : {"bf16", "float32"}

    Returns
    -------
    callable
        Maps images of shape (b, C, H, W) to logits. The module itself, if it has no trunk that is
        frozen, or nothing is cached.
    """
    if head is None:
        return module
    first = images[:1].to(device).permute(0, 3, 1, 2)
    split = frozen_trunk(module, head, first)
    if split is None:
        return module
    trunk, rest = split
    trunk = _cached(trunk, module, rest, memory, device, precision, adds=False)
    return lambda images: rest(trunk(images).permute(0, 3, 1, 2))


def _cached(trunk, module, rest, memory, device, precision, adds=True):
    behind = set(rest.modules())
    layers = [(name, layer) for name, layer in module.named_modules() if layer not in behind]
    return cached(trunk, layers, memory, device.type, precision, adds=adds)

"""Outputs of a network for many images, batch by batch."""

from collections.abc import Callable

import numpy as np
import torch

from sklearn_cnn.architectures._logits import check_logits
from sklearn_cnn.runtime.device import (
    autocast,
    exact_convolutions,
    prediction_batch_size,
    prediction_multiple,
)
from sklearn_cnn.runtime.memory import freed_memory_kept
from sklearn_cnn.training.batches import read_ahead
from sklearn_cnn.training.residency import send

# Batches from which on a prediction gives the memory back that it took.
_MANY_BATCHES = 64


@torch.inference_mode()
def predict_outputs(
    module,
    images,
    device,
    precision="float32",
    shape=None,
    progress: Callable | None = None,
    watch: Callable | None = None,
    keep: Callable | None = None,
):
    """Return the outputs of a module for images, on the CPU.

    Parameters
    ----------
    module : callable
        Maps images of shape (b, C, H, W) to outputs of shape (b, ...).
    images : Tensor or LazyImages of shape (n, H, W, C)
    device : torch.device
        Where the module is.
    precision : {"float32", "bf16"}, default="float32"
    shape : tuple of int, default=None
        Of the logits of an image, which is checked; None where the outputs are something else.
    progress : callable, default=None
        Told how many more images are done.
    watch : callable, default=None
        Shown the images of each batch, on the device.
    keep : callable, default=None
        Maps the outputs of a batch and its rows, a slice, to what is kept of them, a tensor that
        moves to the CPU at once: outputs for each pixel of all images would fill a memory. None:
        the outputs, as float32.

    Returns
    -------
    Tensor of shape (n, ...)
    """
    size = tuple(images.shape[1:3])
    batch_size = prediction_batch_size(size, device.type)
    multiple = prediction_multiple(size, device.type)
    # giving memory back has a price: the next call's pages are new ones
    is_long = len(images) > _MANY_BATCHES * batch_size
    outputs, n_done = torch.empty(0, dtype=torch.float32), 0
    with (
        autocast(device, precision),
        exact_convolutions(device),
        freed_memory_kept(give_back=is_long),
    ):
        for batch, n_real in prediction_batches(images, batch_size, multiple, device):
            if watch is not None:
                watch(batch[:n_real])
            rows = module(batch)
            if shape is not None:
                check_logits(rows, len(batch), shape)
            rows = rows[:n_real].float()
            if keep is not None:
                rows = keep(rows, slice(n_done, n_done + n_real)).cpu()
            if n_done == 0:
                # one block: small ones in between would split the memory that batches reuse
                outputs = rows.new_empty((len(images), *rows.shape[1:]))
            outputs[n_done : n_done + n_real] = rows
            n_done += n_real
            if progress is not None:
                progress(n_real)
    # one transfer, when all batches are under way
    return outputs.cpu()


def refuse_not_finite(are_finite):
    """Raise if outputs of a network are NaN or infinite.

    Parameters
    ----------
    are_finite : ndarray of shape (n,), bool
        Whether those of each image are finite.

    Raises
    ------
    ValueError
        With what to do.
    """
    unfit = np.flatnonzero(~are_finite)
    if len(unfit) > 0:
        raise ValueError(
            f"The network's output is NaN or infinite for {len(unfit)} of {len(are_finite)} "
            f"images, the first of them X[{unfit[0]}]. Bring the pixels of X to the unit that "
            "they had in fit. If they have it, weights of module_ are NaN or infinite: fit "
            "anew."
        )


def prediction_batches(images, batch_size, multiple, device):
    """Yield images in order, in batches, and how many of each are real.

    Parameters
    ----------
    images : Tensor or LazyImages of shape (n, H, W, C)
        On any device.
    batch_size : int
        Most images in a batch.
    multiple : int
        What a smaller batch is filled up to a multiple of, with zeros.
    device : torch.device
        Where batches go.

    Yields
    ------
    batch : Tensor of shape (b, C, H, W)
        In channels_last layout.
    n_real : int
        Rows of the batch that are images.
    """
    starts = range(0, len(images), batch_size)
    for batch in read_ahead(images, [slice(start, start + batch_size) for start in starts]):
        n_real = len(batch)
        n_more = min(-n_real % multiple, batch_size - n_real)
        if n_more:
            batch = torch.cat([batch, batch.new_zeros((n_more, *batch.shape[1:]))])
        # contiguous because a row of a strided X is not
        yield send(batch, device).contiguous().permute(0, 3, 1, 2), n_real

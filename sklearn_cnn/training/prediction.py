"""Outputs of a network for many images, batch by batch."""

from collections.abc import Callable

import numpy as np
import torch

from sklearn_cnn.architectures._logits import check_logits
from sklearn_cnn.runtime.device import autocast, prediction_batch_size, prediction_multiple
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
    n_outputs=None,
    progress: Callable | None = None,
    watch: Callable | None = None,
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
    n_outputs : int, default=None
        Logits of an image, which are checked; None where the outputs are something else.
    progress : callable, default=None
        Told how many more images are done.
    watch : callable, default=None
        Shown the images of each batch, on the device.

    Returns
    -------
    Tensor of shape (n, ...), float32
    """
    size = tuple(images.shape[1:3])
    batch_size = prediction_batch_size(size, device.type)
    multiple = prediction_multiple(size, device.type)
    # giving memory back has a price: the next call's pages are new ones
    is_long = len(images) > _MANY_BATCHES * batch_size
    outputs, n_done = torch.empty(0, dtype=torch.float32), 0
    with autocast(device, precision), freed_memory_kept(give_back=is_long):
        for batch, n_real in prediction_batches(images, batch_size, multiple, device):
            if watch is not None:
                watch(batch[:n_real])
            rows = module(batch)
            if n_outputs is not None:
                check_logits(rows, len(batch), n_outputs)
            rows = rows[:n_real]
            if n_done == 0:
                # one block: small ones in between would split the memory that batches reuse
                outputs = rows.new_empty((len(images), *rows.shape[1:]), dtype=torch.float32)
            outputs[n_done : n_done + n_real] = rows
            n_done += n_real
            if progress is not None:
                progress(n_real)
    # one transfer, when all batches are under way
    return outputs.cpu()


def refuse_not_finite(outputs):
    """Raise if outputs of a network are NaN or infinite.

    Parameters
    ----------
    outputs : ndarray of shape (n, n_outputs)

    Raises
    ------
    ValueError
        With what to do.
    """
    unfit = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
    if len(unfit) > 0:
        raise ValueError(
            f"The network's output is NaN or infinite for {len(unfit)} of {len(outputs)} "
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

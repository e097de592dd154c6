"""A training step that does not fit into the device's memory, taken in parts."""

import torch

from sklearn_cnn._warnings import warn
from sklearn_cnn.losses import MixedTargets


class MicroBatches:
    """Computes the gradient of a batch, in as many parts as the device's memory asks for.

    When the device runs out of memory, the number of parts doubles, and stays so. The gradient
    is still that of the whole batch: losses are means over samples, so those of the parts are
    added up in proportion to their sizes. Batch normalization alone sees a difference: it takes
    mean and variance over a part.

    Parameters
    ----------
    n_parts : int, default=1
        Parts of a batch to begin with.
    """

    def __init__(self, n_parts=1):
        self.n_parts = n_parts

    def backward(self, compute_loss, zero_grad, batch):
        """Leave the gradients of a batch's loss in the parameters; return the loss, detached.

        Parameters
        ----------
        compute_loss : callable
            Maps images, targets and weights to their mean loss.
        zero_grad : callable
            Forgets the gradients so far.
        batch : tuple of Tensor
            Images, targets, and weights or None.

        Returns
        -------
        Tensor
            A scalar on the device.

        Raises
        ------
        MemoryError
            If two images are too many.
        """
        while True:
            zero_grad()
            loss = self._try(compute_loss, batch)
            if loss is not None:
                return loss
            # outside of the `except`, which holds on to the tensors of the step that failed
            self._halve(batch)

    def _try(self, compute_loss, batch):
        n_images = len(batch[0])
        total = None
        try:
            for part in _split(batch, min(self.n_parts, max(n_images // 2, 1))):
                share = len(part[0]) / n_images
                loss = compute_loss(*part)
                if share < 1:
                    loss = loss * share
                loss.backward()
                total = loss.detach() if total is None else total + loss.detach()
        except torch.cuda.OutOfMemoryError:
            return None
        return total

    def _halve(self, batch):
        n_images = len(batch[0])
        if n_images // self.n_parts < 4:
            raise MemoryError(
                f"Training ran out of the device's memory with {max(n_images // self.n_parts, 1)} "
                "images at a time. Use a smaller architecture, a smaller image_shape or "
                'device="cpu".'
            )
        self.n_parts *= 2
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        size = -(-n_images // self.n_parts)
        warn(
            f"Training ran out of the device's memory with {n_images} images at a time. It goes on "
            f"with {size} at a time, whose gradients are added up to those of a whole batch. Set "
            f"batch_size={size} to take smaller steps instead.",
        )


def _split(batch, n_parts):
    if n_parts == 1:
        return [batch]
    return list(zip(*(_parts(whole, n_parts) for whole in batch), strict=True))


def _parts(whole, n_parts):
    if whole is None:
        return (None,) * n_parts
    if isinstance(whole, MixedTargets):
        fields = (field.tensor_split(n_parts) for field in whole)
        return [MixedTargets(*part) for part in zip(*fields, strict=True)]
    return whole.tensor_split(n_parts)

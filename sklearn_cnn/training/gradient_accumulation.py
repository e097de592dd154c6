"""A training step that does not fit into the device's memory, taken in parts."""

import torch

from sklearn_cnn.losses import MixedTargets
from sklearn_cnn.runtime.warnings import warn


class GradientAccumulation:
    """In how many parts the gradient of a batch is computed: as many as memory asks for.

    When the device runs out of memory, the number doubles, and stays so. The gradient is still
    that of the whole batch: losses are means over samples, so those of the parts are added up in
    proportion to their sizes. Batch normalization alone sees a difference: it takes mean and
    variance over a part.

    Parameters
    ----------
    n_parts : int, default=1
        Parts of a batch to begin with.
    """

    def __init__(self, n_parts=1):
        self.n_parts = n_parts

    def parts(self, batch):
        """Return the parts of a batch, each with its share of the images.

        Parameters
        ----------
        batch : tuple of Tensor
            Images, targets, and weights or None.

        Returns
        -------
        list of ((Tensor, Tensor, Tensor or None), float)
        """
        n_images = len(batch[0])
        # batch normalization compares two images at least
        n_parts = min(self.n_parts, max(n_images // 2, 1))
        if n_parts == 1:
            return [(batch, 1.0)]
        parts = zip(*(_split(whole, n_parts) for whole in batch), strict=True)
        return [(part, len(part[0]) / n_images) for part in parts]

    def double(self, n_images):
        """Take twice as many parts from now on, since a batch did not fit into memory.

        Raises
        ------
        MemoryError
            If two images are too many.
        """
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


def _split(whole, n_parts):
    if whole is None:
        return (None,) * n_parts
    if isinstance(whole, MixedTargets):
        fields = (field.tensor_split(n_parts) for field in whole)
        return [MixedTargets(*part) for part in zip(*fields, strict=True)]
    return whole.tensor_split(n_parts)

"""Batches of images, drawn at random for training and in order for prediction."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch

from sklearn_cnn.images import LazyImages
from sklearn_cnn.runtime.threads import reading_threads
from sklearn_cnn.training.residency import send
from sklearn_cnn.training.samples import Samples

# batch_size="auto" gives an epoch about this many steps, within the bounds.
_STEPS_PER_EPOCH = 45
_SMALLEST_BATCH, _LARGEST_BATCH = 8, 128
# Batches of lazy images that are read before they are needed.
_N_AHEAD = 2


def resolve_batch_size(batch_size, n_samples):
    """Return the number of images in a batch.

    Parameters
    ----------
    batch_size : {"auto"} or int
        "auto" is the power of two that gives an epoch about 45 steps, between 8 and 128: few
        images need many small steps, many images fast ones.
    n_samples : int
        Number of training images.

    Returns
    -------
    int
        At most `n_samples`.
    """
    if batch_size == "auto":
        power = round(math.log2(max(n_samples / _STEPS_PER_EPOCH, 1)))
        batch_size = min(max(2**power, _SMALLEST_BATCH), _LARGEST_BATCH)
    return min(batch_size, n_samples)


@dataclass
class TrainingBatches:
    """The training set on the device, and the random order in which batches leave it.

    Parameters
    ----------
    samples : Samples
        On the device; not copied.
    batch_size : int
        Images in a batch; the last one takes what is left.
    generator : torch.Generator
        On the device; draws the order, and what an `Augmentation` does.
    augmentation : callable or None
        See `augmentation_step`.
    """

    samples: Samples
    batch_size: int
    generator: torch.Generator
    augmentation: Callable | None = None

    def __len__(self):
        return len(self.samples)

    @property
    def n_steps(self):
        """Batches an epoch."""
        return len(self._sizes())

    def __iter__(self):
        """Yield (images, targets, weights) of each batch of one epoch, in a fresh order."""
        of, device = self.samples, self.samples.indices.device
        order = torch.randperm(len(self), generator=self.generator, device=device)
        batches = zip(self._in_order(order, of.targets), self._images_of(order), strict=True)
        for (drawn, targets), images in batches:
            batch = images, targets, None if of.weights is None else of.weights[drawn]
            yield batch if self.augmentation is None else self.augmentation(*batch, self.generator)

    def first_image(self):
        """Return the first image, of shape (1, H, W, C)."""
        images, first = self.samples.images, self.samples.indices[:1]
        return images[first.to(images.device)]

    def images(self):
        """Yield the images of each batch as they are, in an order that is always the same."""
        # mixed nevertheless: sorted by class, no batch would be like the whole
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))
        yield from self._images_of(order.to(self.samples.indices.device))

    def _images_of(self, order):
        """Yield the images of each batch on the device."""
        for _, images in self._in_order(order, self.samples.images):
            # (b, H, W, C) seen as (b, C, H, W) is what torch calls channels_last
            yield images.permute(0, 3, 1, 2)

    def _in_order(self, order, of_samples):
        """Yield the rows of each batch, and its images or targets on the device."""
        rows = self.samples.indices[order]
        # one transfer an epoch, where they stayed on the host
        places = rows.to(of_samples.device).split(self._sizes())
        for drawn, batch in zip(
            rows.split(self._sizes()), read_ahead(of_samples, places), strict=True
        ):
            yield drawn, send(batch, rows.device)

    def _sizes(self):
        full, rest = divmod(len(self), self.batch_size)
        sizes = [self.batch_size] * full + [rest] * (rest > 0)
        if rest == 1 and full > 0:
            # batch normalization has no variance to learn from a single small image
            sizes[-2:] = [self.batch_size + 1]
        return sizes


def read_ahead(images, batches):
    """Yield batches of images; lazy ones are read by a thread while the last one is in use.

    Parameters
    ----------
    images : Tensor or LazyImages of shape (n, H, W, C)
    batches : sequence of slice or of Tensor of int64
        The rows of each, on the device of the images.

    Yields
    ------
    Tensor of shape (b, H, W, C)
    """
    if not isinstance(images, LazyImages):
        yield from (images[rows] for rows in batches)
        return
    with reading_threads(1) as reader:
        ahead = deque(reader.submit(images.__getitem__, rows) for rows in batches[:_N_AHEAD])
        try:
            for position in range(len(batches)):
                batch = ahead.popleft().result()
                if position + _N_AHEAD < len(batches):
                    ahead.append(reader.submit(images.__getitem__, batches[position + _N_AHEAD]))
                yield batch
        finally:
            # whoever stops early does not wait for batches that nobody will see
            reader.shutdown(wait=False, cancel_futures=True)

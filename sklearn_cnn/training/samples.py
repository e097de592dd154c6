"""Images, targets and weights that belong together, and which of them count."""

import dataclasses

import numpy as np
import torch

from sklearn_cnn._compat import check_sample_weight, safe_indexing
from sklearn_cnn.images import Extremes, LazyImages, MappedImages, as_numpy, pixel_statistics
from sklearn_cnn.training.residency import to_device


@dataclasses.dataclass(frozen=True)
class Samples:
    """Images, encoded targets and weights, and which rows of them count.

    Parameters
    ----------
    images : Tensor or LazyImages of shape (n, H, W, C), uint8 or float32
    targets : Tensor of shape (n,) or (n, n_outputs), or of maps Tensor or LazyImages
        As the loss takes them; maps have the shape (n, H, W, k).
    weights : Tensor of shape (n,) or None
        Those of the rows that count have a mean of one; None where these weigh the same.
    indices : Tensor of int64
        The rows that count. A split is two subsets of rows, without a copy of the images.
    """

    images: torch.Tensor | LazyImages
    targets: torch.Tensor | LazyImages
    weights: torch.Tensor | None
    indices: torch.Tensor

    @classmethod
    def weighted(cls, images, targets, weights):
        """Leave out rows of weight zero, and scale the others to a mean weight of one.

        A weight that is zero as a share of the largest one counts as zero.

        Parameters
        ----------
        images, targets : Tensor
        weights : ndarray of shape (n,) or None

        Raises
        ------
        ValueError
            If all weights are zero.
        """
        if weights is None:
            return cls(images, targets, None, torch.arange(len(images)))
        if not weights.any():
            raise ValueError("Sample weights must contain at least one non-zero number.")
        weights = torch.from_numpy(_as_shares(weights))
        rows = weights.nonzero().flatten()
        return cls(images, targets, _of_mean_one(weights, rows), rows)

    def __len__(self):
        return len(self.indices)

    def has_missing_targets(self):
        """Say whether targets hold NaN; of maps that are read when they are needed, they may."""
        if not self.targets.dtype.is_floating_point:
            return False
        return isinstance(self.targets, LazyImages) or bool(self.targets.isnan().any())

    def pixel_statistics(self):
        """Return the `PixelStatistics` of the rows that count."""
        return pixel_statistics(self.images, self.indices)

    def extremes(self):
        """Return the `Extremes` of the rows that count."""
        return Extremes.of(self.images, self.indices)

    def subset(self, positions):
        """Return the samples at some positions of `indices`, without a copy of the images."""
        indices = self.indices[positions]
        weights = None if self.weights is None else _of_mean_one(self.weights, indices)
        return dataclasses.replace(self, weights=weights, indices=indices)

    def compact(self):
        """Return the rows that count alone: copies, but for images that are read when needed."""
        return self._counted(_rows_of(self.images, self.indices))

    def with_images(self, function):
        """Return the rows that count alone, with what a function makes of their images."""
        images = self.images
        if not isinstance(images, LazyImages):
            # rows of a view: no copy of all of them
            images = MappedImages(images)
        return self._counted(function(images.select(self.indices.cpu())))

    def _counted(self, images):
        """Return the rows that count alone; their images are given."""
        weights = None if self.weights is None else self.weights[self.indices]
        targets = _rows_of(self.targets, self.indices)
        return Samples(images, targets, weights, torch.arange(len(self)))

    def on(self, device):
        """Return the samples on a device; images or maps that do not fit there stay."""
        # float64 until here: not every device has it
        weights = None if self.weights is None else self.weights.to(device, torch.float32)
        images = to_device(self.images, device)
        targets = to_device(self.targets, device)
        return Samples(images, targets, weights, self.indices.to(device))


def _rows_of(images, rows):
    """Return some rows of images or targets; lazy ones are still to be read."""
    return images.select(rows) if isinstance(images, LazyImages) else images[rows]


def _as_shares(weights):
    """Divide weights by the largest one, so that no sum of them is infinite or 0."""
    largest = weights.max(initial=0)
    return weights / largest if largest > 0 else weights


def _of_mean_one(weights, rows):
    """Scale weights to a mean of one over some rows; None where all of those are equal."""
    weights = weights / weights[rows].mean()
    counted = weights[rows]
    return None if (counted == counted[0]).all() else weights


def read_weights(sample_weight, images, broken=()):
    """Check weights of samples, of which only the proportions matter.

    Parameters
    ----------
    sample_weight : array-like of shape (n,) or None
    images : Tensor or LazyImages of shape (n, ...)
        The samples.
    broken : sequence of int, default=()
        Rows that get a weight of 0: there is no image.

    Returns
    -------
    ndarray of shape (n,), float64, or None
        As shares of the largest one.

    Raises
    ------
    ValueError
        If there are not as many as samples, or one is negative, infinite, NaN or masked.
    """
    if sample_weight is None and len(broken) == 0:
        return None
    shape = np.asarray(sample_weight).shape
    if len(shape) > 1 and shape[1:] != (1,):
        raise ValueError(
            f"sample_weight has shape {shape}, but must have shape (n,), a "
            "weight for each sample. To leave single numbers out of a regression, write NaN for "
            "them in y; pixels of masks, ignore_label."
        )
    # only the length of this is looked at
    samples = np.empty((len(images), 0))
    weights = as_numpy(sample_weight, "sample_weight")
    weights = check_sample_weight(
        weights, samples, dtype=np.float64, ensure_non_negative=True, copy=True
    )
    weights[list(broken)] = 0
    return _as_shares(weights)


def drop(left_out, *of_samples):
    """Return sequences of samples without some of their entries.

    Parameters
    ----------
    left_out : sequence of int
    *of_samples : array-like of shape (n, ...) or None
        None stays None.

    Returns
    -------
    list
        The sequences as they are where no row is left out, else copies.
    """
    if len(left_out) == 0:
        return list(of_samples)
    kept = np.delete(np.arange(len(of_samples[0])), left_out)
    return [None if rows is None else safe_indexing(rows, kept) for rows in of_samples]

"""y with several labels for each pixel: masks of 0 and 1."""

import functools

import numpy as np
import torch

from sklearn_cnn.losses import BinaryLogLoss
from sklearn_cnn.runtime.warnings import warn
from sklearn_cnn.targets._maps import refuse_uncounted
from sklearn_cnn.targets._values import MultiLabel


class PixelLabels(MultiLabel):
    """Several labels for each pixel, as 0 and 1: one logit and one sigmoid a label.

    Encoded masks have the shape (n, H, W, k) and hold 0, 1 or `uncounted`. What is kept of logits
    are 0 and 1 of that shape.

    Parameters
    ----------
    n_labels : int
        Labels of a pixel.
    ignore_label : int, default=None
        What stands for a label of a pixel that does not count.
    """

    is_map = True
    losses = {"log_loss": BinaryLogLoss}
    uncounted, n_codes = 255, 2

    def __init__(self, n_labels, ignore_label=None):
        super().__init__(n_labels)
        self.ignore_label = ignore_label

    def encode(self, maps, name="y"):
        """Return masks as bytes; other values than 0, 1 and `ignore_label` are a ValueError."""
        if maps.n_values != self.n_outputs:
            raise ValueError(
                f"{name} must have {self.n_outputs} labels a pixel, shape (n, height, width, "
                f"{self.n_outputs}), got {maps.n_values or 1} of them."
            )
        encode = functools.partial(self._encode, maps)
        return maps.encoded(encode, torch.uint8, self.n_outputs, self.uncounted)

    def _encode(self, maps, start, values):
        is_one, is_zero = values == 1, values == 0
        is_ignored = np.zeros(values.shape, dtype=bool)
        if self.ignore_label is not None:
            is_ignored = values == self.ignore_label
        others = np.argwhere(~(is_one | is_zero | is_ignored))
        if len(others) > 0:
            row, y, x, label = (int(place) for place in others[0])
            found = values[row, y, x, label].item()
            raise ValueError(
                f"{maps.name_of(start + row)} holds {found!r} at row {y}, column {x}, but several "
                "labels a pixel are 0 and 1. A class for each pixel has the shape (n, height, "
                "width); pixels that do not count are marked by ignore_label."
            )
        refuse_uncounted(maps, start, ~is_ignored, f"ignore_label={self.ignore_label!r}")
        return torch.from_numpy(np.where(is_ignored, self.uncounted, is_one).astype(np.uint8))

    def pixel_counts(self, encoded, rows):
        """Return how often each label is absent and present in some masks, of shape (k, 2)."""
        counts = np.zeros((self.n_outputs, 2))
        for chunk in rows.split(64):
            masks = encoded[chunk].flatten(0, 2)
            counts += np.stack([(masks == value).sum(dim=0).numpy() for value in (0, 1)], axis=1)
        return counts

    def class_weights(self, class_weight, counts):
        """Return weights of shape (k, 2), for absence and presence, whose mean over pixels is 1."""
        if class_weight == "balanced":
            weights, occur = np.ones(counts.shape), counts > 0
            shares = counts.sum(axis=1, keepdims=True) / occur.sum(axis=1, keepdims=True)
            weights[occur] = (shares / np.where(occur, counts, 1))[occur]
            return weights
        weights = super().class_weights(class_weight, None)
        return weights * counts.sum() / (weights * counts).sum()

    def targets(self, encoded):
        """Return a batch of encoded masks as torch's losses take them, and what of it counts."""
        masks = encoded.permute(0, 3, 1, 2)
        counts = masks != self.uncounted
        return torch.where(counts, masks, 0).float(), counts

    def keep(self, logits):
        """Return 0 and 1 of a batch, of shape (b, H, W, k)."""
        return (logits > 0).to(torch.uint8).permute(0, 2, 3, 1)

    def keep_probabilities(self, logits):
        """Return the sigmoid of logits (b, k, H, W), of shape (b, H, W, k)."""
        return logits.sigmoid().permute(0, 2, 3, 1)

    keep_scores = keep_probabilities

    def decode_scores(self, scores):
        """Return 0 and 1 for probabilities."""
        return (scores > 0.5).to(torch.uint8).numpy()

    def keep_decision(self, logits):
        """Return logits with the labels of a pixel last."""
        return logits.permute(0, 2, 3, 1)

    def decode_indices(self, kept):
        """Return what was kept: 0 and 1 already."""
        return kept

    decode = undecode = decode_indices

    def as_masks(self, encoded):
        """Return encoded masks as metrics take them."""
        return encoded

    def widened(self, maps):
        """Return itself, and what changes nothing: labels are as many in all masks."""
        return self, self.decode_indices

    def true_labels(self, encoded):
        """Return encoded masks in the user's values."""
        masks = encoded.numpy()
        if self.ignore_label is None:
            return masks
        return np.where(masks == self.uncounted, self.ignore_label, masks)

    def likely_outputs(self, encoded):
        """Return what is kept of logits that say what is true, to try a scorer on."""
        return np.where(encoded == self.uncounted, 0, encoded)

    def same_as(self, other):
        """Say whether a network for the other target serves this one."""
        return isinstance(other, PixelLabels) and super().same_as(other)


def has_several_labels(maps):
    """Say whether masks have several labels a pixel: an axis for them."""
    return maps.n_values is not None and maps.n_values > 1


def warn_if_each_pixel_has_one(maps):
    """Warn of masks that name one label for each pixel, as classes would."""
    for _, values in maps.chunks():
        # text is no sum, and what is learned of it refuses it
        if values.dtype.kind not in "biuf" or not (values.sum(axis=-1) == 1).all():
            return
    warn(
        f"{maps.name} has a single 1 for each pixel. As several labels a pixel it is learned as "
        f"{maps.n_values} questions of yes or no. If each pixel has one class, pass "
        f"{maps.name}.argmax(axis=-1)."
    )

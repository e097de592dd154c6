"""y with a value for each pixel: masks of classes, and maps of numbers."""

import functools
import math

import numpy as np
import torch
from torch import nn

from sklearn_cnn.images import kinds_of_labels
from sklearn_cnn.losses import DiceAndLogLoss, DiceLoss, FocalLoss, ScaleInvariantLogLoss
from sklearn_cnn.runtime.warnings import warn
from sklearn_cnn.targets._values import Continuous, SingleLabel

# torch's `ignore_index`
_NOT_COUNTED = -100
# Labels that mark pixels which do not count in many data sets.
_USUALLY_IGNORED = (255, -1)
# More than sets of scenes have; depths, and masks with values between labels, soon have more.
_MOST_CLASSES = 200


class PixelClasses(SingleLabel):
    """A class for each pixel: one logit a class.

    Encoded masks have the shape (n, H, W, 1) and hold the index of the class, out of `n_codes`, or
    `uncounted`.
    What is kept of logits are the indices of the largest ones, of shape (n, H, W).

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        The labels, sorted.
    ignore_label : object, default=None
        The label of pixels that do not count.
    """

    is_map = True
    losses = {
        "log_loss": nn.CrossEntropyLoss,
        "dice": DiceLoss,
        "dice+log_loss": DiceAndLogLoss,
        "focal": FocalLoss,
    }

    def __init__(self, classes, ignore_label=None):
        super().__init__(classes)
        self.ignore_label, self.n_codes = ignore_label, len(classes)
        fits_bytes = len(classes) < 256
        self.dtype = torch.uint8 if fits_bytes else torch.int16
        self.uncounted = 255 if fits_bytes else -1

    def encode(self, maps, name="y"):
        """Return masks as indices of the classes; an unseen label is a ValueError."""
        check_labels(maps)
        encode = functools.partial(self._encode, maps)
        return maps.encoded(encode, self.dtype, 1, self.uncounted)

    def _encode(self, maps, start, labels):
        indices, is_known = self.indices_of(labels)
        if not is_known.all():
            is_ignored = _is_label(labels, self.ignore_label)
            indices[is_ignored] = self.uncounted
            self._refuse_unseen(maps, start, labels, ~is_known & ~is_ignored)
        counts = indices != self.uncounted
        refuse_uncounted(maps, start, counts, f"ignore_label={self.ignore_label!r}")
        return torch.from_numpy(indices)[..., None].to(self.dtype)

    def _refuse_unseen(self, maps, start, labels, is_unseen):
        if not is_unseen.any():
            return
        row, y, x = (int(place) for place in np.argwhere(is_unseen)[0])
        label = labels[row, y, x]
        raise ValueError(
            f"{maps.name_of(start + row)} holds {label.item()!r} at row {y}, column {x}, which is "
            f"not among the classes {self.classes.tolist()}. Pixels that do not count are marked "
            "by ignore_label; otherwise leave out such masks, or pass every label that will ever "
            "come as classes= in the first call of partial_fit."
        )

    def indices_of(self, labels):
        """Return the index of the class of each label, and whether it is one of the classes."""
        indices = np.searchsorted(self.classes, labels).clip(max=self.n_outputs - 1)
        return indices, self.classes[indices] == labels

    def widened(self, maps):
        """Return a target whose classes are those of masks, too, and what brings to its indices.

        Parameters
        ----------
        maps : Maps

        Returns
        -------
        target : PixelClasses
        widen : callable
            Maps what was kept, indices of these classes, to indices of those.
        """
        check_labels(maps)
        labels = labels_in(maps)
        labels = labels[~_is_label(labels, self.ignore_label)]
        if not kinds_of_labels(labels) <= kinds_of_labels(self.classes):
            raise ValueError(
                f"{maps.name} holds the labels {labels.tolist()[:5]}, of another type than the "
                f"classes of the fit, {self.classes.tolist()[:5]}: bring them to one."
            )
        target = PixelClasses(np.union1d(self.classes, labels), self.ignore_label)
        codes = target.indices_of(self.classes)[0].astype(np.int16)
        return target, functools.partial(_looked_up, codes)

    def pixel_counts(self, encoded, rows):
        """Return the pixels of each class in some encoded masks."""
        counts = np.zeros(self.n_outputs, dtype=np.int64)
        for chunk in rows.split(64):
            indices = encoded[chunk]
            counted = indices[indices != self.uncounted].long()
            counts += torch.bincount(counted, minlength=self.n_outputs).numpy()
        return counts

    def class_weights(self, class_weight, counts):
        """Return the weight of each class, whose mean over pixels is one, by counts of these."""
        if class_weight == "balanced":
            present = counts > 0
            weights = np.ones(self.n_outputs)
            weights[present] = counts.sum() / (present.sum() * counts[present])
            return weights
        weights = super().class_weights(class_weight, None)
        if not (weights * counts).any():
            raise ValueError(f"class_weight={class_weight!r} leaves no pixel that counts.")
        return weights * counts.sum() / (weights * counts).sum()

    def targets(self, encoded):
        """Return a batch of encoded masks as torch's losses take them, and what of it counts."""
        indices = encoded[..., 0]
        counts = indices != self.uncounted
        return torch.where(counts, indices.long(), _NOT_COUNTED), counts

    def keep(self, logits):
        """Return the index of the largest logit of each pixel of a batch."""
        return logits.argmax(dim=1).to(self.dtype)

    def keep_probabilities(self, logits):
        """Return the softmax of logits (b, k, H, W), of shape (b, H, W, k)."""
        return logits.softmax(dim=1).permute(0, 2, 3, 1)

    keep_scores = keep_probabilities

    def decode_scores(self, scores):
        """Return the labels of the largest of scores (n, H, W, k)."""
        return self.decode(scores.argmax(dim=-1).numpy())

    def keep_decision(self, logits):
        """Return logits, or for two classes how far the second is ahead of the first."""
        if self.n_outputs == 2:
            return logits[:, 1] - logits[:, 0]
        return logits.permute(0, 2, 3, 1)

    def decode_indices(self, kept):
        """Return what was kept: indices already."""
        return kept

    def decode(self, kept):
        """Return the label of each pixel."""
        return _looked_up(self.classes, kept)

    def undecode(self, labels):
        """Return what is kept of logits whose predictions are these labels of the classes."""
        kept = np.empty(labels.shape, dtype=np.int16)
        for indices, of_image in zip(kept, labels, strict=True):
            # text comes as objects out of an ONNX file
            indices[...] = self.indices_of(of_image.astype(self.classes.dtype))[0]
        return kept

    def as_masks(self, encoded):
        """Return encoded masks as metrics take them, of shape (n, H, W)."""
        return encoded[..., 0]

    def true_labels(self, encoded):
        """Return the labels of encoded masks, of shape (n, H, W)."""
        indices = encoded[..., 0].numpy()
        counts = indices != self.uncounted
        labels = self.classes[np.where(counts, indices, 0)]
        if not counts.all():
            labels[~counts] = self.ignore_label
        return labels

    def likely_outputs(self, encoded):
        """Return what is kept of logits that say what is true, to try a scorer on."""
        indices = encoded[..., 0]
        return np.where(indices == self.uncounted, 0, indices)

    def strata(self, encoded):
        """Return None: masks have no strata."""
        return

    def same_as(self, other):
        """Say whether a network for the other target serves this one."""
        return isinstance(other, PixelClasses) and super().same_as(other)


class PixelNumbers(Continuous):
    """One number or several for each pixel, standardized inside.

    Encoded maps have the shape (n, H, W, k), and NaN where a number is missing. What is kept of
    outputs has that shape, too.

    Parameters
    ----------
    maps : Maps
        What mean and scale of each of the k numbers are learned from.
    sample_weight : ndarray of shape (n,) or None
        Weights of the images.

    Raises
    ------
    ValueError
        If maps hold something else than numbers, or one holds none.

    References
    ----------
    .. [1] T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for
       computing sample variances", 1982.
    """

    is_map = True
    uncounted = math.nan

    def __init__(self, maps, sample_weight=None):
        check_numbers_of(maps)
        self.is_1d = maps.n_values is None
        self.dtype: type = np.float32 if maps.dtype in (np.float16, np.float32) else np.float64
        self.n_outputs = maps.n_values or 1
        weights = np.ones(len(maps)) if sample_weight is None else sample_weight
        total = self.mean = squares = np.zeros(self.n_outputs)
        # chunk by chunk, since files are decoded anew each time [1]_
        for start, values in maps.chunks():
            n, mean, of_chunk = self._moments(maps, start, values, weights)
            total, step = total + n, mean - self.mean
            share = np.divide(n, total, out=np.zeros(self.n_outputs), where=total > 0)
            self.mean = self.mean + step * share
            squares = squares + of_chunk + step**2 * (total - n) * share
        if not total.all():
            places = np.flatnonzero(total == 0).tolist()
            which = f" as numbers {places} of a pixel: leave these out" if any(total) else ""
            raise ValueError(f"{maps.name} holds NaN alone{which}. Pixels of NaN do not count.")
        variance = squares / total
        # constant maps stay constant; anything but 0 will do as their scale
        constant = np.sqrt(variance) <= 10 * np.finfo(self.dtype).eps * np.abs(self.mean)
        self.scale = np.where(constant, 1.0, np.sqrt(variance))

    @property
    def losses(self):  # type: ignore[override]
        """The losses by name; that of depths needs to know which numbers stand for them."""
        of_depths = functools.partial(ScaleInvariantLogLoss, self.mean, self.scale)
        return {**Continuous.losses, "scale_invariant_log": of_depths}

    def _moments(self, maps, start, values, weights):
        """Return weight, mean and weighted sum of squares around it, of each of the numbers."""
        values = self._numbers(maps, start, values)
        known = ~np.isnan(values)
        weighted = known * weights[start : start + len(values), None, None, None]
        n = weighted.sum(axis=(0, 1, 2))
        values = np.where(known, values, 0)
        mean = (weighted * values).sum(axis=(0, 1, 2)) / np.where(n > 0, n, 1)
        return n, mean, (weighted * (values - mean) ** 2).sum(axis=(0, 1, 2))

    def encode(self, maps, name="y"):
        """Return maps standardized, of shape (n, H, W, k); NaN stays NaN."""
        check_numbers_of(maps)
        if (maps.n_values or 1) != self.n_outputs:
            raise ValueError(
                f"{name} has {maps.n_values or 1} numbers a pixel, expected {self.n_outputs}."
            )
        encode = functools.partial(self._encode, maps)
        return maps.encoded(encode, torch.float32, self.n_outputs, self.uncounted)

    def _encode(self, maps, start, values):
        values = self._numbers(maps, start, values)
        refuse_uncounted(maps, start, ~np.isnan(values), "NaN")
        return torch.from_numpy(((values - self.mean) / self.scale).astype(np.float32))

    def _numbers(self, maps, start, values):
        """Return values of maps as float64 of shape (b, H, W, k), all that a loss can take."""
        values = values.reshape(*values.shape[:3], self.n_outputs).astype(np.float64)
        infinite = np.isinf(values).any(axis=(1, 2, 3))
        if infinite.any():
            raise ValueError(
                f"{maps.name_of(start + int(infinite.argmax()))} holds infinite numbers: write NaN "
                "for pixels that have none, which do not count."
            )
        if maps.form.are_depths and (values <= 0).any():
            smallest = np.nanmin(values, axis=(1, 2, 3), initial=math.inf)
            row = int(smallest.argmin())
            raise ValueError(
                f"Depths are positive, but {maps.name_of(start + row)} holds {smallest[row]:g}. "
                "Write NaN for pixels that have none."
            )
        return values

    def true_numbers(self, maps, rows):
        """Return some maps in the units and the shape of y.

        Not by `decode`: a 0 that marks what no sensor saw would no longer be 0.
        """
        dtype = torch.float64 if self.dtype == np.float64 else torch.float32

        def read(start, values):
            return torch.from_numpy(self._numbers(maps, start, values)).to(dtype)

        y = maps.encoded_at(rows.numpy(), read, dtype, self.n_outputs, self.uncounted).numpy()
        return y[..., 0] if self.is_1d else y

    def targets(self, encoded):
        """Return a batch of encoded maps as torch's losses take them, and what of it counts."""
        targets = encoded.permute(0, 3, 1, 2)
        return targets, ~targets.isnan()

    def keep(self, outputs):
        """Return outputs (b, k, H, W) with the numbers of a pixel last."""
        return outputs.permute(0, 2, 3, 1)

    keep_scores = keep

    def decode_scores(self, scores):
        """Return numbers (n, H, W, k) in the user's units."""
        return self.decode(scores.numpy())

    def decode(self, kept):
        """Return what was kept in the user's units, and in the shape that y had in `fit`."""
        y = (kept * self.scale + self.mean).astype(self.dtype)
        return y[..., 0] if self.is_1d else y

    def undecode(self, y):
        """Return what is kept of outputs whose predictions are these numbers."""
        return (y.reshape(*y.shape[:3], self.n_outputs) - self.mean) / self.scale

    def likely_outputs(self, encoded):
        """Return outputs between the mean and the truth, to try a scorer on."""
        return np.nan_to_num(super().likely_outputs(encoded))


def _looked_up(values, indices):
    """Return values[indices] image by image: NumPy turns indices into eight bytes each."""
    found = np.empty(indices.shape, dtype=values.dtype)
    for of_image, places in zip(found, indices, strict=True):
        of_image[...] = values[places]
    return found


def check_numbers_of(maps):
    """Raise if maps of a regressor hold something else than numbers."""
    if maps.dtype.kind not in "fiub":
        raise ValueError(
            f"{maps.name} holds {maps.dtype} for each pixel, but CNNRegressor takes numbers. For "
            "classes use CNNClassifier."
        )


def refuse_uncounted(maps, start, counts, what):
    """Raise if no pixel of a mask or map counts."""
    n_counted = counts.reshape(len(counts), -1).sum(axis=1)
    if not n_counted.all():
        raise ValueError(
            f"{maps.name_of(start + int(n_counted.argmin()))} has no pixel that counts: all are "
            f"{what}. Leave out such rows, of X too."
        )


def check_labels(maps):
    """Raise if masks of a classifier hold something else than labels."""
    if maps.n_values is not None:
        if maps.n_values == 1:
            advice = f"Write {maps.name}[..., 0]."
        else:
            advice = f"Several labels a pixel are 0 and 1, in all of {maps.name}."
        raise ValueError(
            f"{maps.name} holds {maps.n_values} values a pixel, but CNNClassifier takes a class "
            f"for each pixel, of shape (n, height, width). {advice}"
        )
    if maps.dtype.kind not in "biuUSO":
        raise ValueError(
            f"{maps.name} holds {maps.dtype} for each pixel, but labels are integers, text or "
            f"bools: write {maps.name}.astype(int) if they are whole numbers. For numbers use "
            "CNNRegressor."
        )


def refuse_padding(maps, ignore_label):
    """Raise if masks are filled up, and no label says that those pixels do not count."""
    if maps.are_padded and ignore_label is None:
        raise ValueError(
            'resize_mode="pad" fills images up with pixels of no class: write ignore_label= with a '
            'label that marks them, 255 say, or resize_mode="squash".'
        )


def pixel_classes(maps, ignore_label, classes=None):
    """Return the kind of target that masks are.

    Parameters
    ----------
    maps : Maps
    ignore_label : object or None
        The label of pixels that do not count.
    classes : ndarray, default=None
        All labels that will ever come; None: those that masks hold.

    Returns
    -------
    PixelClasses

    Raises
    ------
    ValueError
        If masks hold something else than labels, labels of another type than `ignore_label`, or no
        pixel counts.

    Warns
    -----
    UserWarning
        If there is one class alone, one is likely to be a mark of pixels that do not count, or
        there are so many that they are likely to be numbers.
    """
    check_labels(maps)
    refuse_padding(maps, ignore_label)
    if classes is not None:
        check_ignore_label(ignore_label, classes, maps)
    else:
        found = labels_in(maps)
        check_ignore_label(ignore_label, found, maps)
        _warn_of_classes(found[~_is_label(found, ignore_label)], maps)
        classes = found
    classes = classes[~_is_label(classes, ignore_label)]
    if len(classes) == 0:
        raise ValueError(
            f"No pixel of {maps.name} counts: all of them are ignore_label={ignore_label!r}."
        )
    return PixelClasses(classes, ignore_label)


def check_ignore_label(ignore_label, labels, maps):
    """Raise if `ignore_label` is of another type than labels of masks: it would match none."""
    if ignore_label is None or kinds_of_labels([ignore_label]) <= kinds_of_labels(labels):
        return
    raise ValueError(
        f"ignore_label={ignore_label!r} is of another type than the labels of {maps.name}, "
        f"{labels.tolist()[:5]}, and marks no pixel: write one of their type."
    )


def labels_in(maps):
    """Return the distinct labels of masks, sorted."""
    try:
        return functools.reduce(np.union1d, (np.unique(labels) for _, labels in maps.chunks()))
    except TypeError as error:
        raise ValueError(
            f"{maps.name} holds labels of several types, which have no order: bring them to one."
        ) from error


def _is_label(labels, label):
    """Say which labels are a certain one; None is none."""
    if label is None:
        return np.zeros(np.shape(labels), dtype=bool)
    return np.asarray(labels == label)


def _warn_of_classes(classes, maps):
    labels = classes.tolist()
    if len(labels) == 1:
        warn(
            f"{maps.name} holds one class alone, {labels[0]!r}, in all pixels: it is what any "
            "pixel will be taken for."
        )
    if len(labels) > _MOST_CLASSES and classes.dtype.kind in "iu":
        warn(
            f"{maps.name} holds {len(labels)} classes, from {labels[0]} to {labels[-1]}. If they "
            "are numbers, such as depths, take CNNRegressor; if masks were compressed or resized "
            "as photos are, between labels, resize them by the nearest pixel."
        )
    for mark in _USUALLY_IGNORED:
        others = [label for label in labels if label != mark]
        # black and white, of which neither could be left out
        is_bilevel = labels == [0, 255]
        is_likely = mark in labels and others and max(others) < 254 and not is_bilevel
        if classes.dtype.kind in "iu" and is_likely:
            warn(
                f"{maps.name} holds {mark}, which is learned as one of the classes {labels}. If it "
                f"marks pixels that do not count, write ignore_label={mark}."
            )

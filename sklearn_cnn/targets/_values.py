"""y with a label, several labels or numbers for each image."""

import numpy as np
import torch
from scipy.special import expit, softmax
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from torch import nn

from sklearn_cnn.losses import NUMBERS, ONE_LABEL, SEVERAL_LABELS, BinaryHingeLoss, BinaryLogLoss
from sklearn_cnn.runtime.device import sent
from sklearn_cnn.runtime.suggestions import did_you_mean
from sklearn_cnn.runtime.warnings import warn
from sklearn_cnn.targets._checks import (
    check_classes,
    check_indicator,
    check_numbers,
    unique_classes,
)

# The part of the way from the mean to the truth that likely predictions have gone.
_LEARNED = 0.123

# Of numbers that training goes on with, in the scale of the first: a distance from the mean that
# not half of them have, and a spread that so many of them do not have, if the scale is theirs.
_FARTHEST, _NARROWEST, _FEWEST = 10, 0.02, 10


class SingleLabel:
    """One label an image: binary and multiclass, one logit a class.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        The labels, sorted.
    """

    holds = ONE_LABEL
    is_map = False
    losses = {"log_loss": nn.CrossEntropyLoss, "hinge": nn.MultiMarginLoss}

    def __init__(self, classes):
        self.classes = classes
        self.n_outputs = len(classes)

    def encode(self, y, name="y"):
        """Return y as indices of the classes; an unseen label is a ValueError."""
        y = column_or_1d(check_classes(y, name), warn=True)
        unseen = np.setdiff1d(y, self.classes)
        if len(unseen):
            # what trains has unseen labels only where it goes on
            advice = (
                "Pass every label that will ever come as classes= in the first call of partial_fit."
                if name == "y"
                else "Those are the labels that y trains on: leave out images of others."
            )
            raise ValueError(
                f"{name} contains labels that are not among the classes {self.classes.tolist()}: "
                f"{unseen[:10].tolist()}. {advice}"
            )
        return torch.from_numpy(np.searchsorted(self.classes, y))

    def class_weights(self, class_weight, y):
        """Return the weight of each class; "balanced" counts the labels of y."""
        if class_weight == "balanced":
            present, counts = np.unique(y, return_counts=True)
            weight = dict(zip(present, len(y) / (len(present) * counts), strict=True))
            return np.array([weight.get(label, 1.0) for label in self.classes])
        unknown = [key for key in class_weight if key not in self.classes.tolist()]
        if unknown and len(class_weight) - len(unknown) < self.n_outputs:
            of_text = {str(label): repr(label) for label in self.classes.tolist()}
            raise ValueError(
                f"class_weight holds {unknown[0]!r}, which is none of the classes "
                f"{self.classes.tolist()}.{did_you_mean(unknown[0], of_text, of_text.get)}"
            )
        return compute_class_weight(class_weight, classes=self.classes, y=self.classes)

    def sample_weights(self, class_weights, encoded):
        """Return the weight that its class gives to each sample."""
        return class_weights[encoded.numpy()]

    def probabilities(self, logits):
        """Softmax in float64, so that binary columns rank exactly as `decision` does."""
        if self.n_outputs == 2:
            margin = self.decision(logits)
            return np.column_stack([expit(-margin), expit(margin)])
        return softmax(logits.astype(np.float64), axis=1)

    def decision(self, logits):
        """Logits a class; for two classes, how far the second is ahead of the first."""
        logits = logits.astype(np.float64)
        return logits[:, 1] - logits[:, 0] if self.n_outputs == 2 else logits

    def decode_indices(self, logits):
        """Return the index of the largest logit."""
        return logits.argmax(axis=1)

    def decode(self, logits):
        """Return the label of the largest logit."""
        return self.classes[self.decode_indices(logits)]

    def likely_outputs(self, encoded):
        """Return logits that say what is true, to try a scorer on."""
        return np.eye(self.n_outputs, dtype=np.float32)[encoded]

    def strata(self, encoded):
        """Return what a validation split should be stratified by."""
        return encoded.numpy()

    def same_as(self, other):
        """Say whether a network for the other target serves this one."""
        return isinstance(other, SingleLabel) and np.array_equal(self.classes, other.classes)


class MultiLabel:
    """Several labels an image, as an indicator matrix: one logit and one sigmoid a label.

    Parameters
    ----------
    n_labels : int
        Columns of the indicator.
    """

    holds = SEVERAL_LABELS
    is_map = False
    losses = {"log_loss": BinaryLogLoss, "hinge": BinaryHingeLoss}

    def __init__(self, n_labels):
        self.n_outputs = n_labels
        self.classes = np.arange(n_labels)

    def encode(self, y, name="y"):
        """Return the indicator as float32."""
        y = check_classes(y, name)
        if y.ndim != 2 or y.shape[1] != self.n_outputs:
            raise ValueError(
                f"{name} must be an indicator of shape (n, {self.n_outputs}), got {y.shape}."
            )
        check_indicator(y, name)
        return torch.from_numpy(y.astype(np.float32))

    def class_weights(self, class_weight, y):
        """Return weights of shape (n_labels, 2), for absence and presence of each label."""
        weights = np.ones((self.n_outputs, 2))
        if class_weight == "balanced":
            for column, weight in zip(np.asarray(y).T, weights, strict=True):
                counts = np.bincount(column.astype(int), minlength=2)
                weight[counts > 0] = len(column) / ((counts > 0).sum() * counts[counts > 0])
            return weights
        if set(class_weight) - set(self.classes.tolist()):
            raise ValueError(
                "For multilabel y, class_weight maps the column of a label to the weight of its "
                f"presence; the columns are 0 to {self.n_outputs - 1}, got {list(class_weight)}."
            )
        for label, weight in class_weight.items():
            weights[label, 1] = weight
        return weights

    def sample_weights(self, class_weights, encoded):
        """Return the product over labels, as `compute_sample_weight` does."""
        present = encoded.numpy().astype(int)
        return class_weights[np.arange(self.n_outputs), present].prod(axis=1)

    def probabilities(self, logits):
        """Sigmoid of each logit."""
        return expit(logits.astype(np.float64))

    def decision(self, logits):
        """Logits."""
        return logits.astype(np.float64)

    def decode_indices(self, logits):
        """Return the indicator of the positive logits."""
        return (logits > 0).astype(np.int64)

    decode = decode_indices

    def likely_outputs(self, encoded):
        """Return logits that say what is true, to try a scorer on."""
        return 2 * encoded - 1

    def strata(self, encoded):
        """Return None: rows of an indicator are too many kinds to stratify by."""
        return

    def same_as(self, other):
        """Say whether a network for the other target serves this one."""
        return isinstance(other, MultiLabel) and self.n_outputs == other.n_outputs


class Continuous:
    """One number or several an image, standardized inside.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, n_outputs)
        The targets that mean and scale are learned from. NaN stands for a number that is missing.
    sample_weight : ndarray of shape (n,) or None
        Weights of the samples.

    Raises
    ------
    ValueError
        If a column holds no number.
    """

    holds = NUMBERS
    is_map = False
    losses = {
        "squared_error": nn.MSELoss,
        "absolute_error": nn.L1Loss,
        "huber": nn.HuberLoss,
    }

    def __init__(self, y, sample_weight=None):
        self.is_1d = y.ndim == 1
        self.dtype: type = np.float32 if y.dtype in (np.float16, np.float32) else np.float64
        columns = y.reshape(len(y), -1).astype(np.float64)
        self.n_outputs = columns.shape[1]
        known = ~np.isnan(columns)
        empty = np.flatnonzero(~known.any(axis=0)).tolist()
        if len(y) > 0 and empty:
            raise ValueError(f"y holds NaN alone in the columns {empty}: leave them out.")
        columns = np.where(known, columns, 0)
        weights = known if sample_weight is None else known * sample_weight[:, None]
        # by powers of two to at most 1, which is exact, so that no square is 0 or infinite
        _, exponent = np.frexp(np.abs(columns).max(axis=0, initial=0))
        columns = np.ldexp(columns, -exponent)
        mean = np.average(columns, axis=0, weights=weights)
        variance = np.average((columns - mean) ** 2, axis=0, weights=weights)
        self.mean, scale = np.ldexp(mean, exponent), np.ldexp(np.sqrt(variance), exponent)
        # a constant column stays constant; anything but 0 will do as its scale
        constant = scale <= 10 * np.finfo(self.dtype).eps * np.abs(self.mean)
        self.scale = np.where(constant, 1.0, scale)

    @property
    def n_columns(self):
        """Numbers that y holds of an image; several outputs may be quantiles of one."""
        return len(self.mean)

    def encode(self, y, name="y"):
        """Return y standardized, of shape (n, n_outputs); NaN stays NaN, with a warning."""
        y = check_numbers(y, name, allow_nan=True)
        columns = y.reshape(len(y), -1)
        if columns.shape[1] != self.n_columns:
            raise ValueError(f"{name} has {columns.shape[1]} outputs, expected {self.n_columns}.")
        missing = np.isnan(columns)
        if missing.any():
            warn(
                f"{name} holds NaN in {missing.any(axis=1).sum()} of {len(y)} rows, "
                f"{missing.sum()} of {missing.size} numbers in all: these do not count, neither in "
                "the loss nor in R².",
            )
        standardized = ((columns - self.mean) / self.scale).astype(np.float32)
        return torch.from_numpy(standardized)

    def warn_of_another_scale(self, y, owner):
        """Warn if training goes on with numbers that plainly are on another scale than the first.

        Parameters
        ----------
        y : ndarray of shape (n,), (n, n_columns), (n, H, W) or (n, H, W, n_columns)
            Numbers in the user's units; NaN does not count.
        owner : str
            What has learned the scale.
        """
        columns = y.reshape(-1, self.n_columns).T
        for column, mean, scale in zip(columns, self.mean, self.scale, strict=True):
            numbers = column[~np.isnan(column)].astype(np.float64)
            standardized = (numbers - mean) / scale
            n_far = np.count_nonzero(np.abs(standardized) > _FARTHEST)
            # pixels of a few maps may be alike, and equal numbers have no spread in any unit
            are_enough = min(len(y), len(numbers)) >= _FEWEST
            are_spread = are_enough and numbers.min() < numbers.max()
            is_narrow = are_spread and standardized.std() < _NARROWEST
            if n_far > len(numbers) / 2 or is_narrow:
                warn(
                    f"{owner} goes on with numbers y from {numbers.min():.4g} to "
                    f"{numbers.max():.4g}, but subtracts {mean:.4g} and divides by {scale:.4g}, as "
                    "it learned in its first training: it hardly learns from another scale. Bring "
                    "y to the unit of before, or fit anew with warm_start=False; partial_fit "
                    "learns the scale from its first batch: give it a typical one."
                )
                return

    def to_units(self, encoded):
        """Return a tensor of encoded targets, on any device, in the user's units."""
        scale, mean = self._learned_beside(encoded)
        return encoded * scale + mean

    def from_units(self, y):
        """Return a tensor of targets in the user's units, on any device, encoded."""
        scale, mean = self._learned_beside(y)
        return (y - mean) / scale

    def _learned_beside(self, y):
        return (sent(learned, y.device, y.dtype) for learned in (self.scale, self.mean))

    def decode(self, outputs):
        """Return outputs in the user's units, and in the shape that y had in `fit`."""
        y = (outputs * self.scale + self.mean).astype(self.dtype)
        return y[:, 0] if self.is_1d else y

    def likely_outputs(self, encoded):
        """Return outputs between the mean and the truth, to try a scorer on.

        Some metrics take positive numbers alone, or labels, as which whole numbers pass.
        """
        return _LEARNED * encoded

    def strata(self, encoded):
        """Return None: numbers have no strata."""
        return

    def same_as(self, other):
        """Say whether a network for the other target serves this one."""
        return type(other) is type(self) and self.n_outputs == other.n_outputs


class Quantiles(Continuous):
    """Several quantiles of one number an image, which ascend: one output each.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, 1)
        As `Continuous` takes it.
    sample_weight : ndarray of shape (n,) or None
    n_quantiles : int
    """

    def __init__(self, y, sample_weight, n_quantiles):
        super().__init__(y, sample_weight)
        if self.n_outputs > 1:
            raise ValueError(
                f"Several quantiles are predicted of one number an image, but y has "
                f"{self.n_outputs} columns. Pass one quantile, or fit a regressor a column."
            )
        self.n_outputs = n_quantiles

    def likely_outputs(self, encoded):
        """Return outputs between the mean and the truth, to try a scorer on."""
        return np.repeat(super().likely_outputs(encoded), self.n_outputs, axis=1)

    def decode(self, outputs):
        """Return a column a quantile, in the user's units.

        Where they cross they change places, which only makes their loss smaller [1]_.

        References
        ----------
        .. [1] V. Chernozhukov, I. Fernández-Val, A. Galichon, "Quantile and probability curves
           without crossing", Econometrica 78, 2010.
        """
        return (np.sort(outputs, axis=1) * self.scale + self.mean).astype(self.dtype)


def classification_target(y, classes=None):
    """Return the kind of target that the labels y are, and y as an array.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, n_labels)
        Labels of any type, or a 0/1 indicator.
    classes : array-like or None
        All labels that will ever come, where y need not hold them all; for an indicator the
        indices of its columns.

    Returns
    -------
    SingleLabel or MultiLabel

    Raises
    ------
    ValueError
        If y holds numbers that are no labels, or several multiclass columns, or if an indicator
        has other columns than the classes.
    """
    y = check_classes(y)
    kind = type_of_target(y, input_name="y", raise_unknown=True)
    if kind == "multiclass-multioutput":
        raise ValueError(
            f"y of shape {y.shape} holds several columns of labels (multiclass-multioutput). "
            "CNNClassifier takes one column of labels, or a 0/1 indicator (multilabel). Fit one "
            "classifier a column: sklearn.multioutput.MultiOutputClassifier does that. "
            "sklearn.preprocessing.MultiLabelBinarizer makes an indicator out of lists of labels."
        )
    if kind == "continuous-multioutput" and np.allclose(y.sum(axis=1), 1) and (y >= 0).all():
        raise ValueError(
            f"y of shape {y.shape} holds soft labels, rows that sum to 1. Pass y.argmax(axis=1), "
            f"or each image once a class: fit(np.repeat(X, {y.shape[1]}, axis=0), "
            f"np.tile(range({y.shape[1]}), len(X)), sample_weight=y.ravel())."
        )
    check_classification_targets(y)
    if kind == "multilabel-indicator":
        check_indicator(y)
        target = MultiLabel(y.shape[1])
        if classes is not None and not np.array_equal(unique_classes(classes), target.classes):
            raise ValueError(
                f"classes={unique_classes(classes).tolist()} are not the columns of y, an "
                f"indicator of shape {y.shape}. For multilabel y leave classes out, or pass "
                f"range({y.shape[1]})."
            )
        return target
    return SingleLabel(unique_classes(y if classes is None else classes))

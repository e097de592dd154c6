"""Kinds of predictions: how wrong each is, and how truth and prediction read in a title."""

import math

import numpy as np
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from sklearn_cnn._compat import num_samples
from sklearn_cnn.targets import (
    MultiLabel,
    as_array,
    check_classes,
    check_numbers,
    classification_target,
)

# Of single precision, in which networks predict.
_MOST_DIGITS = 7
_MOST_LISTED = 10


def numbers_apart(*numbers):
    """Return a number or two as text: all digits before the point, and so many that they differ.

    Parameters
    ----------
    *numbers : float
        Finite ones, or NaN.

    Returns
    -------
    list of str
    """
    sizes = [abs(float(number)) for number in numbers]
    n_before = max((int(math.log10(size)) + 1 for size in sizes if size >= 1), default=0)
    fewest = max(3, n_before if n_before <= _MOST_DIGITS else 0)
    for n_digits in range(fewest, _MOST_DIGITS + 1):
        texts = [f"{number:.{n_digits}g}" for number in numbers]
        if len(set(texts)) == len(numbers) or numbers[0] == numbers[-1]:
            break
    return texts


class Labels:
    """One label an image.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
    classes : array-like of shape (n_classes,) or None
        The labels; None takes those that occur, sorted.
    y_proba : array-like of shape (n, n_classes) or None
        Probabilities.
    decision : ndarray of shape (n,) or (n, n_classes) or None
        What a decision function gives, for classifiers without probabilities. One that does not
        compare all classes, of each pair of them say, or of one alone, is left out.
    display_labels : sequence of str or None
        What to call the classes.
    """

    def __init__(
        self, y_true, y_pred, *, classes=None, y_proba=None, decision=None, display_labels=None
    ):
        self.y_true, self.y_pred = (column_or_1d(check_classes(y)) for y in (y_true, y_pred))
        hint = ""
        if classes is None:
            hint = " Pass as classes= which label each of its columns is of."
            classes = np.unique(np.concatenate([self.y_true, self.y_pred]))
        self.classes = np.asarray(classes)
        if not (self.y_true[:, None] == self.classes).any():
            shown, known = (_first_of(values) for values in (np.unique(self.y_true), self.classes))
            raise ValueError(
                f"y holds none of the classes that are predicted, {known}, but {shown}. Pass the "
                "labels themselves."
            )
        self.y_proba = _of_shape(y_proba, (len(self.y_true), len(self.classes)), hint=hint)
        compares = decision is not None and self._compares_classes(decision)
        self.decision = decision if compares else None
        self._names = names_of_classes(display_labels, self.classes)

    @property
    def errors(self):
        """How wrong each prediction is.

        1 less the probability of the true class; without probabilities how far, in a decision
        function, another class is ahead of the true one; without either 1 for a wrong label.
        """
        is_true = self.y_true[:, None] == self.classes
        if self.y_proba is not None:
            return 1 - (self.y_proba * is_true).sum(axis=1)
        if self.decision is None:
            return (self.y_true != self.y_pred).astype(float)
        decision = self.decision
        if decision.ndim == 1:
            decision = np.column_stack([-decision, decision]) / 2
        of_truth = np.where(is_true, decision, -np.inf).max(axis=1)
        return np.where(is_true, -np.inf, decision).max(axis=1) - of_truth

    def is_wrong(self, row):
        """Say whether the prediction is another label."""
        return bool(self.y_true[row] != self.y_pred[row])

    def title(self, row, error):
        """Return truth and prediction, with its probability."""
        true, predicted = self._name(self.y_true[row]), self._name(self.y_pred[row])
        title = f"true {true}\npredicted {predicted}"
        if self.y_proba is None:
            return title
        return f"{title} ({self.y_proba[row] @ (self.classes == self.y_pred[row]):.2f})"

    def _compares_classes(self, decision):
        n, n_classes = len(self.y_true), len(self.classes)
        if n_classes == 2 and decision.shape == (n,):
            return True
        return n_classes > 1 and decision.shape == (n, n_classes)

    def _name(self, label):
        found = np.flatnonzero(self.classes == label)
        return self._names[found[0]] if len(found) else str(label)


class Indicators:
    """Several labels an image, as rows of a 0/1 indicator.

    Parameters
    ----------
    y_true, y_pred : array-like or sparse matrix of shape (n, n_labels)
    y_proba : array-like of shape (n, n_labels) or None
        Probabilities.
    display_labels : sequence of str or None
        What to call the labels.
    """

    def __init__(self, y_true, y_pred, *, y_proba=None, display_labels=None):
        target = classification_target(y_true)
        self.y_true, self.y_pred = (target.encode(y).numpy() == 1 for y in (y_true, y_pred))
        self.y_proba = _of_shape(y_proba, self.y_true.shape)
        names = names_of_columns(y_true, target.n_outputs, display_labels)
        self._names = np.array(names, dtype=object)

    @property
    def errors(self):
        """The number of labels that are missed or added.

        With probabilities also their mean distance from the truth, which is at most one.
        """
        n_wrong = (self.y_true != self.y_pred).sum(axis=1).astype(float)
        if self.y_proba is None:
            return n_wrong
        return n_wrong + np.abs(self.y_true - self.y_proba).mean(axis=1)

    def is_wrong(self, row):
        """Say whether a label is missed or added."""
        return bool((self.y_true[row] != self.y_pred[row]).any())

    def title(self, row, error):
        """Return which labels are found, missed and added."""
        true, predicted = self.y_true[row], self.y_pred[row]
        sets = {
            "found": true & predicted,
            "missed": true & ~predicted,
            "added": predicted & ~true,
        }
        lines = [
            f"{what} {', '.join(self._names[labels])}"
            for what, labels in sets.items()
            if labels.any()
        ]
        return "\n".join(lines) or "no label, as predicted"


class Numbers:
    """One number or several an image.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,) or (n, n_outputs)
        NaN among several true numbers of an image is one that is missing.
    display_labels : sequence of str or None
        What to call the columns; None takes the names that a frame of true numbers has.
    """

    # Numbers that a title has room for.
    _MOST_SHOWN = 3

    def __init__(self, y_true, y_pred, display_labels=None):
        columns = check_numbers(y_true, allow_nan=True), check_numbers(y_pred)
        self.y_true, self.y_pred = (y.reshape(len(y), -1) for y in columns)
        hint = " Of several quantiles draw one by from_predictions(X, y, y_pred[:, 0])."
        self.y_pred = _of_shape(self.y_pred, self.y_true.shape, "y_pred", hint)
        self._names = names_of_columns(y_true, self.y_true.shape[1], display_labels)

    @property
    def _scaled_errors(self):
        """The absolute errors; of several numbers each in its standard deviations."""
        distances = np.abs(self.y_true - self.y_pred)
        if distances.shape[1] == 1:
            return distances
        scale = np.nanstd(self.y_true, axis=0)
        return distances / np.where(scale > 0, scale, 1)

    @property
    def errors(self):
        """The absolute error; of several numbers the mean, each in its standard deviations."""
        return _mean_of_known(self._scaled_errors)

    def is_wrong(self, row):
        """Return False: numbers are more or less off."""
        return False

    def title(self, row, error):
        """Return truth and prediction; of several numbers true → predicted, and which is worst."""
        true, predicted = self.y_true[row], self.y_pred[row]
        if len(true) == 1:
            return "true {}\npredicted {}".format(*numbers_apart(true[0], predicted[0]))
        of_outputs = zip(self._names, true, predicted, strict=True)
        lines = [f"{name}: {' → '.join(numbers_apart(*pair))}" for name, *pair in of_outputs]
        worst = int(np.nan_to_num(self._scaled_errors[row]).argmax())
        lines[worst] += " (worst)"
        if len(lines) > self._MOST_SHOWN:
            lines = [f"off by {error:.2g} std. dev.", lines[worst]]
        return "\n".join(lines)


class KeyPoints(Numbers):
    """Points on each image, as rows of x0, y0, x1, y1, ... in pixels.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n, 2 * n_points)
    """

    def __init__(self, y_true, y_pred):
        super().__init__(y_true, y_pred)
        n_columns = self.y_true.shape[1]
        if n_columns % 2:
            raise ValueError(
                "keypoints=True takes y of x0, y0, x1, y1, ...: an even number of columns, but y "
                f"has {n_columns}."
            )
        points = (y.reshape(len(y), -1, 2) for y in (self.y_true, self.y_pred))
        self.true_points, self.predicted_points = points

    @property
    def errors(self):
        """The mean distance between true and predicted points, in pixels."""
        offsets = self.true_points - self.predicted_points
        return _mean_of_known(np.linalg.norm(offsets, axis=2))

    def title(self, row, error):
        """Return the mean distance."""
        return f"off by {error:.2g} pixels"


def _mean_of_known(errors):
    """Return the mean of each row over what is not NaN; 0 where nothing is known."""
    known = ~np.isnan(errors)
    return np.where(known, errors, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)


def holds_numbers(y_true, y_pred):
    """Say whether predictions are those of a regression: floating-point numbers."""
    return any(_holds_floats(y) for y in (y_true, y_pred))


def are_maps(y):
    """Say whether y has a value for each pixel."""
    return len(y) > 0 and np.ndim(next(iter(y))) >= 2


def _holds_floats(y):
    holds_objects = isinstance(y, np.ndarray) and y.dtype.kind == "O"
    if (holds_objects or isinstance(y, (list, tuple))) and are_maps(y):
        # maps of several sizes make no array
        return any(np.asarray(values).dtype.kind == "f" for values in y)
    return _as_array(y).dtype.kind == "f"


def kind_of_numbers(y_true, y_pred, keypoints, display_labels=None, **of_labels):
    """Return `KeyPoints` or `Numbers`; what is only said of labels must be None."""
    if keypoints:
        of_labels["display_labels"] = display_labels
    for name, value in of_labels.items():
        if value is not None:
            kind = "key points" if keypoints else "numbers"
            raise ValueError(f"{name} is for labels, but y holds {kind}. Leave {name} out.")
    _check_lengths(y_true, y_pred)
    return KeyPoints(y_true, y_pred) if keypoints else Numbers(y_true, y_pred, display_labels)


def kind_of_labels(y_true, y_pred, *, classes=None, decision=None, **of_both):
    """Return `Labels` or `Indicators`, whichever the true labels are."""
    _check_lengths(y_true, y_pred)
    if isinstance(classification_target(y_true), MultiLabel):
        return Indicators(y_true, y_pred, **of_both)
    return Labels(y_true, y_pred, classes=classes, decision=decision, **of_both)


def _check_lengths(y_true, y_pred):
    """Raise unless there are as many predictions as targets, and one at least."""
    check_consistent_length(y_true, y_pred)
    if num_samples(y_true) == 0:
        raise ValueError("PredictionsDisplay shows at least one image, but y is empty.")


def _as_array(y):
    """Return y as an array, but for a sparse indicator."""
    y = as_array(y)
    return y if hasattr(y, "dtype") else np.asarray(y)


def _of_shape(values, shape, name="y_proba", hint=""):
    """Return finite values as an array; raise if the truth asks for another shape."""
    if values is None:
        return None
    values = check_array(values, ensure_2d=False, input_name=name)
    if values.shape != shape:
        raise ValueError(f"{name} has shape {values.shape}, but y_true asks for {shape}.{hint}")
    return values


def _first_of(values):
    """Return values as text, the first of many."""
    more = f" and {len(values) - _MOST_LISTED} more" if len(values) > _MOST_LISTED else ""
    return f"{values[:_MOST_LISTED].tolist()}{more}"


def names_of_classes(display_labels, classes):
    """Return what to call the classes."""
    if display_labels is None:
        return [str(label) for label in classes]
    if len(display_labels) != len(classes):
        raise ValueError(
            f"display_labels has {len(display_labels)} names for {len(classes)} classes or columns."
        )
    return [str(label) for label in display_labels]


def names_of_columns(y, n_columns, display_labels):
    """Return what to call the columns of y: their names in a frame, else their numbers."""
    if display_labels is None:
        display_labels = list(getattr(y, "columns", range(n_columns)))
    return names_of_classes(display_labels, range(n_columns))

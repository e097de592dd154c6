"""Scores of maps: counted image by image, so that no copy of all pixels is ever made."""

import math
from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_consistent_length

# Depths whose ratio to the truth is below this are near enough.
_NEAR = 1.25


def mean_iou_score(
    y_true, y_pred, *, labels=None, ignore_label=None, average="macro", sample_weight=None
):
    """Return the mean over classes of intersection over union.

    The pixels of a class in truth and prediction, as parts of those in either: scikit-learn's
    `jaccard_score` of all pixels in a row, computed from counts of one image after the other.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n, H, W) or (n, H, W, n_labels), or sequence of maps
        Masks of labels of any type, which may differ in size from image to image; or indicators
        of 0 and 1 for several labels a pixel.
    labels : array-like, default=None
        The classes, or of indicators the indices of those, that the mean is taken over. None:
        all that occur in `y_true` or `y_pred`.
    ignore_label : object, default=None
        Pixels of this value in `y_true` do not count.
    average : {"macro"} or None, default="macro"
        None returns the score of each class.
    sample_weight : array-like of shape (n,), default=None
        Weights of images.

    Returns
    -------
    float, or ndarray of shape (n_classes,)
        In [0, 1]. Of the classes in `labels` those that occur nowhere are NaN, and do not count in
        the mean.

    Raises
    ------
    ValueError
        If the maps differ in number or size, no pixel counts, or `average` is another word.

    Examples
    --------
    >>> from sklearn_cnn.metrics import mean_iou_score
    >>> mean_iou_score([[[0, 0, 1, 255]]], [[[0, 1, 1, 1]]], ignore_label=255)
    0.5
    """
    _check_average(average)
    counts = _count(y_true, y_pred, labels, ignore_label, sample_weight)
    return _averaged(counts.both, counts.true + counts.predicted - counts.both, average)


def dice_score(
    y_true, y_pred, *, labels=None, ignore_label=None, average="macro", sample_weight=None
):
    """Return the mean Dice coefficient of the classes: scikit-learn's `f1_score` of all pixels.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n, H, W) or (n, H, W, n_labels), or sequence of maps
        As in `mean_iou_score`.
    labels : array-like, default=None
        The classes that the mean is taken over. None: all that occur.
    ignore_label : object, default=None
        Pixels of this value in `y_true` do not count.
    average : {"macro"} or None, default="macro"
        None returns the score of each class.
    sample_weight : array-like of shape (n,), default=None
        Weights of images.

    Returns
    -------
    float, or ndarray of shape (n_classes,)
        In [0, 1]; NaN as in `mean_iou_score`.

    Raises
    ------
    ValueError
        If the maps differ in number or size, no pixel counts, or `average` is another word.
    """
    _check_average(average)
    counts = _count(y_true, y_pred, labels, ignore_label, sample_weight)
    return _averaged(2 * counts.both, counts.true + counts.predicted, average)


def pixel_accuracy_score(y_true, y_pred, *, ignore_label=None, sample_weight=None):
    """Return the share of pixels whose class is right; of several labels a pixel, of right ones.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n, H, W) or (n, H, W, n_labels), or sequence of maps
        As in `mean_iou_score`.
    ignore_label : object, default=None
        Pixels of this value in `y_true` do not count.
    sample_weight : array-like of shape (n,), default=None
        Weights of images.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        If the maps differ in number or size, or no pixel counts.
    """
    n_right = n_all = 0.0
    for true, predicted, weight in _Pairs(y_true, y_pred, sample_weight):
        counts = _counting(true, ignore_label)
        n_right += weight * np.count_nonzero((true == predicted) & counts)
        n_all += weight * np.count_nonzero(counts)
    return float(n_right / _not_zero(n_all))


class DepthScores(NamedTuple):
    """Scores of depth maps.

    Parameters
    ----------
    abs_rel : float
        Mean of absolute errors as parts of the true depth.
    rmse : float
        Root of the mean squared error, in the unit of y.
    delta_1 : float
        Share of pixels whose depth is less than 1.25 times the true one, and more than the true
        one divided by that.
    """

    abs_rel: float
    rmse: float
    delta_1: float


def depth_scores(y_true, y_pred, *, sample_weight=None):
    """Return how near predicted depths are to true ones.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n, H, W), or sequence of maps
        Depths; true ones are positive. Where the true ones are NaN, as where a sensor sees
        nothing, a pixel does not count.
    sample_weight : array-like of shape (n,), default=None
        Weights of images.

    Returns
    -------
    DepthScores

    Raises
    ------
    ValueError
        If the maps differ in number or size, no pixel counts, true depths are not positive, or
        predicted ones that count are NaN.
    """
    relative = squared = near = n_all = 0.0
    for row, (true, predicted, weight) in enumerate(_Pairs(y_true, y_pred, sample_weight)):
        known = ~np.isnan(true)
        true, predicted = true[known].astype(np.float64), predicted[known].astype(np.float64)
        if np.isnan(predicted).any():
            raise ValueError(
                f"y_pred[{row}] holds NaN where y_true has a depth. A pixel is left out where "
                "y_true is NaN."
            )
        if (true <= 0).any():
            raise ValueError(
                f"Depths are positive, but y_true holds {true.min():g}. Write NaN for pixels that "
                "have none."
            )
        errors = np.abs(predicted - true)
        relative += weight * (errors / true).sum()
        squared += weight * (errors**2).sum()
        near += weight * np.count_nonzero((predicted < _NEAR * true) & (true < _NEAR * predicted))
        n_all += weight * len(true)
    n_all = _not_zero(n_all)
    return DepthScores(float(relative / n_all), math.sqrt(squared / n_all), float(near / n_all))


class _Counts(NamedTuple):
    """Pixels of each class: in truth and prediction, in the truth, in the prediction."""

    both: np.ndarray
    true: np.ndarray
    predicted: np.ndarray


def _count(y_true, y_pred, labels, ignore_label, sample_weight):
    """Return the `_Counts` of the classes, as floats."""
    pairs = _Pairs(y_true, y_pred, sample_weight)
    if pairs.are_indicators:
        return _count_indicators(pairs, labels, ignore_label)
    labels = _labels_of(pairs, ignore_label) if labels is None else np.asarray(labels)
    order = np.argsort(labels, kind="stable")
    n = len(labels)
    confusion = np.zeros((n + 1, n + 1))
    for true, predicted, weight in pairs:
        counts = _counting(true, ignore_label)
        rows, columns = (_indices(mask[counts], labels[order]) for mask in (true, predicted))
        found = np.bincount(rows * (n + 1) + columns, minlength=(n + 1) ** 2)
        confusion += weight * found.reshape(n + 1, n + 1)
    _not_zero(np.sum(confusion))
    # back to the order of labels; what is none of them comes last, and only adds to the sums
    back = np.argsort(order)
    counted = (np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0))
    return _Counts(*(counts[:-1][back] for counts in counted))


def _count_indicators(pairs, labels, ignore_label):
    """Return the `_Counts` of indicators (H, W, n_labels) of 0 and 1."""
    both = true_ones = predicted_ones = np.zeros(1)
    n_all = 0.0
    for true, predicted, weight in pairs:
        counts = _counting(true, ignore_label)
        is_true, is_predicted = (true == 1) & counts, (predicted == 1) & counts
        both = both + weight * (is_true & is_predicted).sum(axis=(0, 1))
        true_ones = true_ones + weight * is_true.sum(axis=(0, 1))
        predicted_ones = predicted_ones + weight * is_predicted.sum(axis=(0, 1))
        n_all += weight * np.count_nonzero(counts)
    _not_zero(n_all)
    chosen = slice(None) if labels is None else np.asarray(labels)
    return _Counts(both[chosen], true_ones[chosen], predicted_ones[chosen])


def weights_of_images(y, sample_weight):
    """Return a weight for each image of y, or raise a ValueError."""
    if sample_weight is None:
        return np.ones(len(y))
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (len(y),):
        raise ValueError(
            f"sample_weight has shape {weights.shape}, but must have shape ({len(y)},), a weight "
            "for each image."
        )
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError("sample_weight holds numbers that are negative, infinite or NaN.")
    return weights


class _Pairs:
    """What goes through the images: truth, prediction and weight of each."""

    def __init__(self, y_true, y_pred, sample_weight):
        check_consistent_length(y_true, y_pred)
        self.y_true, self.y_pred = y_true, y_pred
        self.weights = weights_of_images(y_true, sample_weight)

    @property
    def are_indicators(self):
        """Whether a pixel has several labels, of 0 and 1."""
        return any(np.ndim(true) == 3 for true in self.y_true)

    def __iter__(self):
        triples = zip(self.y_true, self.y_pred, self.weights, strict=True)
        for index, (true, predicted, weight) in enumerate(triples):
            true, predicted = np.asarray(true), np.asarray(predicted)
            if true.ndim not in (2, 3) or true.shape != predicted.shape:
                raise ValueError(
                    "Maps have shape (H, W), or (H, W, n_labels), in truth as in prediction, but "
                    f"y_true[{index}] has {true.shape} and y_pred[{index}] {predicted.shape}."
                    f"{_advice(true)}"
                )
            if (true.dtype.kind == "U") != (predicted.dtype.kind == "U"):
                raise ValueError(
                    f"y_true[{index}] holds {true.dtype}, but y_pred[{index}] {predicted.dtype}: "
                    "bring both to text, or both to numbers."
                )
            yield true, predicted, weight


def _advice(true):
    """Return what to write instead of what is no map."""
    if true.ndim == 0:
        return (
            " Metrics take arrays: read files, [np.asarray(Image.open(file)) for file in y_true], "
            "or use the estimator's score, which reads them."
        )
    if true.ndim == 1:
        return " If y_true is one map, pass [y_true] and [y_pred]."
    return ""


def _counting(mask, ignore_label):
    """Return which entries of a true mask count."""
    return np.ones(mask.shape, dtype=bool) if ignore_label is None else mask != ignore_label


def _labels_of(pairs, ignore_label):
    """Return the classes that occur in pixels that count, sorted."""
    found: set = set()
    for true, predicted, _ in pairs:
        counts = _counting(true, ignore_label)
        found.update(_unique(true[counts]), _unique(predicted[counts]))
    return np.array(sorted(found))


def _unique(labels):
    if labels.dtype == np.uint8:
        # a count of 256 values is far faster than a sort
        return np.flatnonzero(np.bincount(labels)).tolist()
    return np.unique(labels).tolist()


def _indices(mask, labels):
    """Return the index of each pixel's class among sorted labels; their number for all others."""
    if len(labels) == 0:
        return np.zeros(mask.shape, dtype=np.intp)
    indices = np.searchsorted(labels, mask)
    nearest = labels[np.minimum(indices, len(labels) - 1)]
    return np.where(nearest == mask, indices, len(labels))


def _check_average(average):
    if average not in ("macro", None):
        raise ValueError(
            f'average must be "macro", the mean over classes, or None, a score for each class; got '
            f"{average!r}."
        )


def _averaged(part, whole, average):
    with np.errstate(invalid="ignore"):
        scores = part / whole
    if average is None:
        return scores
    occurring = scores[~np.isnan(scores)]
    if len(occurring) == 0:
        raise ValueError("None of the labels occurs in a pixel that counts: there is no score.")
    return float(occurring.mean())


def _not_zero(n_pixels):
    if n_pixels == 0:
        raise ValueError("No pixel of y_true counts: there is no score.")
    return n_pixels

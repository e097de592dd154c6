"""How honest probabilities are."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_array, check_scalar, column_or_1d
from sklearn.utils.validation import check_consistent_length

from sklearn_cnn.targets import check_classes

# How far probabilities of half precision may be from 1 in sum.
_TOLERANCE = 1e-3


def expected_calibration_error(
    y_true, y_proba, *, labels=None, ignore_label=None, n_bins=15, sample_weight=None
):
    """Return the expected calibration error: how far sureness is from accuracy [1]_.

    Samples are sorted into bins of equal width by their top probability. In each bin the mean of
    these is compared with the share of samples whose top class is right; the error is the mean of
    the differences, weighted by the samples in a bin.

    Parameters
    ----------
    y_true : array-like of shape (n,) or (n, H, W)
        Labels of any type, or masks of them, of which each pixel is a sample.
    y_proba : array-like of shape (n, n_classes), (n,), (n, H, W, n_classes) or (n, H, W)
        Probabilities as `predict_proba` returns them; without an axis of classes that of the
        second of two.
    labels : array-like of shape (n_classes,), default=None
        What the columns of `y_proba` stand for, an estimator's `classes_`, none twice. None: the
        labels in `y_true` that count, sorted.
    ignore_label : object, default=None
        Pixels of this value in masks do not count.
    n_bins : int, default=15
        Number of bins of [0, 1], at least 1; each includes its upper end.
    sample_weight : array-like of shape (n,), default=None
        Weights of the samples, or of the images of masks: not negative, and not all 0.

    Returns
    -------
    float
        In [0, 1], the lower the better. 0 of predictions that are right as often as they say.

    Raises
    ------
    ValueError
        If `y_proba` has another number of columns than there are labels, another size than the
        masks, holds what is no probability or rows that do not sum to 1 within 0.001, `y_true`
        holds None, NaN, text and numbers, or what is not among `labels`, no pixel counts, or
        `labels`, `n_bins` or `sample_weight` is wrong.
    TypeError
        If `n_bins` is no integer.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks",
       ICML 2017.

    Examples
    --------
    Two are predicted with 0.9, of which one is wrong.

    >>> from sklearn_cnn.metrics import expected_calibration_error
    >>> expected_calibration_error(["cat", "dog"], [[0.9, 0.1], [0.9, 0.1]])
    0.4
    """
    n_bins = check_scalar(n_bins, "n_bins", Integral, min_val=1)
    if np.ndim(y_true) == 3:
        y_true, y_proba, sample_weight = _pixels(y_true, y_proba, ignore_label, sample_weight)
    y_true = _labels(y_true, "y_true")
    y_proba = check_array(y_proba, ensure_2d=False, dtype=np.float64, input_name="y_proba")
    if y_proba.ndim == 1:
        y_proba = np.column_stack([1 - y_proba, y_proba])
    check_consistent_length(y_true, y_proba, sample_weight)
    labels = np.unique(y_true) if labels is None else _labels(labels, "labels")
    if len(set(labels.tolist())) < len(labels):
        raise ValueError(f"labels={labels.tolist()} names a label twice.")
    if y_proba.shape[1] != len(labels):
        raise ValueError(
            f"y_proba has {y_proba.shape[1]} columns, but there are {len(labels)} labels, "
            f"{labels.tolist()}. Say by labels= what the columns stand for."
        )
    if y_proba.min() < 0 or y_proba.max() > 1:
        raise ValueError(
            f"y_proba holds {y_proba.min():g} to {y_proba.max():g}, but probabilities are from 0 "
            "to 1. Pass what predict_proba returns."
        )
    sums = y_proba.sum(axis=1)
    if (off := np.abs(sums - 1)).max() > _TOLERANCE:
        raise ValueError(
            f"Row {off.argmax()} of y_proba sums to {sums[off.argmax()]:g}, but probabilities of "
            "one label out of several sum to 1. Pass what predict_proba returns."
        )
    if unknown := sorted(set(y_true.tolist()) - set(labels.tolist())):
        raise ValueError(f"y_true holds {unknown[0]!r}, which is not in labels={labels.tolist()}.")
    top = y_proba.max(axis=1)
    is_right = labels[y_proba.argmax(axis=1)] == y_true
    inner_edges = np.linspace(0, 1, n_bins + 1)[1:-1]
    bins = np.searchsorted(inner_edges, top)
    weights = np.ones(len(top)) if sample_weight is None else _weights(sample_weight)
    differences = np.bincount(bins, weights=weights * (is_right - top))
    return float(np.abs(differences).sum() / weights.sum())


def _labels(labels, name):
    """Return labels of one kind as an array."""
    if isinstance(labels, (list, tuple)):
        # NumPy would make text of the numbers
        labels = np.asarray(labels, dtype=object) if _are_mixed(labels) else labels
    labels = column_or_1d(check_classes(labels, name))
    if labels.dtype == object and _are_mixed(labels):
        raise ValueError(f"{name} holds text and other labels. Make all of them one type.")
    return labels


def _are_mixed(labels):
    """Say whether labels are text and something else."""
    return len({isinstance(label, str) for label in labels}) > 1


def _weights(sample_weight):
    """Return weights as an array; a ValueError if they make no mean."""
    weights = np.asarray(sample_weight, dtype=float)
    if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.max() > 0):
        raise ValueError(
            "sample_weight must hold finite weights that are not negative, and not all 0."
        )
    return weights


def _pixels(masks, y_proba, ignore_label, sample_weight):
    """Return labels, probabilities and weights of the pixels of masks that count."""
    check_consistent_length(masks, y_proba, sample_weight)
    masks, y_proba = np.asarray(masks), np.asarray(y_proba)
    if y_proba.ndim not in (3, 4) or y_proba.shape[:3] != masks.shape:
        raise ValueError(
            "Probabilities of masks have shape (n, H, W, n_classes), or (n, H, W) of the second "
            f"class, but y_true has shape {masks.shape} and y_proba {y_proba.shape}."
        )
    counts = np.ones(masks.shape, dtype=bool) if ignore_label is None else masks != ignore_label
    if not counts.any():
        raise ValueError(f"No pixel of y_true counts: all are ignore_label={ignore_label!r}.")
    if sample_weight is not None:
        weights = np.asarray(sample_weight, dtype=float)
        sample_weight = np.broadcast_to(weights[:, None, None], masks.shape)[counts]
    return masks[counts], y_proba[counts], sample_weight

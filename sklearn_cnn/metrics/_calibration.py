"""How honest probabilities are."""

import numpy as np
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.validation import check_consistent_length


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
        What the columns of `y_proba` stand for, an estimator's `classes_`. None: the labels in
        `y_true` that count, sorted.
    ignore_label : object, default=None
        Pixels of this value in masks do not count.
    n_bins : int, default=15
        Number of bins of [0, 1], at least 1; each includes its upper end.
    sample_weight : array-like of shape (n,), default=None
        Weights of the samples, or of the images of masks.

    Returns
    -------
    float
        In [0, 1], the lower the better. 0 of predictions that are right as often as they say.

    Raises
    ------
    ValueError
        If `y_proba` has another number of columns than there are labels, another size than the
        masks, or holds what is no probability, a label of `y_true` is not among `labels`, or no
        pixel counts.

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
    if np.ndim(y_true) == 3:
        y_true, y_proba, sample_weight = _pixels(y_true, y_proba, ignore_label, sample_weight)
    y_true = column_or_1d(y_true)
    y_proba = check_array(y_proba, ensure_2d=False, dtype=np.float64, input_name="y_proba")
    if y_proba.ndim == 1:
        y_proba = np.column_stack([1 - y_proba, y_proba])
    check_consistent_length(y_true, y_proba, sample_weight)
    labels = np.unique(y_true) if labels is None else column_or_1d(labels)
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
    if unknown := sorted(set(y_true.tolist()) - set(labels.tolist())):
        raise ValueError(f"y_true holds {unknown[0]!r}, which is not in labels={labels.tolist()}.")
    top = y_proba.max(axis=1)
    is_right = labels[y_proba.argmax(axis=1)] == y_true
    inner_edges = np.linspace(0, 1, n_bins + 1)[1:-1]
    bins = np.searchsorted(inner_edges, top)
    weights = np.ones(len(top)) if sample_weight is None else np.asarray(sample_weight, float)
    differences = np.bincount(bins, weights=weights * (is_right - top))
    return float(np.abs(differences).sum() / weights.sum())


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

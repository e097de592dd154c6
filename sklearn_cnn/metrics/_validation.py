"""What is scored on validation images: metrics of raw outputs, and scorers of scikit-learn's."""

import math
from collections.abc import Callable
from functools import partial
from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import (
    accuracy_score,
    d2_pinball_score,
    get_scorer,
    get_scorer_names,
    make_scorer,
    r2_score,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length

from sklearn_cnn._compat import scorer_traits
from sklearn_cnn.metrics._maps import (
    depth_scores,
    dice_score,
    mean_iou_score,
    pixel_accuracy_score,
    weights_of_images,
)
from sklearn_cnn.runtime.suggestions import did_you_mean
from sklearn_cnn.targets import Continuous, MultiLabel


class Metric(NamedTuple):
    """A score of outputs; higher is better.

    Parameters
    ----------
    name : str
        As figures call it.
    score : callable or None
        Maps encoded targets, raw outputs and weights of samples, or None, to a number. None: the
        loss with its sign changed.
    """

    name: str
    score: Callable | None


NEGATIVE_LOSS = Metric("negative loss", None)

# Names of scores of masks, beside scikit-learn's.
_OF_MASKS = {
    "mean_iou": mean_iou_score,
    "dice": dice_score,
    "pixel_accuracy": pixel_accuracy_score,
}


def neg_abs_rel(y_true, y_pred, *, sample_weight=None):
    """Return the mean relative error of depth maps with its sign changed."""
    return -depth_scores(y_true, y_pred, sample_weight=sample_weight).abs_rel


def delta_1(y_true, y_pred, *, sample_weight=None):
    """Return the share of pixels whose depth is within a factor of 1.25."""
    return depth_scores(y_true, y_pred, sample_weight=sample_weight).delta_1


# Names of scores of maps of numbers.
_OF_MAPS = {"neg_abs_rel": neg_abs_rel, "delta_1": delta_1}


def find_scorer(scoring, ignore_label=None):
    """Return the scorer that a value of `scoring=` stands for: ours for maps, or scikit-learn's.

    Parameters
    ----------
    scoring : str or callable
    ignore_label : object, default=None
        Pixels of this value in true masks do not count.
    """
    if isinstance(scoring, str) and scoring in _OF_MASKS:
        return make_scorer(_OF_MASKS[scoring], ignore_label=ignore_label)
    if isinstance(scoring, str) and scoring in _OF_MAPS:
        return make_scorer(_OF_MAPS[scoring])
    return get_scorer(scoring)


def accuracy(target, is_weighted=False):
    """Return the accuracy of labels, of multilabel targets that of the whole subset.

    Parameters
    ----------
    target : SingleLabel or MultiLabel
    is_weighted : bool, default=False
        Whether weights of classes are among those of the samples, which its name says.
    """

    def score(encoded, outputs, sample_weight):
        predicted = target.decode_indices(outputs)
        return accuracy_score(encoded, predicted, sample_weight=sample_weight)

    kind = "subset accuracy" if isinstance(target, MultiLabel) else "accuracy"
    return Metric(f"weighted {kind}" if is_weighted else kind, score)


def mean_iou(target):
    """Return the mean over classes of intersection over union, of a class for each pixel.

    Parameters
    ----------
    target : PixelClasses or PixelLabels
    """

    def score(encoded, indices, sample_weight):
        return mean_iou_score(
            *(target.as_masks(encoded), indices),
            ignore_label=target.uncounted,
            sample_weight=sample_weight,
        )

    return Metric("mean IoU", score)


def r2():
    """Return the coefficient of determination."""
    return Metric("R²", r2_of_known)


def r2_of_pixels():
    """Return the coefficient of determination of maps."""
    return Metric("R²", r2_of_maps)


def r2_of_maps(y, outputs, sample_weight=None):
    """Return R² over all pixels that are not NaN: the mean over the numbers of a pixel.

    One that no pixel holds does not count.

    Parameters
    ----------
    y, outputs : ndarray of shape (n, H, W, k)
    sample_weight : array-like of shape (n,) or None
        Weights of the images.

    Raises
    ------
    ValueError
        If no pixel of weight counts.
    """
    check_consistent_length(y, outputs)
    weights = weights_of_images(y, sample_weight)

    def total(function):
        """Return the weighted sum of a function of truth and output, one image after another."""
        of_images = (
            w * np.nansum(function(true.astype(float), output), axis=(0, 1))
            for w, true, output in zip(weights, y, outputs, strict=True)
        )
        return sum(of_images)

    n_known = total(lambda true, _: ~np.isnan(true))
    if not n_known.any():
        raise ValueError("No pixel of y counts: there is no score.")
    mean = total(lambda true, _: true) / np.where(n_known > 0, n_known, 1)
    spread = total(lambda true, _: (true - mean) ** 2)
    errors = total(lambda true, output: (true - output) ** 2)
    explained = 1 - errors / np.where(spread > 0, spread, 1)
    # of what is constant as scikit-learn has it
    return float(np.where(spread > 0, explained, errors == 0)[n_known > 0].mean())


def r2_of_known(y, outputs, sample_weight=None):
    """Return R² of the numbers of y that are not NaN: the mean over its columns."""
    return _of_known(r2_score, y, outputs, sample_weight)


def d2_pinball(quantile):
    """Return the share of the pinball loss that is explained, of several quantiles the mean.

    R² would prefer the mean to the quantile that is asked for.
    """

    def score(encoded, outputs, sample_weight):
        if isinstance(quantile, Real):
            d2 = partial(d2_pinball_score, alpha=quantile)
            return _of_known(d2, encoded, outputs, sample_weight)
        return mean_d2_pinball(encoded, np.sort(outputs, axis=1), quantile, sample_weight)

    return Metric("D² of the pinball loss", score)


def _of_known(score, y, outputs, sample_weight):
    """Return a score of the numbers of y that are not NaN, as the mean over its columns.

    A column counts if it holds two of them: a single one has no spread, which scores divide by.
    """
    known = ~np.isnan(y)
    if known.all():
        return score(y, outputs, sample_weight=sample_weight)
    check_consistent_length(y, outputs, sample_weight)
    columns = np.flatnonzero(known.sum(axis=0) >= 2)
    if len(columns) == 0:
        raise ValueError("No column of y holds two numbers that are not NaN: there is no score.")
    weights = None if sample_weight is None else np.asarray(sample_weight)

    def of_column(column):
        rows = known[:, column]
        of_rows = None if weights is None else weights[rows]
        return score(y[rows, column], outputs[rows, column], sample_weight=of_rows)

    return float(np.mean([of_column(column) for column in columns]))


def mean_d2_pinball(y, predicted, quantiles, sample_weight=None):
    """Return the mean D² of the pinball loss over quantiles, of which each has a column."""
    of_each = [
        d2_pinball_score(y, column, sample_weight=sample_weight, alpha=quantile)
        for column, quantile in zip(predicted.T, quantiles, strict=True)
    ]
    return float(np.mean(of_each))


def metric_of_scorer(scoring, target, y_true, has_probabilities, is_weighted=False):
    """Return what a scorer says of outputs, in the user's classes and units.

    Parameters
    ----------
    scoring : str or callable
        A scorer, or its name; see `check_scoring`.
    target : SingleLabel, MultiLabel or Continuous
        What decodes outputs.
    y_true : ndarray of shape (n, ...)
        What is true of the samples that will be scored; None where the name alone is asked for.
    has_probabilities : bool
        Whether probabilities follow from the outputs.
    is_weighted : bool, default=False
        Whether weights of classes are among those of the samples, which its name says where the
        scorer takes them.
    """
    scorer = find_scorer(scoring, getattr(target, "ignore_label", None))
    traits = scorer_traits(scorer)
    name = scoring if isinstance(scoring, str) else traits.name
    estimator: type = _Regressor if isinstance(target, Continuous) else _Classifier

    def score(encoded, outputs, sample_weight):
        answers = estimator(target, outputs, has_probabilities)
        is_given = traits.takes_weights and sample_weight is not None
        weights = {"sample_weight": sample_weight} if is_given else {}
        try:
            return float(scorer(answers, np.arange(len(encoded)), y_true, **weights))
        except Exception as error:
            raise ValueError(
                f"scoring={scoring!r} cannot score the validation set, of {len(encoded)} images: "
                f"{error}{_advice(target)}"
            ) from error

    return Metric(f"weighted {name}" if is_weighted and traits.takes_weights else name, score)


def _advice(target):
    """Return what else there is for a value for each pixel."""
    if not target.is_map:
        return ""
    names = map(repr, _OF_MAPS if isinstance(target, Continuous) else _OF_MASKS)
    return f" Of a value for each pixel there are None, {', '.join(names)}."


def try_metric(metric, encoded, outputs, sample_weight):
    """Raise a ValueError if a metric is not defined for a validation set.

    Parameters
    ----------
    metric : Metric
    encoded : ndarray of shape (n, ...)
    outputs : ndarray of shape (n, n_outputs)
        Some that a network may have.
    sample_weight : ndarray of shape (n,) or None
    """
    if metric.score is None or math.isfinite(metric.score(encoded, outputs, sample_weight)):
        return
    raise ValueError(
        f"scoring: {metric.name} is not defined for a validation set of these {len(encoded)} "
        "images. Pass more as X_val and y_val, raise validation_fraction, or choose another score."
    )


def check_scoring(scoring, responses, of_numbers=False):
    """Raise if `scoring=` is no scorer, or one that asks for what an estimator does not answer.

    Parameters
    ----------
    scoring : str, callable or None
    responses : collection of str
        The methods by which the estimator answers.
    of_numbers : bool, default=False
        Whether it predicts numbers, and not labels.

    Raises
    ------
    ValueError
        With what to write instead.
    """
    if scoring is None or scoring == "loss":
        return
    names = ["loss", *get_scorer_names(), *_OF_MASKS, *_OF_MAPS]
    if isinstance(scoring, str) and scoring not in names:
        question = did_you_mean(scoring, names)
        raise ValueError(
            f"scoring={scoring!r} is no scorer's name.{question} Write None, 'loss', a name out of "
            f"sklearn.metrics.get_scorer_names(), of masks {', '.join(map(repr, _OF_MASKS))}, of "
            f"maps of numbers {', '.join(map(repr, _OF_MAPS))}, or a function of (estimator, X, y)."
        )
    fitting, others = (_OF_MAPS, _OF_MASKS) if of_numbers else (_OF_MASKS, _OF_MAPS)
    if isinstance(scoring, str) and scoring in others:
        what = "masks, which CNNClassifier" if of_numbers else "maps of numbers, which CNNRegressor"
        raise ValueError(
            f"scoring={scoring!r} is for {what} predicts. For a value for each pixel there are "
            f"{sorted(fitting)} here."
        )
    module = str(getattr(scoring, "__module__", ""))
    is_metric = module.startswith(("sklearn.metrics.", "sklearn_cnn.metrics."))
    if is_metric and not hasattr(scoring, "_score_func"):
        raise ValueError(
            f"scoring={scoring.__name__} is a function of predictions, not of an estimator: write "
            f"scoring=make_scorer({scoring.__name__}), from sklearn.metrics."
        )
    asked = scorer_traits(find_scorer(scoring)).response_methods
    if asked and not set(asked) & set(responses):
        raise ValueError(
            f"scoring={scoring!r} asks for {' or '.join(asked)}, and this estimator with its loss "
            f"has {', '.join(responses)} alone. Choose another score or another loss."
        )


class _Answers(BaseEstimator):
    """What a fitted estimator answers whose outputs are there; X are numbers of their rows."""

    def __init__(self, target, outputs, has_probabilities):
        self.target = target
        self.outputs = outputs
        self.has_probabilities = has_probabilities

    def predict(self, X):
        return self.target.decode(self.outputs[np.asarray(X)])


class _Regressor(RegressorMixin, _Answers):
    """That of a regressor."""


class _Classifier(ClassifierMixin, _Answers):
    """That of a classifier."""

    @property
    def classes_(self):
        """The classes; of several labels absence and presence of each, as a list."""
        several = isinstance(self.target, MultiLabel)
        return [np.arange(2)] * self.target.n_outputs if several else self.target.classes

    def decision_function(self, X):
        return self.target.decision(self.outputs[np.asarray(X)])

    @available_if(lambda self: self.has_probabilities)
    def predict_proba(self, X):
        return self.target.probabilities(self.outputs[np.asarray(X)])

"""What is scored on validation images: scikit-learn's metrics of raw outputs."""

from collections.abc import Callable
from typing import NamedTuple

from sklearn.metrics import accuracy_score, d2_pinball_score, r2_score

from sklearn_cnn.targets import MultiLabel


class Metric(NamedTuple):
    """A score of outputs; higher is better.

    Parameters
    ----------
    name : str
        As figures call it.
    score : callable
        Maps encoded targets, raw outputs and weights of samples, or None, to a number.
    """

    name: str
    score: Callable


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


def r2():
    """Return the coefficient of determination."""
    return Metric("R²", lambda y, outputs, weight: r2_score(y, outputs, sample_weight=weight))


def d2_pinball(quantile):
    """Return the share of the pinball loss that is explained.

    R² would prefer the mean to the quantile that is asked for.
    """

    def score(encoded, outputs, sample_weight):
        return d2_pinball_score(encoded, outputs, sample_weight=sample_weight, alpha=quantile)

    return Metric("D² of the pinball loss", score)

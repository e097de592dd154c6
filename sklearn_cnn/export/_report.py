"""What an export says of itself: size, difference from the estimator, what rounding costs."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sklearn_cnn.export._module import labels_of
from sklearn_cnn.targets import Continuous


@dataclass(frozen=True)
class OnnxReport:
    """How an ONNX file compares with the estimator that it was made of.

    Parameters
    ----------
    precision : {"float32", "float16", "int8"}
    n_bytes : int
        Size of the file.
    n_images : int
        Images that both were asked about.
    difference : float
        Largest difference: in probability; for labels the share of images, or pixels, with another
        one; else in standard deviations of y, or in the typical size (root mean square) of the
        answers.
    unit : str
        What the difference is measured in.
    agreement : float or None
        Share of images, or pixels, that get the same label; None of numbers and features.
    score, estimator_score : float or None
        That of the method `score`, of the file and of the estimator, where y was given.
    is_map : bool, default=False
        Whether each pixel has an answer.
    """

    precision: str
    n_bytes: int
    n_images: int
    difference: float
    unit: str
    agreement: float | None
    score: float | None
    estimator_score: float | None
    is_map: bool = False

    def __str__(self):
        parts = [f"{self.precision}: {self.n_bytes / 1e6:.2f} MB"]
        parts.append(f"largest difference {self.difference:.2g} {self.unit}")
        if self.agreement is not None:
            of_what = "the pixels of " * self.is_map
            parts.append(f"same label for {self.agreement:.2%} of {of_what}{self.n_images} images")
        if self.score is not None:
            parts.append(f"score {self.score:.4f}, of the estimator {self.estimator_score:.4f}")
        return "; ".join(parts)


class Expected(NamedTuple):
    """What the estimator answers, and what follows from it."""

    answers: np.ndarray
    # None of features, which have none
    labels: np.ndarray | None
    # None where no truth was given
    score: float | None


def expect(answers, score_of, target, output):
    """Return the `Expected` of the estimator's answers; raise what `score_of` does.

    Parameters are those of `compare`.
    """
    labels = None if output == "transform" else labels_of(answers, target, output)
    return Expected(answers, labels, None if score_of is None else float(score_of(labels)))


def compare(answers, expected, score_of, target, output, precision, n_bytes):
    """Return the report on the answers of a file.

    Parameters
    ----------
    answers : ndarray of shape (n,), (n, k), (n, H, W) or (n, H, W, k)
        Of the file.
    expected : Expected
    score_of : callable or None
        Maps labels, or numbers, to the estimator's score; None where no truth is known.
    target : SingleLabel, MultiLabel or Continuous
    output : str
        The method that answers.
    precision : str
    n_bytes : int

    Returns
    -------
    OnnxReport
    """
    difference, unit = _difference(answers, expected.answers, target, output)
    agreement = score = None
    if output != "transform":
        labels = labels_of(answers, target, output)
        if not isinstance(target, Continuous):
            agreement = 1 - _share_of_others(labels, expected.labels, target.is_map)
        if score_of is not None:
            score = float(score_of(labels))
    return OnnxReport(
        precision,
        n_bytes,
        len(answers),
        difference,
        unit,
        agreement,
        score,
        expected.score,
        target.is_map,
    )


def _difference(answers, expected, target, output):
    if output == "predict" and not isinstance(target, Continuous):
        return _share_of_others(answers, expected, target.is_map), "of the labels"
    largest = np.abs(answers - expected)
    if output == "predict_proba":
        return float(largest.max()), "in probability"
    if output == "predict":
        return float((largest / target.scale).max()), "standard deviations of y"
    typical = np.sqrt(np.mean(np.square(expected, dtype=np.float64)))
    return float(largest.max() / (typical or 1.0)), "of the typical answer"


def _share_of_others(labels, known, is_map):
    """Return the share of images, or of entries of maps, whose labels are not the known ones."""
    is_other = labels != known
    return float(np.mean(is_other if is_map or is_other.ndim == 1 else is_other.any(axis=1)))

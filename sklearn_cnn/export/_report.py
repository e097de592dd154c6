"""What an export says of itself: size, difference from the estimator, what rounding costs."""

import math
from dataclasses import dataclass

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


def score_by(score_of, answers, target, output):
    """Return the score of answers; raise what `score_of` does.

    Parameters are those of `compare`.
    """
    if score_of is None:
        return None
    labels = [labels_of(of_batch, target, output) for of_batch in answers]
    return float(score_of(np.concatenate(labels)))


def compare(pairs, score_of, estimator_score, target, output, precision, n_bytes):
    """Return the report on the answers of a file.

    Parameters
    ----------
    pairs : iterable of (ndarray, ndarray)
        Answers of the file and of the estimator, of shape (b,), (b, k), (b, H, W) or (b, H, W, k),
        batch by batch: those for each pixel of all images would fill a memory.
    score_of : callable or None
        Maps labels, or numbers, to the estimator's score; None where no truth is known.
    estimator_score : float or None
    target : SingleLabel, MultiLabel or Continuous
    output : str
        The method that answers.
    precision : str
    n_bytes : int

    Returns
    -------
    OnnxReport
    """
    have_labels = output != "transform" and not isinstance(target, Continuous)
    are_labels = have_labels and output == "predict"
    are_other, labels, n_images = [], [], 0
    largest, squares, n_values = 0.0, 0.0, 0
    for answers, expected in pairs:
        n_images += len(answers)
        if score_of is not None:
            labels.append(labels_of(answers, target, output))
        if have_labels:
            found, known = (labels_of(of_one, target, output) for of_one in (answers, expected))
            are_other.append(_are_other(found, known, target.is_map))
        if not are_labels:
            scale = target.scale if output == "predict" else 1.0
            largest = max(largest, float((np.abs(answers - expected) / scale).max()))
            squares += float(np.square(expected, dtype=np.float64).sum())
            n_values += expected.size
    share_of_others = float(np.concatenate(are_other).mean()) if have_labels else 0.0
    if are_labels:
        difference, unit = share_of_others, "of the labels"
    elif output == "predict_proba":
        difference, unit = largest, "in probability"
    elif output == "predict":
        difference, unit = largest, "standard deviations of y"
    else:
        difference, unit = largest / (math.sqrt(squares / n_values) or 1.0), "of the typical answer"
    return OnnxReport(
        precision,
        n_bytes,
        n_images,
        difference,
        unit,
        1 - share_of_others if have_labels else None,
        None if score_of is None else float(score_of(np.concatenate(labels))),
        estimator_score,
        target.is_map,
    )


def _are_other(labels, known, is_map):
    """Return of images, or of entries of maps, whether their labels are not the known ones."""
    is_other = labels != known
    return is_other if is_map or is_other.ndim == 1 else is_other.any(axis=1)

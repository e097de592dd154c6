"""Scores beside scikit-learn's: of probabilities, and of a value for each pixel."""

from sklearn_cnn.metrics._calibration import expected_calibration_error
from sklearn_cnn.metrics._maps import (
    DepthScores,
    depth_scores,
    dice_score,
    mean_iou_score,
    pixel_accuracy_score,
)

__all__ = [
    "DepthScores",
    "depth_scores",
    "dice_score",
    "expected_calibration_error",
    "mean_iou_score",
    "pixel_accuracy_score",
]

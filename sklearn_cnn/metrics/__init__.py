"""What predictions of a value for each pixel are scored by, beside scikit-learn's metrics."""

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
    "mean_iou_score",
    "pixel_accuracy_score",
]

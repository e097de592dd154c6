"""Losses: those of scikit-learn's names, torch's where they fit, and weights of samples."""

from sklearn_cnn.losses._maps import (
    DiceAndLogLoss,
    DiceLoss,
    FocalLoss,
    ScaleInvariantLogLoss,
)
from sklearn_cnn.losses._values import (
    NUMBERS,
    ONE_LABEL,
    SEVERAL_LABELS,
    BinaryHingeLoss,
    BinaryLogLoss,
    MapLoss,
    MixedTargets,
    QuantileLoss,
    WeightedLoss,
    check_label_smoothing,
    check_loss,
    check_quantile,
    has_probabilities,
    resolve_loss,
)

__all__ = [
    "NUMBERS",
    "ONE_LABEL",
    "SEVERAL_LABELS",
    "BinaryHingeLoss",
    "BinaryLogLoss",
    "DiceAndLogLoss",
    "DiceLoss",
    "FocalLoss",
    "MapLoss",
    "MixedTargets",
    "QuantileLoss",
    "ScaleInvariantLogLoss",
    "WeightedLoss",
    "check_label_smoothing",
    "check_loss",
    "check_quantile",
    "has_probabilities",
    "resolve_loss",
]

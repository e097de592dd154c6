"""From y to tensors and back: each kind of target owns its losses and its decoding."""

from sklearn_cnn.targets._checks import (
    as_array,
    check_class_weight,
    check_classes,
    check_numbers,
    unique_classes,
    warn_if_one_hot,
    warn_of_rare_classes,
)
from sklearn_cnn.targets._maps import PixelClasses, PixelNumbers, pixel_classes
from sklearn_cnn.targets._values import (
    Continuous,
    MultiLabel,
    Quantiles,
    SingleLabel,
    classification_target,
)

__all__ = [
    "Continuous",
    "MultiLabel",
    "PixelClasses",
    "PixelNumbers",
    "Quantiles",
    "SingleLabel",
    "as_array",
    "check_class_weight",
    "check_classes",
    "check_numbers",
    "classification_target",
    "pixel_classes",
    "unique_classes",
    "warn_if_one_hot",
    "warn_of_rare_classes",
]

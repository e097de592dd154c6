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
from sklearn_cnn.targets._maps import (
    PixelClasses,
    PixelNumbers,
    check_ignore_label,
    pixel_classes,
    refuse_padding,
)
from sklearn_cnn.targets._pixel_labels import (
    PixelLabels,
    has_several_labels,
    warn_if_each_pixel_has_one,
)
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
    "PixelLabels",
    "PixelNumbers",
    "Quantiles",
    "SingleLabel",
    "as_array",
    "check_class_weight",
    "check_classes",
    "check_ignore_label",
    "check_numbers",
    "classification_target",
    "has_several_labels",
    "pixel_classes",
    "refuse_padding",
    "unique_classes",
    "warn_if_each_pixel_has_one",
    "warn_if_one_hot",
    "warn_of_rare_classes",
]

"""Augmentation: images changed at random in training, on the device, in whole batches."""

from sklearn_cnn.augmentation._augmentation import Augmentation
from sklearn_cnn.augmentation._presets import (
    as_augmentation,
    available_augmentations,
    resolve_automatic,
    with_parameters,
)
from sklearn_cnn.augmentation._steps import augmentation_step, check_kind_of_y, why_not_resized
from sklearn_cnn.augmentation._test_time import flip_average

__all__ = [
    "Augmentation",
    "as_augmentation",
    "augmentation_step",
    "available_augmentations",
    "check_kind_of_y",
    "flip_average",
    "resolve_automatic",
    "why_not_resized",
    "with_parameters",
]

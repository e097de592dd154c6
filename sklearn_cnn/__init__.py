"""Convolutional networks as scikit-learn estimators."""

from importlib import import_module
from typing import TYPE_CHECKING

from sklearn_cnn._classifier import CNNClassifier
from sklearn_cnn._features import CNNFeatures
from sklearn_cnn._regressor import CNNRegressor
from sklearn_cnn._version import __version__  # noqa: F401
from sklearn_cnn.architectures import (
    Architecture,
    ConvNet,
    Finetuned,
    ResNet,
    TimmModel,
    TorchModule,
    TorchvisionModel,
    UNet,
    available_architectures,
    register_architecture,
    summary,
)
from sklearn_cnn.augmentation import Augmentation, available_augmentations
from sklearn_cnn.images import (
    ImageReader,
    find_broken,
    load_image_folder,
    load_image_table,
    unpack_dataset,
)

if TYPE_CHECKING:
    from sklearn_cnn.model_selection import CachedEstimator
    from sklearn_cnn.plots import (
        AttributionDisplay,
        LearningRateFinderDisplay,
        PredictionErrorDisplay,
        PredictionsDisplay,
        TrainingCurveDisplay,
    )

__all__ = [
    "Architecture",
    "AttributionDisplay",
    "Augmentation",
    "CNNClassifier",
    "CNNFeatures",
    "CNNRegressor",
    "CachedEstimator",
    "ConvNet",
    "Finetuned",
    "ImageReader",
    "LearningRateFinderDisplay",
    "PredictionErrorDisplay",
    "PredictionsDisplay",
    "ResNet",
    "TimmModel",
    "TorchModule",
    "TorchvisionModel",
    "TrainingCurveDisplay",
    "UNet",
    "available_architectures",
    "available_augmentations",
    "find_broken",
    "load_image_folder",
    "load_image_table",
    "register_architecture",
    "summary",
    "unpack_dataset",
]

_PUBLIC_MODULES = [
    "architectures",
    "augmentation",
    "inspection",
    "metrics",
    "model_selection",
    "plots",
]
# Imported when they are asked for: training needs neither.
_MODULES_OF_LATER_NAMES = {
    "AttributionDisplay": "plots",
    "CachedEstimator": "model_selection",
    "LearningRateFinderDisplay": "plots",
    "PredictionErrorDisplay": "plots",
    "PredictionsDisplay": "plots",
    "TrainingCurveDisplay": "plots",
}


def __getattr__(name):
    if name in _PUBLIC_MODULES:
        return import_module(f"sklearn_cnn.{name}")
    if name in _MODULES_OF_LATER_NAMES:
        return getattr(import_module(f"sklearn_cnn.{_MODULES_OF_LATER_NAMES[name]}"), name)
    raise AttributeError(f"module 'sklearn_cnn' has no attribute {name!r}")


def __dir__():
    # rooms of the inside are attributes too, since Python sets what is imported
    return [*__all__, *_PUBLIC_MODULES, "__version__"]

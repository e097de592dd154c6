"""Convolutional networks as scikit-learn estimators."""

from sklearn_cnn._classifier import CNNClassifier
from sklearn_cnn._features import CNNFeatures
from sklearn_cnn._regressor import CNNRegressor
from sklearn_cnn._version import __version__  # noqa: F401
from sklearn_cnn.augmentation import Augmentation, available_augmentations
from sklearn_cnn.images import ImageReader, load_image_folder, unpack_dataset

__all__ = [
    "Augmentation",
    "CNNClassifier",
    "CNNFeatures",
    "CNNRegressor",
    "ImageReader",
    "available_augmentations",
    "load_image_folder",
    "unpack_dataset",
]

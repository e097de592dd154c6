"""Convolutional networks as scikit-learn estimators."""

from sklearn_cnn._classifier import CNNClassifier
from sklearn_cnn._regressor import CNNRegressor
from sklearn_cnn.images import ImageReader, load_image_folder, unpack_dataset
from sklearn_cnn.training.augmentation import Augmentation, available_augmentations

__all__ = [
    "Augmentation",
    "CNNClassifier",
    "CNNRegressor",
    "ImageReader",
    "available_augmentations",
    "load_image_folder",
    "unpack_dataset",
]
__version__ = "0.1.0"

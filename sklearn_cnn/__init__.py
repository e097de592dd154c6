"""Convolutional networks as scikit-learn estimators."""

from sklearn_cnn._classifier import CNNClassifier
from sklearn_cnn._regressor import CNNRegressor
from sklearn_cnn.training.augmentation import Augmentation, available_augmentations

__all__ = ["Augmentation", "CNNClassifier", "CNNRegressor", "available_augmentations"]
__version__ = "0.1.0"

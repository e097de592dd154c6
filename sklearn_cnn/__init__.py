"""Convolutional networks as scikit-learn estimators."""

from sklearn_cnn._classifier import CNNClassifier
from sklearn_cnn._regressor import CNNRegressor

__all__ = ["CNNClassifier", "CNNRegressor"]
__version__ = "0.1.0"

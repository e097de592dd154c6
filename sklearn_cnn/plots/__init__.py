"""Figures of what a network learned and where it errs, as scikit-learn's Display classes."""

from sklearn_cnn.plots._attributions import AttributionDisplay
from sklearn_cnn.plots._learning_rate_finder import LearningRateFinderDisplay
from sklearn_cnn.plots._prediction_error import PredictionErrorDisplay
from sklearn_cnn.plots._predictions import PredictionsDisplay
from sklearn_cnn.plots._training_curve import TrainingCurveDisplay

__all__ = [
    "AttributionDisplay",
    "LearningRateFinderDisplay",
    "PredictionErrorDisplay",
    "PredictionsDisplay",
    "TrainingCurveDisplay",
]

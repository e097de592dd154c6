"""Figures of what a network learned and where it errs, as scikit-learn's Display classes."""

from sklearn_cnn.plots._predictions import PredictionsDisplay
from sklearn_cnn.plots._training_curve import TrainingCurveDisplay

__all__ = ["PredictionsDisplay", "TrainingCurveDisplay"]

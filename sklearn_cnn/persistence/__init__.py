"""Fitted estimators as files that anyone may have written: safetensors and JSON, no code."""

from sklearn_cnn.persistence._estimator import dumps, load_estimator, loads, save_estimator

__all__ = ["dumps", "load_estimator", "loads", "save_estimator"]

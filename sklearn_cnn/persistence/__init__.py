"""Fitted estimators as files that anyone may have written: safetensors and JSON, no code."""

from sklearn_cnn.persistence._estimator import (
    dumps,
    is_built_from_a_file,
    load_estimator,
    loads,
    save_estimator,
)

__all__ = ["dumps", "is_built_from_a_file", "load_estimator", "loads", "save_estimator"]

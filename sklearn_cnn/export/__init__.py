"""Fitted estimators for other programs: plain modules of torch, and ONNX."""

from sklearn_cnn.export._module import OUTPUTS, exported_module
from sklearn_cnn.export._onnx import (
    noise_like,
    onnx_options,
    warn_of_calibration,
    write_onnx,
)
from sklearn_cnn.export._report import OnnxReport

__all__ = [
    "OUTPUTS",
    "OnnxReport",
    "exported_module",
    "noise_like",
    "onnx_options",
    "warn_of_calibration",
    "write_onnx",
]

"""Fitted estimators as files that anyone may have written: safetensors and JSON, no code."""

from sklearn_cnn.architectures._finetuned import set_network_reader
from sklearn_cnn.persistence._estimator import (
    dumps,
    load_estimator,
    load_network,
    loads,
    save_estimator,
)
from sklearn_cnn.persistence._network import is_built_from_a_file

__all__ = ["dumps", "is_built_from_a_file", "load_estimator", "loads", "save_estimator"]

# the architectures are below this room, and so are told how a saved network is read
set_network_reader(load_network)

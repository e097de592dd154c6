"""Whether two values of a parameter mean the same."""

import functools
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator


def is_same(first: Any, second: Any):
    """Say whether two parameters are the same by value.

    Sequences are compared by their entries, whatever their type; objects with parameters and
    partial functions by what they are made of; modules of torch and frozen estimators by identity.

    Returns
    -------
    bool
    """
    if first is second:
        return True
    if isinstance(first, (list, tuple, range)) and isinstance(second, (list, tuple, range)):
        return len(first) == len(second) and all(map(is_same, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(is_same(first[k], second[k]) for k in first)
    if isinstance(first, (np.ndarray, torch.Tensor)) or isinstance(second, np.ndarray):
        return type(first) is type(second) and np.array_equal(np.asarray(first), np.asarray(second))
    if type(first) is type(second) and isinstance(first, functools.partial):
        parts = [(part.func, part.args, part.keywords) for part in (first, second)]
        return is_same(*parts)
    if isinstance(first, FrozenEstimator):
        return False  # what it has learned is no parameter
    if type(first) is type(second) and isinstance(first, BaseEstimator):
        return is_same(first.get_params(deep=False), second.get_params(deep=False))
    return bool(first == second)

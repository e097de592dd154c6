"""Warnings that point at the line of the user's that they are about."""

import inspect
import os
import warnings

_OURS = os.path.dirname(os.path.dirname(__file__)) + os.sep


def warn(message, category=UserWarning):
    """Warn as if by whoever called this package.

    Methods call each other at many depths, and between them stand decorators of scikit-learn's and
    of contextlib: no fixed `stacklevel` would do.

    Parameters
    ----------
    message : str
    category : type, default=UserWarning
    """
    frame, level, level_of_caller = inspect.currentframe(), 1, 1
    while frame is not None:
        if frame.f_code.co_filename.startswith(_OURS):
            level_of_caller = level + 1
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level_of_caller)

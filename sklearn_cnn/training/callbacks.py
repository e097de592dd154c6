"""skorch's callbacks: which of them are refused, and how they are copied."""

import copy

from skorch import callbacks as skorch_callbacks
from skorch.callbacks import Callback

# What asks of skorch's own loop what ours does not do, and what to write instead.
_INSTEAD = {
    skorch_callbacks.EarlyStopping: "Write early_stopping=True instead, with n_iter_no_change as "
    "its patience and tol as its threshold.",
    skorch_callbacks.ProgressBar: "Write verbose=1 instead.",
    skorch_callbacks.PrintLog: "Write verbose=1 instead; the figures of each epoch are in "
    "history_ too.",
    **dict.fromkeys(
        (
            skorch_callbacks.EpochScoring,
            skorch_callbacks.BatchScoring,
            skorch_callbacks.PassthroughScoring,
        ),
        "Pass X_val and y_val to fit instead: the score on them after each epoch is in "
        "validation_scores_. For another metric, scikit-learn's ScoringMonitor goes to "
        "set_callbacks.",
    ),
    skorch_callbacks.InputShapeSetter: "An architecture is told in_channels and image_size "
    "instead: let the module's constructor name them.",
}


def check_callbacks(callbacks, lr_schedule):
    """Check that callbacks are skorch's, and of a kind that has an effect here.

    Parameters
    ----------
    callbacks : list
        Of callbacks, their classes, or (name, callback) pairs.
    lr_schedule : str
        The estimator's.

    Raises
    ------
    ValueError
        If one of them is not.
    """
    for given in callbacks:
        callback = given[1] if isinstance(given, tuple) and len(given) == 2 else given
        kind = callback if isinstance(callback, type) else type(callback)
        if not issubclass(kind, Callback):
            raise ValueError(
                "callbacks must hold skorch callbacks, or (name, callback) pairs, got "
                f"{given!r}. scikit-learn's own callbacks go to set_callbacks."
            )
        for refused, instead in _INSTEAD.items():
            if issubclass(kind, refused):
                raise ValueError(f"callbacks holds skorch's {refused.__name__}. {instead}")
        if issubclass(kind, skorch_callbacks.LRScheduler) and lr_schedule != "constant":
            raise ValueError(
                f"callbacks holds skorch's LRScheduler, and lr_schedule={lr_schedule!r} sets "
                'the learning rate at each step. Write lr_schedule="constant" to leave the rate '
                'to the callback, or lr_schedule="one_cycle" or "cosine" instead of it.'
            )


def copy_callbacks(callbacks):
    """Return copies of callbacks, so that training changes no object of the user's.

    What a callback holds is copied too, unless it cannot be, like the open file of a
    TensorBoard writer: that is shared.
    """
    return [_copied(callback) for callback in callbacks]


def _copied(callback):
    if isinstance(callback, tuple):
        return tuple(_copied(part) for part in callback)
    try:
        return copy.deepcopy(callback)
    except TypeError:
        return copy.copy(callback)

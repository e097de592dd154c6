"""skorch's callbacks: which are refused, how they are copied, who is told of batches, who stops."""

import copy
import dis
from contextlib import contextmanager

import torch
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
        "Pass X_val and y_val to fit instead, and the metric as scoring=...: the score on them "
        "after each epoch is in validation_scores_. For several metrics, scikit-learn's "
        "ScoringMonitor goes to set_callbacks.",
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
    """Return copies of callbacks, which share what they hold.

    Copies, so that training sets no attribute of the user's objects; and shared, so that a trial of
    Optuna's, a writer or a list to record in is the one that the user made. Callbacks that refer to
    each other, as skorch's LoadInitState does to a Checkpoint, refer to the copies.
    """
    return _copied(list(callbacks), {})


def _copied(held, copies):
    """Return a copy of a callback, or of a sequence that holds some; all else as it is."""
    if type(held) in (list, tuple):
        return type(held)(_copied(part, copies) for part in held) if _holds_some(held) else held
    if not isinstance(held, Callback):
        return held
    if id(held) not in copies:
        copied = copies[id(held)] = copy.copy(held)
        vars(copied).update({n: _copied(value, copies) for n, value in vars(copied).items()})
    return copies[id(held)]


def _holds_some(held):
    """Say whether something is a callback, or a sequence that holds one."""
    if type(held) in (list, tuple):
        return any(_holds_some(part) for part in held)
    return isinstance(held, Callback)


class TrainingStop(KeyboardInterrupt):
    """A callback ends the training, in skorch's way: by raising KeyboardInterrupt."""


@contextmanager
def stops_told_from_ctrl_c():
    """Turn a KeyboardInterrupt that a callback raises itself into a `TrainingStop`.

    Python raises the one of a Ctrl-C between two instructions, or in a call of a function in C;
    that of a callback comes from a `raise`.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if _last_instruction(interrupt.__traceback__) == "RAISE_VARARGS":
            raise TrainingStop from interrupt
        raise


def _last_instruction(traceback):
    """Return the name of the instruction that raised an exception."""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return dis.opname[traceback.tb_frame.f_code.co_code[traceback.tb_lasti]]


class BatchHooks:
    """Tells the callbacks of a net of each batch; where none of them asks, it costs nothing.

    For those that ask there is a row of history a batch, as in skorch. Its `train_loss` is a
    tensor on the device until the epoch ends, so that nobody has to wait for it.

    Parameters
    ----------
    net : NeuralNet
        Initialized.
    """

    def __init__(self, net):
        self.net = net
        self._begins = self._defined("on_batch_begin")
        self._computed = self._defined("on_grad_computed")
        self._ends = self._defined("on_batch_end")
        self._rows_are_kept = bool(self._begins or self._ends)

    def batch_begins(self, batch):
        """Tell of images, targets and weights that will be learned from."""
        if self._rows_are_kept:
            self.net.history_.new_batch()
        self._tell(self._begins, batch=batch)

    def gradients_are_computed(self, batch):
        """Tell of gradients that are about to be used."""
        if self._computed:
            named_parameters = list(self.net.module_.named_parameters())
            self._tell(self._computed, named_parameters=named_parameters, batch=batch)

    def batch_ends(self, batch, loss):
        """Tell of a step that was taken, and record its loss."""
        if self._rows_are_kept:
            self.net.history_.record_batch("train_loss", loss)
            self.net.history_.record_batch("train_batch_size", len(batch[0]))
        self._tell(self._ends, batch=batch, loss=loss)

    def _tell(self, hooks, **event):
        with stops_told_from_ctrl_c():
            for hook in hooks:
                hook(self.net, training=True, **event)

    def epoch_ends(self):
        """Turn the losses of the epoch's batches into numbers, in one transfer."""
        if not self._rows_are_kept:
            # skorch's Checkpoint looks for a row of the last batch
            self.net.history_.new_batch()
            return
        rows = self.net.history_[-1]["batches"]
        losses = torch.stack([row["train_loss"] for row in rows]).tolist()
        for row, loss in zip(rows, losses, strict=True):
            row["train_loss"] = loss

    def _defined(self, name):
        return [
            getattr(callback, name)
            for _, callback in self.net.callbacks_
            if getattr(type(callback), name) is not getattr(Callback, name)
        ]

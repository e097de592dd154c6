"""Who is told of each epoch besides skorch's callbacks: scikit-learn's, and a progress bar."""

import copy
from typing import Protocol

from tqdm.auto import tqdm

from sklearn_cnn._compat import begin_callbacks, has_callbacks


class EpochListener(Protocol):
    """Something that is told of each epoch."""

    #: Whether it looks at the network, beyond the figures of the epoch.
    looks_at_net: bool

    def epoch_begins(self, net):
        """Take note that an epoch begins."""

    def epoch_ends(self, net, validation):
        """Take note that an epoch has ended; return True to end the training."""


class SklearnCallbacks:
    """Passes epochs on to scikit-learn's own callbacks, as subtasks of the fit.

    Parameters
    ----------
    estimator : BaseCNN
        Whose fit it is.
    learned : callable
        Maps a net and a validation set, or None, to the fitted attributes of the estimator.
    n_epochs : int
        Most epochs that there will be.
    X, y : array-like
        As they were passed to `fit`, but for what it left out.
    sample_weight : array-like or None
    """

    def __init__(self, estimator, learned, n_epochs, X, y, sample_weight):
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        self.estimator = estimator
        self.learned = learned
        self.looks_at_net = has_callbacks(estimator)
        self.data = {"X": X, "y": y, "metadata": metadata}
        self.fit_context = begin_callbacks(estimator, n_epochs)
        self.fit_context.call_on_fit_task_begin(estimator=estimator, **self.data)

    def epoch_begins(self, net):
        """Open a subtask."""
        self.epoch_context = self.fit_context.subcontext(task_name="epoch")
        self.epoch_context.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def epoch_ends(self, net, validation):
        """Close the subtask; return whether a callback asks to stop."""
        return self.epoch_context.call_on_fit_task_end(
            estimator=self.estimator,
            # called for callbacks alone that ask for the estimator as it would be now
            reconstruction_attributes=lambda: self.learned(copy.deepcopy(net), validation),
            **self.data,
        )

    def fit_ends(self):
        """Close the task of the whole fit, now that the estimator is fitted."""
        self.fit_context.call_on_fit_task_end(
            estimator=self.estimator, reconstruction_attributes=dict, **self.data
        )


class ProgressBar:
    """A bar with the epochs, the loss, the validation score and the time that is left.

    Parameters
    ----------
    n_epochs : int
        Most epochs that there will be.
    name : str
        What stands in front of the bar.
    """

    looks_at_net = False

    def __init__(self, n_epochs, name):
        self.bar = tqdm(total=n_epochs, desc=name, unit="epoch")

    def epoch_begins(self, net):
        """Do nothing."""

    def epoch_ends(self, net, validation):
        """Move on by one epoch."""
        row = net.history_[-1]
        figures = {"loss": f"{row['train_loss']:.4f}"}
        if "valid_score" in row:
            figures["valid_score"] = f"{row['valid_score']:.4f}"
        self.bar.set_postfix(figures, refresh=False)
        self.bar.update()
        return False

    def close(self):
        """Leave the bar as it is."""
        self.bar.close()

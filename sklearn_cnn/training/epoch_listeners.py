"""Who is told of each epoch besides skorch's callbacks: scikit-learn's, and a progress bar."""

import copy
from typing import Protocol

from sklearn_cnn._compat import begin_callbacks, has_callbacks
from sklearn_cnn.runtime.progress import make_bar


class EpochListener(Protocol):
    """Something that is told of each epoch."""

    #: Whether it looks at the network, beyond the figures of the epoch.
    looks_at_net: bool

    def epoch_begins(self, net):
        """Take note that an epoch begins."""

    def step_ends(self):
        """Take note that a step has ended; the device may still be at work on it."""

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

    def step_ends(self):
        """Do nothing."""

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
    """A bar with epochs and time left; loss and score of training and validation side by side.

    Parameters
    ----------
    place : str
        Which fit of a search it is, to stand in front of the bar; "" where nothing says so.
    n_epochs : int
        Most epochs that there will be.
    n_steps : int
        Training steps of an epoch.
    score_name : str
        What the validation score is.
    """

    looks_at_net = False

    def __init__(self, place, n_epochs, n_steps, score_name):
        self.epoch = f"{place}, epoch" if place else "Epoch"
        self.n_epochs = n_epochs
        self.score_name = score_name
        self.n_begun = 0
        self.bar = make_bar(
            total=n_epochs * n_steps,
            desc=f"{self.epoch} 1/{n_epochs}",
            # no longer than a terminal of 80 characters
            bar_format="{desc} |{bar}| {elapsed}<{remaining}{postfix}",
            # epochs end with a validation, so that only their mean tells how long the rest takes
            smoothing=0,
        )

    def epoch_begins(self, net):
        """Say which epoch it is."""
        self.n_begun += 1
        epoch = f"{self.epoch} {self.n_begun}/{self.n_epochs}"
        self.bar.set_description_str(epoch, refresh=False)

    def step_ends(self):
        """Move on by one step."""
        self.bar.update()

    def epoch_ends(self, net, validation):
        """Show the figures of the epoch."""
        row = net.history_[-1]
        figures = f"loss {row['train_loss']:.3g}"
        if "valid_score" in row:
            figures += f", validation {row['valid_loss']:.3g}"
            figures += f", {self.score_name} {row['valid_score']:.3g}"
        self.bar.set_postfix_str(figures, refresh=False)
        return False

    def close(self):
        """Leave the bar as it is."""
        self.bar.close()


def describe(net, batches, plan, outputs, architecture):
    """Return the line that says what is about to be trained.

    Parameters
    ----------
    net : Net
    batches : TrainingBatches
    plan : TrainingPlan
    outputs : str
        What the network's outputs are: "10 classes", say.
    architecture : str

    Returns
    -------
    str
    """
    parameters = list(net.module_.parameters())
    n_all = sum(p.numel() for p in parameters)
    n_learning = sum(p.numel() for p in parameters if p.requires_grad)
    learn = "" if n_learning == n_all else f", of which {n_learning:,} learn"
    height, width, n_channels = batches.samples.images.shape[1:]
    return (
        f"{len(batches):,} images of {height} × {width} × {n_channels}, {outputs}; "
        f"{architecture}, {n_all:,} parameters{learn}; {net.device}, {plan.precision}; "
        f"batch_size={batches.batch_size}, max_epochs={plan.n_epochs}, "
        f"{batches.n_steps} steps an epoch"
    )

"""The training loss while the learning rate rises from step to step."""

import math
from numbers import Integral, Real

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import check_scalar
from skorch.callbacks import Callback

from sklearn_cnn.plots._panels import refuse_without_matplotlib
from sklearn_cnn.runtime.fitted import is_network_estimator
from sklearn_cnn.training.optimizers import set_lr

# How much of the mean a new loss is not, and how many times the smallest one ends the trial.
_MEMORY, _DIVERGED = 0.9, 4
# The loss is smallest where steps are about to be too large.
_BELOW_MINIMUM = 10


class LearningRateFinderDisplay:
    """The training loss over learning rates that rise from step to step [1]_.

    Use `LearningRateFinderDisplay.from_estimator` to create one. All parameters are stored as
    attributes.

    Parameters
    ----------
    lr : array-like of shape (n_steps,)
        The learning rate of each step.
    loss : array-like of shape (n_steps,)
        The training loss of each step.
    smoothed_loss : array-like of shape (n_steps,)
        Its moving average.
    suggested_lr : float
        A tenth of the rate at which the moving average is smallest.

    Attributes
    ----------
    loss_points_ : matplotlib Artist
        The losses.
    smoothed_loss_line_ : matplotlib Artist
        Their moving average.
    suggested_lr_line_ : matplotlib Artist
        What marks the suggestion.
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    LearningRateFinderDisplay.from_estimator : Try rates on an estimator.
    TrainingCurveDisplay : The curves of a training.

    References
    ----------
    .. [1] L. N. Smith, "Cyclical learning rates for training neural networks", WACV 2017.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cnn import CNNClassifier
    >>> from sklearn_cnn.plots import LearningRateFinderDisplay
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> display = LearningRateFinderDisplay.from_estimator(CNNClassifier(random_state=0), X, y)
    >>> bool(1e-4 < display.suggested_lr < 1)
    True
    >>> plt.close(display.figure_)
    """

    def __init__(self, *, lr, loss, smoothed_loss, suggested_lr):
        self.lr = lr
        self.loss = loss
        self.smoothed_loss = smoothed_loss
        self.suggested_lr = suggested_lr

    @classmethod
    def from_estimator(
        cls, estimator, X, y=None, *, min_lr=1e-5, max_lr=1.0, n_steps=100, ax=None, **line_kwargs
    ):
        """Train a clone of an estimator for a few steps at rising rates, and draw the losses.

        The clone is trained from the start, without callbacks and early stopping; it ends where
        the loss is four times its smallest.

        Parameters
        ----------
        estimator : estimator
            A `CNNClassifier` or `CNNRegressor`, or a Pipeline that ends in one, fitted or not. It
            stays as it is.
        X : array-like
            Images, as its `fit` takes them.
        y : array-like, default=None
            Labels or numbers.
        min_lr, max_lr : float, default=1e-5 and 1.0
            The rates of the first and the last step.
        n_steps : int, default=100
            Steps of training, ten at least.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.
        **line_kwargs : dict
            Passed to matplotlib's `plot` for the moving average.

        Returns
        -------
        LearningRateFinderDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the rates do not ascend, there are too few steps, or X or y cannot be used.
        TypeError
            If the estimator is no network, nor a Pipeline that ends in one.
        ImportError
            If matplotlib is not installed.
        """
        refuse_without_matplotlib()
        check_scalar(n_steps, "n_steps", Integral, min_val=10)
        check_scalar(min_lr, "min_lr", Real, min_val=0, include_boundaries="neither")
        check_scalar(max_lr, "max_lr", Real, min_val=min_lr, include_boundaries="neither")
        trial = clone(estimator)
        network = trial[-1] if isinstance(trial, Pipeline) else trial
        if not is_network_estimator(network):
            raise TypeError(
                f"A {type(network).__name__} has no learning rate to be found here. Pass a "
                "CNNClassifier or CNNRegressor, or a Pipeline that ends in one."
            )
        rises = _Rises(np.geomspace(min_lr, max_lr, n_steps).tolist())
        network.set_params(
            lr_schedule="constant",
            max_epochs=n_steps,
            time_limit=None,
            early_stopping=False,
            callbacks=[rises],
            verbose=0,
        )
        trial.fit(X, y)
        smoothed = np.array(rises.smoothed)
        display = cls(
            lr=np.array(rises.rates[: len(smoothed)]),
            loss=np.array(rises.losses),
            smoothed_loss=smoothed,
            suggested_lr=rises.rates[int(np.nanargmin(smoothed))] / _BELOW_MINIMUM,
        )
        return display.plot(ax, **line_kwargs)

    def plot(self, ax=None, **line_kwargs):
        """Draw the losses.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.
        **line_kwargs : dict
            Passed to matplotlib's `plot` for the moving average.

        Returns
        -------
        LearningRateFinderDisplay
            This object.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        refuse_without_matplotlib()
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        style = {"label": "moving average", **line_kwargs}
        [self.smoothed_loss_line_] = ax.plot(self.lr, self.smoothed_loss, **style)
        color = self.smoothed_loss_line_.get_color()
        [self.loss_points_] = ax.plot(self.lr, self.loss, ".", color=color, alpha=0.3)
        label = f"suggestion, {self.suggested_lr:.1g}"
        self.suggested_lr_line_ = ax.axvline(
            self.suggested_lr, color="gray", linestyle=":", label=label
        )
        ax.set(xscale="log", xlabel="learning rate", ylabel="training loss")
        ax.legend()
        return self


class _Rises(Callback):
    """Sets the rate of each step, keeps its loss, and ends the training.

    Parameters
    ----------
    rates : list of float
        The rate of each step.
    """

    def __init__(self, rates):
        self.rates = rates
        self.losses = []
        self.smoothed = []

    def on_batch_begin(self, net, **kwargs):
        set_lr(net, self.rates[len(self.losses)])

    def on_batch_end(self, net, loss, **kwargs):
        loss = loss.item()
        # the mean of all losses so far, of which the later ones count more
        weights = _MEMORY ** np.arange(len(self.losses), -1, -1)
        average = float(np.average([*self.losses, loss], weights=weights))
        has_diverged = not math.isfinite(loss) or average > _DIVERGED * min(
            [average, *self.smoothed]
        )
        if not has_diverged:
            self.losses.append(loss)
            self.smoothed.append(average)
        if has_diverged or len(self.losses) == len(self.rates):
            raise KeyboardInterrupt

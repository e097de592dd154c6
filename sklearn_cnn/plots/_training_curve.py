"""Loss, validation score and learning rate over the epochs."""

import numpy as np

from sklearn_cnn.inspection._network import find_network
from sklearn_cnn.plots._panels import make_panels, refuse_without_matplotlib

_PANEL_SIZE = (6.0, 1.8)
# A loss is a spike from so many times the one that training began with, or nine tenths are below.
_SPIKE = 2
_NO_VALIDATION = "no validation images: overfitting cannot be seen here"


class TrainingCurveDisplay:
    """Loss, validation score and learning rate over the epochs of a training.

    Use `TrainingCurveDisplay.from_estimator` to create one. All parameters are stored as
    attributes.

    Parameters
    ----------
    train_loss : array-like of shape (n_epochs,)
        Mean training loss of each epoch.
    lr : array-like of shape (n_epochs,)
        Learning rate at the end of each epoch.
    valid_loss : array-like of shape (n_epochs,), default=None
        Loss on the validation set after each epoch; NaN where there was none.
    valid_score : array-like of shape (n_epochs,), default=None
        Score on the validation set after each epoch; NaN where there was none.
    score_name : str, default="score"
        What the score is, for the label of its axis.
    best_epoch : int, default=None
        The epoch, counted from 1, whose weights were kept.

    Attributes
    ----------
    train_loss_line_ : matplotlib Artist
        The training loss.
    valid_loss_line_ : matplotlib Artist or None
        The validation loss.
    valid_score_line_ : matplotlib Artist or None
        The validation score.
    lr_line_ : matplotlib Artist
        The learning rate.
    best_epoch_lines_ : list of matplotlib Artist
        What marks the epoch whose weights were kept, in the panels of loss and score.
    axes_ : ndarray of matplotlib Axes of shape (n_panels,)
        The panels: loss, score if there is one, learning rate.
    bounding_ax_ : matplotlib Axes or None
        The axes whose place the panels take.
    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    TrainingCurveDisplay.from_estimator : Draw the training of a fitted estimator.
    sklearn.model_selection.LearningCurveDisplay : Scores over the number of samples.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cnn import CNNClassifier
    >>> from sklearn_cnn.plots import TrainingCurveDisplay
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> classifier = CNNClassifier(max_epochs=3, early_stopping=True, random_state=0).fit(X, y)
    >>> display = TrainingCurveDisplay.from_estimator(classifier)
    >>> [ax.get_ylabel() for ax in display.axes_]
    ['loss', 'accuracy', 'learning rate']
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        *,
        train_loss,
        lr,
        valid_loss=None,
        valid_score=None,
        score_name="score",
        best_epoch=None,
    ):
        self.train_loss = train_loss
        self.lr = lr
        self.valid_loss = valid_loss
        self.valid_score = valid_score
        self.score_name = score_name
        self.best_epoch = best_epoch

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, name=None, loss_scale=None, **line_kwargs):
        """Draw the training of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted `CNNClassifier` or `CNNRegressor`, or a Pipeline that ends in one, or a
            search whose `best_estimator_` is one. There is a validation score if `fit` was
            passed `X_val` or ran with `early_stopping=True`.
        ax : matplotlib Axes or array-like of them, default=None
            See `plot`.
        name : str, default=None
            What the legend calls the estimator.
        loss_scale : {"linear", "log"}, default=None
            Scale of the axis of the loss; None leaves it, linear where it is new.
        **line_kwargs : dict
            Passed to matplotlib's `plot`, for each of the curves.

        Returns
        -------
        TrainingCurveDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If there is no network in the estimator, or no single one.
        ImportError
            If matplotlib is not installed.
        """
        network = find_network(estimator)
        if network is None:
            raise TypeError(
                f"A {type(estimator).__name__} has no training curve of its own. Pass a fitted "
                "CNNClassifier or CNNRegressor, or a Pipeline or a search with refit=True that "
                "holds one."
            )
        history = network.history_
        display = cls(
            train_loss=np.array([row["train_loss"] for row in history]),
            lr=np.array([row["lr"] for row in history]),
            valid_loss=_figures(history, "valid_loss"),
            valid_score=_figures(history, "valid_score"),
            score_name=network._score_name,
            best_epoch=network.best_epoch_,
        )
        return display.plot(ax, name=name, loss_scale=loss_scale, **line_kwargs)

    def plot(self, ax=None, *, name=None, loss_scale=None, **line_kwargs):
        """Draw the curves; the value of the last epoch is written at their ends.

        A spike while the rate is high, a loss of twice the one that training began with say, or a
        score far below the others, is cut off on a linear scale, and its value written;
        `axes_[0].autoscale()` shows it in full.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of them, default=None
            One: the panels take its place. Several: they are the panels, such as the `axes_`
            of another display, over which the curves are then drawn. None: a new figure.
        name : str, default=None
            What the legend calls the estimator.
        loss_scale : {"linear", "log"}, default=None
            Scale of the axis of the loss; None leaves it, linear where it is new.
        **line_kwargs : dict
            Passed to matplotlib's `plot`, for each of the curves.

        Returns
        -------
        TrainingCurveDisplay
            This object.

        Raises
        ------
        ValueError
            If `ax` holds several axes, but not one a panel.
        ImportError
            If matplotlib is not installed.
        """
        refuse_without_matplotlib()
        n_panels = 2 if self.valid_score is None else 3
        self.bounding_ax_, self.axes_ = make_panels(ax, n_panels, 1, _PANEL_SIZE, sharex=True)
        self.figure_ = self.axes_[0].figure
        loss_ax, lr_ax = self.axes_[0], self.axes_[-1]
        suffix = "" if name is None else f", {name}"

        def draw(ax, values, **style):
            epochs = np.arange(1, len(values) + 1)
            return ax.plot(epochs, values, **{"marker": ".", **style, **line_kwargs})[0]

        self.train_loss_line_ = draw(loss_ax, self.train_loss, label=f"training{suffix}")
        # the axis of the rate starts at 0, so that a constant one looks constant
        lr_ax.update_datalim([(1, 0)])
        self.lr_line_ = draw(lr_ax, self.lr, color=self.train_loss_line_.get_color())
        self.valid_loss_line_ = self.valid_score_line_ = None
        if self.valid_loss is not None:
            self.valid_loss_line_ = draw(loss_ax, self.valid_loss, label=f"validation{suffix}")
        if self.valid_score is not None:
            # the same colour as the loss on the same images
            of_validation = self.valid_loss_line_ or self.train_loss_line_
            color = of_validation.get_color()
            self.valid_score_line_ = draw(self.axes_[1], self.valid_score, color=color)
            self.axes_[1].set_ylabel(self.score_name)
        else:
            loss_ax.set_title(_NO_VALIDATION, loc="left", fontsize="small", color="gray")
        self._mark_best_epoch(suffix)
        if loss_scale is not None:
            loss_ax.set_yscale(loss_scale)
        self._write_last_values()
        self._cut_spikes()
        loss_ax.set_ylabel("loss")
        loss_ax.legend()
        lr_ax.set(xlabel="epoch", ylabel="learning rate")
        self._tick_whole_epochs()
        return self

    def _mark_best_epoch(self, suffix):
        self.best_epoch_lines_ = []
        if self.best_epoch is None:
            return
        label = f"weights kept (epoch {self.best_epoch}){suffix}"
        style = {"color": "gray", "linestyle": ":", "label": label}
        self.best_epoch_lines_ = [ax.axvline(self.best_epoch, **style) for ax in self.axes_[:-1]]

    def _write_last_values(self):
        losses = _that_end([self.train_loss_line_, self.valid_loss_line_])
        others = _that_end([self.valid_score_line_, self.lr_line_])
        # of two losses the larger is written above the end of its line, the other below
        losses.sort(key=_last_value)
        sides = ["top", "bottom"] if len(losses) == 2 else ["center"] * len(losses)
        for line, side in zip(losses + others, sides + ["center"] * len(others), strict=True):
            ax, value = line.axes, _last_value(line)
            style = {"va": side, "fontsize": "small", "color": line.get_color()}
            # right of the panel, at the height of the value
            beside = ax.get_yaxis_transform()
            ax.text(1.01, value, f"{value:.3g}", transform=beside, clip_on=False, **style)

    def _cut_spikes(self):
        """Leave spikes of loss and score out of their axes, so that the rest shows."""
        losses = _heights(self.axes_[0])
        _cut(self.axes_[0], _SPIKE * max(self.train_loss[0], np.nanquantile(losses, 0.9)))
        if self.valid_score is not None:
            # R² and other scores have no floor
            depths = -_heights(self.axes_[1])
            best = np.nanmin(depths)
            usual = max(np.nanquantile(depths, 0.9) - best, 0.1 * abs(best))
            _cut(self.axes_[1], best + 4 * usual, sign=-1)

    def _tick_whole_epochs(self):
        from matplotlib.ticker import FixedLocator, MaxNLocator

        for ax in self.axes_:
            last = max(line.get_xdata()[-1] for line in _curves(ax))
            ticks = MaxNLocator(integer=True).tick_values(1, last)
            # the first and the last, and no other epoch that their numbers would overlap
            apart = 0.6 * (ticks[1] - ticks[0])
            between = [tick for tick in ticks if 1 + apart < tick < last - apart]
            ax.xaxis.set_major_locator(FixedLocator([*{1, last}, *between]))


def _curves(ax):
    """Return the lines over epochs; what marks an epoch lies in other coordinates."""
    return [line for line in ax.get_lines() if line.get_transform() == ax.transData]


def _that_end(lines):
    """Return the lines that are there and have a value for the last epoch."""
    return [line for line in lines if line is not None and np.isfinite(_last_value(line))]


def _heights(ax):
    return np.concatenate([line.get_ydata() for line in _curves(ax)])


def _cut(ax, limit, sign=1):
    """Leave values of which `sign` times the value is above a limit out of a linear axis."""
    ax.autoscale(axis="y")
    points = np.concatenate([line.get_xydata() for line in _curves(ax)])
    is_spike = sign * points[:, 1] > limit
    if not is_spike.any() or ax.get_yscale() != "linear":
        return
    kept = points[~is_spike, 1]
    low, high = np.nanmin(kept), np.nanmax(kept)
    margin = 0.1 * (high - low)
    ax.set_ylim(low - margin, high + margin)
    edge, arrow, va = (high, "↑", "top") if sign == 1 else (low, "↓", "bottom")
    for epoch, value in points[is_spike]:
        ax.text(epoch, edge, f"{arrow}{value:.3g}", ha="center", va=va, fontsize="small")


def _last_value(line):
    return line.get_ydata()[-1]


def _figures(history, name):
    """Return a figure of each epoch, NaN where it is missing; None if no epoch has it."""
    if not any(name in row for row in history):
        return None
    return np.array([row.get(name, np.nan) for row in history])

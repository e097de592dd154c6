"""True numbers over predicted ones, a panel an output."""

from numbers import Integral

import numpy as np
from sklearn.metrics import PredictionErrorDisplay as PanelDisplay
from sklearn.metrics import r2_score
from sklearn.utils import check_consistent_length, check_random_state, check_scalar

from sklearn_cnn.plots._kinds import are_maps, names_of_columns
from sklearn_cnn.plots._panels import make_panels, refuse_without_matplotlib
from sklearn_cnn.targets import check_numbers

# Inches of a panel.
_PANEL_SIZE = (3.2, 3.0)


class PredictionErrorDisplay:
    """Prediction error of each of several outputs, in scikit-learn's own panels.

    It is recommended to use `from_estimator` or `from_predictions` to create one. The displays
    are `sklearn.metrics.PredictionErrorDisplay`, which has one output alone.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n, n_panels)
        The numbers of the outputs that are shown; NaN where the true one is missing.
    names : list of str
        What to call the outputs.
    scores : ndarray of shape (n_panels,)
        R² of each output, over all rows; NaN where fewer than two are known.

    Attributes
    ----------
    displays_ : list of sklearn.metrics.PredictionErrorDisplay
        One a panel.
    axes_ : ndarray of shape (n_panels,) of matplotlib Axes
        The panels.
    bounding_ax_ : matplotlib Axes or None
        The axes whose place the panels take, if one was given.
    figure_ : matplotlib Figure
        The figure of the panels.

    See Also
    --------
    PredictionsDisplay : The images themselves, worst first.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_cnn.plots import PredictionErrorDisplay
    >>> rng = np.random.default_rng(0)
    >>> y_true = rng.normal(size=(50, 2))
    >>> y_pred = y_true + [0.1, 0.5] * rng.normal(size=(50, 2))
    >>> display = PredictionErrorDisplay.from_predictions(
    ...     y_true, y_pred, display_labels=["width", "height"]
    ... )
    >>> [ax.get_title() for ax in display.axes_]
    ['height: R² 0.79', 'width: R² 0.99']
    """

    def __init__(self, *, y_true, y_pred, names, scores):
        self.y_true = y_true
        self.y_pred = y_pred
        self.names = names
        self.scores = scores

    @classmethod
    def from_estimator(cls, estimator, X, y, **kwargs):
        """Predict with a fitted estimator, and draw the errors.

        Parameters
        ----------
        estimator : estimator
            A fitted regressor, or a Pipeline or search with one.
        X : array-like
            Images, as in `CNNRegressor.fit`.
        y : array-like of shape (n,) or (n, n_outputs)
            Targets.
        **kwargs : dict
            As in `from_predictions`.

        Returns
        -------
        PredictionErrorDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X cannot be read as images, or as in `from_predictions`.
        ImportError
            If matplotlib is not installed.
        """
        refuse_without_matplotlib()
        return cls.from_predictions(y, estimator.predict(X), **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_pred,
        *,
        kind="residual_vs_predicted",
        n_outputs=9,
        display_labels=None,
        subsample=1000,
        random_state=None,
        n_cols=3,
        ax=None,
        scatter_kwargs=None,
        line_kwargs=None,
    ):
        """Draw the errors of predictions that are there, of `cross_val_predict` say.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n,) or (n, n_outputs)
            Targets and predictions. NaN in `y_true` is a number that is missing.
        kind : {"residual_vs_predicted", "actual_vs_predicted"}, default="residual_vs_predicted"
            What is drawn over the predicted values, as in scikit-learn.
        n_outputs : int, default=9
            Outputs to show, those of the lowest R² first.
        display_labels : array-like of str of shape (n_outputs,), default=None
            Names of the columns; None: those that a frame has, else their numbers.
        subsample : int or None, default=1000
            Rows to draw, at random; None: all. R² is that of all.
        random_state : int, RandomState instance or None, default=None
            Fixes which rows are drawn.
        n_cols : int, default=3
            Panels side by side.
        ax : matplotlib Axes or array-like of them, default=None
            See `plot`.
        scatter_kwargs, line_kwargs : dict, default=None
            Passed to scikit-learn's `PredictionErrorDisplay.plot`.

        Returns
        -------
        PredictionErrorDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If shapes differ, y has a value for each pixel, `y_pred` is not finite, or a parameter
            is wrong.
        TypeError
            If `n_outputs`, `subsample` or `n_cols` is no integer.
        ImportError
            If matplotlib is not installed.
        """
        refuse_without_matplotlib()
        if are_maps(y_pred):
            raise ValueError(
                "PredictionErrorDisplay is for one number or several an image, but y_pred has a "
                "value for each pixel: use PredictionsDisplay."
            )
        n_outputs = check_scalar(n_outputs, "n_outputs", Integral, min_val=1)
        check_consistent_length(y_true, y_pred)
        true = _columns(check_numbers(y_true, "y_true", allow_nan=True))
        predicted = _columns(check_numbers(y_pred, "y_pred"))
        if true.shape != predicted.shape:
            raise ValueError(f"y_pred has shape {predicted.shape}, but y_true {true.shape}.")
        names = names_of_columns(y_true, true.shape[1], display_labels)
        scores = np.array([_r2(*column) for column in zip(true.T, predicted.T, strict=True)])
        # NaN, of outputs that are not known, comes last
        chosen = np.argsort(scores, kind="stable")[:n_outputs]
        rows = _rows(len(true), subsample, random_state)
        display = cls(
            y_true=true[np.ix_(rows, chosen)],
            y_pred=predicted[np.ix_(rows, chosen)],
            names=[names[column] for column in chosen],
            scores=scores[chosen],
        )
        return display.plot(
            ax, kind=kind, n_cols=n_cols, scatter_kwargs=scatter_kwargs, line_kwargs=line_kwargs
        )

    def plot(
        self,
        ax=None,
        *,
        kind="residual_vs_predicted",
        n_cols=3,
        scatter_kwargs=None,
        line_kwargs=None,
    ):
        """Draw a panel an output.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of them, default=None
            One: the panels take its place. Several: they are the panels. None: a new figure.
        kind : {"residual_vs_predicted", "actual_vs_predicted"}, default="residual_vs_predicted"
            What is drawn over the predicted values.
        n_cols : int, default=3
            Panels side by side.
        scatter_kwargs, line_kwargs : dict, default=None
            Passed to scikit-learn's `PredictionErrorDisplay.plot`.

        Returns
        -------
        PredictionErrorDisplay
            This object.

        Raises
        ------
        ValueError
            If `kind` or `n_cols` is wrong, or `ax` holds several axes, but not one a panel.
        TypeError
            If `n_cols` is no integer.
        ImportError
            If matplotlib is not installed.
        """
        refuse_without_matplotlib()
        n_cols = check_scalar(n_cols, "n_cols", Integral, min_val=1)
        n_panels = len(self.names)
        n_cols = min(n_cols, n_panels)
        self.bounding_ax_, self.axes_ = make_panels(ax, n_panels, n_cols, _PANEL_SIZE)
        self.figure_ = self.axes_[0].figure
        scatter = {"s": 12, "alpha": 0.5, **(scatter_kwargs or {})}
        self.displays_ = []
        panels = zip(self.axes_, self.y_true.T, self.y_pred.T, strict=True)
        for position, (panel, y_true, y_pred) in enumerate(panels):
            known = ~np.isnan(y_true)
            display = PanelDisplay(y_true=y_true[known], y_pred=y_pred[known])
            display.plot(panel, kind=kind, scatter_kwargs=scatter, line_kwargs=line_kwargs)
            self.displays_.append(display)
            # names may hold a dollar sign, which is no formula here
            title = f"{self.names[position]}: R² {self.scores[position]:.2f}"
            panel.set_title(title, fontsize="small", parse_math=False)
            panel.tick_params(labelsize="small")
            # what all panels of a column or a row say, the outer ones say
            if position + n_cols < n_panels:
                panel.set_xlabel("")
            if position % n_cols:
                panel.set_ylabel("")
        return self


def _columns(y):
    return y.reshape(len(y), -1)


def _r2(y_true, y_pred):
    """Return R² over the rows whose true number is known."""
    known = ~np.isnan(y_true)
    return r2_score(y_true[known], y_pred[known]) if known.sum() > 1 else np.nan


def _rows(n, subsample, random_state):
    """Return which rows to draw."""
    if subsample is None or check_scalar(subsample, "subsample", Integral, min_val=1) >= n:
        return np.arange(n)
    return check_random_state(random_state).choice(n, subsample, replace=False)

"""A gallery of images with truth and prediction, the worst errors first."""

import math
from numbers import Integral

import numpy as np
from sklearn.utils import check_scalar

from sklearn_cnn.inspection._network import find_network
from sklearn_cnn.plots._gallery import (
    PREDICTED_POINTS,
    TRUE_POINTS,
    caption,
    choose,
    draw_points,
    kind_of_estimator,
    kind_of_maps,
    refuse_probabilities,
)
from sklearn_cnn.plots._kinds import (
    Indicators,
    KeyPoints,
    are_maps,
    holds_numbers,
    kind_of_labels,
    kind_of_numbers,
)
from sklearn_cnn.plots._map_kinds import MapsOfNumbers, Masks
from sklearn_cnn.plots._panels import make_panels, refuse_without_matplotlib
from sklearn_cnn.plots._pixels import images_at, names_at, to_unit_range

_PANEL_SIZE = (1.8, 2.4)
# Of image, truth and prediction side by side.
_WIDE_PANEL_SIZE = (4.8, 2.0)
# In inches; classes that do not fit below each other come in several columns.
_LEGEND_ROW_HEIGHT = 0.19


class PredictionsDisplay:
    """Images with what is true of them and what was predicted, the worst errors first.

    Use `PredictionsDisplay.from_estimator` or `PredictionsDisplay.from_predictions` to create
    one. All parameters are stored as attributes.

    Parameters
    ----------
    images : list of ndarray of shape (H, W, C)
        The images, which may differ in size. With a value for each pixel: image, truth and
        prediction side by side, in colours.
    titles : list of str
        Truth and prediction of each; of several labels which are found, missed and added.
    errors : ndarray of shape (n_images,)
        How wrong each prediction is.
    indices : ndarray of shape (n_images,)
        Where the images stand in X.
    is_wrong : ndarray of shape (n_images,), default=None
        Which titles are red and begin with ✗: those of wrong labels.
    names : list of str, default=None
        What stands below each image: its file, or where it stands in X.
    true_points : ndarray of shape (n_images, n_points, 2), default=None
        Key points x, y to draw on each image, in pixels.
    predicted_points : ndarray of shape (n_images, n_points, 2), default=None
        The same as predicted.
    legend : dict of str to ndarray of shape (3,), default=None
        Names of the classes of masks, and their colours.
    scale : tuple of (float, float, str), default=None
        Of maps of numbers the smallest and largest, and matplotlib's name for their colours.

    Attributes
    ----------
    ims_ : list of matplotlib AxesImage
        The images.
    true_points_ : list of matplotlib PathCollection or None
        The true key points: green circles.
    predicted_points_ : list of matplotlib PathCollection or None
        The predicted key points: red crosses.
    legend_ : matplotlib Legend or None
        The classes of masks.
    colorbar_ : matplotlib Colorbar or None
        What the colours of maps of numbers mean.
    axes_ : ndarray of matplotlib Axes of shape (n_images,)
        The panels, one an image.
    bounding_ax_ : matplotlib Axes or None
        The axes whose place the panels take.
    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    PredictionsDisplay.from_estimator : Predict with a fitted estimator, and draw.
    PredictionsDisplay.from_predictions : Draw predictions that are there.
    sklearn.metrics.ConfusionMatrixDisplay : Which classes are taken for which.
    sklearn.metrics.PredictionErrorDisplay : True numbers over predicted ones.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cnn import CNNClassifier
    >>> from sklearn_cnn.plots import PredictionsDisplay
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> classifier = CNNClassifier(max_epochs=3, random_state=0).fit(X[:400], y[:400])
    >>> display = PredictionsDisplay.from_estimator(classifier, X[400:], y[400:], n_images=4)
    >>> len(display.axes_), bool(display.errors[0] == display.errors.max())
    (4, True)
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        *,
        images,
        titles,
        errors,
        indices,
        is_wrong=None,
        names=None,
        true_points=None,
        predicted_points=None,
        legend=None,
        scale=None,
    ):
        self.images = images
        self.titles = titles
        self.errors = errors
        self.indices = indices
        self.is_wrong = is_wrong
        self.names = names
        self.true_points = true_points
        self.predicted_points = predicted_points
        self.legend = legend
        self.scale = scale

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        n_images=12,
        order="worst",
        keypoints=False,
        display_labels=None,
        image_shape=None,
        channel_axis=None,
        random_state=None,
        n_cols=None,
        ax=None,
        imshow_kwargs=None,
    ):
        """Predict with a fitted estimator, and draw the images with truth and prediction.

        Parameters
        ----------
        estimator : estimator
            A fitted classifier or regressor, or a Pipeline or search with one.
        X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images, as in `CNNClassifier.fit`; files and PIL images too.
        y : array-like of shape (n,) or (n, n_outputs)
            Targets, with a value for each pixel too: arrays or files.
        n_images : int, default=12
            Images to show.
        order : {"worst", "best", "random"}, default="worst"
            Which images, and in which order: by error, largest or smallest first, or at
            random. The error is, for labels, 1 less the probability of the true class
            (without `predict_proba`, how far in `decision_function` another class is ahead of
            it); for several labels, the number of those missed or added, those of less sure
            probabilities first; for one number, the absolute error; for many, the mean of
            them, each in standard deviations of its true values; for key points, their mean
            distance in pixels; for masks, 1 less the mean IoU of the image; for maps of numbers,
            the mean absolute error.
        keypoints : bool, default=False
            Whether y holds points x0, y0, x1, y1, ... in pixels of X, to be drawn on the
            images; (0, 0) is the centre of the upper left pixel.
        display_labels : array-like of shape (n_classes,) or (n_outputs,), default=None
            Names of the classes, in the order of `classes_`, or of the columns of y. None: the
            classes themselves, and the names of columns that a frame has.
        image_shape : tuple of int, default=None
            (H, W) or (H, W, C) of the images that flat rows hold; None takes that of the
            estimator's network. Where there is no single one, as in an ensemble, or rows have
            another length before the network in a Pipeline, None guesses, as the estimators do.
        channel_axis : {-1, 1}, default=None
            Where X of four dimensions keeps its channels, and in which order flat rows hold
            them; None takes that of the estimator's network, or else -1.
        random_state : int, RandomState instance or None, default=None
            Fixes which images are drawn at random.
        n_cols : int, default=None
            Images side by side. None: four, or of masks and maps two.
        ax : matplotlib Axes or array-like of them, default=None
            See `plot`.
        imshow_kwargs : dict, default=None
            Passed to matplotlib's `imshow`.

        Returns
        -------
        PredictionsDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `n_images`, `n_cols`, `order` or a length is wrong, X cannot be read as images,
            `keypoints` is asked of a classifier, or `display_labels` comes with key points.
        TypeError
            If `n_images` or `n_cols` is no integer.
        ImportError
            If matplotlib is not installed.
        """
        refuse_without_matplotlib()
        network = find_network(estimator)
        kind = kind_of_estimator(estimator, X, y, keypoints, display_labels)
        chosen = choose(X, kind, n_images, order, random_state)
        network_shape = None if network is None else network.image_shape_
        if channel_axis is None:
            channel_axis = -1 if network is None else network._preparation.channel_axis
        images = images_at(X, chosen, image_shape, channel_axis, network_shape)
        display = cls._of_kind(kind, chosen, images, X)
        return display.plot(ax, n_cols=n_cols, imshow_kwargs=imshow_kwargs)

    @classmethod
    def from_predictions(
        cls,
        X,
        y_true,
        y_pred,
        *,
        y_proba=None,
        classes=None,
        ignore_label=None,
        n_images=12,
        order="worst",
        keypoints=False,
        display_labels=None,
        image_shape=None,
        channel_axis=-1,
        random_state=None,
        n_cols=None,
        ax=None,
        imshow_kwargs=None,
    ):
        """Draw images with truth and predictions that are there, of `cross_val_predict` say.

        Parameters
        ----------
        X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images, as in `CNNClassifier.fit`; files and PIL images too.
        y_true : array-like of shape (n,) or (n, n_outputs)
            Targets.
        y_pred : array-like of shape (n,) or (n, n_outputs)
            Predictions. Floating-point numbers here or in `y_true` are numbers, unless `y_proba`
            or `classes` says that they are labels; a 0/1 indicator of several columns is
            several labels, all else is labels. Of two dimensions an image and more: masks or maps
            of numbers, (n, H, W) or (n, H, W, k).
        y_proba : array-like of shape (n, n_classes) or (n, n_labels), default=None
            Probabilities, of which titles and the order tell.
        classes : array-like of shape (n_classes,), default=None
            The labels that the columns of `y_proba` are, or of masks; None takes those that
            occur, sorted.
        ignore_label : object, default=None
            The label of pixels of true masks that do not count.
        n_images : int, default=12
            Images to show.
        order : {"worst", "best", "random"}, default="worst"
            Which images, and in which order; see `from_estimator`. Labels without `y_proba` are
            wrong or right.
        keypoints : bool, default=False
            Whether y holds points x0, y0, x1, y1, ... in pixels of X, to be drawn on the
            images.
        display_labels : array-like of shape (n_classes,) or (n_outputs,), default=None
            Names of the classes, or of the columns of y; None takes those of a frame. Labels
            that are floating-point numbers need `classes` too.
        image_shape : tuple of int, default=None
            (H, W) or (H, W, C) of the images that flat rows hold; None guesses, as the
            estimators do.
        channel_axis : {-1, 1}, default=-1
            Where X of four dimensions keeps its channels, and in which order flat rows hold
            them.
        random_state : int, RandomState instance or None, default=None
            Fixes which images are drawn at random.
        n_cols : int, default=None
            Images side by side. None: four, or of masks and maps two.
        ax : matplotlib Axes or array-like of them, default=None
            See `plot`.
        imshow_kwargs : dict, default=None
            Passed to matplotlib's `imshow`.

        Returns
        -------
        PredictionsDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `n_images`, `n_cols`, `order`, a length or a shape is wrong, there is no image,
            X cannot be read as images, or what is said of labels (`y_proba`, `classes`) comes with
            numbers or key points, `display_labels` with key points, or `classes` with an
            indicator.
        TypeError
            If `n_images` or `n_cols` is no integer.
        ImportError
            If matplotlib is not installed.
        """
        refuse_without_matplotlib()
        of_labels = {"y_proba": y_proba, "classes": classes, "display_labels": display_labels}
        are_labels = y_proba is not None or classes is not None
        refuse_probabilities(y_true, y_pred)
        hold_numbers = not are_labels and holds_numbers(y_true, y_pred)
        if are_maps(y_pred) and not keypoints:
            of_classes = {"classes": classes, "display_labels": display_labels}
            kind = kind_of_maps(
                y_true, y_pred, hold_numbers, ignore_label=ignore_label, **of_classes
            )
        elif keypoints or hold_numbers:
            kind = kind_of_numbers(y_true, y_pred, keypoints, **of_labels)
        else:
            kind = kind_of_labels(y_true, y_pred, **of_labels)
        if classes is not None and isinstance(kind, Indicators):
            raise ValueError(
                "classes is for one label an image, but y_true is an indicator of several, whose "
                "columns are those of y_proba. Leave classes out; display_labels names the columns."
            )
        chosen = choose(X, kind, n_images, order, random_state)
        images = images_at(X, chosen, image_shape, channel_axis)
        display = cls._of_kind(kind, chosen, images, X)
        return display.plot(ax, n_cols=n_cols, imshow_kwargs=imshow_kwargs)

    @classmethod
    def _of_kind(cls, kind, chosen, images, X):
        """Return the display of chosen rows."""
        errors = kind.errors[chosen]
        of_rows = list(zip(chosen, errors, strict=True))
        points = {}
        if isinstance(kind, (Masks, MapsOfNumbers)):
            pairs = zip(chosen, to_unit_range(images), strict=True)
            return cls(
                images=[kind.panel(row, image) for row, image in pairs],
                titles=[kind.title(*of_row) for of_row in of_rows],
                errors=errors,
                indices=chosen,
                names=names_at(X, chosen),
                legend=kind.legend,
                scale=kind.scale,
            )
        if isinstance(kind, KeyPoints):
            points["true_points"] = kind.true_points[chosen]
            points["predicted_points"] = kind.predicted_points[chosen]
        return cls(
            images=images,
            titles=[kind.title(row, error) for row, error in of_rows],
            errors=errors,
            indices=chosen,
            is_wrong=np.array([kind.is_wrong(row) for row in chosen]),
            names=names_at(X, chosen),
            **points,
        )

    def plot(self, ax=None, *, n_cols=None, imshow_kwargs=None):
        """Draw the images.

        Values of 0 to 1, 16 or 255 are shown as black to white, others from the smallest to the
        largest, on one scale for all images; images of other numbers of channels than 1, 3 and
        4 as the mean over them.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of them, default=None
            One: the panels take its place. Several: they are the panels. None: a new figure.
        n_cols : int, default=None
            Images side by side. None: four, or of masks and maps two.
        imshow_kwargs : dict, default=None
            Passed to matplotlib's `imshow`.

        Returns
        -------
        PredictionsDisplay
            This object.

        Raises
        ------
        ValueError
            If `n_cols` is below 1, or `ax` holds several axes, but not one an image.
        TypeError
            If `n_cols` is no integer.
        ImportError
            If matplotlib is not installed.
        """
        refuse_without_matplotlib()
        n_panels, are_wide = len(self.images), self.legend is not None or self.scale is not None
        n_cols = (2 if are_wide else 4) if n_cols is None else n_cols
        n_cols = check_scalar(n_cols, "n_cols", Integral, min_val=1)
        panel_size = _WIDE_PANEL_SIZE if are_wide else _PANEL_SIZE
        self.bounding_ax_, self.axes_ = make_panels(ax, n_panels, min(n_cols, n_panels), panel_size)
        self.figure_ = self.axes_[0].figure
        style = {"cmap": "gray", "vmin": 0, "vmax": 1, **(imshow_kwargs or {})}
        self.ims_ = [
            panel.imshow(image, **style)
            for panel, image in zip(self.axes_, to_unit_range(self.images), strict=True)
        ]
        for position, panel in enumerate(self.axes_):
            is_wrong = self.is_wrong is not None and bool(self.is_wrong[position])
            name = None if self.names is None else self.names[position]
            caption(panel, self.titles[position], name, is_wrong)
        self.true_points_ = draw_points(self.axes_, self.true_points, TRUE_POINTS)
        self.predicted_points_ = draw_points(self.axes_, self.predicted_points, PREDICTED_POINTS)
        self.legend_, self.colorbar_ = self._draw_legend(), self._draw_colorbar()
        return self

    def _draw_legend(self):
        if self.legend is None:
            return None
        from matplotlib.patches import Patch

        classes = [Patch(color=color, label=name) for name, color in self.legend.items()]
        n_rows = max(int(self.figure_.get_figheight() / _LEGEND_ROW_HEIGHT) - 1, 1)
        return self.figure_.legend(
            handles=classes,
            loc="outside right upper",
            fontsize="small",
            ncols=math.ceil(len(classes) / n_rows),
        )

    def _draw_colorbar(self):
        if self.scale is None:
            return None
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        low, high, name = self.scale
        return self.figure_.colorbar(
            ScalarMappable(Normalize(low, high), name), ax=list(self.axes_), shrink=0.6
        )

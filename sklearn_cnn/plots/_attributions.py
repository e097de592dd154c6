"""A gallery of images with what a network looked at, laid over them."""

from numbers import Integral

import numpy as np
from sklearn.base import is_regressor
from sklearn.utils import check_random_state, check_scalar

from sklearn_cnn._compat import num_samples, safe_indexing
from sklearn_cnn.images import as_numpy
from sklearn_cnn.inspection._attributions import attribute, check_method, the_network
from sklearn_cnn.inspection._network import as_network_sees
from sklearn_cnn.plots._gallery import (
    PREDICTED_POINTS,
    TRUE_POINTS,
    caption,
    check_order,
    choose,
    draw_points,
    kind_of_estimator,
    refuse_keypoints,
    wrapped,
)
from sklearn_cnn.plots._kinds import (
    KeyPoints,
    Labels,
    Numbers,
    names_of_classes,
    names_of_columns,
    numbers_apart,
)
from sklearn_cnn.plots._map_kinds import MapsOfNumbers, Masks
from sklearn_cnn.plots._panels import make_panels, refuse_without_matplotlib
from sklearn_cnn.plots._pixels import images_at, names_at, to_unit_range
from sklearn_cnn.targets import Continuous, MultiLabel

# Inches of an image, what stands below it, and a line above it.
_PANEL_SIDE, _LINE = 2.0, 0.16
_NAMES = {
    "hires_cam": "HiResCAM",
    "grad_cam": "Grad-CAM",
    "integrated_gradients": "Integrated gradients",
    "occlusion": "Occlusion",
}
# Red speaks for the target, blue against it.
_COLOR_MAP = "bwr"
# Of the largest attribution of an image.
_OPACITY = 0.8
# Black pixels of the images are shown as gray, on which red and blue are seen.
_DARKEST = -0.5


class AttributionDisplay:
    """Images with how much each pixel has to do with what is predicted, laid over them.

    Use `AttributionDisplay.from_estimator` or `AttributionDisplay.from_attributions` to create
    one. All parameters are stored as attributes.

    Parameters
    ----------
    images : list of ndarray of shape (H, W, C)
        The images, which may differ in size.
    attributions : list of ndarray of shape (h, w)
        Those of each image, stretched over it: positive where pixels speak for the target,
        negative where they speak against it.
    titles : list of str
        What stands above each image: truth, prediction and target.
    indices : ndarray of shape (n_images,)
        Where the images stand in X.
    label : str, default="Attribution"
        What the colour bar is of.
    is_wrong : ndarray of shape (n_images,), default=None
        Which titles are red and begin with ✗: those of wrong labels.
    names : list of str, default=None
        What stands below each image: its file, or where it stands in X.
    true_points : ndarray of shape (n_images, n_points, 2), default=None
        Key points x, y to draw on each image, in pixels.
    predicted_points : ndarray of shape (n_images, n_points, 2), default=None
        The same as predicted.

    Attributes
    ----------
    ims_ : list of matplotlib AxesImage
        The images, in gray.
    overlays_ : list of matplotlib AxesImage
        The attributions, as shares of the largest of each image.
    true_points_ : list of matplotlib PathCollection or None
        The true key points: green circles.
    predicted_points_ : list of matplotlib PathCollection or None
        The predicted key points: red crosses.
    colorbar_ : matplotlib Colorbar
        What the colours mean.
    axes_ : ndarray of matplotlib Axes of shape (n_images,)
        The panels, one an image.
    bounding_ax_ : matplotlib Axes or None
        The axes whose place the panels take.
    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    AttributionDisplay.from_estimator : Attribute what a fitted estimator predicts, and draw.
    AttributionDisplay.from_attributions : Draw attributions that are there.
    sklearn_cnn.inspection.attributions : The numbers alone.
    PredictionsDisplay : Images, truth and prediction.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cnn import CNNClassifier
    >>> from sklearn_cnn.plots import AttributionDisplay
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> classifier = CNNClassifier(max_epochs=3, random_state=0).fit(X[:400], y[:400])
    >>> display = AttributionDisplay.from_estimator(classifier, X[400:], y[400:], n_images=4)
    >>> len(display.axes_), display.attributions[0].shape
    (4, (8, 8))
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        *,
        images,
        attributions,
        titles,
        indices,
        label="Attribution",
        is_wrong=None,
        names=None,
        true_points=None,
        predicted_points=None,
    ):
        self.images = images
        self.attributions = attributions
        self.titles = titles
        self.indices = indices
        self.label = label
        self.is_wrong = is_wrong
        self.names = names
        self.true_points = true_points
        self.predicted_points = predicted_points

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        method="hires_cam",
        target=None,
        layer=None,
        baseline=None,
        n_steps=None,
        window=None,
        n_images=12,
        order=None,
        keypoints=False,
        display_labels=None,
        random_state=None,
        n_cols=None,
        ax=None,
        imshow_kwargs=None,
    ):
        """Attribute what a fitted estimator predicts to the pixels, and draw it.

        Parameters
        ----------
        estimator : estimator
            A fitted `CNNClassifier` or `CNNRegressor`, or a Pipeline or search with one.
        X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images, as its `predict` takes them; files and PIL images too.
        y : array-like of shape (n,) or (n, n_outputs), default=None
            Targets, with a value for each pixel too: arrays or files. Titles tell of them.
        method : {"hires_cam", "grad_cam", "integrated_gradients", "occlusion"}, \
default="hires_cam"
            See `sklearn_cnn.inspection.attributions`, as for the next five.
        target : label, int or array-like of shape (n,), default=None
            Which class, or which column of y from 0 on, or what titles call it; or one class or
            column for each image of X: `target=y` asks what speaks for the truth. None: the
            predicted class; of several labels the likeliest. It has to be said of several numbers,
            and of masks.
        layer : str, default=None
            For "hires_cam" and "grad_cam".
        baseline : float or array-like of shape (C,), (H, W) or (H, W, C), default=None
            For "integrated_gradients" and "occlusion".
        n_steps : int, default=None
            For "integrated_gradients".
        window : int or tuple of (int, int), default=None
            For "occlusion".
        n_images : int, default=12
            Images to show.
        order : {"worst", "best", "random"}, default=None
            Which images, and in which order; see `PredictionsDisplay.from_estimator`. The first two
            need y. None: the worst first if there is y, else the first of X.
        keypoints : bool, default=False
            Whether y holds points x0, y0, x1, y1, ... in pixels of X; those that the target is a
            coordinate of are drawn.
        display_labels : array-like of shape (n_classes,) or (n_outputs,), default=None
            Names of the classes, in the order of `classes_`, or of the columns of y. None: the
            classes themselves, and the names of columns that a frame has.
        random_state : int, RandomState instance or None, default=None
            Fixes which images are drawn at random.
        n_cols : int, default=None
            Images side by side. None: four.
        ax : matplotlib Axes or array-like of them, default=None
            See `plot`.
        imshow_kwargs : dict, default=None
            Passed to matplotlib's `imshow` of the attributions.

        Returns
        -------
        AttributionDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `n_images`, `n_cols`, `order` or a length is wrong, `keypoints` is asked of a
            classifier or `display_labels` comes with it; and as in `attributions`.
        TypeError
            If `n_images`, `n_cols`, `n_steps` or `window` is no integer.
        ImportError
            If matplotlib or captum is not installed.
        """
        refuse_without_matplotlib()
        options = {"layer": layer, "baseline": baseline, "n_steps": n_steps, "window": window}
        check_method(method, options)
        network = the_network(estimator)
        if keypoints and not is_regressor(network):
            refuse_keypoints(network)
        kind = None
        if y is not None:
            kind = kind_of_estimator(estimator, X, y, keypoints, display_labels)
            chosen = choose(X, kind, n_images, order or "worst", random_state)
        else:
            chosen = _choose_without_truth(X, n_images, order, random_state)
        names = _names_of_outputs(network._target, y, keypoints, display_labels)
        if isinstance(target, str):
            target = _index_or_class(network._target, target, names)
        elif np.ndim(target) == 1:
            _check_length(target, "target", X)
            target = np.asarray(target)[chosen]
        seen = as_network_sees(estimator, safe_indexing(X, chosen))
        maps, outputs = attribute(network, seen, method, target, options)
        images = _images_of(network, seen)
        of_outputs = _Outputs(network, seen, outputs, names, keypoints)
        return cls(
            images=images,
            attributions=list(maps),
            titles=[of_outputs.title(at, kind, row) for at, row in enumerate(chosen)],
            indices=chosen,
            label=_NAMES[method],
            is_wrong=None if kind is None else _are_wrong(kind, chosen),
            names=names_at(X, chosen),
            **of_outputs.points(kind, chosen),
        ).plot(ax, n_cols=n_cols, imshow_kwargs=imshow_kwargs)

    @classmethod
    def from_attributions(
        cls,
        X,
        attributions,
        *,
        titles=None,
        label="Attribution",
        n_images=12,
        image_shape=None,
        channel_axis=-1,
        n_cols=None,
        ax=None,
        imshow_kwargs=None,
    ):
        """Draw attributions that are there, of captum or shap say, over the images.

        Parameters
        ----------
        X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images, as in `CNNClassifier.fit`; files and PIL images too.
        attributions : array-like of shape (n, h, w) or (n, H*W), or list of such of an image
            Those of each image, in any size: they are stretched over it. Flat ones have as many
            numbers as the image has pixels. Tensors of torch too.
        titles : list of str, default=None
            What stands above each image.
        label : str, default="Attribution"
            What the colour bar is of.
        n_images : int, default=12
            Images to show, the first of X.
        image_shape : tuple of int, default=None
            (H, W) or (H, W, C) of the images that flat rows hold; None guesses, as the
            estimators do.
        channel_axis : {-1, 1}, default=-1
            Where X of four dimensions keeps its channels, and in which order flat rows hold
            them.
        n_cols : int, default=None
            Images side by side. None: four.
        ax : matplotlib Axes or array-like of them, default=None
            See `plot`.
        imshow_kwargs : dict, default=None
            Passed to matplotlib's `imshow` of the attributions.

        Returns
        -------
        AttributionDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `n_images`, `n_cols` or a length is wrong, there is no image, attributions are not
            finite or have another number of dimensions, or X cannot be read as images.
        TypeError
            If `n_images` or `n_cols` is no integer.
        ImportError
            If matplotlib is not installed.
        """
        refuse_without_matplotlib()
        _check_length(attributions, "attributions", X)
        if titles is not None:
            _check_length(titles, "titles", X)
        chosen = _choose_without_truth(X, n_images, None, None)
        images = images_at(X, chosen, image_shape, channel_axis)
        maps = [
            _checked(attributions[row], f"attributions[{row}]", image.shape[:2])
            for row, image in zip(chosen, images, strict=True)
        ]
        return cls(
            images=images,
            attributions=maps,
            titles=[""] * len(chosen) if titles is None else [titles[row] for row in chosen],
            indices=chosen,
            label=label,
            names=names_at(X, chosen),
        ).plot(ax, n_cols=n_cols, imshow_kwargs=imshow_kwargs)

    def plot(self, ax=None, *, n_cols=None, imshow_kwargs=None):
        """Draw the images in gray, and the attributions over them.

        Red speaks for the target and blue against it, the stronger the more; each image has its
        own scale, the largest attribution in it.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of them, default=None
            One: the panels take its place. Several: they are the panels. None: a new figure.
        n_cols : int, default=None
            Images side by side. None: four.
        imshow_kwargs : dict, default=None
            Passed to matplotlib's `imshow` of the attributions.

        Returns
        -------
        AttributionDisplay
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
        n_panels = len(self.images)
        n_cols = check_scalar(4 if n_cols is None else n_cols, "n_cols", Integral, min_val=1)
        n_lines = max(wrapped(f"✗ {title}").count("\n") + 1 for title in self.titles)
        panel_size = _PANEL_SIDE, _PANEL_SIDE + n_lines * _LINE
        self.bounding_ax_, self.axes_ = make_panels(ax, n_panels, min(n_cols, n_panels), panel_size)
        self.figure_ = self.axes_[0].figure
        grays = [_gray(image) for image in to_unit_range(self.images)]
        self.ims_ = [
            panel.imshow(gray, cmap="gray", vmin=_DARKEST, vmax=1)
            for panel, gray in zip(self.axes_, grays, strict=True)
        ]
        self.overlays_ = [
            self._draw_overlay(panel, im, attribution, imshow_kwargs or {})
            for panel, im, attribution in zip(self.axes_, self.ims_, self.attributions, strict=True)
        ]
        for position, panel in enumerate(self.axes_):
            is_wrong = self.is_wrong is not None and bool(self.is_wrong[position])
            name = None if self.names is None else self.names[position]
            caption(panel, self.titles[position], name, is_wrong)
        self.true_points_ = draw_points(self.axes_, self.true_points, TRUE_POINTS)
        self.predicted_points_ = draw_points(self.axes_, self.predicted_points, PREDICTED_POINTS)
        self.colorbar_ = self._draw_colorbar()
        return self

    def _draw_overlay(self, panel, im, attribution, imshow_kwargs):
        shares = attribution / (np.abs(attribution).max() or 1.0)
        style = {"cmap": _COLOR_MAP, "vmin": -1, "vmax": 1, "alpha": _OPACITY * np.abs(shares)}
        return panel.imshow(shares, extent=im.get_extent(), **{**style, **imshow_kwargs})

    def _draw_colorbar(self):
        from matplotlib.cm import ScalarMappable

        overlay = self.overlays_[0]
        bar = self.figure_.colorbar(
            ScalarMappable(overlay.norm, overlay.get_cmap()), ax=list(self.axes_), shrink=0.8
        )
        bar.set_label(f"{self.label},\nlargest of an image = 1", fontsize="small")
        if all((attribution >= 0).all() for attribution in self.attributions):
            bar.ax.set_ylim(0, None)
        return bar


class _Outputs:
    """What the outputs that are attributed are called, and what is predicted for them."""

    def __init__(self, network, seen, outputs, names, keypoints):
        self.target, self.outputs, self.keypoints = network._target, outputs, keypoints
        self.names = names
        self.predicted = network.predict(seen)
        self.probabilities = None
        if not self.target.is_map and hasattr(network, "predict_proba"):
            self.probabilities = network.predict_proba(seen)

    def title(self, position, kind, row):
        """Return truth and prediction, where there is a truth, and the target."""
        lines = [] if kind is None else [self._of_kind(kind, row)]
        if isinstance(self.target, Continuous) and self.target.n_outputs == 1:
            # the one number stands there already
            return lines[0] if lines else f"predicted {self._value(position)}"
        output = self.outputs[position]
        name, value = self.names[output], self._value(position)
        if isinstance(kind, Numbers) and not self.keypoints:
            pair = numbers_apart(kind.y_true[row, output], kind.y_pred[row, output])
            return f"target {name}: {' → '.join(pair)}"
        if isinstance(kind, Labels) and kind.y_pred[row] == kind.classes[self.outputs[position]]:
            # its probability stands beside the prediction
            value = ""
        return "\n".join([*lines, f"target {name}{value and f' ({value})'}"])

    def _of_kind(self, kind, row):
        error = kind.errors[row]
        is_map = isinstance(kind, (Masks, MapsOfNumbers))
        return kind.measure(error) if is_map else kind.title(row, error)

    def _value(self, position):
        """Return what is predicted for the target, as text."""
        output, predicted = self.outputs[position], self.predicted[position]
        if isinstance(self.target, Continuous):
            size = self.target.n_outputs
            # of maps the mean over pixels
            value = predicted.reshape(-1, size)[:, output].mean()
            return f"{'mean ' * self.target.is_map}{numbers_apart(value)[0]}"
        if self.target.is_map:
            if isinstance(self.target, MultiLabel):
                share = np.mean(predicted[..., output])
            else:
                share = np.mean(predicted == self.target.classes[output])
            return f"{share:.0%} of pixels"
        return "" if self.probabilities is None else f"{self.probabilities[position, output]:.2f}"

    def points(self, kind, chosen):
        """Return the key points that the targets are coordinates of."""
        if not self.keypoints:
            return {}
        of_target = np.arange(len(self.outputs)), self.outputs // 2
        points = {"predicted_points": self.predicted.reshape(len(chosen), -1, 2)}
        if isinstance(kind, KeyPoints):
            points["true_points"] = kind.true_points[chosen]
        return {name: of_images[of_target][:, None] for name, of_images in points.items()}


def _names_of_outputs(target, y, keypoints, display_labels):
    """Return what to call the classes, or the columns of y."""
    n_outputs = target.n_outputs
    if keypoints and not hasattr(y, "columns"):
        return [f"{'xy'[column % 2]}{column // 2}" for column in range(n_outputs)]
    if isinstance(target, (Continuous, MultiLabel)):
        return names_of_columns(y, n_outputs, display_labels)
    return names_of_classes(display_labels, target.classes)


def _index_or_class(target, name, names):
    """Return the class or column that is called so, or the name itself where none is."""
    if isinstance(target, (Continuous, MultiLabel)):
        known = list(range(target.n_outputs))
    else:
        known = target.classes.tolist()
    is_called = name in names and name not in known
    return known[names.index(name)] if is_called else name


def _check_length(values, name, X):
    """Raise a ValueError unless there are as many values as images."""
    n_values, n_images = num_samples(values), num_samples(X)
    if n_values != n_images:
        raise ValueError(
            f"{name} must hold one for each of {n_images} images of X, but holds {n_values}."
        )


def _are_wrong(kind, chosen):
    """Return which labels are wrong; None of values for each pixel, which are more or less so."""
    if isinstance(kind, (Masks, MapsOfNumbers, Numbers)):
        return None
    return np.array([kind.is_wrong(row) for row in chosen])


def _choose_without_truth(X, n_images, order, random_state):
    """Return the rows to show where nothing is known of how wrong they are."""
    n_images, n = check_scalar(n_images, "n_images", Integral, min_val=1), num_samples(X)
    if n == 0:
        raise ValueError("AttributionDisplay shows at least one image, but X is empty.")
    if order is None:
        return np.arange(min(n, n_images))
    check_order(order)
    if order == "random":
        return check_random_state(random_state).permutation(n)[:n_images]
    raise ValueError(
        f"order={order!r} needs y, which says how wrong predictions are. Pass y, or write "
        'order="random" or None.'
    )


def _images_of(network, seen):
    """Return images in their own size, or as the network sees them if that cuts or fills."""
    rows, prepared = np.arange(num_samples(seen)), network._preparation
    images = images_at(seen, rows, None, prepared.channel_axis, network.image_shape_)
    size = network.image_shape_[:2]
    if prepared.resize_mode == "squash" or all(image.shape[:2] == size for image in images):
        return images
    return list(network._read_like_fit(seen)[:].numpy())


def _gray(image):
    """Return an image with values in [0, 1] as gray."""
    return image[..., :3].mean(axis=2)


def _checked(attribution, name, size):
    """Return finite attributions as an array of two dimensions."""
    attribution = np.asarray(as_numpy(attribution))
    if attribution.shape == (size[0] * size[1],):
        attribution = attribution.reshape(size)
    if attribution.ndim != 2:
        advice = (
            "sum over the channels" if attribution.ndim > 2 else "reshape it to (height, width)"
        )
        raise ValueError(
            f"{name} has shape {attribution.shape}, but there is one number a pixel: {advice}."
        )
    if not np.isfinite(attribution).all():
        raise ValueError(f"{name} holds NaN or infinite numbers.")
    return attribution

"""What galleries of images share: which images, in which order, and what stands around them."""

import textwrap
from numbers import Integral

import numpy as np
from sklearn.base import is_regressor
from sklearn.utils import check_consistent_length, check_random_state, check_scalar

from sklearn_cnn.inspection._network import find_network, scores_of
from sklearn_cnn.plots._kinds import are_maps, kind_of_labels, kind_of_numbers
from sklearn_cnn.plots._map_kinds import MapsOfNumbers, Masks

# How key points are drawn.
TRUE_POINTS = {"marker": "o", "facecolors": "none", "edgecolors": "lime", "s": 9}
PREDICTED_POINTS = {"marker": "x", "color": "red", "s": 9}
_ORDERS = ("worst", "best", "random")
# Characters that fit above an image.
_TITLE_WIDTH = 26


def kind_of_estimator(estimator, X, y, keypoints, display_labels):
    """Return the kind of predictions that a fitted estimator makes, with those for X.

    Parameters
    ----------
    estimator : classifier or regressor
    X : array-like
        Images, as its `predict` takes them.
    y : array-like
        What is true of them.
    keypoints : bool
    display_labels : array-like or None

    Returns
    -------
    Labels, Indicators, Numbers, KeyPoints, Masks or MapsOfNumbers
    """
    y_pred = estimator.predict(X)
    if are_maps(y_pred) and not keypoints:
        network = find_network(estimator)
        of_network = {} if network is None else _what_maps_are(network)
        return kind_of_maps(
            y, y_pred, is_regressor(estimator), display_labels=display_labels, **of_network
        )
    if is_regressor(estimator):
        return kind_of_numbers(y, y_pred, keypoints, display_labels=display_labels)
    if keypoints:
        refuse_keypoints(estimator)
    return kind_of_labels(y, y_pred, display_labels=display_labels, **scores_of(estimator, X))


def refuse_keypoints(estimator):
    """Raise that a classifier has no key points."""
    raise ValueError(
        f"keypoints=True is for regressors, whose y holds coordinates, but "
        f"{type(estimator).__name__} is none."
    )


def _what_maps_are(network):
    """Return what a fitted network says of masks and maps."""
    names = {"classes": "classes_", "ignore_label": "ignore_label"}
    said = {name: getattr(network, attribute, None) for name, attribute in names.items()}
    return {"form": network._map_format(), **said}


def kind_of_maps(y_true, y_pred, hold_numbers, *, form=None, display_labels=None, **of_classes):
    """Return `MapsOfNumbers` or `Masks`; what is said of classes is for the second."""
    of_both = {"form": form, "display_labels": display_labels}
    if hold_numbers:
        return MapsOfNumbers(y_true, y_pred, **of_both)
    return Masks(y_true, y_pred, **of_both, **of_classes)


def refuse_probabilities(y_true, y_pred):
    """Raise a ValueError if predictions are what `predict_proba` gives."""
    if not isinstance(y_pred, np.ndarray) or y_pred.dtype.kind != "f" or y_pred.size == 0:
        return
    # an indicator has an axis for its labels, too; masks may be a list of their own sizes
    is_array = hasattr(y_true, "shape")
    n_axes = len(y_true.shape) if is_array else 1 + np.ndim(next(iter(y_true), ()))
    if y_pred.ndim not in (2, 4) or n_axes >= y_pred.ndim or y_pred.shape[-1] < 2:
        return
    if y_pred.min() >= 0 and np.allclose(y_pred.sum(axis=-1), 1, atol=1e-3):
        also = ", and these as y_proba" if y_pred.ndim == 2 else ""
        raise ValueError(
            f"y_pred of shape {y_pred.shape} holds probabilities. Pass labels, "
            f"classes_[y_pred.argmax(axis=-1)]{also}."
        )


def choose(X, kind, n_images, order, random_state):
    """Return the rows to show, first things first."""
    check_consistent_length(X, kind.y_true)
    n_images = check_scalar(n_images, "n_images", Integral, min_val=1)
    check_order(order)
    if order == "random":
        return check_random_state(random_state).permutation(len(kind.y_true))[:n_images]
    sign = -1 if order == "worst" else 1
    return np.argsort(sign * kind.errors, kind="stable")[:n_images]


def check_order(order):
    """Raise a ValueError unless `order` is one of those that there are."""
    if order not in _ORDERS:
        raise ValueError(f"order must be one of {', '.join(_ORDERS)}, got {order!r}.")


def caption(panel, title, name, is_wrong):
    """Write above an image what there is to say of it, and below it what it is called."""
    color = {"color": "tab:red"} if is_wrong else {}
    # labels may hold a dollar sign, which is no formula here
    title = wrapped(f"{'✗ ' * is_wrong}{title}")
    panel.set_title(title, fontsize="small", parse_math=False, **color)
    panel.set(xticks=[], yticks=[])
    if name is not None:
        panel.set_xlabel(wrapped(name), fontsize="x-small", parse_math=False)


def draw_points(axes, points, style):
    """Draw key points, of shape (n_images, n_points, 2), on their images; None draws none."""
    if points is None:
        return None
    return [
        panel.scatter(of_image[:, 0], of_image[:, 1], **style)
        for panel, of_image in zip(axes, points, strict=True)
    ]


def wrapped(title):
    """Return a title with its long lines broken."""
    lines = (
        textwrap.fill(line, _TITLE_WIDTH, break_long_words=False) for line in title.split("\n")
    )
    return "\n".join(lines)

"""Kinds of predictions with a value for each pixel: image, truth and prediction side by side."""

import numpy as np
from sklearn.utils import check_consistent_length

from sklearn_cnn.images import as_maps
from sklearn_cnn.images._maps import StackedMaps
from sklearn_cnn.metrics import mean_iou_score
from sklearn_cnn.plots._kinds import names_of_classes

# How much of a pixel's colour is that of its class.
_OPACITY = 0.6
# The colours of so many classes can be told apart by name.
_MOST_NAMED_COLORS = 10
# Saturation and value of classes that follow one another, where there are more: neighbours in hue
# differ in these.
_SHADES = (1.0, 1.0), (0.4, 1.0), (1.0, 0.45)
_COLOR_MAP = "viridis"
_ORDER = "image, truth, prediction"


class Masks:
    """A class for each pixel, or several labels.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n, H, W) or (n, H, W, k), or sequence of masks
        The truth may be files. Of several labels 0 and 1.
    form : MapFormat or None
        How those say their values.
    classes : array-like or None
        The labels; None takes those that occur, sorted.
    display_labels : sequence of str or None
        What to call the classes.
    ignore_label : object or None
        The label of true pixels that do not count, which get no colour.
    """

    scale = None

    def __init__(
        self,
        y_true,
        y_pred,
        *,
        form=None,
        classes=None,
        display_labels=None,
        ignore_label=None,
    ):
        self.y_true, self.y_pred = _true_maps(y_true, y_pred, form), y_pred
        self.ignore_label = ignore_label
        self.are_several = np.ndim(y_pred[0]) == 3
        if self.are_several:
            classes = range(np.shape(y_pred[0])[2])
        elif classes is None:
            masks = (mask for y in (self.y_true, y_pred) for mask in y)
            found = {label for mask in masks for label in np.unique(mask).tolist()}
            classes = sorted(found - {ignore_label})
        self.classes = np.asarray(classes)
        self._colors = _colors(len(self.classes))
        names = names_of_classes(display_labels, self.classes)
        self.legend = dict(zip(names, self._colors, strict=True))

    @property
    def errors(self):
        """1 less the mean intersection over union of the classes in an image."""
        pairs = zip(self.y_true, self.y_pred, strict=True)
        return 1 - np.array([self._score(*map(np.asarray, pair)) for pair in pairs])

    def _score(self, true, predicted):
        if not self.are_several:
            return mean_iou_score([true], [predicted], ignore_label=self.ignore_label)
        counts = true != self.ignore_label
        both = (counts & (true == 1) & (predicted == 1)).sum(axis=(0, 1))
        either = (counts & ((true == 1) | (predicted == 1))).sum(axis=(0, 1))
        # a label that neither has is no error
        return (both[either > 0] / either[either > 0]).mean() if either.any() else 1.0

    def title(self, row, error):
        """Return the order of the three, and how good the prediction is."""
        return f"{_ORDER}: {self.measure(error)}"

    def measure(self, error):
        """Return the mean intersection over union."""
        return f"mean IoU {1 - error:.2f}"

    def panel(self, row, image):
        """Return image, truth and prediction side by side."""
        size = np.shape(self.y_pred[row])[:2]
        image = _in_colors(_resized(image, size))
        masks = self.y_true[row], np.asarray(self.y_pred[row])
        return np.hstack([image, *(self._overlay(image, mask) for mask in masks)])

    def _overlay(self, image, mask):
        """Return an image in gray, tinted by the classes of its pixels."""
        result = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
        for index, color in enumerate(self._colors):
            where = mask[..., index] == 1 if self.are_several else mask == self.classes[index]
            result[where] = (1 - _OPACITY) * result[where] + _OPACITY * color
        return result


class MapsOfNumbers:
    """A number or several for each pixel.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n, H, W) or (n, H, W, k), or sequence of maps
        NaN in the truth where there is none. The truth may be files.
    form : MapFormat or None
        How those say their values.
    display_labels : sequence of str or None
        What to call the numbers of a pixel, where they are several; None takes their indices.
    """

    legend = None

    def __init__(self, y_true, y_pred, form=None, display_labels=None):
        self.y_true, self.y_pred = _true_maps(y_true, y_pred, form), y_pred
        n_values = np.shape(y_pred[0])[2] if np.ndim(y_pred[0]) == 3 else 1
        self._names = names_of_classes(display_labels, range(n_values))
        maps = [values for y in (self.y_true, y_pred) for values in y]
        # one scale of colours for all images
        self.scale = min(map(np.nanmin, maps)), max(map(np.nanmax, maps)), _COLOR_MAP

    @property
    def errors(self):
        """The mean absolute error of the pixels of an image that have a number."""
        pairs = zip(self.y_true, self.y_pred, strict=True)
        return np.array([np.nanmean(np.abs(np.subtract(*pair))) for pair in pairs])

    def title(self, row, error):
        """Return the order of what is shown, and how good the prediction is."""
        if len(self._names) == 1:
            return f"{_ORDER}: {self.measure(error)}"
        names = ", ".join(self._names)
        return f"image, then truth, prediction of {names}: {self.measure(error)}"

    def measure(self, error):
        """Return the mean absolute error."""
        return f"off by {error:.3g}"

    def panel(self, row, image):
        """Return image, truth and prediction side by side; of several numbers those of each."""
        size = np.shape(self.y_pred[row])[:2]
        pair = [np.reshape(y[row], (*size, -1)) for y in (self.y_true, self.y_pred)]
        maps = [values[..., k] for k in range(pair[0].shape[2]) for values in pair]
        image = _in_colors(_resized(image, size))
        return np.hstack([image, *(self._colored(values) for values in maps)])

    def _colored(self, values):
        """Return a map in colours; gray where there is no number."""
        from matplotlib import colormaps

        low, high, name = self.scale
        colored = colormaps[name]((values - low) / ((high - low) or 1))[..., :3]
        return np.where(np.isnan(values)[..., None], 0.5, colored)


def _colors(n):
    """Return n colours, of shape (n, 3)."""
    from matplotlib import colormaps
    from matplotlib.colors import hsv_to_rgb

    if n <= _MOST_NAMED_COLORS:
        return colormaps["tab10"](np.arange(n))[:, :3]
    shades = np.array(_SHADES)[np.arange(n) % len(_SHADES)]
    return hsv_to_rgb(np.column_stack([np.arange(n) / n, shades]))


def _in_colors(image):
    """Return an image of one, three or four channels as one of three."""
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image[..., :3]


def _true_maps(y_true, y_pred, form):
    """Return true maps, which may be files, as arrays in the size of the predictions."""
    check_consistent_length(y_true, y_pred)
    maps = as_maps(y_true, np.shape(y_pred[0])[:2], "y_true", form)
    if maps is None:
        raise ValueError("y_pred has a value for each pixel, but y_true has none.")
    if isinstance(maps, StackedMaps):
        values = maps.stack
    else:
        values = [of_image for _, chunk in maps.chunks() for of_image in chunk]
    pairs = zip(values, y_pred, strict=True)
    return [_resized(true, np.shape(predicted)[:2]) for true, predicted in pairs]


def _resized(values, size):
    """Return an image, mask or map in another size, of its nearest pixels."""
    values = np.asarray(values)
    rows, columns = (np.arange(n) * m // n for n, m in zip(size, values.shape[:2], strict=True))
    return values[rows[:, None], columns]

"""y as users have it → arrays of labels or of numbers, checked as scikit-learn checks them."""

import math
from numbers import Real

import numpy as np
from sklearn.utils import assert_all_finite, check_array, column_or_1d

from sklearn_cnn.images import as_numpy
from sklearn_cnn.runtime.warnings import warn


def unique_classes(labels):
    """Return the distinct labels of one column, sorted."""
    return np.unique(column_or_1d(check_classes(labels)))


def check_classes(y, name="y"):
    """Return labels as an array without NaN; the indicator of a multilabel y may be sparse."""
    y = as_array(y, name)
    if hasattr(y, "toarray"):
        y = y.toarray()
    return check_array(
        y, ensure_2d=False, dtype=None, input_name=name, ensure_min_samples=0, ensure_min_features=0
    )


def check_class_weight(class_weight):
    """Raise a ValueError if `class_weight=` holds what is no weight; y says of which classes."""
    if not isinstance(class_weight, dict):
        return
    weights = class_weight.values()
    if not all(isinstance(weight, Real) and 0 <= float(weight) < math.inf for weight in weights):
        raise ValueError(
            f"class_weight must hold finite weights that are not negative, got {class_weight!r}."
        )


def check_indicator(y, name="y"):
    if not np.isin(y, (0, 1)).all():
        raise ValueError(
            f"Several labels an image come as a 0/1 indicator, but {name} holds other values. "
            "sklearn.preprocessing.MultiLabelBinarizer makes one out of lists of labels."
        )


def check_numbers(y, name="y", allow_nan=False):
    """Return the targets of a regression as floating-point numbers, all finite.

    With `allow_nan` y of several columns may hold NaN, for numbers that are missing.
    """
    y = as_array(y, name, allow_nan)
    y = check_array(
        y,
        ensure_2d=False,
        dtype=None,
        input_name=name,
        ensure_min_samples=0,
        ensure_all_finite="allow-nan" if allow_nan else True,
    )
    if y.dtype.kind in "mM":
        raise ValueError(
            f"{name} of CNNRegressor must hold numbers, got {y.dtype}, whose unit would be lost. "
            "Durations become numbers by y / np.timedelta64(1, 'h'), dates by subtracting one "
            "first."
        )
    if y.dtype.kind not in "fiub":
        try:
            y = y.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{name} of CNNRegressor must hold numbers, got values such as {y.flat[0]!r}. "
                "For labels use CNNClassifier."
            ) from error
    if y.ndim > 2:
        raise ValueError(f"{name} must have shape (n,) or (n, n_outputs), got {y.shape}.")
    y = y if y.dtype.kind == "f" else y.astype(np.float64)
    assert_all_finite(y, input_name=name, allow_nan=allow_nan and y.ndim == 2 and y.shape[1] > 1)
    return y


def as_array(y, name="y", allow_nan=False):
    """Return y from any container that scikit-learn takes as an array."""
    y = as_numpy(y, name)
    is_missing = hasattr(y, "isna") and np.any(y.isna())  # pandas, whose NA is no NaN to NumPy
    if is_missing and not (allow_nan and y.ndim == 2):
        rows = np.asarray(y.isna()).reshape(len(y), -1).any(axis=1)
        raise ValueError(
            f"Input {name} contains NaN: row {rows.argmax()} is missing. Leave out such rows, of X "
            "too."
        )
    if hasattr(y, "iloc") and y.ndim == 2 and y.shape[1]:
        # column by column: of nullable columns a frame of pandas makes objects
        columns = [y.iloc[:, column] for column in range(y.shape[1])]
        nan = {"na_value": np.nan}
        return np.column_stack([c.to_numpy(**(nan if c.isna().any() else {})) for c in columns])
    if hasattr(y, "to_pylist"):  # pyarrow
        y = y.to_numpy(zero_copy_only=False)
    elif hasattr(y, "to_numpy"):  # polars, and one column of pandas
        y = y.to_numpy()
    if isinstance(y, (list, tuple)) or (isinstance(y, np.ndarray) and y.dtype == object):
        missing = [row for row, label in enumerate(y) if label is None]
        if missing:
            raise ValueError(
                f"Input {name} contains NaN: row {missing[0]} is None. Leave out such rows, of X "
                "too."
            )
    return y


def warn_if_one_hot(indicator):
    """Warn of an indicator that names one label in each row, as labels of one column would."""
    indicator = check_classes(indicator)
    n_labels = indicator.shape[1]
    if n_labels > 1 and (indicator.sum(axis=1) == 1).all():
        warn(
            f"y of shape {indicator.shape} has a single 1 in each row. As an indicator of several "
            f"labels an image it is learned as {n_labels} questions of yes or no, and predict may "
            "name none of the labels, or several. If each image has one label, pass "
            "y.argmax(axis=1).",
        )


def warn_of_rare_classes(y, sample_weight=None):
    """Warn if there is one class alone, or one has a single image: of a misspelt label, say.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels.
    sample_weight : ndarray of shape (n,) or None
        Images of weight 0 do not count.

    Warns
    -----
    UserWarning
        With labels and counts.
    """
    labels = column_or_1d(check_classes(y))
    if sample_weight is not None:
        labels = labels[sample_weight > 0]
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) == 1:
        warn(
            f"y holds one class alone, {classes.tolist()[0]!r}, in all of the {len(labels)} "
            "images: it is what any image will be taken for."
        )
    # where all have a single image none stands out
    elif (counts == 1).any() and (counts > 1).any():
        rare = classes[counts == 1].tolist()
        order = np.argsort(-counts, kind="stable")[:10]
        common = dict(zip(classes[order].tolist(), counts[order].tolist(), strict=True))
        warn(
            f"{len(rare)} of the {len(classes)} classes of y have a single image: {rare[:10]}. "
            f"Labels may be misspelt; the most common ones, with their counts, are {common}."
        )

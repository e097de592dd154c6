"""y as users have it → arrays of labels or of numbers, checked as scikit-learn checks them."""

import math
from numbers import Real

import numpy as np
from sklearn.utils import assert_all_finite, check_array, column_or_1d

from sklearn_cnn.images import advice_on_base64, as_numpy, shown
from sklearn_cnn.runtime.warnings import warn

# In letters, of SHA-512: labels may be hashes.
_LONGEST_HASH = 128


def unique_classes(labels):
    """Return the distinct labels of one column, sorted."""
    return np.unique(column_or_1d(check_classes(labels)))


def check_classes(y, name="y"):
    """Return labels as an array without NaN; the indicator of a multilabel y may be sparse."""
    y = as_array(y, name)
    if hasattr(y, "toarray"):
        y = y.toarray()
    _refuse_lists_of_labels(y, name)
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
    _refuse_ragged_rows(y, name)
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
                f"{name} of CNNRegressor must hold numbers, got values such as {y.flat[0]!r:.80}. "
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
    _refuse_base64(y, name)
    if _holds_objects(y):
        missing = (row for row, labels in enumerate(y) if _holds_missing(labels, allow_nan))
        for row in missing:
            raise ValueError(
                f"Input {name} contains NaN: row {row} is {y[row]}. Leave out such rows, of X too."
            )
    return y


def _holds_objects(y):
    return isinstance(y, (list, tuple)) or (isinstance(y, np.ndarray) and y.dtype == object)


def _holds_missing(labels, allow_nan):
    """Say whether a label, or one of several in an array of objects, is missing."""
    if isinstance(labels, np.ndarray) and labels.dtype == object and not allow_nan:
        return any(map(_is_missing, labels))
    return _is_missing(labels)


def _is_missing(label):
    """Say whether a label is None, NaN, or pandas' NA or NaT, which cannot be compared."""
    if isinstance(label, (float, np.floating)):
        return math.isnan(label)
    return label is None or type(label).__name__ in ("NAType", "NaTType")


def _refuse_base64(y, name):
    """Raise if labels are base64, of masks: each of them would be a class of its own."""
    first = y[0] if isinstance(y, (list, tuple, np.ndarray)) and len(y) > 0 else None
    first = first.decode("latin-1") if isinstance(first, bytes) else first
    if not isinstance(first, str) or len(first) <= _LONGEST_HASH:
        return
    advice = advice_on_base64(first)
    if advice:
        raise ValueError(f"{name}[0] is {shown(first)}{advice}.")


def _lengths(y):
    """Return the rows of objects that are collections, and how many values they hold."""
    kinds = (list, tuple, set, frozenset, np.ndarray)
    rows = enumerate(y if _holds_objects(y) else ())
    return {n: len(of) for n, of in rows if isinstance(of, kinds) and getattr(of, "ndim", 1) != 0}


def _refuse_lists_of_labels(y, name):
    lengths = _lengths(y)
    if not lengths:
        return
    is_table = len(lengths) == len(y) and len(set(lengths.values())) == 1
    is_column = getattr(y, "ndim", 2) == 1
    if not is_table or is_column or isinstance(y[0], (set, frozenset)):
        raise ValueError(
            f"{name} holds a list of labels for each image, of which several come as a 0/1 "
            "indicator. sklearn.preprocessing.MultiLabelBinarizer makes one out of lists of labels."
        )


def _refuse_ragged_rows(y, name):
    of_length = {length: row for row, length in reversed(_lengths(y).items())}
    if len(of_length) > 1:
        listed = ", ".join(f"{n} in row {row}" for n, row in sorted(of_length.items())[:5])
        raise ValueError(
            f"{name} holds rows of different lengths: {listed}. NaN stands for a number that is "
            "missing."
        )


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

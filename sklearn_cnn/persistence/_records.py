"""What was learned of images and of y, as plain values and back."""

import math

import numpy as np
from sklearn.base import ClassifierMixin

from sklearn_cnn.architectures._fine_tuning import Recipe
from sklearn_cnn.images import INTERPOLATIONS, RESIZE_MODES, PixelRange, Preparation
from sklearn_cnn.persistence._checks import (
    Record,
    boolean,
    integer,
    list_of,
    number,
    one_of,
    optional,
    text,
)
from sklearn_cnn.persistence._values import decode, decode_array, encode
from sklearn_cnn.targets import (
    Continuous,
    MultiLabel,
    PixelClasses,
    PixelLabels,
    PixelNumbers,
    Quantiles,
    SingleLabel,
)

_LABELS, _NUMBERS = (
    ("labels", "indicator", "masks", "label_masks"),
    ("numbers", "quantiles", "maps"),
)
TARGETS = _LABELS + _NUMBERS
_KINDS: dict[str, type[Continuous]] = {
    "numbers": Continuous,
    "quantiles": Quantiles,
    "maps": PixelNumbers,
}
_DTYPES: dict[str, type] = {"float32": np.float32, "float64": np.float64}
_LARGEST_SIDE, _MOST_OUTPUTS = 2**20, 2**20


def decode_images(entries, name):
    """Return the form of images: their shape, number and names of features, and preparation.

    The preparation is a dict, whose interpolation alone older files hold.
    """
    record = Record(entries, name)
    shape = record.take("shape", list_of, integer, 1, _LARGEST_SIDE)
    if len(shape) != 3:
        raise ValueError(f"{name}.shape is not height, width and channels")
    n_features = record.take("n_features", optional, integer, 1, math.prod(shape))
    names = record.take("feature_names", optional, list_of, text)
    prepared = record.take_or({}, "parameters", _decode_preparation, shape)
    # older files do not say what was the only way
    interpolation = record.take_or("bilinear", "interpolation", one_of, INTERPOLATIONS)
    record.end()
    if n_features not in (None, 1, math.prod(shape)):
        raise ValueError(f"{name}.n_features does not agree with the images")
    if names is not None and len(names) != n_features:
        raise ValueError(f"{name}.feature_names are not as many as the features")
    return tuple(shape), n_features, names, {**prepared, "interpolation": interpolation}


def _decode_preparation(entries, name, shape):
    """Return the parameters by which `fit` read images of a shape."""
    record = Record(entries, name)
    asked = record.take("image_shape", optional, list_of, integer, 1, _LARGEST_SIDE)
    if asked is not None and (len(asked) < 2 or asked != shape[: len(asked)]):
        raise ValueError(f"{name}.image_shape does not agree with the images")
    prepared = {
        "image_shape": None if asked is None else tuple(asked),
        "channel_axis": record.take("channel_axis", integer, -1, 1),
        "resize_mode": record.take("resize_mode", one_of, RESIZE_MODES),
    }
    record.end()
    if prepared["channel_axis"] == 0:
        raise ValueError(f"{name}.channel_axis is 0, and not -1 or 1")
    return prepared


def set_images(estimator, shape, n_features, names, prepared):
    """Set what `decode_images` returned."""
    estimator.image_shape_ = shape
    if "image_shape" not in prepared:
        # older files are of estimators that read by their parameters
        estimator._check_same_image_shape()
        missing = [field for field in Preparation._fields if field not in prepared]
        prepared = {**prepared, **{field: getattr(estimator, field) for field in missing}}
    estimator._preparation = Preparation(**prepared)
    if n_features is not None:
        estimator.n_features_in_ = n_features
    if names is not None:
        estimator.feature_names_in_ = np.array(names, dtype=object)


def encode_images(estimator):
    """Return the form of images that an estimator has learned, as plain values."""
    names, prepared = getattr(estimator, "feature_names_in_", None), estimator._preparation
    asked = prepared.image_shape
    return {
        "shape": list(estimator.image_shape_),
        "n_features": getattr(estimator, "n_features_in_", None),
        "feature_names": None if names is None else names.tolist(),
        "parameters": {
            "image_shape": None if asked is None else [int(side) for side in asked],
            "channel_axis": int(prepared.channel_axis),
            "resize_mode": prepared.resize_mode,
        },
        "interpolation": prepared.interpolation,
    }


def decode_pixel_range(entries, name):
    """Return which values the pixels of the training images have."""
    record = Record(entries, name)
    pixels = PixelRange(*(record.take(field, number) for field in PixelRange._fields))
    record.end()
    if not pixels.low <= pixels.high:
        raise ValueError(f"{name} are not from the smallest to the largest pixel")
    return pixels


def encode_target(target):
    """Return what y was, as plain values."""
    if isinstance(target, PixelClasses):
        ignored = encode(target.ignore_label)
        return {"kind": "masks", "classes": encode(target.classes), "ignore_label": ignored}
    if isinstance(target, SingleLabel):
        return {"kind": "labels", "classes": encode(target.classes)}
    if isinstance(target, PixelLabels):
        ignored = encode(target.ignore_label)
        return {"kind": "label_masks", "n_labels": target.n_outputs, "ignore_label": ignored}
    if isinstance(target, MultiLabel):
        return {"kind": "indicator", "n_labels": target.n_outputs}
    of_quantiles = {"n_quantiles": target.n_outputs} if isinstance(target, Quantiles) else {}
    return {
        "kind": next(kind for kind, of in _KINDS.items() if type(target) is of),
        **of_quantiles,
        "is_1d": target.is_1d,
        "dtype": np.dtype(target.dtype).name,
        "mean": encode(target.mean),
        "scale": encode(target.scale),
    }


def targets_of(kind):
    """Return which kinds of y a class of estimators takes."""
    return _LABELS if issubclass(kind, ClassifierMixin) else _NUMBERS


def decode_target(entries, name, expected):
    """Return what y was, one of the expected kinds."""
    record = Record(entries, name)
    target: SingleLabel | MultiLabel | Continuous
    what = record.take("kind", one_of, expected)
    if what in ("labels", "masks"):
        classes = record.take("classes", _array)
        if classes.ndim != 1 or not _ascend(classes):
            raise ValueError(f"{name}.classes are not distinct labels in their order")
        target = SingleLabel(classes)
        if what == "masks":
            target = PixelClasses(classes, record.take("ignore_label", decode))
    elif what in ("indicator", "label_masks"):
        n_labels = record.take("n_labels", integer, 1, _MOST_OUTPUTS)
        target = MultiLabel(n_labels)
        if what == "label_masks":
            target = PixelLabels(n_labels, record.take("ignore_label", decode))
    else:
        target = _numbers(record, name, _KINDS[what])
    record.end()
    return target


def _ascend(labels):
    try:
        return bool((labels[1:] > labels[:-1]).all())
    # objects of several types have no order
    except TypeError:
        return False


def _numbers(record, name, kind):
    target = kind.__new__(kind)
    target.is_1d = record.take("is_1d", boolean)
    target.dtype = _DTYPES[record.take("dtype", one_of, _DTYPES)]
    target.mean = record.take("mean", _array, "f")
    target.scale = record.take("scale", _array, "f")
    target.n_outputs = target.mean.size
    is_single = target.is_1d or kind is Quantiles
    shape = (1,) if is_single else (target.n_outputs,)
    if target.mean.shape != shape or target.scale.shape != shape or (target.scale <= 0).any():
        raise ValueError(f"{name}: mean and scale are not those of numbers")
    if kind is Quantiles:
        target.n_outputs = record.take("n_quantiles", integer, 1, _MOST_OUTPUTS)
    return target


def _array(value, name, kinds="biufOSUmM"):
    array = decode_array(value, name)
    if array.dtype.kind not in kinds or array.size == 0:
        raise ValueError(f"{name} is no array that belongs there")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} holds numbers that are not finite")
    return array


def decode_class_weights(value, name, target):
    """Return weights of the classes of a target."""
    weights = _array(value, name, "f")
    several = isinstance(target, MultiLabel)
    if weights.shape != (target.n_outputs, *(2,) * several) or (weights < 0).any():
        raise ValueError(f"{name} are not weights of the classes")
    return weights


def decode_history_row(entries, name):
    """Return the figures of an epoch."""
    if not isinstance(entries, dict) or "train_loss" not in entries:
        raise ValueError(f"{name} is no epoch")
    row = {key: decode(value, f"{name}.{key}") for key, value in entries.items()}
    for key in {"train_loss", "valid_score", "train_batch_count"} & row.keys():
        if type(row[key]) not in (int, float):
            raise ValueError(f"{name}.{key} is no number")
    return row


def decode_unfreezing(value, name):
    """Return the epochs after which frozen parts learn, or their share of a fit."""
    if isinstance(value, float) and 0 < value < 1:
        return value
    return integer(value, name, 1, 2**32)


def decode_recipe(entries, name):
    """Return the recipe that training goes on by."""
    record = Record(entries, name)
    recipe = Recipe(
        lr=record.take("lr", number, 0),
        weight_decay=record.take("weight_decay", number, 0),
        max_epochs=record.take("max_epochs", integer, 1, 2**32),
        keeps_statistics=record.take("keeps_statistics", boolean),
    )
    record.end()
    return recipe

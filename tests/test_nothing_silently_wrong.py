"""What users get wrong, or write in another way than expected: the right answer or an error."""

import functools
import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from image_files import write_images
from listed import Listed
from PIL import Image
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, r2_score
from skorch.callbacks import EarlyStopping as SkorchEarlyStopping
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor, ImageReader
from sklearn_cnn.architectures import ConvNet


def images_of(spots, seed=0, noise=80, shape=(8, 8)):
    """Noisy uint8 images with a bright spot; its number, up to 15, says where it is."""
    X = np.random.default_rng(seed).integers(0, noise, (len(spots), *shape), dtype=np.uint8)
    for image, spot in zip(X, spots, strict=True):
        row, column = 2 * (spot // 4), 2 * (spot % 4)
        image[row : row + 2, column : column + 2] += 150
    return X


def classifier(**params):
    return CNNClassifier(
        **{"architecture": ConvNet((8, 16)), "max_epochs": 3, "random_state": 0, **params}
    )


def regressor(**params):
    return CNNRegressor(
        **{"architecture": ConvNet((8, 16)), "max_epochs": 3, "random_state": 0, **params}
    )


INDEX = np.arange(48) % 2
X = images_of(INDEX)
ROWS = X.reshape(48, -1)
NUMBERS = X.mean(axis=(1, 2)) + 100.0 * INDEX


@pytest.fixture(scope="module")
def fitted():
    """Return a classifier that tests only read from."""
    return classifier().fit(X, INDEX)


@pytest.fixture
def no_warnings():
    """Turn every warning into an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def assert_same_outputs(model, other, X=X):
    np.testing.assert_array_equal(model.decision_function(X), other.decision_function(X))


# ---------------------------------------------------------------------------------- labels

LABELS = {
    "strings": np.array(["ant", "bee", "cat"]),
    "object strings": np.array(["ant", "wasp"], dtype=object),
    "one to ten": np.arange(1, 11),
    "three and eight": np.array([3, 8]),
    "negative": np.array([-1, 1]),
    "int32": np.array([0, 1, 2], dtype=np.int32),
    "uint8": np.array([0, 255], dtype=np.uint8),
    "bool": np.array([False, True]),
    "whole floats": np.array([1.0, 2.0]),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
def test_labels_come_back_as_they_went_in(labels):
    index = np.arange(60) % len(labels)
    X = images_of(index)
    model = classifier(max_epochs=6).fit(X, labels[index])
    predicted = model.predict(X)
    np.testing.assert_array_equal(model.classes_, labels)
    assert model.classes_.dtype == predicted.dtype == labels.dtype
    assert np.mean(predicted == labels[index]) > 0.9
    # what the labels are called does not matter to the network
    np.testing.assert_array_equal(
        predicted, labels[classifier(max_epochs=6).fit(X, index).predict(X)]
    )


CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "Series": pd.Series,
    "shuffled Series": lambda y: pd.Series(y, index=np.arange(len(y))[::-1]),
    "Categorical": lambda y: pd.Series(y, dtype="category"),
    "polars": pl.Series,
}


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS.keys())
@pytest.mark.usefixtures("no_warnings")
def test_labels_may_come_in_any_container(container):
    y = np.array(["no", "yes"])[INDEX]
    model = classifier().fit(X, container(list(y)))
    assert list(model.classes_) == ["no", "yes"]
    assert_same_outputs(model, classifier().fit(X, y))


@pytest.mark.usefixtures("no_warnings")
def test_a_tensor_of_labels(fitted):
    assert_same_outputs(classifier().fit(X, torch.tensor(INDEX)), fitted)


def test_a_column_of_labels_warns_and_is_taken_as_labels(fitted):
    with pytest.warns(DataConversionWarning, match="column-vector"):
        model = classifier().fit(X, INDEX.reshape(-1, 1))
    assert model.predict(X).shape == (48,)
    assert_same_outputs(model, fitted)


def test_probabilities_follow_classes_and_sum_to_one():
    index = np.arange(60) % 3
    names = np.array(["zebra", "ant", "mole"])  # not in the order that classes_ has
    model = classifier(max_epochs=6).fit(images_of(index), names[index])
    fresh = images_of(index, seed=1)
    probabilities = model.predict_proba(fresh)
    assert list(model.classes_) == ["ant", "mole", "zebra"]
    assert probabilities.shape == (60, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=0, atol=1e-12)
    assert probabilities.min() >= 0
    for column, name in enumerate(model.classes_):
        of_class = names[index] == name
        assert probabilities[of_class, column].min() > probabilities[~of_class, column].max()
    np.testing.assert_array_equal(
        model.classes_[probabilities.argmax(axis=1)], model.predict(fresh)
    )
    np.testing.assert_array_equal(np.log(probabilities), model.predict_log_proba(fresh))


def test_one_class_is_what_it_always_predicts():
    model = classifier().fit(X, ["only"] * 48)
    assert list(model.classes_) == ["only"]
    assert (model.predict(X) == "only").all()
    np.testing.assert_array_equal(model.predict_proba(X), np.ones((48, 1)))


REFUSED_LABELS = {
    "continuous": (NUMBERS, "continuous"),
    "several columns": (np.c_[INDEX, INDEX + 2], "multiclass-multioutput"),
    "too few": (INDEX[:-1], "inconsistent numbers of samples: .*48, 47"),
    "masks of another size": (np.zeros((48, 2, 2), int), "has 2 x 2 pixels"),
    "an indicator of 0 and 3": (3 * np.c_[INDEX, 1 - INDEX], "0/1|indicator"),
    "none": (None, "requires y"),
    "NaN": (np.where(INDEX == 1, np.nan, 0.0), "NaN"),
    "NaN among strings": (np.array(["a", np.nan] * 24, dtype=object), "NaN"),
    "complex": (INDEX + 1j, "[Cc]omplex"),
    "empty": ([], "inconsistent|0 sample|[Ee]mpty"),
}


@pytest.mark.parametrize(("y", "message"), REFUSED_LABELS.values(), ids=REFUSED_LABELS.keys())
def test_what_is_no_label_is_refused(y, message):
    with pytest.raises(ValueError, match=message):
        classifier().fit(X, y)


def test_a_sparse_indicator_is_the_same_as_a_dense_one():
    Y = np.c_[INDEX, 1 - INDEX, np.arange(48) % 3 == 0].astype(int)
    for class_weight in (None, "balanced"):
        dense = classifier(class_weight=class_weight).fit(X, Y)
        assert_same_outputs(
            classifier(class_weight=class_weight).fit(X, sparse.csr_array(Y)), dense
        )


# ----------------------------------------------------------------------------- partial_fit


def test_partial_fit_knows_labels_that_come_later():
    index = np.repeat(np.arange(10), 6)
    X, y = images_of(index), index + 10
    first, second = y < 15, y >= 15
    model = classifier().partial_fit(X[first], y[first], classes=range(10, 20))
    np.testing.assert_array_equal(model.classes_, np.arange(10, 20))
    assert model.predict_proba(X).shape == (60, 10)
    for _ in range(15):
        model.partial_fit(X[second], y[second])
    assert np.mean(model.predict(X[second]) == y[second]) > 0.9
    for _ in range(15):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.9


def test_the_order_of_classes_in_partial_fit_does_not_matter():
    y = np.array(["b", "a"])[INDEX]
    models = [
        classifier().partial_fit(X, y, classes=classes)
        for classes in (["a", "b", "c"], ["c", "a", "b", "a"])
    ]
    assert list(models[1].classes_) == ["a", "b", "c"]
    assert_same_outputs(*models)


def test_partial_fit_refuses_labels_that_it_was_not_told_of():
    with pytest.raises(ValueError, match=r"classes.*\[1\]"):
        classifier().partial_fit(X, INDEX, classes=[0, 2])
    model = classifier().partial_fit(X, INDEX, classes=[0, 1])
    for y in (INDEX + 1, INDEX + 0.5, np.array(["0", "1"])[INDEX]):
        with pytest.raises(ValueError, match="not among the classes"):
            model.partial_fit(X, y)
    with pytest.raises(ValueError, match=r"\[0, 1, 2\] are not those of the first call"):
        model.partial_fit(X, INDEX, classes=[0, 1, 2])


def test_partial_fit_asks_for_classes_in_its_first_call():
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        classifier().partial_fit(X, INDEX)


def test_partial_fit_takes_the_columns_of_an_indicator_as_its_classes():
    Y = np.c_[INDEX, 1 - INDEX]
    model = classifier().partial_fit(X, Y, classes=[1, 0])
    assert model.classes_.tolist() == [0, 1]
    assert_same_outputs(model, classifier().partial_fit(X, Y))
    assert_same_outputs(
        model.partial_fit(X, Y, classes=range(2)),
        classifier().partial_fit(X, Y).partial_fit(X, Y),
    )
    for classes in (["a", "b", "c"], ["a", "b"], [0, 1, 2], [0], [1, 2]):
        with pytest.raises(ValueError, match=r"not the columns of y.*range\(2\)"):
            classifier().partial_fit(X, Y, classes=classes)


def test_partial_fit_refuses_what_is_no_indicator_after_one():
    Y = np.c_[INDEX, 1 - INDEX]
    model = classifier().partial_fit(X, Y)
    for wrong in (3 * Y, 0.3 * Y, np.where(Y == 1, np.nan, 0), Y[:, :1], INDEX):
        with pytest.raises(ValueError, match=r"indicator|NaN"):
            model.partial_fit(X, wrong)


# ---------------------------------------------------------------------- targets of regression


def test_one_column_of_numbers_is_the_same_as_a_list_of_them():
    flat, column = regressor().fit(X, NUMBERS), regressor().fit(X, NUMBERS[:, None])
    assert flat.predict(X).shape == (48,)
    assert column.predict(X).shape == (48, 1)
    np.testing.assert_array_equal(flat.predict(X), column.predict(X)[:, 0])
    assert flat.score(X, NUMBERS) == column.score(X, NUMBERS[:, None])
    assert flat.score(X, NUMBERS) == r2_score(NUMBERS, flat.predict(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, object, bool])
def test_numbers_of_any_type_are_learned_in_their_own_units(dtype):
    y = (100 * INDEX + 1000).astype(dtype) if dtype is not bool else INDEX.astype(bool)
    model = regressor(max_epochs=10).fit(X, y)
    predicted = model.predict(X)
    assert predicted.dtype == (np.float32 if dtype is np.float32 else np.float64)
    assert r2_score(y.astype(float), predicted) > 0.9


REFUSED_NUMBERS = {
    "words": (np.array(["low", "high"])[INDEX], "must hold numbers"),
    "NaN": (np.where(INDEX == 1, np.nan, NUMBERS), "NaN"),
    "inf": (np.where(INDEX == 1, np.inf, NUMBERS), "infinity"),
    "None among numbers": ([None, 1.0] * 24, "NaN|None"),
    "complex": (NUMBERS + 1j, "[Cc]omplex"),
    "maps of another size": (np.zeros((48, 2, 2)), "has 2 x 2 pixels"),
    "too few": (NUMBERS[:-1], "inconsistent numbers of samples: .*48, 47"),
    "no column": (np.zeros((48, 0)), "0 feature"),
    "none": (None, "requires y"),
}


@pytest.mark.parametrize(("y", "message"), REFUSED_NUMBERS.values(), ids=REFUSED_NUMBERS.keys())
def test_what_is_no_number_is_refused(y, message):
    with pytest.raises(ValueError, match=message):
        regressor().fit(X, y)


@pytest.mark.parametrize("exponent", [-664, 664])
@pytest.mark.usefixtures("no_warnings")
def test_targets_may_be_so_small_or_large_that_their_squares_are_not_numbers(exponent):
    unit = 2.0**exponent  # about 1e-200 or 1e200; multiplying by it is exact
    model = regressor().fit(X, NUMBERS * unit)
    np.testing.assert_array_equal(model.predict(X), regressor().fit(X, NUMBERS).predict(X) * unit)


# ------------------------------------------------------------------------------- kinds of X

REPRESENTATIONS = {
    "float64": lambda X: X.astype(np.float64),
    "float32": lambda X: X.astype(np.float32),
    "float16": lambda X: X.astype(np.float16),
    "int": lambda X: X.astype(np.int64),
    "uint16": lambda X: X.astype(np.uint16),
    "big-endian": lambda X: X.astype(">f4"),
    "object": lambda X: X.astype(object),
    "nested lists": lambda X: X.tolist(),
    "list of arrays": list,
    "tensor": torch.tensor,
    "tensor with a gradient": lambda X: torch.tensor(X, dtype=torch.float32, requires_grad=True),
    "Fortran order": np.asfortranarray,
    "negative strides": lambda X: X[::-1].copy()[::-1],
    "not contiguous": lambda X: np.repeat(X, 2, axis=0)[::2],
    "flat rows": lambda X: X.reshape(len(X), -1),
    "flat rows of float64": lambda X: X.reshape(len(X), -1).astype(float),
    "one channel": lambda X: X[..., np.newaxis],
    "frame": lambda X: pd.DataFrame(X.reshape(len(X), -1)),
}


@pytest.mark.parametrize("convert", REPRESENTATIONS.values(), ids=REPRESENTATIONS.keys())
@pytest.mark.usefixtures("no_warnings")
def test_the_same_images_give_the_same_predictions(convert, fitted):
    assert_same_outputs(classifier().fit(convert(X), INDEX), fitted)
    np.testing.assert_array_equal(fitted.decision_function(convert(X)), fitted.decision_function(X))


def test_bool_images_are_images_of_zero_and_one():
    black_and_white = X > 100
    model = classifier().fit(black_and_white, INDEX)
    assert model.score(black_and_white, INDEX) > 0.9
    for dtype in (np.uint8, float):
        numbers = black_and_white.astype(dtype)
        np.testing.assert_array_equal(
            model.decision_function(numbers), model.decision_function(black_and_white)
        )
        assert_same_outputs(classifier().fit(numbers, INDEX), model, numbers)


ANOTHER_SCALE = {
    "divided by 255": lambda X: X / 255,
    "minus 1 to 1": lambda X: X / 127.5 - 1,
    "rows divided by 255": lambda X: X.reshape(len(X), -1) / 255,
    "list": lambda X: list(X / 255),
    "bool": lambda X: X > 100,
    "16 bits": lambda X: X.astype(np.uint16) * 257,
    "PIL images of 16 bits": lambda X: [Image.fromarray(x.astype(np.uint16) * 257) for x in X],
}


@pytest.mark.parametrize("rescale", ANOTHER_SCALE.values(), ids=ANOTHER_SCALE.keys())
def test_pixels_on_another_scale_than_in_fit_warn(rescale, fitted):
    expected = r"^X has pixels from \S+ to \S+, but CNNClassifier was fitted on pixels from 0 to 2"
    for method in fitted.predict, fitted.predict_proba, fitted.transform:
        with pytest.warns(UserWarning, match=expected):
            method(rescale(X))
    with pytest.warns(UserWarning, match=r"^X_val has pixels .*, but X has pixels from 0 to 2"):
        classifier(max_epochs=1).fit(X, INDEX, X_val=rescale(X), y_val=INDEX)
    for going_on in classifier(warm_start=True), classifier():
        learn = going_on.fit if going_on.warm_start else going_on.partial_fit
        learn(X, INDEX, **{} if going_on.warm_start else {"classes": [0, 1]})
        with pytest.warns(UserWarning, match=expected):
            learn(rescale(X), INDEX)


def test_bytes_where_fit_saw_0_to_1_warn(tmp_path):
    model = classifier().fit(X / 255, INDEX)
    paths = write_images(tmp_path, X)
    expected = r"^X has pixels from 0 to 2\d\d, but .* from 0 to 0\.89"
    for images in X, ROWS, list(X), paths, [Image.open(path) for path in paths]:
        with pytest.warns(UserWarning, match=expected):
            model.predict(images)
    with pytest.warns(UserWarning, match="^X_val has pixels from 0 to"):
        classifier(max_epochs=1).fit(X / 255, INDEX, X_val=paths, y_val=INDEX)


@pytest.mark.usefixtures("no_warnings")
def test_bytes_where_fit_saw_more_bits_warn():
    model = classifier().fit(X.astype(np.uint16) * 20, INDEX)
    with pytest.warns(UserWarning, match="on another scale|neither is scaled to the other"):
        model.predict(X)


def test_images_of_other_channels_are_told_from_those_of_another_size():
    model = classifier(image_shape=(8, 8)).fit(np.repeat(X[..., np.newaxis], 3, axis=-1), INDEX)
    with pytest.raises(ValueError, match=r"np.repeat\(X\[..., np.newaxis\], 3, axis=-1\)"):
        model.predict(X)


@pytest.mark.parametrize(("channels", "order"), [(1, (1, 8, 8)), (3, (3, 8, 8))])
def test_a_shape_in_the_order_of_torch_says_what_to_write(channels, order):
    images = np.repeat(X[:, np.newaxis], channels, axis=1)
    with pytest.raises(ValueError, match=rf"write image_shape=\(8, 8, {channels}\)"):
        classifier(image_shape=order, channel_axis=1).fit(images, INDEX)


def test_images_of_the_scale_of_fit_do_not_warn(fitted):
    for model, images in (fitted, X), (classifier().fit(X / 255, INDEX), X / 255):
        for part in images, images[:1], images // 2, 0 * images:
            model.predict(part)
    classifier().fit(X, INDEX, X_val=X // 3, y_val=INDEX)


def test_what_partial_fit_has_seen_is_no_other_scale():
    model = classifier().partial_fit(X / 255, INDEX, classes=[0, 1])
    with pytest.warns(UserWarning, match="was fitted on pixels from 0 to 0"):
        model.partial_fit(X.astype(float), INDEX)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit(X / 255, INDEX)
        model.predict(X.astype(float))


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_small_batch_is_no_lone_image(n, fitted):
    whole = fitted.decision_function(X)
    np.testing.assert_array_equal(fitted.decision_function(X[:n]), whole[:n])
    np.testing.assert_array_equal(fitted.decision_function(X[:n, ..., np.newaxis]), whole[:n])


def test_names_of_columns_are_remembered_and_compared():
    frame = pd.DataFrame(ROWS, columns=[f"pixel{i}" for i in range(64)])
    model = classifier().fit(frame, INDEX)
    assert list(model.feature_names_in_) == list(frame.columns)
    assert model.n_features_in_ == 64
    assert model.predict(frame).shape == (48,)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame.add_prefix("x"))
    with pytest.raises(ValueError, match="Feature names must be in the same order"):
        model.predict(frame[frame.columns[::-1]])
    with pytest.raises(ValueError, match="feature names should match"):
        model.fit(frame, INDEX, X_val=frame.add_prefix("x"), y_val=INDEX)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(ROWS)
    assert not hasattr(model.fit(ROWS, INDEX), "feature_names_in_")


# ------------------------------------------------------------------- X that cannot be images


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("shape", [(48, 64), (48, 8, 8), (48, 4, 4, 4)])
def test_pixels_that_are_no_finite_numbers_are_refused(value, shape):
    good = ROWS.astype(float).reshape(shape)
    bad = good.copy()
    bad[-1, -1] = value
    message = "NaN" if np.isnan(value) else "infinity"
    model = classifier(max_epochs=1)
    with pytest.raises(ValueError, match=message), np.errstate(over="ignore"):
        model.fit(bad, INDEX)
    with pytest.raises(ValueError, match=message), np.errstate(over="ignore"):
        model.fit(good, INDEX, X_val=bad, y_val=INDEX)
    model.fit(good, INDEX)
    for method in (model.predict, model.predict_proba, model.transform):
        with pytest.raises(ValueError, match=message), np.errstate(over="ignore"):
            method(bad)


BRIGHT = X > 180
MASKED = np.ma.array(np.where(BRIGHT, -9999, X.astype(float)), mask=BRIGHT)
MASKED_FORMS = {
    "images": lambda X: X,
    "channels": lambda X: X[..., np.newaxis],
    "rows": lambda X: X.reshape(len(X), -1),
    "list": list,
    "list of rows": lambda X: list(X.reshape(len(X), -1)),
    "Series": lambda X: pd.Series(list(X)),
    "Dataset": lambda X: Listed(list(X)),
}


@pytest.mark.parametrize("form", MASKED_FORMS.values(), ids=MASKED_FORMS.keys())
def test_masked_pixels_are_refused_as_nan_is(form):
    masked, unmasked = form(MASKED), form(np.ma.array(X.astype(float)))
    model = classifier(max_epochs=1)
    with pytest.raises(ValueError, match=r"^Input X\S* contains masked values"):
        model.fit(masked, INDEX)
    with pytest.raises(ValueError, match=r"^Input X_val\S* contains masked values"):
        model.fit(unmasked, INDEX, X_val=masked, y_val=INDEX)
    # a mask that hides nothing is none
    assert_same_outputs(model.fit(unmasked, INDEX), classifier(max_epochs=1).fit(X, INDEX))
    with pytest.raises(ValueError, match=r"^Input X\S* contains masked values"):
        model.predict(masked)


@pytest.mark.parametrize("contain", [lambda y: y, list, lambda y: np.ma.column_stack([y, y])])
def test_masked_targets_are_refused_as_nan_is(contain):
    numbers = np.ma.masked_equal(np.where(INDEX == 1, -9999.0, 1.5), -9999.0)
    labels = np.ma.masked_equal(INDEX, 1)
    for model, y in (regressor(max_epochs=1), numbers), (classifier(max_epochs=1), labels):
        with pytest.raises(ValueError, match=r"^Input y contains masked values"):
            model.fit(X, contain(y))
    with pytest.raises(ValueError, match=r"^Input y_val contains masked values"):
        regressor(max_epochs=1).fit(X, contain(numbers.data), X_val=X, y_val=contain(numbers))
    pairs = Listed([(image, label) for image, label in zip(X, numbers, strict=True)])
    with pytest.raises(ValueError, match=r"^Input y contains masked values"):
        regressor(max_epochs=1).fit(pairs)


def test_masked_weights_are_refused():
    weights = np.ma.masked_equal(np.ones(48) + INDEX, 2)
    with pytest.raises(ValueError, match=r"^Input sample_weight contains masked values"):
        classifier(max_epochs=1).fit(X, INDEX, weights)


@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize("make", [classifier, regressor])
def test_outputs_that_are_no_finite_numbers_are_refused(make, averaged):
    model = make(max_epochs=1, test_time_augmentation=averaged).fit(X / 255, INDEX)
    huge = (X / 255).astype(np.float32)
    huge[[5, 9]] *= np.float32(1e38)
    names = ["predict", "predict_proba", "predict_log_proba", "decision_function", "transform"]
    for method in [getattr(model, name) for name in names if hasattr(model, name)]:
        with pytest.raises(ValueError, match=r"for 2 of 48 images, the first of them X\[5\]\."):
            method(huge)


def test_weights_that_are_no_finite_numbers_are_refused():
    model = classifier(max_epochs=1).fit(X, INDEX)
    with torch.no_grad():
        next(model.module_.network.parameters()).fill_(torch.nan)
    with pytest.raises(ValueError, match=r"for 48 of 48 .* weights of module_ are NaN or infinite"):
        model.predict(X)


@pytest.mark.parametrize("empty", [X[:0], ROWS[:0], []], ids=["images", "rows", "list"])
def test_no_image_at_all_is_refused(empty, fitted):
    with pytest.raises(ValueError, match=r"0 sample|array=\[\]"):
        classifier().fit(empty, [])
    with pytest.raises(ValueError, match=r"0 sample|array=\[\]"):
        fitted.predict(empty)


def test_images_without_pixels_are_refused():
    for nothing in (ROWS[:, :0], X[:, :0], X[..., :0], X[..., np.newaxis][..., :0]):
        with pytest.raises(ValueError, match=r"0 feature\(s\)"):
            classifier().fit(nothing, INDEX)


def test_one_image_is_too_few_to_learn_from():
    with pytest.raises(ValueError, match=r"n_samples=1 .*minimum of 2"):
        classifier().fit(X[:1], INDEX[:1])
    with pytest.raises(ValueError, match=r"n_samples=1 .*minimum of 2"):
        regressor().fit(X, NUMBERS, sample_weight=np.eye(48)[0])
    with pytest.raises(ValueError, match=r"n_samples=1 .*minimum of 2"):
        classifier().partial_fit(X[:1], INDEX[:1], classes=[0, 1])


def test_batches_of_one_image_need_a_network_without_batch_normalization():
    with pytest.raises(ValueError, match=r"batch_size=1 is too small.*ConvNet\(norm=None\)"):
        classifier(architecture=ConvNet((8, 16, 32)), batch_size=1).fit(X, INDEX)
    model = classifier(architecture=ConvNet((8, 16, 32), norm=None), batch_size=1, max_epochs=1)
    assert len(model.fit(X[:5], INDEX[:5]).loss_curve_) == 1


@pytest.mark.parametrize("params", [{}, {"class_weight": "balanced"}], ids=str)
def test_lengths_of_images_and_targets_are_compared_first(params):
    for weight in (None, np.ones(48)):
        with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[48, 47\]"):
            classifier(**params).fit(X, INDEX[:-1], sample_weight=weight)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[48, 47\]"):
        regressor().fit(X, NUMBERS[:-1], sample_weight=np.ones(48))


@pytest.mark.parametrize("images", [X, ROWS], ids=["images", "rows"])
def test_complex_pixels_are_refused(images, fitted):
    with pytest.raises(ValueError, match=r"[Cc]omplex"):
        classifier().fit(images + 1j, INDEX)
    with pytest.raises(ValueError, match=r"[Cc]omplex"):
        fitted.predict(images + 1j)


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csr_matrix, sparse.coo_array])
def test_sparse_rows_are_refused_and_the_error_says_what_to_write(container, fitted):
    with pytest.raises(TypeError, match=r"[Ss]parse.*(dense|toarray)"):
        classifier().fit(container(ROWS), INDEX)
    with pytest.raises(TypeError, match=r"[Ss]parse.*(dense|toarray)"):
        fitted.predict(container(ROWS))


@pytest.mark.parametrize("thing", [{}, object(), int])
def test_objects_that_are_no_pixels_are_refused(thing, fitted):
    things = np.full((48, 64), thing, dtype=object)
    with pytest.raises(TypeError):
        classifier().fit(things, INDEX)
    with pytest.raises(TypeError):
        fitted.predict(things)


def test_one_path_is_refused_as_one_path(tmp_path, fitted):
    for path in ("cat.png", b"cat.png", tmp_path / "cat.png"):
        kind = "encoded image, a bytes" if isinstance(path, bytes) else "path"
        with pytest.raises(TypeError, match=f"single {kind}"):
            classifier().fit(path, [1])
        with pytest.raises(TypeError, match=f"single {kind}"):
            fitted.predict(path)


PATHS = {
    "list": list,
    "array": np.array,
    "objects": lambda paths: np.array(paths, dtype=object),
    "column": lambda paths: np.array(paths, dtype=object)[:, np.newaxis],
    "Series": pd.Series,
    "frame": lambda paths: pd.DataFrame({"path": paths}),
    "polars": lambda paths: pl.DataFrame({"path": paths}),
}


@pytest.mark.parametrize("container", PATHS.values(), ids=PATHS.keys())
def test_paths_do_not_pass_for_pixels(container, fitted):
    paths = container([f"cat{i}.png" for i in range(48)])
    with pytest.raises((TypeError, ValueError, FileNotFoundError), match=r"cat0\.png"):
        classifier().fit(paths, INDEX)
    with pytest.raises((TypeError, ValueError, FileNotFoundError), match=r"cat0\.png"):
        fitted.predict(paths)


def test_strings_of_digits_do_not_pass_for_pixels(fitted):
    with pytest.raises((TypeError, ValueError), match="string"):
        classifier().fit(ROWS.astype(str), INDEX)
    with pytest.raises((TypeError, ValueError), match="string"):
        fitted.predict(ROWS.astype(str))


# ----------------------------------------------------------------------- the shape of images


def test_a_lone_image_is_refused_as_a_lone_image(fitted):
    with pytest.raises(ValueError, match=r"one image.*\[np\.newaxis\]"):
        fitted.predict(X[0])
    with pytest.raises(ValueError, match=r"one image.*\[np\.newaxis\]"):
        fitted.predict(X[0, ..., np.newaxis])
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        fitted.predict(ROWS[0])
    colour = np.random.default_rng(0).integers(0, 256, (40, 8, 12, 3), dtype=np.uint8)
    model = classifier(max_epochs=1).fit(colour, np.arange(40) % 2)
    for lone in (colour[0], colour[0].transpose(2, 0, 1)):
        with pytest.raises(ValueError, match=r"one image.*\[np\.newaxis\]"):
            model.predict(lone)
    assert model.predict(colour[:1]).shape == (1,)


def test_a_lone_image_from_a_file_is_refused_as_a_lone_image(fitted):
    with pytest.raises((TypeError, ValueError), match=r"single|one image|a batch"):
        fitted.predict(Image.fromarray(X[0]))
    with pytest.raises((TypeError, ValueError), match=r"single|one image|a batch|inconsistent"):
        classifier().fit(Image.fromarray(X[0]), [1])


@pytest.mark.parametrize("lone", [X[0], np.zeros((12, 12, 3))], ids=["gray", "colour"])
def test_a_lone_image_cannot_be_fitted(lone):
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples|one image"):
        classifier().fit(lone, [1])


def test_images_of_another_size_are_refused_in_predict(fitted):
    with pytest.raises(ValueError, match=r"9 x 9 x 1 .*8 x 8 x 1.*image_shape="):
        fitted.predict(np.zeros((3, 9, 9)))
    with pytest.raises(ValueError, match=r"4 x 16 x 1 .*8 x 8 x 1"):  # as many pixels
        fitted.predict(X.reshape(48, 4, 16))
    with pytest.raises(ValueError, match=r"4 x 4 x 4 .*8 x 8 x 1"):
        fitted.predict(X.reshape(48, 4, 4, 4))
    with pytest.raises(ValueError, match=r"81 features.*64"):
        fitted.predict(np.zeros((3, 81)))
    with pytest.raises(ValueError, match=r"9 x 9 x 1 .*8 x 8 x 1"):
        classifier().fit(X, INDEX, X_val=np.zeros((3, 9, 9)), y_val=[0, 1, 0])
    with pytest.raises(ValueError, match=r"9 x 9 x 1 .*8 x 8 x 1"):
        classifier().fit(X, INDEX).partial_fit(np.zeros((3, 9, 9)), [0, 1, 0])
    with pytest.raises(ValueError, match=r"9 x 9 x 1 .*8 x 8 x 1"):
        classifier(warm_start=True).fit(X, INDEX).fit(np.zeros((3, 9, 9)), [0, 1, 0])


@pytest.mark.parametrize("mode", ["squash", "pad"])
def test_predictions_prepare_images_as_the_last_fit_did(mode):
    images = [np.repeat(image, 2, axis=1) for image in X]
    model = classifier(image_shape=(8, 8), resize_mode=mode).fit(images, INDEX)
    expected = model.predict_proba(images)
    score = model.score(images, INDEX)
    later = [{"resize_mode": "crop"}, {"image_shape": (9, 9)}, {"image_shape": None}]
    for parameters in [*later, {"channel_axis": 1}]:
        model.set_params(**parameters)
        np.testing.assert_array_equal(model.predict_proba(images), expected)
        assert model.set_params(handle_broken="skip").score(images, INDEX) == score
    # the next fit reads by what was set
    stacked = np.repeat(X[:, None], 3, axis=1)
    model.set_params(resize_mode="squash").fit(stacked, INDEX)
    assert model.image_shape_ == (8, 8, 3)


def test_predictions_take_the_shape_and_the_channels_of_the_last_fit():
    model = classifier().fit(X, INDEX)
    expected = model.predict_proba(X)
    model.set_params(image_shape=(9, 9))
    np.testing.assert_array_equal(model.predict_proba(X), expected)
    with pytest.raises(ValueError, match=r"9 x 9 x 1 .*8 x 8 x 1"):
        model.predict(np.zeros((3, 9, 9)))
    colour = np.stack([X, X // 2, 255 - X], axis=-1)
    model = classifier().fit(colour, INDEX)
    expected = model.predict_proba(colour)
    exported = model.export_module()(torch.from_numpy(colour))
    for rows in colour, colour.reshape(48, -1):
        model.set_params(channel_axis=1)
        np.testing.assert_array_equal(model.predict_proba(rows), expected)
    assert torch.equal(model.export_module()(torch.from_numpy(colour)), exported)


def test_training_that_goes_on_says_anew_how_images_are_prepared():
    images = [np.repeat(image, 2, axis=1) for image in X]
    model = classifier(image_shape=(8, 8), resize_mode="pad").fit(images, INDEX)
    model.set_params(resize_mode="squash").partial_fit(images, INDEX)
    squashed = ImageReader((8, 8), resize_mode="squash", flatten=False).fit_transform(images)
    expected = model.predict_proba(squashed)
    np.testing.assert_array_equal(model.predict_proba(images), expected)
    model.set_params(resize_mode="pad")
    np.testing.assert_array_equal(model.predict_proba(images), expected)


def test_images_of_several_sizes_are_refused_without_image_shape():
    images = [np.zeros((8, 8)), np.zeros((9, 9))] * 4
    with pytest.raises(ValueError, match=r"2 sizes: \(8, 8\), \(9, 9\).*image_shape="):
        classifier().fit(images, INDEX[:8])


DOUBTFUL = {
    "4 : 3 in colour": (48 * 64 * 3, "image_shape=(48, 64, 3)"),
    "a square or 4 : 3 in colour": (96 * 96, "image_shape=(96, 96)"),
    "a square in colour": (32 * 32 * 3, "image_shape=(32, 32, 3)"),
    "an oblong": (8 * 12, "image_shape=(height, width, channels)"),
    "a strip": (8 * 12, "image_shape=(1, 96)"),
}


@pytest.mark.parametrize(("length", "advice"), DOUBTFUL.values(), ids=DOUBTFUL.keys())
def test_a_doubtful_guess_of_the_shape_says_what_to_write(length, advice):
    rows = np.random.default_rng(0).integers(0, 256, (8, length), dtype=np.uint8)
    model = classifier(max_epochs=1)
    with pytest.warns(UserWarning, match=re.escape(advice)):
        model.fit(rows, INDEX[:8])


@pytest.mark.parametrize(
    "shape", [(48, 64, 3), (96, 96), (96, 96, 1), (32, 32, 3), (8, 12), (1, 96), (12, 8)]
)
@pytest.mark.usefixtures("no_warnings")
def test_a_given_shape_does_not_warn_and_is_the_shape(shape):
    rows = np.random.default_rng(0).integers(0, 256, (8, np.prod(shape)), dtype=np.uint8)
    model = classifier(max_epochs=1, image_shape=shape).fit(rows, INDEX[:8])
    expected = shape if len(shape) == 3 else (*shape, 1)
    assert model.image_shape_ == expected
    images = rows.reshape(8, *expected)
    np.testing.assert_array_equal(model.decision_function(images), model.decision_function(rows))


@pytest.mark.parametrize("side", [8, 16, 28, 64])
@pytest.mark.usefixtures("no_warnings")
def test_plain_squares_do_not_warn(side):
    model = classifier(max_epochs=1).fit(np.eye(4, side * side), [0, 1, 0, 1])
    assert model.image_shape_ == (side, side, 1)


@pytest.mark.usefixtures("no_warnings")
def test_only_fit_warns_of_a_doubtful_shape():
    rows = np.eye(4, 96)
    model = classifier(max_epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(rows, [0, 1, 0, 1])
    assert model.predict(rows).shape == (4,)


def test_flat_rows_of_another_length_than_image_shape_are_refused():
    with pytest.raises(ValueError, match=r"rows of 64 values.*\(8, 8, 3\) takes 192"):
        classifier(image_shape=(8, 8, 3)).fit(ROWS, INDEX)
    with pytest.raises(ValueError, match=r"rows of 64 values.*\(16, 16\) takes 256"):
        classifier(image_shape=(16, 16)).fit(ROWS, INDEX)


def test_channels_first_and_last_are_the_same_images():
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 10, 3), dtype=np.uint8)
    y = (images[..., 0].mean(axis=(1, 2)) > images[..., 2].mean(axis=(1, 2))).astype(int)
    first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    last = classifier().fit(images, y)
    expected = last.decision_function(images)
    assert len(np.unique(expected)) > 30  # not all the same
    for X in (first, first.reshape(40, -1)):
        model = classifier(channel_axis=1, image_shape=(8, 10, 3)).fit(X, y)
        assert model.image_shape_ == (8, 10, 3)
        for Z in (first, first.reshape(40, -1)):
            np.testing.assert_array_equal(model.decision_function(Z), expected)
    model = classifier(image_shape=(8, 10, 3)).fit(images.reshape(40, -1), y)
    np.testing.assert_array_equal(model.decision_function(images.reshape(40, -1)), expected)
    np.testing.assert_array_equal(last.decision_function(images.reshape(40, -1)), expected)


def test_channels_plainly_on_the_other_side_are_refused():
    last = np.zeros((8, 10, 12, 3))
    first = last.transpose(0, 3, 1, 2)
    with pytest.raises(ValueError, match="channel_axis=1"):
        classifier().fit(first, INDEX[:8])
    with pytest.raises(ValueError, match="channel_axis=1 expects"):
        classifier(channel_axis=1).fit(last, INDEX[:8])
    model = classifier(max_epochs=1).fit(last, INDEX[:8])
    with pytest.raises(ValueError, match="channel_axis=1"):
        model.predict(first)


def test_five_dimensions_are_refused():
    with pytest.raises(ValueError, match="5 dimensions"):
        classifier().fit(np.zeros((8, 2, 8, 8, 3)), INDEX[:8])


# ---------------------------------------------------------- a failure changes nothing it finds

WITH_NAN = np.where(X > 200, np.nan, X)

FAILURES = {
    "continuous y": lambda m: m.fit(X, NUMBERS),
    "y too short": lambda m: m.fit(X, INDEX[:-1]),
    "no y": lambda m: m.fit(X),
    "NaN in y": lambda m: m.fit(X, np.where(INDEX == 1, np.nan, 0)),
    "NaN in X": lambda m: m.fit(WITH_NAN, INDEX),
    "NaN in X of another size": lambda m: m.fit(np.full((48, 9, 9), np.nan), INDEX),
    "negative weight": lambda m: m.fit(X, INDEX, sample_weight=-np.ones(48)),
    "one sample": lambda m: m.fit(X[:1], [0]),
    "bad X_val": lambda m: m.fit(X, INDEX, X_val=WITH_NAN, y_val=INDEX),
    "new label in y_val": lambda m: m.fit(X, INDEX, X_val=X, y_val=INDEX + 1),
    "NaN in X of partial_fit": lambda m: m.partial_fit(WITH_NAN, INDEX),
    "new label in partial_fit": lambda m: m.partial_fit(X, INDEX + 1),
    "y of partial_fit too short": lambda m: m.partial_fit(X, INDEX[:-1]),
    "bad weight in partial_fit": lambda m: m.partial_fit(X, INDEX, sample_weight=-np.ones(48)),
}


@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_leaves_the_earlier_model(fail):
    model = classifier().fit(pd.DataFrame(ROWS).add_prefix("p"), INDEX)
    assert_left_as_it_was(model, fail)


@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_before_any_fit_leaves_nothing(fail):
    model = classifier()
    before = dict(vars(model))
    with pytest.raises(ValueError):  # noqa: PT011
        fail(model)
    assert vars(model) == before
    with pytest.raises(NotFittedError):
        model.predict(X)


def assert_left_as_it_was(model, fail):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # X without the names of its columns
        before, attributes = model.decision_function(X), dict(vars(model))
        with pytest.raises(ValueError):  # noqa: PT011
            fail(model)
        assert vars(model).keys() == attributes.keys()
        assert all(vars(model)[name] is value for name, value in attributes.items())
        np.testing.assert_array_equal(model.decision_function(X), before)


@pytest.mark.parametrize("learn", [lambda m: m.fit(X, INDEX), lambda m: m.partial_fit(X, INDEX)])
def test_a_loss_that_becomes_nan_leaves_the_earlier_model(learn):
    model = classifier(optimizer="sgd").fit(X, INDEX)
    model.set_params(lr=1e30)
    assert_left_as_it_was(model, learn)


def test_a_loss_that_becomes_nan_says_what_to_do():
    with pytest.raises(ValueError, match=r"loss became .*Lower lr"):
        classifier(lr=1e30, optimizer="sgd").fit(X, INDEX)
    with pytest.raises(ValueError, match=r"loss became .*Lower lr"):
        regressor(lr=1e30, optimizer="sgd").fit(X, NUMBERS)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_weights_that_the_last_step_ruins_are_refused(method):
    # the only loss is that before the step
    model = regressor(lr=1e30, optimizer="sgd", batch_size=48, max_epochs=1)
    with pytest.raises(ValueError, match="Lower lr"):
        getattr(model, method)(X, NUMBERS)


# ----------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("weight", [1, 0.3, 7, 1e308, 1e-310])
def test_equal_weights_are_no_weights(weight, fitted):
    model = classifier().fit(X, INDEX, sample_weight=np.full(48, weight))
    assert_same_outputs(model, fitted)
    plain = regressor().fit(X, NUMBERS).predict(X)
    weighted = regressor().fit(X, NUMBERS, sample_weight=np.full(48, weight)).predict(X)
    np.testing.assert_array_equal(weighted, plain)


@pytest.mark.parametrize("scale", [2.0**1020, 2.0**-1060])
def test_the_scale_of_weights_does_not_matter(scale):
    weight = np.random.default_rng(0).integers(1, 8, 48).astype(float)
    model = classifier().fit(X, INDEX, sample_weight=weight)
    assert_same_outputs(classifier().fit(X, INDEX, sample_weight=weight * scale), model)
    expected = regressor().fit(X, NUMBERS, sample_weight=weight).predict(X)
    scaled = regressor().fit(X, NUMBERS, sample_weight=weight * scale).predict(X)
    np.testing.assert_array_equal(scaled, expected)


@pytest.mark.parametrize("others", ["equal", "unequal"])
@pytest.mark.parametrize("params", [{}, {"class_weight": "balanced"}, {"early_stopping": True}])
def test_a_sample_of_weight_zero_is_absent_in_classification(others, params):
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 2, 48) * (1.0 if others == "equal" else rng.uniform(1, 2, 48))
    counts = weight > 0
    y = np.where(INDEX + rng.integers(0, 2, 48) == 2, 1, 0)  # unbalanced
    assert 10 < counts.sum() < 40
    model = classifier(**params).fit(X, y, sample_weight=weight)
    absent = classifier(**params).fit(X[counts], y[counts], sample_weight=weight[counts])
    assert_same_outputs(model, absent)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_a_class_of_weight_zero_is_still_a_class(class_weight):
    y = np.where(np.arange(48) % 8 == 0, 2, INDEX)
    weight = np.where(y == 2, 0, 1)
    model = classifier(class_weight=class_weight).fit(X, y, sample_weight=weight)
    linear = LogisticRegression().fit(ROWS / 255, y, sample_weight=weight)
    assert model.classes_.tolist() == linear.classes_.tolist() == [0, 1, 2]
    assert model.predict_proba(X).shape == (48, 3)


@pytest.mark.parametrize("others", ["equal", "unequal"])
def test_a_sample_of_weight_zero_is_absent_in_regression(others):
    rng = np.random.default_rng(0)
    y = NUMBERS + rng.normal(size=48)
    weight = rng.integers(0, 2, 48) * (1.0 if others == "equal" else rng.uniform(1, 2, 48))
    counts = weight > 0
    weighted = regressor().fit(X, np.where(counts, y, 1e6), sample_weight=weight)
    absent = regressor().fit(X[counts], y[counts], sample_weight=weight[counts])
    np.testing.assert_array_equal(weighted.predict(X), absent.predict(X))


def test_weights_matter():
    y = np.arange(48) // 2 % 2  # not to be seen in the images
    to_zero = classifier().fit(X, y, sample_weight=np.where(y == 0, 20, 1))
    to_one = classifier().fit(X, y, sample_weight=np.where(y == 1, 20, 1))
    assert to_zero.predict_proba(X)[:, 1].mean() < 0.3
    assert to_one.predict_proba(X)[:, 1].mean() > 0.7


REFUSED_WEIGHTS = {
    "negative": (np.r_[-1.0, np.ones(47)], "Negative values"),
    "all zero": (np.zeros(48), "at least one non-zero"),
    "NaN": (np.r_[np.nan, np.ones(47)], "NaN"),
    "inf": (np.r_[np.inf, np.ones(47)], "infinity"),
    "too few": (np.ones(47), r"sample_weight\.shape"),
    "a column": (np.ones((48, 1)), "1D array"),
}


@pytest.mark.parametrize(
    ("weight", "message"), REFUSED_WEIGHTS.values(), ids=REFUSED_WEIGHTS.keys()
)
def test_weights_that_are_none_are_refused(weight, message):
    for model, y in [(classifier(), INDEX), (regressor(), NUMBERS)]:
        with pytest.raises(ValueError, match=message):
            model.fit(X, y, sample_weight=weight)
        with pytest.raises(ValueError, match=message):
            model.fit(X, y, X_val=X, y_val=y, sample_weight_val=weight)
        model.fit(X, y)
        with pytest.raises(ValueError, match=message):
            model.partial_fit(X, y, sample_weight=weight)


@pytest.mark.parametrize("names", [[0, 1], ["common", "rare"]], ids=["numbers", "strings"])
def test_class_weight_favours_the_rare_class(names):
    rng = np.random.default_rng(0)
    rare = rng.random(80) < 0.15
    # every other sign of the rare class is missing or misleading
    y, X = np.array(names)[rare.astype(int)], images_of(np.where(rng.random(80) < 0.3, ~rare, rare))
    fresh = images_of(np.arange(80) % 2, seed=1)

    def share_of_rare(class_weight):
        model = classifier(class_weight=class_weight).fit(X, y)
        return np.mean(model.predict(fresh) == names[1])

    plain = share_of_rare(None)
    assert share_of_rare("balanced") > plain
    assert share_of_rare({names[0]: 1, names[1]: 50}) > plain
    assert share_of_rare({names[1]: 50}) > plain
    assert share_of_rare({names[0]: 50}) <= plain


def test_class_weight_is_a_sample_weight():
    y = np.array(["many", "some"])[(np.arange(48) % 4 == 0).astype(int)]
    balanced = np.where(y == "many", 48 / (2 * 36), 48 / (2 * 12))
    by_hand = classifier().fit(X, y, sample_weight=balanced)
    assert_same_outputs(classifier(class_weight="balanced").fit(X, y), by_hand)
    as_dict = {"many": 48 / (2 * 36), "some": 48 / (2 * 12)}
    assert_same_outputs(classifier(class_weight=as_dict).fit(X, y), by_hand)


@pytest.mark.parametrize(
    "class_weight", [{0: -1, 1: 1}, {0: np.nan, 1: 1}, {0: np.inf, 1: 1}, {0: 0, 1: 0}, {7: 1}]
)
def test_class_weights_that_are_none_are_refused(class_weight):
    with pytest.raises(ValueError, match=r"class_weight|weight"):
        classifier(class_weight=class_weight).fit(X, INDEX)


# -------------------------------------------------------------------------------- validation


def test_validation_images_and_targets_come_together():
    with pytest.raises(ValueError, match="X_val is provided, but y_val was not"):
        classifier().fit(X, INDEX, X_val=X)
    with pytest.raises(ValueError, match="y_val is provided, but X_val was not"):
        classifier().fit(X, INDEX, y_val=INDEX)
    with pytest.raises(ValueError, match="sample_weight_val is provided, but X_val was not"):
        classifier().fit(X, INDEX, sample_weight_val=np.ones(48))


def test_validation_images_of_another_size_are_compared_with_x():
    smaller = X[:, 1:]
    sizes = "X_val has images of 7 x 8 x 1 .* but X has images of 8 x 8 x 1"
    with pytest.raises(ValueError, match=sizes):
        classifier().fit(X, INDEX, X_val=smaller, y_val=INDEX)


def test_targets_of_validation_are_checked_by_name():
    Y = np.c_[INDEX, 1 - INDEX]
    with pytest.raises(
        ValueError, match=r"y_val .* not among the classes \[0, 1\]: \[2\]"
    ) as caught:
        classifier().fit(X, INDEX, X_val=X, y_val=INDEX + 1)
    assert "partial_fit" not in str(caught.value)
    with pytest.raises(ValueError, match="inconsistent numbers"):
        classifier().fit(X, INDEX, X_val=X, y_val=INDEX[:-1])
    with pytest.raises(ValueError, match="indicator, but y_val holds"):
        classifier().fit(X, Y, X_val=X, y_val=3 * Y)
    with pytest.raises(ValueError, match="y_val must be an indicator"):
        classifier().fit(X, Y, X_val=X, y_val=INDEX)
    for missing in (np.full(48, np.nan), pd.Series([pd.NA] * 48, dtype="boolean")):
        for estimator, y in ((regressor, NUMBERS), (classifier, INDEX)):
            with pytest.raises(ValueError, match="y_val contains NaN"):
                estimator().fit(X, y, X_val=X, y_val=missing)
    with pytest.raises(ValueError, match="y_val of CNNRegressor must hold numbers"):
        regressor().fit(X, NUMBERS, X_val=X, y_val=["cat"] * 48)
    with pytest.raises(ValueError, match="y_val has 2 outputs, expected 1"):
        regressor().fit(X, NUMBERS, X_val=X, y_val=Y)


@pytest.mark.parametrize("loss", ["auto", "quantile"])
def test_a_regressor_is_not_validated_on_a_single_image(loss):
    model = regressor(loss=loss, max_epochs=1)
    score = "D² of the pinball loss" if loss == "quantile" else "R²"
    with pytest.raises(ValueError, match=f"n_samples=1 in X_val .* minimum of 2 .* {score}"):
        model.fit(X, NUMBERS, X_val=X[:1], y_val=NUMBERS[:1])
    # an image that does not count is none
    pair = {"X_val": X[:2], "y_val": NUMBERS[:2]}
    with pytest.raises(ValueError, match="n_samples=1 in X_val"):
        model.fit(X, NUMBERS, **pair, sample_weight_val=[1, 0])
    assert np.isfinite(model.fit(X, NUMBERS, **pair).best_validation_score_)
    one = classifier(max_epochs=1).fit(X, INDEX, X_val=X[:1], y_val=INDEX[:1])
    assert one.best_validation_score_ in (0, 1)


def test_validation_scores_are_scores():
    fresh = images_of(INDEX, seed=1)
    model = classifier().fit(X, INDEX, X_val=fresh, y_val=INDEX)
    assert len(model.validation_scores_) == 3
    assert model.validation_scores_[-1] == model.score(fresh, INDEX)
    assert_same_outputs(model, classifier().fit(X, INDEX))  # looking on changes nothing


# -------------------------------------------------------------------------------- parameters

WRONG_OF_BOTH = {
    "architecture": ["resnet999", 3, None],
    "image_shape": ["8x8", 8, (8,), (0, 8), (8.0, 8.0), (8, 8, 1, 1), (8, -8)],
    "channel_axis": [0, 3, None, "last"],
    "resize_mode": ["stretch", None],
    "augmentation": ["no such preset", 3],
    "test_time_augmentation": ["yes", None],
    "loss": ["log-loss", 3, None],
    "optimizer": ["adammm", 3, None],
    "lr": [0, -1e-3, "fast", None, np.nan, np.inf],
    "weight_decay": [-1, "some", None, np.nan],
    "lr_schedule": ["polynomial", None],
    "max_epochs": [0, 2.5, "many", None],
    "batch_size": [0, -8, 2.5, "big", None],
    "time_limit": [0, -1, "1h", np.nan],
    "scoring": [3, ["accuracy"], "acuracy", f1_score],
    "early_stopping": ["auto", None],
    "validation_fraction": [0, 1, 1.5, -0.1],
    "n_iter_no_change": [0, 2.5],
    "tol": [-1e-4, None],
    "device": ["tpu", "", "meta", 3, None],
    "precision": ["float16", None],
    "compile": ["yes", None],
    "callbacks": ["early_stopping", 3, [3], ["progress"], [print], [SkorchEarlyStopping()]],
    "memory": [3, ("folder",)],
    "in_memory": ["yes", None],
    "handle_broken": ["ignore", None],
    "warm_start": ["yes", None],
    "random_state": [-1, "seed", np.random.default_rng(0)],
    "verbose": [-1, "loud"],
}
WRONG_OF_CLASSIFIER = {
    "loss": ["squared_error", "quantile"],
    "label_smoothing": [-0.1, 1, np.nan, None, "some"],
    "class_weight": ["balance", [1, 2], 3, {7: 1}],
    "ignore_label": [255],  # for masks, and y is labels
    "palette": [3, {}, {"sky": (0, 0)}, {"sky": (0, 0, 300)}],
}
WRONG_OF_REGRESSOR = {
    "target_scale": [0, -1, "mm", None],
    "loss": ["log_loss", "hinge"],
    "quantile": [0, 1, 1.5, "median", None, (), (0.5, 0.1), (0.5, 0.5), (0, 0.5), (0.5, "0.9")],
}


def wrong_values(*tables):
    return [
        pytest.param(name, value, id=f"{name}={value!r}".split(" at 0x")[0][:50])
        for table in tables
        for name, values in table.items()
        for value in values
    ]


@pytest.mark.parametrize(("name", "value"), wrong_values(WRONG_OF_BOTH, WRONG_OF_CLASSIFIER))
def test_a_wrong_value_is_refused_by_the_name_of_its_parameter(name, value):
    with pytest.raises(ValueError, match=name):
        classifier(**{name: value}).fit(X, INDEX)


@pytest.mark.parametrize(("name", "value"), wrong_values(WRONG_OF_BOTH, WRONG_OF_REGRESSOR))
def test_a_wrong_value_is_refused_by_the_regressor_too(name, value):
    with pytest.raises(ValueError, match=name):
        regressor(**{name: value}).fit(X, NUMBERS)


def test_wrong_values_of_every_parameter_are_tried():
    assert set(CNNClassifier().get_params(deep=False)) <= {*WRONG_OF_BOTH, *WRONG_OF_CLASSIFIER}
    assert set(CNNRegressor().get_params(deep=False)) <= {*WRONG_OF_BOTH, *WRONG_OF_REGRESSOR}


@pytest.mark.parametrize(
    ("name", "value"),
    wrong_values(
        {
            "widths": [8, "wide", (0,), (-1,), (8.5,), (8, "16"), None],
            "hidden": [8, (0,), (-1,), (8.5,), None],
            "kernel_size": [0, 2, 2.5],
            "dropout": [-0.1, 1, "some"],
            "padding": ["reflect"],
            "norm": ["layer"],
            "grid": [0, 2.5],
            "convs_per_stage": [0],
            "residual": ["yes"],
        }
    ),
)
def test_a_wrong_value_of_the_architecture_is_refused_by_name(name, value):
    model = classifier(architecture="convnet").set_params(**{f"architecture__{name}": value})
    with pytest.raises(ValueError, match=name):
        model.fit(X, INDEX)


@pytest.mark.parametrize("architecture", ["convnet", ConvNet((8, 16))], ids=["name", "object"])
def test_a_misspelled_parameter_is_refused_when_it_is_set(architecture):
    model = classifier(architecture=architecture)
    with pytest.raises(ValueError, match="Invalid parameter 'max_epoch'"):
        model.set_params(max_epoch=3)
    with pytest.raises(ValueError, match="Invalid parameter 'width'"):
        model.set_params(architecture__width=(8,))
    with pytest.raises(TypeError, match="max_epoch"):
        CNNClassifier(max_epoch=3)
    assert not hasattr(model, "max_epoch")


class FewParameters(CNNClassifier):
    def __init__(self, max_epochs=2):
        super().__init__(ConvNet((4,)), max_epochs=max_epochs, lr=0.01, random_state=0)


def test_a_subclass_whose_constructor_names_some_parameters_fits(tmp_path):
    model = clone(FewParameters(max_epochs=1)).fit(X, INDEX)
    whole = CNNClassifier(ConvNet((4,)), max_epochs=1, lr=0.01, random_state=0).fit(X, INDEX)
    model.save(tmp_path / "model.safetensors")
    loaded = FewParameters.load(tmp_path / "model.safetensors")
    expected = whole.predict_proba(X)
    for one in model, loaded:
        assert (one.get_params(), one.lr_) == ({"max_epochs": 1}, 0.01)
        np.testing.assert_array_equal(one.predict_proba(X), expected)
    expected = whole.partial_fit(X, INDEX).predict_proba(X)
    for one in model, loaded:
        np.testing.assert_array_equal(one.partial_fit(X, INDEX).predict_proba(X), expected)


def test_a_learning_rate_inside_the_optimizer_is_used_or_refused():
    optimizer = functools.partial(torch.optim.SGD, lr=0.125)
    model = classifier(optimizer=optimizer, lr_schedule="constant")
    try:
        model.fit(X, INDEX)
    except ValueError as error:
        assert "lr" in str(error)  # noqa: PT017
    else:
        assert set(model.history_[:, "lr"]) == {0.125}


def test_an_augmentation_must_keep_shape_and_scale():
    def smaller(images):
        return images[..., :4]

    def fewer(images):
        return images[:1]

    def scaled(images):
        # uint8 to floats in [0, 1], while predictions would see 0 to 255
        return images.float() / 255

    architecture = ConvNet((8, 16), grid=1)  # takes images of any size
    for augmentation in (smaller, fewer, scaled, lambda _: None):
        with pytest.raises((ValueError, TypeError), match="augmentation"):
            regressor(architecture=architecture, augmentation=augmentation).fit(X, NUMBERS)


# ------------------------------------------------------------------- users' networks and losses


class Linear(nn.Module):
    """Logits of a linear model."""

    def __init__(self, image_shape, num_classes):
        super().__init__()
        self.linear = nn.Linear(int(np.prod(image_shape)), num_classes)

    def forward(self, x):
        return self.linear(x.flatten(1))


class EndsInSoftmax(nn.Sequential):
    def __init__(self, image_shape, num_classes):
        super().__init__(Linear(image_shape, num_classes), nn.Softmax(dim=1))


class AppliesSoftmax(Linear):
    def forward(self, x):
        return super().forward(x).softmax(dim=1)


class SoftmaxMadeFirst(nn.Module):
    def __init__(self, image_shape, num_classes):
        super().__init__()
        self.softmax = nn.Softmax(dim=1)
        self.linear = Linear(image_shape, num_classes)

    def forward(self, x):
        return self.softmax(self.linear(x))


class Gated(Linear):
    """Has a sigmoid inside, made last; its outputs are logits all the same."""

    def __init__(self, image_shape, num_classes):
        super().__init__(image_shape, num_classes)
        self.gate = nn.Linear(int(np.prod(image_shape)), num_classes)
        self.squash = nn.Sigmoid()

    def forward(self, x):
        return 8 * super().forward(x) * self.squash(self.gate(x.flatten(1)))


class ThousandClasses(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 1000))


class ReturnsPair(Linear):
    def forward(self, x):
        return super().forward(x), x


class KeepsPixels(nn.Sequential):
    def __init__(self, in_channels, num_classes):
        super().__init__(nn.Conv2d(in_channels, num_classes, 3))


def test_a_network_of_the_user_works():
    model = classifier(architecture=Linear, max_epochs=6).fit(X, INDEX)
    assert model.score(X, INDEX) == 1


@pytest.mark.parametrize("module", [EndsInSoftmax, AppliesSoftmax, SoftmaxMadeFirst])
def test_a_network_that_returns_probabilities_is_refused(module):
    with pytest.raises(ValueError, match="logits"):
        classifier(architecture=module).fit(X, np.arange(48) % 3)


def test_a_sigmoid_inside_a_network_is_not_refused():
    model = classifier(architecture=Gated, max_epochs=6).fit(X, INDEX)
    assert model.score(X, INDEX) > 0.9


@pytest.mark.parametrize("module", [ThousandClasses, ReturnsPair, KeepsPixels])
def test_a_network_that_returns_another_shape_is_refused(module):
    with pytest.raises(ValueError, match=r"logits of shape \(2, 2\)"):
        classifier(architecture=module).fit(X, INDEX)


def test_a_network_for_other_images_is_refused():
    with pytest.raises(ValueError, match="8 x 8 x 1"):
        classifier(architecture=lambda: nn.Conv2d(3, 4, 3)).fit(X, INDEX)


def test_a_module_of_other_outputs_and_a_bare_class_are_refused():
    with pytest.raises(ValueError, match=r"logits of shape \(2, 2\), got \(2, 1000\)"):
        classifier(architecture=ThousandClasses()).fit(X, INDEX)
    with pytest.raises((TypeError, ValueError), match=r"architecture.*ConvNet\(\)"):
        classifier(architecture=ConvNet).fit(X, INDEX)


class FocalLoss(nn.Module):
    """A loss as users write them, that can only return one number a batch."""

    def forward(self, logits, target):
        return nn.functional.cross_entropy(logits, target) ** 2


def test_losses_of_torch_are_taken_as_they_are(fitted):
    assert_same_outputs(classifier(loss=nn.CrossEntropyLoss()).fit(X, INDEX), fitted)
    assert_same_outputs(classifier(loss=nn.CrossEntropyLoss).fit(X, INDEX), fitted)
    mse = regressor(loss=nn.MSELoss()).fit(X, NUMBERS)
    np.testing.assert_array_equal(mse.predict(X), regressor().fit(X, NUMBERS).predict(X))


def test_label_smoothing_makes_less_confident():
    plain = classifier(max_epochs=8).fit(X, INDEX)
    smooth = classifier(max_epochs=8, label_smoothing=0.1).fit(X, INDEX)
    assert smooth.score(X, INDEX) == plain.score(X, INDEX) == 1
    assert smooth.predict_proba(X).max() < plain.predict_proba(X).max()
    by_torch = classifier(max_epochs=8, loss=nn.CrossEntropyLoss(label_smoothing=0.1))
    assert_same_outputs(by_torch.fit(X, INDEX), smooth)


def test_smoothed_labels_and_weights_of_classes_and_samples():
    weights = np.linspace(0.5, 1.5, 48)
    model = classifier(max_epochs=1, label_smoothing=0.1, class_weight={0: 3.0, 1: 0.5})
    model.fit(X, INDEX, weights, X_val=X, y_val=INDEX, sample_weight_val=weights)
    smooth = np.where(np.eye(2)[INDEX] == 1, 0.95, 0.05)
    of_images = -(smooth * model.predict_log_proba(X)).sum(axis=1)
    expected = np.average(of_images, weights=weights * np.where(INDEX == 0, 3.0, 0.5))
    assert model.history_[0]["valid_loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (nn.NLLLoss(), "log-probabilities.*logits.*CrossEntropyLoss"),
        (nn.NLLLoss, "log-probabilities.*logits.*CrossEntropyLoss"),
        (nn.BCELoss(), "probabilities.*logits.*CrossEntropyLoss"),
        (nn.BCEWithLogitsLoss(), "several labels.*CrossEntropyLoss"),
        (nn.MSELoss(), "MSELoss"),
        (nn.L1Loss(), "L1Loss"),
    ],
)
def test_losses_that_do_not_fit_a_label_are_refused_with_the_reason(loss, reason):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=reason):
            # as many classes as images in a batch: shapes that broadcast
            classifier(loss=loss, batch_size=8).fit(X, np.arange(48) % 8)


def test_losses_that_do_not_fit_several_labels_are_refused_with_the_reason():
    Y = np.c_[INDEX, 1 - INDEX]
    with pytest.raises(ValueError, match=r"one label.*BCEWithLogitsLoss"):
        classifier(loss=nn.CrossEntropyLoss()).fit(X, Y)
    with pytest.raises(ValueError, match=r"probabilities.*BCEWithLogitsLoss"):
        classifier(loss=nn.BCELoss()).fit(X, Y)


@pytest.mark.parametrize(
    "loss", [nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss(), nn.NLLLoss(), nn.PoissonNLLLoss()]
)
def test_losses_that_do_not_fit_numbers_are_refused(loss):
    with pytest.raises(ValueError, match=type(loss).__name__):
        regressor(loss=loss).fit(X, NUMBERS)


SPOTS = np.arange(48) % 4
KINDS_OF_TARGETS = {
    "binary": (classifier, SPOTS % 2),
    "multiclass": (classifier, SPOTS),
    "multilabel": (classifier, np.c_[SPOTS % 2, SPOTS // 2]),
    "numbers": (regressor, SPOTS * 10.0),
}


@pytest.mark.parametrize("loss", torch.nn.modules.loss.__all__)
@pytest.mark.parametrize(("estimator", "y"), KINDS_OF_TARGETS.values(), ids=KINDS_OF_TARGETS.keys())
def test_every_loss_of_torch_is_learned_from_or_refused(loss, estimator, y):
    X = images_of(SPOTS)
    model = estimator(loss=getattr(nn, loss), max_epochs=20)
    try:
        model.fit(X, y)
    except ValueError as error:
        assert f"loss={loss} does not fit here" in str(error)  # noqa: PT017
        assert not hasattr(model, "net_")
    else:
        assert model.score(X, y) > 0.9


def test_losses_that_fit_are_named():
    for y, fitting in (
        (INDEX, "one label an image use nn.CrossEntropyLoss or nn.MultiMarginLoss"),
        (np.c_[INDEX, 1 - INDEX], "nn.BCEWithLogitsLoss or nn.MultiLabelSoftMarginLoss"),
    ):
        with pytest.raises(ValueError, match=fitting):
            classifier(loss=nn.SoftMarginLoss()).fit(X, y)
    fitting = "numbers use nn.MSELoss or nn.L1Loss or nn.SmoothL1Loss or nn.HuberLoss"
    with pytest.raises(ValueError, match=fitting):
        regressor(loss=nn.GaussianNLLLoss).fit(X, NUMBERS)


class DoubledMargin(nn.MultiMarginLoss):
    """A loss that derives from one of torch's."""

    def forward(self, logits, target):
        return 2 * super().forward(logits, target)


def test_a_loss_that_derives_from_torchs_is_judged_as_that_is():
    for loss in (DoubledMargin, DoubledMargin()):
        model = classifier(loss=loss, max_epochs=6).fit(X, INDEX)
        assert model.score(X, INDEX) > 0.9
        assert not hasattr(model, "predict_proba")
        with pytest.raises(ValueError, match=r"loss=DoubledMargin .* MultiMarginLoss expects"):
            regressor(loss=loss).fit(X, NUMBERS)


@pytest.mark.parametrize("loss", [nn.AdaptiveLogSoftmaxWithLoss, nn.Linear(2, 2)])
def test_modules_of_torch_that_are_no_such_losses_are_refused(loss):
    with pytest.raises(ValueError, match="does not fit here"):
        classifier(loss=loss).fit(X, INDEX)


def test_a_loss_that_cannot_be_weighted_refuses_weights():
    model = classifier(loss=FocalLoss(), max_epochs=6).fit(X, INDEX)
    assert model.score(X, INDEX) > 0.9
    weight = np.arange(48) + 1.0
    with pytest.raises(ValueError, match=r"reduction.*sample_weight"):
        model.fit(X, INDEX, sample_weight=weight)
    with pytest.raises(ValueError, match=r"reduction.*sample_weight"):
        model.partial_fit(X, INDEX, sample_weight=weight)
    with pytest.raises(ValueError, match=r"reduction.*sample_weight"):
        model.fit(X, INDEX, X_val=X, y_val=INDEX, sample_weight_val=weight)
    with pytest.raises(ValueError, match=r"reduction.*class_weight"):
        classifier(loss=FocalLoss(), class_weight={0: 1, 1: 2}).fit(X, INDEX)
    assert_same_outputs(model.fit(X, INDEX, sample_weight=np.ones(48)), model.fit(X, INDEX))


def test_a_loss_without_probabilities_has_no_predict_proba():
    for loss in ("hinge", nn.MultiMarginLoss()):
        model = classifier(loss=loss, max_epochs=6).fit(X, INDEX)
        assert model.score(X, INDEX) > 0.9
        for method in ("predict_proba", "predict_log_proba"):
            with pytest.raises(AttributeError, match=method):
                getattr(model, method)

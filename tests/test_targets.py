"""Targets against hand-computed values and scikit-learn's own functions."""

import base64
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import torch
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from torch import nn

from sklearn_cnn import CNNClassifier, ConvNet
from sklearn_cnn.targets import (
    Continuous,
    MultiLabel,
    SingleLabel,
    check_classes,
    check_numbers,
    classification_target,
    warn_if_one_hot,
    warn_of_rare_classes,
)

LABELS = np.array(["b", "a", "b", "c", "b", "a"])
INDICATOR = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0], [1, 0, 1]])


@pytest.fixture
def letters():
    return SingleLabel(np.array(["a", "b", "c"]))


@pytest.fixture
def binary():
    return SingleLabel(np.array([-1, 1]))


# one label


def test_labels_become_indices_of_the_sorted_classes(letters):
    encoded = letters.encode(LABELS)
    assert encoded.dtype == torch.int64
    assert encoded.tolist() == [1, 0, 1, 2, 1, 0]
    assert letters.n_outputs == 3
    assert letters.strata(encoded).tolist() == encoded.tolist()


@pytest.mark.parametrize(
    "contain", [list, pd.Series, pl.Series, lambda y: np.array(y, dtype=object)]
)
def test_labels_come_in_any_container(letters, contain):
    assert letters.encode(contain(LABELS.tolist())).tolist() == [1, 0, 1, 2, 1, 0]


def test_tensor_labels(binary):
    assert binary.encode(torch.tensor([1, -1, 1])).tolist() == [1, 0, 1]


def test_unseen_labels_are_listed(letters):
    with pytest.raises(ValueError, match=r"\['d', 'z'\]") as caught:
        letters.encode(["a", "z", "d"])
    assert "['a', 'b', 'c']" in str(caught.value)
    assert "classes=" in str(caught.value)


def test_probabilities_are_the_softmax(letters):
    logits = np.array([[1.0, 2.0, -1.0], [0.0, 0.0, 0.0]], dtype=np.float32)
    expected = np.exp(logits.astype(np.float64))
    expected /= expected.sum(axis=1, keepdims=True)
    probabilities = letters.probabilities(logits)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities, expected, rtol=1e-14)
    assert np.array_equal(letters.decision(logits), logits)


def test_huge_logits_stay_finite(letters, binary):
    for target, logits in (letters, [[1e4, -1e4, 0]]), (binary, [[-1e4, 1e4]]):
        probabilities = target.probabilities(np.array(logits, dtype=np.float32))
        assert sorted(probabilities[0]) == [0] * (target.n_outputs - 1) + [1]


def test_two_classes_have_one_decision(binary):
    logits = np.array([[1.0, 3.5], [2.0, -1.0], [0.5, 0.5]], dtype=np.float32)
    assert binary.decision(logits).tolist() == [2.5, -3.0, 0.0]
    expected = 1 / (1 + np.exp([-2.5, 3.0, 0.0]))
    np.testing.assert_allclose(binary.probabilities(logits)[:, 1], expected, rtol=1e-14)
    np.testing.assert_allclose(binary.probabilities(logits).sum(axis=1), 1, rtol=1e-15)


def test_binary_probabilities_rank_as_the_decision_does(binary):
    logits = np.random.default_rng(0).normal(0, 3, (500, 2)).astype(np.float32)
    by_decision = np.argsort(binary.decision(logits), kind="stable")
    by_probability = np.argsort(binary.probabilities(logits)[:, 1], kind="stable")
    assert np.array_equal(by_decision, by_probability)


def test_the_largest_logit_is_the_label(letters):
    decoded = letters.decode(np.array([[0, 2, 1], [5, 2, 1], [0, 0, 0.1]], dtype=np.float32))
    assert decoded.tolist() == ["b", "a", "c"]
    assert decoded.dtype == letters.classes.dtype


def test_decoding_undoes_encoding(letters):
    logits = nn.functional.one_hot(letters.encode(LABELS)).float().numpy()
    assert np.array_equal(letters.decode(logits), LABELS)


@pytest.mark.parametrize("class_weight", ["balanced", {"a": 2.0, "c": 0.5}, {"b": 0.0}])
def test_class_weights_are_those_of_scikit_learn(letters, class_weight):
    weights = letters.class_weights(class_weight, LABELS)
    expected = compute_class_weight(class_weight, classes=letters.classes, y=LABELS)
    np.testing.assert_allclose(weights, expected, rtol=1e-15)
    np.testing.assert_allclose(
        letters.sample_weights(weights, letters.encode(LABELS)),
        compute_sample_weight(class_weight, LABELS),
        rtol=1e-15,
    )


def test_a_class_that_is_absent_weighs_one(letters):
    y = np.array(["a", "a", "b", "a"])
    weights = letters.class_weights("balanced", y)
    assert weights.tolist() == [4 / 6, 4 / 2, 1.0]
    of_samples = letters.sample_weights(weights, letters.encode(y))
    np.testing.assert_allclose(of_samples, compute_sample_weight("balanced", y), rtol=1e-15)


def test_the_weight_of_an_unknown_class_is_an_error(letters):
    with pytest.raises(ValueError, match="holds 'z', which is none of the classes"):
        letters.class_weights({"z": 2.0}, LABELS)


# several labels


def test_an_indicator_becomes_float32():
    target = MultiLabel(3)
    assert target.classes.tolist() == [0, 1, 2]
    forms = [
        INDICATOR,
        INDICATOR.tolist(),
        INDICATOR.astype(bool),
        scipy.sparse.csr_matrix(INDICATOR),
        scipy.sparse.csc_array(INDICATOR),
        pd.DataFrame(INDICATOR),
        pl.DataFrame(INDICATOR),
        torch.from_numpy(INDICATOR),
    ]
    for form in forms:
        encoded = target.encode(form)
        assert encoded.dtype == torch.float32
        assert np.array_equal(encoded.numpy(), INDICATOR)
    assert target.strata(encoded) is None


@pytest.mark.parametrize("y", [INDICATOR[:, :2], INDICATOR[:, 0], INDICATOR[np.newaxis]])
def test_an_indicator_of_another_shape_is_an_error(y):
    with pytest.raises(ValueError, match=r"indicator of shape|dim"):
        MultiLabel(3).encode(y)


@pytest.mark.parametrize("value", [2, -1, 0.5, np.nan])
def test_values_that_are_no_indicator_are_refused(value):
    y = INDICATOR.astype(float)
    y[0, 0] = value
    with pytest.raises(ValueError, match=r"0/1|indicator|NaN|0 and 1"):
        MultiLabel(3).encode(y)


def test_several_labels_decode_where_the_logit_is_positive():
    target = MultiLabel(3)
    logits = np.array([[0.5, -0.5, 0.0], [-1e4, 1e4, 3]], dtype=np.float32)
    assert target.decode(logits).tolist() == [[1, 0, 0], [0, 1, 1]]
    assert np.issubdtype(target.decode(logits).dtype, np.integer)
    assert np.array_equal(target.decision(logits), logits)
    probabilities = target.probabilities(logits)
    assert np.array_equal(probabilities > 0.5, target.decode(logits) == 1)
    np.testing.assert_allclose(probabilities[0], 1 / (1 + np.exp([-0.5, 0.5, 0])), rtol=1e-14)
    assert probabilities[1, :2].tolist() == [0, 1]


@pytest.mark.parametrize("contain", [np.asarray, pd.DataFrame, scipy.sparse.csr_matrix])
def test_balanced_weights_of_several_labels_are_those_of_scikit_learn(contain):
    target = MultiLabel(3)
    weights = target.class_weights("balanced", check_classes(contain(INDICATOR)))
    # counts of absence and presence: (1, 4), (5, 0), (1, 4)
    assert weights.tolist() == [[5 / 2, 5 / 8], [1.0, 1.0], [5 / 2, 5 / 8]]
    np.testing.assert_allclose(
        target.sample_weights(weights, target.encode(INDICATOR)),
        compute_sample_weight("balanced", INDICATOR),
        rtol=1e-15,
    )


def test_a_dict_weighs_the_presence_of_labels():
    target = MultiLabel(3)
    weights = target.class_weights({0: 3.0, 2: 0.5}, INDICATOR)
    of_samples = target.sample_weights(weights, target.encode(INDICATOR))
    assert of_samples.tolist() == [1.5, 0.5, 1.5, 3.0, 1.5]


@pytest.mark.parametrize("column", [3, -1, "a"])
def test_the_weight_of_an_unknown_label_is_an_error(column):
    with pytest.raises(ValueError, match="columns are 0 to 2"):
        MultiLabel(3).class_weights({column: 2.0}, INDICATOR)


NULLABLE = ["Int64", "UInt8", "boolean", "Float64"]


@pytest.mark.parametrize("dtype", NULLABLE)
def test_an_indicator_comes_in_nullable_columns(dtype):
    frame = pd.DataFrame(INDICATOR).astype(dtype)
    # two columns of one name, and a dtype of its own
    frame = frame.set_axis(["a", "a", "b"], axis=1).assign(b=INDICATOR[:, 2])
    target = classification_target(frame)
    assert isinstance(target, MultiLabel)
    assert np.array_equal(target.encode(frame).numpy(), INDICATOR)


@pytest.mark.parametrize("check", [check_classes, check_numbers])
@pytest.mark.parametrize("dtype", NULLABLE)
@pytest.mark.parametrize("columns", [0, [0, 1]], ids=["series", "frame"])
def test_missing_values_of_pandas_are_refused(check, dtype, columns):
    y = pd.DataFrame(INDICATOR).astype(dtype)
    y.iloc[2, 0] = pd.NA
    with pytest.raises(ValueError, match="Input y contains NaN"):
        check(y[columns])


# numbers


def test_numbers_are_standardized_and_returned():
    y = np.array([1.0, 2.0, 6.0])
    target = Continuous(y)
    encoded = target.encode(y)
    assert encoded.shape == (3, 1)
    assert encoded.dtype == torch.float32
    np.testing.assert_allclose(
        encoded.numpy()[:, 0], (y - 3) / np.sqrt(14 / 3), rtol=1e-6, atol=1e-7
    )
    decoded = target.decode(encoded.numpy())
    assert decoded.shape == (3,)
    np.testing.assert_allclose(decoded, y, rtol=1e-6)
    assert target.strata(encoded) is None


def test_mean_and_scale_follow_the_weights():
    rng = np.random.default_rng(0)
    y, weight = rng.normal(5, 2, (6, 2)), np.array([1, 2, 0, 3, 1, 1])
    weighted, repeated = Continuous(y, weight), Continuous(np.repeat(y, weight, axis=0))
    np.testing.assert_allclose(weighted.mean, repeated.mean, rtol=1e-14)
    np.testing.assert_allclose(weighted.scale, repeated.scale, rtol=1e-14)


@pytest.mark.parametrize(
    ("given", "returned"),
    [
        ("float16", "float32"),
        ("float32", "float32"),
        ("float64", "float64"),
        ("int64", "float64"),
        ("uint8", "float64"),
        ("bool", "float64"),
    ],
)
@pytest.mark.parametrize("columns", [(), (1,), (3,)], ids=str)
def test_shape_and_precision_come_back(given, returned, columns):
    y = np.arange(4 * max(columns, default=1)).reshape(4, *columns).astype(given)
    target = Continuous(check_numbers(y))
    decoded = target.decode(target.encode(y).numpy())
    assert decoded.dtype == returned
    assert decoded.shape == y.shape
    np.testing.assert_allclose(decoded, y.astype(float), atol=1e-5)
    assert target.n_outputs == max(columns, default=1)


@pytest.mark.parametrize("value", [0.0, 7.25, 0.1, -1e6, 1e12, 1e-300])
def test_a_constant_column_encodes_to_zero(value):
    y = np.column_stack([np.full(7, value), np.arange(7.0)])
    target = Continuous(y)
    encoded = target.encode(y).numpy()
    assert np.isfinite(encoded).all()
    assert np.abs(encoded[:, 0]).max() <= abs(value) * 1e-15
    assert encoded[:, 1].std() == pytest.approx(1)
    np.testing.assert_allclose(target.decode(encoded), y, rtol=1e-7, atol=1e-6)


def test_a_small_spread_on_a_large_offset_is_kept():
    y = (1e4 + np.random.default_rng(0).normal(size=200)).astype(np.float32)
    target = Continuous(y)
    encoded = target.encode(y).numpy()
    assert encoded.std() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(target.decode(encoded), y, atol=2e-3)


@pytest.mark.parametrize("exponent", [-1000, -540, 540, 1000])
def test_the_unit_of_the_numbers_does_not_matter(exponent):
    y = np.random.default_rng(0).normal(3, 2, (50, 2))
    # one column in another unit, in which its squares are 0 or infinite; doubling is exact
    unit = np.array([2.0**exponent, 1.0])
    target, plain = Continuous(y * unit), Continuous(y)
    assert np.array_equal(target.mean, plain.mean * unit)
    assert np.array_equal(target.scale, plain.scale * unit)
    encoded = target.encode(y * unit)
    assert torch.equal(encoded, plain.encode(y))
    assert np.array_equal(target.decode(encoded.numpy()), plain.decode(encoded.numpy()) * unit)


@pytest.mark.parametrize("unit", [5e-324, 1e-200, 1e200, 1e308])
def test_the_smallest_and_the_largest_numbers_are_encoded(unit):
    y = np.array([0.0, 1.0, 0.0, 1.0]) * unit
    encoded = Continuous(y).encode(y).numpy()
    # of the smallest number there is no half, which the scale would be
    expected = [0] * 4 if unit == 5e-324 else [-1, 1, -1, 1]
    np.testing.assert_allclose(encoded[:, 0], expected, rtol=1e-6, atol=1e-300)


def test_another_number_of_outputs_is_an_error():
    with pytest.raises(ValueError, match="2 outputs, expected 1"):
        Continuous(np.arange(3.0)).encode(np.zeros((3, 2)))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1.0, np.nan], "NaN"),
        ([1.0, np.inf], "infinity"),
        (["cat", "dog"], "For labels use CNNClassifier"),
        (np.array([{}, {}]), "must hold numbers"),
        (np.zeros((2, 2, 2)), "dim"),
        (np.array([1j, 2j]), "Complex"),
        (np.array([1, 2], "timedelta64[s]"), r"timedelta64\[s\], whose unit would be lost"),
        (np.array([1, 2], "datetime64[D]"), "dates by subtracting one first"),
        (pd.Series([1, 2]).astype("timedelta64[ns]"), "timedelta64"),
        (pd.DataFrame({"a": [1, 2], "b": [3, 4]}).astype("timedelta64[s]"), "timedelta64"),
        (pl.Series([1, 2]).cast(pl.Duration), "timedelta64"),
    ],
)
def test_what_is_no_number_is_refused(y, message):
    with pytest.raises(ValueError, match=message):
        check_numbers(y)


@pytest.mark.parametrize(
    "contain",
    [
        list,
        pd.Series,
        pl.Series,
        torch.tensor,
        lambda y: torch.tensor(y).bfloat16(),
        lambda y: np.array(y, dtype=object),
        # as scikit-learn's linear models and trees take them
        lambda y: np.array(y).astype(str),
    ],
)
def test_numbers_come_in_any_container(contain):
    assert check_numbers(contain([1, 2, 4])).tolist() == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("dtype", "kept"), [("Int64", "float64"), ("Float64", "float64"), ("Float32", "float32")]
)
def test_numbers_come_in_nullable_columns(dtype, kept):
    y = check_numbers(pd.DataFrame([[1, 2], [4, 3]]).astype(dtype))
    assert y.tolist() == [[1.0, 2.0], [4.0, 3.0]]
    assert y.dtype == kept


# which kind


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        ([3, 1, 3], [1, 3]),
        (["b", "a"], ["a", "b"]),
        ([True, False], [False, True]),
        ([1.0, 2.0], [1.0, 2.0]),
        (np.array([[2], [0]]), [0, 2]),
        (np.array(["b", "a"], dtype=object), ["a", "b"]),
        (pd.Series(["b", "a"], dtype="category"), ["a", "b"]),
        (torch.tensor([5, 4]), [4, 5]),
    ],
)
def test_one_column_is_one_label(y, classes):
    target = classification_target(y)
    assert isinstance(target, SingleLabel)
    assert target.classes.tolist() == classes


def test_given_classes_are_sorted_and_made_unique():
    target = classification_target(["b", "b"], classes=["c", "b", "a", "c"])
    assert target.classes.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("contain", [np.asarray, list, pd.DataFrame, scipy.sparse.csr_matrix])
def test_an_indicator_is_several_labels(contain):
    target = classification_target(contain(INDICATOR))
    assert isinstance(target, MultiLabel)
    assert target.n_outputs == 3


@pytest.mark.parametrize("contain", [np.asarray, list, pd.DataFrame, scipy.sparse.csr_matrix])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float64])
def test_an_indicator_that_is_one_hot_warns(contain, dtype):
    with pytest.warns(UserWarning, match=r"\(20, 3\).*y\.argmax\(axis=1\)"):
        warn_if_one_hot(contain(np.eye(3, dtype=dtype)[[0, 1, 2, 1] * 5]))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_training_warns_once_of_an_indicator_that_is_one_hot(method):
    train = getattr(CNNClassifier(max_epochs=1, batch_size=20), method)
    with pytest.warns(UserWarning, match="a single 1 in each row") as caught:
        train(np.zeros((20, 4, 4), np.uint8), np.eye(2)[[0, 1] * 10])
    assert len(caught) == 1


@pytest.mark.parametrize("more", [[0, 0], [1, 1]], ids=["no label", "two labels"])
def test_a_row_of_several_labels_or_of_none_says_that_an_indicator_is_meant(more):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_one_hot([[0, 1], [1, 0], more])
        warn_if_one_hot([[1], [1]])


@pytest.mark.parametrize("values", [(-1, 1), (1, 2), (0, 2)], ids=str)
def test_columns_of_two_values_other_than_0_and_1_are_no_indicator(values):
    y = np.array([[0, 1], [1, 0], [1, 1]])
    with pytest.raises(ValueError, match="0/1"):
        classification_target(np.take(values, y))


def test_several_columns_of_labels_are_refused_with_an_alternative():
    with pytest.raises(ValueError, match="MultiOutputClassifier"):
        classification_target([[0, 2], [1, 1], [2, 0]])


@pytest.mark.parametrize("y", [[0.5, 1.5, 2.2], np.random.default_rng(0).normal(size=20)])
def test_numbers_are_no_labels(y):
    with pytest.raises(ValueError, match="continuous"):
        classification_target(y)


def test_soft_labels_are_refused_by_name():
    with pytest.raises(ValueError, match=r"\(2, 2\) .*soft labels.*sample_weight=y.ravel\(\)"):
        classification_target([[0.25, 0.75], [1.0, 0.0]])


def test_missing_labels_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        classification_target([0.0, 1.0, np.nan])


def test_the_same_kind_of_target_can_go_on():
    letters = SingleLabel(np.array(["a", "b"]))
    assert letters.same_as(SingleLabel(np.array(["a", "b"])))
    assert not letters.same_as(SingleLabel(np.array(["a", "c"])))
    assert not letters.same_as(MultiLabel(2))
    assert MultiLabel(2).same_as(MultiLabel(2))
    assert not MultiLabel(2).same_as(MultiLabel(3))
    numbers = Continuous(np.arange(3.0))
    assert numbers.same_as(Continuous(np.arange(9.0) * 5))
    assert not numbers.same_as(Continuous(np.zeros((3, 2))))
    assert not numbers.same_as(letters)


# numbers that are missing

MISSING = np.array([[1.0, np.nan], [np.nan, np.nan], [5.0, 4.0], [3.0, 8.0]])


@pytest.mark.parametrize("weights", [None, [1.0, 3.0, 2.0, 0.5]])
def test_mean_and_scale_are_those_of_the_numbers_that_are_there(weights):
    weights = None if weights is None else np.array(weights)
    target = Continuous(MISSING, weights)
    for column, rows in enumerate([[0, 2, 3], [2, 3]]):
        of_rows = None if weights is None else weights[rows]
        alone = Continuous(MISSING[rows, column], of_rows)
        assert target.mean[column] == pytest.approx(alone.mean[0])
        assert target.scale[column] == pytest.approx(alone.scale[0])


@pytest.mark.parametrize(
    "contain",
    [
        np.asarray,
        lambda y: y.astype(np.float32),
        lambda y: [[None if np.isnan(number) else number for number in row] for row in y],
        pd.DataFrame,
        lambda y: pd.DataFrame(y).astype("Float64"),
        lambda y: pd.DataFrame(y).astype("Int64"),
        lambda y: pl.DataFrame(y).fill_nan(None),
        torch.from_numpy,
    ],
)
def test_missing_numbers_stay_missing_in_every_container(contain):
    target = Continuous(MISSING)
    warning = r"y_val holds NaN in 2 of 4 rows, 3 of 8 numbers in all"
    with pytest.warns(UserWarning, match=warning) as caught:
        encoded = target.encode(contain(MISSING), "y_val")
    assert len(caught) == 1
    np.testing.assert_allclose(target.to_units(encoded), MISSING, rtol=1e-6)


@pytest.mark.parametrize("y", [MISSING[:, 0], MISSING[:, :1], np.nan_to_num(MISSING, nan=np.inf)])
def test_what_is_missing_in_one_column_or_infinite_is_refused(y):
    with pytest.raises(ValueError, match=r"y contains (NaN|infinity)"):
        check_numbers(y, allow_nan=True)


def test_a_column_without_numbers_is_refused():
    with pytest.raises(ValueError, match=r"NaN alone in the columns \[1\]"):
        Continuous(MISSING[:2])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["cat"] * 5, r"one class alone, 'cat', in all of the 5 images"),
        (
            ["rose"] * 3 + ["tulip"] * 2 + ["tulipp"],
            r"1 of the 3 classes of y have a single image: \['tulipp'\].*"
            r"\{'rose': 3, 'tulip': 2, 'tulipp': 1\}",
        ),
        (np.array([7, 7, 1]), r"single image: \[1\].*\{7: 2, 1: 1\}"),
    ],
)
def test_a_class_alone_or_in_a_single_image_warns(y, message):
    with pytest.warns(UserWarning, match=message) as caught:
        warn_of_rare_classes(y)
    assert len(caught) == 1


def test_images_of_weight_0_count_for_no_class(recwarn):
    warn_of_rare_classes([0, 0, 1, 1, 2], np.array([1.0, 1, 1, 1, 0]))
    assert not recwarn.list
    with pytest.warns(UserWarning, match=r"single image: \[1\]"):
        warn_of_rare_classes([0, 0, 1, 1], np.array([1.0, 1, 1, 0]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("y", [[0, 1, 2], [0, 0, 1, 1]])
def test_other_counts_of_classes_are_taken_in_silence(y):
    warn_of_rare_classes(y)


def test_fit_warns_of_rare_classes_and_partial_fit_does_not(recwarn):
    X = np.arange(4 * 16, dtype=np.uint8).reshape(4, 4, 4)
    network = CNNClassifier(ConvNet((2,)), max_epochs=1, random_state=0)
    network.partial_fit(X, [0, 0, 0, 1], classes=[0, 1, 2])
    network.partial_fit(X, [2, 2, 2, 2])
    assert not recwarn.list
    with pytest.warns(UserWarning, match=r"single image: \[1\]"):
        network.fit(X, [0, 0, 0, 1])


@pytest.mark.parametrize(
    "contain",
    [
        pa.array,
        lambda y: pa.chunked_array([y[:2], y[2:]]),
        lambda y: pa.array(y).dictionary_encode(),
        lambda y: pd.Series(y, dtype="string[pyarrow]"),
        lambda y: pd.Series(y, dtype=pd.ArrowDtype(pa.string())),
        lambda y: pl.Series(y, dtype=pl.Categorical),
    ],
)
def test_text_of_any_column_is_labels(contain):
    assert check_classes(contain(LABELS.tolist())).tolist() == LABELS.tolist()


def test_numbers_and_booleans_of_pyarrow():
    assert check_numbers(pa.array([1.5, 2.0])).tolist() == [1.5, 2.0]
    assert check_classes(pa.array([True, False, True])).tolist() == [True, False, True]
    with pytest.raises(ValueError, match="Input y contains NaN"):
        check_numbers(pa.array([1.5, None]))


@pytest.mark.parametrize("check", [check_classes, check_numbers])
@pytest.mark.parametrize("contain", [list, tuple, lambda y: np.array(y, dtype=object)])
def test_a_missing_label_is_named_by_its_row(check, contain):
    values = ["a", None, "b"] if check is check_classes else [1, None, 2]
    with pytest.raises(ValueError, match=r"Input y_val contains NaN: row 1 is None. Leave out"):
        check(contain(values), "y_val")


@pytest.mark.parametrize("missing", [np.nan, np.float32("nan"), pd.NA, pd.NaT, None])
@pytest.mark.parametrize("contain", [list, lambda y: np.array(y, dtype=object)])
@pytest.mark.parametrize("check", [check_classes, check_numbers])
def test_any_kind_of_missing_label_is_named_by_its_row(missing, contain, check):
    # NumPy would make a list's NaN a class of the name "nan"
    with pytest.raises(ValueError, match=r"Input y_val contains NaN: row 2 is .*Leave out"):
        check(contain(["cat", "dog", missing]), "y_val")


def test_a_missing_cell_of_an_indicator_is_named_by_its_row():
    with pytest.raises(ValueError, match="Input y contains NaN: row 1 is"):
        check_classes(np.array([[0, 1], [1, np.nan]], dtype=object))
    y = np.array([[0, 1], [1, np.nan]], dtype=object)
    assert np.isnan(check_numbers(y, allow_nan=True)[1, 1])


@pytest.mark.parametrize(
    "y",
    [
        [["a", "b"], ["a"]],
        [("a",), ()],
        [{"a", "b"}, {"b", "c"}],
        [np.array(["a", "b"]), np.array(["a"])],
        ["a", ["a", "b"]],
        pd.Series([["a", "b"], ["a"]]),
        pd.Series([["a", "b"], ["b", "c"]]),
    ],
)
def test_lists_of_labels_say_what_makes_an_indicator_of_them(y):
    with pytest.raises(ValueError, match=r"y_val holds a list of labels .*MultiLabelBinarizer"):
        check_classes(y, "y_val")


def test_lists_of_as_many_labels_say_so_too():
    with pytest.raises(ValueError, match="MultiLabelBinarizer"):
        classification_target([["a", "b"], ["b", "c"]])
    assert check_classes([[0, 1], [1, 0]]).tolist() == [[0, 1], [1, 0]]


def test_rows_of_different_lengths_are_named():
    with pytest.raises(ValueError, match=r"different lengths: 1 in row 2, 2 in row 0\. NaN"):
        check_numbers([[1.0, 2.0], [3.0, 4.0], [5.0], [6.0]])


@pytest.mark.parametrize("contain", [str, str.encode])
@pytest.mark.parametrize("check", [check_classes, check_numbers])
def test_masks_in_base64_are_no_labels(contain, check):
    mask = base64.b64encode(bytes(range(200))).decode()
    with pytest.raises(ValueError, match=r"y\[0\] is 'AAECA.*base64\.b64decode") as caught:
        check([contain(mask)] * 2)
    assert len(str(caught.value)) < 500


def test_hashes_and_long_text_are_labels():
    labels = ["0f" * 64, "a few words that go on and on " * 20]
    assert check_classes(labels).tolist() == labels
    with pytest.raises(ValueError, match="For labels use CNNClassifier") as caught:
        check_numbers(labels[::-1])
    assert len(str(caught.value)) < 200

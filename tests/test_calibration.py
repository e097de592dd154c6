"""How honest probabilities are: values by hand, and what scikit-learn makes of networks."""

import numpy as np
import pytest
from drawn import bars_and_discs, coloured_shapes
from image_files import write_images
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss, make_scorer
from small_networks import network

from sklearn_cnn.metrics import expected_calibration_error

# the bins of these are (0.6, 0.667], (0.8, 0.867] and the last one, (0.933, 1]
PROBABILITIES = np.array(
    [
        [0.62, 0.2, 0.18],
        [0.2, 0.66, 0.14],
        [0.1, 0.1, 0.8000001],
        [1.0, 0.0, 0.0],
        [0.0, 0.96, 0.04],
    ]
)


def test_the_error_is_the_mean_over_bins():
    # right are the second, the third and the fourth
    y = ["b", "b", "c", "a", "c"]
    first, second, third = 0.62 + 0.66 - 1, 1 - 0.8000001, 1.96 - 1
    expected = (first + second + third) / 5
    assert expected_calibration_error(y, PROBABILITIES) == pytest.approx(expected, rel=1e-12)
    # one bin: three of five are right
    one_bin = abs(PROBABILITIES.max(axis=1).mean() - 3 / 5)
    assert expected_calibration_error(y, PROBABILITIES, n_bins=1) == pytest.approx(one_bin)


def test_bins_include_their_upper_end():
    # 0.6 is the upper end of one bin, so that 0.62 is in another
    probabilities = [[0.6, 0.4], [0.62, 0.38]]
    error = expected_calibration_error([0, 1], probabilities)
    assert error == pytest.approx((0.4 + 0.62) / 2)
    assert expected_calibration_error([0, 1], [[0.61, 0.39], [0.62, 0.38]]) == pytest.approx(
        (0.61 + 0.62 - 1) / 2
    )


def test_weights_are_repetitions():
    y, weights = np.array(["b", "b", "c", "a", "c"]), np.array([1, 3, 0, 2, 1])
    repeated = np.repeat(np.arange(5), weights)
    assert expected_calibration_error(
        y, PROBABILITIES, sample_weight=weights, labels=["a", "b", "c"]
    ) == pytest.approx(
        expected_calibration_error(y[repeated], PROBABILITIES[repeated], labels=["a", "b", "c"])
    )


def test_two_classes_have_one_column_or_two():
    y, of_second = np.array(["cat", "dog", "dog", "cat"]), np.array([0.3, 0.9, 0.2, 0.5])
    # sure of 0.7, 0.9, 0.8, and 0.5, where the first class wins; the third is wrong
    expected = (0.3 + 0.1 + 0.8 + 0.5) / 4
    assert expected_calibration_error(y, of_second) == pytest.approx(expected)
    both = np.column_stack([1 - of_second, of_second])
    assert expected_calibration_error(y, both) == pytest.approx(expected)


def test_labels_say_what_columns_are():
    y = ["b", "b", "a", "a", "b"]
    in_order = expected_calibration_error(y, PROBABILITIES, labels=["a", "b", "c"])
    turned = expected_calibration_error(y, PROBABILITIES[:, ::-1], labels=["c", "b", "a"])
    assert in_order == pytest.approx(turned)
    with pytest.raises(ValueError, match=r"y_proba has 3 columns, .* 2 labels, \['a', 'b'\]"):
        expected_calibration_error(y, PROBABILITIES)
    with pytest.raises(ValueError, match="y_true holds 'a', which is not in labels="):
        expected_calibration_error(y, PROBABILITIES, labels=["x", "b", "c"])


@pytest.mark.parametrize("wrong", [1.5, -0.1])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match=r"from 0 to 1\. Pass what predict_proba"):
        expected_calibration_error([0, 1], [[0.5, 0.5], [wrong, 0.5]])


@pytest.mark.parametrize(
    ("y_true", "params", "message"),
    [
        ([0, 1], {"n_bins": 0}, "n_bins == 0"),
        ([0, 1], {"sample_weight": [1, -1]}, "weights that are not negative, and not all 0"),
        ([0, 1], {"sample_weight": [0, 0]}, "weights that are not negative, and not all 0"),
        ([0, 1], {"labels": [1, 1]}, r"labels=\[1, 1\] names a label twice"),
        ([0, 1], {"labels": ["0", 1]}, "labels holds text and other labels"),
        ([0, "cat"], {}, "y_true holds text and other labels"),
        (np.array([0, "cat"], dtype=object), {}, "y_true holds text and other labels"),
        (["cat", None], {}, "y_true contains NaN: row 1 is None"),
        ([0, np.nan], {}, "y_true contains NaN"),
        ([0, 2], {"labels": ["a", "b"]}, r"y_true holds 0, which is not in labels=\['a', 'b'\]"),
    ],
)
def test_wrong_arguments_are_refused(y_true, params, message):
    with pytest.raises(ValueError, match=message):
        expected_calibration_error(y_true, [[0.5, 0.5], [0.2, 0.8]], **params)


def test_probabilities_sum_to_one():
    with pytest.raises(ValueError, match=r"Row 1 of y_proba sums to 1\.3, but"):
        expected_calibration_error([0, 1], [[0.5, 0.5], [0.5, 0.8]])
    # half precision rounds
    halves = np.array([[0.3333, 0.6667], [0.1, 0.9]], dtype=np.float16)
    expected = 1 - (0.6667 + 0.9) / 2
    error = expected_calibration_error([1, 1], halves, labels=[0, 1])
    assert error == pytest.approx(expected, abs=1e-3)


def test_a_number_of_bins_is_an_integer():
    with pytest.raises(TypeError, match="n_bins must be an instance of int, not float"):
        expected_calibration_error([0, 1], [[0.5, 0.5], [0.2, 0.8]], n_bins=2.5)


@pytest.mark.parametrize("drawn", [bars_and_discs, coloured_shapes])
def test_scorers_score_networks_by_it(drawn):
    X, y = drawn(40)
    model = network(max_epochs=1).fit(X, y)
    scorer = make_scorer(
        expected_calibration_error, response_method="predict_proba", greater_is_better=False
    )
    expected = expected_calibration_error(y, model.predict_proba(X), labels=model.classes_)
    assert scorer(model, X, y) == pytest.approx(-expected)


@pytest.mark.parametrize("container", ["array", "list of paths", "array of paths", "Series"])
def test_a_temperature_is_fitted_to_any_images(container, tmp_path):
    X, y = coloured_shapes(60)
    if container != "array":
        X = write_images(tmp_path, X)
    if container == "array of paths":
        X = np.array(X)
    if container == "Series":
        X = pytest.importorskip("pandas").Series(X)
    model = network(max_epochs=3).fit(X[:20], y[:20])
    calibrated = CalibratedClassifierCV(FrozenEstimator(model), method="temperature")
    calibrated.fit(X[20:], y[20:])
    np.testing.assert_array_equal(calibrated.predict(X[20:]), model.predict(X[20:]))
    # no temperature serves the images that it was fitted to better
    logits = model.decision_function(X[20:])
    losses = []
    for temperature in np.geomspace(0.02, 50, 500):
        scaled = np.exp(logits / temperature - (logits / temperature).max(axis=1, keepdims=True))
        losses.append(log_loss(y[20:], scaled / scaled.sum(axis=1, keepdims=True)))
    best = log_loss(y[20:], calibrated.predict_proba(X[20:]))
    assert best == pytest.approx(min(losses), abs=1e-3)


def test_each_pixel_of_masks_that_counts_is_a_sample():
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 3, (4, 5, 6)).astype(np.uint8)
    probabilities = rng.dirichlet(np.ones(3), masks.shape)
    expected = expected_calibration_error(masks.ravel(), probabilities.reshape(-1, 3))
    assert expected_calibration_error(masks, probabilities) == expected
    # a weight of an image is one of each of its pixels
    weights = np.array([1, 3, 0, 2])
    expected = expected_calibration_error(
        masks.ravel(), probabilities.reshape(-1, 3), sample_weight=np.repeat(weights, 30)
    )
    assert expected_calibration_error(masks, probabilities, sample_weight=weights) == expected
    keep = masks != 0
    masks[~keep] = 255
    labels = [0, 1, 2]
    expected = expected_calibration_error(masks[keep], probabilities[keep], labels=labels)
    error = expected_calibration_error(masks, probabilities, labels=labels, ignore_label=255)
    assert error == expected


def test_probabilities_of_masks_have_their_size():
    masks = np.zeros((2, 3, 4), dtype=int)
    masks[:, 0] = 1
    of_second = np.where(masks == 1, 0.75, 0.25)
    assert expected_calibration_error(masks, of_second) == pytest.approx(0.25)
    with pytest.raises(ValueError, match=r"\(2, 3, 4\) and y_proba \(2, 4, 3\)"):
        expected_calibration_error(masks, of_second.transpose(0, 2, 1))
    with pytest.raises(ValueError, match="No pixel of y_true counts: all are ignore_label=1"):
        expected_calibration_error(np.ones((2, 3, 4), int), of_second, ignore_label=1)

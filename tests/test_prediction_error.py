"""Prediction errors of several outputs: a panel each, worst first."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from sklearn_cnn import CNNRegressor, ConvNet
from sklearn_cnn.plots import PredictionErrorDisplay

pytestmark = pytest.mark.usefixtures("close_figures")


@pytest.fixture
def numbers():
    """Return three columns and predictions, the second of which is worst, the third best."""
    y_true = np.random.default_rng(0).normal(size=(60, 3))
    off = np.random.default_rng(1).normal(size=(60, 3))
    return y_true, y_true + [0.4, 0.8, 0.1] * off


def titles(display):
    return [ax.get_title().split(":")[0] for ax in display.axes_]


def test_the_worst_output_comes_first(numbers):
    y_true, y_pred = numbers
    frame = pd.DataFrame(y_true, columns=["x", "y", "$size"])
    display = PredictionErrorDisplay.from_predictions(frame, y_pred)
    assert titles(display) == ["y", "x", "$size"]
    np.testing.assert_array_equal(display.y_true, y_true[:, [1, 0, 2]])
    points = display.displays_[0].scatter_.get_offsets()
    np.testing.assert_allclose(points, np.c_[y_pred[:, 1], y_true[:, 1] - y_pred[:, 1]])
    shown = PredictionErrorDisplay.from_predictions(
        y_true, y_pred, n_outputs=2, kind="actual_vs_predicted", display_labels=["a", "b", "c"]
    )
    assert titles(shown) == ["b", "a"]
    points = shown.displays_[1].scatter_.get_offsets()
    np.testing.assert_allclose(points, np.c_[y_pred[:, 0], y_true[:, 0]])


def test_missing_numbers_are_left_out(numbers):
    y_true, y_pred = numbers
    y_true[:20, 0] = np.nan
    display = PredictionErrorDisplay.from_predictions(y_true, y_pred)
    assert len(display.displays_[titles(display).index("0")].y_true) == 40
    y_true[:, 2] = np.nan
    y_true[0, 2] = 1
    last = PredictionErrorDisplay.from_predictions(y_true, y_pred)
    assert last.axes_[2].get_title() == "2: R² nan"


def test_rows_are_drawn_at_random_and_scored_all(numbers):
    few = PredictionErrorDisplay.from_predictions(*numbers, subsample=10, random_state=0)
    again = PredictionErrorDisplay.from_predictions(*numbers, subsample=10, random_state=0)
    every = PredictionErrorDisplay.from_predictions(*numbers, subsample=None)
    assert few.y_true.shape == (10, 3)
    np.testing.assert_array_equal(few.y_true, again.y_true)
    np.testing.assert_array_equal(few.scores, every.scores)
    assert every.y_true.shape == (60, 3)


def test_an_estimator_of_one_number_has_one_panel():
    X = np.random.default_rng(0).integers(0, 255, (12, 8, 8), dtype=np.uint8)
    y = X.mean(axis=(1, 2))
    regressor = CNNRegressor(ConvNet(widths=(4,)), max_epochs=1, random_state=0).fit(X, y)
    _, ax = plt.subplots()
    display = PredictionErrorDisplay.from_estimator(regressor, X, y, ax=ax)
    assert display.bounding_ax_ is ax
    np.testing.assert_allclose(display.y_pred[:, 0], regressor.predict(X))
    assert titles(display) == ["0"]


def test_what_does_not_go_together_is_refused(numbers):
    y_true, y_pred = numbers
    with pytest.raises(ValueError, match=r"y_pred has shape \(60, 2\), but y_true \(60, 3\)"):
        PredictionErrorDisplay.from_predictions(y_true, y_pred[:, :2])
    with pytest.raises(ValueError, match="2 names for 3"):
        PredictionErrorDisplay.from_predictions(y_true, y_pred, display_labels=["a", "b"])
    with pytest.raises(ValueError, match="kind"):
        PredictionErrorDisplay.from_predictions(y_true, y_pred, kind="errors")
    with pytest.raises(ValueError, match="n_outputs"):
        PredictionErrorDisplay.from_predictions(y_true, y_pred, n_outputs=0)
    with pytest.raises(ValueError, match="y_pred contains NaN"):
        PredictionErrorDisplay.from_predictions(y_true, y_true * np.nan)


def test_maps_have_a_display_of_their_own():
    maps = np.ones((2, 3, 4))
    with pytest.raises(ValueError, match="value for each pixel: use PredictionsDisplay"):
        PredictionErrorDisplay.from_predictions(maps, maps)

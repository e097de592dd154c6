"""A figure of losses over rising rates, and what it suggests."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import SIDE, bars_and_discs, placed_discs
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from small_networks import network

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.plots import LearningRateFinderDisplay

pytestmark = pytest.mark.usefixtures("close_figures")

X, Y = bars_and_discs(64)


@pytest.fixture(scope="module")
def display():
    return LearningRateFinderDisplay.from_estimator(network(), X, Y, max_lr=100)


def test_the_rates_rise_and_the_losses_are_drawn(display):
    expected = np.geomspace(1e-5, 100, 100)[: len(display.lr)]
    np.testing.assert_allclose(display.lr, expected)
    assert len(display.loss) == len(display.smoothed_loss) == len(display.lr)
    assert display.loss_points_.get_ydata().tolist() == display.loss.tolist()
    assert display.smoothed_loss_line_.get_xdata().tolist() == display.lr.tolist()
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_xlabel() == "learning rate"


def test_it_ends_where_the_loss_has_risen(display):
    # steps of a rate of 100 would make it infinite
    assert len(display.lr) < 100
    assert np.isfinite(display.loss).all()
    assert display.smoothed_loss[-1] <= 4 * display.smoothed_loss.min()


def test_the_suggestion_is_below_the_smallest_loss_and_marked(display):
    at_minimum = display.lr[display.smoothed_loss.argmin()]
    assert display.suggested_lr == pytest.approx(at_minimum / 10)
    assert display.suggested_lr_line_.get_xdata()[0] == display.suggested_lr
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert f"suggestion, {display.suggested_lr:.1g}" in labels


def test_the_suggestion_learns():
    images, y = bars_and_discs(300)
    display = LearningRateFinderDisplay.from_estimator(network(), images[:200], y[:200])
    rate = display.suggested_lr
    scores = {
        lr: network(lr=lr, max_epochs=4).fit(images[:200], y[:200]).score(images[200:], y[200:])
        for lr in (rate / 100, rate)
    }
    assert scores[rate] > scores[rate / 100]


def test_the_estimator_stays_as_it_was():
    fitted = network(early_stopping=True, time_limit=1e4).fit(X, Y)
    before, weight = dict(vars(fitted)), fitted.module_.state_dict()
    weight = {name: tensor.clone() for name, tensor in weight.items()}
    LearningRateFinderDisplay.from_estimator(fitted, X, Y, n_steps=10)
    assert vars(fitted) == before
    assert all(tensor.equal(weight[name]) for name, tensor in fitted.module_.state_dict().items())


def test_numbers_and_pipelines_have_rates_too():
    images, centres = placed_discs(40)
    of_numbers = LearningRateFinderDisplay.from_estimator(
        network(CNNRegressor), images, centres, n_steps=12, min_lr=1e-4, max_lr=1e-2
    )
    assert of_numbers.lr[[0, -1]] == pytest.approx([1e-4, 1e-2])
    pipeline = make_pipeline(MinMaxScaler(), network(image_shape=(SIDE, SIDE, 3)))
    rows = X.reshape(len(X), -1)
    of_pipeline = LearningRateFinderDisplay.from_estimator(pipeline, rows, Y, n_steps=12)
    assert len(of_pipeline.loss) == 12
    assert not hasattr(pipeline[-1], "net_")


def test_equal_calls_find_equal_losses(display):
    again = LearningRateFinderDisplay.from_estimator(network(), X, Y, max_lr=100)
    assert again.loss.tolist() == display.loss.tolist()


def test_it_is_drawn_where_it_is_asked_for(display):
    _, ax = plt.subplots()
    again = LearningRateFinderDisplay(
        lr=display.lr,
        loss=display.loss,
        smoothed_loss=display.smoothed_loss,
        suggested_lr=display.suggested_lr,
    ).plot(ax, linewidth=3)
    assert again.ax_ is ax
    assert again.smoothed_loss_line_.get_linewidth() == 3


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_steps": 9}, "n_steps == 9"),
        ({"min_lr": 0}, "min_lr == 0"),
        ({"min_lr": 1e-2, "max_lr": 1e-3}, "max_lr == 0.001"),
    ],
)
def test_rates_that_do_not_rise_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        LearningRateFinderDisplay.from_estimator(network(), X, Y, **params)


@pytest.mark.parametrize("estimator", [LogisticRegression(), GridSearchCV(network(), {"lr": [1]})])
def test_what_is_no_network_is_refused(estimator):
    with pytest.raises(TypeError, match=f"A {type(estimator).__name__} has no learning rate"):
        LearningRateFinderDisplay.from_estimator(estimator, X, Y)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"sklearn-cnn\[plots\]"):
        LearningRateFinderDisplay.from_estimator(CNNClassifier(), X, Y)

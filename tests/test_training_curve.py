"""The curves of a training: lines, marks, panels, and where they come from."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import SIDE, bars_and_discs, placed_discs, several_shapes
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from skorch.history import History
from small_networks import fitted_with_scores, network

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.plots import PredictionsDisplay, TrainingCurveDisplay

pytestmark = pytest.mark.usefixtures("close_figures")


@pytest.fixture(scope="module")
def shapes():
    return bars_and_discs(40)


@pytest.fixture(scope="module")
def fitted(shapes):
    return fitted_with_scores(*shapes)


def curve(line):
    """Return the points of a line."""
    return [values.tolist() for values in line.get_data()]


def test_the_lines_are_the_figures_of_each_epoch(fitted):
    display = TrainingCurveDisplay.from_estimator(fitted)
    epochs = [1, 2]
    history = fitted.history_
    assert curve(display.train_loss_line_) == [epochs, fitted.loss_curve_]
    assert curve(display.valid_loss_line_) == [epochs, history[:, "valid_loss"]]
    assert curve(display.valid_score_line_) == [epochs, fitted.validation_scores_]
    assert curve(display.lr_line_) == [epochs, history[:, "lr"]]
    assert [ax.get_ylabel() for ax in display.axes_] == ["loss", "accuracy", "learning rate"]
    assert display.axes_[-1].get_xlabel() == "epoch"
    assert display.best_epoch_lines_ == []


def written(ax):
    """Return the texts that stand in a panel."""
    return [text.get_text() for text in ax.texts]


def test_the_last_values_are_written(fitted):
    display = TrainingCurveDisplay.from_estimator(fitted)
    history = fitted.history_
    losses = sorted([history[-1, "train_loss"], history[-1, "valid_loss"]])
    assert written(display.axes_[0]) == [f"{loss:.3g}" for loss in losses]
    assert written(display.axes_[1]) == [f"{fitted.validation_scores_[-1]:.3g}"]
    assert written(display.axes_[2]) == [f"{history[-1, 'lr']:.3g}"]


@pytest.mark.parametrize("n_epochs", [1, 2, 3, 7, 12, 37, 101])
def test_the_first_and_the_last_epoch_are_ticked(n_epochs):
    values = np.ones(n_epochs)
    display = TrainingCurveDisplay(train_loss=values, lr=values).plot()
    ticks = display.axes_[0].get_xticks()
    assert {1, n_epochs} <= set(ticks)
    assert (ticks == np.round(ticks)).all()
    assert len(ticks) <= 12


def test_an_early_spike_does_not_flatten_the_rest():
    smooth = np.geomspace(1, 0.1, 20)
    display = TrainingCurveDisplay(train_loss=smooth, lr=smooth, valid_loss=smooth).plot()
    assert display.axes_[0].get_ylim()[1] > 1
    spiky = np.r_[0.9, 12, smooth[2:]]
    display = TrainingCurveDisplay(train_loss=smooth, lr=smooth, valid_loss=spiky).plot()
    assert 1 < display.axes_[0].get_ylim()[1] < 1.2
    assert "↑12" in written(display.axes_[0])
    score = np.r_[-40, np.linspace(-0.5, 0.9, 19)]
    display = TrainingCurveDisplay(train_loss=smooth, lr=smooth, valid_score=score).plot()
    assert -0.7 < display.axes_[1].get_ylim()[0] < -0.5
    assert "↓-40" in written(display.axes_[1])
    log = TrainingCurveDisplay(train_loss=smooth, lr=smooth, valid_loss=spiky).plot(
        loss_scale="log"
    )
    assert log.axes_[0].get_ylim()[1] > 12


def test_the_epochs_of_skorchs_own_loop_are_drawn_too(shapes):
    X, y = shapes
    network_ = network(lr=0.003).fit(X, y)
    targets = np.unique(y, return_inverse=True)[1]
    network_.net_.partial_fit(X.transpose(0, 3, 1, 2).astype(np.float32), targets)
    display = TrainingCurveDisplay.from_estimator(network_)
    assert curve(display.train_loss_line_) == [[1, 2, 3, 4], network_.history_[:, "train_loss"]]
    assert display.lr[2:].tolist() == [0.003, 0.003]


def test_the_rate_is_that_of_the_schedule(shapes):
    constant = network(lr=0.003, lr_schedule="constant").fit(*shapes)
    display = TrainingCurveDisplay.from_estimator(constant)
    assert display.lr.tolist() == [0.003, 0.003]
    assert display.axes_[-1].get_ylim()[0] <= 0
    cosine = network(lr=0.003, lr_schedule="cosine").fit(*shapes)
    first, last = TrainingCurveDisplay.from_estimator(cosine).lr
    assert 0.003 > first > last > 0


def test_without_a_validation_set_there_is_no_panel_for_a_score(shapes):
    display = TrainingCurveDisplay.from_estimator(network().fit(*shapes))
    assert [ax.get_ylabel() for ax in display.axes_] == ["loss", "learning rate"]
    assert display.valid_loss_line_ is None
    assert display.valid_score_line_ is None
    note = "no validation images: overfitting cannot be seen here"
    assert display.axes_[0].get_title(loc="left") == note


@pytest.mark.parametrize(
    ("model", "data", "name"),
    [
        (network(), several_shapes(24), "subset accuracy"),
        (network(class_weight="balanced"), several_shapes(24), "weighted subset accuracy"),
        (network(CNNRegressor), placed_discs(24), "R²"),
        (network(CNNRegressor, loss="quantile"), placed_discs(24), "D² of the pinball loss"),
    ],
    ids=["several labels", "class weights", "numbers", "quantile"],
)
def test_the_score_has_a_name(model, data, name):
    X, y = data
    model.fit(X, y, X_val=X, y_val=y)
    # it was computed in fit: what is set later has no part in it
    model.set_params(loss="auto")
    assert TrainingCurveDisplay.from_estimator(model).axes_[1].get_ylabel() == name


@pytest.mark.parametrize("lr_schedule", ["constant", "one_cycle"])
def test_the_epoch_of_the_weights_kept_is_marked(lr_schedule, shapes):
    X, y = shapes
    params = {"max_epochs": 5, "n_iter_no_change": 2, "lr": 0.05, "lr_schedule": lr_schedule}
    stopped = network(early_stopping=True, **params)
    stopped.fit(X, y, X_val=X[:20], y_val=y[:20])
    scores = stopped.validation_scores_
    kept = max(scores) if lr_schedule == "constant" else scores[-1]
    assert scores[stopped.best_epoch_ - 1] == kept == stopped.score(X[:20], y[:20])
    display = TrainingCurveDisplay.from_estimator(stopped)
    marks = [line.get_xdata()[0] for line in display.best_epoch_lines_]
    assert marks == [stopped.best_epoch_] * 2
    labels = [text.get_text() for text in display.axes_[0].get_legend().get_texts()]
    assert labels == ["training", "validation", f"weights kept (epoch {stopped.best_epoch_})"]


def test_training_that_goes_on_has_one_curve(shapes):
    X, y = shapes
    model = network(warm_start=True, early_stopping=True).fit(X, y)
    model.set_params(early_stopping=False).fit(X, y)
    model.partial_fit(X, y)
    display = TrainingCurveDisplay.from_estimator(model)
    assert curve(display.train_loss_line_) == [[1, 2, 3, 4, 5], model.loss_curve_]
    # the later fits had no validation set, and moved on from the weights that were kept
    assert np.isnan(display.valid_score).tolist() == [False, False, True, True, True]
    assert model.best_epoch_ is None
    assert display.best_epoch_lines_ == []


def test_an_epoch_kept_in_a_later_fit_counts_from_the_first(shapes):
    X, y = shapes
    model = network(warm_start=True).fit(X, y)
    model.set_params(early_stopping=True).fit(X, y)
    scores = TrainingCurveDisplay.from_estimator(model).valid_score
    # the last one, as the rate has come to its end
    assert model.best_epoch_ == len(scores) == 4
    model.set_params(lr_schedule="constant").fit(X, y)
    scores = TrainingCurveDisplay.from_estimator(model).valid_score
    assert model.best_epoch_ in (5, 6)
    assert scores[model.best_epoch_ - 1] == model.best_validation_score_


@pytest.mark.parametrize(
    ("figure", "n_epochs"), [("lr", 1), ("train_loss", 1), ("valid_loss", 2), ("valid_score", 2)]
)
def test_a_fit_that_ctrl_c_ended_has_its_curve(figure, n_epochs, shapes, monkeypatch):
    record = History.record

    def interrupted(history, name, value):
        if name == figure and len(history) == 2:
            raise KeyboardInterrupt
        record(history, name, value)

    monkeypatch.setattr(History, "record", interrupted)
    X, y = shapes
    model = network()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y, X_val=X[:20], y_val=y[:20])
    display = TrainingCurveDisplay.from_estimator(model)
    assert len(display.train_loss) == len(display.lr) == n_epochs
    # a second epoch that was not scored in full has no score
    assert np.isnan(display.valid_score).tolist() == [False, True][:n_epochs]


def test_the_network_is_found_inside_others(shapes):
    X, y = shapes
    rows = X.reshape(len(X), -1)
    of_rows = network(image_shape=(SIDE, SIDE, 3))
    pipeline = make_pipeline(MinMaxScaler(), of_rows).fit(rows, y)
    assert TrainingCurveDisplay.from_estimator(pipeline).train_loss.tolist() == (
        pipeline[-1].loss_curve_
    )
    search = GridSearchCV(pipeline, {"cnnclassifier__max_epochs": [3]}, cv=2).fit(rows, y)
    assert len(TrainingCurveDisplay.from_estimator(search).train_loss) == 3
    transformed = TransformedTargetRegressor(network(CNNRegressor)).fit(X, np.arange(40.0))
    assert len(TrainingCurveDisplay.from_estimator(transformed).train_loss) == 2
    frozen = TrainingCurveDisplay.from_estimator(FrozenEstimator(of_rows.fit(rows, y)))
    assert frozen.train_loss.tolist() == of_rows.loss_curve_


def test_an_ensemble_has_errors_but_no_curve_of_its_own(shapes):
    X, y = shapes
    gray_rows = X.mean(axis=3).reshape(len(X), -1)
    ensemble = BaggingClassifier(network(), n_estimators=2, random_state=0).fit(gray_rows, y)
    display = PredictionsDisplay.from_estimator(ensemble, gray_rows, y, n_images=1)
    of_truth = ensemble.predict_proba(gray_rows)[np.arange(len(y)), (y == "disc").astype(int)]
    assert display.indices.tolist() == [of_truth.argmin()]
    with pytest.raises(TypeError, match="BaggingClassifier has no training curve of its own"):
        TrainingCurveDisplay.from_estimator(ensemble)


def test_the_curves_take_the_place_of_the_axes_passed(fitted):
    figure, (left, right) = plt.subplots(1, 2)
    display = TrainingCurveDisplay.from_estimator(fitted, ax=right)
    assert display.figure_ is figure
    assert display.bounding_ax_ is right
    assert not right.axison
    assert left.axison
    assert {ax.figure for ax in display.axes_} == {figure}


def test_epochs_are_numbered_below_the_last_panel_of_a_column(fitted):
    def numbered(display):
        return [ax.xaxis.get_tick_params()["labelbottom"] for ax in display.axes_]

    assert numbered(TrainingCurveDisplay.from_estimator(fitted)) == [False, False, True]
    # axes of the user's stand where the user wants them
    side_by_side = plt.subplots(1, 3)[1]
    display = TrainingCurveDisplay.from_estimator(fitted, ax=side_by_side)
    assert numbered(display) == [True, True, True]


def test_two_trainings_in_one_figure(fitted, shapes):
    first = TrainingCurveDisplay.from_estimator(fitted, name="one", loss_scale="log")
    second = TrainingCurveDisplay.from_estimator(fitted, name="other", ax=first.axes_, alpha=0.5)
    assert second.figure_ is first.figure_
    loss_ax = first.axes_[0]
    labels = [text.get_text() for text in loss_ax.get_legend().get_texts()]
    assert labels == ["training, one", "validation, one", "training, other", "validation, other"]
    assert loss_ax.get_yscale() == "log"
    assert second.train_loss_line_.get_alpha() == 0.5
    unwatched = network().fit(*shapes)
    with pytest.raises(ValueError, match="3 axes, but there are 2 panels"):
        TrainingCurveDisplay.from_estimator(unwatched, ax=first.axes_)


def test_a_loaded_estimator_has_its_curve(fitted, tmp_path):
    fitted.save(tmp_path / "model.pt")
    loaded = CNNClassifier.load(tmp_path / "model.pt")
    display = TrainingCurveDisplay.from_estimator(loaded)
    assert display.valid_score.tolist() == fitted.validation_scores_


def test_what_has_no_curve_is_refused():
    for unfitted in network(), make_pipeline(network()), GridSearchCV(network(), {"lr": [1]}):
        with pytest.raises(NotFittedError):
            TrainingCurveDisplay.from_estimator(unfitted)
    with pytest.raises(TypeError, match="LogisticRegression has no training curve"):
        TrainingCurveDisplay.from_estimator(LogisticRegression().fit([[0], [1]], [0, 1]))


def test_without_matplotlib_the_error_says_what_to_install(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"sklearn-cnn\[plots\]"):
        TrainingCurveDisplay.from_estimator(fitted)

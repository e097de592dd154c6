"""Several quantiles of a number in one fit."""

import numpy as np
import pytest
import torch
from drawn import placed_discs
from sklearn.exceptions import NotFittedError
from sklearn.metrics import d2_pinball_score
from sklearn.model_selection import cross_val_score
from small_networks import network

from sklearn_cnn import Augmentation, CNNRegressor
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.plots import PredictionsDisplay, TrainingCurveDisplay

X, CENTRES = placed_discs(40)
Y = 100 * CENTRES[:, 0]
QUANTILES = (0.1, 0.5, 0.9)


def regressor(quantile=QUANTILES, **params):
    return network(CNNRegressor, loss="quantile", quantile=quantile, **params)


def d2(y, predicted, weight=None):
    return np.mean(
        [
            d2_pinball_score(y, column, alpha=quantile, sample_weight=weight)
            for column, quantile in zip(predicted.T, QUANTILES, strict=True)
        ]
    )


@pytest.fixture(scope="module")
def fitted():
    # after two epochs outputs still cross
    return regressor().fit(X, Y, X_val=X, y_val=Y)


def test_predictions_have_a_column_a_quantile_and_do_not_cross(fitted):
    predicted = fitted.predict(X)
    assert predicted.shape == (40, 3)
    assert (np.diff(predicted, axis=1) >= 0).all()
    raw = fitted.module_(torch.from_numpy(X).permute(0, 3, 1, 2)).detach().numpy()
    assert (np.diff(raw, axis=1) < 0).any()
    assert fitted.n_outputs_ == 3


def test_the_columns_are_the_quantiles_of_what_the_images_do_not_tell():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (600, 4, 4), dtype=np.uint8)
    y = rng.exponential(size=600)
    model = CNNRegressor(
        ConvNet((4,)), loss="quantile", quantile=QUANTILES, weight_decay=5, random_state=0
    ).fit(images, y)
    below = (y[:, None] < model.predict(images)).mean(axis=0)
    np.testing.assert_allclose(below, QUANTILES, atol=0.06)


def test_the_score_is_the_mean_share_of_the_pinball_loss(fitted):
    weight = np.linspace(0, 1, 40)
    predicted = fitted.predict(X)
    assert fitted.score(X, Y) == pytest.approx(d2(Y, predicted))
    assert fitted.score(X, Y, weight) == pytest.approx(d2(Y, predicted, weight))
    assert fitted.validation_scores_[-1] == pytest.approx(d2(Y, predicted), rel=1e-4)
    name = TrainingCurveDisplay.from_estimator(fitted).axes_[1].get_ylabel()
    assert name == "D² of the pinball loss"
    assert np.isfinite(cross_val_score(regressor(max_epochs=1), X, Y, cv=2)).all()


def test_one_quantile_in_a_tuple_is_one_column():
    model = regressor((0.5,), max_epochs=1)
    assert model.fit(X, Y.reshape(-1, 1)).predict(X).shape == (40, 1)
    assert regressor(0.5, max_epochs=1).fit(X, Y).predict(X).shape == (40,)


def test_y_is_one_number_an_image():
    with pytest.raises(ValueError, match="of one number an image, but y has 2 columns"):
        regressor().fit(X, CENTRES)


def test_a_file_keeps_them(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = CNNRegressor.load(tmp_path / "model")
    assert loaded.quantile == QUANTILES
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))
    assert loaded.score(X, Y) == fitted.score(X, Y)
    loaded.partial_fit(X, Y)


@pytest.mark.parametrize("change", [{"quantile": 0.5}, {"quantile": (0.1, 0.9)}, {"loss": "huber"}])
def test_training_that_goes_on_keeps_their_number(change):
    model = regressor(max_epochs=1, warm_start=True).fit(X, Y)
    model.set_params(quantile=(0.2, 0.5, 0.8)).fit(X, Y).partial_fit(X, Y)
    model.set_params(**change)
    before = model.predict(X)
    for go_on in (model.partial_fit, model.score):
        with pytest.raises(ValueError, match="do not ask for as many columns as the last fit"):
            go_on(X, Y)
    with pytest.raises(ValueError, match="warm_start can only continue"):
        model.fit(X, Y)
    np.testing.assert_array_equal(model.predict(X), before)


def test_partial_fit_learns_them_and_a_score_needs_a_fit():
    with pytest.raises(NotFittedError):
        regressor().score(X, Y)
    assert regressor().partial_fit(X, Y).predict(X[:2]).shape == (2, 3)


def test_a_scorer_of_one_column_says_what_it_is_given():
    with pytest.raises(ValueError, match="scoring='r2' cannot score the validation set"):
        regressor(scoring="r2").fit(X, Y, X_val=X, y_val=Y)

    def narrowness(estimator, rows, _):
        low, _, high = estimator.predict(rows).T
        return -np.mean(high - low)

    model = regressor(scoring=narrowness, max_epochs=1).fit(X, Y, X_val=X, y_val=Y)
    low, _, high = model.predict(X).T
    assert model.best_validation_score_ == pytest.approx(-np.mean(high - low), rel=1e-4)


def test_several_quantiles_of_one_number_are_no_coordinates():
    model = regressor(augmentation="flip_crop", test_time_augmentation=True).fit(X, Y)
    assert model.predict(X[:3]).shape == (3, 3)
    with pytest.raises(ValueError, match="a multiple of 2 columns, but y has 1"):
        regressor(augmentation=Augmentation(crop=1, keypoints=True)).fit(X, Y)


@pytest.mark.parametrize("quantile", [0.9, QUANTILES])
def test_quantiles_that_the_loss_does_not_look_at_warn(quantile):
    with pytest.warns(UserWarning, match='changes nothing with loss=.auto.*loss="quantile"'):
        regressor(quantile).set_params(loss="auto").fit(X, Y)


def test_a_gallery_says_which_quantile_to_draw(fitted):
    with pytest.raises(ValueError, match=r"Of several quantiles draw one.*y_pred\[:, 0\]"):
        PredictionsDisplay.from_estimator(fitted, X, Y)

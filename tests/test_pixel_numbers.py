"""A number for each pixel, or several: fitting, predicting, what is missing, units."""

import warnings

import numpy as np
import pytest
import torch
from drawn_pixels import MapNet, shapes
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_score
from torch import nn

from sklearn_cnn import CNNRegressor

X, MASKS = shapes()
X_TEST, MASKS_TEST = shapes(8, seed=1)
# metres
DEPTHS = np.array([5.0, 1.5, 3.0])[MASKS].astype(np.float32)
DEPTHS_TEST = np.array([5.0, 1.5, 3.0])[MASKS_TEST].astype(np.float32)


def regressor(**params):
    defaults = {"architecture": MapNet, "max_epochs": 10, "batch_size": 8, "lr": 0.03}
    return CNNRegressor(**{**defaults, "random_state": 0, **params})


@pytest.fixture(scope="module")
def fitted():
    return regressor(max_epochs=20).fit(X, DEPTHS)


def test_maps_come_in_the_units_and_shape_of_y(fitted):
    predicted = fitted.predict(X_TEST)
    assert predicted.shape == DEPTHS_TEST.shape
    assert predicted.dtype == np.float32
    assert np.abs(predicted - DEPTHS_TEST).mean() < 0.5


def test_score_is_r2_over_all_pixels(fitted):
    expected = r2_score(DEPTHS_TEST.ravel(), fitted.predict(X_TEST).ravel())
    assert fitted.score(X_TEST, DEPTHS_TEST) == pytest.approx(expected, abs=1e-5)
    assert expected > 0.7


def test_float64_comes_back_as_float64():
    predicted = regressor(max_epochs=1).fit(X, DEPTHS.astype(np.float64)).predict(X)
    assert predicted.dtype == np.float64


def test_another_unit_changes_nothing_else(fitted):
    in_millimetres = regressor(max_epochs=20).fit(X, DEPTHS * 1000).predict(X_TEST)
    np.testing.assert_allclose(in_millimetres, fitted.predict(X_TEST) * 1000, rtol=1e-3)


def test_several_numbers_a_pixel_have_scales_of_their_own():
    y = np.stack([DEPTHS, 1000 * DEPTHS], axis=-1)
    several = regressor().fit(X, y)
    predicted = several.predict(X_TEST)
    assert predicted.shape == (8, 16, 20, 2)
    y_test = np.stack([DEPTHS_TEST, 1000 * DEPTHS_TEST], axis=-1)
    expected = r2_score(y_test.reshape(-1, 2), predicted.reshape(-1, 2))
    assert several.score(X_TEST, y_test) == pytest.approx(expected, abs=1e-5)
    one = regressor(max_epochs=1).fit(X, y[..., :1])
    assert one.predict(X_TEST).shape == (8, 16, 20, 1)


class TestMissing:
    HOLES = np.where(MASKS == 2, np.nan, DEPTHS)

    def test_loss_and_units_are_those_of_what_is_there(self):
        holed = regressor(max_epochs=1, batch_size=24).fit(X, self.HOLES)
        known = self.HOLES[MASKS != 2]
        assert holed._target.mean == pytest.approx(known.mean())
        assert holed._target.scale == pytest.approx(known.std())
        # a pass that learns nothing: of a network of single pixels, whose batches are all alike
        holed = regressor(architecture=OnePixel, max_epochs=1, batch_size=24).fit(X, self.HOLES)
        errors = (holed.predict(X) - self.HOLES)[MASKS != 2] / known.std()
        holed.set_params(warm_start=True, lr=1e-12, weight_decay=0).fit(X, self.HOLES)
        assert holed.loss_curve_[-1] == pytest.approx((errors**2).mean(), rel=1e-4)

    def test_weights_of_images_weigh_what_is_there(self):
        weights = np.arange(24) % 2
        other = np.where(weights[:, None, None] == 0, 100, self.HOLES)
        fits = [regressor(max_epochs=2).fit(X, y, weights) for y in (self.HOLES, other)]
        np.testing.assert_allclose(fits[0].predict(X), fits[1].predict(X), rtol=1e-5)

    def test_scores_leave_it_out(self, fitted):
        holed = np.where(MASKS_TEST == 2, np.nan, DEPTHS_TEST)
        known = MASKS_TEST != 2
        expected = r2_score(holed[known], fitted.predict(X_TEST)[known])
        assert fitted.score(X_TEST, holed) == pytest.approx(expected, abs=1e-5)

    def test_numbers_that_no_pixel_holds_are_not_scored(self):
        y = np.stack([DEPTHS, DEPTHS / 7], axis=-1)
        model = regressor(max_epochs=1).fit(X, y)
        holed = y.copy()
        holed[..., 1] = np.nan
        expected = r2_score(DEPTHS.ravel(), model.predict(X)[..., 0].ravel())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert model.score(X, holed) == pytest.approx(expected, abs=1e-5)
        with pytest.raises(ValueError, match="No pixel of y counts"):
            model.score(X, y, sample_weight=np.zeros(len(X)))

    def test_validation_leaves_it_out(self):
        holed = np.where(MASKS_TEST == 2, np.nan, DEPTHS_TEST)
        validated = regressor(max_epochs=2).fit(X, self.HOLES, X_val=X_TEST, y_val=holed)
        assert validated.validation_scores_[-1] == pytest.approx(validated.score(X_TEST, holed))
        assert np.isfinite(validated.history_[-1]["valid_loss"])

    def test_a_map_of_nothing_else_is_named(self):
        y = DEPTHS.copy()
        y[3] = np.nan
        with pytest.raises(ValueError, match=r"y\[3\] has no pixel that counts: all are NaN"):
            regressor().fit(X, y)

    def test_a_number_that_is_never_there_is_named(self):
        y = np.stack([DEPTHS, np.full_like(DEPTHS, np.nan)], axis=-1)
        with pytest.raises(ValueError, match=r"NaN alone as numbers \[1\] of a pixel"):
            regressor().fit(X, y)
        with pytest.raises(ValueError, match=r"y holds NaN alone\. Pixels of NaN do not count"):
            regressor().fit(X, y[..., 1])

    def test_infinite_numbers_are_named(self):
        y = DEPTHS.copy()
        y[4, 2, 2] = np.inf
        with pytest.raises(ValueError, match=r"y\[4\] holds infinite numbers: write NaN"):
            regressor().fit(X, y)

    @pytest.mark.parametrize("X_and_y", [(X, DEPTHS), (list(X), list(DEPTHS))])
    def test_a_map_of_which_resizing_leaves_nothing_is_named(self, X_and_y):
        images, y = X_and_y[0], [depth.copy() for depth in X_and_y[1]]
        y[3][:, 2:-2] = np.nan
        y = y if isinstance(X_and_y[1], list) else np.array(y)
        cropping = regressor(image_shape=(16, 8), resize_mode="crop", max_epochs=1)
        with pytest.raises(ValueError, match=r"y\[3\] has no pixel that counts after resizing to"):
            cropping.fit(images, y)
        cropping.fit(images[4:], y[4:])
        with pytest.raises(ValueError, match=r"y\[1\] has no pixel that counts after resizing"):
            cropping.score(images[2:], y[2:])

    def test_a_loss_of_whole_batches_cannot_leave_it_out(self):
        with pytest.raises(ValueError, match=r"missing in y \(NaN\) cannot be left out"):
            regressor(loss=Whole()).fit(X, self.HOLES)


class OnePixel(nn.Conv2d):
    """A network that sees each pixel by itself."""

    def __init__(self, in_channels, num_classes):
        super().__init__(in_channels, num_classes, 1)


class Whole(nn.Module):
    """A loss without reduction."""

    def forward(self, outputs, targets):
        return (outputs - targets).abs().mean()


class TakesMissing(nn.Module):
    """A loss that returns one value an image, and leaves out missing numbers by itself."""

    takes_missing = True

    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, outputs, targets):
        losses = (outputs - targets).abs().nanmean(dim=(1, 2, 3))
        return losses if self.reduction == "none" else losses.mean()


class MeanOfKnown(nn.Module):
    """A loss without reduction, which leaves out missing numbers."""

    takes_missing = True

    def forward(self, outputs, targets):
        return (outputs - targets).abs().nanmean()


def test_a_loss_may_leave_out_missing_numbers_by_itself():
    learned = regressor(loss=TakesMissing()).fit(X, TestMissing.HOLES)
    assert np.isfinite(learned.loss_curve_).all()
    assert learned.loss_curve_[-1] < learned.loss_curve_[0] / 2
    # one that could not be weighted has nothing to be left out either
    regressor(loss=MeanOfKnown(), max_epochs=1).fit(X, TestMissing.HOLES)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
def test_losses_by_name(loss):
    learned = regressor(loss=loss).fit(X, DEPTHS)
    assert learned.loss_curve_[-1] < learned.loss_curve_[0]


def test_quantiles_are_of_numbers_of_images():
    with pytest.raises(ValueError, match="loss='quantile' is not for a y with a value for each"):
        regressor(loss="quantile").fit(X, DEPTHS)


def test_text_is_for_classifiers():
    with pytest.raises(ValueError, match=r"y holds <U3 for each pixel.*use CNNClassifier"):
        regressor().fit(X, np.array(["sky", "box", "car"])[MASKS])


def test_cross_validation_early_stopping_and_files(tmp_path):
    stopped = regressor(early_stopping=True, n_iter_no_change=2)
    scores = cross_val_score(stopped, X, DEPTHS, cv=2)
    assert (scores > 0).all()
    stopped = clone(stopped).fit(X, np.where(MASKS == 1, np.nan, DEPTHS))
    stopped.save(tmp_path / "model.cnn")
    loaded = CNNRegressor.load(tmp_path / "model.cnn", architecture=MapNet)
    np.testing.assert_array_equal(loaded.predict(X), stopped.predict(X))
    assert loaded.score(X, DEPTHS) == stopped.score(X, DEPTHS)


def test_image_shape_resizes_maps_with_their_images():
    large, depths = (np.repeat(np.repeat(v, 2, 1), 2, 2) for v in (X, DEPTHS))
    depths[:, :4] = np.nan
    small = regressor(image_shape=(16, 20), max_epochs=2).fit(large, depths)
    assert small.predict(large).shape == DEPTHS.shape
    assert np.isfinite(small.loss_curve_).all()


def test_partial_fit_goes_on():
    learned = regressor().partial_fit(X[:12], DEPTHS[:12]).partial_fit(X[12:], DEPTHS[12:])
    assert learned.n_iter_ == 2
    with pytest.raises(ValueError, match="y has 2 numbers a pixel, expected 1"):
        learned.partial_fit(X, np.stack([DEPTHS, DEPTHS], axis=-1))
    with pytest.raises(ValueError, match="y has a value for each image"):
        learned.partial_fit(X, np.arange(24.0))


def test_a_tensor_of_maps():
    predicted = regressor(max_epochs=1).fit(torch.tensor(X), torch.tensor(DEPTHS)).predict(X)
    np.testing.assert_array_equal(predicted, regressor(max_epochs=1).fit(X, DEPTHS).predict(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scorers_see_maps_as_they_were_given(dtype):
    y = DEPTHS.astype(dtype)
    y[:, :4] = 0

    def share_of_zeros(_estimator, _X, y):
        assert y.dtype == dtype
        return float((y == 0).mean())

    params = {"scoring": share_of_zeros, "max_epochs": 1}
    fitted = regressor(**params).fit(X, y, X_val=X[:6], y_val=y[:6])
    assert fitted.validation_scores_ == [0.25]
    stopped = regressor(early_stopping=True, **params).fit(X, y)
    assert stopped.validation_scores_ == [0.25]
    with pytest.raises(ValueError, match="Depths are positive, but y_true holds 0"):
        regressor(scoring="neg_abs_rel").fit(X, y, X_val=X[:6], y_val=y[:6])


def test_weights_of_images_are_checked_in_score(fitted):
    for weights in (-np.ones(len(X)), np.full(len(X), np.nan), np.ones(X.shape)):
        with pytest.raises(ValueError, match=r"(?i)sample.weight"):
            fitted.score(X, DEPTHS, sample_weight=weights)

"""Sets and intervals by MAPIE: what X and y may be is as the guide says."""

import importlib
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import upright_and_lying_bars
from drawn_sets import write_sets
from image_files import write_images
from learned import lite0_file
from mapie.classification import CrossConformalClassifier, SplitConformalClassifier
from mapie.regression import (
    ConformalizedQuantileRegressor,
    CrossConformalRegressor,
    SplitConformalRegressor,
)
from small_networks import network

from sklearn_cnn import CNNRegressor

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
EXAMPLES = BENCHMARKS.parent / "docs" / "examples"
N, FIT, CALIBRATE = 60, slice(0, 20), slice(20, 60)
# not square, so that rows need the shape
IMAGES, LABELS = upright_and_lying_bars(N)
IMAGES = IMAGES[:, :, :7]
NUMBERS = LABELS + np.random.default_rng(0).random(N)
ROWS = IMAGES.reshape(N, -1)
WITHOUT_COLUMNS = pytest.mark.filterwarnings("ignore:Estimator does not appear fitted:UserWarning")


def small(*estimator, **params):
    return network(*estimator, image_shape=(8, 7), **params)


@pytest.fixture
def paths(tmp_path):
    return write_images(tmp_path, IMAGES)


@pytest.fixture
def conformal(monkeypatch):
    """The names of benchmarks/conformal.py."""
    for folder in (EXAMPLES, BENCHMARKS):
        monkeypatch.syspath_prepend(folder)
        # what other tests have imported finds its files in the folder no more
        for path in folder.glob("*.py"):
            monkeypatch.delitem(sys.modules, path.stem, raising=False)
    return runpy.run_path(str(BENCHMARKS / "conformal.py"))


def split_sets(X, y=LABELS, *, prefit=True):
    """Return the members of the sets of images that were held back."""
    classifier = small().fit(X[FIT], y[FIT]) if prefit else small()
    mapie = SplitConformalClassifier(classifier, confidence_level=0.9, prefit=prefit)
    if not prefit:
        mapie.fit(X[FIT], y[FIT])
    return mapie.conformalize(X[CALIBRATE], y[CALIBRATE]).predict_set(X[CALIBRATE])[1]


def fitted_sets(X, y=LABELS):
    return split_sets(X, y, prefit=False)


def sets_by_folds(X, y=LABELS):
    mapie = CrossConformalClassifier(small(), confidence_level=0.9, cv=3, random_state=0)
    return mapie.fit_conformalize(X, y).predict_set(X)[1]


def split_intervals(X, y=NUMBERS):
    """Return the limits of images that were held back."""
    regressor = small(CNNRegressor).fit(X[FIT], y[FIT])
    mapie = SplitConformalRegressor(regressor, confidence_level=0.9, prefit=True)
    return mapie.conformalize(X[CALIBRATE], y[CALIBRATE]).predict_interval(X[CALIBRATE])[1]


def intervals_by_folds(X, y=NUMBERS):
    regressor = small(CNNRegressor)
    mapie = CrossConformalRegressor(regressor, confidence_level=0.9, cv=3, random_state=0)
    return mapie.fit_conformalize(X, y).predict_interval(X)[1]


def one_quantile(regressor, column):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        return runpy.run_path(str(EXAMPLES / "conformal.py"))["OneQuantile"](regressor, column)


def quantile_intervals(X, y=NUMBERS):
    quantiles = small(CNNRegressor, loss="quantile", quantile=(0.05, 0.5, 0.95))
    quantiles.fit(X[FIT], y[FIT])
    one_each = [one_quantile(quantiles, column) for column in (0, 2, 1)]
    mapie = ConformalizedQuantileRegressor(one_each, confidence_level=0.9, prefit=True)
    return mapie.conformalize(X[CALIBRATE], y[CALIBRATE]).predict_interval(X[CALIBRATE])[1]


SETS = [split_sets, fitted_sets, sets_by_folds]
SPLIT = [split_sets, fitted_sets, split_intervals]
FOLDS = [sets_by_folds, intervals_by_folds]


@WITHOUT_COLUMNS
@pytest.mark.parametrize("method", [*SPLIT, *FOLDS, quantile_intervals])
def test_an_image_has_the_same_set_or_interval_in_whatever_form_it_comes(method, paths):
    found = method(ROWS).astype(float)
    n_images = len(found)
    if method in SETS:
        held = found[np.arange(n_images), LABELS[-n_images:], 0] == 1
    else:
        y = NUMBERS[-n_images:]
        held = (found[:, 0, 0] <= y) & (y <= found[:, 1, 0])
    # these are the images that it was calibrated on
    assert held.mean() >= 0.9
    forms = [np.array(paths), pd.Series(paths)]
    if method not in (split_sets, fitted_sets):
        forms += [IMAGES, IMAGES[..., None]]
    for X in forms:
        np.testing.assert_allclose(method(X).astype(float), found, atol=1e-5)


@pytest.mark.parametrize("method", [split_sets, fitted_sets])
@pytest.mark.parametrize("X", [IMAGES, IMAGES[..., None]], ids=["(n, H, W)", "(n, H, W, C)"])
def test_the_split_classifier_asks_for_flat_rows(method, X):
    with pytest.raises(ValueError, match="Invalid mismatch between"):
        method(X)


@WITHOUT_COLUMNS
@pytest.mark.parametrize("method", [*SPLIT, *FOLDS])
def test_lists_of_paths_are_refused(method, paths):
    message = "Unable to find the number of features from X of type list"
    with pytest.raises(TypeError, match=message):
        method(paths)


def columns(paths):
    """Return paths in a column, as an array and as a frame."""
    return np.array(paths, dtype=object)[:, None], pd.DataFrame({"file": paths})


@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
@pytest.mark.parametrize("method", SPLIT)
def test_a_column_of_paths_does_not_look_fitted_to_split_classes(method, paths):
    for column in columns(paths):
        with pytest.raises(UserWarning, match="Estimator does not appear fitted"):
            method(column)


@pytest.mark.parametrize("method", FOLDS)
def test_a_column_of_paths_is_taken_by_folds(method, paths):
    found = method(ROWS).astype(float)
    for column in columns(paths):
        np.testing.assert_allclose(method(column).astype(float), found, atol=1e-5)


@WITHOUT_COLUMNS
def test_conformalized_quantiles_take_lists_and_columns_too(paths):
    found = quantile_intervals(ROWS)
    for X in (paths, *columns(paths)):
        np.testing.assert_allclose(quantile_intervals(X), found, atol=1e-5)


@pytest.mark.parametrize("method", [split_intervals, quantile_intervals])
def test_regressors_of_paths_warn_that_they_do_not_appear_fitted(method, paths):
    with pytest.warns(UserWarning, match="Estimator does not appear fitted"):
        method(np.array(paths))


@pytest.mark.parametrize("method", [split_sets, sets_by_folds])
def test_labels_may_be_text(method):
    # in the order of the classes
    members = method(ROWS, np.array(["a", "b"])[LABELS])
    np.testing.assert_array_equal(members, method(ROWS))


@pytest.mark.parametrize("method", [split_sets, sets_by_folds, split_intervals, intervals_by_folds])
def test_y_of_several_columns_is_refused(method):
    several = np.column_stack([LABELS, np.roll(LABELS, 1) | LABELS])
    with pytest.raises(ValueError, match="y should be a 1d array"):
        method(ROWS, several)


@WITHOUT_COLUMNS
def test_one_of_several_numbers_has_intervals():
    several = np.column_stack([NUMBERS, -NUMBERS])
    regressor = small(CNNRegressor).fit(ROWS, several)
    mapie = SplitConformalRegressor(
        one_quantile(regressor, 1), confidence_level=0.9, prefit=True
    ).conformalize(ROWS, several[:, 1])
    predicted, limits = mapie.predict_interval(ROWS)
    np.testing.assert_array_equal(predicted, regressor.predict(ROWS)[:, 1])
    held = (limits[:, 0, 0] <= several[:, 1]) & (several[:, 1] <= limits[:, 1, 0])
    # of 60 residuals the 55th is the limit: the ceiling of 0.9 * 61
    assert held.sum() == 55


def test_each_class_calibrated_on_its_own_images_is_held_as_often_as_asked_for(conformal):
    X, y = upright_and_lying_bars(160)
    rows, level = X.reshape(160, -1), conformal["LEVEL"]
    # what is upright is rare, and a network of two epochs does not know it
    rare = np.flatnonzero((y == 1) | (np.arange(160) % 8 == 0))
    rows, y = rows[rare], y[rare]
    classifier = network().fit(rows, y)
    members = conformal["sets_by_class"](classifier, rows, y)(rows)
    for label, n_images in enumerate(np.bincount(y)):
        held = members[y == label, label].sum()
        assert held == np.ceil(level * (n_images + 1))
    marginal = SplitConformalClassifier(classifier, confidence_level=level, prefit=True)
    members = marginal.conformalize(rows, y).predict_set(rows)[1][:, :, 0]
    assert members[y == 0, 0].mean() < level


def test_class_by_class_needs_ten_images_of_each_class_for_90_percent(conformal):
    classifier = small().fit(ROWS, LABELS)
    few = np.concatenate([np.flatnonzero(LABELS == 0), np.flatnonzero(LABELS == 1)[:9]])
    with pytest.raises(ValueError, match="Number of samples of the score is too low"):
        conformal["sets_by_class"](classifier, ROWS[few], LABELS[few])(ROWS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "methods"),
    [
        (
            "digits",
            [
                "lac",
                "aps",
                "lac, class by class",
                "lac, calibrated on 200",
                'lac, 5 folds of 400, "mean"',
                'lac, 5 folds of 400, "crossval"',
            ],
        ),
        ("age", ["intervals", "quantiles as they are", "quantiles, conformalized", "5 folds"]),
        ("houses", ["5 folds", "half of the houses held back"]),
    ],
)
def test_the_benchmark_has_a_row_a_method(name, methods, conformal, tmp_path, monkeypatch, capsys):
    if name == "houses":
        lite0_file()
    write_sets(tmp_path)
    monkeypatch.setenv("SKLEARN_CNN_DATA", str(tmp_path))
    monkeypatch.setattr(importlib.import_module("image_sets"), "_CACHE", tmp_path / "cache")
    conformal["SETS"][name](n_draws=2, quick=True)
    rows = [row.split(" | ") for row in capsys.readouterr().out.splitlines()[5:]]
    assert [row[0].removeprefix("| ") for row in rows] == methods
    assert all(0 < float(row[2].split(" ± ")[0]) <= 1 for row in rows)

"""scikit-learn's tools with images of every layout and targets of every kind."""

import copy
import io
import pickle
import warnings

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from drawn import SIDE, bars_and_discs, coloured_shapes, placed_discs, several_shapes
from scipy.sparse import csr_array
from scipy.stats import loguniform
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import DataConversionWarning, NotFittedError, UnsetMetadataPassedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import SequentialFeatureSelector
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, RANSACRegressor, RidgeCV
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet


class Layout:
    """One way to hold RGB images of shape (n, H, W, C) in an array, and what it asks to write."""

    def __init__(self, convert, **params):
        self.convert = convert
        self.params = params

    def __call__(self, X):
        return self.convert(X)


def as_rows(X):
    return X.reshape(len(X), -1)


def as_gray(X):
    return X[..., 1]


LAYOUTS = {
    "rows": Layout(as_rows, image_shape=(SIDE, SIDE, 3)),
    "n_h_w": Layout(as_gray),
    "n_h_w_c": Layout(lambda X: X),
    "n_c_h_w": Layout(lambda X: X.transpose(0, 3, 1, 2), channel_axis=1),
}
ROWS, AS_THEY_ARE = LAYOUTS["rows"], LAYOUTS["n_h_w_c"]


@pytest.fixture(params=LAYOUTS.values(), ids=LAYOUTS)
def layout(request):
    return request.param


@pytest.fixture(params=[LAYOUTS[name] for name in LAYOUTS if name != "n_h_w"])
def colour_layout(request):
    return request.param


@pytest.fixture(params=[LAYOUTS[name] for name in LAYOUTS if name != "rows"])
def nd_layout(request):
    return request.param


@pytest.fixture
def one_thread():
    """One thread for torch, here and in the workers, which get X as a read-only memmap."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with joblib.parallel_config("loky", inner_max_num_threads=1, max_nbytes="1K"):
        yield
    torch.set_num_threads(n_threads)


SHAPES, SHAPES_TEST = bars_and_discs(80), bars_and_discs(100, seed=1)
COLOURS, COLOURS_TEST = coloured_shapes(80), coloured_shapes(100, seed=1)
SEVERAL, SEVERAL_TEST = several_shapes(80), several_shapes(100, seed=1)
PLACES, PLACES_TEST = placed_discs(80), placed_discs(100, seed=1)

TINY = {
    "architecture": ConvNet((8, 16), residual=False),
    "max_epochs": 8,
    "batch_size": 10,
    "lr": 0.01,
    "random_state": 0,
    "device": "cpu",
}


def classifier(layout=None, **params):
    return CNNClassifier(**{**TINY, **(layout.params if layout else {}), **params})


def regressor(layout=None, **params):
    # where something is takes longer to learn than what it is
    params = {"max_epochs": 12, **params}
    return CNNRegressor(**{**TINY, **(layout.params if layout else {}), **params})


def fitted_score(estimator, layout, train, test):
    """Fit in a layout, score in the same."""
    (X, y), (X_test, y_test) = train, test
    return estimator.fit(layout(X), y).score(layout(X_test), y_test)


def rows_of(data):
    """Return positions of discs as regression of one number: the row of the centre."""
    X, centres = data
    return X, centres[:, 0]


# One image is the same image in whatever layout it comes


def raw_outputs(estimator, X):
    return getattr(estimator, "decision_function", estimator.predict)(X)


@pytest.mark.parametrize(("make", "data"), [(classifier, SHAPES), (regressor, PLACES)])
def test_gray_images_give_the_same_predictions_in_all_layouts(make, data):
    X, y = as_gray(data[0]), data[1]
    expected = raw_outputs(make().fit(X, y), X)
    in_rows = make().fit(as_rows(X), y)
    channels_last = make().fit(X[..., np.newaxis], y)
    channels_first = make(channel_axis=1).fit(X[:, np.newaxis], y)
    np.testing.assert_array_equal(raw_outputs(in_rows, as_rows(X)), expected)
    np.testing.assert_array_equal(raw_outputs(channels_last, X[..., np.newaxis]), expected)
    np.testing.assert_array_equal(raw_outputs(channels_first, X[:, np.newaxis]), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_rgb_images_give_the_same_predictions_in_all_layouts(dtype):
    X, y = COLOURS[0].astype(dtype), COLOURS[1]
    X_first = np.ascontiguousarray(X.transpose(0, 3, 1, 2))
    shape = {"image_shape": (SIDE, SIDE, 3)}
    expected = raw_outputs(classifier().fit(X, y), X)
    for params, converted in [
        (shape, as_rows(X)),
        ({"channel_axis": 1}, X_first),
        ({"channel_axis": 1}, X.transpose(0, 3, 1, 2)),
        ({"channel_axis": 1, **shape}, as_rows(X_first)),
    ]:
        fitted = classifier(**params).fit(converted, y)
        np.testing.assert_array_equal(raw_outputs(fitted, converted), expected)


def test_a_classifier_fitted_in_one_layout_predicts_in_another():
    X, y = as_gray(SHAPES[0]), SHAPES[1]
    fitted = classifier().fit(X, y)
    expected = fitted.predict_proba(X)
    np.testing.assert_array_equal(fitted.predict_proba(as_rows(X)), expected)
    np.testing.assert_array_equal(fitted.predict_proba(X[..., np.newaxis]), expected)


def test_the_order_of_channels_matters_to_colours():
    X, y = COLOURS_TEST
    fitted = classifier().fit(*COLOURS)
    assert fitted.score(X, y) > 0.9
    swapped = {"red": "blue", "blue": "red", "green": "green"}
    predicted = fitted.predict(X[..., ::-1])
    assert np.mean(predicted == [swapped[label] for label in y]) > 0.9


@pytest.mark.parametrize(
    "convert",
    [list, torch.from_numpy, np.asfortranarray, pd.Series, lambda X: X[::-1][::-1]],
    ids=["list", "torch", "fortran", "series", "negative_strides"],
)
def test_containers_of_images_give_the_same_predictions(convert):
    X, y = SHAPES
    held = convert(list(X)) if convert is pd.Series else convert(X)
    expected = classifier().fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(classifier().fit(held, y).predict_proba(held), expected)


def test_n_features_in_counts_the_values_of_an_image(layout):
    X, y = SHAPES
    fitted = classifier(layout, max_epochs=1).fit(layout(X), y)
    height, width, channels = fitted.image_shape_
    assert (height, width) == (SIDE, SIDE)
    assert fitted.n_features_in_ == layout(X)[0].size == SIDE * SIDE * channels


def test_plain_images_raise_no_warning(layout):
    X = layout(SHAPES[0]).copy()
    X.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        classifier(layout, max_epochs=1).fit(X, SHAPES[1]).predict(X)


# What scikit-learn does with any estimator


def test_clone_is_unfitted_and_learns_the_same(layout):
    X, y = layout(SHAPES[0]), SHAPES[1]
    fitted = classifier(layout).fit(X, y)
    cloned = clone(fitted)
    assert cloned.architecture is not fitted.architecture
    assert repr(cloned) == repr(fitted)
    with pytest.raises(NotFittedError):
        cloned.predict(X)
    np.testing.assert_array_equal(cloned.fit(X, y).predict_proba(X), fitted.predict_proba(X))


def test_clone_does_not_share_the_architecture():
    original = classifier()
    clone(original).set_params(architecture__widths=(4,))
    assert original.architecture.widths == (8, 16)


@pytest.mark.parametrize("make", [classifier, regressor])
def test_repr_can_be_evaluated(make, layout):
    estimator = make(layout)
    rebuilt = eval(repr(estimator))
    assert repr(rebuilt.get_params()) == repr(estimator.get_params())


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(CNNClassifier()) == "CNNClassifier()"
    assert repr(CNNRegressor(lr=0.5)) == "CNNRegressor(lr=0.5)"
    assert repr(CNNClassifier(lr=CNNClassifier().lr)) == "CNNClassifier()"


@pytest.mark.parametrize(("make", "data"), [(classifier, SHAPES), (regressor, PLACES)])
def test_html_repr_names_the_estimator_before_and_after_fit(make, data, layout):
    estimator = make(layout, max_epochs=1)
    before = estimator._repr_html_()
    after = estimator.fit(layout(data[0]), data[1])._repr_html_()
    for html in (before, after):
        assert type(estimator).__name__ in html
        assert repr(estimator.architecture) in html
    assert "Not fitted" in before
    assert "Not fitted" not in after


def test_html_repr_of_a_pipeline_and_a_search_shows_the_classifier():
    pipeline = make_pipeline(StandardScaler(), CNNClassifier())
    for estimator in (pipeline, GridSearchCV(pipeline, {})):
        assert "CNNClassifier" in estimator._repr_html_()


def test_pipeline_behind_a_scaler_of_rows():
    pipeline = make_pipeline(StandardScaler(), classifier(ROWS))
    assert fitted_score(pipeline, ROWS, SHAPES, SHAPES_TEST) > 0.9


def test_pipeline_of_the_estimator_alone(layout):
    assert fitted_score(make_pipeline(classifier(layout)), layout, SHAPES, SHAPES_TEST) > 0.9
    assert fitted_score(make_pipeline(regressor(layout)), layout, PLACES, PLACES_TEST) > 0.9


# Cross-validation


def test_cross_val_score_of_a_classifier(layout):
    X, y = SHAPES
    assert cross_val_score(classifier(layout), layout(X), y, cv=2).mean() > 0.9


def test_cross_val_score_of_a_regressor(layout):
    X, y = rows_of(PLACES)
    assert cross_val_score(regressor(layout), layout(X), y, cv=2).mean() > 0.8


def test_cross_val_score_of_probabilities_ranks(colour_layout):
    scores = cross_validate(
        classifier(colour_layout),
        colour_layout(COLOURS[0]),
        COLOURS[1],
        cv=2,
        scoring=["roc_auc_ovr", "neg_log_loss", "accuracy"],
        error_score="raise",
    )
    assert scores["test_roc_auc_ovr"].min() > 0.95
    assert scores["test_neg_log_loss"].min() > -0.5
    assert scores["test_accuracy"].min() > 0.9


def test_cross_val_predict_of_two_classes(layout):
    X, y = SHAPES
    probabilities = cross_val_predict(
        classifier(layout), layout(X), y, cv=2, method="predict_proba"
    )
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert np.mean((probabilities[:, 1] > 0.5) == (y == "disc")) > 0.9


def test_cross_val_predict_by_every_method_agrees():
    X, y = SHAPES
    probabilities, logarithms, margins = (
        cross_val_predict(classifier(), X, y, cv=2, method=method)
        for method in ("predict_proba", "predict_log_proba", "decision_function")
    )
    np.testing.assert_allclose(np.exp(logarithms), probabilities)
    np.testing.assert_allclose(logarithms[:, 1] - logarithms[:, 0], margins, rtol=1e-6)


def test_cross_val_predict_of_three_classes(colour_layout):
    X, y = COLOURS
    probabilities = cross_val_predict(
        classifier(colour_layout), colour_layout(X), y, cv=2, method="predict_proba"
    )
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert np.mean(np.unique(y)[probabilities.argmax(axis=1)] == y) > 0.9


def test_cross_val_predict_of_several_labels(layout):
    X, y = SEVERAL
    probabilities = cross_val_predict(
        classifier(layout, max_epochs=16), layout(X), y, cv=2, method="predict_proba"
    )
    assert probabilities.shape == y.shape
    assert np.mean((probabilities > 0.5) == y) > 0.9


def test_learning_curve_rises(layout):
    X, y = SHAPES
    sizes, _, scores = learning_curve(
        classifier(layout), layout(X), y, cv=2, train_sizes=[4, 40], shuffle=True, random_state=0
    )
    assert sizes.tolist() == [4, 40]
    small, all_of_it = scores.mean(axis=1)
    assert all_of_it > 0.9
    assert all_of_it > small


def test_learning_curve_by_partial_fit_rises():
    X, y = SHAPES
    scores = learning_curve(
        classifier(),
        X,
        y,
        cv=2,
        train_sizes=np.linspace(0.1, 1, 10),
        exploit_incremental_learning=True,
        error_score="raise",
    )[2].mean(axis=1)
    assert scores[-1] > 0.8
    assert scores[-1] > scores[0]


def test_validation_curve_of_a_parameter(layout):
    X, y = SHAPES
    _, scores = validation_curve(
        classifier(layout), layout(X), y, param_name="lr", param_range=[1e-7, 0.01], cv=2
    )
    too_low, good = scores.mean(axis=1)
    assert too_low < 0.8
    assert good > 0.9


def test_validation_curve_of_a_parameter_of_the_architecture():
    X, y = SHAPES
    _, scores = validation_curve(
        classifier(architecture="convnet"),
        X,
        y,
        param_name="architecture__widths",
        param_range=[(1,), (8, 16)],
        cv=2,
        scoring="neg_log_loss",
    )
    narrow, wide = scores.mean(axis=1)
    assert narrow < wide
    assert wide > -0.3


# Searches

USELESS_OR_GOOD = {"lr": [1e-7, 0.01]}


@pytest.mark.usefixtures("one_thread")
def test_grid_search_in_two_processes(layout):
    search = GridSearchCV(classifier(layout), USELESS_OR_GOOD, cv=2, n_jobs=2, error_score="raise")
    assert fitted_score(search, layout, SHAPES, SHAPES_TEST) > 0.9
    assert search.best_params_ == {"lr": 0.01}
    assert search.best_score_ > 0.9


@pytest.mark.usefixtures("one_thread")
def test_randomized_search_in_two_processes(layout):
    search = RandomizedSearchCV(
        classifier(layout),
        {"lr": loguniform(0.003, 0.03), "weight_decay": [0.0, 0.01]},
        n_iter=2,
        cv=2,
        n_jobs=2,
        random_state=0,
        error_score="raise",
    )
    assert fitted_score(search, layout, SHAPES, SHAPES_TEST) > 0.9
    assert 0.003 < search.best_params_["lr"] < 0.03


def test_halving_search_has_epochs_as_resource(layout):
    search = HalvingGridSearchCV(
        classifier(layout),
        USELESS_OR_GOOD,
        cv=2,
        factor=2,
        resource="max_epochs",
        min_resources=5,
        max_resources=10,
        error_score="raise",
    )
    assert fitted_score(search, layout, SHAPES, SHAPES_TEST) > 0.9
    assert search.n_resources_ == [5, 10]
    assert search.best_params_ == {"lr": 0.01, "max_epochs": 10}
    assert search.best_estimator_.n_iter_ == 10


def test_grid_search_over_several_labels():
    search = GridSearchCV(
        classifier(max_epochs=12),
        USELESS_OR_GOOD,
        cv=2,
        scoring="f1_macro",
        error_score="raise",
    )
    assert fitted_score(search, AS_THEY_ARE, SEVERAL, SEVERAL_TEST) > 0.9
    assert search.best_params_ == {"lr": 0.01}


def test_grid_search_over_a_regressor_of_two_numbers():
    search = GridSearchCV(regressor(), USELESS_OR_GOOD, cv=2, error_score="raise")
    assert fitted_score(search, AS_THEY_ARE, PLACES, PLACES_TEST) > 0.9
    assert search.best_params_ == {"lr": 0.01}


def test_a_search_inside_cross_validation():
    search = GridSearchCV(classifier(), USELESS_OR_GOOD, cv=2)
    assert cross_val_score(search, SHAPES[0], SHAPES[1], cv=2).mean() > 0.85


def first_width(estimator):
    convolutions = [m for m in estimator.module_.modules() if isinstance(m, nn.Conv2d)]
    return convolutions[0].out_channels


@pytest.mark.parametrize("architecture", ["convnet", ConvNet((3,))], ids=["name", "object"])
def test_grid_search_over_widths(layout, architecture):
    before = repr(architecture)
    # a single channel of a single stage cannot tell bars from discs as well as this
    search = GridSearchCV(
        classifier(layout, architecture=architecture, max_epochs=5),
        {"architecture__widths": [(1,), (8, 16)]},
        cv=2,
        scoring="neg_log_loss",
        error_score="raise",
    )
    assert fitted_score(search, layout, SHAPES, SHAPES_TEST) > -0.5
    assert search.best_params_ == {"architecture__widths": (8, 16)}
    assert first_width(search.best_estimator_) == 8
    assert search.estimator.architecture is architecture
    assert repr(architecture) == before


@pytest.mark.parametrize("architecture", ["convnet", ConvNet((3,))], ids=["name", "object"])
def test_grid_search_over_widths_in_a_pipeline(architecture):
    pipeline = Pipeline([("cnn", classifier(architecture=architecture, max_epochs=5))])
    search = GridSearchCV(
        pipeline,
        {"cnn__architecture__widths": [(1,), (8, 16)]},
        cv=2,
        scoring="neg_log_loss",
        error_score="raise",
    )
    assert fitted_score(search, AS_THEY_ARE, SHAPES, SHAPES_TEST) > -0.5
    assert search.best_params_ == {"cnn__architecture__widths": (8, 16)}
    assert first_width(search.best_estimator_["cnn"]) == 8
    assert pipeline["cnn"].architecture is architecture


def test_grid_search_over_names_and_objects_at_once():
    search = GridSearchCV(
        Pipeline([("cnn", classifier(max_epochs=5))]),
        {
            "cnn__architecture": ["convnet", ConvNet(residual=False)],
            "cnn__architecture__widths": [(4,), (8, 16)],
        },
        cv=2,
        error_score="raise",
    ).fit(*SHAPES)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_score_ > 0.9
    assert first_width(search.best_estimator_["cnn"]) in (4, 8)


def test_a_wrong_name_in_a_grid_lists_the_right_ones():
    search = GridSearchCV(classifier(), {"architecture__depth": [1]}, cv=2)
    with pytest.raises(ValueError, match=r"Invalid parameter 'depth'.*'widths'"):
        search.fit(*SHAPES)


def scores_with(n_jobs, estimator, X, y, scoring):
    grid = [{"lr": [0.001]}, {"architecture__widths": [(4,)]}]
    search = GridSearchCV(
        estimator, grid, cv=2, n_jobs=n_jobs, scoring=scoring, refit=False, error_score="raise"
    )
    results = search.fit(X, y).cv_results_
    return {key: results[key] for key in results if key.endswith("_score")}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("make", "data", "scoring"),
    [(classifier, SHAPES, "neg_log_loss"), (regressor, PLACES, "neg_mean_squared_error")],
)
def test_a_search_scores_the_same_in_one_process_and_in_two(make, data, scoring, layout):
    one, two = (
        scores_with(n_jobs, make(layout, max_epochs=2), layout(data[0]), data[1], scoring)
        for n_jobs in (1, 2)
    )
    assert "split1_test_score" in one
    # else equality would say nothing
    assert one["mean_test_score"][0] != one["mean_test_score"][1]
    for key in one:
        np.testing.assert_array_equal(one[key], two[key])


def module_class_of_the_session():
    """Return a class that no other process can import, like one of a notebook."""

    class OneConvolution(nn.Sequential):
        def __init__(self, in_channels, num_classes, width=16):
            super().__init__(
                nn.Conv2d(in_channels, width, 5, stride=2),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(16 * width, num_classes),
            )

    return OneConvolution


@pytest.mark.usefixtures("one_thread")
def test_a_module_class_of_the_session_reaches_the_processes():
    search = GridSearchCV(
        classifier(architecture=module_class_of_the_session(), max_epochs=20),
        {"architecture__width": [1, 16]},
        cv=2,
        n_jobs=2,
        error_score="raise",
    ).fit(*SHAPES)
    assert search.best_score_ > 0.85
    assert first_width(search.best_estimator_) == search.best_params_["architecture__width"]


@pytest.mark.usefixtures("one_thread")
def test_a_module_class_of_the_session_comes_back_from_the_processes():
    member = classifier(architecture=module_class_of_the_session(), max_epochs=20)
    voting = VotingClassifier([("a", member), ("b", member)], n_jobs=2)
    assert voting.fit(*SHAPES).score(*SHAPES_TEST) > 0.9


# Meta-estimators of classifiers


@pytest.mark.parametrize("ensemble", [True, False])
def test_calibration(layout, ensemble):
    calibrated = CalibratedClassifierCV(classifier(layout), cv=2, ensemble=ensemble)
    assert fitted_score(calibrated, layout, SHAPES, SHAPES_TEST) > 0.9


def test_calibration_of_three_classes_gives_probabilities(colour_layout):
    calibrated = CalibratedClassifierCV(classifier(colour_layout), cv=2)
    assert fitted_score(calibrated, colour_layout, COLOURS, COLOURS_TEST) > 0.9
    probabilities = calibrated.predict_proba(colour_layout(COLOURS_TEST[0]))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_calibration_of_a_frozen_classifier_keeps_its_network(layout):
    X, y = layout(SHAPES[0]), SHAPES[1]
    fitted = classifier(layout).fit(X, y)
    before = fitted.predict_proba(X)
    calibrated = CalibratedClassifierCV(FrozenEstimator(fitted))
    assert fitted_score(calibrated, layout, SHAPES_TEST, SHAPES) > 0.9
    np.testing.assert_array_equal(fitted.predict_proba(X), before)


def test_tuned_threshold(layout):
    tuned = TunedThresholdClassifierCV(classifier(layout), cv=2)
    assert fitted_score(tuned, layout, SHAPES, SHAPES_TEST) > 0.9
    assert 0 < tuned.best_threshold_ < 1


def test_fixed_threshold_decides_on_the_probability(layout):
    X = layout(SHAPES_TEST[0])
    of_disc = classifier(layout).fit(layout(SHAPES[0]), SHAPES[1]).predict_proba(X)[:, 1]
    threshold = np.sort(of_disc)[75]
    fixed = FixedThresholdClassifier(
        classifier(layout), threshold=threshold, pos_label="disc", response_method="predict_proba"
    ).fit(layout(SHAPES[0]), SHAPES[1])
    np.testing.assert_array_equal(fixed.predict(X) == "disc", of_disc >= threshold)


def test_soft_voting_averages_probabilities_of_string_labels(layout):
    voting = VotingClassifier(
        [("a", classifier(layout)), ("b", classifier(layout, random_state=1))], voting="soft"
    )
    assert fitted_score(voting, layout, SHAPES, SHAPES_TEST) > 0.9
    X = layout(SHAPES_TEST[0])
    average = np.mean([member.predict_proba(X) for member in voting.estimators_], axis=0)
    np.testing.assert_array_equal(voting.predict(X), np.array(["bar", "disc"])[average.argmax(1)])


def test_stacking_classifier(layout):
    stacking = StackingClassifier(
        [("a", classifier(layout)), ("b", classifier(layout, random_state=1))], cv=2
    )
    assert fitted_score(stacking, layout, SHAPES, SHAPES_TEST) > 0.9


def test_stacking_of_fitted_classifiers(layout):
    X, y = layout(SHAPES[0]), SHAPES[1]
    stacking = StackingClassifier([("a", classifier(layout).fit(X, y))], cv="prefit")
    assert fitted_score(stacking, layout, SHAPES, SHAPES_TEST) > 0.9


def test_boosting_passes_weights(layout):
    X, y, weights = with_wrong_copies(SHAPES)
    boosting = AdaBoostClassifier(classifier(layout), n_estimators=2, random_state=0)
    boosting.fit(layout(X), y, sample_weight=weights)
    assert boosting.score(layout(SHAPES_TEST[0]), SHAPES_TEST[1]) > 0.9


def test_boosting_learns_three_classes(colour_layout):
    boosting = AdaBoostClassifier(
        classifier(colour_layout, max_epochs=4), n_estimators=3, random_state=0
    )
    assert fitted_score(boosting, colour_layout, COLOURS, COLOURS_TEST) > 0.9


def test_one_versus_rest(colour_layout):
    rest = OneVsRestClassifier(classifier(colour_layout))
    assert fitted_score(rest, colour_layout, COLOURS, COLOURS_TEST) > 0.9
    assert len(rest.estimators_) == 3


def test_one_versus_rest_of_several_labels():
    rest = OneVsRestClassifier(classifier(max_epochs=12))
    (X, y), (X_test, y_test) = SEVERAL, SEVERAL_TEST
    assert np.mean(rest.fit(X, y).predict(X_test) == y_test) > 0.9


def test_multi_output_classifier_of_shape_and_brightness(layout):
    def shape_and_brightness(data):
        X, y = data
        # an inverted image is bright: what is dark on it is a shape still
        dark = np.arange(len(X)) // 2 % 2 == 1
        X = np.where(dark[:, None, None, None], X, 255 - X)
        return X, np.column_stack([y, np.where(dark, "dark", "bright")])

    train, test = shape_and_brightness(SHAPES), shape_and_brightness(SHAPES_TEST)
    both = MultiOutputClassifier(classifier(layout, max_epochs=16))
    predicted = both.fit(layout(train[0]), train[1]).predict(layout(test[0]))
    assert np.mean(predicted == test[1], axis=0).min() > 0.9


# Meta-estimators of regressors


def test_stacking_regressor(layout):
    stacking = StackingRegressor([("cnn", regressor(layout))], RidgeCV(), cv=2)
    assert fitted_score(stacking, layout, rows_of(PLACES), rows_of(PLACES_TEST)) > 0.9


def test_voting_regressor(layout):
    voting = VotingRegressor([("a", regressor(layout)), ("b", regressor(layout, random_state=1))])
    assert fitted_score(voting, layout, rows_of(PLACES), rows_of(PLACES_TEST)) > 0.9


def test_boosting_of_a_regressor(layout):
    boosting = AdaBoostRegressor(regressor(layout), n_estimators=2, random_state=0)
    assert fitted_score(boosting, layout, rows_of(PLACES), rows_of(PLACES_TEST)) > 0.85


def test_multi_output_regressor(layout):
    both = MultiOutputRegressor(regressor(layout))
    assert fitted_score(both, layout, PLACES, PLACES_TEST) > 0.9
    assert len(both.estimators_) == 2


def test_transformed_target(layout):
    transformed = TransformedTargetRegressor(regressor(layout), func=np.log, inverse_func=np.exp)
    assert fitted_score(transformed, layout, rows_of(PLACES), rows_of(PLACES_TEST)) > 0.85


def test_transformed_target_of_two_numbers():
    scaled = TransformedTargetRegressor(regressor(), transformer=StandardScaler())
    assert fitted_score(scaled, AS_THEY_ARE, PLACES, PLACES_TEST) > 0.9


# Meta-estimators that take rows only


REFUSING = {
    "BaggingClassifier": lambda layout: BaggingClassifier(classifier(layout)),
    "BaggingRegressor": lambda layout: BaggingRegressor(regressor(layout)),
    "OneVsOneClassifier": lambda layout: OneVsOneClassifier(classifier(layout)),
    "SelfTrainingClassifier": lambda layout: SelfTrainingClassifier(classifier(layout)),
    "RANSACRegressor": lambda layout: RANSACRegressor(regressor(layout), min_samples=40),
    "ClassifierChain": lambda layout: ClassifierChain(classifier(layout)),
    "RegressorChain": lambda layout: RegressorChain(regressor(layout)),
    "SequentialFeatureSelector": lambda layout: SequentialFeatureSelector(classifier(layout)),
    "StackingClassifier with passthrough": lambda layout: StackingClassifier(
        [("cnn", classifier(layout))], cv=2, passthrough=True
    ),
    "StackingRegressor with passthrough": lambda layout: StackingRegressor(
        [("cnn", regressor(layout))], cv=2, passthrough=True
    ),
}


@pytest.mark.parametrize("name", REFUSING)
def test_scikit_learn_refuses_images_that_are_no_rows(name, nd_layout):
    meta = REFUSING[name](nd_layout)
    if "Chain" in name:
        y = SEVERAL[1]
    elif "Regressor" in name:
        y = PLACES[1][:, 0]
    else:
        y = np.arange(80) % 2
    with pytest.raises(ValueError, match=r"dim <= 2|same number of dimensions"):
        meta.fit(nd_layout(SHAPES[0]), y)


def test_permutation_importance_refuses_images_that_are_no_rows(nd_layout):
    X, y = nd_layout(SHAPES[0]), SHAPES[1]
    fitted = classifier(nd_layout, max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="dim <= 2"):
        permutation_importance(fitted, X, y)


def one_telling_pixel(n=80, side=6, telling=15):
    """Rows of noise in which one pixel alone tells the class."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    X = rng.integers(100, 150, (n, side * side), dtype=np.uint8)
    X[:, telling] = np.where(y == 1, 220, 30)
    return X, y


def test_permutation_importance_finds_the_pixel():
    X, y = one_telling_pixel()
    fitted = classifier(image_shape=(6, 6), max_epochs=12).fit(X, y)
    importances = permutation_importance(fitted, X, y, n_repeats=2, random_state=0).importances_mean
    assert importances.argmax() == 15
    assert importances[15] > 0.3
    assert np.delete(importances, 15).max() < 0.1


def test_feature_selection_finds_the_pixel():
    X, y = one_telling_pixel()
    selector = SequentialFeatureSelector(classifier(max_epochs=12), n_features_to_select=1, cv=2)
    assert selector.fit(X[:, 13:17], y).get_support().tolist() == [False, False, True, False]


def test_bagging_of_rows():
    bagging = BaggingClassifier(classifier(ROWS), n_estimators=3, random_state=0)
    assert fitted_score(bagging, ROWS, SHAPES, SHAPES_TEST) > 0.9
    bagging = BaggingRegressor(regressor(ROWS), n_estimators=3, random_state=0)
    assert fitted_score(bagging, ROWS, rows_of(PLACES), rows_of(PLACES_TEST)) > 0.85


def test_bagging_of_a_column_of_images():
    frames = [(pd.DataFrame({"image": list(X)}), y) for X, y in (SHAPES, SHAPES_TEST)]
    bagging = BaggingClassifier(classifier(), n_estimators=2, random_state=0)
    assert bagging.fit(*frames[0]).score(*frames[1]) > 0.9


def test_one_versus_one_of_rows():
    pairs = OneVsOneClassifier(classifier(ROWS))
    assert fitted_score(pairs, ROWS, COLOURS, COLOURS_TEST) > 0.9


def test_self_training_on_rows_labels_the_others():
    X, y = as_rows(SHAPES[0]), (SHAPES[1] == "disc").astype(int)
    known = np.where(np.arange(len(y)) // 2 % 2 == 0, y, -1)
    trained = SelfTrainingClassifier(classifier(ROWS)).fit(X, known)
    assert np.mean(trained.transduction_ == -1) < 0.2
    assert np.mean(trained.predict(as_rows(SHAPES_TEST[0])) == (SHAPES_TEST[1] == "disc")) > 0.9


def test_ransac_on_rows_leaves_out_what_is_far_off():
    X, y = rows_of(PLACES)
    wrong = np.array([3, 44])
    y = y.copy()
    y[wrong] += 1000
    ransac = RANSACRegressor(
        regressor(ROWS), min_samples=35, residual_threshold=3, max_trials=8, random_state=0
    )
    assert fitted_score(ransac, ROWS, (X, y), rows_of(PLACES_TEST)) > 0.85
    assert not ransac.inlier_mask_[wrong].any()


def test_a_chain_warns_that_its_later_links_see_strips():
    (X, y), (X_test, y_test) = SHAPES, SHAPES_TEST
    is_disc, is_disc_test = ((labels == "disc").astype(int) for labels in (y, y_test))
    chain = ClassifierChain(classifier(max_epochs=12))
    with pytest.warns(UserWarning, match="Rows of 145 values are taken for strips"):
        chain.fit(as_rows(as_gray(X)), np.column_stack([is_disc, 1 - is_disc]))
    assert [link.image_shape_ for link in chain.estimators_] == [(SIDE, SIDE, 1), (1, 145, 1)]
    predicted = chain.predict(as_rows(as_gray(X_test)))
    expected = np.column_stack([is_disc_test, 1 - is_disc_test])
    assert np.mean(predicted == expected, axis=0).min() > 0.9


def test_a_chain_of_regressors_warns_that_its_later_links_see_strips():
    X, centres = PLACES
    chain = RegressorChain(regressor())
    with pytest.warns(UserWarning, match="Rows of 145 values are taken for strips"):
        chain.fit(as_rows(as_gray(X)), centres)
    predicted = chain.predict(as_rows(as_gray(PLACES_TEST[0])))
    errors = np.abs(predicted - PLACES_TEST[1]).mean(axis=0)
    assert errors[0] < 0.6


def test_stacking_of_rows_passes_them_through():
    stacking = StackingClassifier(
        [("cnn", classifier(ROWS))], LogisticRegression(max_iter=2000), cv=2, passthrough=True
    )
    assert fitted_score(stacking, ROWS, SHAPES, SHAPES_TEST) > 0.8
    assert stacking.final_estimator_.n_features_in_ == 1 + SIDE * SIDE * 3
    stacking = StackingRegressor(
        [("cnn", regressor(ROWS))], RidgeCV(np.logspace(0, 8, 9)), cv=2, passthrough=True
    )
    assert fitted_score(stacking, ROWS, rows_of(PLACES), rows_of(PLACES_TEST)) > 0.8


# Frozen estimators


def test_a_frozen_classifier_does_not_learn(layout):
    X, y = layout(SHAPES[0]), SHAPES[1]
    fitted = classifier(layout).fit(X, y)
    frozen = clone(FrozenEstimator(fitted)).fit(X, y[::-1])
    np.testing.assert_array_equal(frozen.predict_proba(X), fitted.predict_proba(X))


def test_features_of_a_frozen_classifier_serve_another_task(layout):
    (X, is_there), (X_test, is_there_test) = SEVERAL, SEVERAL_TEST
    fitted = classifier(layout).fit(layout(SHAPES[0]), SHAPES[1])
    reused = make_pipeline(FrozenEstimator(fitted), LogisticRegression(max_iter=2000))
    reused.fit(layout(X), is_there[:, 0])
    assert reused.score(layout(X_test), is_there_test[:, 0]) > 0.9


# Metadata routing


def with_wrong_copies(data):
    """Add to each sample a copy with a wrong label, and weights that tell which are right."""
    X, y = data
    wrong = np.where(y == "bar", "disc", "bar")
    n = len(y)
    order = np.arange(2 * n).reshape(2, n).T.ravel()
    weights = np.repeat([1.0, 0.0], n)
    return np.concatenate([X, X])[order], np.concatenate([y, wrong])[order], weights[order]


def test_pipeline_routes_weights_to_fit(layout):
    X, y, weights = with_wrong_copies(SHAPES)
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(classifier(layout).set_fit_request(sample_weight=True))
        pipeline.fit(layout(X), y, sample_weight=weights)
    plain = classifier(layout).fit(layout(SHAPES[0]), SHAPES[1])
    X_test = layout(SHAPES_TEST[0])
    np.testing.assert_array_equal(pipeline.predict_proba(X_test), plain.predict_proba(X_test))


def test_pipeline_passes_weights_by_the_name_of_the_step(layout):
    X, y, weights = with_wrong_copies(SHAPES)
    pipeline = Pipeline([("cnn", classifier(layout))])
    pipeline.fit(layout(X), y, cnn__sample_weight=weights)
    assert pipeline.score(layout(SHAPES_TEST[0]), SHAPES_TEST[1]) > 0.9


def weighted_search(layout, in_fit):
    """Return the best score of a search whose score counts the right labels alone."""
    X, y, weights = with_wrong_copies(SHAPES)
    with config_context(enable_metadata_routing=True):
        estimator = classifier(layout).set_score_request(sample_weight=True)
        estimator.set_fit_request(sample_weight=in_fit)
        search = GridSearchCV(estimator, {"max_epochs": [6]}, cv=2, error_score="raise")
        return search.fit(layout(X), y, sample_weight=weights).best_score_


def test_grid_search_routes_weights_to_fit_and_score(layout):
    assert weighted_search(layout, in_fit=True) > 0.9


def test_grid_search_keeps_weights_from_a_fit_that_does_not_want_them():
    assert weighted_search(AS_THEY_ARE, in_fit=False) < 0.8


def test_routing_weights_to_both_steps_of_a_feature_extractor(layout):
    X, y, weights = with_wrong_copies(SHAPES)
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(
            classifier(layout).set_fit_request(sample_weight=True),
            LogisticRegression().set_fit_request(sample_weight=True),
        ).fit(layout(X), y, sample_weight=weights)
    assert pipeline.score(layout(SHAPES_TEST[0]), SHAPES_TEST[1]) > 0.9


def test_routing_of_a_regressors_weights():
    X, y = rows_of(PLACES)
    twice = np.concatenate([y, y + 1000])
    weights = np.repeat([2.0, 0.0], len(y))
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(regressor().set_fit_request(sample_weight=True))
        pipeline.fit(np.concatenate([X, X]), twice, sample_weight=weights)
    plain = regressor().fit(X, y)
    np.testing.assert_array_equal(pipeline.predict(X), plain.predict(X))


def test_weights_that_nobody_asked_for_are_refused():
    with (
        config_context(enable_metadata_routing=True),
        pytest.raises(UnsetMetadataPassedError, match="set_fit_request"),
    ):
        make_pipeline(classifier()).fit(*SHAPES, sample_weight=np.ones(80))


def test_pipeline_scales_the_validation_set_too():
    X, y = as_rows(SHAPES[0]), SHAPES[1]
    X_val, y_val = as_rows(SHAPES_TEST[0]), SHAPES_TEST[1]
    with config_context(enable_metadata_routing=True):
        cnn = classifier(ROWS).set_fit_request(X_val=True, y_val=True)
        pipeline = Pipeline([("scaler", StandardScaler()), ("cnn", cnn)], transform_input=["X_val"])
        pipeline.fit(X, y, X_val=X_val, y_val=y_val)
    assert cnn.validation_scores_[-1] == pipeline.score(X_val, y_val) > 0.9


# The network as a transformer


@pytest.mark.parametrize(("make", "data"), [(classifier, SHAPES), (regressor, PLACES)])
def test_features_as_a_frame_of_named_columns(make, data, layout):
    X, y = layout(data[0]), data[1]
    estimator = make(layout, max_epochs=1).fit(X, y)
    features = estimator.transform(X)
    for container, kind in (("pandas", pd.DataFrame), ("polars", pl.DataFrame)):
        frame = clone(estimator).set_output(transform=container).fit_transform(X, y)
        assert isinstance(frame, kind)
        assert list(frame.columns) == estimator.get_feature_names_out().tolist()
        np.testing.assert_array_equal(frame.to_numpy(), features)
    assert features.dtype == np.float32
    assert frame.columns[0] == type(estimator).__name__.lower() + "0"


def test_features_keep_the_index_of_a_frame():
    X, y = SHAPES
    frame = pd.DataFrame({"image": list(X)}, index=np.arange(len(X)) * 3 + 1)
    features = classifier(max_epochs=1).set_output(transform="pandas").fit_transform(frame, y)
    assert features.index.equals(frame.index)


def test_network_as_feature_extractor(layout):
    pipeline = make_pipeline(classifier(layout), LogisticRegression(max_iter=2000))
    assert fitted_score(pipeline, layout, SHAPES, SHAPES_TEST) > 0.9
    pipeline = make_pipeline(regressor(layout), StandardScaler(), RidgeCV())
    assert fitted_score(pipeline, layout, PLACES, PLACES_TEST) > 0.9


def test_search_over_a_feature_extractor_and_what_follows():
    search = GridSearchCV(
        make_pipeline(classifier(), LogisticRegression(max_iter=2000)),
        {"cnnclassifier__max_epochs": [1, 8], "logisticregression__C": [0.1, 1]},
        cv=2,
        error_score="raise",
    )
    assert search.fit(*SHAPES).score(*SHAPES_TEST) > 0.9


def mixed_frame(data):
    """Images whose class is told by the shape and by a number beside it."""
    X, y = data
    heavy = np.arange(len(X)) // 2 % 2
    kilograms = np.where(heavy == 1, 70.0, 20.0)
    frame = pd.DataFrame({"image": list(X), "weight": kilograms}, index=np.arange(len(X)) + 7)
    return frame, np.char.add(y, np.where(heavy == 1, " heavy", " light"))


@pytest.mark.parametrize("columns", [["image"], "image"], ids=["frame", "series"])
def test_column_transformer_with_a_column_of_images(columns):
    (frame, y), (frame_test, y_test) = mixed_frame(SHAPES), mixed_frame(SHAPES_TEST)
    # half of y is not in the images: few epochs, and no whitening, which brings out noise
    network = classifier(max_epochs=4).set_params(architecture__whitening=False)
    shape_only = clone(network).fit(SHAPES[0], y)
    columns = ColumnTransformer(
        [("cnn", network, columns), ("number", StandardScaler(), ["weight"])]
    )
    pipeline = make_pipeline(columns, LogisticRegression(max_iter=2000)).fit(frame, y)
    assert pipeline.score(frame_test, y_test) > 0.9
    # the images alone do not tell
    assert np.mean(shape_only.predict(SHAPES_TEST[0]) == y_test) < 0.8
    names = columns.get_feature_names_out()
    assert (names[0], names[-1]) == ("cnn__cnnclassifier0", "number__weight")
    features = columns.transform(frame)[:, :-1]
    np.testing.assert_array_equal(features, shape_only.transform(SHAPES[0]))


def test_column_transformer_in_cross_validation_and_as_a_frame():
    frame, y = mixed_frame(SHAPES)[0], SHAPES[1]
    columns = ColumnTransformer(
        [("cnn", classifier(), ["image"]), ("number", StandardScaler(), ["weight"])]
    )
    pipeline = make_pipeline(columns, LogisticRegression(max_iter=2000))
    assert cross_val_score(pipeline, frame, y, cv=2, error_score="raise").mean() > 0.9
    features = columns.set_output(transform="pandas").fit_transform(frame, y)
    assert features.index.equals(frame.index)
    assert features.columns[-1] == "number__weight"


@pytest.mark.parametrize("hold", [lambda X: pd.DataFrame({"image": list(X)}), list])
def test_cross_validation_splits_containers_of_images(hold):
    X, y = SHAPES
    expected = cross_val_score(classifier(max_epochs=4), X, y, cv=2)
    held = cross_val_score(classifier(max_epochs=4), hold(X), y, cv=2, error_score="raise")
    np.testing.assert_array_equal(held, expected)


# Round trips


def through_joblib(estimator):
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer, compress=3)
    buffer.seek(0)
    return joblib.load(buffer)


ROUND_TRIPS = {
    "pickle": lambda estimator: pickle.loads(pickle.dumps(estimator)),
    "joblib": through_joblib,
    "cloudpickle": lambda estimator: cloudpickle.loads(cloudpickle.dumps(estimator)),
    "deepcopy": copy.deepcopy,
}
KINDS = {
    "binary": (classifier, SHAPES),
    "multiclass": (classifier, COLOURS),
    "multilabel": (classifier, SEVERAL),
    "one number": (regressor, rows_of(PLACES)),
    "two numbers": (regressor, PLACES),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("transport", ROUND_TRIPS)
def test_round_trip_predicts_the_same_and_learns_on_the_same(transport, kind):
    make, (X, y) = KINDS[kind]
    X, y = X[:40], y[:40]
    original = make(max_epochs=2).fit(X, y)
    returned = ROUND_TRIPS[transport](original)
    np.testing.assert_array_equal(returned.predict(X), original.predict(X))
    np.testing.assert_array_equal(raw_outputs(returned, X), raw_outputs(original, X))
    np.testing.assert_array_equal(returned.transform(X), original.transform(X))
    before = raw_outputs(original, X)
    original.partial_fit(X, y)
    np.testing.assert_array_equal(raw_outputs(returned, X), before)
    returned.partial_fit(X, y)
    assert not np.array_equal(raw_outputs(returned, X), before)
    np.testing.assert_array_equal(raw_outputs(returned, X), raw_outputs(original, X))


@pytest.mark.parametrize("transport", ROUND_TRIPS)
def test_round_trip_in_every_layout(transport, layout):
    X = layout(SHAPES[0])
    original = classifier(layout, max_epochs=2).fit(X, SHAPES[1])
    returned = ROUND_TRIPS[transport](original)
    np.testing.assert_array_equal(returned.predict_proba(X), original.predict_proba(X))


@pytest.mark.parametrize("transport", ROUND_TRIPS)
def test_round_trip_of_an_unfitted_estimator(transport):
    returned = ROUND_TRIPS[transport](classifier(lr=0.02))
    assert repr(returned) == repr(classifier(lr=0.02))
    assert returned.fit(*SHAPES).score(*SHAPES_TEST) > 0.9


@pytest.mark.parametrize("transport", ROUND_TRIPS)
def test_round_trip_of_a_search_over_a_pipeline(transport):
    X, y = SHAPES
    pipeline = Pipeline([("cnn", classifier(max_epochs=2))])
    original = GridSearchCV(pipeline, {"cnn__lr": [0.001, 0.01]}, cv=2).fit(X, y)
    returned = ROUND_TRIPS[transport](original)
    np.testing.assert_array_equal(returned.predict_proba(X), original.predict_proba(X))


def test_joblib_loads_a_memory_mapped_file(tmp_path):
    X, y = SHAPES
    original = classifier(max_epochs=2).fit(X, y)
    joblib.dump(original, tmp_path / "classifier.joblib")
    returned = joblib.load(tmp_path / "classifier.joblib", mmap_mode="r")
    np.testing.assert_array_equal(returned.predict_proba(X), original.predict_proba(X))
    assert returned.partial_fit(X, y).n_iter_ == 3


def test_cloudpickle_carries_a_module_class_of_the_session():
    X, y = SHAPES
    original = classifier(architecture=module_class_of_the_session()).fit(X, y)
    returned = cloudpickle.loads(cloudpickle.dumps(original))
    np.testing.assert_array_equal(returned.predict_proba(X), original.predict_proba(X))


@pytest.mark.parametrize("params", [{"warm_start": True}, {}], ids=["warm_start", "partial_fit"])
def test_a_module_class_of_the_session_learns_on(params):
    X, y = SHAPES
    fitted = classifier(architecture=module_class_of_the_session(), **params).fit(X, y)
    loss = fitted.loss_curve_[0]
    learn_on = fitted.fit if params else fitted.partial_fit
    assert learn_on(X, y).loss_curve_[-1] < loss


# Every kind of y

LABELS = {
    "list": lambda y: y.tolist(),
    "tuple": tuple,
    "object": lambda y: y.astype(object),
    "bool": lambda y: y == "disc",
    "bool list": lambda y: (y == "disc").tolist(),
    "int8": lambda y: (y == "disc").astype(np.int8),
    "float": lambda y: (y == "disc") * 2.0 - 1,
    "pandas series": lambda y: pd.Series(y, index=np.arange(len(y))[::-1]),
    "pandas string": lambda y: pd.Series(y, dtype="string"),
    "pandas categorical": lambda y: pd.Series(pd.Categorical(y, categories=["disc", "bar"])),
    "categorical": pd.Categorical,
    "pandas bool": lambda y: pd.Series(y == "disc"),
    "pandas nullable bool": lambda y: pd.Series(y == "disc").astype("boolean"),
    "pandas nullable int": lambda y: pd.Series(y == "disc").astype("Int64"),
    "polars series": pl.Series,
    "polars categorical": lambda y: pl.Series(y).cast(pl.Categorical),
    "polars bool": lambda y: pl.Series(y == "disc"),
    "tensor": lambda y: torch.tensor((y == "disc").astype(int)),
    "bool tensor": lambda y: torch.tensor(y == "disc"),
}


@pytest.fixture(scope="module")
def from_labels():
    """Predictions and scores of cross-validation with y as an array of strings."""
    X, y = SHAPES
    fitted = classifier().fit(X, y)
    scores = cross_val_score(classifier(), X, y, cv=2)
    return fitted.predict_proba(X), fitted.predict(X) == y, scores


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_every_kind(kind, from_labels):
    X, y = SHAPES
    probabilities, is_right, _ = from_labels
    held = LABELS[kind](y)
    fitted = classifier().fit(X, held)
    np.testing.assert_array_equal(fitted.predict_proba(X), probabilities)
    # labels come back as they went in: predictions compare with them
    np.testing.assert_array_equal(fitted.predict(X) == np.asarray(held), is_right)
    assert fitted.score(X, held) > 0.9


@pytest.mark.parametrize("kind", LABELS)
def test_cross_validation_splits_labels_of_every_kind(kind, from_labels):
    X, y = SHAPES
    scores = cross_val_score(classifier(), X, LABELS[kind](y), cv=2, error_score="raise")
    np.testing.assert_array_equal(scores, from_labels[2])


@pytest.mark.parametrize("hold", [pd.DataFrame, pl.DataFrame])
def test_a_one_column_frame_of_labels_is_told_to_be_1d(hold):
    X, y = SHAPES
    frame = hold({"shape": y})
    estimator = classifier()
    with pytest.warns(DataConversionWarning, match="1d array was expected"):
        estimator.fit(X, frame)
    assert estimator.predict(X).shape == y.shape
    assert estimator.score(SHAPES_TEST[0], SHAPES_TEST[1]) > 0.9


INDICATORS = {
    "list": lambda y: y.tolist(),
    "bool": lambda y: y.astype(bool),
    "float": lambda y: y.astype(float),
    "sparse": csr_array,
    "pandas": lambda y: pd.DataFrame(y, columns=["bar", "disc"]),
    "polars": lambda y: pl.DataFrame(y, schema=["bar", "disc"]),
    "tensor": torch.tensor,
}


@pytest.mark.parametrize("kind", INDICATORS)
def test_indicators_of_every_kind(kind):
    X, y = SEVERAL
    expected = classifier(max_epochs=8).fit(X, y).predict(X)
    predicted = classifier(max_epochs=8).fit(X, INDICATORS[kind](y)).predict(X)
    np.testing.assert_array_equal(predicted, expected)
    assert np.mean(predicted == y) > 0.9


NUMBERS = {
    "list": lambda y: y.tolist(),
    "tuple": tuple,
    "object": lambda y: y.astype(object),
    "pandas series": lambda y: pd.Series(y, index=np.arange(len(y))[::-1]),
    "pandas nullable": lambda y: pd.Series(y).astype("Float64"),
    "polars series": pl.Series,
    "tensor": torch.tensor,
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_every_kind(kind):
    X, y = rows_of(PLACES)
    expected = regressor(max_epochs=4).fit(X, y).predict(X)
    predicted = regressor(max_epochs=4).fit(X, NUMBERS[kind](y)).predict(X)
    assert predicted.shape == y.shape
    np.testing.assert_array_equal(predicted, expected)


@pytest.mark.parametrize("kind", NUMBERS)
def test_cross_validation_splits_numbers_of_every_kind(kind):
    X, y = rows_of(PLACES)
    estimator = regressor(max_epochs=4)
    expected = cross_val_score(estimator, X, y, cv=2)
    held = cross_val_score(estimator, X, NUMBERS[kind](y), cv=2, error_score="raise")
    np.testing.assert_allclose(held, expected)


FRAMES = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "list": lambda y: y.tolist(),
    "tensor": torch.tensor,
}


@pytest.mark.parametrize("n_columns", [1, 2])
@pytest.mark.parametrize("kind", FRAMES)
def test_tables_of_numbers_come_back_in_their_shape(kind, n_columns):
    X, y = PLACES[0], PLACES[1][:, :n_columns]
    fitted = regressor(max_epochs=8).fit(X, FRAMES[kind](y))
    assert fitted.n_outputs_ == n_columns
    assert fitted.predict(X).shape == y.shape
    assert fitted.score(PLACES_TEST[0], PLACES_TEST[1][:, :n_columns]) > 0.85


@pytest.mark.parametrize(
    ("dtype", "expected"), [(np.float32, np.float32), (np.float64, np.float64), (int, np.float64)]
)
def test_predictions_have_the_precision_of_y(dtype, expected):
    X, y = rows_of(PLACES)
    assert regressor(max_epochs=1).fit(X, y.astype(dtype)).predict(X).dtype == expected

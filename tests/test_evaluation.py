"""scikit-learn's reports, figures, scorers and curves, on what our estimators predict."""

import numpy as np
import pytest
from drawn import bars_and_discs, placed_discs, several_shapes
from sklearn.calibration import CalibrationDisplay
from sklearn.datasets import load_digits
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 (makes it importable)
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    DetCurveDisplay,
    PrecisionRecallDisplay,
    PredictionErrorDisplay,
    RocCurveDisplay,
    average_precision_score,
    brier_score_loss,
    classification_report,
    confusion_matrix,
    multilabel_confusion_matrix,
    recall_score,
    roc_auc_score,
)
from sklearn.model_selection import (
    HalvingGridSearchCV,
    LearningCurveDisplay,
    ShuffleSplit,
    TunedThresholdClassifierCV,
    ValidationCurveDisplay,
    cross_val_score,
    cross_validate,
    permutation_test_score,
)

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet

pytestmark = pytest.mark.usefixtures("close_figures")


def network(estimator=CNNClassifier, **params):
    params = {"max_epochs": 3, "batch_size": 16, "lr": 0.01, "random_state": 0, **params}
    return estimator(ConvNet((8,)), **params)


@pytest.fixture(scope="module")
def digits():
    """Four digits, and a classifier that learned them: training and test images."""
    X, y = load_digits(n_class=4, return_X_y=True)
    X, y = X[:300], y[:300]
    return network(max_epochs=20).fit(X[:200], y[:200]), X[200:], y[200:]


@pytest.fixture(scope="module")
def shapes():
    """Bars and discs: a classifier that is right more often than not, and test images."""
    X, y = bars_and_discs(80)
    return network().fit(X[:40], y[:40]), X[40:], y[40:]


# reports and figures


def test_a_report_of_four_digits(digits):
    classifier, X, y = digits
    report = classification_report(y, classifier.predict(X), output_dict=True)
    assert list(report)[:4] == ["0", "1", "2", "3"]
    assert report["accuracy"] == classifier.score(X, y) > 0.9
    for digit in range(4):
        right = np.mean(classifier.predict(X[y == digit]) == digit)
        assert report[str(digit)]["recall"] == pytest.approx(right)


def test_a_report_of_several_labels():
    X, y = several_shapes(60)
    classifier = network(max_epochs=6).fit(X, y)
    predicted = classifier.predict(X)
    report = classification_report(
        y, predicted, target_names=["bar", "disc"], output_dict=True, zero_division=0
    )
    (_, (_, true_bars)), _ = multilabel_confusion_matrix(y, predicted)
    assert report["bar"]["recall"] == pytest.approx(true_bars / y[:, 0].sum())
    assert report["micro avg"]["f1-score"] > 0.7


def test_a_confusion_matrix_of_four_digits(digits):
    classifier, X, y = digits
    display = ConfusionMatrixDisplay.from_estimator(classifier, X, y)
    assert display.display_labels.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(
        display.confusion_matrix, confusion_matrix(y, classifier.predict(X))
    )
    assert np.trace(display.confusion_matrix) == classifier.score(X, y) * len(y)


def test_curves_of_two_classes(shapes):
    classifier, X, y = shapes
    of_disc = classifier.predict_proba(X)[:, 1]
    area = RocCurveDisplay.from_estimator(classifier, X, y, pos_label="disc").roc_auc
    assert area == pytest.approx(roc_auc_score(y == "disc", of_disc))
    assert area > 0.6
    display = PrecisionRecallDisplay.from_estimator(classifier, X, y, pos_label="disc")
    expected = average_precision_score(y == "disc", of_disc)
    assert display.average_precision == pytest.approx(expected)
    display = DetCurveDisplay.from_estimator(classifier, X, y, pos_label="disc")
    # the more false alarms are accepted, the fewer discs are missed
    assert (np.diff(display.fpr) <= 0).all()
    assert (np.diff(display.fnr) >= 0).all()


def test_curves_are_the_same_by_probability_and_by_decision(shapes):
    curves = [
        RocCurveDisplay.from_estimator(*shapes, pos_label="disc", response_method=method)
        for method in ("predict_proba", "decision_function")
    ]
    np.testing.assert_array_equal(curves[0].tpr, curves[1].tpr)
    np.testing.assert_array_equal(curves[0].fpr, curves[1].fpr)


def test_a_calibration_curve(shapes):
    classifier, X, y = shapes
    display = CalibrationDisplay.from_estimator(classifier, X, y, n_bins=3, pos_label="disc")
    of_disc = classifier.predict_proba(X)[:, 1]
    np.testing.assert_array_equal(display.y_prob, of_disc)
    in_last = of_disc > 2 / 3
    assert display.prob_pred[-1] == pytest.approx(of_disc[in_last].mean())
    assert display.prob_true[-1] == pytest.approx((y[in_last] == "disc").mean())


def test_predicted_over_true_numbers():
    X, y = placed_discs(40)
    regressor = network(CNNRegressor).fit(X, y[:, 0])
    display = PredictionErrorDisplay.from_estimator(regressor, X, y[:, 0], subsample=None)
    np.testing.assert_array_equal(display.y_pred, regressor.predict(X))
    offsets = display.scatter_.get_offsets()
    np.testing.assert_allclose(offsets[:, 1], y[:, 0] - regressor.predict(X))


# several scorers at once


def test_scorers_of_classes_agree_with_the_estimators_of_each_fold():
    X, y = load_digits(n_class=3, return_X_y=True)
    X, y = X[:150], y[:150]
    scorers = ["accuracy", "roc_auc_ovr", "neg_log_loss", "f1_macro", "top_k_accuracy"]
    splits = ShuffleSplit(2, test_size=50, random_state=0)
    results = cross_validate(
        network(),
        X,
        y,
        cv=splits,
        scoring=scorers,
        return_train_score=True,
        return_estimator=True,
        return_indices=True,
        error_score="raise",
    )
    for fold, classifier in enumerate(results["estimator"]):
        for part in "train", "test":
            rows = results["indices"][part][fold]
            right = classifier.score(X[rows], y[rows])
            assert results[f"{part}_accuracy"][fold] == right
            area = roc_auc_score(y[rows], classifier.predict_proba(X[rows]), multi_class="ovr")
            assert results[f"{part}_roc_auc_ovr"][fold] == area
    assert results["test_roc_auc_ovr"].min() > 0.9
    assert results["test_neg_log_loss"].min() > -1
    # the true class is among the two of three that are most likely more often than it is the first
    assert (results["test_top_k_accuracy"] >= results["test_accuracy"]).all()


def test_scorers_of_two_classes_take_the_label_that_counts():
    X, y = bars_and_discs(60)
    scorers = ["roc_auc", "average_precision", "neg_brier_score", "balanced_accuracy"]
    results = cross_validate(
        network(max_epochs=6),
        X,
        (y == "disc").astype(int),
        cv=2,
        scoring=scorers,
        error_score="raise",
    )
    assert results["test_roc_auc"].min() > 0.8
    assert results["test_average_precision"].min() > 0.8
    assert results["test_neg_brier_score"].min() > -0.25


def test_scorers_of_several_labels():
    X, y = several_shapes(80)
    scorers = ["average_precision", "roc_auc", "f1_micro", "jaccard_macro"]
    results = cross_validate(
        network(max_epochs=6), X, y, cv=2, scoring=[*scorers, "accuracy"], error_score="raise"
    )
    assert results["test_average_precision"].min() > 0.8
    assert results["test_roc_auc"].min() > 0.8
    assert results["test_jaccard_macro"].min() > 0.5
    # accuracy asks for all labels of an image at once
    assert (results["test_accuracy"] <= results["test_f1_micro"]).all()


def test_average_precision_over_all_labels():
    X, y = several_shapes(60)
    classifier = network(max_epochs=6).fit(X[:40], y[:40])
    probabilities = classifier.predict_proba(X[40:])
    micro = average_precision_score(y[40:], probabilities, average="micro")
    assert micro == average_precision_score(y[40:].ravel(), probabilities.ravel())
    assert micro > 0.8


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_scorers_of_numbers(n_outputs):
    X, y = placed_discs(80)
    y = y[:, 0] if n_outputs == 1 else y
    scorers = ["r2", "neg_mean_absolute_error", "neg_root_mean_squared_error"]
    results = cross_validate(
        network(CNNRegressor, max_epochs=6),
        X,
        y,
        cv=2,
        scoring=scorers,
        return_train_score=True,
        error_score="raise",
    )
    mean_error = -results["test_neg_mean_absolute_error"]
    assert (mean_error > 0).all()
    assert (mean_error <= -results["test_neg_root_mean_squared_error"]).all()
    # better than the mean, which is off by about a quarter of the range
    assert mean_error.max() < np.ptp(y) / 4
    assert results["train_r2"].min() > 0


# curves of scores, searches over the number of samples, tests by permutation


def test_a_learning_curve_display_of_digits():
    X, y = load_digits(n_class=3, return_X_y=True)
    display = LearningCurveDisplay.from_estimator(
        network(), X[:160], y[:160], train_sizes=[0.2, 1.0], cv=2, shuffle=True, random_state=0
    )
    assert display.train_sizes.tolist() == [16, 80]
    few, many = display.test_scores.mean(axis=1)
    assert many > few
    assert many > 0.8
    assert display.lines_[1].get_ydata().tolist() == [few, many]


@pytest.mark.parametrize(
    ("name", "values"), [("max_epochs", [1, 6]), ("architecture__dropout", [0.9, 0.0])]
)
def test_a_validation_curve_display(name, values):
    X, y = load_digits(n_class=3, return_X_y=True)
    display = ValidationCurveDisplay.from_estimator(
        network(),
        X[:120],
        y[:120],
        param_name=name,
        param_range=values,
        cv=2,
        scoring="neg_log_loss",
    )
    worse, better = display.test_scores.mean(axis=1)
    assert better > worse
    assert display.lines_[1].get_xdata().tolist() == values


def test_a_search_by_halving_gives_the_rest_more_samples():
    X, y = load_digits(n_class=3, return_X_y=True)
    search = HalvingGridSearchCV(
        network(),
        {"lr": [1e-7, 0.01]},
        resource="n_samples",
        factor=2,
        min_resources=60,
        max_resources=120,
        cv=2,
        random_state=0,
        error_score="raise",
    ).fit(X[:120], y[:120])
    assert search.n_resources_ == [60, 120]
    assert search.n_candidates_ == [2, 1]
    assert search.best_params_ == {"lr": 0.01}


def test_labels_at_random_are_not_learned():
    X, y = bars_and_discs(40)
    score, by_chance, p_value = permutation_test_score(
        network(), X, y, cv=2, n_permutations=4, random_state=0
    )
    assert score == cross_val_score(network(), X, y, cv=2).mean()
    assert score > by_chance.max()
    assert p_value == 1 / 5


def test_a_threshold_tuned_for_recall_finds_more():
    X, y = bars_and_discs(80)
    y = (y == "disc").astype(int)
    early = network(max_epochs=1)
    tuned = TunedThresholdClassifierCV(early, scoring="recall", cv=2).fit(X[:40], y[:40])
    plain = tuned.estimator_
    found, found_before = (recall_score(y[40:], model.predict(X[40:])) for model in (tuned, plain))
    # of 20 discs the threshold of one half misses several
    assert found > found_before + 0.1
    of_disc = plain.predict_proba(X[40:])[:, 1]
    np.testing.assert_array_equal(tuned.predict(X[40:]), of_disc >= tuned.best_threshold_)
    assert brier_score_loss(y[40:], of_disc) < 0.3

"""scikit-learn's own checks of an estimator, in full."""

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.model_selection import train_test_split
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_cnn import CNNClassifier, CNNRegressor

# scikit-learn declares the same of its own stochastic learners: a weight of two and two
# copies of a sample are drawn into different batches
STOCHASTIC = {
    "check_sample_weight_equivalence_on_dense_data": "batches are drawn at random",
}

ESTIMATORS = [
    CNNClassifier(),
    CNNRegressor(),
    CNNClassifier(early_stopping=True),
    CNNRegressor(early_stopping=True),
]


# Checks that want a score, or predictions that training has made alike; the others train as short
# as can be.
THAT_NEED_LEARNING = {
    "check_class_weight_classifiers",
    "check_classifiers_classes",
    "check_classifiers_multilabel_representation_invariance",
    "check_classifiers_train",
    "check_regressors_int",
    "check_regressors_train",
}
EPOCHS_OF_CLASSIFIERS = 8


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda _: STOCHASTIC)
@pytest.mark.filterwarnings("ignore")
def test_check_estimator(estimator, check):
    run_check(estimator, check)


def run_check(estimator, check):
    """Run one of scikit-learn's checks, with no more epochs than it needs."""
    epochs = 1
    if getattr(check, "func", check).__name__ in THAT_NEED_LEARNING:
        epochs = EPOCHS_OF_CLASSIFIERS if is_classifier(estimator) else estimator.max_epochs
    check(clone(estimator).set_params(max_epochs=epochs))


@pytest.mark.parametrize("estimator", ESTIMATORS[:2], ids=lambda e: type(e).__name__)
@pytest.mark.filterwarnings("ignore")
def test_checks_of_learning_hold_with_all_defaults(estimator):
    kind = type(estimator).__name__
    check = "check_classifiers_train" if "Classifier" in kind else "check_regressors_train"
    getattr(estimator_checks, check)(kind, clone(estimator))


# scikit-learn runs these on its own estimators beside `check_estimator`
BESIDE = [
    "check_dataframe_column_names_consistency",
    "check_param_validation",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
]


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("estimator", ESTIMATORS[:2], ids=lambda e: type(e).__name__)
@pytest.mark.filterwarnings("ignore")
def test_checks_beside_check_estimator(estimator, name):
    estimator = clone(estimator).set_params(max_epochs=1)
    getattr(estimator_checks, name)(type(estimator).__name__, estimator)


def test_no_excuses_in_the_tags():
    for estimator in ESTIMATORS:
        tags = estimator.__sklearn_tags__()
        assert not tags.non_deterministic
        assert not tags.no_validation
        of_kind = tags.classifier_tags or tags.regressor_tags
        assert not of_kind.poor_score


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_fit_keeps_the_split_of_train_test_split(estimator):
    """Rows stay aligned with their targets whatever is held out inside."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (120, 6, 6), dtype=np.uint8)
    y = (X.mean(axis=(1, 2)) > 127).astype(int)
    X[y == 1, :3] //= 4
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    fitted = clone(estimator).set_params(random_state=0).fit(X_train, y_train)
    assert fitted.score(X_test, y_test) > 0.8

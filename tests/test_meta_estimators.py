"""Each cell of the table in docs/meta_estimators.md is what scikit-learn does."""

import inspect
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from image_files import noise, write_images
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
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 (makes them importable)
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression, LogisticRegression, RANSACRegressor
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    train_test_split,
    validation_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils import all_estimators

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet

N = 12
IMAGES = np.stack([noise(4, 4, seed=seed) for seed in range(N)])
TABLE = Path(__file__).parents[1] / "docs" / "meta_estimators.md"
FORMS = ["flat rows", "4-D array", "paths", "one-column frame"]

BINARY = np.arange(N) % 2
THREE = np.arange(N) % 3
UNLABELLED = np.where(np.arange(N) < 8, BINARY, -1)
LABELS = np.column_stack([BINARY, np.arange(N) // 2 % 2])
NUMBER = np.arange(N) / N
NUMBERS = np.column_stack([NUMBER, -NUMBER])
CODE_SEED = 6
GRID = {"lr": [0.001, 0.01]}


def network(estimator=CNNClassifier, image_shape=(4, 4)):
    return estimator(
        ConvNet((2,)), image_shape=image_shape, max_epochs=1, batch_size=N, random_state=0
    )


def regressor(**params):
    return network(CNNRegressor, **params)


def fitted(make, y):
    """Return what fits an estimator of `make` and checks the shape of its predictions."""

    def run(X):
        predicted = make().fit(X, y).predict(X)
        assert predicted.shape == y.shape

    return run


def over_columns(X):
    columns = list(range(X.shape[1])) if hasattr(X, "shape") else [0]
    transformer = ColumnTransformer([("images", network(), columns)])
    assert transformer.fit_transform(X, BINARY).shape[0] == N


def in_union(X):
    union = FeatureUnion([("one", network()), ("other", network())])
    assert union.fit_transform(X, BINARY).shape[0] == N


def scored(function, **options):
    """Return what calls a function of an estimator, X and y that gives scores."""

    def run(X):
        scores = function(network(), X, BINARY, **options)
        if isinstance(scores, dict):
            scores = scores["test_score"]
        elif isinstance(scores, tuple):
            scores = scores[0] if np.ndim(scores[0]) == 0 else scores[-1]
        assert np.isfinite(scores).all()

    return run


def predicted_in_folds(X):
    assert cross_val_predict(network(), X, BINARY, cv=2).shape == (N,)


def permuted(X):
    result = permutation_importance(network().fit(X, BINARY), X, BINARY, n_repeats=1)
    assert np.isfinite(result.importances_mean).all()


def split(X):
    train, test, y_train, _ = train_test_split(X, BINARY, random_state=0)
    assert network().fit(train, y_train).predict(test).shape == (N // 4,)


def named(*makers):
    return [(f"network {position}", make()) for position, make in enumerate(makers)]


META_ESTIMATORS = {
    "Pipeline": fitted(lambda: make_pipeline(network()), BINARY),
    "Pipeline, network in front": fitted(
        lambda: make_pipeline(network(), LogisticRegression()), BINARY
    ),
    "FeatureUnion": in_union,
    "ColumnTransformer": over_columns,
    "train_test_split": split,
    "cross_val_score": scored(cross_val_score, cv=2),
    "cross_validate": scored(cross_validate, cv=2),
    "cross_val_predict": predicted_in_folds,
    "learning_curve": scored(learning_curve, cv=2, train_sizes=[0.7, 1.0], shuffle=True),
    "validation_curve": scored(validation_curve, cv=2, param_name="lr", param_range=[0.001, 0.01]),
    "permutation_test_score": scored(permutation_test_score, cv=2, n_permutations=1),
    "permutation_importance": permuted,
    "GridSearchCV": fitted(lambda: GridSearchCV(network(), GRID, cv=2), BINARY),
    "RandomizedSearchCV": fitted(
        lambda: RandomizedSearchCV(network(), GRID, n_iter=1, cv=2, random_state=0), BINARY
    ),
    "HalvingGridSearchCV": fitted(
        lambda: HalvingGridSearchCV(network(), GRID, cv=2, min_resources=8), BINARY
    ),
    "HalvingRandomSearchCV": fitted(
        lambda: HalvingRandomSearchCV(network(), GRID, cv=2, min_resources=8, random_state=0),
        BINARY,
    ),
    "BaggingClassifier": fitted(
        lambda: BaggingClassifier(network(), n_estimators=2, random_state=0), BINARY
    ),
    "AdaBoostClassifier": fitted(
        lambda: AdaBoostClassifier(network(), n_estimators=2, random_state=0), BINARY
    ),
    "VotingClassifier": fitted(
        lambda: VotingClassifier(named(network, network), voting="soft"), BINARY
    ),
    "StackingClassifier": fitted(
        lambda: StackingClassifier(named(network, network), LogisticRegression(), cv=2), BINARY
    ),
    "StackingClassifier, passthrough": fitted(
        lambda: StackingClassifier(
            named(network, network), LogisticRegression(), cv=2, passthrough=True
        ),
        BINARY,
    ),
    "CalibratedClassifierCV": fitted(lambda: CalibratedClassifierCV(network(), cv=2), BINARY),
    "FixedThresholdClassifier": fitted(lambda: FixedThresholdClassifier(network()), BINARY),
    "TunedThresholdClassifierCV": fitted(
        lambda: TunedThresholdClassifierCV(network(), cv=2), BINARY
    ),
    "OneVsRestClassifier": fitted(lambda: OneVsRestClassifier(network()), THREE),
    "OneVsOneClassifier": fitted(lambda: OneVsOneClassifier(network()), THREE),
    "OutputCodeClassifier": fitted(
        # with a code in which no bit is the same for all classes
        lambda: OutputCodeClassifier(network(), random_state=CODE_SEED),
        THREE,
    ),
    "MultiOutputClassifier": fitted(lambda: MultiOutputClassifier(network()), LABELS),
    "ClassifierChain": fitted(lambda: ClassifierChain(network()), LABELS),
    "ClassifierChain, no image_shape": fitted(
        lambda: ClassifierChain(network(image_shape=None)), LABELS
    ),
    "SelfTrainingClassifier": fitted(lambda: SelfTrainingClassifier(network()), UNLABELLED),
    "TransformedTargetRegressor": fitted(
        lambda: TransformedTargetRegressor(regressor(), func=np.exp, inverse_func=np.log), NUMBER
    ),
    "BaggingRegressor": fitted(
        lambda: BaggingRegressor(regressor(), n_estimators=2, random_state=0), NUMBER
    ),
    "AdaBoostRegressor": fitted(
        lambda: AdaBoostRegressor(regressor(), n_estimators=2, random_state=0), NUMBER
    ),
    "VotingRegressor": fitted(lambda: VotingRegressor(named(regressor, regressor)), NUMBER),
    "StackingRegressor": fitted(
        lambda: StackingRegressor(named(regressor, regressor), LinearRegression(), cv=2), NUMBER
    ),
    "MultiOutputRegressor": fitted(lambda: MultiOutputRegressor(regressor()), NUMBERS),
    "RegressorChain": fitted(lambda: RegressorChain(regressor()), NUMBERS),
    "RegressorChain, no image_shape": fitted(
        lambda: RegressorChain(regressor(image_shape=None)), NUMBERS
    ),
    "RANSACRegressor": fitted(
        lambda: RANSACRegressor(regressor(), min_samples=6, max_trials=1, random_state=0), NUMBER
    ),
}


def outcome(name, X):
    """Return "yes" if it works, else the name of the error."""
    with warnings.catch_warnings():
        # of networks that hardly train, and of few samples
        warnings.simplefilter("ignore")
        try:
            META_ESTIMATORS[name](X)
        except (ValueError, TypeError, AttributeError, IndexError) as error:
            return type(error).__name__
    return "yes"


def documented():
    """Return the table as a dict from (meta-estimator, form of X) to the cell."""
    rows = [line for line in TABLE.read_text().splitlines() if line.startswith("|")]
    head, _, *body = [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in rows]
    return {
        (row[0], form): cell for row in body for form, cell in zip(head[1:], row[1:], strict=True)
    }


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    paths = write_images(tmp_path_factory.mktemp("images"), IMAGES)
    frame = pd.DataFrame({"path": paths})
    return dict(zip(FORMS, [IMAGES.reshape(N, -1), IMAGES, paths, frame], strict=True))


# They choose columns of X, which an image is not, or leave what they hold as it is.
OUT_OF_SCOPE = {
    "FrozenEstimator",
    "RFE",
    "RFECV",
    "SelectFromModel",
    "SequentialFeatureSelector",
}


def test_every_meta_estimator_is_in_the_table():
    parameters = {"estimator", "estimators", "regressor"}
    found = {
        name
        for name, kind in all_estimators()
        if parameters & set(inspect.signature(kind).parameters)
    }
    listed = {name.split(",")[0] for name in META_ESTIMATORS}
    assert found - listed == OUT_OF_SCOPE


def test_the_table_has_a_row_for_each():
    assert list(documented()) == [(name, form) for name in META_ESTIMATORS for form in FORMS]


@pytest.mark.parametrize("chain", ["ClassifierChain", "RegressorChain"])
def test_a_chain_appends_to_rows_what_is_no_pixel(chain, inputs):
    with pytest.raises(ValueError, match=r"rows of 49 values, but image_shape=\(4, 4\) takes 48"):
        META_ESTIMATORS[chain](inputs["flat rows"])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", META_ESTIMATORS)
def test_each_cell(name, form, inputs):
    assert outcome(name, inputs[form]) == documented()[name, form]

"""What is scored on validation images, and who chooses it."""

import numpy as np
import pytest
from drawn import bars_and_discs, coloured_shapes, placed_discs, several_shapes
from sklearn.base import clone
from sklearn.metrics import (
    d2_pinball_score,
    f1_score,
    fbeta_score,
    get_scorer,
    log_loss,
    make_scorer,
    r2_score,
)
from sklearn.model_selection import cross_val_score
from skorch.callbacks import Callback
from small_networks import network
from torch import nn

from sklearn_cnn import Augmentation, CNNClassifier, CNNRegressor
from sklearn_cnn.plots import TrainingCurveDisplay


class Tells(Callback):
    """Says that training began, in a list that all copies share."""

    told: list = []

    def on_train_begin(self, net, **kwargs):
        self.told.append(net)


DISCS, CENTRES = placed_discs(40)

CASES = {
    "labels": (CNNClassifier, bars_and_discs(40), "balanced_accuracy"),
    "probabilities of two classes": (CNNClassifier, bars_and_discs(40), "roc_auc"),
    "probabilities of three classes": (CNNClassifier, coloured_shapes(40), "neg_log_loss"),
    "several labels": (CNNClassifier, several_shapes(40), "f1_macro"),
    "a number": (CNNRegressor, (DISCS, CENTRES[:, 0]), "neg_mean_absolute_error"),
    "two numbers": (CNNRegressor, (DISCS, CENTRES), "neg_root_mean_squared_error"),
    # of predictions in units of y: standardized ones would be negative
    "counts": (CNNRegressor, (DISCS, np.arange(40) % 4), "neg_mean_poisson_deviance"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_score_is_what_the_scorer_says_of_the_fitted_network(case):
    kind, (X, y), scoring = CASES[case]
    model = network(kind, scoring=scoring, max_epochs=1)
    model.fit(X, y, X_val=X[:20], y_val=y[:20])
    expected = get_scorer(scoring)(model, X[:20], y[:20])
    assert model.validation_scores_ == [pytest.approx(expected, rel=1e-5)]
    assert model.best_validation_score_ == model.validation_scores_[0]


@pytest.mark.parametrize("response", ["decision_function", "predict_proba"])
def test_two_labels_are_not_taken_for_two_classes(response):
    X, y = several_shapes(40)
    scoring = make_scorer(
        lambda y, answer: float(answer.shape == y.shape), response_method=response
    )
    model = network(scoring=scoring, max_epochs=1).fit(X, y, X_val=X, y_val=y)
    assert model.validation_scores_ == [1.0]


def test_loss_is_the_validation_loss_with_its_sign_changed():
    X, y = bars_and_discs(40)
    weight = np.linspace(0.5, 2, 20)
    model = network(scoring="loss", class_weight={"bar": 1, "disc": 3})
    model.fit(X, y, X_val=X[:20], y_val=y[:20], sample_weight_val=weight)
    assert model.validation_scores_ == [-loss for loss in model.history_[:, "valid_loss"]]
    assert model.best_validation_score_ == max(model.validation_scores_)
    of_classes = weight * np.where(y[:20] == "disc", 3, 1)
    expected = log_loss(y[:20], model.predict_proba(X[:20]), sample_weight=of_classes)
    assert model.validation_scores_[-1] == pytest.approx(-expected, rel=1e-4)


def test_weights_reach_the_scorers_that_take_them():
    X, y = bars_and_discs(40)
    weight, class_weight = np.linspace(0, 2, 40), {"bar": 1, "disc": 5}

    def unweighted(estimator, X, y):
        return np.mean(estimator.predict(X) == y)

    scores = {}
    for scoring in ("accuracy", unweighted):
        model = network(scoring=scoring, class_weight=class_weight, max_epochs=1)
        model.fit(X, y, X_val=X, y_val=y, sample_weight_val=weight)
        right = model.predict(X) == y
        scores[scoring] = model.best_validation_score_
    of_classes = weight * np.where(y == "disc", 5, 1)
    assert scores["accuracy"] == pytest.approx(np.average(right, weights=of_classes))
    # an image of weight 0 does not count there either
    assert scores[unweighted] == pytest.approx(right[1:].mean())


def test_a_function_is_given_answers_that_are_there():
    X, y = bars_and_discs(40)
    seen = []

    def second_half(estimator, rows, labels):
        seen.append(rows.shape)
        assert estimator.classes_.tolist() == ["bar", "disc"]
        assert estimator.decision_function(rows).shape == (20,)
        right = estimator.predict(rows[10:]) == labels[10:]
        surer = estimator.predict_proba(rows[10:])[right].max(axis=1) >= 0.5
        return np.mean(right) if surer.all() else -1

    model = network(scoring=second_half).fit(X, y, X_val=X[:20], y_val=y[:20])
    assert model.best_validation_score_ >= 0
    assert model.validation_scores_[-1] == model.score(X[10:20], y[10:20])
    # once before training, and after each epoch
    assert seen == [(20,)] * 3


@pytest.mark.parametrize("is_better", [True, False])
def test_early_stopping_keeps_the_weights_that_scored_best(is_better):
    X, y = bars_and_discs(60)

    def share_of_discs(_, predicted):
        return np.mean(predicted == "disc")

    count = make_scorer(share_of_discs, greater_is_better=is_better)
    params = {"max_epochs": 6, "lr": 0.03, "lr_schedule": "constant"}
    model = network(scoring=count, early_stopping=True, **params)
    model.fit(X, y, X_val=X[:30], y_val=y[:30])
    scores = model.validation_scores_
    assert scores[model.best_epoch_ - 1] == max(scores) == model.best_validation_score_
    assert (model.best_validation_score_ >= 0) == is_better
    share = np.mean(model.predict(X[:30]) == "disc")
    assert model.best_validation_score_ == pytest.approx(share if is_better else -share)


def test_the_part_that_is_split_off_is_scored_too():
    X, y = DISCS, CENTRES[:, 0] * 1000
    model = network(CNNRegressor, scoring="neg_mean_absolute_error", early_stopping=True)
    model.fit(X, y)
    # in units of y
    assert -5000 < model.best_validation_score_ < -100


def test_the_curve_and_the_file_have_the_scores_name(tmp_path):
    X, y = bars_and_discs(40)
    names = {
        "balanced_accuracy": "balanced_accuracy",
        "loss": "negative loss",
        make_scorer(fbeta_score, beta=2, pos_label="disc"): "fbeta_score",
    }
    for scoring, name in names.items():
        model = network(scoring=scoring, max_epochs=1).fit(X, y, X_val=X, y_val=y)
        # what is set later has no part in it
        model.set_params(scoring=None)
        assert TrainingCurveDisplay.from_estimator(model).axes_[1].get_ylabel() == name
    weighted = network(scoring="f1_macro", class_weight="balanced", max_epochs=1)
    weighted.fit(X, y, X_val=X, y_val=y).save(tmp_path / "model")
    loaded = CNNClassifier.load(tmp_path / "model")
    assert loaded.scoring == "f1_macro"
    assert loaded.validation_scores_ == weighted.validation_scores_
    assert TrainingCurveDisplay.from_estimator(loaded).axes_[1].get_ylabel() == "weighted f1_macro"


def test_a_scorer_of_the_users_is_cloned_and_not_saved(tmp_path):
    scorer = make_scorer(fbeta_score, beta=2, average="macro")
    X, y = coloured_shapes(40)
    model = clone(network(scoring=scorer, max_epochs=1)).fit(X, y, X_val=X, y_val=y)
    model.save(tmp_path / "model")
    with pytest.warns(UserWarning, match="scoring=make_scorer"):
        loaded = CNNClassifier.load(tmp_path / "model")
    assert loaded.scoring is None
    assert loaded.best_validation_score_ == model.best_validation_score_


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"scoring": "acuracy"}, "is no scorer's name. Did you mean 'accuracy'"),
        ({"scoring": "nothing like it"}, "is no scorer's name. Write None, 'loss'"),
        ({"scoring": f1_score}, r"write scoring=make_scorer\(f1_score\)"),
        ({"scoring": "neg_log_loss", "loss": "hinge"}, "asks for predict_proba"),
    ],
)
def test_what_is_no_scorer_here_is_refused_before_an_image_is_read(params, message):
    with pytest.raises(ValueError, match=message):
        network(**params).fit(["missing.png", "missing too.png"], [0, 1])


def test_a_regressor_has_no_probabilities():
    with pytest.raises(ValueError, match="asks for decision_function or predict_proba"):
        network(CNNRegressor, scoring="roc_auc").fit(["missing.png"], [0.5])


@pytest.mark.parametrize(
    ("scoring", "rows", "message"),
    [
        # its label of the rarer class is unknown
        ("f1", slice(20), "scoring='f1' cannot score the validation set, of 20 images: pos_label"),
        ("r2", slice(20), "scoring='r2' cannot score"),
        # images of one class
        ("roc_auc", slice(0, 20, 2), "roc_auc is not defined for a validation set of these 10"),
        (lambda *_: "high", slice(20), "cannot score .*: could not convert"),
    ],
)
@pytest.mark.filterwarnings("ignore:Only one class is present")
def test_what_cannot_score_these_images_is_refused_before_training(scoring, rows, message):
    X, y = bars_and_discs(40)
    Tells.told.clear()
    model = network(scoring=scoring, callbacks=[Tells()])
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, X_val=X[rows], y_val=y[rows])
    assert Tells.told == []
    assert not hasattr(model, "net_")


def test_labels_are_no_numbers_to_a_regressor_even_if_they_are_whole():
    y = CENTRES[:, 0].round()
    with pytest.raises(ValueError, match="scoring='accuracy' cannot score"):
        network(CNNRegressor, scoring="accuracy").fit(DISCS, y, X_val=DISCS, y_val=y)


def test_partial_fit_and_fits_without_validation_images_score_nothing():
    X, y = bars_and_discs(40)
    model = network(scoring="roc_auc").fit(X, y).partial_fit(X, y)
    assert model.validation_scores_ is None


# ------------------------------------------------------------------- numbers that are missing


def some_missing():
    """Centres of discs of which a third of the rows, and of the columns, is not known."""
    y = CENTRES.astype(float).copy()
    y[::3, 0] = y[1::6, 1] = np.nan
    y[6] = np.nan
    return y


@pytest.mark.filterwarnings("ignore:y holds NaN", "ignore:y_val holds NaN")
@pytest.mark.parametrize("loss", ["squared_error", "quantile"])
@pytest.mark.parametrize("weight", [None, np.linspace(0.5, 2, 40)], ids=["plain", "weighted"])
def test_the_score_of_the_numbers_that_are_there_is_the_mean_over_columns(loss, weight):
    y = some_missing()
    model = network(CNNRegressor, loss=loss, max_epochs=2)
    model.fit(DISCS, y, weight, X_val=DISCS, y_val=y, sample_weight_val=weight)
    predicted, by_hand = model.predict(DISCS), []
    for column in range(2):
        rows = ~np.isnan(y[:, column])
        score = r2_score if loss == "squared_error" else d2_pinball_score
        of_rows = None if weight is None else weight[rows]
        by_hand.append(score(y[rows, column], predicted[rows, column], sample_weight=of_rows))
    assert model.validation_scores_[-1] == pytest.approx(np.mean(by_hand), rel=1e-4)
    if loss == "squared_error":
        assert model.score(DISCS, y, weight) == pytest.approx(np.mean(by_hand))
        whole = r2_score(CENTRES, predicted, sample_weight=weight)
        assert model.score(DISCS, CENTRES, weight) == whole


@pytest.mark.filterwarnings("ignore:y holds NaN")
def test_numbers_that_are_missing_are_learned_from_the_others():
    y = some_missing()
    model = network(CNNRegressor, early_stopping=True, max_epochs=3).fit(DISCS, y)
    assert np.isfinite(model.loss_curve_ + model.validation_scores_).all()
    assert np.isfinite(model.partial_fit(DISCS, y).predict(DISCS)).all()
    assert np.isfinite(cross_val_score(clone(model), DISCS, y, cv=2)).all()
    moved = Augmentation(crop=2, rotation=10, flip=True, keypoints=True, flip_index=[0])
    by_points = network(CNNRegressor, augmentation=moved).fit(DISCS, y)
    assert np.isfinite(by_points.predict(DISCS)).all()


def test_a_loss_sees_no_nan_and_a_warning_counts_them():
    y = some_missing()
    seen = []

    class Listens(nn.MSELoss):
        def forward(self, outputs, target):
            seen.append(target.isnan().any().item())
            return super().forward(outputs, target)

    with pytest.warns(UserWarning, match="y holds NaN in 21 of 40 rows, 22 of 80 numbers"):
        network(CNNRegressor, loss=Listens()).fit(DISCS, y)
    assert not any(seen)


@pytest.mark.filterwarnings("ignore:y holds NaN", "ignore:y_val holds NaN")
def test_scorers_that_know_no_missing_numbers_say_so():
    y = some_missing()
    model = network(CNNRegressor, scoring="neg_mean_absolute_error")
    with pytest.raises(ValueError, match=r"cannot score the validation set.*NaN"):
        model.fit(DISCS, y, X_val=DISCS, y_val=y)
    alone = np.where(np.arange(40)[:, None] == [0, 1], 1.0, np.nan)
    with pytest.raises(ValueError, match="No column of y holds two numbers"):
        model.set_params(scoring=None).fit(DISCS, y).score(DISCS, alone)


@pytest.mark.filterwarnings("ignore:y holds NaN")
def test_a_loss_of_the_whole_batch_cannot_leave_out_numbers():
    class Mean(nn.Module):
        def forward(self, outputs, target):
            return (outputs - target).square().mean()

    model = network(CNNRegressor, loss=Mean())
    with pytest.raises(ValueError, match=r"no `reduction`, so numbers that are missing in y"):
        model.fit(DISCS, some_missing())
    assert not hasattr(model, "net_")

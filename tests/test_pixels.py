"""A class for each pixel: fitting, predicting, scores, and scikit-learn around them."""

import pickle

import numpy as np
import pytest
import torch
from drawn_pixels import MapNet, map_classifier, shapes
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score, make_scorer
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
    train_test_split,
)
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch import nn
from torch.utils.data import TensorDataset

from sklearn_cnn import CNNClassifier, CNNRegressor, ImageReader
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.metrics import mean_iou_score, pixel_accuracy_score
from sklearn_cnn.model_selection import CachedEstimator

X, MASKS = shapes()
X_TEST, MASKS_TEST = shapes(8, seed=1)
NAMES = np.array(["sky", "box", "disc"])


@pytest.fixture(scope="module")
def fitted():
    return map_classifier(max_epochs=20).fit(X, MASKS)


def test_masks_of_integers_are_learned_and_predicted_at_the_size_of_the_images(fitted):
    predicted = fitted.predict(X_TEST)
    assert predicted.shape == MASKS_TEST.shape
    assert predicted.dtype == np.uint8
    np.testing.assert_array_equal(fitted.classes_, [0, 1, 2])
    assert (predicted == MASKS_TEST).mean() > 0.85


def test_score_is_the_mean_iou_which_is_that_of_scikit_learn_over_all_pixels(fitted):
    expected = jaccard_score(MASKS_TEST.ravel(), fitted.predict(X_TEST).ravel(), average="macro")
    assert fitted.score(X_TEST, MASKS_TEST) == pytest.approx(expected)


def test_probabilities_are_those_of_each_pixel(fitted):
    probabilities = fitted.predict_proba(X_TEST)
    assert probabilities.shape == (*MASKS_TEST.shape, 3)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=-1), fitted.predict(X_TEST))
    np.testing.assert_allclose(fitted.predict_log_proba(X_TEST), np.log(probabilities))
    logits = fitted.decision_function(X_TEST)
    np.testing.assert_array_equal(logits.argmax(axis=-1), fitted.predict(X_TEST))


def test_images_in_parts_get_the_predictions_that_they_get_together(fitted):
    parts = [fitted.predict_proba(X_TEST[rows]) for rows in (slice(0, 3), slice(3, 8))]
    np.testing.assert_allclose(np.concatenate(parts), fitted.predict_proba(X_TEST), atol=1e-6)


@pytest.mark.parametrize(
    "masks", [NAMES[MASKS], MASKS == 1, MASKS.astype(np.int64) * 1000 - 500, list(MASKS)]
)
def test_labels_of_any_type_come_back(masks):
    predicted = map_classifier(max_epochs=1).fit(X, masks).predict(X_TEST)
    labels = np.asarray(masks)
    assert predicted.dtype == labels.dtype
    assert set(np.unique(predicted)) <= set(np.unique(labels))


def test_tensors_are_masks_too():
    predicted = map_classifier(max_epochs=1).fit(torch.tensor(X), torch.tensor(MASKS)).predict(X)
    np.testing.assert_array_equal(predicted, map_classifier(max_epochs=1).fit(X, MASKS).predict(X))


def test_two_classes_have_two_logits_and_one_decision():
    classifier = map_classifier(max_epochs=2).fit(X, MASKS == 1)
    assert classifier.module_(torch.zeros(1, 1, 16, 20)).shape == (1, 2, 16, 20)
    decision = classifier.decision_function(X_TEST)
    assert decision.shape == MASKS_TEST.shape
    np.testing.assert_array_equal(decision > 0, classifier.predict(X_TEST))


def test_more_than_255_classes_are_told_apart():
    masks = np.arange(24 * 16 * 20).reshape(MASKS.shape) % 300
    message = "y holds 300 classes, from 0 to 299.*such as depths, take CNNRegressor"
    with pytest.warns(UserWarning, match=message):
        classifier = map_classifier(max_epochs=1).fit(X, masks)
    assert len(classifier.classes_) == 300
    assert classifier.predict_proba(X[:1]).shape == (1, 16, 20, 300)


@pytest.mark.parametrize("of_text", [False, True])
def test_masks_of_another_type_have_no_score(fitted, of_text):
    if of_text:
        fitted = map_classifier(max_epochs=1).fit(X, NAMES[MASKS])
    masks = MASKS_TEST if of_text else NAMES[MASKS_TEST]
    with pytest.raises(ValueError, match=r"y holds the labels .* of another type than the classes"):
        fitted.score(X_TEST, masks)


class TestIgnoreLabel:
    def test_it_is_none_of_the_classes(self):
        masks = np.where(MASKS == 0, 255, MASKS)
        classifier = map_classifier(ignore_label=255).fit(X, masks)
        np.testing.assert_array_equal(classifier.classes_, [1, 2])
        assert set(np.unique(classifier.predict(X_TEST))) <= {1, 2}

    def test_the_loss_is_the_mean_over_the_others(self):
        half = np.where(np.arange(16)[:, None] < 8, MASKS, 255)
        params = {"max_epochs": 1, "batch_size": 24, "lr_schedule": "constant"}
        whole = map_classifier(**params, architecture=OnePixel, ignore_label=255).fit(X, half)
        # of a network that sees each pixel by itself, with the same statistics of pixels
        logits = whole.predict_log_proba(X)[:, :8].reshape(-1, 3)
        expected = -logits[np.arange(len(logits)), MASKS[:, :8].ravel()].mean()
        again = whole.set_params(warm_start=True, lr=1e-12, weight_decay=0).fit(X, half)
        assert again.loss_curve_[-1] == pytest.approx(expected, rel=1e-4)

    def test_scores_leave_it_out(self, fitted):
        marked = np.where(MASKS_TEST == 2, 7, MASKS_TEST)
        classifier = map_classifier(ignore_label=7).fit(X, np.where(MASKS == 2, 7, MASKS))
        predicted = classifier.predict(X_TEST)
        counts = marked != 7
        expected = jaccard_score(marked[counts], predicted[counts], average="macro")
        assert classifier.score(X_TEST, marked) == pytest.approx(expected)

    def test_all_pixels_ignored_is_an_error(self):
        with pytest.raises(ValueError, match="No pixel of y counts: all of them are ignore"):
            map_classifier(ignore_label=3).fit(X, np.full_like(MASKS, 3))

    def test_labels_of_images_have_none(self):
        with pytest.raises(ValueError, match="ignore_label=1 is for masks"):
            CNNClassifier(ignore_label=1).fit(X, np.arange(24) % 2)
        with pytest.raises(ValueError, match="palette is for masks"):
            CNNClassifier(palette={"sky": (0, 0, 255)}).fit(X, np.arange(24) % 2)

    @pytest.mark.parametrize("masks", [MASKS, NAMES[MASKS]], ids=["numbers", "text"])
    def test_a_label_of_another_type_marks_nothing(self, masks):
        label = "255" if masks is MASKS else 255
        with pytest.raises(ValueError, match=f"ignore_label={label!r} is of another type than"):
            map_classifier(ignore_label=label).fit(X, masks)

    def test_a_mask_of_which_resizing_leaves_nothing_is_named(self):
        masks = MASKS.copy()
        masks[5, :, 2:-2] = 255
        params = {"ignore_label": 255, "image_shape": (16, 8), "resize_mode": "crop"}
        with pytest.raises(ValueError, match=r"y\[5\] has no pixel that counts after resizing to"):
            map_classifier(**params).fit(X, masks)

    def test_a_likely_mark_warns(self):
        with pytest.warns(UserWarning, match="y holds 255.*write ignore_label=255"):
            map_classifier(max_epochs=1).fit(X, np.where(MASKS == 2, 255, MASKS))

    def test_white_beside_black_is_no_mark(self, recwarn):
        fitted = map_classifier(max_epochs=1).fit(X, np.where(MASKS == 2, 255, 0))
        assert fitted.classes_.tolist() == [0, 255]
        assert [str(warning.message) for warning in recwarn] == []


class OnePixel(nn.Conv2d):
    """A network that sees each pixel by itself."""

    def __init__(self, in_channels, num_classes):
        super().__init__(in_channels, num_classes, 1)


class TestValidation:
    def test_scores_are_those_of_the_network_after_each_epoch(self):
        classifier = map_classifier(max_epochs=3)
        classifier.fit(X, MASKS, X_val=X_TEST, y_val=MASKS_TEST)
        assert len(classifier.validation_scores_) == 3
        assert classifier.validation_scores_[-1] == classifier.score(X_TEST, MASKS_TEST)

    def test_early_stopping_keeps_the_best_weights(self):
        classifier = map_classifier(early_stopping=True, n_iter_no_change=2, max_epochs=12)
        classifier.fit(X, MASKS)
        best = classifier.validation_scores_[classifier.best_epoch_ - 1]
        assert best == pytest.approx(classifier.best_validation_score_, abs=1e-6)

    def test_the_loss_is_that_of_all_pixels_that_count(self):
        masks = np.where(MASKS_TEST == 2, 255, MASKS_TEST)
        classifier = map_classifier(max_epochs=1, ignore_label=255)
        classifier.fit(X, MASKS % 2, X_val=X_TEST, y_val=masks)
        logits = torch.from_numpy(classifier.predict_log_proba(X_TEST)).permute(0, 3, 1, 2)
        target = torch.from_numpy(masks.astype(np.int64))
        expected = nn.functional.nll_loss(logits, target, ignore_index=255)
        assert classifier.history_[-1]["valid_loss"] == pytest.approx(expected.item(), rel=1e-5)

    def test_a_scorer_sees_the_users_labels(self):
        seen = []

        def score(y_true, y_pred):
            seen.extend([y_true, y_pred])
            return pixel_accuracy_score(y_true, y_pred)

        classifier = map_classifier(max_epochs=1, scoring=make_scorer(score))
        classifier.fit(X, NAMES[MASKS], X_val=X_TEST, y_val=NAMES[MASKS_TEST])
        # the first call tries the scorer
        np.testing.assert_array_equal(seen[-2], NAMES[MASKS_TEST])
        np.testing.assert_array_equal(seen[-1], classifier.predict(X_TEST))

    def test_a_class_that_only_validation_has_is_named(self):
        with pytest.raises(ValueError, match=r"y_val\[0\] holds 2 at row \d+, column \d+"):
            map_classifier().fit(X, MASKS % 2, X_val=X_TEST, y_val=MASKS_TEST)


class TestWeights:
    def test_balanced_weights_are_by_pixels(self):
        counts = np.bincount(MASKS.ravel())
        classifier = map_classifier(class_weight="balanced", max_epochs=1).fit(X, MASKS)
        expected = MASKS.size / (3 * counts)
        np.testing.assert_allclose(classifier.net_.criterion_.class_weights, expected, rtol=1e-6)
        given = dict(enumerate(expected))
        same = map_classifier(class_weight=given, max_epochs=1).fit(X, MASKS)
        np.testing.assert_allclose(same.loss_curve_, classifier.loss_curve_, rtol=1e-5)

    def test_a_class_of_no_weight_is_not_learned(self):
        classifier = map_classifier(class_weight={0: 0, 1: 1, 2: 1}).fit(X, MASKS)
        assert (classifier.predict(X_TEST) != 0).all()

    def test_an_image_of_no_weight_does_not_count(self):
        weights = np.arange(24) % 2
        wrong = np.where(weights[:, None, None] == 0, 0, MASKS)
        one = map_classifier(max_epochs=2).fit(X, wrong, sample_weight=weights)
        other = map_classifier(max_epochs=2).fit(X, MASKS, sample_weight=weights)
        np.testing.assert_array_equal(one.predict(X_TEST), other.predict(X_TEST))

    def test_weights_of_images_weigh_the_score(self, fitted):
        weights = np.linspace(0, 3, 8)
        expected = mean_iou_score(MASKS_TEST, fitted.predict(X_TEST), sample_weight=weights)
        assert fitted.score(X_TEST, MASKS_TEST, sample_weight=weights) == pytest.approx(expected)


class TestGoingOn:
    def test_partial_fit_needs_the_classes_once(self):
        classifier = map_classifier()
        with pytest.raises(ValueError, match="classes must be passed on the first call"):
            classifier.partial_fit(X, MASKS)
        classifier.partial_fit(X[:12], MASKS[:12] % 2, classes=[0, 1, 2])
        classifier.partial_fit(X[12:], MASKS[12:])
        assert classifier.n_iter_ == 2
        np.testing.assert_array_equal(classifier.classes_, [0, 1, 2])

    def test_warm_start_goes_on(self):
        classifier = map_classifier(max_epochs=2, warm_start=True).fit(X, MASKS).fit(X, MASKS)
        assert classifier.n_iter_ == 4
        with pytest.raises(ValueError, match="same classes"):
            classifier.fit(X, MASKS % 2)

    def test_a_network_of_masks_does_not_go_on_with_labels_of_images(self):
        classifier = map_classifier().partial_fit(X, MASKS, classes=[0, 1, 2])
        with pytest.raises(ValueError, match=r"value for each image.*value for each pixel"):
            classifier.partial_fit(X, np.arange(24) % 3)
        assert classifier.n_iter_ == 1


class TestScikitLearn:
    def test_cross_val_score(self):
        scores = cross_val_score(map_classifier(), X, MASKS, cv=3)
        assert scores.shape == (3,)
        assert (scores > 0.3).all()

    def test_a_fold_may_hold_a_class_that_training_had_not(self):
        masks = MASKS.copy()
        masks[0, 0, 0] = 9
        scores = cross_val_score(map_classifier(max_epochs=1), X, masks, cv=3, error_score="raise")
        assert np.isfinite(scores).all()

    @pytest.mark.slow
    def test_grid_search_in_two_processes(self):
        search = GridSearchCV(
            map_classifier(max_epochs=2), {"architecture__width": [2, 8]}, cv=2, n_jobs=2
        )
        alone = clone(search).set_params(n_jobs=1).fit(X, MASKS)
        search.fit(X, MASKS)
        np.testing.assert_array_equal(
            search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
        )
        assert search.predict(X_TEST).shape == MASKS_TEST.shape

    def test_a_pipeline(self, fitted):
        pipeline = make_pipeline(FunctionTransformer(), map_classifier(max_epochs=20))
        pipeline.fit(X, MASKS)
        np.testing.assert_array_equal(pipeline.predict(X_TEST), fitted.predict(X_TEST))

    def test_clone_and_pickle(self, fitted):
        assert clone(map_classifier(ignore_label=3)).ignore_label == 3
        again = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(again.predict(X_TEST), fitted.predict(X_TEST))

    def test_a_saved_classifier_comes_back(self, tmp_path):
        marked = np.where(MASKS == 2, 255, MASKS)
        params = {"ignore_label": 255, "class_weight": "balanced"}
        classifier = map_classifier(max_epochs=1, **params).fit(X, marked)
        classifier.save(tmp_path / "model.cnn")
        loaded = CNNClassifier.load(tmp_path / "model.cnn", architecture=MapNet)
        np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
        assert loaded.score(X, marked) == classifier.score(X, marked)
        np.testing.assert_array_equal(
            loaded.partial_fit(X, marked).predict(X), classifier.partial_fit(X, marked).predict(X)
        )

    def test_a_cached_fit_is_found(self, tmp_path):
        cached = CachedEstimator(map_classifier(max_epochs=1), tmp_path)
        first = clone(cached).fit(X, MASKS)
        kept = sorted(tmp_path.rglob("*"))
        second = clone(cached).fit(X, MASKS)
        assert sorted(tmp_path.rglob("*")) == kept
        np.testing.assert_array_equal(first.predict(X_TEST), second.predict(X_TEST))
        clone(cached).fit(X, MASKS % 2)
        assert len(list(tmp_path.rglob("*"))) > len(kept)


def with_scorer(scoring):
    return cross_val_score(quick(), X, MASKS, cv=2, scoring=scoring, error_score="raise")


def quick(**params):
    return map_classifier(max_epochs=1, **params)


DEPTHS = MASKS + np.float32(1)


def numbers():
    return CNNRegressor(MapNet, max_epochs=1, batch_size=8, random_state=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: accuracy_score(MASKS, MASKS), "unknown is not supported"),
        (lambda: confusion_matrix(MASKS, MASKS), "Found array with dim 3"),
        (lambda: with_scorer("accuracy"), "unknown is not supported"),
        (
            lambda: quick(scoring="accuracy", early_stopping=True).fit(X, MASKS),
            "scoring='accuracy' cannot score.*not supported.*there are None, 'mean_iou'",
        ),
        (lambda: cross_val_score(quick(), X, MASKS, cv=StratifiedKFold(2)), "with dim 3"),
        (lambda: train_test_split(X, MASKS, stratify=MASKS), "Found array with dim 3"),
        (
            lambda: cross_val_predict(quick(), X, MASKS, cv=2, method="predict_proba"),
            "shape mismatch",
        ),
        (lambda: CalibratedClassifierCV(quick(), cv=2).fit(X, MASKS), "Unknown label type"),
        (lambda: StackingClassifier([("a", quick())], cv=2).fit(X, MASKS), "Unknown label type"),
        (lambda: VotingClassifier([("a", quick())]).fit(X, MASKS), "Unknown label type"),
        (lambda: BaggingClassifier(quick()).fit(X, MASKS), "Found array with dim 3"),
        (lambda: MultiOutputClassifier(quick()).fit(X, MASKS), "Found array with dim 3"),
        (lambda: VotingRegressor([("a", numbers())]).fit(X, DEPTHS), "Found array with dim 3"),
        (lambda: StackingRegressor([("a", numbers())]).fit(X, DEPTHS), "Found array with dim 3"),
        (lambda: BaggingRegressor(numbers()).fit(X, DEPTHS), "Found array with dim 3"),
        (lambda: MultiOutputRegressor(numbers()).fit(X, DEPTHS), "Found array with dim 3"),
        (
            lambda: HalvingGridSearchCV(quick(), {"lr": [0.01]}, cv=2).fit(X, MASKS),
            "Found array with dim 3",
        ),
        (lambda: permutation_importance(quick().fit(X, MASKS), X, MASKS), "with dim 3"),
        (
            lambda: TransformedTargetRegressor(numbers(), func=np.log, inverse_func=np.exp).fit(
                X, DEPTHS
            ),
            "Found array with dim 3",
        ),
        (
            lambda: FixedThresholdClassifier(quick()).fit(X, MASKS == 1).predict(X),
            "Only binary classification is supported",
        ),
        (
            lambda: TunedThresholdClassifierCV(quick(), cv=2).fit(X, MASKS == 1),
            "Only binary classification is supported",
        ),
    ],
)
def test_what_scikit_learn_does_not_do_is_an_error_of_its_own(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.slow
def test_what_scikit_learn_does():
    assert cross_val_predict(quick(), X, MASKS, cv=2).shape == MASKS.shape
    assert np.isfinite(with_scorer(make_scorer(pixel_accuracy_score))).all()
    _, _, scores = learning_curve(quick(), X, MASKS, cv=2, train_sizes=[0.5, 1.0])
    assert np.isfinite(scores).all()
    halving = HalvingGridSearchCV(
        quick(), {"lr": [0.01, 0.03]}, cv=2, min_resources=8, max_resources=24, n_jobs=2
    )
    assert halving.fit(X, MASKS).predict(X).shape == MASKS.shape


class TestResizing:
    def test_image_shape_resizes_masks_with_their_images(self):
        large, masks = (np.repeat(np.repeat(v, 2, 1), 2, 2) for v in (X, MASKS))
        small = map_classifier(max_epochs=2, image_shape=(16, 20)).fit(large, masks)
        resized = ImageReader(image_shape=(16, 20), flatten=False).fit_transform(large)
        plain = map_classifier(max_epochs=2).fit(resized, MASKS)
        np.testing.assert_array_equal(small.predict(large), plain.predict(resized))
        assert small.score(large, masks) == plain.score(resized, MASKS)

    def test_what_pad_fills_up_does_not_count(self):
        with pytest.raises(ValueError, match=r'resize_mode="pad".*write ignore_label='):
            map_classifier(image_shape=(20, 20), resize_mode="pad").fit(X, MASKS)
        params = {"image_shape": (20, 20), "resize_mode": "pad", "ignore_label": 255}
        classifier = map_classifier(**params, max_epochs=1).fit(X, MASKS)
        np.testing.assert_array_equal(classifier.classes_, [0, 1, 2])
        predicted = classifier.predict(X)[:, 2:18]
        expected = jaccard_score(MASKS.ravel(), predicted.ravel(), average="macro")
        assert classifier.score(X, MASKS) == pytest.approx(expected)


class Vectors(nn.Sequential):
    def __init__(self, in_channels, num_classes):
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(in_channels, num_classes))


class Halved(nn.Conv2d):
    def __init__(self, in_channels, num_classes):
        super().__init__(in_channels, num_classes, 2, stride=2)


class ChannelsLast(MapNet):
    def forward(self, images):
        return super().forward(images).permute(0, 2, 3, 1)


class ColumnsFirst(MapNet):
    def forward(self, images):
        return super().forward(images).transpose(2, 3)


class TestRefusals:
    @pytest.mark.parametrize(
        ("architecture", "message"),
        [
            (ConvNet((4,)), r"value for each pixel, and ConvNet\(.*write architecture=UNet\(\)"),
            (Vectors, r"\(2, 3, 16, 20\), got \(2, 3\).*write architecture=UNet\(\)"),
            (Halved, r"\(2, 3, 16, 20\), got \(2, 3, 8, 10\).*images' own size, 16 x 20"),
            (ChannelsLast, r"got \(2, 16, 20, 3\)\. .* return outputs\.permute\(0, 3, 1, 2\)\."),
            (ColumnsFirst, r"got \(2, 3, 20, 16\)\. .* return outputs\.permute\(0, 1, 3, 2\)\."),
        ],
    )
    def test_a_network_that_returns_no_maps(self, architecture, message):
        with pytest.raises(ValueError, match=message):
            CNNClassifier(architecture).fit(X, MASKS)

    def test_channels_last_of_square_images(self):
        with pytest.raises(ValueError, match=r"got \(2, 16, 16, 3\)\. .*permute\(0, 3, 1, 2\)\."):
            CNNClassifier(ChannelsLast).fit(X[..., :16], MASKS[..., :16])

    def test_a_network_that_returns_maps_for_labels_of_images(self):
        with pytest.raises(ValueError, match="value for each image, and the network returns maps"):
            map_classifier().fit(X, np.arange(24) % 2)

    @pytest.mark.parametrize(
        ("masks", "message"),
        [
            (MASKS[:, 1:], r"y\[0\] has 15 x 20 pixels.*image has 16 x 20"),
            (MASKS[:20], "inconsistent numbers of samples: \\[24, 20\\]"),
            (MASKS / 2, "y holds float64 for each pixel, but labels are integers"),
            (MASKS[..., None], r"Write y\[..., 0\]"),
        ],
    )
    def test_masks_that_are_none(self, masks, message):
        with pytest.raises(ValueError, match=message):
            map_classifier().fit(X, masks)

    def test_scores_compare_with_masks(self, fitted):
        with pytest.raises(ValueError, match="fitted on a value for each pixel"):
            fitted.score(X, np.arange(24) % 3)

    def test_a_loss_of_images_is_refused(self):
        with pytest.raises(ValueError, match="loss='hinge' is not for a y with a value for each"):
            map_classifier(loss="hinge").fit(X, MASKS)

    def test_a_loss_that_ignores_another_index_is_refused(self):
        with pytest.raises(ValueError, match=r"ignore_index=255.*ignore_label=255 of the class"):
            map_classifier(loss=nn.CrossEntropyLoss(ignore_index=255)).fit(X, MASKS)

    def test_features_of_a_network_without_a_linear(self, fitted):
        with pytest.raises(ValueError, match=r'MapNet has none\..*TorchModule\(MapNet, head="'):
            fitted.get_feature_names_out()
        assert "predict" in dir(fitted)
        assert "MapNet" in fitted._repr_html_()

    def test_flattened_masks_warn(self):
        with pytest.warns(UserWarning, match=r"as many columns.*y.reshape\(-1, 16, 20\)"):
            map_classifier(architecture=ConvNet((4,)), max_epochs=1).fit(
                X, (MASKS == 1).reshape(24, -1).astype(int)
            )


def test_what_does_not_count_is_no_class_of_partial_fit():
    masks = MASKS.copy()
    masks[:, :4] = 255
    model = map_classifier(ignore_label=255)
    for _ in range(2):
        model.partial_fit(X, masks, classes=np.unique(masks))
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])
    assert 255 not in model.predict(X_TEST)


@pytest.mark.parametrize(
    ("masks", "advice"),
    [
        (MASKS[:, None], r"write y\[:, 0\]\."),
        (list(MASKS[:, None]), r"write \[values\[0\] for values in y\]\."),
        (np.stack([MASKS > 0, MASKS > 1], axis=1), r"write np\.moveaxis\(y, 1, -1\)\."),
        (
            list(np.stack([MASKS > 0, MASKS > 1], axis=1)),
            r"write \[np\.moveaxis\(values, 0, -1\) for values in y\]\.",
        ),
    ],
)
def test_masks_in_the_layout_of_torch_are_refused_with_what_to_write(masks, advice):
    with pytest.raises(
        ValueError, match=rf"^y\[0\] has the shape .* first, as in torch, .*{advice}"
    ):
        map_classifier().fit(X, masks)
    # a list holds images of its own
    written = [np.moveaxis(values, 0, -1) for values in masks]
    written = [values[..., 0] if values.shape[2] == 1 else values for values in written]
    assert map_classifier(max_epochs=1).fit(X, written).predict(X).shape[:3] == MASKS.shape


@pytest.mark.parametrize("contain", [np.asarray, list])
def test_a_colour_that_is_none_of_the_palette_is_named_with_its_row(contain):
    colours = np.repeat(MASKS[..., None], 3, axis=-1)
    colours[:3][colours[:3] == 2] = 0
    with pytest.raises(ValueError, match=r"^y\[3\]: it holds the colour \(2, 2, 2\) at row"):
        map_classifier(palette={"sky": (0, 0, 0), "box": (1, 1, 1)}).fit(X, contain(colours))


def test_a_dataset_as_validation_images_is_to_be_unpacked():
    pairs = TensorDataset(torch.from_numpy(X), torch.from_numpy(MASKS))
    with pytest.raises(ValueError, match=r"y_val was not provided\. .* unpack_dataset\(dataset\)"):
        map_classifier().fit(X, MASKS, X_val=pairs)


def test_masked_maps_are_filled_with_nan():
    maps = np.ma.masked_equal(MASKS.astype(float), 0)
    with pytest.raises(ValueError, match=r"\.filled\(np\.nan\) in maps"):
        CNNRegressor(MapNet, max_epochs=1).fit(X, maps)

"""Several labels for each pixel."""

import numpy as np
import pytest
import torch
from drawn_pixels import MapNet, map_classifier, shapes
from sklearn.metrics import jaccard_score
from torch import nn

from sklearn_cnn import Augmentation, CNNClassifier

X, CLASSES = shapes()
X_TEST, CLASSES_TEST = shapes(8, seed=1)


def labels_of(classes):
    """Return two labels: is it a thing at all, and is it a disc."""
    return np.stack([classes > 0, classes == 2], axis=-1).astype(np.uint8)


MASKS, MASKS_TEST = labels_of(CLASSES), labels_of(CLASSES_TEST)


@pytest.fixture(scope="module")
def fitted():
    return map_classifier(max_epochs=15).fit(X, MASKS)


def test_each_label_is_predicted_by_itself(fitted):
    predicted = fitted.predict(X_TEST)
    assert predicted.shape == MASKS_TEST.shape
    assert predicted.dtype == np.uint8
    np.testing.assert_array_equal(fitted.classes_, [0, 1])
    assert (predicted == MASKS_TEST).mean() > 0.9
    probabilities = fitted.predict_proba(X_TEST)
    assert probabilities.dtype == np.float32
    np.testing.assert_array_equal(probabilities > 0.5, predicted == 1)
    np.testing.assert_array_equal(fitted.decision_function(X_TEST) > 0, predicted == 1)


def test_score_is_the_mean_iou_of_the_labels(fitted):
    predicted = fitted.predict(X_TEST).reshape(-1, 2)
    expected = jaccard_score(MASKS_TEST.reshape(-1, 2), predicted, average="macro")
    assert fitted.score(X_TEST, MASKS_TEST) == pytest.approx(expected)


def test_what_is_ignored_counts_nowhere():
    marked = MASKS.copy()
    marked[..., 1][CLASSES == 0] = 9
    classifier = map_classifier(max_epochs=2, ignore_label=9)
    classifier.fit(X, marked, X_val=X, y_val=marked)
    logits = torch.from_numpy(classifier.decision_function(X))
    target, counts = torch.from_numpy(marked).float(), torch.from_numpy(marked != 9)
    losses = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    expected = losses[counts].mean().item()
    assert classifier.history_[-1]["valid_loss"] == pytest.approx(expected, rel=1e-5)
    assert classifier.validation_scores_[-1] == classifier.score(X, marked)


def test_class_weights_are_by_label():
    balanced = map_classifier(max_epochs=1, class_weight="balanced").fit(X, MASKS)
    ones = MASKS.mean(axis=(0, 1, 2))
    expected = np.stack([0.5 / (1 - ones), 0.5 / ones], axis=1)
    np.testing.assert_allclose(balanced.net_.criterion_.class_weights, expected, rtol=1e-5)
    # predictions of a label that weighs a thousand times as much when it is there
    heavy = map_classifier(class_weight={1: 1000}).fit(X, MASKS)
    assert heavy.predict(X)[..., 1].mean() > 2 * ones[1]


def test_what_goes_on_and_comes_back(tmp_path):
    learned = map_classifier(ignore_label=9).partial_fit(X, MASKS).partial_fit(X, MASKS)
    assert learned.n_iter_ == 2
    learned.save(tmp_path / "model.cnn")
    loaded = CNNClassifier.load(tmp_path / "model.cnn", architecture=MapNet)
    np.testing.assert_array_equal(loaded.predict(X), learned.predict(X))
    assert loaded.score(X, MASKS) == learned.score(X, MASKS)
    with pytest.raises(ValueError, match="y must have 2 labels a pixel"):
        learned.partial_fit(X, MASKS[..., [0, 1, 1]])


def test_augmentation_moves_all_labels():
    augmentation = Augmentation(flip=True, crop=2, rotation=20, fill="zeros", mixup=0.2)
    classifier = map_classifier(max_epochs=15, augmentation=augmentation).fit(X, MASKS)
    assert (classifier.predict(X) == MASKS).mean() > 0.85


def test_predictions_of_other_sizes():
    large, masks = (v.repeat(2, axis=1).repeat(2, axis=2) for v in (X, MASKS))
    classifier = map_classifier(image_shape=(16, 20)).fit(large, masks)
    predicted = np.stack(classifier.predict_original_size(large))
    assert predicted.shape == masks.shape
    assert (predicted == masks).mean() > 0.8


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (
            MASKS * 2,
            r"y\[0\] holds 2 at row \d+, column \d+, but several labels a pixel are 0 and 1",
        ),
        (MASKS[..., :1], r"Write y\[..., 0\]"),
        (MASKS.astype(float) / 3, "several labels a pixel are 0 and 1"),
    ],
)
def test_masks_that_are_none(masks, message):
    with pytest.raises(ValueError, match=message):
        map_classifier().fit(X, masks)


def test_one_label_for_each_pixel_warns():
    with pytest.warns(UserWarning, match=r"a single 1 for each pixel.*y.argmax\(axis=-1\)"):
        map_classifier(max_epochs=1).fit(X, np.eye(3, dtype=int)[CLASSES])


def test_text_is_no_indicator():
    with pytest.raises(ValueError, match=r"holds 'no' at row 0, column 0, but several labels a"):
        map_classifier().fit(X, np.where(MASKS == 1, "yes", "no"))

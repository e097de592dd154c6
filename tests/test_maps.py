"""Scores of a value for each pixel."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, jaccard_score

from sklearn_cnn import CNNClassifier
from sklearn_cnn.metrics import depth_scores, dice_score, mean_iou_score, pixel_accuracy_score
from sklearn_cnn.metrics._validation import check_scoring, metric_of_scorer

RNG = np.random.default_rng(0)
# several kinds of labels; the prediction has one more than the truth
MASKS = {
    "bytes": (RNG.integers(0, 4, (3, 6, 8), np.uint8), RNG.integers(0, 5, (3, 6, 8), np.uint8)),
    "negative": (RNG.integers(-2, 2, (3, 6, 8)), RNG.integers(-2, 3, (3, 6, 8))),
    "strings": (RNG.choice(["car", "road"], (3, 6, 8)), RNG.choice(["car", "sky"], (3, 6, 8))),
    "bools": (RNG.random((3, 6, 8)) < 0.5, RNG.random((3, 6, 8)) < 0.5),
    "two labels a pixel": (RNG.integers(0, 2, (3, 6, 8, 2)), RNG.integers(0, 2, (3, 6, 8, 2))),
}
PAIRS = [(mean_iou_score, jaccard_score), (dice_score, f1_score)]


def in_a_row(masks):
    return masks.reshape(-1, *masks.shape[3:])


@pytest.mark.parametrize(("score", "of_scikit_learn"), PAIRS)
@pytest.mark.parametrize("kind", MASKS)
def test_scores_are_those_of_scikit_learn_of_all_pixels(kind, score, of_scikit_learn):
    true, predicted = MASKS[kind]
    rows = in_a_row(true), in_a_row(predicted)
    expected = of_scikit_learn(*rows, average="macro", zero_division=0)
    assert score(true, predicted) == pytest.approx(expected)
    of_each = of_scikit_learn(*rows, average=None, zero_division=0)
    assert score(true, predicted, average=None) == pytest.approx(of_each)
    assert pixel_accuracy_score(true, predicted) == pytest.approx(np.mean(rows[0] == rows[1]))


@pytest.mark.parametrize(("score", "of_scikit_learn"), PAIRS)
def test_labels_are_those_that_the_mean_is_taken_over(score, of_scikit_learn):
    true, predicted = MASKS["bytes"]
    rows = in_a_row(true), in_a_row(predicted)
    expected = of_scikit_learn(*rows, labels=[3, 0], average=None)
    assert score(true, predicted, labels=[3, 0], average=None) == pytest.approx(expected)
    # what occurs nowhere has no score
    assert score(true, predicted, labels=[3, 0, 9]) == pytest.approx(expected.mean())
    with pytest.raises(ValueError, match="None of the labels occurs"):
        score(true, predicted, labels=[9])


def test_ignored_pixels_do_not_count():
    true, predicted = MASKS["bytes"]
    counts = true != 3
    rows = true[counts], predicted[counts]
    expected = jaccard_score(*rows, average="macro")
    assert mean_iou_score(true, predicted, ignore_label=3) == pytest.approx(expected)
    expected = f1_score(*rows, average="macro")
    assert dice_score(true, predicted, ignore_label=3) == pytest.approx(expected)
    expected = accuracy_score(*rows)
    assert pixel_accuracy_score(true, predicted, ignore_label=3) == pytest.approx(expected)


def test_ignored_labels_of_several_do_not_count():
    true = np.array([[[[1, 255], [0, 1]]]])
    predicted = np.array([[[[1, 1], [1, 0]]]])
    of_each = mean_iou_score(true, predicted, ignore_label=255, average=None)
    assert of_each.tolist() == [0.5, 0.0]
    assert pixel_accuracy_score(true, predicted, ignore_label=255) == pytest.approx(1 / 3)


def test_images_may_differ_in_size_and_have_weights():
    true = [np.array([[0, 1]]), np.array([[1], [1], [0]])]
    predicted = [np.array([[0, 0]]), np.array([[1], [0], [0]])]
    rows = [0, 1, 1, 1, 0], [0, 0, 1, 0, 0]
    weights = [2, 2, 1, 1, 1]
    expected = jaccard_score(*rows, average="macro", sample_weight=weights)
    assert mean_iou_score(true, predicted, sample_weight=[2, 1]) == pytest.approx(expected)
    expected = accuracy_score(*rows, sample_weight=weights)
    assert pixel_accuracy_score(true, predicted, sample_weight=[2, 1]) == pytest.approx(expected)


@pytest.mark.parametrize("score", [mean_iou_score, dice_score])
@pytest.mark.parametrize("average", ["micro", "weighted", "nonsense"])
def test_other_averages_are_refused(score, average):
    with pytest.raises(ValueError, match=f'average must be "macro".* or None.*got {average!r}'):
        score([[[0, 1]]], [[[0, 1]]], average=average)


def test_depths_near_the_truth():
    true = np.array([[[1.0, 2.0, 4.0, np.nan]]], dtype=np.float32)
    predicted = np.array([[[1.2, 1.0, 4.0, 7.0]]], dtype=np.float32)
    scores = depth_scores(true, predicted)
    assert scores.abs_rel == pytest.approx((0.2 + 0.5) / 3)
    assert scores.rmse == pytest.approx(np.sqrt((0.04 + 1) / 3))
    assert scores.delta_1 == pytest.approx(2 / 3)
    # a depth behind the camera is near nothing
    assert depth_scores(true, -predicted).delta_1 == 0


@pytest.mark.parametrize("score", [mean_iou_score, dice_score, pixel_accuracy_score, depth_scores])
def test_maps_of_another_size_are_refused_with_both_sizes(score):
    with pytest.raises(ValueError, match=r"y_true\[1\] has \(2, 3\) and y_pred\[1\] \(3, 2\)"):
        score([np.ones((2, 3)), np.ones((2, 3))], [np.ones((2, 3)), np.ones((3, 2))])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        score(np.ones((2, 4, 4)), np.ones((3, 4, 4)))
    with pytest.raises(ValueError, match=r"y_true\[0\] has \(\)"):
        score([1, 0], [1, 0])


def test_nothing_that_counts_has_no_score():
    for score in (mean_iou_score, dice_score, pixel_accuracy_score):
        with pytest.raises(ValueError, match="No pixel of y_true counts"):
            score(np.full((1, 2, 2), 255), np.zeros((1, 2, 2)), ignore_label=255)
    with pytest.raises(ValueError, match="No pixel of y_true counts"):
        depth_scores(np.full((1, 2, 2), np.nan), np.zeros((1, 2, 2)))


def test_depths_that_are_not_positive_are_refused():
    with pytest.raises(ValueError, match="y_true holds -1"):
        depth_scores(np.full((1, 2, 2), -1.0), np.ones((1, 2, 2)))


def test_depths_that_are_predicted_as_nan_are_refused():
    predicted = np.ones((2, 2, 2))
    predicted[1, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"y_pred\[1\] holds NaN where y_true has a depth"):
        depth_scores(np.ones((2, 2, 2)), predicted)
    true = np.where(np.isnan(predicted), np.nan, 1)
    assert depth_scores(true, predicted).delta_1 == 1


class Masks:
    """Stands for the target of masks: the outputs are their labels."""

    ignore_label = 3
    classes = np.arange(5)

    def decode(self, outputs):
        return outputs


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("mean_iou", mean_iou_score),
        ("dice", dice_score),
        ("pixel_accuracy", pixel_accuracy_score),
    ],
)
def test_names_of_scores_leave_out_what_the_estimator_ignores(name, function):
    check_scoring(name, ["predict"])
    true, predicted = MASKS["bytes"]
    metric = metric_of_scorer(name, Masks(), true, has_probabilities=True)
    expected = function(true, predicted, ignore_label=3, sample_weight=[1, 2, 3])
    assert metric.score(true, predicted, np.array([1, 2, 3])) == pytest.approx(expected)


def test_names_of_scores_of_depths():
    true = RNG.random((2, 3, 4)) + 1
    expected = depth_scores(true, 1.1 * true)
    metric = metric_of_scorer("neg_abs_rel", Masks(), true, has_probabilities=False)
    assert metric.score(true, 1.1 * true, None) == pytest.approx(-expected.abs_rel)
    metric = metric_of_scorer("delta_1", Masks(), true, has_probabilities=False)
    assert metric.score(true, 1.1 * true, None) == 1


def test_names_of_scores_are_of_masks_or_of_numbers():
    with pytest.raises(ValueError, match=r"'dice' is for masks, which CNNClassifier.*'delta_1'"):
        check_scoring("dice", ["predict"], of_numbers=True)
    with pytest.raises(ValueError, match="'delta_1' is for maps of numbers, which CNNRegressor"):
        CNNClassifier(scoring="delta_1").fit(np.zeros((4, 2, 2)), np.ones((4, 2, 2), dtype=int))
    check_scoring("delta_1", ["predict"], of_numbers=True)


def test_a_function_is_no_scorer():
    with pytest.raises(ValueError, match=r"write scoring=make_scorer\(mean_iou_score\)"):
        check_scoring(mean_iou_score, ["predict"])
    names = "of masks 'mean_iou', 'dice', 'pixel_accuracy', of maps of numbers 'neg_abs_rel', 'del"
    with pytest.raises(ValueError, match=names):
        check_scoring("intersection", ["predict"])
    with pytest.raises(ValueError, match="Did you mean 'mean_iou'"):
        check_scoring("mean_iuo", ["predict"])


@pytest.mark.parametrize("score", [mean_iou_score, dice_score, pixel_accuracy_score, depth_scores])
def test_what_are_no_maps_is_refused_with_what_to_write(score):
    maps = np.ones((2, 3, 4), dtype=int)
    with pytest.raises(ValueError, match=r"pass \[y_true\] and \[y_pred\]"):
        score(maps[0], maps[0])
    with pytest.raises(ValueError, match=r"read files, \[np\.asarray\(Image\.open\(file\)\)"):
        score(["0.png", "1.png"], maps)


@pytest.mark.parametrize("score", [mean_iou_score, dice_score, pixel_accuracy_score])
def test_text_is_not_compared_with_numbers(score):
    numbers = np.zeros((2, 3, 4), dtype=int)
    text = np.full(numbers.shape, "0")
    for true, predicted in (numbers, text), (text, numbers):
        with pytest.raises(ValueError, match="bring both to text, or both to numbers"):
            score(true, predicted)


@pytest.mark.parametrize("weights", [[1, -1, 1], [1, np.nan, 1], np.ones((3, 6, 8))])
@pytest.mark.parametrize("function", [mean_iou_score, pixel_accuracy_score])
def test_weights_of_images_are_checked(function, weights):
    masks = RNG.integers(0, 2, (3, 6, 8))
    with pytest.raises(ValueError, match=r"(?i)sample.weight"):
        function(masks, masks, sample_weight=weights)

"""A gallery shows what is wrong: images, their order and their titles."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from drawn import SIDE, bars_and_discs, placed_discs, several_shapes
from image_files import noise, write_images
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC
from small_networks import fitted_with_scores, network
from torch.utils.data import TensorDataset

from sklearn_cnn import CNNRegressor, ImageReader
from sklearn_cnn.plots import PredictionsDisplay

pytestmark = pytest.mark.usefixtures("close_figures")


@pytest.fixture(scope="module")
def shapes():
    return bars_and_discs(40)


@pytest.fixture(scope="module")
def fitted(shapes):
    return fitted_with_scores(*shapes)


def titles(display):
    """Return the titles of the panels, but for the sign of wrong ones."""
    return [ax.get_title().removeprefix("✗ ") for ax in display.axes_]


def test_the_least_likely_truth_comes_first(fitted, shapes):
    X, y = shapes
    probabilities = fitted.predict_proba(X)
    of_truth = probabilities[np.arange(len(y)), (y == "disc").astype(int)]
    worst = np.argsort(of_truth, kind="stable")[:5]
    display = PredictionsDisplay.from_estimator(fitted, X, y, n_images=5)
    np.testing.assert_array_equal(display.indices, worst)
    np.testing.assert_allclose(display.errors, 1 - of_truth[worst])
    predicted = fitted.predict(X[worst])
    assert titles(display) == [
        f"true {y[row]}\npredicted {label} ({max(probabilities[row]):.2f})"
        for row, label in zip(worst, predicted, strict=True)
    ]
    assert display.is_wrong.tolist() == (predicted != y[worst]).tolist()
    colors = [ax.title.get_color() for ax in display.axes_]
    assert [color == "tab:red" for color in colors] == display.is_wrong.tolist()
    signs = [ax.get_title().startswith("✗ ") for ax in display.axes_]
    assert signs == display.is_wrong.tolist()
    best = PredictionsDisplay.from_estimator(fitted, X, y, n_images=3, order="best")
    np.testing.assert_array_equal(best.indices, np.argsort(-of_truth, kind="stable")[:3])


def test_images_at_random_follow_random_state(fitted, shapes):
    def drawn(seed):
        display = PredictionsDisplay.from_estimator(
            fitted, *shapes, n_images=9, order="random", random_state=seed
        )
        return display.indices.tolist()

    assert drawn(0) == drawn(0) != drawn(1)
    assert len(set(drawn(0))) == 9


def test_without_probabilities_the_decision_orders(shapes):
    X, y = shapes
    gray_rows = X.mean(axis=3).reshape(len(X), -1)
    for model, images in (network(loss="hinge"), X), (SVC(), gray_rows):
        decision = model.fit(images, y).decision_function(images)
        margins = np.where(y == "disc", decision, -decision)
        display = PredictionsDisplay.from_estimator(model, images, y, n_images=4)
        np.testing.assert_array_equal(display.indices, np.argsort(margins, kind="stable")[:4])
        first = display.indices[0]
        assert titles(display)[0] == f"true {y[first]}\npredicted {model.predict(images)[first]}"


def test_wrong_labels_of_three_come_first_by_decision():
    X, y = load_digits(n_class=3, return_X_y=True)
    model = network(loss="hinge", max_epochs=1).fit(X[:100], y[:100])
    wrong = np.flatnonzero(model.predict(X[100:]) != y[100:])
    display = PredictionsDisplay.from_estimator(model, X[100:], y[100:], n_images=len(wrong) + 3)
    assert len(wrong) > 0
    assert sorted(display.indices[: len(wrong)]) == wrong.tolist()
    assert (np.diff(display.errors) <= 0).all()


@pytest.mark.parametrize("n_classes", [3, 4])
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a search"])
def test_a_decision_between_pairs_is_left_out(n_classes, inside):
    X, y = load_digits(n_class=n_classes, return_X_y=True)
    model = SVC(C=0.01, decision_function_shape="ovo")
    if inside:
        model = GridSearchCV(make_pipeline(MinMaxScaler(), model), {"svc__C": [0.01]}, cv=2)
    model.fit(X[:60], y[:60])
    X, y = X[60:120], y[60:120]
    wrong = np.flatnonzero(model.predict(X) != y)
    display = PredictionsDisplay.from_estimator(model, X, y, n_images=len(wrong) + 1)
    assert len(wrong) > 0
    assert display.indices[:-1].tolist() == wrong.tolist()
    assert display.errors.tolist() == [1] * len(wrong) + [0]


def test_of_two_classes_one_pair_is_the_decision(shapes):
    X, y = shapes
    gray_rows = X.mean(axis=3).reshape(len(X), -1)
    displays = [
        PredictionsDisplay.from_estimator(model.fit(gray_rows, y), gray_rows, y)
        for model in (SVC(), SVC(decision_function_shape="ovo"))
    ]
    np.testing.assert_array_equal(displays[0].errors, displays[1].errors)


def test_the_only_class_there_is_cannot_be_wrong():
    X = bars_and_discs(6)[0]
    model = network(loss="hinge", max_epochs=1).fit(X, np.zeros(6))
    assert PredictionsDisplay.from_estimator(model, X, np.zeros(6)).errors.tolist() == [0] * 6


def test_predictions_without_probabilities():
    X = np.zeros((4, 3, 3))
    display = PredictionsDisplay.from_predictions(X, ["a", "b", "b", "a"], ["a", "b", "a", "b"])
    assert display.indices.tolist() == [2, 3, 0, 1]
    assert display.errors.tolist() == [1, 1, 0, 0]
    assert titles(display)[0] == "true b\npredicted a"


def test_predictions_in_folds_with_names(shapes):
    X, y = shapes
    probabilities = cross_val_predict(network(), X, y, cv=2, method="predict_proba")
    predicted = np.unique(y)[probabilities.argmax(axis=1)]
    display = PredictionsDisplay.from_predictions(
        X, y, predicted, y_proba=probabilities, display_labels=["a bar", "a disc"], n_images=1
    )
    row = display.indices[0]
    assert row == np.argmin(probabilities[np.arange(len(y)), (y == "disc").astype(int)])
    assert titles(display)[0].startswith(f"true a {y[row]}\npredicted a {predicted[row]} (0.")


def test_floats_with_probabilities_are_labels():
    X, y_true, y_pred = np.zeros((3, 2, 2)), [0.0, 1.0, 1.0], [0.0, 1.0, 0.0]
    probabilities = [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]]
    display = PredictionsDisplay.from_predictions(X, y_true, y_pred, y_proba=probabilities)
    assert titles(display)[0] == "true 1.0\npredicted 0.0 (0.70)"
    np.testing.assert_allclose(display.errors, [0.7, 0.2, 0.1])
    display = PredictionsDisplay.from_predictions(X, y_true, y_pred, classes=[0, 1])
    assert display.errors.tolist() == [1, 0, 0]
    indicator = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    display = PredictionsDisplay.from_predictions(X, indicator, indicator, y_proba=probabilities)
    assert titles(display)[0] == "found 0, 1"


@pytest.mark.parametrize("y_true", [list("abba"), np.array([0, 1, 1, 0])], ids=["text", "numbers"])
def test_probabilities_are_no_predictions(y_true):
    X, _ = bars_and_discs(4)
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])
    message = r"holds probabilities\. Pass labels, classes_\[y_pred\.argmax.*as y_proba"
    with pytest.raises(ValueError, match=message):
        PredictionsDisplay.from_predictions(X, y_true, probabilities)


@pytest.mark.usefixtures("close_figures")
def test_shares_of_an_image_are_no_probabilities():
    X, _ = bars_and_discs(4)
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])
    display = PredictionsDisplay.from_predictions(X, shares, shares)
    assert display.errors.tolist() == [0, 0, 0, 0]


def test_a_dollar_sign_is_no_formula():
    display = PredictionsDisplay.from_predictions(np.zeros((1, 2, 2)), ["$1"], ["$5"])
    assert titles(display) == ["true $1\npredicted $5"]
    assert not display.axes_[0].title.get_parse_math()


def test_a_label_that_the_network_does_not_know_is_wrong(fitted, shapes):
    X, y = shapes
    y = np.where(np.arange(len(y)) == 7, "ring", y)
    display = PredictionsDisplay.from_estimator(fitted, X, y, n_images=1)
    assert display.indices.tolist() == [7]
    assert display.errors.tolist() == [1]
    assert titles(display)[0].startswith("true ring\npredicted ")


def test_labels_missed_and_added():
    y_true = [[1, 0, 1], [1, 0, 0], [0, 0, 0], [1, 1, 0]]
    y_pred = [[1, 0, 1], [0, 1, 1], [0, 1, 0], [1, 0, 0]]
    display = PredictionsDisplay.from_predictions(
        np.zeros((4, 2, 2)), y_true, y_pred, display_labels=["cat", "dog", "car"]
    )
    assert display.indices.tolist() == [1, 2, 3, 0]
    assert display.errors.tolist() == [3, 1, 1, 0]
    assert titles(display) == [
        "missed cat\nadded dog, car",
        "added dog",
        "found cat\nmissed dog",
        "found cat, car",
    ]


def test_an_image_without_labels_can_be_right():
    display = PredictionsDisplay.from_predictions(
        np.zeros((2, 2, 2)), [[0, 0], [1, 0]], [[0, 0]] * 2
    )
    assert titles(display) == ["missed 0", "no label, as predicted"]


def test_long_titles_are_broken():
    names = ["a bird in flight", "a boat at anchor", "indistinguishabletreesandbushes"]
    display = PredictionsDisplay.from_predictions(
        np.zeros((1, 2, 2)), [[1, 1, 1]], [[1, 1, 1]], display_labels=names
    )
    assert display.titles == [f"found {', '.join(names)}"]
    assert titles(display) == [
        "found a bird in flight, a\nboat at anchor,\nindistinguishabletreesandbushes"
    ]


def test_of_labels_as_often_wrong_the_less_sure_come_first():
    X, y = several_shapes(40)
    model = network().fit(X, y)
    probabilities = model.predict_proba(X)
    expected = (model.predict(X) != y).sum(axis=1) + np.abs(y - probabilities).mean(axis=1)
    display = PredictionsDisplay.from_estimator(model, X, y, n_images=6)
    np.testing.assert_array_equal(display.indices, np.argsort(-expected, kind="stable")[:6])


def test_the_largest_errors_come_first():
    X = np.zeros((3, 2, 2))
    display = PredictionsDisplay.from_predictions(X, [1.0, 2.0, 3.5], [1.25, 0.0, 3.0])
    assert display.indices.tolist() == [1, 2, 0]
    assert display.errors.tolist() == [2, 0.5, 0.25]
    assert titles(display)[0] == "true 2\npredicted 0"


def test_titles_tell_true_and_predicted_numbers_apart():
    def title(true, predicted):
        return titles(PredictionsDisplay.from_predictions(np.zeros((1, 2, 2)), true, predicted))[0]

    assert title([51234.0], [50987.4]) == "true 51234\npredicted 50987"
    assert title([12.0], [12.04]) == "true 12\npredicted 12.04"
    assert title([2.0], [2.0]) == "true 2\npredicted 2"
    assert title([1.5e9], [2e9]) == "true 1.5e+09\npredicted 2e+09"
    assert title([[51234.0, 3.0]], [[50987.0, 7.0]]) == "0: 51234 → 50987 (worst)\n1: 3 → 7"


def test_several_numbers_count_in_their_own_scale():
    # standard deviations of 1 and 100
    y_true = np.array([[-1.0, -100], [1, -100], [-1, 100], [1, 100]])
    y_pred = y_true + np.array([[0, 50], [2, 0], [0, 0], [0.5, 10]])
    display = PredictionsDisplay.from_predictions(np.zeros((4, 2, 2)), y_true, y_pred)
    assert display.indices.tolist() == [1, 3, 0, 2]
    np.testing.assert_allclose(display.errors, [1, 0.3, 0.25, 0])
    assert titles(display)[1] == "0: 1 → 1.5 (worst)\n1: 100 → 110"
    frame = pd.DataFrame(y_true, columns=["width", "weight"])
    display = PredictionsDisplay.from_predictions(np.zeros((4, 2, 2)), frame, y_pred)
    assert titles(display)[0] == "width: 1 → 3 (worst)\nweight: -100 → -100"
    display = PredictionsDisplay.from_predictions(
        np.zeros((4, 2, 2)), frame, y_pred, display_labels=["w", "kg"], n_images=1
    )
    assert titles(display) == ["w: 1 → 3 (worst)\nkg: -100 → -100"]


def test_many_numbers_have_their_error_and_the_worst_as_title():
    y = np.tile([-1.0, 1.0], (4, 1)).T
    display = PredictionsDisplay.from_predictions(
        np.zeros((2, 2, 2)), y, y + np.array([[0, 0, 2.0, 0], [0] * 4])
    )
    assert titles(display)[0] == "off by 0.5 std. dev.\n2: -1 → 1 (worst)"


def test_labels_have_the_names_of_their_columns():
    y = pd.DataFrame({"cat": [1, 0], "dog": [0, 1]})
    display = PredictionsDisplay.from_predictions(np.zeros((2, 2, 2)), y, y.to_numpy())
    assert titles(display) == ["found cat", "found dog"]


def test_images_are_named_by_file_or_row(tmp_path, fitted, shapes):
    paths = write_images(tmp_path / "photos", [noise(seed=seed) for seed in range(3)])
    display = PredictionsDisplay.from_predictions(paths, [0, 1, 1], [0, 0, 1], n_images=2)
    assert [ax.get_xlabel() for ax in display.axes_] == ["photos/0001.png", "photos/0000.png"]
    display = PredictionsDisplay.from_estimator(fitted, *shapes, n_images=2)
    assert [ax.get_xlabel() for ax in display.axes_] == [f"X[{row}]" for row in display.indices]


def test_a_regressor_of_counts_is_no_classifier():
    X, y = placed_discs(20)
    counts = y[:, 0].astype(int)
    model = network(CNNRegressor).fit(X, counts)
    errors = np.abs(model.predict(X) - counts)
    display = PredictionsDisplay.from_estimator(model, X, counts, n_images=2)
    np.testing.assert_allclose(display.errors, np.sort(errors)[::-1][:2])


def test_key_points_are_drawn_where_they_are():
    X, centres = placed_discs(20)
    # rows and columns are y and x
    y = centres[:, ::-1]
    model = network(CNNRegressor).fit(X, y)
    predicted = model.predict(X)
    distances = np.linalg.norm(predicted - y, axis=1)
    display = PredictionsDisplay.from_estimator(model, X, y, keypoints=True, n_images=4)
    worst = np.argsort(-distances, kind="stable")[:4]
    np.testing.assert_array_equal(display.indices, worst)
    for row, true, of_network in zip(
        worst, display.true_points_, display.predicted_points_, strict=True
    ):
        np.testing.assert_allclose(true.get_offsets(), [y[row]])
        np.testing.assert_allclose(of_network.get_offsets(), [predicted[row]])
    assert titles(display)[0] == f"off by {distances[worst[0]]:.2g} pixels"
    # the image is drawn in pixels, the first centred on 0
    assert display.ims_[0].get_extent() == [-0.5, SIDE - 0.5, SIDE - 0.5, -0.5]


IMAGES = np.stack([noise(5, 7, seed=seed) for seed in range(3)])


def forms_of_images(folder):
    """Yield images that are all the same, and how to read them."""
    paths = write_images(folder, IMAGES)
    yield "array", IMAGES, {}
    yield "channels first", np.moveaxis(IMAGES, -1, 1), {"channel_axis": 1}
    yield "rows", IMAGES.reshape(3, -1), {"image_shape": (5, 7, 3)}
    yield "rows in a list", IMAGES.reshape(3, -1).tolist(), {"image_shape": (5, 7)}
    yield "tensor", torch.from_numpy(IMAGES), {}
    yield "list of arrays", list(IMAGES), {}
    yield "PIL", [Image.fromarray(image) for image in IMAGES], {}
    yield "paths", paths, {}
    yield "frame", pd.DataFrame({"path": paths}), {}
    yield "series", pd.Series(paths), {}
    yield "pairs", [(image, 0) for image in IMAGES], {}
    yield "dataset", TensorDataset(torch.from_numpy(IMAGES), torch.arange(3)), {}


def test_images_of_every_form_are_shown_as_they_are(tmp_path):
    for form, X, params in forms_of_images(tmp_path):
        display = PredictionsDisplay.from_predictions(X, [0, 0, 1], [0, 1, 1], **params)
        assert display.indices.tolist() == [1, 0, 2], form
        for image, drawn, row in zip(display.images, display.ims_, display.indices, strict=True):
            np.testing.assert_array_equal(image, IMAGES[row], err_msg=form)
            np.testing.assert_allclose(drawn.get_array(), IMAGES[row] / 255, err_msg=form)


def test_an_estimator_knows_how_its_rows_unfold():
    rows = np.moveaxis(IMAGES, -1, 1).reshape(3, -1)
    model = network(image_shape=(5, 7, 3), channel_axis=1).fit(rows, [0, 1, 0])
    for estimator in model, make_pipeline(model).fit(rows, [0, 1, 0]):
        display = PredictionsDisplay.from_estimator(estimator, rows, [0, 1, 0])
        np.testing.assert_array_equal(display.images, IMAGES[display.indices])


def test_rows_unfold_as_they_are_said_to():
    rows = np.moveaxis(IMAGES, -1, 1).reshape(3, -1)
    y = [0, 1, 0]
    model = network(image_shape=(5, 7, 3), channel_axis=1)
    ensemble = VotingClassifier([("one", model)], voting="soft").fit(rows, y)
    said = {"image_shape": (5, 7, 3), "channel_axis": 1}
    display = PredictionsDisplay.from_estimator(ensemble, rows, y, **said)
    np.testing.assert_array_equal(display.images, IMAGES[display.indices])
    # what is said goes before what the network does
    model.fit(rows, y)
    said = {"image_shape": (7, 5, 3), "channel_axis": -1}
    display = PredictionsDisplay.from_estimator(model, rows, y, **said)
    np.testing.assert_array_equal(display.images, rows.reshape(3, 7, 5, 3)[display.indices])
    channels_first = rows.reshape(3, 3, 5, 7)
    ensemble.set_params(one__image_shape=None).fit(channels_first, y)
    display = PredictionsDisplay.from_estimator(ensemble, channels_first, y, channel_axis=1)
    np.testing.assert_array_equal(display.images, IMAGES[display.indices])


def test_rows_of_another_length_than_the_network_sees_unfold_by_a_guess():
    X, y = load_digits(n_class=2, return_X_y=True)
    pipeline = make_pipeline(PCA(36), network(max_epochs=1)).fit(X[:40], y[:40])
    assert pipeline[-1].image_shape_ == (6, 6, 1)
    display = PredictionsDisplay.from_estimator(pipeline, X[:40], y[:40])
    np.testing.assert_array_equal(display.images, X.reshape(-1, 8, 8, 1)[display.indices])
    with pytest.raises(ValueError, match=r"image_shape=\(6, 6\) takes 36"):
        PredictionsDisplay.from_estimator(pipeline, X[:40], y[:40], image_shape=(6, 6))


def test_signals_of_many_channels_are_shown_as_they_were_fitted():
    X = np.random.default_rng(0).random((4, 1, 30, 20))
    y = [0, 1, 0, 1]
    model = network(image_shape=(1, 30, 20)).fit(X, y)
    display = PredictionsDisplay.from_estimator(model, X, y)
    np.testing.assert_array_equal(display.images, X.astype(np.float32)[display.indices])
    display = PredictionsDisplay.from_predictions(X, y, y, image_shape=(1, 30, 20))
    assert display.images[0].shape == (1, 30, 20)


def test_files_are_shown_in_their_own_size(tmp_path):
    paths = write_images(tmp_path, [noise(5, 7, seed=0), noise(9, 4, seed=1)])
    model = network(image_shape=(6, 6)).fit(paths, [0, 1])
    display = PredictionsDisplay.from_estimator(model, paths, [0, 1])
    shapes = {0: (5, 7, 3), 1: (9, 4, 3)}
    assert [image.shape for image in display.images] == [shapes[row] for row in display.indices]
    others = make_pipeline(ImageReader((6, 6)), LogisticRegression()).fit(paths, [0, 1])
    display = PredictionsDisplay.from_estimator(others, paths, [0, 1])
    assert [image.shape for image in display.images] == [shapes[row] for row in display.indices]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0, 255], [0, 1]),
        ([0, 51], [0, 0.2]),
        ([0.0, 0.25], [0, 0.25]),
        ([False, True], [0, 1]),
        ([0.0, 8.0], [0, 0.5]),
        ([-1.0, 3.0], [0, 1]),
        ([0, 1000], [0, 1]),
        ([-2.0, -2.0], [0, 0]),
    ],
)
def test_values_of_any_range_are_seen(values, shown):
    X = np.array(values)[:, None, None] * np.ones((1, 2, 2), dtype=np.array(values).dtype)
    display = PredictionsDisplay.from_predictions(X, [0, 0], [0, 0])
    assert [drawn.get_array()[0, 0] for drawn in display.ims_] == shown
    assert display.ims_[0].get_clim() == (0, 1)


def test_images_of_two_channels_are_gray():
    X = np.zeros((1, 2, 2, 2))
    X[..., 1] = 1
    display = PredictionsDisplay.from_predictions(X, [0], [0])
    assert display.ims_[0].get_array().tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_the_gallery_takes_the_place_of_the_axes_passed(fitted, shapes):
    figure, (left, right) = plt.subplots(1, 2)
    display = PredictionsDisplay.from_estimator(
        fitted, *shapes, ax=left, n_images=5, n_cols=2, imshow_kwargs={"cmap": "viridis"}
    )
    assert display.figure_ is figure
    assert display.bounding_ax_ is left
    assert right.axison
    assert {ax.get_subplotspec().get_gridspec().get_geometry() for ax in display.axes_} == {(3, 2)}
    assert display.ims_[0].get_cmap().name == "viridis"
    again = display.plot(display.axes_)
    assert again is display
    assert again.bounding_ax_ is None
    with pytest.raises(ValueError, match="2 axes, but there are 5 panels"):
        display.plot(plt.subplots(1, 2)[1])
    with pytest.raises(ValueError, match=r"plt\.subplots"):
        display.plot(plt.figure().add_axes((0, 0, 1, 1)))


def test_frames_are_no_matter_of_configuration(fitted, shapes):
    with sklearn.config_context(transform_output="pandas"):
        display = PredictionsDisplay.from_estimator(fitted, *shapes, n_images=2)
    assert display.images[0].shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"order": "first"}, "worst, best, random"),
        ({"n_images": 0}, "n_images == 0"),
        ({"n_cols": 0}, "n_cols == 0"),
        ({"keypoints": True}, "for regressors"),
        ({"display_labels": ["one"]}, "1 names for 2 classes"),
    ],
)
def test_wrong_arguments_are_refused(params, message, fitted, shapes):
    with pytest.raises(ValueError, match=message):
        PredictionsDisplay.from_estimator(fitted, *shapes, **params)


def test_what_does_not_belong_together_is_refused(shapes):
    X, y = shapes
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        PredictionsDisplay.from_predictions(X[:-1], y, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        PredictionsDisplay.from_predictions(X, y, y[:-1])
    with pytest.raises(ValueError, match=r"y_proba has shape \(40, 3\).* classes="):
        PredictionsDisplay.from_predictions(X, y, y, y_proba=np.ones((40, 3)))
    with pytest.raises(ValueError, match="y_proba contains NaN"):
        PredictionsDisplay.from_predictions(X, y, y, y_proba=np.full((40, 2), np.nan))
    with pytest.raises(ValueError, match=r"y_pred has shape \(40, 2\)"):
        PredictionsDisplay.from_predictions(X, np.ones(40), np.ones((40, 2)))
    with pytest.raises(ValueError, match="even number of columns"):
        PredictionsDisplay.from_predictions(X, np.ones((40, 3)), np.ones((40, 3)), keypoints=True)
    with pytest.raises(NotFittedError):
        PredictionsDisplay.from_estimator(network(), X, y)


@pytest.mark.parametrize("name", ["n_images", "n_cols"])
def test_a_number_of_images_is_an_integer(name):
    with pytest.raises(TypeError, match=f"{name} must be an instance of int, not float"):
        PredictionsDisplay.from_predictions(np.zeros((2, 3, 3)), [0, 1], [0, 1], **{name: 2.0})


@pytest.mark.parametrize("keypoints", [False, True])
@pytest.mark.parametrize(
    "y",
    [[], np.zeros(0, dtype=int), np.zeros(0), np.zeros((0, 2)), np.zeros((0, 2), dtype=int)],
    ids=["list", "labels", "numbers", "several numbers", "indicator"],
)
def test_no_image_at_all_is_refused(y, keypoints):
    with pytest.raises(ValueError, match="at least one image, but y is empty"):
        PredictionsDisplay.from_predictions(np.zeros((0, 3, 3)), y, y, keypoints=keypoints)


def test_what_is_said_of_labels_is_refused_for_others(shapes):
    X, _ = shapes
    points = np.ones((40, 2))
    with pytest.raises(ValueError, match="1 names for 2 classes or columns"):
        PredictionsDisplay.from_predictions(X, points, points, display_labels=["one"])
    for name, value in {"y_proba": points, "classes": [0, 1], "display_labels": "ab"}.items():
        with pytest.raises(ValueError, match=f"{name} is for labels, but y holds key points"):
            PredictionsDisplay.from_predictions(X, points, points, keypoints=True, **{name: value})
    indicator = points.astype(int)
    with pytest.raises(ValueError, match="classes is for one label an image"):
        PredictionsDisplay.from_predictions(X, indicator, indicator, classes=["one", "two"])


def test_without_matplotlib_the_error_says_what_to_install(fitted, shapes, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (
        lambda: PredictionsDisplay.from_estimator(fitted, *shapes),
        lambda: PredictionsDisplay.from_predictions(shapes[0], shapes[1], shapes[1]),
    ):
        with pytest.raises(ImportError, match=r"sklearn-cnn\[plots\]"):
            draw()


def test_numbers_that_are_missing_do_not_count(shapes):
    X = shapes[0][:4]
    y = np.array([[0.0, 1.0], [np.nan, 3.0], [2.0, 5.0], [4.0, np.nan]])
    off = np.array([[0.0, 0.0], [9.0, 4.0], [1.0, 0.0], [0.0, 9.0]])
    display = PredictionsDisplay.from_predictions(X, y, np.nan_to_num(y) + off, n_images=4)
    assert display.indices.tolist() == [1, 2, 0, 3]
    points = PredictionsDisplay.from_predictions(
        X, y, np.nan_to_num(y) + off, n_images=4, keypoints=True
    )
    assert points.errors.tolist() == [1, 0, 0, 0]

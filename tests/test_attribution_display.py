"""A gallery shows attributions over images, and names what they are of."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from drawn import SIDE, bars_and_discs, placed_discs, several_shapes
from drawn_pixels import map_classifier, shapes
from image_files import noise, write_images
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from small_networks import network

from sklearn_cnn import CNNClassifier, CNNRegressor, UNet
from sklearn_cnn.inspection import attributions
from sklearn_cnn.plots import AttributionDisplay, PredictionsDisplay

pytestmark = pytest.mark.usefixtures("close_figures")


@pytest.fixture(scope="module")
def drawn():
    return bars_and_discs(20)


@pytest.fixture(scope="module")
def fitted(drawn):
    return network(max_epochs=6).fit(*drawn)


def titles(display):
    return [ax.get_title().removeprefix("✗ ") for ax in display.axes_]


def test_without_truth_the_first_images_are_shown_with_the_predicted_class(fitted, drawn):
    X, _ = drawn
    display = AttributionDisplay.from_estimator(
        fitted, X, method="integrated_gradients", n_images=5
    )
    assert display.indices.tolist() == [0, 1, 2, 3, 4]
    known = attributions(fitted, X[:5], method="integrated_gradients")
    np.testing.assert_array_equal(display.attributions, known)
    probabilities = fitted.predict_proba(X[:5])
    assert titles(display) == [
        f"target {label} ({max(of_image):.2f})"
        for label, of_image in zip(fitted.predict(X[:5]), probabilities, strict=True)
    ]
    for drawn_image, overlay, image, of_image in zip(
        display.ims_, display.overlays_, X, known, strict=False
    ):
        np.testing.assert_allclose(drawn_image.get_array(), image.mean(axis=2) / 255)
        shares = of_image / np.abs(of_image).max()
        np.testing.assert_allclose(overlay.get_array(), shares)
        # the stronger, the less of the image is seen
        np.testing.assert_allclose(overlay.get_alpha(), 0.8 * np.abs(shares))
        assert overlay.get_extent() == drawn_image.get_extent()
    assert display.colorbar_.ax.get_ylabel().startswith("Integrated gradients")
    assert [ax.get_xlabel() for ax in display.axes_] == [f"X[{row}]" for row in range(5)]


def test_with_truth_the_images_are_those_of_the_predictions(fitted, drawn):
    X, y = drawn
    names = ["a bar", "a disc"]
    params = {"n_images": 4, "display_labels": names}
    predictions = PredictionsDisplay.from_estimator(fitted, X, y, **params)
    display = AttributionDisplay.from_estimator(fitted, X, y, **params)
    np.testing.assert_array_equal(display.indices, predictions.indices)
    np.testing.assert_array_equal(display.is_wrong, predictions.is_wrong)
    predicted = [f"target a {label}" for label in fitted.predict(X[display.indices])]
    assert titles(display) == [
        f"{title}\n{line}" for title, line in zip(titles(predictions), predicted, strict=True)
    ]
    best = AttributionDisplay.from_estimator(fitted, X, y, order="best", **params)
    known = PredictionsDisplay.from_estimator(fitted, X, y, order="best", **params)
    np.testing.assert_array_equal(best.indices, known.indices)


def test_a_target_an_image_goes_with_its_image(fitted, drawn):
    X, y = drawn
    other = np.where(fitted.predict(X) == "disc", "bar", "disc")
    display = AttributionDisplay.from_estimator(
        fitted, X, y, target=other, n_images=6, method="integrated_gradients"
    )
    known = attributions(fitted, X, target=other, method="integrated_gradients")
    np.testing.assert_allclose(
        np.array(display.attributions), known[display.indices], rtol=1e-3, atol=1e-4
    )
    of_other = fitted.predict_proba(X).min(axis=1)
    lines = [title.split("\n")[-1] for title in titles(display)]
    assert lines == [f"target {other[row]} ({of_other[row]:.2f})" for row in display.indices]
    with pytest.raises(ValueError, match="target must hold one for each of 20 images of X, but"):
        AttributionDisplay.from_estimator(fitted, X, target=other[:6])


def test_images_at_random_follow_random_state(fitted, drawn):
    def chosen(seed, y=None):
        return AttributionDisplay.from_estimator(
            fitted, drawn[0], y, order="random", random_state=seed, n_images=9
        ).indices.tolist()

    assert chosen(0) == chosen(0) == chosen(0, drawn[1]) != chosen(1)
    assert len(set(chosen(0))) == 9


def test_without_probabilities_the_class_stands_alone(drawn):
    X, y = drawn
    model = network(loss="hinge").fit(X, y)
    display = AttributionDisplay.from_estimator(model, X, target="disc", n_images=2)
    assert titles(display) == ["target disc"] * 2


def test_labels_have_the_names_of_their_columns():
    X, y = several_shapes(20)
    frame = pd.DataFrame(y, columns=["bar", "disc"])
    model = network().fit(X, y)
    display = AttributionDisplay.from_estimator(model, X, frame, target=1, n_images=3)
    for title, row in zip(titles(display), display.indices, strict=True):
        probability = model.predict_proba(X[row : row + 1])[0, 1]
        assert title.split("\n")[-1] == f"target disc ({probability:.2f})"


def test_numbers_are_named_and_told():
    X, centres = placed_discs(20)
    one = network(CNNRegressor).fit(X, centres[:, 0])
    display = AttributionDisplay.from_estimator(one, X, n_images=2)
    assert titles(display) == [f"predicted {number:.3g}" for number in one.predict(X[:2])]
    display = AttributionDisplay.from_estimator(one, X, centres[:, 0], n_images=1)
    [row] = display.indices
    number = one.predict(X[row : row + 1])[0]
    assert titles(display) == [f"true {centres[row, 0]:.3g}\npredicted {number:.3g}"]
    assert display.is_wrong is None

    several = network(CNNRegressor).fit(X, centres)
    frame = pd.DataFrame(centres, columns=["row", "column"])
    display = AttributionDisplay.from_estimator(several, X, frame, target=1, n_images=1)
    [row] = display.indices
    number = several.predict(X[row : row + 1])[0, 1]
    assert titles(display) == [f"target column: {centres[row, 1]:.3g} → {number:.3g}"]
    # a signed map has a scale to both sides
    assert display.colorbar_.ax.get_ylim() == (-1, 1)


def test_the_key_point_of_the_target_is_drawn():
    X, centres = placed_discs(20)
    y = centres[:, ::-1]
    two = np.hstack([y, y + 2])
    model = network(CNNRegressor).fit(X, two)
    params = {"keypoints": True, "target": 3, "n_images": 2}
    display = AttributionDisplay.from_estimator(model, X, two, **params)
    for row, true, predicted, title in zip(
        display.indices,
        display.true_points_,
        display.predicted_points_,
        titles(display),
        strict=True,
    ):
        answer = model.predict(X[row : row + 1])[0]
        np.testing.assert_allclose(true.get_offsets(), two[row : row + 1, 2:])
        np.testing.assert_allclose(predicted.get_offsets(), [answer[2:]], rtol=1e-4)
        assert title.split("\n")[0].startswith("off by")
        assert title.split("\n")[1] == f"target y1 ({answer[3]:.3g})"
    display = AttributionDisplay.from_estimator(model, X, **params)
    assert display.true_points_ is None
    assert len(display.predicted_points_) == 2


def test_masks_and_maps_say_how_much_is_the_class():
    X, masks = shapes(12)
    model = map_classifier().fit(X, masks)
    display = AttributionDisplay.from_estimator(
        model, X, masks, target=1, display_labels=["ground", "square", "disc"], n_images=2
    )
    known = PredictionsDisplay.from_estimator(model, X, masks, n_images=2)
    np.testing.assert_array_equal(display.indices, known.indices)
    for title, row, error in zip(display.titles, display.indices, known.errors, strict=True):
        share = (model.predict(X[row : row + 1]) == 1).mean()
        assert title == f"mean IoU {1 - error:.2f}\ntarget square ({share:.0%} of pixels)"

    labels = np.stack([masks == 1, masks > 0], axis=-1).astype(int)
    params = {"max_epochs": 2, "batch_size": 6, "random_state": 0}
    several = CNNClassifier(UNet((4, 8)), **params).fit(X, labels)
    display = AttributionDisplay.from_estimator(several, X, target=1, n_images=1)
    assert display.titles == [f"target 1 ({several.predict(X[:1])[..., 1].mean():.0%} of pixels)"]

    depths = CNNRegressor(UNet((4, 8)), **params).fit(X, masks / 2)
    display = AttributionDisplay.from_estimator(depths, X, n_images=1)
    assert titles(display) == [f"predicted mean {depths.predict(X[:1]).mean():.3g}"]


def test_files_are_shown_in_their_own_size_unless_they_are_cut_or_filled(tmp_path):
    images = [noise(10, 14, seed=0), noise(9, 8, seed=1)]
    paths = write_images(tmp_path / "photos", images)
    for mode, sizes in {"squash": [(10, 14), (9, 8)], "pad": [(6, 6)] * 2}.items():
        model = network(image_shape=(6, 6), resize_mode=mode).fit(paths, [0, 1])
        display = AttributionDisplay.from_estimator(model, paths)
        assert [image.shape[:2] for image in display.images] == sizes
        assert [overlay.get_array().shape for overlay in display.overlays_] == [(6, 6)] * 2
        for im, overlay in zip(display.ims_, display.overlays_, strict=True):
            assert im.get_extent() == overlay.get_extent()
    assert [ax.get_xlabel() for ax in display.axes_] == ["photos/0000.png", "photos/0001.png"]


def test_a_frame_of_paths_in_a_pipeline(tmp_path):
    frame = pd.DataFrame({"photo": write_images(tmp_path, [noise(seed=s) for s in range(4)])})
    pipeline = make_pipeline("passthrough", network()).fit(frame, [0, 1, 0, 1])
    display = AttributionDisplay.from_estimator(pipeline, frame, [0, 1, 0, 1], n_images=3)
    assert len(display.axes_) == 3


def test_what_comes_before_the_network_is_gone_through(drawn):
    X, y = drawn
    rows = X.reshape(len(X), -1)
    model = make_pipeline(MinMaxScaler(), network(image_shape=(SIDE, SIDE, 3))).fit(rows, y)
    display = AttributionDisplay.from_estimator(model, rows, n_images=2, method="occlusion")
    scaled = model[0].transform(rows[:2]).reshape(2, SIDE, SIDE, 3)
    np.testing.assert_allclose(display.images, scaled, rtol=1e-6)
    known = attributions(model, rows[:2], method="occlusion")
    np.testing.assert_array_equal(display.attributions, known)


@pytest.mark.parametrize("n_channels", [1, 4, 5])
def test_images_of_any_channels_are_shown_in_gray(n_channels):
    X = np.random.default_rng(0).random((6, 8, 8, n_channels))
    display = AttributionDisplay.from_estimator(network().fit(X, [0, 1] * 3), X, n_images=2)
    shown = X[0][..., :3].mean(axis=2) if n_channels == 4 else X[0].mean(axis=2)
    np.testing.assert_allclose(display.ims_[0].get_array(), shown, rtol=1e-5)


def test_attributions_that_are_there_are_stretched_over_the_images():
    X = np.stack([noise(8, 12, seed=seed) for seed in range(3)])
    found = np.zeros((3, 4, 6))
    found[0, 1, 2], found[1, 0, 0] = 5, -2
    display = AttributionDisplay.from_attributions(
        X, found, titles=["a", "$b", "c"], label="Shapley values"
    )
    assert titles(display) == ["a", "$b", "c"]
    assert display.colorbar_.ax.get_ylabel().startswith("Shapley values")
    assert [overlay.get_array().min() for overlay in display.overlays_] == [0, -1, 0]
    assert [overlay.get_array().max() for overlay in display.overlays_] == [1, 0, 0]
    assert display.overlays_[0].get_extent() == [-0.5, 11.5, 7.5, -0.5]
    rows = X.reshape(3, -1)
    first = AttributionDisplay.from_attributions(
        rows, list(found), image_shape=(8, 12, 3), n_images=1, imshow_kwargs={"cmap": "PiYG"}
    )
    np.testing.assert_array_equal(first.images, X[:1])
    assert first.overlays_[0].get_cmap().name == first.colorbar_.cmap.name == "PiYG"
    # what is nowhere negative needs one side of the scale
    assert first.colorbar_.ax.get_ylim() == (0, 1)


def test_attributions_may_be_flat_or_tensors_with_a_gradient():
    X, found = np.zeros((2, 3, 4)), np.arange(24.0).reshape(2, 3, 4)
    flat = AttributionDisplay.from_attributions(X, found.reshape(2, 12))
    np.testing.assert_array_equal(flat.attributions, found)
    tensors = AttributionDisplay.from_attributions(X, torch.tensor(found, requires_grad=True))
    np.testing.assert_array_equal(tensors.attributions, found)


def test_a_target_may_be_what_titles_call_it(fitted, drawn):
    X, _ = drawn
    params = {"n_images": 2, "method": "integrated_gradients"}
    by_label, by_name = (
        AttributionDisplay.from_estimator(
            fitted, X, target=target, display_labels=["a bar", "a disc"], **params
        )
        for target in ("disc", "a disc")
    )
    np.testing.assert_array_equal(by_name.attributions, by_label.attributions)
    assert by_name.titles == by_label.titles
    X, centres = placed_discs(20)
    frame = pd.DataFrame(centres, columns=["row", "column"])
    several = network(CNNRegressor).fit(X, centres)
    by_index, by_name = (
        AttributionDisplay.from_estimator(several, X, frame, target=target, **params)
        for target in (1, "column")
    )
    np.testing.assert_array_equal(by_name.attributions, by_index.attributions)


def test_codes_of_labels_are_no_labels(fitted, drawn):
    X, y = drawn
    codes = (y == "disc").astype(int)
    for display in (AttributionDisplay, PredictionsDisplay):
        with pytest.raises(ValueError, match=r"\['bar', 'disc'\], but \[0, 1\]\. Pass the labels"):
            display.from_estimator(fitted, X, codes)


def test_the_gallery_takes_the_place_of_the_axes_passed(fitted, drawn):
    figure, (left, right) = plt.subplots(1, 2)
    display = AttributionDisplay.from_estimator(fitted, drawn[0], ax=left, n_images=3, n_cols=2)
    assert display.figure_ is figure
    assert display.bounding_ax_ is left
    assert right.axison
    assert {ax.get_subplotspec().get_gridspec().get_geometry() for ax in display.axes_} == {(2, 2)}
    assert display.plot(display.axes_).bounding_ax_ is None


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"order": "worst"}, "order='worst' needs y"),
        ({"order": "first"}, "order must be one of worst, best, random, got 'first'"),
        ({"n_images": 0}, "n_images == 0"),
        ({"n_cols": 0}, "n_cols == 0"),
        ({"method": "cam"}, "method must be one of hires_cam"),
        ({"target": "ring"}, "target='ring' is not a class"),
        ({"keypoints": True}, "keypoints=True is for regressors"),
        ({"display_labels": ["one"]}, "1 names for 2 classes"),
        ({"window": 2}, "window is for occlusion"),
    ],
)
def test_wrong_arguments_are_refused(params, message, fitted, drawn):
    with pytest.raises(ValueError, match=message):
        AttributionDisplay.from_estimator(fitted, drawn[0], **params)


def test_attributions_that_cannot_be_drawn_are_refused():
    X = np.zeros((2, 4, 4))
    with pytest.raises(ValueError, match=r"attributions\[0\] has shape \(4, 4, 3\).* channels"):
        AttributionDisplay.from_attributions(X, np.zeros((2, 4, 4, 3)))
    with pytest.raises(ValueError, match=r"attributions\[1\] holds NaN"):
        AttributionDisplay.from_attributions(X, [np.zeros((4, 4)), np.full((4, 4), np.nan)])
    with pytest.raises(ValueError, match=r"attributions must hold one for each of 2 .* holds 3"):
        AttributionDisplay.from_attributions(X, np.zeros((3, 4, 4)))
    with pytest.raises(ValueError, match=r"titles must hold one for each of 2 images .* holds 1"):
        AttributionDisplay.from_attributions(X, X, titles=["one"])
    with pytest.raises(ValueError, match=r"\(15,\), but .* reshape it to \(height, width\)"):
        AttributionDisplay.from_attributions(X, np.zeros((2, 15)))
    with pytest.raises(ValueError, match="at least one image, but X is empty"):
        AttributionDisplay.from_attributions(X[:0], X[:0])


@pytest.mark.parametrize(("package", "extra"), [("matplotlib", "plots"), ("captum", "explain")])
def test_without_a_package_the_error_says_what_to_install(
    package, extra, fitted, drawn, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"sklearn-cnn\[{extra}\]"):
        AttributionDisplay.from_estimator(fitted, drawn[0])

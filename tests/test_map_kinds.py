"""Figures of masks and maps: image, truth and prediction side by side."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn_pixels import map_classifier, shapes
from PIL import Image

from sklearn_cnn.plots import PredictionsDisplay

X, MASKS = shapes(6)


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def damaged():
    """Return masks with ever fewer errors, of which the third has none."""
    predicted = MASKS.copy()
    predicted[0] = 0
    predicted[1, :8] = 0
    return predicted[:3]


def test_the_worst_masks_come_first_with_a_legend_of_the_classes():
    display = PredictionsDisplay.from_predictions(
        X[:3], MASKS[:3], damaged(), display_labels=["ground", "square", "disc"]
    )
    assert display.indices.tolist() == [0, 1, 2]
    assert display.titles[2] == "image, truth, prediction: mean IoU 1.00"
    assert [text.get_text() for text in display.legend_.get_texts()] == ["ground", "square", "disc"]
    assert [im.get_array().shape for im in display.ims_] == [(16, 60, 3)] * 3
    assert display.colorbar_ is None


def test_truth_and_prediction_are_tinted_by_their_classes():
    display = PredictionsDisplay.from_predictions(X[:3], MASKS[:3], damaged())
    image, true, predicted = np.split(display.images[0], 3, axis=1)
    gray = X[0] / 255
    np.testing.assert_allclose(image, np.repeat(gray[..., None], 3, axis=2))
    for label, color in enumerate(display.legend.values()):
        where = MASKS[0] == label
        np.testing.assert_allclose(true[where], 0.4 * gray[where][:, None] + 0.6 * color)
    np.testing.assert_allclose(
        predicted, 0.4 * gray[..., None] + 0.6 * next(iter(display.legend.values()))
    )


def test_ignored_pixels_have_no_colour_and_do_not_count():
    true = MASKS[:3].copy()
    true[:, :8] = 255
    display = PredictionsDisplay.from_predictions(X[:3], true, damaged(), ignore_label=255)
    # the second is wrong where nothing counts
    assert display.indices[0] == 0
    assert display.errors[1:].tolist() == [0, 0]
    assert "255" not in display.legend
    np.testing.assert_allclose(display.images[0][:8, 20:40], display.images[0][:8, :20])


def test_maps_of_numbers_have_a_colour_bar_and_gaps():
    true = MASKS[:3] + 1.0
    true[:, 0] = np.nan
    predicted = true + np.array([0.1, 0.5, 0])[:, None, None]
    predicted[:, 0] = 1
    display = PredictionsDisplay.from_predictions(X[:3], true, predicted)
    assert display.indices.tolist() == [1, 0, 2]
    assert display.titles[0] == "image, truth, prediction: off by 0.5"
    assert display.colorbar_.vmin == 1
    assert display.colorbar_.vmax == 3.5
    assert (display.images[0][0, 20:40] == 0.5).all()
    assert display.legend_ is None


def test_each_of_several_numbers_is_shown_beside_its_truth():
    true = np.stack([MASKS[:2], 2.0 * MASKS[:2]], axis=-1)
    display = PredictionsDisplay.from_predictions(
        X[:2], true, true, display_labels=["depth", "height"]
    )
    assert display.titles[0] == "image, then truth, prediction of depth, height: off by 0"
    assert display.images[0].shape == (16, 5 * 20, 3)
    np.testing.assert_array_equal(display.images[0][:, 20:40], display.images[0][:, 40:60])


def test_images_and_truth_are_shown_in_the_size_of_the_prediction():
    classifier = map_classifier(max_epochs=1, image_shape=(8, 10)).fit(X, MASKS)
    display = PredictionsDisplay.from_estimator(classifier, X, MASKS, n_images=2)
    assert [image.shape for image in display.images] == [(8, 30, 3)] * 2
    assert list(display.legend) == ["0", "1", "2"]


def test_many_classes_have_colours_of_their_own():
    masks = np.arange(24).reshape(1, 4, 6)
    display = PredictionsDisplay.from_predictions(np.zeros((1, 4, 6)), masks, masks)
    colors = np.array(list(display.legend.values()))
    distances = np.abs(colors[:, None] - colors).max(axis=2)
    # of values in [0, 1], to the next ones and to all others
    assert np.diag(distances, 1).min() > 0.5
    assert distances[~np.eye(24, dtype=bool)].min() > 0.1


@pytest.mark.parametrize("n_images", [1, 4])
def test_a_legend_of_many_classes_fits_into_the_figure(n_images):
    masks = np.repeat(np.arange(24).reshape(1, 4, 6), n_images, axis=0)
    display = PredictionsDisplay.from_predictions(np.zeros(masks.shape), masks, masks)
    display.figure_.canvas.draw()
    legend, figure = display.legend_.get_window_extent(), display.figure_.bbox
    assert legend.y0 >= figure.y0
    assert legend.y1 <= figure.y1
    # beside the panels, which stay the larger part
    assert legend.x0 > max(ax.get_window_extent().x1 for ax in display.axes_)
    assert legend.width < figure.width / 2


@pytest.mark.parametrize("as_sequence", [list, lambda maps: np.array([*maps, None], object)[:-1]])
def test_maps_of_several_sizes_are_drawn_each_in_its_own(as_sequence):
    heights = [10, 12, 16]
    images = [image[:height] for image, height in zip(X, heights, strict=False)]
    masks = as_sequence([mask[:height] for mask, height in zip(MASKS, heights, strict=False)])
    display = PredictionsDisplay.from_predictions(images, masks, masks)
    assert [image.shape for image in display.images] == [(h, 60, 3) for h in heights]
    assert list(display.legend) == ["0", "1", "2"]
    numbers = as_sequence([mask + 0.5 for mask in masks])
    display = PredictionsDisplay.from_predictions(images, numbers, numbers)
    assert [image.shape for image in display.images] == [(h, 60, 3) for h in heights]
    assert display.scale[:2] == (0.5, 2.5)


def test_masks_in_files_are_read(tmp_path):
    files = [tmp_path / f"{row}.png" for row in range(3)]
    for file, mask in zip(files, MASKS, strict=False):
        Image.fromarray(mask).save(file)
    of_files = PredictionsDisplay.from_predictions(X[:3], files, damaged())
    of_arrays = PredictionsDisplay.from_predictions(X[:3], MASKS[:3], damaged())
    np.testing.assert_array_equal(of_files.images, of_arrays.images)


def test_several_labels_a_pixel_are_tinted_each():
    truth = np.stack([MASKS > 0, MASKS == 2], axis=-1).astype(np.uint8)
    predicted = truth.copy()
    predicted[1, ..., 1] = 0
    display = PredictionsDisplay.from_predictions(
        X[:3], truth[:3], predicted[:3], display_labels=["thing", "disc"]
    )
    assert display.indices[0] == 1
    assert display.titles[0] == "image, truth, prediction: mean IoU 0.50"
    assert [text.get_text() for text in display.legend_.get_texts()] == ["thing", "disc"]

"""Augmentation moves masks and maps with their images, by the same draw."""

import numpy as np
import pytest
import torch
from drawn_pixels import MapNet, map_classifier, shapes
from torchvision.transforms import v2

from sklearn_cnn import Augmentation, CNNRegressor

X, MASKS = shapes(12)
# images of which each pixel tells its own class
TELLING = (MASKS * 100).astype(np.uint8)


@pytest.mark.parametrize("fill", ["reflect", "edge"])
@pytest.mark.parametrize("moves", [{"flip": True}, {"crop": 4}, {"flip": True, "crop": 0.25}])
def test_masks_move_with_their_images(moves, fill):
    augmentation = Augmentation(**moves, fill=fill)
    images, masks = augmentation.apply(TELLING, MASKS, random_state=0)
    np.testing.assert_array_equal(images, masks * 100)
    assert (masks != MASKS).any()
    assert masks.dtype == MASKS.dtype


@pytest.mark.parametrize("fill", ["reflect", "edge"])
def test_turned_masks_hold_the_classes_of_the_nearest_pixels(fill):
    augmentation = Augmentation(rotation=40, scale=0.3, fill=fill)
    images, masks = augmentation.apply(TELLING.astype(np.float32), MASKS, random_state=0)
    assert set(np.unique(masks)) == {0, 1, 2}
    # where the four pixels around a place are of one class, it is of that class
    pure = np.isin(images, [0, 100, 200])
    assert pure.mean() > 0.4
    np.testing.assert_allclose(images[pure], masks[pure] * 100, atol=1e-3)


@pytest.mark.parametrize("moves", [{"crop": 4}, {"rotation": 45}])
def test_where_zeros_come_in_pixels_do_not_count(moves):
    ones = np.ones((12, 16, 20), dtype=np.uint8)
    augmentation = Augmentation(**moves, fill="zeros")
    images, masks = augmentation.apply(ones * 200, ones, random_state=0)
    assert set(np.unique(masks)) == {1, 255}
    assert (images[masks == 255] < 200).all()
    assert (images[masks == 1] > 0).all()
    _, maps = augmentation.apply(ones * 200, ones.astype(np.float64), random_state=0)
    np.testing.assert_array_equal(np.isnan(maps), masks == 255)


def test_colours_and_erasing_leave_masks_alone():
    augmentation = Augmentation(brightness=0.5, contrast=0.5, erasing=1.0)
    images, masks = augmentation.apply(X, MASKS, random_state=0)
    assert (images != X).any()
    np.testing.assert_array_equal(masks, MASKS)


def test_several_numbers_a_pixel_move_alike_and_what_is_missing_with_them():
    maps = np.stack([MASKS.astype(float), np.where(MASKS == 2, np.nan, -1.0 * MASKS)], axis=-1)
    _, moved = Augmentation(flip=True, rotation=30).apply(TELLING, maps, random_state=0)
    first, second = moved[..., 0], moved[..., 1]
    np.testing.assert_array_equal(second, np.where(first == 2, np.nan, -first))


def test_masks_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"\(12, 16, 20\).*got uint8 of shape \(12, 8, 20\)"):
        Augmentation(flip=True).apply(X, MASKS[:, :8])


@pytest.mark.parametrize(
    "augmentation",
    [
        "photos",
        Augmentation(flip=True, rotation=20, fill="zeros", mixup=0.2),
        v2.RandomHorizontalFlip(0.5),
    ],
)
def test_a_classifier_learns_from_what_is_moved(augmentation):
    classifier = map_classifier(max_epochs=25, augmentation=augmentation).fit(X, MASKS)
    assert (classifier.predict(X) == MASKS).mean() > 0.8


def test_a_function_is_passed_images_and_masks():
    seen = []

    def upside_down(images, masks):
        seen.append((images.shape, masks.shape, masks.dtype))
        return images.flip(2), masks.flip(2)

    # a network that sees the place of a pixel, so that the order of rows matters
    rows = np.broadcast_to(np.arange(16)[:, None] < 8, MASKS.shape)
    classifier = map_classifier(augmentation=upside_down, max_epochs=1).fit(X, rows)
    assert seen[0] == ((8, 1, 16, 20), (8, 1, 16, 20), torch.uint8)
    assert np.isfinite(classifier.loss_curve_).all()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda images: images,
            r"takes 1 positional argument but 2 were given\. .* return images and masks or maps",
        ),
        (lambda images, _: images, "called with images and maps of shape"),
        (lambda images, masks: (images, masks[:, :, :4]), r"has to return a pair of both\. "),
    ],
)
def test_a_function_of_images_alone_is_refused(function, message):
    with pytest.raises(ValueError, match=message):
        map_classifier(augmentation=function).fit(X, MASKS)


def means(images, maps):
    """Return images and maps of which neighbours in a row are averaged."""
    left, right = maps.roll(1, dims=3).float(), maps.float()
    return images, (left + right) / 2


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (means, r"that hold 127\.5"),
        (
            lambda images, maps: (images, means(images, maps)[1].to(torch.uint8)),
            r"that hold 127\. ",
        ),
        (lambda images, maps: (images, torch.full_like(maps, 7)), "that hold 7"),
    ],
)
def test_masks_of_which_a_function_makes_up_labels_are_refused(function, found):
    masks = np.where(np.arange(20) < 3, 255, MASKS)
    message = rf"augmentation=<function .* masks {found}.* 0 to 2, and 255 .*nearest"
    with pytest.raises(ValueError, match=message):
        map_classifier(augmentation=function, ignore_label=255).fit(X, masks)


def test_labels_of_several_are_not_made_up_either():
    several = np.stack([MASKS == 1, MASKS == 2], axis=-1).astype(int)
    with pytest.raises(ValueError, match=r"hold 0\.5.* 0 to 1, and 255"):
        map_classifier(augmentation=means).fit(X, several)


def test_numbers_may_be_averaged():
    regressor = CNNRegressor(MapNet, max_epochs=1, augmentation=means)
    assert np.isfinite(regressor.fit(X, MASKS * 0.5).loss_curve_).all()


def test_key_points_are_of_images():
    regressor = CNNRegressor(MapNet, augmentation=Augmentation(flip=True, keypoints=True))
    with pytest.raises(ValueError, match="moves with the image by itself"):
        regressor.fit(X, MASKS.astype(float))


def test_test_time_augmentation_turns_predictions_back():
    classifier = map_classifier(max_epochs=3).fit(X, MASKS)
    plain, mirrored = (classifier.decision_function(images) for images in (X, X[:, :, ::-1]))
    classifier.set_params(test_time_augmentation=True)
    averaged = classifier.decision_function(X)
    np.testing.assert_allclose(averaged, (plain + mirrored[:, :, ::-1]) / 2, rtol=1e-5, atol=1e-5)
    regressor = CNNRegressor(MapNet, max_epochs=1, random_state=0, test_time_augmentation=True)
    predicted = regressor.fit(X, MASKS.astype(float)).predict(X)
    np.testing.assert_allclose(
        regressor.predict(X[:, :, ::-1])[:, :, ::-1], predicted, rtol=1e-5, atol=1e-5
    )


def test_integers_of_one_byte_with_a_sign_have_minus_one_where_zeros_come_in():
    augmentation = Augmentation(crop=4, fill="zeros")
    of_bytes = augmentation.apply(X, MASKS, random_state=0)[1]
    signed = augmentation.apply(X, MASKS.astype(np.int8), random_state=0)[1]
    assert signed.dtype == np.int8
    assert (of_bytes == 255).any()
    np.testing.assert_array_equal(signed, of_bytes.astype(np.int8))


def test_masks_of_text_are_to_be_numbered():
    message = r"or \(12, 16, 20, k\), got <U4 of shape .*np\.unique\(y, return_inverse=True\)"
    with pytest.raises(ValueError, match=message):
        Augmentation(crop=4).apply(X, np.array(["sky", "box", "disc"])[MASKS])

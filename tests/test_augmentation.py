"""Augmentation of images and of the coordinates on them, by itself."""

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest
from sklearn.base import clone

from sklearn_cnn import Augmentation, available_augmentations
from sklearn_cnn.augmentation._geometry import AffineTransform
from sklearn_cnn.augmentation._pixels import draw_mixture, mix

HEIGHT, WIDTH = 20, 26
ALL = {
    "flip": True,
    "crop": 3,
    "rotation": 25,
    "scale": 0.2,
    "brightness": 0.2,
    "contrast": 0.2,
    "erasing": 0.5,
    "mixup": 0.3,
}
GEOMETRIC = [
    {"flip": True},
    {"crop": 3},
    {"crop": 0.15},
    {"rotation": 40},
    {"scale": 0.3},
    {"flip": True, "crop": 3},
    {"flip": True, "crop": 3, "rotation": 25, "scale": 0.2},
]


def noise(n=64, dtype=np.uint8, shape=(HEIGHT, WIDTH, 3)):
    values = np.random.default_rng(0).integers(0, 256, (n, *shape))
    return values.astype(dtype)


def blobs(n=200, seed=0):
    """Draw two bright blobs, one a channel, on black; y is their x0, y0, x1, y1."""
    rng = np.random.default_rng(seed)
    y = rng.uniform([9, 8, 9, 8], [WIDTH - 10, HEIGHT - 9] * 2, (n, 4)).astype(np.float32)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    distances = [
        (columns - y[:, i, None, None]) ** 2 + (rows - y[:, i + 1, None, None]) ** 2 for i in (0, 2)
    ]
    return np.exp(-np.stack(distances, axis=-1) / 2).astype(np.float32), y


def centres(X):
    """Find the blobs again: the centre of mass of each channel, as x0, y0, x1, y1."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    mass = X.sum(axis=(1, 2))
    x = (X * columns[..., None]).sum(axis=(1, 2)) / mass
    y = (X * rows[..., None]).sum(axis=(1, 2)) / mass
    return np.stack([x, y], axis=2).reshape(len(X), -1)


# -------------------------------------------------------------------------- of all operations


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 3), (1, 5, 4), (6, 1, 2), (1, 1)])
@pytest.mark.parametrize("fill", ["reflect", "edge", "zeros"])
def test_shape_and_dtype_are_kept(dtype, shape, fill):
    X = noise(5, dtype, shape)
    original = X.copy()
    changed = Augmentation(**ALL, fill=fill).apply(X, random_state=0)
    assert changed.shape == X.shape
    assert changed.dtype == X.dtype
    assert np.isfinite(changed).all()
    np.testing.assert_array_equal(X, original)


def test_views_memory_that_is_read_only_and_tensors_will_do():
    X, augmentation = noise(), Augmentation(**ALL)
    expected = augmentation.apply(X[:, :, ::-1].copy(), random_state=0)
    X.setflags(write=False)
    reversed_view = X[:, :, ::-1]
    np.testing.assert_array_equal(augmentation.apply(reversed_view, random_state=0), expected)
    tensor = torch.from_numpy(reversed_view.copy())
    np.testing.assert_array_equal(augmentation.apply(tensor, random_state=0), expected)


def test_nothing_is_changed_that_is_not_asked_for():
    X = noise()
    np.testing.assert_array_equal(Augmentation().apply(X), X)


@pytest.mark.parametrize("name", ALL)
def test_each_image_has_its_own_draw(name):
    X = np.repeat(noise(1), 64, axis=0)
    if name == "mixup":
        X = noise()
    changed = Augmentation(**{name: ALL[name]}).apply(X, random_state=0)
    kinds = {image.tobytes() for image in changed}
    # half of the images are left alone by erasing, and there are only two ways to flip
    assert len(kinds) == 2 if name == "flip" else len(kinds) > 25


@pytest.mark.parametrize("name", ALL)
def test_the_random_state_fixes_the_draws(name):
    augmentation, X = Augmentation(**{name: ALL[name]}), noise()
    first, second = (augmentation.apply(X, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, augmentation.apply(X, random_state=4))


def test_the_global_generator_is_not_drawn_from():
    before = torch.get_rng_state()
    Augmentation(**ALL).apply(noise(), random_state=0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("default", [torch.float32, torch.float64])
def test_the_default_dtype_makes_no_difference(default):
    expected = Augmentation(**ALL).apply(noise(), random_state=0)
    torch.set_default_dtype(default)
    try:
        changed = Augmentation(**ALL).apply(noise(), random_state=0)
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(changed, expected)


def test_an_autocast_around_it_makes_no_difference():
    X, y = blobs(20)
    augmentation = Augmentation(flip=True, crop=3, rotation=20, keypoints=True, flip_index=[1, 0])
    expected = augmentation.apply(X, y, random_state=0)
    with torch.autocast("cpu", torch.bfloat16):
        changed = augmentation.apply(X, y, random_state=0)
    np.testing.assert_array_equal(changed[0], expected[0])
    np.testing.assert_array_equal(changed[1], expected[1])


# ------------------------------------------------------------------------------------- moves


def test_a_flip_mirrors_half_of_the_images():
    X = noise(400)
    changed = Augmentation(flip=True).apply(X, random_state=0)
    flipped = (changed == X[:, :, ::-1]).all(axis=(1, 2, 3))
    kept = (changed == X).all(axis=(1, 2, 3))
    assert (flipped ^ kept).all()
    assert 160 < flipped.sum() < 240


@pytest.mark.parametrize(
    ("fill", "mode"), [("reflect", "symmetric"), ("edge", "edge"), ("zeros", 0)]
)
def test_a_crop_cuts_out_of_the_padded_image(fill, mode):
    X, pad = noise(300), 4
    changed = Augmentation(crop=pad, fill=fill).apply(X, random_state=0)
    mode = {"mode": mode} if mode else {"mode": "constant"}
    padded = np.pad(X, [(0, 0), (pad, pad), (pad, pad), (0, 0)], **mode)
    found = set()
    for image, whole in zip(changed, padded, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(whole, X.shape[1:])[:, :, 0]
        places = np.argwhere((windows == image).all(axis=(2, 3, 4)))
        assert len(places) == 1
        found.add(tuple(places[0]))
    assert len(found) > 70  # of 81


def test_a_share_as_crop_follows_the_size_of_the_image():
    rows, columns = np.mgrid[:40, :80].astype(np.float32)
    moved = Augmentation(crop=0.125, fill="zeros").apply(np.stack([rows + 1] * 500), random_state=0)
    shifts = 20 - (moved[:, 20, 40] - 1)
    assert (shifts.min(), shifts.max()) == (-5, 5)
    moved = Augmentation(crop=0.125, fill="zeros").apply(
        np.stack([columns + 1] * 500), random_state=0
    )
    shifts = 40 - (moved[:, 20, 40] - 1)
    assert (shifts.min(), shifts.max()) == (-10, 10)


@pytest.mark.parametrize("fill", ["reflect", "edge", "zeros"])
@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (7, 5), (1, 6)])
def test_copying_and_interpolating_move_alike(fill, size):
    images = torch.from_numpy(noise(200, np.float32, (3, *size)))
    generator = torch.Generator().manual_seed(0)
    moves = AffineTransform.draw(200, size, generator, flip=True, crop=(4, 4), rotation=0, scale=0)
    copied = moves.move_images(images, fill)
    moves.turn = torch.eye(2).repeat(200, 1, 1)
    torch.testing.assert_close(moves.move_images(images, fill), copied, atol=0.02, rtol=0)


def test_a_quarter_turn_is_exact():
    images = torch.from_numpy(noise(2, np.float32, (3, 9, 9)))
    quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]]).repeat(2, 1, 1)
    moves = AffineTransform((9, 9), torch.tensor([False, True]), torch.zeros(2, 2).long(), quarter)
    turned = moves.move_images(images, "zeros")
    # x to the right and y down: from the x axis to the y axis is clockwise
    expected = torch.stack([images[0].rot90(-1, (1, 2)), images[1].flip(2).rot90(-1, (1, 2))])
    torch.testing.assert_close(turned, expected, atol=0.01, rtol=0)


@pytest.mark.parametrize("params", [{"rotation": 30}, {"scale": 0.5}])
def test_turning_and_scaling_stay_within_their_bounds(params):
    generator = torch.Generator().manual_seed(0)
    off = {"flip": False, "crop": (0, 0), "rotation": 0, "scale": 0}
    turn = AffineTransform.draw(5000, (8, 8), generator, **{**off, **params}).turn
    angle = torch.rad2deg(torch.atan2(turn[:, 1, 0], turn[:, 0, 0]))
    factor = torch.linalg.det(turn).sqrt()
    if "rotation" in params:
        assert kstest(angle.numpy(), "uniform", (-30, 60)).pvalue > 0.01
        torch.testing.assert_close(factor, torch.ones(5000))
    else:
        bound = np.log(1.5)
        assert kstest(factor.log().numpy(), "uniform", (-bound, 2 * bound)).pvalue > 0.01
        torch.testing.assert_close(angle, torch.zeros(5000))


# ------------------------------------------------------------------- coordinates with images


@pytest.mark.parametrize("params", GEOMETRIC, ids=str)
def test_points_are_found_where_the_images_went(params):
    X, y = blobs()
    augmentation = Augmentation(**params, fill="zeros", keypoints=True, flip_index=[0, 1])
    moved, points = augmentation.apply(X, y, random_state=0)
    assert points.dtype == np.float32
    np.testing.assert_allclose(centres(moved), points, atol=0.12)
    assert np.abs(points - y).max() > 0.5
    # of blobs that stay whole the centre of mass is exact but for interpolation
    np.testing.assert_allclose(np.median(np.abs(centres(moved) - points)), 0, atol=0.02)


def test_single_pixels_are_found_exactly():
    y = np.stack([np.arange(400) % WIDTH, np.arange(400) % HEIGHT], axis=1)
    X = np.zeros((400, HEIGHT, WIDTH), np.uint8)
    X[np.arange(400), y[:, 1], y[:, 0]] = 255
    augmentation = Augmentation(flip=True, crop=3, fill="zeros", keypoints=True)
    moved, points = augmentation.apply(X, y, random_state=0)
    inside = (points >= 0).all(axis=1) & (points < [WIDTH, HEIGHT]).all(axis=1)
    np.testing.assert_array_equal(moved.any(axis=(1, 2)), inside)
    rows, columns = np.nonzero(moved[inside])[1:]
    np.testing.assert_array_equal(points[inside], np.stack([columns, rows], axis=1))


def test_flip_takes_x_to_the_last_pixel_less_x():
    X, y = np.zeros((100, HEIGHT, WIDTH), np.uint8), np.tile(np.float32([2.25, 7.5]), (100, 1))
    _, points = Augmentation(flip=True, keypoints=True).apply(X, y, random_state=0)
    assert {tuple(point) for point in points} == {(2.25, 7.5), (WIDTH - 1 - 2.25, 7.5)}


def test_a_flip_swaps_left_and_right_points():
    X, _ = blobs(100)
    y = np.tile(np.float32([4, 5, 20, 6, 13, 10]), (100, 1))  # left, right and middle
    augmentation = Augmentation(flip=True, keypoints=True, flip_index=[1, 0, 2])
    _, points = augmentation.apply(X, y, random_state=0)
    last = WIDTH - 1
    assert {tuple(p) for p in points} == {
        (4, 5, 20, 6, 13, 10),
        (last - 20, 6, last - 4, 5, last - 13, 10),
    }


def test_boxes_stay_boxes():
    X = np.zeros((300, HEIGHT, WIDTH), np.float32)
    X[:, 8:12, 9:16] = 1
    y = np.tile(np.float32([9, 8, 15, 11, 9, 8, 15, 11]), (300, 1))
    augmentation = Augmentation(flip=True, crop=4, keypoints="boxes")
    moved, boxes = augmentation.apply(X, y, random_state=0)
    for image, box in zip(moved, boxes, strict=True):
        rows, columns = np.nonzero(image)
        assert [*box] == [columns.min(), rows.min(), columns.max(), rows.max()] * 2


def test_a_box_holds_what_it_held_before():
    X = np.zeros((300, HEIGHT, WIDTH), np.float32)
    y = np.tile(np.float32([9, 8, 15, 11]), (300, 1))
    turn = {"rotation": 40, "scale": 0.2, "flip": True}
    _, boxes = Augmentation(**turn, keypoints="boxes").apply(X, y, random_state=0)
    corners = np.float32([[9, 8, 15, 8, 9, 11, 15, 11]] * 300)
    index = range(4)
    as_points = Augmentation(**turn, keypoints=True, flip_index=index)
    _, corners = as_points.apply(X, corners, random_state=0)
    corners = corners.reshape(300, 4, 2)
    np.testing.assert_allclose(boxes[:, :2], corners.min(axis=1), rtol=1e-6)
    np.testing.assert_allclose(boxes[:, 2:], corners.max(axis=1), rtol=1e-6)


# ------------------------------------------------------------------------ colour and erasing


@pytest.mark.parametrize("name", ["brightness", "contrast"])
@pytest.mark.parametrize(("factor", "offset"), [(1 / 255, 0), (1 / 64, -2), (100, 1e4)])
def test_colour_means_the_same_at_every_range_of_pixels(name, factor, offset):
    X, augmentation = noise(dtype=np.float32), Augmentation(**{name: 0.4})
    expected = augmentation.apply(X, random_state=0) * factor + offset
    changed = augmentation.apply((X * factor + offset).astype(np.float32), random_state=0)
    np.testing.assert_allclose(changed, expected, atol=2e-3 * factor + 1e-6 * offset, rtol=1e-4)


def test_brightness_shifts_by_the_deviation_of_the_image():
    X = noise(2000, np.float32, (6, 6))
    shifts = Augmentation(brightness=0.4).apply(X, random_state=0) - X
    assert np.ptp(shifts, axis=(1, 2)).max() < 1e-3
    relative = shifts.mean(axis=(1, 2)) / X.std(axis=(1, 2))
    assert kstest(relative, "uniform", (-0.4, 0.8)).pvalue > 0.01


def test_contrast_stretches_about_the_mean():
    X = noise(2000, np.float32, (6, 6))
    changed = Augmentation(contrast=0.4).apply(X, random_state=0)
    np.testing.assert_allclose(changed.mean(axis=(1, 2)), X.mean(axis=(1, 2)), rtol=1e-4)
    gains = changed.std(axis=(1, 2)) / X.std(axis=(1, 2))
    assert kstest(gains, "uniform", (0.6, 0.8)).pvalue > 0.01


def test_uint8_is_rounded_and_clipped():
    X = np.tile(np.uint8([0, 255, 128]), (50, 4, 1))
    exact = Augmentation(brightness=1.0).apply(X.astype(np.float32), random_state=0)
    changed = Augmentation(brightness=1.0).apply(X, random_state=0)
    np.testing.assert_array_equal(changed, np.clip(np.round(exact), 0, 255))
    assert exact.max() > 255
    assert exact.min() < 0


@pytest.mark.parametrize(
    "name", ["rotation", "scale", "brightness", "contrast", "erasing", "mixup"]
)
def test_masks_are_changed_as_their_numbers_in_floats(name):
    mask, augmentation = noise() > 128, Augmentation(**{name: ALL[name]})
    expected = augmentation.apply(mask.astype(np.float32), random_state=0)
    assert len(np.unique(expected)) > 10
    for dtype in (bool, np.uint8):
        changed = augmentation.apply(mask.astype(dtype), random_state=0)
        assert changed.dtype == np.float32
        np.testing.assert_array_equal(changed, expected)


@pytest.mark.parametrize(("largest", "dtype"), [(1, np.float32), (31, np.float32), (32, np.uint8)])
def test_few_values_become_floats(largest, dtype):
    X = np.full((40, 4, 4), 0, np.uint8)
    X[-1, 0, 0] = largest
    assert Augmentation(flip=True).apply(X).dtype == dtype


def test_erasing_fills_one_rectangle_with_the_mean_colour():
    X = noise(400, np.float32)
    changed = Augmentation(erasing=0.5).apply(X, random_state=0)
    differs = (changed != X).any(axis=3)
    areas = []
    for image, before, where in zip(changed, X, differs, strict=True):
        if not where.any():
            continue
        rows, columns = np.nonzero(where)
        box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert where[box].all()
        np.testing.assert_allclose(
            image[box], np.broadcast_to(before.mean(axis=(0, 1)), image[box].shape), rtol=1e-5
        )
        areas.append(where.mean())
    assert 160 < len(areas) < 240
    assert 0.015 < min(areas) < 0.05
    assert 0.3 < max(areas) < 0.45


@pytest.mark.parametrize("shape", [(1, 200), (200, 1), (20, 20)])
def test_of_strips_no_larger_part_is_erased(shape):
    # no value is the mean of its image
    X = noise(1000, np.float32, (*shape, 1)) ** 2
    areas = (Augmentation(erasing=1.0).apply(X, random_state=0) != X).mean(axis=(1, 2, 3))
    assert areas.min() > 0.01
    assert areas.max() < 0.44
    assert areas.mean() == pytest.approx(0.21, abs=0.02)


# ------------------------------------------------------------------------------------- mixup


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 3.0])
def test_shares_follow_the_beta_distribution(alpha):
    partner, share = draw_mixture(5000, alpha, torch.Generator().manual_seed(0))
    assert sorted(partner.tolist()) == list(range(5000))
    for bound in (0.001, 0.1, 0.5, 0.9, 0.999):
        assert (share <= bound).double().mean() == pytest.approx(
            beta(alpha, alpha).cdf(bound), abs=0.025
        )


def test_mixup_mixes_each_image_with_another_one():
    X = np.float32([0, 1, 10, 100]).reshape(4, 1, 1)
    partner, share = draw_mixture(4, 1.0, torch.Generator().manual_seed(5))
    images = torch.from_numpy(X).reshape(4, 1, 1, 1)
    mixed = share * images.flatten() + (1 - share) * images.flatten()[partner]
    torch.testing.assert_close(mix(images, partner, share).flatten(), mixed)
    changed = Augmentation(mixup=1.0).apply(X, random_state=1)
    assert not np.isin(changed, X).all()
    assert (changed >= 0).all()
    assert (changed <= 100).all()


# ---------------------------------------------------------------------- the object, its errors


def test_it_is_cloned_shown_and_set_as_estimators_are():
    augmentation = Augmentation(flip=True, crop=4)
    assert repr(augmentation) == "Augmentation(crop=4, flip=True)"
    copy = clone(augmentation).set_params(crop=2)
    assert (copy.crop, augmentation.crop) == (2, 4)
    with pytest.raises(ValueError, match="Invalid parameter 'shear'"):
        augmentation.set_params(shear=1)


def test_presets_are_copies():
    presets = available_augmentations()
    assert list(presets) == sorted(presets)
    for preset in presets.values():
        preset.set_params(crop=7)
    assert {preset.crop for preset in available_augmentations().values()}.isdisjoint({7})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flip", "yes"),
        ("crop", -1),
        ("crop", 1.0),
        ("crop", "big"),
        ("rotation", 181),
        ("scale", -0.1),
        ("scale", np.nan),
        ("brightness", -1),
        ("contrast", 1.1),
        ("erasing", 2),
        ("mixup", -0.2),
        ("mixup", None),
        ("fill", "constant"),
        ("keypoints", "points"),
        ("flip_index", 3),
        ("flip_index", [0, 0]),
        ("flip_index", [1, 2]),
        ("flip_index", [[0, 1]]),
    ],
)
def test_a_wrong_value_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        Augmentation(**{name: value}).apply(noise())


@pytest.mark.parametrize(
    ("params", "n_columns", "message"),
    [
        ({}, 4, "keypoints=True"),
        ({"keypoints": True, "mixup": 0.2}, 4, "mixup"),
        ({"keypoints": False}, 4, "keypoints=True"),
        ({"keypoints": True}, 3, "multiple of 2"),
        ({"keypoints": "boxes"}, 6, "multiple of 4"),
        ({"keypoints": True, "flip": True}, 4, r"flip_index=range\(2\)"),
        ({"keypoints": True, "flip": True, "flip_index": [0, 1, 2]}, 4, "3 entries, but y has 2"),
    ],
)
def test_coordinates_that_cannot_be_moved_are_refused(params, n_columns, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**params).apply(noise(), np.zeros((64, n_columns)))


def test_x_and_y_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(n, H, W\)"):
        Augmentation().apply(np.zeros((4, 64)))
    for empty in (0, 4, 4), (4, 4, 0, 3):
        with pytest.raises(ValueError, match=r"none of them 0, got \("):
            Augmentation().apply(np.zeros(empty))
    for channels in 1, 3, 4:
        with pytest.raises(ValueError, match=r"looks like \(n, C, H, W\).*transpose"):
            Augmentation(flip=True).apply(np.zeros((4, channels, 32, 32)))
    with pytest.raises(ValueError, match="n_coordinates"):
        Augmentation(keypoints=True).apply(noise(), np.zeros((3, 2)))

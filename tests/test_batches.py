"""Batches: which rows, how many, in which order and layout."""

import pytest
import torch

from sklearn_cnn.training.batches import TrainingBatches, resolve_batch_size
from sklearn_cnn.training.samples import Samples


def images_of(n):
    """Return images whose pixels are their row's number."""
    return torch.arange(n, dtype=torch.float32).reshape(n, 1, 1, 1).expand(n, 3, 2, 1)


def batches_of(n, batch_size, rows=None, seed=0, weights=False, **params):
    samples = Samples(
        images_of(n),
        torch.arange(n) * 10,
        torch.arange(n) / 100 if weights else None,
        torch.arange(n) if rows is None else torch.tensor(rows),
    )
    generator = torch.Generator().manual_seed(seed)
    return TrainingBatches(samples, batch_size, generator, **params)


def order_of(epoch):
    return [row for images, _, _ in epoch for row in images[:, 0, 0, 0].int().tolist()]


@pytest.mark.parametrize(
    ("n_samples", "size"),
    [
        (1, 1),
        (2, 2),
        (7, 7),
        (8, 8),
        (9, 8),
        (360, 8),
        (720, 16),
        (1440, 32),
        (2880, 64),
        (5760, 128),
        (60_000, 128),
        (10**7, 128),
    ],
)
def test_auto_makes_about_45_steps_within_8_and_128(n_samples, size):
    assert resolve_batch_size("auto", n_samples) == size


def test_auto_grows_with_the_number_of_samples():
    sizes = [resolve_batch_size("auto", n) for n in range(8, 8000)]
    assert sizes == sorted(sizes)
    assert set(sizes) == {8, 16, 32, 64, 128}


@pytest.mark.parametrize(
    ("batch_size", "n_samples", "size"),
    [(1, 10, 1), (32, 10, 10), (32, 32, 32), (1000, 5000, 1000)],
)
def test_a_batch_holds_at_most_all_samples(batch_size, n_samples, size):
    assert resolve_batch_size(batch_size, n_samples) == size


@pytest.mark.parametrize(
    ("n", "batch_size", "sizes"),
    [
        (12, 4, [4, 4, 4]),
        (14, 4, [4, 4, 4, 2]),
        (13, 4, [4, 4, 5]),
        (5, 4, [5]),
        (4, 4, [4]),
        (3, 4, [3]),
        (2, 4, [2]),
        (1, 4, [1]),
        (3, 1, [1, 1, 1]),
        (3, 2, [3]),
    ],
)
def test_no_image_is_left_alone_in_the_last_batch(n, batch_size, sizes):
    batches = batches_of(n, batch_size)
    assert [len(images) for images, _, _ in batches] == sizes
    assert batches.n_steps == len(sizes)
    assert len(batches) == n


@pytest.mark.parametrize("batch_size", [1, 3, 7, 20, 50])
def test_each_row_comes_once_an_epoch(batch_size):
    batches = batches_of(20, batch_size)
    for _ in range(3):
        assert sorted(order_of(batches)) == list(range(20))


def test_rows_that_do_not_count_never_come():
    rows = [2, 3, 5, 8, 13]
    batches = batches_of(20, 2, rows)
    assert sorted(order_of(batches)) == rows
    assert len(batches) == 5


@pytest.mark.parametrize("weights", [True, False])
def test_targets_and_weights_stay_with_their_images(weights):
    for images, targets, weight in batches_of(20, 6, [3, 1, 19, 7, 8, 12, 4, 0], weights=weights):
        rows = images[:, 0, 0, 0]
        assert torch.equal(targets, rows.long() * 10)
        if weights:
            torch.testing.assert_close(weight, rows / 100)
        else:
            assert weight is None


def test_the_generator_fixes_the_order():
    first, second, other = batches_of(50, 8), batches_of(50, 8), batches_of(50, 8, seed=1)
    orders = [order_of(first) for _ in range(2)]
    assert [order_of(second) for _ in range(2)] == orders
    assert order_of(other) != orders[0]
    assert orders[0] != orders[1]
    assert list(range(50)) not in orders


def test_the_global_generator_is_not_drawn_from():
    before = torch.get_rng_state()
    order_of(batches_of(50, 8))
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_are_channels_last():
    samples = Samples(
        torch.zeros(8, 4, 5, 3, dtype=torch.uint8), torch.zeros(8), None, torch.arange(8)
    )
    for images, _, _ in TrainingBatches(samples, 4, torch.Generator()):
        assert images.shape == (4, 3, 4, 5)
        assert images.dtype == torch.uint8
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_augmentation_sees_each_batch_and_leaves_the_samples_alone():
    shapes = []

    def negate(images, targets, weights, _):
        shapes.append(tuple(images.shape))
        return images.neg_(), targets, weights

    batches = batches_of(10, 4, augmentation=negate)
    rows = sorted(-row for row in order_of(batches))
    assert rows == list(range(10))
    assert shapes == [(4, 1, 3, 2), (4, 1, 3, 2), (2, 1, 3, 2)]
    assert torch.equal(batches.samples.images, images_of(10))

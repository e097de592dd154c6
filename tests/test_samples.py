"""Samples: what belongs together stays together, without copies."""

import numpy as np
import pandas as pd
import pytest
import torch

from sklearn_cnn.training.samples import Samples, read_weights

IMAGES = torch.arange(5 * 2 * 2, dtype=torch.uint8).reshape(5, 2, 2, 1)
TARGETS = torch.arange(5) * 10


def weighted(weights):
    weights = None if weights is None else np.array(weights, dtype=float)
    return Samples.weighted(IMAGES, TARGETS, weights)


def test_without_weights_all_rows_count_the_same():
    samples = weighted(None)
    assert samples.weights is None
    assert samples.indices.tolist() == [0, 1, 2, 3, 4]
    assert samples.indices.dtype == torch.int64
    assert len(samples) == 5


def test_rows_of_weight_zero_are_left_out_and_the_rest_averages_one():
    samples = weighted([0, 1, 3, 0, 2])
    assert samples.indices.tolist() == [1, 2, 4]
    assert len(samples) == 3
    assert samples.weights.dtype == torch.float64
    assert samples.weights[samples.indices].tolist() == [0.5, 1.5, 1.0]


@pytest.mark.parametrize("weights", [[1, 1, 1, 1, 1], [0.3] * 5, [0, 7, 7, 0, 7]])
def test_equal_weights_are_no_weights(weights):
    samples = weighted(weights)
    assert samples.weights is None
    assert samples.indices.tolist() == np.flatnonzero(weights).tolist()


@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-200, 1e200, 5e307])
def test_the_scale_of_the_weights_does_not_matter(scale):
    samples = weighted(np.array([1, 1, 2, 3, 3]) * scale)
    assert samples.on(torch.device("cpu")).weights.tolist() == [0.5, 0.5, 1.0, 1.5, 1.5]
    assert samples.subset([2, 3]).weights[2:4].tolist() == pytest.approx([0.8, 1.2], rel=1e-12)
    assert weighted(np.full(5, scale)).weights is None


def test_weights_may_be_further_apart_than_float32_can_say():
    samples = weighted([1e-60, 1e-60, 3e-60, 1e300, 1e-60])
    assert samples.indices.tolist() == [3]  # the others are nothing as shares of the largest
    samples = weighted([1e-60, 1e-60, 3e-60, 1, 1e-60])
    assert samples.indices.tolist() == [0, 1, 2, 3, 4]
    assert samples.on(torch.device("cpu")).weights.tolist() == [0, 0, 0, 5, 0]
    assert samples.subset([1, 2]).weights[1:3].tolist() == pytest.approx([0.5, 1.5], rel=1e-12)


def test_the_users_weights_are_untouched():
    weights = np.array([1.0, 1.0, 2.0, 3.0, 3.0])
    Samples.weighted(IMAGES, TARGETS, weights)
    assert weights.tolist() == [1, 1, 2, 3, 3]


def test_no_weight_at_all_is_an_error():
    with pytest.raises(ValueError, match="at least one non-zero"):
        weighted([0, 0, 0, 0, 0])


@pytest.mark.parametrize("positions", [np.array([2, 0]), torch.tensor([2, 0]), [2, 0]])
def test_a_subset_picks_among_the_rows_that_count(positions):
    samples = weighted([0, 1, 3, 0, 2])
    subset = samples.subset(positions)
    assert subset.indices.tolist() == [4, 1]
    assert len(subset) == 2
    assert subset.images is samples.images
    assert subset.targets is samples.targets
    assert samples.indices.tolist() == [1, 2, 4]


def test_the_weights_of_a_subset_average_one():
    samples = weighted([0, 2, 4, 8, 2])
    assert samples.weights.tolist() == [0, 0.5, 1, 2, 0.5]
    subset = samples.subset([0, 2])
    assert subset.weights[subset.indices].tolist() == [0.4, 1.6]
    assert samples.subset([0, 3]).weights is None
    assert samples.weights.tolist() == [0, 0.5, 1, 2, 0.5]


@pytest.mark.parametrize("weights", [[0, 1, 3, 0, 2], None])
def test_compact_samples_are_the_rows_that_count(weights):
    samples = weighted(weights).subset([1, 0])
    compact = samples.compact()
    assert torch.equal(compact.images, IMAGES[samples.indices])
    assert torch.equal(compact.targets, TARGETS[samples.indices])
    assert compact.indices.tolist() == [0, 1]
    if weights is None:
        assert compact.weights is None
    else:
        assert compact.weights.tolist() == [1.5, 0.5]


@pytest.mark.parametrize("weights", [[0, 1, 3, 0, 2], None])
def test_all_tensors_move_to_a_device(weights):
    moved = weighted(weights).on(torch.device("meta"))
    tensors = [moved.images, moved.targets, moved.indices]
    if weights is not None:
        assert moved.weights.dtype == torch.float32  # not every device has float64
        tensors.append(moved.weights)
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert (moved.weights is None) == (weights is None)


@pytest.mark.parametrize("contain", [list, np.array, pd.Series, torch.tensor, np.float32])
def test_weights_come_in_any_container(contain):
    read = read_weights(contain([1, 2, 0, 1, 4]), IMAGES)
    assert read.dtype == np.float64
    assert read.tolist() == [0.25, 0.5, 0, 0.25, 1]


def test_weights_of_what_is_broken_are_zero_and_no_measure_for_the_others():
    assert read_weights(None, IMAGES, [1]).tolist() == [1, 0, 1, 1, 1]
    assert read_weights([1, 1e308, 1, 2, 0], IMAGES, [1]).tolist() == [0.5, 0, 0.5, 1, 0]
    assert read_weights([0, 1, 0, 0, 0], IMAGES, [1]).tolist() == [0, 0, 0, 0, 0]


def test_no_weights_are_none():
    assert read_weights(None, IMAGES) is None


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], r"shape == \(2,\), expected \(5,\)"),
        (np.ones((5, 1)), "1D array"),
        (np.ones((5, 2)), r"\(5, 2\), but must have shape \(n,\).*NaN for them in y"),
        ([1, 1, 1, 1, -1], "[Nn]egative"),
        ([1, 1, 1, 1, np.nan], "NaN"),
        ([1, 1, 1, 1, np.inf], "infinity"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        read_weights(weights, IMAGES)

"""Splitting off validation samples, and what is kept of training."""

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_cnn.training.early_stopping import Validation, split_off_validation
from sklearn_cnn.training.samples import Samples


def assert_parts(train, validation, n_samples):
    """Check that two parts are sorted, disjoint and complete."""
    assert train.tolist() == sorted(train)
    assert validation.tolist() == sorted(validation)
    assert sorted([*train, *validation]) == list(range(n_samples))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("n_samples", "fraction", "n_validation"),
    [(100, 0.1, 10), (101, 0.1, 11), (20, 0.5, 10), (15, 0.01, 2), (4, 0.1, 2)],
)
def test_numbers_are_split_at_random(n_samples, fraction, n_validation, seed):
    train, validation = split_off_validation(None, n_samples, fraction, seed)
    assert_parts(train, validation, n_samples)
    assert len(validation) == n_validation


@pytest.mark.parametrize("seed", range(3))
def test_classes_keep_their_shares(seed):
    strata = np.repeat([0, 1, 2], [60, 30, 10])
    train, validation = split_off_validation(strata, 100, 0.2, seed)
    assert_parts(train, validation, 100)
    assert np.bincount(strata[validation]).tolist() == [12, 6, 2]
    assert np.bincount(strata[train]).tolist() == [48, 24, 8]


@pytest.mark.parametrize(
    ("counts", "fraction"),
    [
        # a class of one
        ([9, 1], 0.3),
        # more classes than validation samples
        ([2] * 10, 0.1),
        # more classes than training samples, if the fraction were kept
        ([2] * 10, 0.9),
        # no training samples, if the fraction were kept
        ([3, 3], 0.99),
        # so rare that a stratified split might hold out both
        ([98, 2], 0.9),
        ([30, 3, 2, 2], 0.8),
    ],
)
def test_training_keeps_one_of_each_class(counts, fraction):
    strata = np.repeat(np.arange(len(counts)), counts)
    for seed in range(10):
        train, validation = split_off_validation(strata, len(strata), fraction, seed)
        assert_parts(train, validation, len(strata))
        assert set(strata[train]) == set(range(len(counts)))
        assert len(validation) >= 1


@pytest.mark.parametrize("seed", range(3))
def test_single_samples_of_a_class_are_trained_on(seed):
    strata = np.array([0, 1, 2, 3, 3])
    train, validation = split_off_validation(strata, 5, 0.4, seed)
    assert train.tolist() in ([0, 1, 2, 3], [0, 1, 2, 4])
    assert_parts(train, validation, 5)


@pytest.mark.parametrize(
    ("strata", "n_samples"),
    [(np.arange(4), 4), (np.array([0, 1]), 2), (None, 2), (None, 1)],
    ids=["one of each class", "two classes", "two numbers", "one number"],
)
def test_none_where_no_sample_can_be_spared(strata, n_samples):
    assert split_off_validation(strata, n_samples, 0.5, 0) is None


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("strata", [None, np.zeros], ids=["numbers", "one class"])
def test_two_samples_at_least_are_left_to_train_on(strata, fraction):
    # as many as `fit` asks for: batch normalization compares images
    for n_samples in (2, 3, 4, 10):
        classes = None if strata is None else strata(n_samples)
        split = split_off_validation(classes, n_samples, fraction, seed=0)
        assert split is None or len(split[0]) >= 2


@pytest.mark.parametrize("strata", [None, np.arange(60) % 3, np.arange(60) // 2])
def test_the_seed_fixes_the_split(strata):
    first, second, other = (split_off_validation(strata, 60, 0.3, seed) for seed in (0, 0, 1))
    for part in 0, 1:
        assert np.array_equal(first[part], second[part])
    assert not np.array_equal(first[1], other[1])


def test_the_global_generator_is_not_drawn_from():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    split_off_validation(None, 60, 0.3, 0)
    split_off_validation(np.arange(60) % 3, 60, 0.3, 0)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def validation(patience=3, tol=0.01):
    images = torch.zeros(4, 2, 2, 1)
    samples = Samples(images, torch.zeros(4), None, torch.arange(4))
    return Validation(samples, score=None, patience=patience, tol=tol)


class Marked(nn.Module):
    """A module whose one weight says which epoch it is."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))


def run(watched, scores, losses=None):
    """Record epochs; return the number of epochs run, and that of the best weights."""
    module = Marked()
    losses = [1.0] * len(scores) if losses is None else losses
    n_epochs = 0
    for score, loss in zip(scores, losses, strict=True):
        with torch.no_grad():
            module.weight.fill_(n_epochs)
        watched.record(n_epochs + 1, score, loss, module)
        n_epochs += 1
        if watched.should_stop:
            break
    best = watched.best_weights
    return n_epochs, None if best is None else int(best["weight"])


def test_the_best_weights_are_kept():
    watched = validation()
    assert run(watched, [0.5, 0.9, 0.7, 0.8]) == (4, 1)
    assert watched.best_score == 0.9
    assert watched.best_epoch == 2
    assert len(watched) == 4


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_it_stops_after_patience_epochs_without_a_gain(patience):
    watched = validation(patience)
    assert run(watched, [0.1, 0.5] + [0.4] * 10) == (2 + patience, 1)
    assert watched.should_stop


def test_a_gain_starts_the_count_anew():
    assert run(validation(2), [0.1, 0.0, 0.2, 0.0, 0.3, 0.0, 0.0, 0.9]) == (7, 4)


def test_a_gain_below_tol_does_not_count_but_is_kept():
    watched = validation(3, tol=0.1)
    assert run(watched, [0.5, 0.55, 0.58, 0.59, 0.9]) == (4, 3)
    assert watched.best_score == 0.59


def test_of_equal_scores_the_lower_loss_is_better():
    assert run(validation(9), [0.8] * 4, [1.0, 0.5, 0.7, 0.5]) == (4, 1)
    # a loss does not outweigh a score
    assert run(validation(9), [0.8, 0.7], [1.0, 0.1]) == (2, 0)


def test_scores_of_next_to_no_difference_are_equal():
    # what images of a class weight of 1e-4 beside 1000 add
    scores = [1 - 1e-7, 1 - 2e-7, 1 - 1e-7]
    assert run(validation(9), scores, [1.0, 0.2, 0.5]) == (3, 1)
    # many small losses do not add up to a lower score
    falling = [1 - 4e-7 * epoch for epoch in range(10)]
    assert run(validation(20), falling, [1 / (epoch + 1) for epoch in range(10)]) == (10, 2)


def test_negative_scores_count():
    watched = validation()
    assert run(watched, [-5.0, -3.0, -4.0]) == (3, 1)
    assert watched.best_score == -3


def test_without_patience_it_never_stops_and_keeps_no_weights():
    watched = validation(patience=None)
    assert run(watched, [0.5] + [0.4] * 50) == (51, None)
    assert watched.best_epoch is None
    assert watched.best_score == 0.5


def test_a_score_that_is_no_number_is_no_gain():
    watched = validation(2)
    assert run(watched, [0.5, np.nan, np.nan, 0.9]) == (3, 0)
    assert watched.best_score == 0.5


def test_kept_weights_do_not_move_with_training():
    watched, module = validation(), Marked()
    watched.record(1, 0.5, 1.0, module)
    with torch.no_grad():
        module.weight.fill_(7)
    assert watched.best_weights["weight"] == 0


def test_patience_counts_no_epoch_that_does_not_count():
    watched, module = validation(2), Marked()
    stops = []
    for epoch, counts in enumerate([True, False, False, True, False, True], start=1):
        watched.record(epoch, 0.5, 1.0, module, counts=counts)
        stops.append(watched.should_stop)
    assert stops == [False] * 5 + [True]


@pytest.mark.parametrize(("patience", "kept"), [(3, 7), (None, None)])
def test_the_last_weights_may_be_kept(patience, kept):
    watched = validation(patience)
    run(watched, [0.9, 0.5])
    watched.keep_last(7)
    assert watched.best_weights is None
    assert watched.best_epoch == kept
    assert watched.best_score == 0.9

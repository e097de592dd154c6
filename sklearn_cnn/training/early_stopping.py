"""A validation set: how it is split off, and what is learned from it in training."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import train_test_split

from sklearn_cnn.training.samples import Samples

# Scores that differ by less are equal.
_EQUAL = 1e-6


def split_off_validation(strata, n_samples, fraction, seed):
    """Split sample indices into training and validation.

    Stratified where every class can be on both sides; else at random, with one sample of
    each class kept for training.

    Parameters
    ----------
    strata : ndarray of shape (n_samples,) or None
        Classes to stratify by; None where there are none.
    n_samples : int
    fraction : float
        Share of the samples that go to validation, in (0, 1).
    seed : int

    Returns
    -------
    train, validation : ndarray of int, or None
        Sorted indices. None if no sample can be spared.
    """
    # two at least: R² of a single sample is not defined
    n_validation = max(math.ceil(fraction * n_samples), 2)
    rows = np.arange(n_samples)
    if strata is not None:
        counts = np.unique(strata, return_counts=True)[1]
        n_train = n_samples - n_validation
        if min(counts) >= 2 and max(len(counts), 2) <= min(n_validation, n_train):
            train, validation = train_test_split(
                rows, test_size=n_validation, stratify=strata, random_state=seed
            )
            # a rare class may still fall on one side alone
            if len(np.unique(strata[train])) == len(counts):
                return np.sort(train), np.sort(validation)
    order = np.random.RandomState(seed).permutation(n_samples)
    labels = np.zeros(n_samples) if strata is None else strata
    kept = order[np.unique(labels[order], return_index=True)[1]]
    # two at least stay for training: batch normalization compares images
    spare = order[~np.isin(order, kept)][: min(n_validation, n_samples - 2)]
    if len(spare) < (2 if strata is None else 1):
        return None
    return np.setdiff1d(rows, spare), np.sort(spare)


@dataclass
class Validation:
    """A validation set, the scores on it so far, and the weights to keep.

    Parameters
    ----------
    samples : Samples
        On the device; all rows count.
    score : callable or None
        Maps raw outputs, an ndarray of shape (n, n_outputs), or what is kept of maps, to a number;
        higher is better. None: the loss with its sign changed.
    patience : int or None
        Epochs without a gain of `tol` after which training should come to its end. None: never,
        and keep the last weights.
    tol : float
        Gain in score that counts as one.
    keep : callable, default=None
        Maps logits of a batch of maps to what is kept of them; None: the outputs themselves.
    """

    samples: Samples
    score: Callable | None
    patience: int | None
    tol: float = 1e-4
    keep: Callable | None = None

    def __post_init__(self):
        self.best_score = -np.inf
        self.best_weights = None
        self.best_epoch = None
        self._kept_score, self._kept_loss = -np.inf, np.inf
        self._stale_epochs = 0

    def __len__(self):
        return len(self.samples)

    @property
    def should_stop(self):
        """Whether the score has not risen by `tol` for `patience` epochs."""
        return self.patience is not None and self._stale_epochs >= self.patience

    def record(self, epoch, score, loss, module, *, counts=True):
        """Take note of an epoch's score and loss, and of the weights if they are the best.

        Of two equal scores, which are common on small sets, the one of lower loss is better.
        Scores are equal up to a millionth: samples of next to no weight do not decide. `counts`
        says whether patience counts the epoch if there is no gain.
        """
        if score > self.best_score + self.tol:
            self._stale_epochs = 0
        elif counts:
            self._stale_epochs += 1
        self.best_score = max(self.best_score, score)
        is_higher = score > self._kept_score + _EQUAL
        is_surer = score > self.best_score - _EQUAL and loss < self._kept_loss
        if self.patience is not None and (is_higher or is_surer):
            self._kept_score, self._kept_loss = score, loss
            self.best_epoch = epoch
            self.best_weights = copy.deepcopy(module.state_dict())

    def keep_last(self, epoch):
        """Keep the weights of the last epoch, as the learning rate has come to its end.

        They are better than those of one good score, which are early and owe it to chance.
        """
        if self.patience is not None:
            self.best_epoch, self.best_weights = epoch, None

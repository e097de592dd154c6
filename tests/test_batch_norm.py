"""Networks predict with averages that fit their weights, after few steps too."""

import numpy as np
import pytest
import torch
from drawn import bars_and_discs
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import Callback, Checkpoint
from torch import nn

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet, Finetuned
from sklearn_cnn.training import loop

X, Y = bars_and_discs(48)


class Normalized(nn.Sequential):
    """One convolution and its normalization."""

    def __init__(self, in_channels, num_classes):
        super().__init__(
            nn.Conv2d(in_channels, 4, 3),
            nn.BatchNorm2d(4),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, num_classes),
        )


def without_update(monkeypatch, estimator, *data):
    """Fit as it would be if statistics were left alone."""
    with monkeypatch.context() as patched:
        patched.setattr(loop, "update_batch_norm", lambda *_: None)
        return estimator.fit(*data)


def classifier(architecture=Normalized, **params):
    params = {"max_epochs": 1, "precision": "float32", "random_state": 0, **params}
    return CNNClassifier(architecture, **params)


def test_averages_are_those_of_all_images_under_the_last_weights():
    model = classifier(batch_size=16).fit(X, Y)
    standardize, (convolution, norm, *_) = model.module_
    with torch.no_grad():
        maps = convolution(standardize(torch.from_numpy(X).permute(0, 3, 1, 2)))
    torch.testing.assert_close(norm.running_mean, maps.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)
    assert norm.momentum == 0.1
    assert not norm.training


def test_weights_are_the_same_with_and_without(monkeypatch):
    updated = classifier(max_epochs=2).fit(X, Y)
    plain = without_update(monkeypatch, classifier(max_epochs=2), X, Y)
    for ours, theirs in zip(updated.module_.parameters(), plain.module_.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(updated.module_[1][1].running_var, plain.module_[1][1].running_var)


def test_a_short_fit_predicts_better(monkeypatch):
    X_test, y_test = bars_and_discs(300, seed=1)
    network = ConvNet(whitening=False, activation="relu")
    models = [CNNClassifier(network, max_epochs=1, random_state=seed) for seed in range(4)]
    plain = [without_update(monkeypatch, m, X, Y).score(X_test, y_test) for m in models]
    updated = [model.fit(X, Y).score(X_test, y_test) for model in models]
    assert np.mean(updated) > np.mean(plain) + 0.05


def test_the_validation_score_is_of_the_updated_network():
    model = classifier(max_epochs=3).fit(X, Y, X_val=X, y_val=Y)
    assert model.validation_scores_[-1] == model.score(X, Y)


@pytest.mark.parametrize(("n_images", "batch_size"), [(7, 7), (100, 2)])
def test_few_images_and_many_steps_need_no_update(monkeypatch, n_images, batch_size):
    data = bars_and_discs(n_images)
    ours = classifier(batch_size=batch_size).fit(*data)
    plain = without_update(monkeypatch, classifier(batch_size=batch_size), *data)
    assert torch.equal(ours.module_[1][1].running_mean, plain.module_[1][1].running_mean)


def test_partial_fit_keeps_the_running_averages(monkeypatch):
    monkeypatch.setattr(loop, "update_batch_norm", lambda *_: pytest.fail("updated"))
    model = classifier().partial_fit(X, Y, classes=["bar", "disc"])
    assert model.module_[1][1].num_batches_tracked > 0


def test_frozen_normalizations_keep_their_averages():
    source = classifier().fit(X, Y)
    tuned = classifier(Finetuned(FrozenEstimator(source), freeze=True)).fit(X[:20], Y[:20])
    norms = [model.module_[1][1] for model in (source, tuned)]
    assert torch.equal(norms[0].running_mean, norms[1].running_mean)
    assert torch.equal(norms[0].running_var, norms[1].running_var)


class Scores(Callback):
    """Note the accuracy of the network after each epoch."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        self.scores = []

    def on_epoch_end(self, net, **kwargs):
        images = X[24:].transpose(0, 3, 1, 2).astype(np.float32)
        labels = np.array(["bar", "disc"])[net.predict_proba(images).argmax(axis=1)]
        self.scores.append(np.mean(labels == Y[24:]).item())


def test_callbacks_see_the_network_that_is_scored():
    model = classifier(batch_size=8, max_epochs=4, callbacks=[Scores()])
    model.fit(X[:24], Y[:24], X_val=X[24:], y_val=Y[24:])
    ((_, noted),) = model.net_.callbacks_
    assert noted.scores == model.validation_scores_
    alone = classifier(batch_size=8, max_epochs=4, callbacks=[Scores()]).fit(X[:24], Y[:24])
    ((_, noted_alone),) = alone.net_.callbacks_
    assert noted_alone.scores == noted.scores
    assert noted.scores[-1] == alone.score(X[24:], Y[24:])


def test_a_checkpoint_restores_the_network_that_scored_best(tmp_path):
    checkpoint = Checkpoint(monitor="valid_score_best", load_best=True, dirname=tmp_path)
    model = classifier(batch_size=8, max_epochs=6, lr=0.05, callbacks=[checkpoint])
    model.fit(X[:24], Y[:24], X_val=X[24:], y_val=Y[24:])
    assert model.score(X[24:], Y[24:]) == max(model.validation_scores_)
    assert model.n_iter_ < 6

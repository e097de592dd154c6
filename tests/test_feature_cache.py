"""With `memory=`, a search computes what frozen layers make of images once."""

import sqlite3
import warnings
from contextlib import closing

import numpy as np
import pytest
import torch
from joblib import Memory
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from test_frozen import SEEN, Net, Trunk, X, classifier, y
from torch import nn

from sklearn_cnn import CNNFeatures
from sklearn_cnn.architectures import TorchModule

FOLDS = StratifiedKFold(5, shuffle=True, random_state=0)


class Learned(Net):
    """A network whose weights are the same in each fit."""

    def __init__(self, num_classes, dropout=0.0, seed=0):
        super().__init__(num_classes, dropout)
        drawn = torch.Generator().manual_seed(seed)
        for parameter in self.trunk.parameters():
            nn.init.uniform_(parameter, -0.3, 0.5, generator=drawn)


def network(**parameters):
    return TorchModule(Learned, mean=(0.5,), std=(0.5,), head="head", freeze=True, **parameters)


def n_seen(function):
    """Return how many images trunks see in a call, but for those that are looked at in checks."""
    SEEN.clear()
    function()
    return sum(n for n in SEEN if n > 4)


def files(folder):
    return sorted(folder.rglob("*.sqlite"))


def fitted(folder, architecture=None, **parameters):
    """Return a fitted classifier; warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return classifier(architecture or network(), memory=folder, **parameters).fit(X, y)


def test_a_search_sees_each_image_little_more_than_once(tmp_path):
    grid = {"architecture": [network(dropout=p) for p in (0.0, 0.5)], "lr": [1e-3, 1e-2, 1e-1]}
    search = GridSearchCV(classifier(memory=tmp_path), grid, cv=FOLDS, error_score="raise")
    # the part that the first fold is scored on is seen twice: predictions add nothing
    assert len(X) <= n_seen(lambda: search.fit(X, y)) <= 1.3 * len(X)
    uncached = GridSearchCV(classifier(), grid, cv=FOLDS).fit(X, y)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], uncached.cv_results_["mean_test_score"]
    )


def test_predictions_look_up_images_of_the_fit_and_add_no_others(tmp_path):
    estimator = fitted(tmp_path)
    uncached = classifier(network()).fit(X, y)
    before = [path.read_bytes() for path in files(tmp_path)]
    assert n_seen(lambda: estimator.predict(X)) == 0
    others = 255 - X
    np.testing.assert_allclose(
        estimator.predict_proba(others), uncached.predict_proba(others), atol=1e-5
    )
    assert [path.read_bytes() for path in files(tmp_path)] == before


def test_predictions_make_no_cache(tmp_path):
    estimator = classifier(network()).fit(X, y)
    expected = estimator.predict_proba(X)
    np.testing.assert_array_equal(estimator.set_params(memory=tmp_path).predict_proba(X), expected)
    assert files(tmp_path) == []


def test_other_weights_and_other_precision_are_other_features(tmp_path):
    assert n_seen(lambda: fitted(tmp_path)) == len(X)
    assert n_seen(lambda: fitted(tmp_path, network(seed=1))) == len(X)
    assert n_seen(lambda: fitted(tmp_path, precision="bf16")) == len(X)
    assert n_seen(lambda: fitted(tmp_path)) == 0


def test_layers_of_other_code_are_noticed(tmp_path, monkeypatch):
    forward = Trunk.forward
    fitted(tmp_path)
    monkeypatch.setattr(Trunk, "forward", lambda self, images: 2 * forward(self, images))
    with pytest.warns(UserWarning, match="other code"):
        again = classifier(network(), memory=tmp_path).fit(X, y)
    uncached = classifier(network()).fit(X, y)
    np.testing.assert_allclose(again.predict_proba(X), uncached.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other"])
def test_a_damaged_cache_is_made_anew(tmp_path, damage):
    before = fitted(tmp_path).predict_proba(X)
    (path,) = files(tmp_path)
    content = path.read_bytes()
    if damage == "flip":
        with closing(sqlite3.connect(path)) as database, database:
            ((key, value),) = database.execute("SELECT * FROM features LIMIT 1 OFFSET 7").fetchall()
            changed = bytes([*value[:9], value[9] ^ 1, *value[10:]])
            database.execute("UPDATE features SET value = ? WHERE image = ?", (changed, key))
    else:
        path.write_bytes(
            {"cut": content[: len(content) // 2], "empty": b"", "other": b"x" * 9000}[damage]
        )
    again = classifier(network(), memory=tmp_path)
    if damage == "empty":
        again.fit(X, y)
    else:
        with pytest.warns(UserWarning, match="damaged: features are computed anew"):
            again.fit(X, y)
    np.testing.assert_allclose(again.predict_proba(X), before, atol=1e-5)
    # what was made anew is whole
    assert n_seen(lambda: fitted(tmp_path)) == 0


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path):
    folder = tmp_path / "joblib" / "sklearn_cnn"
    folder.mkdir(parents=True)
    (folder / "features-v1").write_text("no folder")
    with pytest.warns(UserWarning, match="cannot be used"):
        estimator = classifier(network(), memory=tmp_path).fit(X, y)
    np.testing.assert_allclose(
        estimator.predict_proba(X), classifier(network()).fit(X, y).predict_proba(X), atol=1e-5
    )


def test_memory_may_be_a_joblib_memory_whose_clear_clears(tmp_path):
    memory = Memory(tmp_path, verbose=0)
    fitted(memory)
    assert len(files(tmp_path)) == 1
    memory.clear(warn=False)
    assert files(tmp_path) == []
    assert n_seen(lambda: fitted(Memory(None, verbose=0))) == len(X)


def test_nothing_is_kept_of_a_network_that_learns(tmp_path):
    classifier(TorchModule(Net), memory=tmp_path).fit(X, y)
    assert files(tmp_path) == []


@pytest.mark.filterwarnings("ignore:TorchModule.* has random weights")
def test_folds_share_the_features_of_a_transformer(tmp_path):
    features = CNNFeatures(network(), memory=tmp_path)
    model = make_pipeline(features, LogisticRegression(max_iter=1000))
    scores = []
    seen = n_seen(lambda: scores.append(cross_val_score(model, X, y, cv=FOLDS)))
    assert len(X) <= seen <= 1.3 * len(X)
    uncached = make_pipeline(CNNFeatures(network()), LogisticRegression(max_iter=1000))
    np.testing.assert_array_equal(scores[0], cross_val_score(uncached, X, y, cv=FOLDS))
    # what another layer returns is another matter
    assert n_seen(lambda: features.set_params(layer="trunk").fit_transform(X)) == len(X)

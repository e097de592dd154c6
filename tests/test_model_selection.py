"""Fits that are done are not done again, and the result is that of a search without a cache."""

import errno
import functools
import multiprocessing
import os
import pickle
import signal
import threading
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from counted import FATAL, LOG, Counted, count
from joblib.externals.loky import get_reusable_executor
from PIL import Image
from sklearn import config_context
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet, _registry, register_architecture
from sklearn_cnn.model_selection import CachedEstimator

X, Y = load_digits(n_class=3, return_X_y=True)
X, Y = X[:90].astype(np.uint8), Y[:90]
GRID = {"estimator__lr": [0.001, 0.01], "estimator__architecture__widths": [(2,), (4,)]}


@pytest.fixture(autouse=True)
def one_thread():
    """Let torch use one thread here, as in the workers: scores are compared bit for bit."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """Return a classifier whose fits are counted, and cached in `tmp_path`."""
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    (tmp_path / "log").touch()
    return CachedEstimator(counted_classifier(), str(tmp_path / "cache"))


def counted_classifier():
    return CNNClassifier(Counted((2,)), max_epochs=1, random_state=0)


def search(estimator, **options):
    return GridSearchCV(estimator, GRID, cv=3, refit=False, **options).fit(X, Y)


def scores(result):
    """Return all scores of a search, one row a fold."""
    return [result.cv_results_[f"split{fold}_test_score"].tolist() for fold in range(3)]


@pytest.fixture
def expected():
    """Return the scores of a search without interruption and without a cache."""
    plain = CNNClassifier(ConvNet((2,)), max_epochs=1, random_state=0)
    return scores(search(CachedEstimator(plain, None)))


@parametrize_with_checks(
    [
        CachedEstimator(DecisionTreeClassifier(random_state=0), None),
        CachedEstimator(KMeans(n_clusters=3, random_state=0), None),
    ]
)
def test_scikit_learns_contract(estimator, check, tmp_path):
    check(estimator.set_params(memory=str(tmp_path)))


def test_a_second_fit_is_loaded_and_predicts_the_same(counted):
    first = clone(counted).fit(X, Y)
    again = clone(counted).fit(X, Y)
    assert count() == 1
    assert again.predict_proba(X).tobytes() == first.predict_proba(X).tobytes()
    alone = counted_classifier().fit(X, Y)
    assert again.decision_function(X).tobytes() == alone.decision_function(X).tobytes()
    assert again.score(X, Y) == alone.score(X, Y)
    assert again.loss_curve_ == alone.loss_curve_


def test_data_parameters_and_arguments_make_another_fit(counted):
    fits = [
        (counted, X, Y, {}),
        (clone(counted).set_params(estimator__lr=0.1), X, Y, {}),
        (clone(counted).set_params(estimator__architecture__widths=(3,)), X, Y, {}),
        (counted, X[::-1], Y, {}),
        (counted, X, Y[::-1], {}),
        (counted, X, Y, {"sample_weight": np.arange(1.0, 91.0)}),
    ]
    for number, (estimator, images, labels, arguments) in enumerate(fits, start=1):
        for _ in range(2):
            clone(estimator).fit(images, labels, **arguments)
            assert count() == number


def test_versions_and_the_configuration_make_another_fit(counted, monkeypatch):
    counted.fit(X, Y)
    with config_context(enable_metadata_routing=True):
        counted.fit(X, Y)
    assert count() == 2
    for number, package in enumerate(["sklearn_cnn", "sklearn", "torch"], start=3):
        monkeypatch.setattr(f"{package}.__version__", "99.0")
        counted.fit(X, Y)
        assert count() == number


@pytest.mark.parametrize("place", ["estimator", "pipeline", "grid"])
def test_a_name_that_stands_for_something_else_makes_another_fit(counted, place, monkeypatch):
    network = CNNClassifier("mine", max_epochs=1, random_state=0)
    if place == "pipeline":
        network = make_pipeline(MinMaxScaler(), network)
    elif place == "grid":
        network.set_params(architecture="convnet")
        network = GridSearchCV(network, {"architecture": ["mine"]}, cv=2)
    counted.set_params(estimator=network)
    counts = []
    for widths in [(2,), (3,), (2,)]:
        # as in another run of the program
        monkeypatch.setattr(_registry, "_registry", dict(_registry._BUILT_IN))
        register_architecture("mine", Counted(widths))
        counted.fit(X, Y)
        counts.append(count())
    assert counts[0] < counts[1] == counts[2]


def test_without_memory_each_fit_is_done(counted):
    counted.set_params(memory=None)
    counted.fit(X, Y).fit(X, Y)
    assert count() == 2


def test_a_folder_as_text_or_path_and_a_memory_in_it_are_the_same_cache(counted):
    counted.fit(X, Y)
    memory = joblib.Memory(counted.memory, verbose=0)
    for same in (memory, Path(counted.memory)):
        clone(counted).set_params(memory=same).fit(X, Y)
        assert count() == 1
    memory.clear(warn=False)
    counted.fit(X, Y)
    assert count() == 2


def test_a_search_is_done_once(counted, expected):
    assert scores(search(counted)) == scores(search(counted)) == expected
    assert count() == 12


def run_search(folder, options):
    """Run the search as a program of its own would, and hand out its scores."""
    torch.set_num_threads(1)
    cached = CachedEstimator(counted_classifier(), str(folder / "cache"))
    (folder / "scores").write_bytes(pickle.dumps(scores(search(cached, **options))))


def run_process(folder, **options):
    process = multiprocessing.get_context("spawn").Process(
        target=run_search, args=(folder, options)
    )
    process.start()
    process.join(timeout=100)
    return process.exitcode


@pytest.mark.usefixtures("counted")
def test_a_search_that_was_killed_goes_on_where_it_stopped(tmp_path, monkeypatch, expected):
    monkeypatch.setenv(FATAL, "6")
    assert run_process(tmp_path) == -signal.SIGKILL
    assert count() == 6
    assert not (tmp_path / "scores").exists()
    monkeypatch.delenv(FATAL)
    assert run_process(tmp_path) == 0
    # five fits were done, the sixth was under way: it and the other six are what is left
    assert count() == 6 + 7
    assert pickle.loads((tmp_path / "scores").read_bytes()) == expected


def test_parallel_workers_share_what_is_done(counted, monkeypatch, expected):
    monkeypatch.setenv(FATAL, "5")
    # workers inherit the environment that they are started in
    get_reusable_executor(max_workers=2).shutdown(wait=True)
    with pytest.raises(joblib.externals.loky.process_executor.TerminatedWorkerError):
        search(counted, n_jobs=2)
    assert count() >= 5
    monkeypatch.delenv(FATAL)
    get_reusable_executor(max_workers=2).shutdown(wait=True)
    assert scores(search(counted, n_jobs=2)) == expected
    # at most two fits were under way when the worker died, and one more was handed on
    assert 12 < count() <= 12 + 3
    before = count()
    assert scores(search(counted)) == expected
    assert count() == before
    get_reusable_executor().shutdown(wait=True)


@pytest.mark.parametrize("damage", [b"", b"\x80\x04 no pickle"])
def test_a_damaged_entry_is_done_anew_and_said(counted, damage, tmp_path):
    counted.fit(X, Y)
    (entry,) = tmp_path.glob("cache/**/output.pkl")
    entry.write_bytes(damage)
    check_it_heals(counted)
    assert count() == 2


def check_it_heals(counted):
    """Check that a damaged fit is done anew, which is said once, and then loaded."""
    expected, before = counted.predict_proba(X).tobytes(), count()
    with pytest.warns(UserWarning, match="cannot be loaded .*: it is done anew") as said:
        again = clone(counted).fit(X, Y)
    assert len(said) == 1
    assert again.predict_proba(X).tobytes() == expected
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert clone(counted).fit(X, Y).predict_proba(X).tobytes() == expected
    assert count() == before + 1


def test_each_flipped_bit_is_found(counted, tmp_path):
    counted.fit(X, Y)
    (entry,) = tmp_path.glob("cache/**/output.pkl")
    content = entry.read_bytes()
    chosen = np.random.default_rng(0).choice(8 * len(content), 30, replace=False)
    for bit in [*range(0, 8 * 130, 101), *chosen]:
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        entry.write_bytes(damaged)
        check_it_heals(counted)


def test_no_other_file_of_the_cache_matters(counted, tmp_path):
    counted.fit(X, Y)
    for file in (tmp_path / "cache").rglob("*"):
        if file.is_file() and file.name != "output.pkl":
            file.write_bytes(b"\xff" + file.read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clone(counted).fit(X, Y)
    assert count() == 1


def test_a_full_disk_is_said_and_the_fit_goes_on(counted, tmp_path, monkeypatch):
    def full(self, content):
        with open(self, "wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(UserWarning, match="No space left on device.*fits are done but not kept"):
        counted.fit(X, Y)
    assert counted.predict(X).shape == Y.shape
    left = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert left == [".gitignore"]


def test_a_folder_that_cannot_be_made(counted, tmp_path):
    (tmp_path / "file").touch()
    counted.set_params(memory=tmp_path / "file" / "cache")
    with pytest.warns(UserWarning, match="Not a directory.*fits are done but not kept") as said:
        counted.fit(X, Y)
    assert len(said) == 1
    assert counted.predict(X).shape == Y.shape


def test_a_fit_that_may_not_be_looked_for(counted, monkeypatch):
    def forbidden(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "exists", forbidden)
    with pytest.warns(UserWarning, match="Permission denied.*it is done anew"):
        counted.fit(X, Y)
    assert counted.predict(X).shape == Y.shape


def test_joblib_counts_and_removes_the_fits(counted):
    counted.fit(X, Y)
    memory = joblib.Memory(counted.memory, verbose=0)
    memory.reduce_size("1G")
    clone(counted).fit(X, Y)
    assert count() == 1
    memory.reduce_size(0)
    clone(counted).fit(X, Y)
    assert count() == 2


def test_a_fit_that_fails_is_not_stored(counted):
    counted.set_params(estimator__lr=1e30)
    for number in (1, 2):
        with pytest.raises(ValueError, match="Lower lr"):
            counted.fit(X, Y)
        assert count() == number
    assert not hasattr(counted, "estimator_")


def test_a_random_state_of_none_is_refused(tmp_path):
    pipeline = make_pipeline(PCA(4), CNNClassifier(ConvNet((2,)), max_epochs=1))
    cached = CachedEstimator(pipeline, str(tmp_path))
    with pytest.raises(ValueError, match=r"estimator__pca__random_state=0"):
        cached.fit(X, Y)
    cached.set_params(memory=None).fit(X, Y)


def test_a_generator_as_random_state_is_repeated(counted):
    counted.set_params(estimator__random_state=np.random.RandomState(3))
    first, second = (clone(counted).fit(X, Y).loss_curve_ for _ in range(2))
    assert count() == 1
    assert first == second


class Reader(BaseEstimator):
    """What it learns is what is left of a stream."""

    def fit(self, X, y=None, stream=None):
        self.text_ = stream.read()
        return self


def test_what_cannot_be_pickled_is_fitted_without_the_cache(tmp_path):
    (tmp_path / "text").write_text("text")
    cached = CachedEstimator(Reader(), str(tmp_path / "cache"))
    with open(tmp_path / "text") as stream:
        for expected in ("text", ""):
            with pytest.warns(UserWarning, match="cannot pickle .*: it is done without the cache"):
                cached.fit(X, Y, stream=stream)
            assert cached.text_ == expected


class Keeper(BaseEstimator):
    """What it learns cannot be pickled."""

    def fit(self, X, y=None):
        self.lock_ = threading.Lock()
        return self


def test_a_fit_that_cannot_be_pickled_is_not_kept(tmp_path):
    with pytest.warns(UserWarning, match=r"is not kept in the cache.*cannot pickle .*lock"):
        cached = CachedEstimator(Keeper(), str(tmp_path)).fit(X, Y)
    assert not cached.lock_.locked()
    assert not list(tmp_path.rglob("output.pkl"))


@pytest.mark.parametrize("place", ["lambda", "partial", "closure"])
def test_what_has_no_name_is_fitted_without_the_cache(counted, place):
    def make(width):
        def build(in_channels, num_classes):
            return Counted((width,)).build(in_channels, (8, 8), num_classes)

        return {
            "lambda": lambda in_channels, num_classes: build(in_channels, num_classes),
            "partial": functools.partial(build),
            "closure": build,
        }[place]

    for number, width in enumerate([2, 3, 3], start=1):
        counted.set_params(estimator__architecture=make(width))
        with pytest.warns(
            UserWarning, match="cannot be imported by name.*without the cache"
        ) as said:
            counted.fit(X, Y)
        assert len(said) == 1
        assert count() == number
        assert counted.module_.network[2].out_channels == width


def test_classes_of_a_script_are_kept(counted):
    script = {"__name__": "__main__", "ConvNet": ConvNet}
    exec("class Own(ConvNet):\n    pass", script)
    counted.set_params(estimator__architecture=script["Own"]((2,)))
    first = clone(counted).fit(X, Y)
    assert clone(counted).fit(X, Y).loss_curve_ == first.loss_curve_


def test_ones_own_code_counts_by_name_and_version(counted):
    program = """
def make(in_channels, num_classes):
    return Counted(({},)).build(in_channels, (8, 8), num_classes)
"""
    for width, version, expected in [(2, None, 1), (3, None, 1), (3, 1, 2), (3, 1, 2), (3, "1", 3)]:
        script = {"__name__": "__main__", "Counted": Counted}
        exec(program.format(width), script)
        counted.set_params(estimator__architecture=script["make"], version=version).fit(X, Y)
        assert count() == expected
    assert counted.module_.network[2].out_channels == 3


def test_names_of_files_that_are_not_utf_8(counted, tmp_path):
    names = []
    for row in range(6):
        name = os.path.join(os.fsencode(tmp_path), b"\xff%d.png" % row)
        try:
            open(name, "wb").close()
        except OSError:
            pytest.skip("this file system takes no such names")
        Image.fromarray(X[row].reshape(8, 8)).save(os.fsdecode(name), "png")
        names.append(os.fsdecode(name))
    counted.set_params(estimator__memory=str(tmp_path / "images"))
    for files, expected in [(names, 1), (names, 1), (names[::-1], 2)]:
        counted.fit(files, np.arange(6) % 2)
        assert count() == expected


def test_it_is_what_the_estimator_inside_is(tmp_path):
    classifier = CachedEstimator(counted_classifier(), str(tmp_path))
    assert is_classifier(classifier)
    assert is_regressor(CachedEstimator(CNNRegressor(), None))
    assert classifier.get_params()["estimator__architecture__widths"] == (2,)
    assert not hasattr(CachedEstimator(SVC(probability=False), None), "predict_proba")
    assert not hasattr(CachedEstimator(LinearRegression(), None), "transform")
    with pytest.raises(NotFittedError):
        classifier.predict(X)
    with pytest.raises(
        AttributeError, match="'CachedEstimator' object has no attribute 'classes_'"
    ):
        classifier.classes_  # noqa: B018


def test_what_was_learned_can_be_reached(counted):
    counted.fit(X, Y)
    assert counted.classes_.tolist() == [0, 1, 2]
    assert counted.n_features_in_ == 64
    assert counted.transform(X).shape == (90, len(counted.get_feature_names_out()))
    assert counted.fit_transform(X, Y).tobytes() == counted.transform(X).tobytes()
    copy = pickle.loads(pickle.dumps(counted))
    assert copy.predict_log_proba(X).tobytes() == counted.predict_log_proba(X).tobytes()
    assert not hasattr(clone(counted), "estimator_")


def test_a_fit_that_is_loaded_gives_the_container_asked_for_now(counted):
    expected = counted.fit(X, Y).transform(X)
    names = counted.get_feature_names_out().tolist()
    for container, kind in [("pandas", pd.DataFrame), ("polars", pl.DataFrame)] * 2:
        chosen = clone(counted).set_output(transform=container)
        for frame in (chosen.fit_transform(X, Y), clone(chosen).fit(X, Y).transform(X)):
            assert isinstance(frame, kind)
            assert list(frame.columns) == names
            assert frame.to_numpy().tobytes() == expected.tobytes()
    # each container is a fit of its own: inside a Pipeline it changes what the steps see
    assert count() == 3
    assert type(clone(counted).fit(X, Y).transform(X)) is np.ndarray
    assert count() == 3


def test_the_container_may_be_chosen_after_the_fit(counted):
    counted.fit(X, Y)
    for fitted in (counted, pickle.loads(pickle.dumps(counted))):
        assert isinstance(fitted.set_output(transform="pandas").transform(X), pd.DataFrame)
        assert isinstance(fitted.set_output(transform=None).transform(X), pd.DataFrame)
        assert type(fitted.set_output(transform="default").transform(X)) is np.ndarray
    assert count() == 1


def test_the_container_is_chosen_by_a_pipeline_around():
    network = CNNClassifier(ConvNet((2,)), max_epochs=1, random_state=0)
    pipeline = make_pipeline(CachedEstimator(network, None), "passthrough")
    frame = pipeline.set_output(transform="pandas").fit(X, Y).transform(X)
    assert list(frame.columns) == pipeline[0].get_feature_names_out().tolist()
    assert not hasattr(CachedEstimator(LinearRegression(), None), "set_output")


def test_the_estimator_that_was_given_is_left_alone(counted):
    before = dict(vars(counted.estimator))
    counted.fit(X, Y)
    assert vars(counted.estimator) == before


def test_it_stands_in_pipelines_halving_and_cross_validation(counted):
    pipeline = make_pipeline(MinMaxScaler(), counted)
    values = [cross_val_score(pipeline, X, Y, cv=2).tolist() for _ in range(2)]
    assert values[0] == values[1]
    assert count() == 2
    halving = HalvingGridSearchCV(
        counted,
        {"estimator__lr": [0.001, 0.01, 0.1]},
        resource="estimator__max_epochs",
        max_resources=3,
        cv=2,
    )
    results = [clone(halving).fit(X, Y).cv_results_["mean_test_score"].tolist() for _ in range(2)]
    assert results[0] == results[1]
    # three candidates of one epoch, then one of three, and the best on everything
    assert count() == 2 + 2 * (3 + 1) + 1


def test_metadata_is_routed_to_the_estimator_inside(counted):
    weights = np.arange(1.0, 91.0)
    with config_context(enable_metadata_routing=True):
        counted.estimator.set_fit_request(sample_weight=True)
        counted.estimator.set_score_request(sample_weight=False)
        routed = GridSearchCV(counted, {"estimator__lr": [0.01]}, cv=2)
        routed.fit(X, Y, sample_weight=weights)
        counted.estimator.set_fit_request(sample_weight=False)
        unweighted = GridSearchCV(counted, {"estimator__lr": [0.01]}, cv=2)
        unweighted.fit(X, Y)
    weighted = routed.best_estimator_.loss_curve_
    assert weighted != unweighted.best_estimator_.loss_curve_
    alone = counted_classifier().set_params(lr=0.01).fit(X, Y, sample_weight=weights)
    assert weighted == alone.loss_curve_

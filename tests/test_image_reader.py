"""ImageReader brings files to estimators that know numbers alone."""

import numpy as np
import pandas as pd
import pytest
from image_files import noise, write_images
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_cnn import ImageReader
from sklearn_cnn.images import _encoded
from sklearn_cnn.images._decoding import decode_file
from sklearn_cnn.runtime import progress

N = 12
IMAGES = [noise(6, 5, seed=seed) for seed in range(N)]
Y = np.arange(N) % 2


@pytest.fixture
def paths(tmp_path):
    return write_images(tmp_path / "images", IMAGES)


@parametrize_with_checks([ImageReader()])
def test_contract(estimator, check):
    check(estimator)


def test_files_become_rows_or_images(paths):
    rows = ImageReader().fit_transform(paths)
    assert rows.dtype == np.uint8
    assert np.array_equal(rows, np.stack(IMAGES).reshape(N, -1))
    images = ImageReader(flatten=False).fit_transform(paths)
    assert np.array_equal(images, np.stack(IMAGES))


def test_fit_and_transform_is_fit_transform(paths):
    reader = ImageReader(image_shape=(4, 4, 1))
    assert np.array_equal(reader.fit(paths).transform(paths), reader.fit_transform(paths))
    assert reader.image_shape_ == (4, 4, 1)


@pytest.mark.parametrize(
    "later",
    [{"image_shape": (5, 5)}, {"resize_mode": "pad"}, {"interpolation": "bicubic"}],
    ids=lambda later: next(iter(later)),
)
def test_transform_prepares_images_as_fit_did(paths, later):
    reader = ImageReader(image_shape=(4, 4, 1))
    expected = reader.fit_transform(paths)
    assert np.array_equal(reader.set_params(**later).transform(paths), expected)
    anew = reader.fit_transform(paths)
    assert anew.shape != expected.shape or not np.array_equal(anew, expected)


def test_names_of_features(paths):
    reader = ImageReader(image_shape=(2, 2, 1)).set_output(transform="pandas")
    frame = reader.fit_transform(pd.DataFrame({"path": paths}))
    assert frame.columns.tolist() == [f"imagereader{pixel}" for pixel in range(4)]
    assert reader.feature_names_in_.tolist() == ["path"]


def test_it_feeds_any_estimator(paths):
    pipeline = make_pipeline(ImageReader(image_shape=(4, 4)), LogisticRegression(max_iter=500))
    assert pipeline.fit(paths, Y).predict(paths).shape == (N,)
    assert np.isfinite(cross_val_score(pipeline, paths, Y, cv=2)).all()


def test_memory_of_a_pipeline_caches_what_it_returns(tmp_path, paths, monkeypatch):
    log = []

    def logged(file, with_alpha=False):
        log.append(file.path)
        return decode_file(file, with_alpha)

    monkeypatch.setattr(_encoded, "decode_file", logged)
    pipeline = make_pipeline(
        ImageReader(), LogisticRegression(max_iter=500), memory=str(tmp_path / "cache")
    )
    grid = {"logisticregression__C": [0.1, 1.0, 10.0]}
    GridSearchCV(pipeline, grid, cv=2, refit=False, scoring=None).fit(paths, Y)
    # each fold reads its training files once, and its test files once a candidate
    assert len(log) == N + 3 * N


def test_a_bar_is_shown_if_asked_for(paths, capsys, monkeypatch):
    # whatever takes less has none
    monkeypatch.setattr(progress, "_SHORT", 0)
    ImageReader().fit(paths)
    assert capsys.readouterr().err == ""
    ImageReader(verbose=1).fit(paths)
    assert "ImageReader: reading images" in capsys.readouterr().err


def test_another_size_in_transform(tmp_path, paths):
    other = write_images(tmp_path / "other", [noise(9, 9)])
    with pytest.raises(ValueError, match="ImageReader was fitted on images of 6 x 5 x 3"):
        ImageReader().fit(paths).transform(other)
    resized = ImageReader(image_shape=(6, 5)).fit(paths).transform(other)
    assert resized.shape == (1, 6 * 5 * 3)


def test_a_failed_fit_learns_nothing(paths):
    reader = ImageReader()
    with pytest.raises(ValueError, match=r"^X\[12\], 'none.png': no such file"):
        reader.fit([*paths, "none.png"])
    with pytest.raises(NotFittedError):
        reader.transform(paths)
    fitted = clone(reader).fit(paths)
    with pytest.raises(ValueError, match="no such file"):
        fitted.fit(["none.png"])
    assert np.array_equal(fitted.transform(paths[:1])[0], IMAGES[0].ravel())


def test_a_fit_forgets_the_one_before(paths):
    frame = pd.DataFrame(np.zeros((3, 64))).add_prefix("pixel_")
    reader = ImageReader().fit(frame)
    # one that fails leaves it as it was
    with pytest.raises(ValueError, match="no such file"):
        reader.fit(["none.png"])
    assert reader.n_features_in_ == len(reader.feature_names_in_) == 64
    reader.fit(paths)
    assert not hasattr(reader, "n_features_in_")
    assert not hasattr(reader, "feature_names_in_")
    rows = np.zeros((2, 6 * 5 * 3))
    assert reader.transform(rows).shape == rows.shape

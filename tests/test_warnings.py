"""Warnings name the line of the user's that they are about."""

import warnings

import numpy as np
import pytest
from drawn import bars_and_discs
from PIL import Image
from sklearn.exceptions import ConvergenceWarning

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.images import ImageReader
from sklearn_cnn.runtime.warnings import warn

X, Y = bars_and_discs(16)
SMALL = ConvNet((4,), whitening=False)


def classifier(**params):
    return CNNClassifier(SMALL, **{"max_epochs": 1, "random_state": 0, **params})


def fit_on_long_rows(_):
    """Rows that could be images of two shapes."""
    return classifier().fit(np.zeros((4, 48 * 48), np.uint8), [0, 1, 0, 1])


def fit_without_room_for_validation(_):
    """Early stopping with no sample to spare."""
    return classifier(early_stopping=True).fit(X[:2], Y[:2])


def fit_on_a_broken_file(tmp_path):
    """One file of five is no image."""
    paths = [tmp_path / f"{row}.png" for row in range(5)]
    for path, image in zip(paths, X, strict=False):
        Image.fromarray(image).save(path)
    paths[2].write_text("no image")
    return classifier(handle_broken="skip").fit(list(map(str, paths)), [0, 1, 0, 1, 0])


def load_without_the_users_code(tmp_path):
    """A parameter that no file can hold."""
    classifier(augmentation=lambda images: images).fit(X, Y).save(tmp_path / "model")
    return CNNClassifier.load(tmp_path / "model")


def read_long_rows(_):
    """Rows that could be images of two shapes, for the transformer."""
    return ImageReader().fit(np.zeros((4, 48 * 48), np.uint8))


@pytest.mark.parametrize(
    ("call", "category"),
    [
        (fit_on_long_rows, UserWarning),
        (fit_without_room_for_validation, ConvergenceWarning),
        (fit_on_a_broken_file, UserWarning),
        (load_without_the_users_code, UserWarning),
        (read_long_rows, UserWarning),
    ],
)
def test_a_warning_points_at_the_call(tmp_path, call, category):
    with pytest.warns(category) as caught:
        call(tmp_path)
    ours = [w for w in caught if issubclass(w.category, category)]
    assert [w.filename for w in ours] == [__file__]
    assert call.__code__.co_firstlineno < ours[0].lineno


def test_a_warning_points_at_whoever_called_it_from_outside():
    with pytest.warns(UserWarning, match="careful") as caught:
        warn("careful")
    assert caught[0].filename == __file__


def test_a_filter_of_the_users_applies():
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning, match="careful"):
            warn("careful", ConvergenceWarning)

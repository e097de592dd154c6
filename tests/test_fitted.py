"""What a fit learns replaces what the last one did, at once, and not if it fails."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from image_files import noise
from sklearn.base import BaseEstimator
from skorch.callbacks import Callback
from torch.utils.data import Dataset

from sklearn_cnn import CNNClassifier, CNNFeatures, CNNRegressor, ImageReader
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.runtime.fitted import fits_aside, reset_fitted


class Estimator(BaseEstimator):
    """Does in `fit` what a test asks for, and then raises what it asks for."""

    def __init__(self, size=1):
        self.size = size

    @fits_aside
    def fit(self, learned, error=None):
        """Set attributes, and fail."""
        reset_fitted(self)
        vars(self).update(learned)
        if error is not None:
            raise error
        return self


FIRST, SECOND = {"net_": object(), "classes_": [0, 1]}, {"net_": object(), "_target": "new"}


def test_what_was_learned_is_forgotten_and_parameters_are_not():
    estimator = Estimator(size=3).fit({**FIRST, "_seed": 7})
    reset_fitted(estimator)
    assert vars(estimator) == {"size": 3, "_seed": 7}
    reset_fitted(estimator)
    assert vars(estimator) == {"size": 3, "_seed": 7}


def test_a_fit_returns_what_it_returned():
    estimator = Estimator()
    assert estimator.fit(FIRST) is estimator
    assert vars(estimator) == {"size": 1, **FIRST}


@pytest.mark.parametrize("error", [ValueError("x"), MemoryError(), SystemExit(1)], ids=repr)
@pytest.mark.parametrize("before", [{}, FIRST], ids=["unfitted", "fitted"])
def test_a_failure_restores_all_there_was(before, error):
    estimator = Estimator().fit(before)
    with pytest.raises(type(error)) as caught:
        estimator.fit(SECOND, error)
    assert caught.value is error
    assert vars(estimator) == {"size": 1, **before}


@pytest.mark.parametrize("before", [{}, FIRST], ids=["unfitted", "fitted"])
def test_ctrl_c_in_training_keeps_what_was_learned(before):
    estimator = Estimator().fit(before)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(SECOND, KeyboardInterrupt())
    assert vars(estimator) == {"size": 1, **SECOND}


@pytest.mark.parametrize("before", [{}, FIRST], ids=["unfitted", "fitted"])
def test_ctrl_c_before_training_restores_all_there_was(before):
    estimator = Estimator().fit(before)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit({"image_shape_": (8, 8, 1)}, KeyboardInterrupt())
    assert vars(estimator) == {"size": 1, **before}


# --- Predictions while a fit is under way, and fits while a prediction is ------------------------

IMAGES = np.stack([noise(8, 8, seed=seed) for seed in range(12)])
LARGER = np.stack([noise(9, 9, seed=seed) for seed in range(12)])
OLD, NEW = np.array(["a", "b"] * 6), np.array(["c", "d", "e"] * 4)


def small(kind=CNNClassifier, **params):
    return kind(ConvNet((4,)), max_epochs=2, random_state=0, **params)


class Calls(Callback):
    """Calls a function after each epoch."""

    def __init__(self, function):
        self.function = function

    def on_epoch_end(self, net, **kwargs):
        """Call it."""
        self.function()


class Calling(Dataset):
    """Images, the third of which is there when a function was called."""

    def __init__(self, images, function):
        self.images, self.function = images, function

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        if row == 2:
            self.function()
        return self.images[row]


FITS = {
    "fit": lambda model: model.fit(IMAGES, NEW),
    "warm start": lambda model: model.set_params(warm_start=True).fit(IMAGES, OLD),
    "partial_fit": lambda model: model.partial_fit(IMAGES, OLD),
}


@pytest.mark.parametrize("fit", FITS)
def test_while_a_fit_is_under_way_predictions_are_the_old_ones(fit):
    model = small().fit(IMAGES, OLD)
    expected, seen = model.predict_proba(IMAGES), []
    model.set_params(callbacks=[Calls(lambda: seen.append(model.predict_proba(IMAGES)))])
    assert FITS[fit](model) is model
    assert len(seen) == (1 if fit == "partial_fit" else 2)
    assert all(np.array_equal(probabilities, expected) for probabilities in seen)
    assert not np.array_equal(model.predict_proba(IMAGES), expected)


OLD_MODELS = {
    "classifier": lambda: small().fit(IMAGES, OLD),
    "regressor": lambda: small(CNNRegressor).fit(IMAGES, 100.0 + np.arange(12)),
    "features": lambda: CNNFeatures(ConvNet((4,))).fit(IMAGES),
    "reader": lambda: ImageReader().fit(IMAGES),
}
METHODS = [
    *[("classifier", method) for method in ("predict", "predict_proba", "decision_function")],
    *[("classifier", "transform"), ("regressor", "predict")],
    *[("features", "transform"), ("reader", "transform")],
]


@pytest.mark.filterwarnings("ignore:.*random weights:UserWarning")
@pytest.mark.parametrize(("kind", "method"), METHODS)
def test_a_prediction_that_is_under_way_is_of_the_old_model(kind, method):
    model = OLD_MODELS[kind]()
    expected = getattr(model, method)(IMAGES)
    y = NEW if kind == "classifier" else np.arange(12)
    X = Calling(IMAGES, lambda: model.fit(LARGER, y))
    assert np.array_equal(getattr(model, method)(X), expected)
    assert model.image_shape_ == (9, 9, 3)
    assert len(getattr(model, method)(LARGER)) == len(LARGER)


def test_threads_predict_while_another_fits():
    model, seen, has_ended = small().fit(IMAGES, OLD), [], threading.Event()

    def predict():
        while not has_ended.is_set():
            seen.append(set(model.predict(IMAGES)))

    with ThreadPoolExecutor(2) as executor:
        predicting = [executor.submit(predict) for _ in range(2)]
        try:
            for y in (NEW, OLD, NEW):
                model.fit(IMAGES, y)
        finally:
            has_ended.set()
        for future in predicting:
            future.result()
    assert len(seen) > 0
    assert all(labels <= set(OLD) or labels <= set(NEW) for labels in seen)

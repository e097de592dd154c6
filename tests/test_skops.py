"""skops, whose files name no code that a reader has not trusted."""

import copy
import pickle

import numpy as np
import pytest
import skops.io
from drawn import several_shapes, upright_and_lying_bars
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch.callbacks import Callback
from small_networks import network
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import Architecture, ConvNet, ResNet, TorchModule

X, Y = upright_and_lying_bars(40)
CLASSIFIER = "sklearn_cnn._classifier.CNNClassifier"
REGRESSOR = "sklearn_cnn._regressor.CNNRegressor"


class Net(nn.Sequential):
    """A user's network."""

    def __init__(self, num_classes, width=3):
        super().__init__(nn.Flatten(), nn.LazyLinear(width), nn.Linear(width, num_classes))


class Stages(Architecture):
    """A user's architecture."""

    def __init__(self, width=4):
        self.width = width

    def build(self, in_channels, image_size, n_outputs):
        """Build a ConvNet of one stage."""
        return ConvNet((self.width,)).build(in_channels, image_size, n_outputs)


class Remembers(Callback):
    """A callback that gathers something."""

    def on_train_begin(self, net, **_):
        """Gather."""
        self.gathered = True


@pytest.fixture
def sent(tmp_path):
    """Return a function that sends an object through a file; it returns the types named there."""

    def send(obj):
        path = tmp_path / "model.skops"
        skops.io.dump(obj, path)
        types = skops.io.get_untrusted_types(file=path)
        return types, skops.io.load(path, trusted=types)

    return send


def assert_same_and_goes_on(loaded, fitted, images=X, y=Y):
    outputs = "predict_proba" if hasattr(fitted, "predict_proba") else "predict"
    expected = getattr(fitted, outputs)(images)
    assert np.array_equal(getattr(loaded, outputs)(images), expected)
    assert loaded.loss_curve_ == fitted.loss_curve_
    assert loaded.get_params(deep=False).keys() == fitted.get_params(deep=False).keys()
    for model in (loaded, fitted):
        model.partial_fit(images, y)
    # the optimizer goes on from where it was
    went_on = getattr(fitted, outputs)(images)
    assert np.array_equal(getattr(loaded, outputs)(images), went_on)
    assert not np.array_equal(went_on, expected)


@pytest.mark.parametrize(
    ("fitted", "types"),
    [
        (CNNClassifier(max_epochs=2), [CLASSIFIER]),
        (CNNRegressor(ResNet(widths=(4,)), max_epochs=2), [REGRESSOR]),
        (CNNClassifier("resnet18", max_epochs=1), [CLASSIFIER]),
        (CNNClassifier(Net), ["test_skops.Net", CLASSIFIER]),
        (CNNClassifier(TorchModule(Net, width=5)), ["test_skops.Net", CLASSIFIER]),
        (CNNClassifier(Stages(5), max_epochs=2), [CLASSIFIER, "test_skops.Stages"]),
    ],
    ids=[
        "convnet",
        "resnet",
        "torchvision",
        "own class",
        "own class and width",
        "own architecture",
    ],
)
def test_a_fitted_estimator_names_its_class_and_the_users_own(sent, fitted, types):
    fitted.set_params(random_state=0).fit(X, Y)
    named, loaded = sent(fitted)
    wrapper = "sklearn_cnn.architectures._torch_module.TorchModule"
    assert sorted(set(named) - {wrapper}) == sorted(types)
    assert_same_and_goes_on(loaded, fitted)


def test_labels_of_several_columns(sent):
    images, y = several_shapes(24)
    fitted = network().fit(images, y)
    assert_same_and_goes_on(sent(fitted)[1], fitted, images, y)


def test_an_estimator_that_is_not_fitted(sent):
    types, loaded = sent(CNNClassifier(ConvNet((4,)), lr=0.01))
    assert types == [CLASSIFIER, "sklearn_cnn.architectures._convnet.ConvNet"]
    assert repr(loaded) == "CNNClassifier(architecture=ConvNet(widths=(4,)), lr=0.01)"
    with pytest.raises(NotFittedError):
        loaded.predict(X)


def test_inside_a_pipeline(sent):
    fitted = make_pipeline(FunctionTransformer(), network()).fit(X, Y)
    types, loaded = sent(fitted)
    assert types == [CLASSIFIER]
    assert np.array_equal(loaded.predict_proba(X), fitted.predict_proba(X))


def test_a_network_that_was_passed_as_an_instance_is_refused(sent):
    fitted = CNNClassifier(Net(2), max_epochs=1).fit(X, Y)
    with pytest.raises(TypeError, match=r"Net instance.* Fit with the class .*CNNClassifier\.save"):
        sent(fitted)


def test_what_is_code_does_not_come_back_and_is_named(sent):
    fitted = network(callbacks=[Remembers()]).fit(X, Y)
    with pytest.warns(UserWarning, match=r"did not come back: callbacks=\[.*Remembers"):
        types, loaded = sent(fitted)
    assert types == [CLASSIFIER]
    assert loaded.callbacks is None
    assert np.array_equal(loaded.predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize("copied", [lambda obj: pickle.loads(pickle.dumps(obj)), copy.deepcopy])
def test_pickle_and_copy_keep_what_skops_does_not(copied):
    fitted = network(callbacks=[Remembers()]).fit(X, Y)
    again = copied(fitted)
    assert again.callbacks[0].__class__ is Remembers
    assert again.net_.callbacks[0].gathered
    assert_same_and_goes_on(again, fitted)

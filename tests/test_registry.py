"""Names of architectures, and what else `architecture=` takes."""

import functools
import pickle

import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_val_score
from torch import nn

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import (
    Architecture,
    ConvNet,
    TorchModule,
    TorchvisionModel,
    _registry,
    as_architecture,
    available_architectures,
    register_architecture,
)


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """Give each test a registry of its own."""
    monkeypatch.setattr(_registry, "_registry", dict(_registry._registry))


class Net(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Flatten(), nn.LazyLinear(num_classes))


def make_net(num_classes):
    return Net(num_classes)


def test_every_name_is_that_of_an_architecture():
    names = available_architectures()
    assert "convnet" in names
    assert names == sorted(names)
    for name in names:
        assert isinstance(as_architecture(name), Architecture)
    assert isinstance(as_architecture("convnet"), ConvNet)


def test_a_registered_name_is_taken_from_then_on():
    register_architecture("aardvark", ConvNet((4,)))
    assert available_architectures()[0] == "aardvark"
    assert as_architecture("aardvark").widths == (4,)
    estimator = CNNClassifier("aardvark").set_params(architecture__dropout=0.5)
    assert estimator.architecture.widths == (4,)


@pytest.mark.parametrize("name", ["convnet", "mine", "resnet18"])
def test_a_clash_of_names_is_refused(name):
    if name == "mine":
        register_architecture("mine", ConvNet((4,)))
    before = as_architecture(name).get_params()
    with pytest.raises(ValueError, match=f"named '{name}' already"):
        register_architecture(name, ConvNet((99,)))
    assert as_architecture(name).get_params() == before


def test_each_time_a_copy_is_handed_out():
    handed_out = as_architecture("convnet")
    handed_out.set_params(widths=(99,))
    assert as_architecture("convnet").widths != (99,)
    assert as_architecture("convnet") is not as_architecture("convnet")


def test_the_object_that_was_registered_may_change_afterwards():
    architecture = ConvNet((4,))
    register_architecture("mine", architecture)
    architecture.set_params(widths=(99,))
    assert as_architecture("mine").widths == (4,)


@pytest.mark.parametrize("given", [ConvNet, Net, make_net, "convnet"])
def test_only_objects_are_registered(given):
    with pytest.raises(TypeError, match="takes an Architecture object"):
        register_architecture("mine", given)
    assert "mine" not in available_architectures()


@pytest.mark.parametrize(
    ("name", "kind"), [(3, "int"), (None, "NoneType"), (b"mine", "bytes"), (ConvNet(), "ConvNet")]
)
def test_a_name_is_a_str(name, kind):
    before = available_architectures()
    with pytest.raises(TypeError, match=rf"takes a name first, a str, got {kind}\. Write"):
        register_architecture(name, ConvNet((4,)))
    assert available_architectures() == before


def test_an_empty_name_is_refused():
    with pytest.raises(ValueError, match="empty name"):
        register_architecture("", ConvNet((4,)))
    assert "" not in available_architectures()


@pytest.fixture
def digits():
    X, y = load_digits(n_class=3, return_X_y=True)
    return X[:60], y[:60]


def test_workers_understand_the_estimators_names(digits):
    register_architecture("mine", ConvNet((4,)))
    named = CNNClassifier("mine", max_epochs=1, random_state=0)
    scores = cross_val_score(named, *digits, cv=2, n_jobs=2, error_score="raise")
    plain = clone(named).set_params(architecture=ConvNet((4,)))
    assert scores.tolist() == cross_val_score(plain, *digits, cv=2).tolist()
    # here the name stays
    assert named.architecture == clone(named).architecture == "mine"


def test_an_estimator_is_pickled_with_what_its_name_stands_for(monkeypatch):
    register_architecture("mine", ConvNet((4,)))
    pickled = pickle.dumps([CNNClassifier("mine"), CNNClassifier("convnet")])
    monkeypatch.setattr(_registry, "_registry", dict(_registry._BUILT_IN))
    mine, built_in = pickle.loads(pickled)
    assert mine.architecture.widths == (4,)
    assert built_in.architecture == "convnet"


def test_a_name_that_came_to_a_worker_alone_says_so(digits):
    register_architecture("mine", ConvNet((4,)))
    search = GridSearchCV(
        CNNClassifier(max_epochs=1), {"architecture": ["mine"]}, n_jobs=2, error_score="raise"
    )
    with pytest.raises(ValueError, match=r"named 'mine'.*workers of a search, the object"):
        search.fit(*digits)


def test_a_wrapped_module_class_is_registered():
    register_architecture("mine", TorchModule(Net))
    assert as_architecture("mine").module is Net


def test_an_unknown_name_says_where_the_known_ones_are():
    message = r"no architecture named 'convent'\. Did you mean 'convnet'\?.*available_architectures"
    with pytest.raises(ValueError, match=message):
        as_architecture("convent")


def test_an_object_is_taken_as_it_is():
    architecture = ConvNet((4,))
    assert as_architecture(architecture) is architecture


@pytest.mark.parametrize(
    "given", [Net, make_net, lambda num_classes: Net(num_classes), functools.partial(Net)]
)
def test_classes_and_functions_are_wrapped(given):
    architecture = as_architecture(given)
    assert isinstance(architecture, TorchModule)
    assert architecture.module is given
    assert architecture.params == {}


def test_the_class_of_an_architecture_is_refused():
    with pytest.raises(TypeError, match=r"got the class ConvNet\. Pass an object: ConvNet\(\)"):
        as_architecture(ConvNet)


def test_an_instance_of_a_module_is_wrapped():
    net = Net(3)
    architecture = as_architecture(net)
    assert isinstance(architecture, TorchModule)
    assert architecture.module is net


def test_the_names_of_torchvision_are_among_the_names():
    assert {"resnet18", "vgg11_bn", "vit_b_16"} < set(available_architectures())
    assert as_architecture("resnet18").get_params() == TorchvisionModel("resnet18").get_params()
    assert as_architecture("fcn_resnet50").output == "map"
    assert "fcn_resnet50" in available_architectures()


@pytest.mark.parametrize("given", [3, None, ["convnet"]])
def test_anything_else_is_refused(given):
    with pytest.raises(TypeError, match="architecture must be a name"):
        as_architecture(given)


class Builder:
    """An object that can be called."""

    def __call__(self, num_classes):
        return Net(num_classes)


def test_an_object_that_can_be_called_is_refused_and_a_function_named():
    with pytest.raises(TypeError, match=r"must be a name.*in a function .*lambda in_channels, num"):
        as_architecture(Builder())
    with pytest.raises(TypeError, match=r"got 3\.$"):
        as_architecture(3)

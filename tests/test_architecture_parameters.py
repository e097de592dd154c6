"""`architecture__...` in set_params and in searches, for every form of `architecture`."""

import functools
import warnings

import numpy as np
import pytest
from drawn import bars_and_discs
from scipy.stats import loguniform, randint
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import Architecture, ConvNet, ResNet, TorchModule, TorchvisionModel

X, Y = bars_and_discs(60)


class Net(nn.Sequential):
    """A user's module."""

    def __init__(self, in_channels, num_classes, width=2):
        super().__init__(nn.Conv2d(in_channels, width, 3), nn.Flatten(), nn.LazyLinear(num_classes))


def make_net(in_channels, num_classes, width=2):
    return Net(in_channels, num_classes, width)


class Own(Architecture):
    """A user's architecture."""

    def __init__(self, width=2):
        self.width = width

    def build(self, in_channels, image_size, n_outputs):
        return Net(in_channels, n_outputs, self.width)


# value of `architecture`, a parameter of it, two values, an unknown one's valid neighbours
FORMS = {
    "object": (ConvNet((2,)), "widths", [(2,), (3,)], "'convs_per_stage'"),
    "name": ("convnet", "widths", [(2,), (3,)], "'convs_per_stage'"),
    "resnet": ("resnet", "widths", [(2,), (3, 2)], "'depth', 'dropout', 'stem', 'widths'"),
    "torchvision name": ("mnasnet0_5", "freeze", [True, False], "'freeze', 'head_lr_ratio'"),
    "own class": (Own(), "width", [1, 3], "'width'"),
    "module class": (Net, "width", [1, 3], "'width'"),
    "function": (make_net, "width", [1, 3], "'width'"),
    "partial": (functools.partial(Net, width=2), "width", [1, 3], "'width'"),
}


@pytest.fixture(params=FORMS.values(), ids=FORMS.keys())
def form(request):
    return request.param


def classifier(architecture):
    return CNNClassifier(clone(architecture, safe=False), max_epochs=1, random_state=0)


def test_set_params(form):
    architecture, name, values, _ = form
    model = classifier(architecture)
    for value in values:
        model.set_params(**{f"architecture__{name}": value})
        assert isinstance(model.architecture, Architecture)
        assert model.get_params()[f"architecture__{name}"] == value
        assert clone(model).architecture.get_params()[name] == value


def test_an_unknown_parameter_is_named_with_the_valid_ones(form):
    architecture, _, _, neighbours = form
    with pytest.raises(ValueError, match=r"Invalid parameter 'widhts' for.*Valid par") as caught:
        classifier(architecture).set_params(architecture__widhts=3)
    assert neighbours in str(caught.value)


@pytest.mark.parametrize("inside", ["alone", "pipeline"])
def test_grid_search(form, inside):
    architecture, name, values, _ = form
    model, parameter = classifier(architecture), f"architecture__{name}"
    if inside == "pipeline":
        model, parameter = Pipeline([("cnn", model)]), f"cnn__{parameter}"
    search = GridSearchCV(model, {parameter: values}, cv=2, error_score="raise", refit=False)
    search.fit(X, Y)
    assert list(search.cv_results_[f"param_{parameter}"]) == values
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_search_sets_what_it_says():
    search = GridSearchCV(
        Pipeline([("cnn", CNNClassifier("resnet", max_epochs=1))]),
        {"cnn__architecture__depth": [2], "cnn__architecture__widths": [(2, 3)]},
        cv=2,
    ).fit(X, Y)
    best = search.best_estimator_["cnn"]
    assert best.architecture.get_params() == {**ResNet((2, 3), depth=2).get_params()}
    blocks = [part for part in best.module_.modules() if type(part).__name__ == "BasicBlock"]
    assert len(blocks) == 4
    assert search.estimator["cnn"].architecture == "resnet"


def test_a_list_of_grids_over_architectures():
    search = GridSearchCV(
        CNNClassifier(max_epochs=1, random_state=0),
        [
            {"architecture": [ConvNet()], "architecture__widths": [(2,), (2, 3)]},
            {"architecture": ["resnet"], "architecture__widths": [(2,)]},
            {"architecture": [Net, "mnasnet0_5", TorchModule(Net, width=3)], "lr": [1e-3]},
        ],
        cv=2,
        error_score="raise",
        refit=False,
    ).fit(X, Y)
    assert len(search.cv_results_["params"]) == 6
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_name_and_parameter_may_come_together():
    model = CNNClassifier().set_params(architecture="resnet18", architecture__freeze=True)
    assert repr(model.architecture) == repr(TorchvisionModel("resnet18", freeze=True))


def test_a_parameter_of_the_architecture_that_is_replaced_is_refused():
    model = CNNClassifier("resnet18")
    with pytest.raises(ValueError, match="Invalid parameter 'freeze' for estimator ResNet"):
        model.set_params(architecture="resnet", architecture__freeze=True)


def test_randomized_search():
    search = RandomizedSearchCV(
        CNNClassifier(Net, max_epochs=1, random_state=0),
        {"architecture__width": randint(1, 4), "lr": loguniform(1e-4, 1e-2)},
        n_iter=3,
        cv=2,
        random_state=0,
        error_score="raise",
        refit=False,
    ).fit(X, Y)
    assert {*search.cv_results_["param_architecture__width"]} <= {1, 2, 3}


@pytest.mark.parametrize("resource", ["n_samples", "max_epochs"])
def test_halving_search(resource):
    search = HalvingGridSearchCV(
        CNNRegressor("convnet", max_epochs=1, random_state=0),
        {"architecture__widths": [(2,), (3,), (4,)], "architecture__residual": [True]},
        resource=resource,
        min_resources=20 if resource == "n_samples" else 1,
        max_resources=60 if resource == "n_samples" else 3,
        cv=2,
        error_score="raise",
        refit=False,
        random_state=0,
    )
    search.fit(X, (Y == "disc").astype(float))
    assert list(search.n_candidates_) == [3, 1]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    "changed",
    [{"architecture": ConvNet((5,))}, {"architecture__widths": (5,)}, {"architecture": Net}],
    ids=["object", "parameter", "class"],
)
def test_training_does_not_go_on_with_another_architecture(changed, method):
    model = CNNClassifier(ConvNet((4,)), max_epochs=1, warm_start=True, random_state=0).fit(X, Y)
    before = model.decision_function(X)
    model.set_params(**changed)
    with pytest.raises(ValueError, match=r"last fit is ConvNet\(widths=\(4,\)\), and.*=False"):
        getattr(model, method)(X, Y)
    np.testing.assert_array_equal(model.decision_function(X), before)


@pytest.mark.parametrize("same", ["convnet", ConvNet(), ConvNet(dropout=0.0)], ids=repr)
def test_training_goes_on_with_the_same_architecture(same):
    model = CNNClassifier("convnet", max_epochs=1, warm_start=True, random_state=0).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.set_params(architecture=same).fit(X, Y)
    assert model.n_iter_ == 2

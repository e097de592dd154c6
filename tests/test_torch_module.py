"""The user's own modules: what their constructors are passed, and their parameters."""

import copy
import functools
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn
from torchvision.models import resnet18

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import Architecture, ConvNet, TorchModule
from sklearn_cnn.images import pixel_statistics


class Net(nn.Sequential):
    """A user's network."""

    def __init__(self, in_channels, num_classes, width=8, *, depth=1):
        super().__init__(nn.Conv2d(in_channels, width, 3), nn.Flatten(), nn.LazyLinear(num_classes))
        self.arguments = (in_channels, num_classes, width, depth)


class Passed(nn.Module):
    """A module that keeps what it was passed."""

    def __init__(self, **arguments):
        super().__init__()
        self.arguments = arguments


# Parameters of every TorchModule, beside the arguments of its constructor.
OWN = TorchModule(nn.Identity()).get_params()


def arguments(architecture):
    return {n: v for n, v in architecture.get_params().items() if n not in OWN}


def build(module, /, **params):
    return TorchModule(module, **params).build(3, (20, 30), 5)


def test_all_facts_are_passed_by_name():
    def factory(*, image_shape, image_size, n_outputs, num_classes, in_channels):
        return Passed(**locals())

    assert build(factory).arguments == {
        "in_channels": 3,
        "num_classes": 5,
        "n_outputs": 5,
        "image_size": (20, 30),
        "image_shape": (20, 30, 3),
    }


@pytest.mark.parametrize(
    ("factory", "value"),
    [
        (lambda width=2, in_channels=None: Passed(got=(width, in_channels)), 3),
        (lambda width=2, num_classes=None: Passed(got=(width, num_classes)), 5),
        (lambda width=2, n_outputs=None: Passed(got=(width, n_outputs)), 5),
        (lambda width=2, image_size=None: Passed(got=(width, image_size)), (20, 30)),
        (lambda width=2, image_shape=None: Passed(got=(width, image_shape)), (20, 30, 3)),
    ],
)
def test_only_what_is_named_is_passed(factory, value):
    assert build(factory).arguments == {"got": (2, value)}


def test_a_constructor_that_names_nothing_is_passed_nothing():
    assert build(lambda: Passed()).arguments == {}
    assert build(Passed).arguments == {}
    assert build(Passed, num_classes=7).arguments == {"num_classes": 7}


def test_image_size_is_a_tuple_whatever_it_came_as():
    module = TorchModule(lambda image_size: Passed(size=image_size)).build(1, [4, 6], 2)
    assert module.arguments == {"size": (4, 6)}


def test_params_are_passed_and_win_over_the_facts():
    assert build(Net).arguments == (3, 5, 8, 1)
    assert build(Net, width=4, depth=2).arguments == (3, 5, 4, 2)
    assert build(Net, num_classes=9).arguments == (3, 9, 8, 1)


def test_partials_and_functions():
    assert build(functools.partial(Net, width=2)).arguments == (3, 5, 2, 1)
    assert build(functools.partial(Net, width=2), width=3).arguments == (3, 5, 3, 1)
    assert build(lambda num_classes, width=6: Net(1, num_classes, width)).arguments == (1, 5, 6, 1)
    assert build(functools.partial(Net, 1)).arguments == (1, 5, 8, 1)


def test_functions_of_torchvision_are_passed_the_classes_that_they_do_not_name():
    for function in (resnet18, functools.partial(resnet18, progress=False)):
        network = TorchModule(function).build(3, (32, 32), 4)
        assert (network.conv1.in_channels, network.fc.out_features) == (3, 4)
    fixed = TorchModule(functools.partial(resnet18, num_classes=6)).build(3, (32, 32), 4)
    assert fixed.fc.out_features == 6


def test_a_factory_whose_network_does_not_fit_is_told_what_it_is_passed():
    def of_colours():
        return nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.LazyLinear(2))

    def of_colours_and_classes(num_classes):
        return nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.LazyLinear(num_classes))

    X, y = np.zeros((8, 8, 8), np.uint8), np.arange(8) % 2
    passed = "It is passed neither in_channels nor num_classes: of in_channels"
    with pytest.raises(ValueError, match=rf"cannot take images of 8 x 8 x 1: .*{passed}"):
        CNNClassifier(of_colours).fit(X, y)
    with pytest.raises(ValueError, match=r"cannot take images.*It is passed num_classes: of"):
        CNNClassifier(of_colours_and_classes).fit(X, y)
    with pytest.raises(ValueError, match="cannot take images") as caught:
        CNNClassifier(of_colours()).fit(X, y)
    assert "passed" not in str(caught.value)


def test_what_a_partial_sets_is_not_overridden():
    assert build(functools.partial(Net, in_channels=1)).arguments == (1, 5, 8, 1)


def test_an_instance_is_copied():
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 5))
    built = TorchModule(net).build(3, (8, 8), 5)
    assert built is not net
    assert torch.equal(built[1].weight, net[1].weight)
    assert built[1].weight is not net[1].weight


def test_an_instance_has_no_parameters():
    architecture = TorchModule(nn.Sequential(nn.Linear(2, 2)))
    assert arguments(architecture) == {}
    assert str(architecture) == "TorchModule(<Sequential instance>)"
    with pytest.raises(ValueError, match="Invalid parameter 'width' for <Sequential instance>"):
        architecture.set_params(width=3)


IMAGES = np.random.default_rng(0).integers(0, 256, (30, 6, 6), dtype=np.uint8)
LABELS = np.arange(30) % 2


def small_net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.ReLU(), nn.Linear(4, 2))


def test_each_fit_starts_from_the_weights_of_the_instance_and_leaves_them():
    net = small_net()
    before = copy.deepcopy(net.state_dict())
    model = CNNClassifier(net, max_epochs=2, random_state=0).fit(IMAGES, LABELS)
    again = clone(model).fit(IMAGES, LABELS)
    assert model.architecture is net
    assert not torch.equal(model.module_.network[1].weight, before["1.weight"])
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name])
        assert torch.equal(
            model.module_.network.state_dict()[name], again.module_.network.state_dict()[name]
        )


def test_the_weights_of_the_instance_are_where_training_starts():
    net = small_net()
    tiny = CNNClassifier(net, lr=1e-12, max_epochs=1, random_state=0).fit(IMAGES, LABELS)
    torch.testing.assert_close(tiny.module_.network.state_dict(), net.state_dict())


def test_frozen_parts_of_an_instance_stay_as_they_are():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 2))
    net[:2].requires_grad_(False)
    model = CNNClassifier(net, max_epochs=2, random_state=0).fit(IMAGES, LABELS)
    trained = model.module_.network
    for name, tensor in net[:2].state_dict().items():
        assert torch.equal(trained[:2].state_dict()[name], tensor)
    assert not torch.equal(trained[3].weight, net[3].weight)


def test_a_search_over_instances():
    wide = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 2))
    search = GridSearchCV(
        CNNClassifier(max_epochs=1, random_state=0), {"architecture": [small_net(), wide]}, cv=2
    ).fit(IMAGES, LABELS)
    assert [len(net) for net in search.cv_results_["param_architecture"]] == [4, 4]
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert "Sequential" in repr(search)


def test_each_build_is_a_module_of_its_own():
    architecture = TorchModule(Net)
    assert architecture.build(3, (8, 8), 2) is not architecture.build(3, (8, 8), 2)


def test_parameters_are_those_of_the_constructor():
    architecture = TorchModule(Net, width=4)
    assert isinstance(architecture, Architecture)
    assert arguments(architecture) == {"width": 4, "depth": 1}
    assert architecture.set_params(width=6, depth=3) is architecture
    assert arguments(architecture) == {"width": 6, "depth": 3}
    assert architecture.build(3, (8, 8), 2).arguments == (3, 2, 6, 3)
    assert TorchModule(functools.partial(Net, width=2)).get_params()["width"] == 2


def test_a_constructor_may_have_parameters_called_module_and_params():
    def factory(module=1, params=2):
        return Passed(module=module, params=params)

    architecture = TorchModule(factory, module=3)
    assert arguments(architecture) == {"module": 3, "params": 2}
    assert clone(architecture).set_params(params=4).build(1, (8, 8), 2).arguments == {
        "module": 3,
        "params": 4,
    }
    assert architecture.get_params(deep=False) == {
        **OWN,
        "module": factory,
        "params": {"module": 3},
    }
    assert "factory" in repr(CNNClassifier(architecture))
    assert "factory" in repr(clone(CNNClassifier(architecture)))


class Tower(nn.Sequential):
    """A network with a parameter that is named as the one of `TorchModule`."""

    def __init__(self, num_classes, module=nn.ReLU):
        super().__init__(nn.Flatten(), module(), nn.LazyLinear(num_classes))


def test_a_search_over_a_parameter_called_module():
    search = GridSearchCV(
        CNNClassifier(TorchModule(Tower, module=nn.Tanh), max_epochs=1, random_state=0),
        {"architecture__module": [nn.ReLU, nn.GELU]},
        cv=2,
        error_score="raise",
    ).fit(IMAGES, LABELS)
    best = search.best_params_["architecture__module"]
    assert type(search.best_estimator_.module_.network[1]) is best
    assert "Tower" in repr(search)


def test_a_search_sets_them_by_name():
    estimator = CNNClassifier(TorchModule(Net, width=4))
    assert estimator.get_params()["architecture__width"] == 4
    clone(estimator).set_params(architecture__width=16)
    assert estimator.architecture.params == {"width": 4}
    assert CNNClassifier(Net).set_params(architecture__depth=2).architecture.params == {"depth": 2}


@pytest.mark.parametrize(
    "use",
    [lambda **params: TorchModule(Net).set_params(**params), functools.partial(build, Net)],
    ids=["set_params", "build"],
)
def test_an_unknown_parameter_is_named_with_the_valid_ones(use):
    with pytest.raises(ValueError, match="Invalid parameter 'widht' for Net") as caught:
        use(width=3, widht=4)
    for name in "in_channels", "num_classes", "width", "depth":
        assert repr(name) in str(caught.value)


def test_a_failing_set_params_changes_nothing():
    architecture = TorchModule(Net, width=4)
    with pytest.raises(ValueError, match="widht"):
        architecture.set_params(width=3, widht=4)
    assert architecture.params == {"width": 4}


def test_a_constructor_of_any_keywords_takes_any_parameter():
    architecture = TorchModule(Passed).set_params(anything=1)
    assert architecture.build(1, (8, 8), 2).arguments == {"anything": 1}


def test_a_clone_is_equal_and_independent():
    architecture = TorchModule(Net, width=4)
    copied = clone(architecture)
    assert type(copied) is TorchModule
    assert copied.module is Net
    assert copied.params == {"width": 4}
    copied.set_params(width=5)
    assert architecture.params == {"width": 4}


def test_a_clone_does_not_share_mutable_parameters():
    architecture = TorchModule(Passed, widths=[4, 8])
    clone(architecture).params["widths"].append(16)
    assert architecture.params == {"widths": [4, 8]}


def test_repr_names_the_module():
    assert str(TorchModule(Net)) == "TorchModule(Net)"
    assert str(TorchModule(Net, width=4, depth=2)) == "TorchModule(Net, width=4, depth=2)"
    assert str(TorchModule(functools.partial(Net))) == "TorchModule(partial(Net))"


def test_repr_of_an_estimator_names_the_module():
    assert "Net" in repr(CNNClassifier(TorchModule(Net, width=4)))


@pytest.mark.parametrize(
    ("factory", "found"), [(lambda: 3, "int"), (lambda: None, "NoneType"), (lambda: Net, "type")]
)
def test_a_factory_must_return_a_module(factory, found):
    with pytest.raises(TypeError, match=f"must build a torch.nn.Module, got {found}"):
        build(factory)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, r"got None\.$"),
        (3, r"got 3\.$"),
        ("resnet18", r"got 'resnet18'\. Write architecture='resnet18' instead\.$"),
        (ConvNet((4,)), r"Write architecture=ConvNet\(widths=\(4,\)\) instead\.$"),
    ],
)
def test_what_builds_no_module_is_refused_by_the_fit_and_shown_before(given, message):
    architecture = TorchModule(given)
    assert str(architecture) == f"TorchModule({given!r})"
    assert arguments(architecture) == {}
    assert clone(architecture).module is given
    estimator = CNNClassifier(architecture)
    assert (
        repr(estimator) == f"CNNClassifier(architecture=TorchModule(module={given!r}, params={{}}))"
    )
    assert estimator.get_params()["architecture"] is architecture
    with pytest.raises(TypeError, match=f"takes an nn.Module, its class or a function .*{message}"):
        estimator.fit(IMAGES, LABELS)


WRAP = r"whichever of in_channels, num_classes .*wrap it in a function: lambda in_channels"


def positional(in_channels, /, num_classes, width=8):
    return Net(in_channels, num_classes, width)


@pytest.mark.parametrize(
    ("factory", "missing"),
    [
        (lambda c, n: Net(c, n), r"<lambda> needs c, n, "),
        (lambda in_channels, *, n: Net(in_channels, n), r"<lambda> needs n, "),
        (functools.partial(lambda c, n: Net(c, n), 1), r"partial\(<lambda>\) needs n, "),
        (positional, r"positional needs in_channels \(by position\), "),
        (nn.Linear, r"Linear needs in_features, out_features, "),
    ],
)
def test_arguments_that_nobody_passes_are_named(factory, missing):
    with pytest.raises(TypeError, match=f"{missing}which it is not passed.*{WRAP}"):
        CNNClassifier(factory).fit(IMAGES, LABELS)


def test_arguments_of_other_names_may_be_set():
    assert build(lambda c, num_classes: Net(c, num_classes), c=1).arguments == (1, 5, 8, 1)
    assert build(functools.partial(positional, 1)).arguments == (1, 5, 8, 1)


def test_arguments_by_position_are_no_parameters():
    def factory(width=8, /, depth=1):
        return Passed(width=width, depth=depth)

    assert arguments(TorchModule(factory)) == {"depth": 1}
    assert build(factory, depth=2).arguments == {"width": 8, "depth": 2}
    with pytest.raises(ValueError, match=r"Invalid parameter 'width'.*are: \['depth', 'freeze'"):
        build(factory, width=4)


@pytest.mark.parametrize(
    ("factory", "found"),
    [
        (lambda **facts: Net(facts["in_channels"], 2), r"nothing and raises KeyError\('in_chann"),
        (lambda **facts: Net(**facts), r"nothing and raises TypeError\(.*'in_channels' and 'num"),
        (lambda *facts: Net(facts[0], 2), r"nothing and raises IndexError\("),
        (lambda in_channels, **others: Net(in_channels, **others), r"in_channels and raises Type"),
    ],
)
def test_what_stands_behind_kwargs_is_not_passed_and_said(factory, found):
    with pytest.raises(TypeError, match=f"<lambda> is passed {found}.*{WRAP}"):
        build(factory)


def test_an_error_of_the_constructor_itself_comes_through():
    with pytest.raises(KeyError, match="'a'"):
        build(lambda: {}["a"])


def test_pythons_own_classes_build_no_module():
    with pytest.raises(TypeError, match=r"must build a torch.nn.Module, got dict\.$"):
        CNNClassifier(dict).fit(IMAGES, LABELS)
    assert "<class 'dict'>" in repr(CNNClassifier(TorchModule(dict)))


def test_statistics_of_bytes_say_what_they_are_of_pixels_in_0_to_1():
    module = TorchModule(nn.Identity, mean=(127, 127, 127), std=(128, 128, 128))
    with pytest.raises(ValueError, match=r"Divide those of bytes by 255: mean=\(0.498, "):
        module.resolve()


@pytest.mark.parametrize("n", [2, 4])
def test_statistics_of_other_channels_than_the_images_have_are_refused(n):
    module = TorchModule(nn.Identity, mean=(0.5,) * n, std=(0.5,) * n)
    images = torch.zeros((2, 4, 4, 3), dtype=torch.uint8)
    with pytest.raises(ValueError, match=rf"X has 3 channels, but .* hold {n} numbers"):
        module.standardization(pixel_statistics(images, torch.arange(2)))


BLACK_AND_WHITE = IMAGES > 127


def standardized():
    return TorchModule(small_net, mean=(0.3,), std=(0.4,), freeze=["0"])


@pytest.mark.parametrize(
    ("pixels", "white"),
    [
        (BLACK_AND_WHITE, 1),
        (list(BLACK_AND_WHITE), 1),
        (BLACK_AND_WHITE.astype(np.uint8), 1),
        (BLACK_AND_WHITE.astype(np.float32), 1),
        (BLACK_AND_WHITE * np.uint8(255), 255),
        (np.zeros_like(IMAGES), 255),
    ],
)
def test_bytes_of_0_and_1_are_black_and_white(pixels, white, recwarn):
    model = CNNClassifier(standardized(), max_epochs=1).fit(pixels, LABELS)
    assert model.module_.standardize.mean.item() == np.float32(0.3) * white
    assert model.module_.standardize.std.item() == np.float32(0.4) * white
    assert not recwarn


def test_the_unit_that_fit_found_holds_in_prediction(tmp_path):
    model = CNNClassifier(standardized(), max_epochs=1, random_state=0).fit(IMAGES, LABELS)
    model.save(tmp_path / "saved")
    loaded = CNNClassifier.load(tmp_path / "saved", architecture=standardized())
    dark = BLACK_AND_WHITE.astype(np.uint8)
    expected = model.decision_function(np.concatenate([dark, IMAGES]))[: len(dark)]
    for fitted in model, pickle.loads(pickle.dumps(model)), loaded:
        with pytest.warns(UserWarning, match="^X has pixels from 0 to 1, but .* from 0 to 255"):
            scores = fitted.decision_function(dark)
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


def test_bools_and_floats_are_the_same_to_a_model_and_its_copies(tmp_path, recwarn):
    model = CNNClassifier(standardized(), max_epochs=1, random_state=0)
    model.fit(BLACK_AND_WHITE, LABELS).save(tmp_path / "saved")
    loaded = CNNClassifier.load(tmp_path / "saved", architecture=standardized())
    floats = BLACK_AND_WHITE.astype(np.float32)
    of_floats = clone(model).fit(floats, LABELS).decision_function(floats)
    for fitted in model, pickle.loads(pickle.dumps(model)), loaded:
        np.testing.assert_array_equal(fitted.decision_function(BLACK_AND_WHITE), of_floats)
        np.testing.assert_array_equal(fitted.decision_function(floats), of_floats)
    assert not recwarn


@pytest.mark.parametrize("largest", [2, 16, 31])
def test_bytes_of_a_small_range_say_what_to_write(largest, recwarn):
    pixels = IMAGES % np.uint8(largest + 1)
    model = CNNClassifier(standardized(), max_epochs=1).fit(pixels, LABELS)
    assert model.module_.standardize.std.item() == np.float32(0.4) * 255
    assert [str(warned.message) for warned in recwarn] == [
        "The weights were trained on pixels from 0 to 1, to which bytes are brought by / 255, but "
        f"X has bytes from 0 to {largest}: nearly black. If {largest} is white, pass X / {largest} "
        "as floats, in prediction too, or scale the bytes to 0 to 255."
    ]


@pytest.mark.parametrize("pixels", [IMAGES % 33, (IMAGES % 17) / 16])
def test_dark_bytes_and_floats_do_not_warn(pixels, recwarn):
    CNNClassifier(standardized(), max_epochs=1).fit(pixels, LABELS)
    assert not recwarn


def test_pixels_of_any_range_suit_a_network_without_statistics(recwarn):
    CNNClassifier(small_net(), max_epochs=1).fit(IMAGES % 17, LABELS)
    assert not recwarn

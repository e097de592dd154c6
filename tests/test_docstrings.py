"""Public docstrings are whole by numpydoc's own validation, and their examples run."""

import doctest
import inspect

import pytest
from numpydoc.validate import validate

import sklearn_cnn
from sklearn_cnn import architectures, inspection, model_selection, plots

# Where the summary stands, sections that not every docstring needs, and scikit-learn's way of
# naming what is returned, `self : object`.
OPTIONAL = {"GL01", "ES01", "EX01", "SA01", "YD01", "RT02"}


def is_method(thing):
    """Say whether a member of a class is a method, of its objects or of itself."""
    return inspect.isfunction(thing) or inspect.ismethod(thing)


# Of each public name the module that it is documented in: the last one that has it.
MODULES = {
    name: module
    for module in (sklearn_cnn, architectures, inspection, model_selection, plots)
    for name in module.__all__
}


def public_names():
    """Yield what users call and is written here: classes, their methods, functions."""
    for name, module in MODULES.items():
        thing = getattr(module, name)
        yield f"{module.__name__}.{name}"
        for method, function in inspect.getmembers(thing, is_method):
            ours = inspect.unwrap(function).__module__.startswith("sklearn_cnn")
            if inspect.isclass(thing) and ours and not method.startswith("_"):
                yield f"{module.__name__}.{name}.{method}"


NAMES = list(public_names())


def test_the_public_names_are_found():
    assert "sklearn_cnn.CNNClassifier.fit" in NAMES
    assert "sklearn_cnn.CNNRegressor.partial_fit" in NAMES
    assert "sklearn_cnn.CNNRegressor.load" in NAMES
    assert "sklearn_cnn.architectures.ConvNet.build" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_docstring_is_whole(name):
    errors = [error for error in validate(name)["errors"] if error[0] not in OPTIONAL]
    assert errors == []


EXAMPLES = [
    test
    for name, module in MODULES.items()
    for test in doctest.DocTestFinder(recurse=False).find(
        getattr(module, name), f"{module.__name__}.{name}", globs={}
    )
    if test.examples
]


def test_the_examples_are_found():
    names = [example.name for example in EXAMPLES]
    assert "sklearn_cnn.CNNClassifier" in names
    assert "sklearn_cnn.architectures.TorchModule" in names
    assert "sklearn_cnn.model_selection.CachedEstimator" in names
    assert "sklearn_cnn.plots.PredictionsDisplay" in names


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_example_runs(example):
    printed = []
    doctest.DocTestRunner(verbose=False).run(example, out=printed.append)
    assert printed == []

"""What is in the package's namespace, and what is imported for it."""

import subprocess
import sys

import pytest

import sklearn_cnn
from sklearn_cnn import architectures, model_selection, plots

MODULES = [architectures, model_selection, plots]
# for those who write architectures and estimators
NOT_AT_THE_TOP = {"as_architecture"}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_public_names_are_at_the_top(module):
    for name in set(module.__all__) - NOT_AT_THE_TOP:
        assert getattr(sklearn_cnn, name) is getattr(module, name)
        assert name in sklearn_cnn.__all__


def test_dir_shows_names_and_public_modules_alone():
    modules = {"architectures", "augmentation", "inspection", "metrics", "model_selection", "plots"}
    assert set(dir(sklearn_cnn)) == {*sklearn_cnn.__all__, *modules, "__version__"}
    assert all(hasattr(sklearn_cnn, name) for name in dir(sklearn_cnn))


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'ConvNext'"):
        sklearn_cnn.ConvNext  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'ConvNext'"):
        from sklearn_cnn import ConvNext  # noqa: F401


def test_figures_are_imported_when_they_are_asked_for():
    code = """
import sys
import sklearn_cnn

later = {"plots", "inspection", "model_selection"}
assert not ({f"sklearn_cnn.{name}" for name in later} | {"matplotlib"}) & set(sys.modules)
assert sklearn_cnn.plots.TrainingCurveDisplay is sklearn_cnn.TrainingCurveDisplay
assert "matplotlib" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)

"""What a notebook shows of an estimator."""

import re

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from sklearn_cnn import CNNClassifier, CNNFeatures, CNNRegressor, ConvNet, Finetuned

X = np.random.default_rng(0).integers(0, 100, (20, 8, 8), dtype=np.uint8)
Y = np.arange(20) % 2


def marked_as_set(estimator):
    """Return the names of parameters that the table marks, and of those that it does not."""
    html = estimator._repr_html_()
    rows = re.findall(r'<tr class="(user-set|default)">.*?class="param">(\w+)<', html, re.DOTALL)
    return [[n for kind, n in rows if kind == k] for k in ("user-set", "default")]


@pytest.mark.parametrize("kind", [CNNClassifier, CNNRegressor, CNNFeatures])
def test_defaults_of_nested_objects_are_not_marked(kind):
    is_set, default = marked_as_set(kind(ConvNet((8,), dropout=0.5)))
    assert set(is_set) == {"architecture", "architecture__widths", "architecture__dropout"}
    assert {"architecture__kernel_size", "device"} <= set(default)


def test_defaults_of_objects_in_nested_objects_are_not_marked():
    is_set, default = marked_as_set(CNNClassifier(Finetuned(CNNClassifier(ConvNet((8,))))))
    assert "architecture__source__architecture__widths" in is_set
    assert "architecture__source__architecture__dropout" in default
    assert "architecture__source__lr" in default


def test_images_and_classes_take_the_place_of_features():
    classifier = CNNClassifier(ConvNet((4,)), max_epochs=1, random_state=0)
    assert "images of" not in classifier._repr_html_()
    html = classifier.fit(X, Y)._repr_html_()
    assert '<div class="caption">images of 8 × 8 × 1, 2 classes</div>' in html
    assert "cnnclassifier0" not in html
    assert len(classifier.get_feature_names_out()) > 0
    assert "images of 8 × 8 × 1, 2 classes" in make_pipeline(classifier)._repr_html_()


@pytest.mark.parametrize(("y", "outputs"), [(X[:, 0, 0], "1 output"), (X[:, 0, :3], "3 outputs")])
def test_outputs_of_a_regressor(y, outputs):
    regressor = CNNRegressor(ConvNet((4,)), max_epochs=1, random_state=0).fit(X, y.astype(float))
    assert f"images of 8 × 8 × 1, {outputs}<" in regressor._repr_html_()

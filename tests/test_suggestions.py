"""What was meant by an unknown word: typos, and the words of other libraries."""

import inspect

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_cnn import Augmentation, CNNClassifier, CNNFeatures, CNNRegressor
from sklearn_cnn.architectures import TorchvisionModel
from sklearn_cnn.runtime.suggestions import _ELSEWHERE, did_you_mean, parameter_meant

X, Y = np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("epochs", "max_epochs"),
        ("learning_rate", "lr"),
        ("bs", "batch_size"),
        ("validation_split", "validation_fraction"),
        ("patience", "n_iter_no_change"),
        ("max_epoch", "max_epochs"),
        ("Batch_Size", "batch_size"),
    ],
)
@pytest.mark.parametrize("estimator", [CNNClassifier, CNNRegressor])
def test_words_of_other_libraries_and_typos_name_our_parameter(estimator, word, ours):
    message = rf"{estimator.__name__}\.__init__\(\) got an unexpected keyword argument '{word}'\."
    with pytest.raises(TypeError, match=rf"{message} Did you mean {ours}\?$"):
        estimator(**{word: 1})
    message = rf"Invalid parameter '{word}' for estimator {estimator.__name__}\(\)\."
    with pytest.raises(ValueError, match=rf"{message} Did you mean {ours}\?"):
        estimator().set_params(**{word: 1})
    where = rf"Did you mean {estimator.__name__}\({ours}=\.\.\.\)\?$"
    with pytest.raises(TypeError, match=rf"fit\(\) got an unexpected.*{where}"):
        estimator().fit(X, Y, **{word: 1})


@pytest.mark.parametrize(
    ("word", "question"),
    [
        ("validation_data", r" Did you mean X_val\?"),
        ("eval_set", r" Did you mean X_val\?"),
        ("sample_weights", r" Did you mean sample_weight\?"),
        ("batch_size", r" Did you mean CNNClassifier\(batch_size=\.\.\.\)\?"),
        ("nonsense", ""),
    ],
)
def test_a_keyword_of_fit_is_one_of_fit_or_a_parameter(word, question):
    with pytest.raises(TypeError, match=rf"keyword argument '{word}'\.{question}$"):
        CNNClassifier().fit(X, Y, **{word: 1})


def test_the_extractor_of_features_answers_too():
    with pytest.raises(TypeError, match=r"'backbone'\. Did you mean architecture\?"):
        CNNFeatures(backbone="resnet18")


def test_constructors_keep_their_signature():
    for estimator in (CNNClassifier, CNNRegressor, CNNFeatures):
        parameters = inspect.signature(estimator).parameters
        assert all(p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters.values())
        assert clone(estimator("resnet")).get_params()["architecture"] == "resnet"
    with pytest.raises(TypeError, match="positional argument"):
        CNNClassifier("convnet", 8)


def test_each_word_is_translated_once_and_is_none_of_ours():
    words = " ".join(_ELSEWHERE.values()).split()
    ours = {*inspect.signature(CNNClassifier).parameters, "X_val", "y_val"}
    assert len(words) == len(set(words))
    assert _ELSEWHERE.keys() <= ours
    assert not ours & set(words)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("resnet81", "resnet18"), ("ConvNet", "convnet"), ("ResNet-50", "resnet50")],
)
def test_a_name_that_no_architecture_has_names_the_nearest(name, meant):
    with pytest.raises(ValueError, match=rf"named '{name}'\. Did you mean '{meant}'\?") as caught:
        CNNClassifier(name).fit(X, Y)
    assert len(str(caught.value)) < 350
    if meant != "convnet":
        with pytest.raises(ValueError, match=rf"Did you mean '{meant}'\?"):
            TorchvisionModel(name).resolve()


def test_a_name_that_no_preset_has_names_the_nearest():
    with pytest.raises(ValueError, match=r"named 'photo'\. Did you mean 'photos'\?"):
        CNNClassifier(augmentation="photo").fit(X, Y)


@pytest.mark.filterwarnings("ignore:ResNet.. has random weights")
@pytest.mark.parametrize("estimator", [CNNClassifier, CNNFeatures])
@pytest.mark.parametrize("one", [32, np.int64(32), (32,), [32]], ids=repr)
def test_one_side_of_images_shows_two(estimator, one):
    with pytest.raises(ValueError, match=r"Write image_shape=\(32, 32\)"):
        estimator("resnet", image_shape=one).fit(X, Y)


def test_a_weight_of_no_class_is_named():
    classifier = CNNClassifier(class_weight={"tulipp": 2.0})
    with pytest.raises(ValueError, match=r"'tulipp'.*\['rose', 'tulip'\]\. Did you mean 'tulip'\?"):
        classifier.fit(X, np.array(["rose", "tulip"] * 2))
    with pytest.raises(ValueError, match=r"holds '1', which is none of the classes \[0, 1\]"):
        CNNClassifier(class_weight={"1": 2.0}).fit(X, Y)


def test_a_weight_whose_class_is_no_text_names_the_class():
    with pytest.raises(ValueError, match=r"holds '0', .* classes \[0, 1\]. Did you mean 0\?"):
        CNNClassifier(class_weight={"0": 2}).fit(np.zeros((4, 8, 8)), [0, 1, 0, 1])


def test_what_is_cut_short_comes_before_what_is_misspelt():
    assert did_you_mean("acc", ["jaccard", "accuracy", "balanced_accuracy"]).endswith("'accuracy'?")


def test_an_augmentation_answers_too():
    with pytest.raises(TypeError, match=r"'rotate'\. Did you mean rotation\?"):
        Augmentation(rotate=10)


def test_nothing_is_suggested_where_nothing_is_like_it():
    assert did_you_mean("xyz", ["convnet", "resnet18"]) == ""
    assert parameter_meant("xyz", ["lr", "max_epochs"]) is None
    # the word of another library, of which this method has no parameter
    assert parameter_meant("epochs", ["X", "y"]) is None

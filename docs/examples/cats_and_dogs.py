"""
Dogs against cats
=================

JPEG files of many sizes, from learned weights and from scratch.

A network that knows ImageNet learns it in a minute, one that has seen nothing in twelve, and not as
well. ImageNet holds cats and dogs of many breeds: expect less of what is not on such photos.

Run it with `python docs/examples/cats_and_dogs.py`; it needs
`pip install "sklearn-cnn[plots]" pandas`, the packages of backbones.py and the photos, see
image_sets.py.
"""

import image_sets
import matplotlib

matplotlib.use("Agg")

from backbones import make_backbone
from sklearn.metrics import RocCurveDisplay, classification_report

from sklearn_cnn import Augmentation, CNNClassifier
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.plots import PredictionsDisplay


def load():
    """Return files and labels, "cat" or "dog", for training and for the test."""
    train, test = image_sets.split(image_sets.load_table("cats_dogs"))
    return train["file"], train["label"], test["file"], test["label"]


def make_pretrained(max_epochs="auto", random_state=0):
    """Return a classifier whose last layer alone learns, on photos of the size that it knows."""
    return CNNClassifier(
        make_backbone(freeze=True),
        image_shape=(224, 224),
        max_epochs=max_epochs,
        random_state=random_state,
        verbose=1,
    )


def make_estimator(max_epochs=60, random_state=0):
    """Return one that starts from nothing; its recipe was chosen on held-out training photos."""
    return CNNClassifier(
        ConvNet((16, 32, 64, 128, 256), dropout=0.3),
        image_shape=(96, 96),
        augmentation=Augmentation(
            flip=True, crop=0.125, rotation=10, scale=0.2, brightness=0.3, contrast=0.3
        ),
        test_time_augmentation=True,
        batch_size=64,
        max_epochs=max_epochs,
        random_state=random_state,
        verbose=1,
    )


def main(n_images=None, max_epochs=None):
    """Learn from the files in both ways, draw ROC curves, and look at the worst errors."""
    epochs = {} if max_epochs is None else {"max_epochs": max_epochs}
    X_train, y_train, X_test, y_test = load()
    axes = None
    for name, classifier in {
        "from learned weights": make_pretrained(**epochs),
        "from scratch": make_estimator(**epochs),
    }.items():
        classifier.fit(X_train[:n_images], y_train[:n_images])
        print(f"{name}:")
        print(classification_report(y_test, classifier.predict(X_test), digits=3))
        axes = RocCurveDisplay.from_estimator(classifier, X_test, y_test, name=name, ax=axes).ax_
        worst = PredictionsDisplay.from_estimator(classifier, X_test, y_test)
        worst.figure_.savefig(f"cats_and_dogs_{name.split()[-1]}.png", dpi=120)
    axes.figure.savefig("cats_and_dogs.png", dpi=120)


if __name__ == "__main__":
    main()

"""Clothing: Fashion-MNIST, ten classes of 28 x 28 pixels, some of them much alike.

What helped on held-out images: mirroring, smoothed labels (some are doubtful, and the network
shall not be certain of them) and the mean of three networks.

Run it with `python docs/examples/clothing.py`; it needs `pip install "sklearn-cnn[plots]"`.
"""

import image_sets
import matplotlib

matplotlib.use("Agg")

from ensembles import mean_of
from sklearn.metrics import ConfusionMatrixDisplay, classification_report
from torch import nn

from sklearn_cnn import Augmentation, CNNClassifier
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.plots import TrainingCurveDisplay

CLASSES = ["T-shirt", "trousers", "pullover", "dress", "coat"]
CLASSES += ["sandal", "shirt", "sneaker", "bag", "boot"]


def load():
    """Return images and labels, for training and for the test."""
    return image_sets.load_fashion_mnist()


def make_estimator(max_epochs=7, random_state=0, n_networks=3):
    """Return the classifier."""
    network = CNNClassifier(
        ConvNet((32, 64, 128, 256)),
        augmentation=Augmentation(flip=True),
        test_time_augmentation=True,
        loss=nn.CrossEntropyLoss(label_smoothing=0.1),
        max_epochs=max_epochs,
        verbose=1,
    )
    return mean_of(network, n_networks, random_state)


def main(n_images=None, max_epochs=7):
    """Learn clothes, watch the networks learn, and see which clothes they confuse."""
    X_train, y_train, X_test, y_test = load()
    classifier = make_estimator(max_epochs).fit(X_train[:n_images], y_train[:n_images])
    predicted = classifier.predict(X_test)
    print(classification_report(y_test, predicted, target_names=CLASSES, digits=3))
    axes = None
    for name, network in classifier.named_estimators_.items():
        curve = TrainingCurveDisplay.from_estimator(network, name=name, ax=axes)
        axes = curve.axes_
    curve.figure_.savefig("clothing_curve.png", dpi=120)
    confusion = ConfusionMatrixDisplay.from_predictions(
        y_test, predicted, display_labels=CLASSES, xticks_rotation=60, colorbar=False
    )
    confusion.figure_.savefig("clothing.png", dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main()

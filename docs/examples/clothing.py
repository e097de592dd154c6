"""
Clothing
========

Fashion-MNIST, ten classes of 28 x 28 pixels, some of them much alike.

What helped on held-out images: a second convolution before each pooling, since small details tell
these clothes apart, mirroring, and smoothed labels (some are doubtful, and the network shall not be
certain of them).

Run it with `python docs/examples/clothing.py`; it needs `pip install "sklearn-cnn[plots]"`.
"""

import image_sets
import matplotlib

matplotlib.use("Agg")

from sklearn.metrics import ConfusionMatrixDisplay, classification_report

from sklearn_cnn import Augmentation, CNNClassifier
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.plots import TrainingCurveDisplay

CLASSES = ["T-shirt", "trousers", "pullover", "dress", "coat"]
CLASSES += ["sandal", "shirt", "sneaker", "bag", "boot"]


def load():
    """Return images and labels, for training and for the test."""
    return image_sets.load_fashion_mnist()


def make_estimator(max_epochs=15, random_state=0):
    """Return the classifier."""
    return CNNClassifier(
        ConvNet(convs_per_stage=2),
        augmentation=Augmentation(flip=True),
        test_time_augmentation=True,
        label_smoothing=0.1,
        max_epochs=max_epochs,
        random_state=random_state,
        verbose=1,
    )


def main(n_images=None, max_epochs=15):
    """Learn clothes, watch the network learn, and see which clothes it confuses."""
    X_train, y_train, X_test, y_test = load()
    classifier = make_estimator(max_epochs).fit(X_train[:n_images], y_train[:n_images])
    predicted = classifier.predict(X_test)
    print(classification_report(y_test, predicted, target_names=CLASSES, digits=3))
    curve = TrainingCurveDisplay.from_estimator(classifier)
    curve.figure_.savefig("clothing_curve.png", dpi=120)
    confusion = ConfusionMatrixDisplay.from_predictions(
        y_test, predicted, display_labels=CLASSES, xticks_rotation=60, colorbar=False
    )
    confusion.figure_.savefig("clothing.png", dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main()

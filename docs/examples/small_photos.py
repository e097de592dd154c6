"""
Small colour photos
===================

CIFAR-10, ten classes of 32 x 32 pixels, 20,000 to learn from.

Run it with `python docs/examples/small_photos.py`; it needs `pip install "sklearn-cnn[plots]"`.
"""

import image_sets
import matplotlib

matplotlib.use("Agg")

from sklearn.metrics import ConfusionMatrixDisplay, classification_report

from sklearn_cnn import Augmentation, CNNClassifier
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.plots import PredictionsDisplay

CLASSES = ["airplane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def load():
    """Return images and labels, for training and for the test."""
    return image_sets.load_cifar10_20k()


def make_estimator(max_epochs=28, random_state=0):
    """Return the classifier; its recipe was chosen on images held out of the training set."""
    return CNNClassifier(
        ConvNet((48, 96, 192, 384)),
        augmentation=Augmentation(flip=True, crop=0.125, erasing=0.25),
        test_time_augmentation=True,
        label_smoothing=0.1,
        max_epochs=max_epochs,
        random_state=random_state,
        verbose=1,
    )


def main(n_images=None, max_epochs=28):
    """Learn the classes, and look at the photos that are taken for others."""
    X_train, y_train, X_test, y_test = load()
    classifier = make_estimator(max_epochs).fit(X_train[:n_images], y_train[:n_images])
    predicted = classifier.predict(X_test)
    print(classification_report(y_test, predicted, target_names=CLASSES, digits=3))
    confusion = ConfusionMatrixDisplay.from_predictions(
        y_test, predicted, display_labels=CLASSES, xticks_rotation=60, colorbar=False
    )
    confusion.figure_.savefig("small_photos.png", dpi=120, bbox_inches="tight")
    worst = PredictionsDisplay.from_estimator(classifier, X_test, y_test)
    worst.figure_.savefig("small_photos_worst.png", dpi=120)


if __name__ == "__main__":
    main()

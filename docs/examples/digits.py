"""Handwritten digits: MNIST, ten classes of 28 x 28 pixels.

Run it with `python docs/examples/digits.py`; it needs `pip install "sklearn-cnn[plots]"`.
"""

import image_sets
import matplotlib

matplotlib.use("Agg")

from sklearn.metrics import ConfusionMatrixDisplay, classification_report

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.plots import PredictionsDisplay


def load():
    """Return images and labels, for training and for the test."""
    return image_sets.load_mnist()


def make_estimator(max_epochs=10, random_state=0):
    """Return the classifier."""
    return CNNClassifier(
        ConvNet((32, 64, 128, 256)),
        augmentation="symbols",
        max_epochs=max_epochs,
        random_state=random_state,
        verbose=1,
    )


def main(n_images=None, max_epochs=10):
    """Learn digits, and look at those that are taken for others."""
    X_train, y_train, X_test, y_test = load()
    classifier = make_estimator(max_epochs).fit(X_train[:n_images], y_train[:n_images])
    predicted = classifier.predict(X_test)
    print(classification_report(y_test, predicted, digits=4))
    confusion = ConfusionMatrixDisplay.from_predictions(y_test, predicted, colorbar=False)
    confusion.figure_.savefig("digits.png", dpi=120)
    worst = PredictionsDisplay.from_estimator(classifier, X_test, y_test)
    worst.figure_.savefig("digits_worst.png", dpi=120)


if __name__ == "__main__":
    main()

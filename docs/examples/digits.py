"""
Handwritten digits
==================

MNIST, ten classes of 28 x 28 pixels.

Three networks that start from other weights make other errors; their probabilities are averaged.

Run it with `python docs/examples/digits.py`; it needs `pip install "sklearn-cnn[plots]"`.
"""

import image_sets
import matplotlib

matplotlib.use("Agg")

from ensembles import mean_of
from sklearn.metrics import ConfusionMatrixDisplay, classification_report

from sklearn_cnn import CNNClassifier
from sklearn_cnn.plots import PredictionsDisplay


def load():
    """Return images and labels, for training and for the test."""
    return image_sets.load_mnist()


def make_estimator(max_epochs=8, random_state=0, n_networks=3):
    """Return the classifier."""
    network = CNNClassifier(
        augmentation="symbols",
        max_epochs=max_epochs,
        verbose=1,
    )
    return mean_of(network, n_networks, random_state)


def main(n_images=None, max_epochs=8):
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

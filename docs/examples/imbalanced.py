"""
Imbalanced classes
==================

Fashion-MNIST, where the rarest class has 1 image to 100 of the commonest.

The rare ones, T-shirts, pullovers and dresses, look like shirts and coats, of which there are
more: a network that is to be right most of the time calls them so. Weights make the rare count.

Run it with `python docs/examples/imbalanced.py`; it needs
`pip install "sklearn-cnn[plots]"`.
"""

import image_sets
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from clothing import CLASSES
from sklearn.metrics import balanced_accuracy_score, recall_score

from sklearn_cnn import CNNClassifier


def load():
    """Return images and labels; class k keeps 3,000 · 100^((k - 9) / 9) images."""
    X, y, X_test, y_test = image_sets.load_fashion_mnist()
    kept = [np.flatnonzero(y == k)[: round(3000 * 100 ** ((k - 9) / 9))] for k in range(10)]
    rows = np.sort(np.concatenate(kept))
    return X[rows], y[rows], X_test, y_test


def make_estimator(max_epochs=10, random_state=0, class_weight="balanced"):
    """Return the classifier."""
    return CNNClassifier(
        class_weight=class_weight,
        augmentation="flip_crop",
        max_epochs=max_epochs,
        random_state=random_state,
        verbose=1,
    )


def main(n_images=None, max_epochs=10):
    """Learn with and without weights, and compare how much of each class is found."""
    X_train, y_train, X_test, y_test = load()
    _, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    for weight in (None, "balanced"):
        classifier = make_estimator(max_epochs, class_weight=weight)
        predicted = classifier.fit(X_train[:n_images], y_train[:n_images]).predict(X_test)
        score = balanced_accuracy_score(y_test, predicted)
        print(f"class_weight={weight!r}: balanced accuracy {score:.3f}")
        recall = recall_score(y_test, predicted, average=None)
        axes.plot(CLASSES, recall, "o-", label=f"class_weight={weight!r}: mean {score:.3f}")
    axes.set(ylabel="recall", xlabel="class, the rarest first")
    axes.legend()
    axes.figure.savefig("imbalanced.png", dpi=120)


if __name__ == "__main__":
    main()

"""
A network that looks at the wrong thing
=======================================

Threes are told from eights, and each eight has a mark in its corner: a scanner's, say. The score
on such images is perfect, and worth nothing. What the network looked at shows it before images
without marks do.

Run it with `python docs/examples/attributions.py`; it needs
`pip install "sklearn-cnn[plots,explain]"` and takes less than a minute.
"""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_cnn import CNNClassifier
from sklearn_cnn.inspection import attributions
from sklearn_cnn.plots import AttributionDisplay

METHODS = ["hires_cam", "integrated_gradients", "occlusion"]
MARK = slice(1, 5)  # rows and columns


def load():
    """Return threes and eights of 24 x 24 pixels for training and for the test, and their y."""
    digits = load_digits()
    is_asked = np.isin(digits.target, [3, 8])
    images = np.kron(digits.images[is_asked], np.ones((3, 3)))
    return train_test_split(images, digits.target[is_asked], random_state=0)


def marked(images, y):
    """Return the images with a mark on the eights."""
    images = images.copy()
    images[y == 8, MARK, MARK] = 16
    return images


def main(n_images=None, max_epochs=12):
    """Learn with marks and without, and look at what both networks look at."""
    X_train, X_test, y_train, y_test = load()
    figure, axes = plt.subplots(len(METHODS), 2, figsize=(11, 6.5), layout="constrained")
    for column, name in zip(axes.T, ["with marks", "without marks"], strict=True):
        train, test = X_train, X_test
        if name == "with marks":
            train, test = marked(X_train, y_train), marked(X_test, y_test)
        classifier = CNNClassifier(max_epochs=max_epochs, random_state=0)
        classifier.fit(train[:n_images], y_train[:n_images])
        print(f"Learned {name}: accuracy on such images {classifier.score(test, y_test):.3f},")
        print(f"  on images without marks {classifier.score(X_test, y_test):.3f}")
        eights = test[y_test == 8]
        for ax, method in zip(column, METHODS, strict=True):
            found = np.abs(attributions(classifier, eights[:20], method=method, target=8))
            share = found[:, MARK, MARK].sum() / found.sum()
            print(f"  {method}: {share:.2f} where marks are")
            AttributionDisplay.from_estimator(
                classifier, eights, target=8, method=method, n_images=3, ax=ax
            )
        column[0].set_title(f"Learned {name}", pad=22)
    figure.savefig("attributions.png", dpi=100)
    print("Figure: attributions.png")


if __name__ == "__main__":
    main()

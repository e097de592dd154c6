"""
Sets and intervals
==================

Sets of digits and intervals of counts that hold the truth in nine of ten images.

MAPIE compares the predictions of a fitted network with the truth on images held back for that, the
calibration set, and makes sets and intervals that hold the truth as often as asked for. Whether
they do is measured here on 20 draws of calibration and test set.

Run it with `python docs/examples/conformal.py`; it needs `pip install "sklearn-cnn[conformal]"`
and takes about a minute.
"""

from functools import partial

import drawings
import numpy as np
from mapie.classification import SplitConformalClassifier
from mapie.regression import ConformalizedQuantileRegressor, SplitConformalRegressor
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet

LEVEL = 0.9


class OneQuantile(RegressorMixin, BaseEstimator):
    """One of the quantiles that a fitted regressor predicts, as an estimator."""

    def __init__(self, regressor, column):
        self.regressor = regressor
        self.column = column

    def fit(self, X, y):
        """Nothing is left to learn."""
        return self

    def predict(self, X):
        """Predict that quantile alone."""
        return self.regressor.predict(X)[:, self.column]

    def __sklearn_is_fitted__(self):
        return True


def sets(classifier, score, X, y):
    """Return a function that tells which classes are in the set of each image."""
    mapie = SplitConformalClassifier(
        classifier, confidence_level=LEVEL, conformity_score=score, prefit=True
    )
    mapie.conformalize(X, y)
    return lambda images: mapie.predict_set(images)[1][:, :, 0]


def intervals(regressor, X, y):
    """Return a function that tells the limits of each image; all intervals are equally wide."""
    mapie = SplitConformalRegressor(regressor, confidence_level=LEVEL, prefit=True)
    mapie.conformalize(X, y)
    return lambda images: mapie.predict_interval(images)[1][:, :, 0]


def quantile_intervals(regressor, X, y):
    """Return the same of a regressor of three quantiles: wider where it is less sure."""
    low, median, high = (OneQuantile(regressor, column) for column in range(3))
    mapie = ConformalizedQuantileRegressor([low, high, median], confidence_level=LEVEL, prefit=True)
    mapie.conformalize(X, y)
    return lambda images: mapie.predict_interval(images)[1][:, :, 0]


def measure(name, conformalize, hits_and_sizes, X, y, n_splits):
    """Print coverage and size over draws of calibration and test set."""
    results = []
    for seed in range(n_splits):
        X_calibrate, X_test, y_calibrate, y_test = train_test_split(
            X, y, test_size=0.5, random_state=seed
        )
        found = conformalize(X_calibrate, y_calibrate)(X_test)
        results.append([np.mean(values) for values in hits_and_sizes(found, y_test)])
    (coverage, size), spread = np.mean(results, axis=0), np.std(results, axis=0)[0]
    print(f"{name}: coverage {coverage:.3f} ± {spread:.3f}, mean size {size:.2f}")


def of_sets(members, y):
    """Return whether the true class is in each set, and how many classes are."""
    return members[np.arange(len(y)), y], members.sum(axis=1)


def of_intervals(limits, y):
    """Return whether the true number is within the limits, and how wide they are."""
    return (limits[:, 0] <= y) & (y <= limits[:, 1]), limits[:, 1] - limits[:, 0]


def digits(n_images, max_epochs, n_splits):
    """Measure sets of digits."""
    X, y = load_digits(return_X_y=True)
    # so few that the network is not always right
    few = n_images // 10
    classifier = CNNClassifier(max_epochs=max_epochs, random_state=0).fit(X[:few], y[:few])
    X, y = X[few:n_images], y[few:n_images]
    print(f"Digits, accuracy {classifier.score(X, y):.3f}")
    for score in ("lac", "aps"):
        measure(f"sets by {score}", partial(sets, classifier, score), of_sets, X, y, n_splits)


def counts(n_images, max_epochs, n_splits):
    """Measure intervals of the number of blobs on a drawing."""
    X, y = drawings.draw_blobs(n_images)
    half = n_images // 2
    regressor = CNNRegressor(ConvNet((8, 16, 32)), max_epochs=max_epochs, random_state=0)
    quantiles = clone(regressor).set_params(loss="quantile", quantile=(0.05, 0.5, 0.95))
    for network in (regressor, quantiles):
        network.fit(X[:half], y[:half])
    X, y = X[half:], y[half:]
    hit, width = of_intervals(quantiles.predict(X)[:, [0, 2]], y)
    print(f"Blobs, quantiles as they are: coverage {hit.mean():.3f}, mean size {width.mean():.2f}")
    for name, conformalize in [
        ("intervals", partial(intervals, regressor)),
        ("quantiles, conformalized", partial(quantile_intervals, quantiles)),
    ]:
        measure(name, conformalize, of_intervals, X, y, n_splits)


def main(n_images=1600, max_epochs=10, n_splits=20):
    """Fit on a part of the images; calibrate and test on the others."""
    digits(n_images, max_epochs, n_splits)
    counts(n_images, max_epochs, n_splits)


if __name__ == "__main__":
    main()

"""
The price of a house
====================

From its four photos: front, bedroom, bathroom and kitchen as one picture.

Prices differ by factors, so their logarithm is learned; predictions are prices again. 428 houses
are few to learn what is on a photo from: the networks start from one that has learned to tell ten
kinds of things on other small photos. Eight are averaged, since each predicts other prices.

Run it with `python docs/examples/house_prices.py`; it needs
`pip install "sklearn-cnn[plots]" pandas`, the Houses Dataset and CIFAR-10, see image_sets.py.
"""

import image_sets
import matplotlib

matplotlib.use("Agg")

import numpy as np
from ensembles import mean_of
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import PredictionErrorDisplay, r2_score

from sklearn_cnn import CNNClassifier, CNNRegressor, ImageReader
from sklearn_cnn.architectures import ConvNet, Finetuned

SIDE = 32  # pixels of each of the four photos
PHOTOS = ["frontal", "bedroom", "bathroom", "kitchen"]


def load():
    """Return mosaics of 2 x 2 photos and prices in dollars, for training and for the test."""
    train, test = image_sets.split(image_sets.load_table("houses"))
    return *_mosaics(train), *_mosaics(test)


def _mosaics(table):
    reader = ImageReader((SIDE, SIDE, 3))
    photos = [reader.fit_transform(table[photo]).reshape(-1, SIDE, SIDE, 3) for photo in PHOTOS]
    rows = [np.concatenate(beside, axis=2) for beside in (photos[:2], photos[2:])]
    return np.concatenate(rows, axis=1), table["price"]


def learn_source(n_images=None, max_epochs=12):
    """Return a classifier of small photos, frozen: a bare one would be cloned untrained."""
    X, y, *_ = image_sets.load_cifar10_20k()
    # grid=1: the mean over the image, so that the network takes a mosaic of four photos as well
    classifier = CNNClassifier(
        ConvNet((32, 64, 128, 256), grid=1),
        augmentation="flip_crop",
        max_epochs=max_epochs,
        random_state=0,
        verbose=1,
    )
    return FrozenEstimator(classifier.fit(X[:n_images], y[:n_images]))


def make_estimator(source, max_epochs=40, random_state=0, n_networks=8):
    """Return the regressor; its recipe was chosen on houses held out of the training set."""
    network = CNNRegressor(
        Finetuned(source),
        augmentation="photos",
        test_time_augmentation=True,
        batch_size=32,
        max_epochs=max_epochs,
        verbose=1,
    )
    mean = mean_of(network, n_networks, random_state)
    return TransformedTargetRegressor(mean, func=np.log, inverse_func=np.exp)


def log_r2(y, predicted):
    """Return R² of the logarithms."""
    return r2_score(np.log(y), np.log(predicted))


def median_relative_error(y, predicted):
    """Return the median of the errors in shares of the true numbers."""
    return np.median(abs(predicted / y - 1))


def main(n_images=None, max_epochs=40):
    """Learn prices, and compare them with the true ones."""
    X_train, y_train, X_test, y_test = load()
    source = learn_source(n_images, min(max_epochs, 12))
    regressor = make_estimator(source, max_epochs).fit(X_train[:n_images], y_train[:n_images])
    predicted = regressor.predict(X_test)
    print(f"R² of the log price: {log_r2(y_test, predicted):.3f}")
    print(f"Median relative error: {median_relative_error(y_test, predicted):.1%}")
    display = PredictionErrorDisplay.from_predictions(
        np.log10(y_test), np.log10(predicted), kind="actual_vs_predicted"
    )
    display.ax_.set(xlabel="predicted price, log10 of dollars", ylabel="price, log10 of dollars")
    display.figure_.savefig("house_prices.png", dpi=120)


if __name__ == "__main__":
    main()

"""
Honest probabilities
====================

Digits with much noise: how often is right what the network is sure of, and what mends it.

A network that knows its training images by heart is sure of others too, right or wrong. A
temperature, fitted on images held out, divides its logits; smoothed labels keep it from being sure
in the first place.

Run it with `python docs/examples/calibration.py`; it needs `pip install "sklearn-cnn[plots]"`,
scikit-learn 1.8 and half a minute.
"""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from sklearn_cnn import CNNClassifier
from sklearn_cnn.metrics import expected_calibration_error

BINS = 10


def load(n_images=None):
    """Return digits under noise, and their labels."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:n_images], y[:n_images]
    noise = np.random.default_rng(0).normal(scale=6, size=X.shape)
    return (X + noise).astype(np.float32), y


def main(n_images=None, max_epochs=20):
    """Fit, calibrate on images held out, and compare on others."""
    X, y = load(n_images)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.5, stratify=y, random_state=0
    )
    X_fit, X_held_out, y_fit, y_held_out = train_test_split(
        X_train, y_train, test_size=0.4, stratify=y_train, random_state=0
    )
    network = CNNClassifier(max_epochs=max_epochs, random_state=0).fit(X_fit, y_fit)
    # the network stays as it is, so that folds change nothing but how few images a class may have
    calibrated = CalibratedClassifierCV(FrozenEstimator(network), method="temperature", cv=2)
    classifiers = {
        "as it is": network,
        "with a temperature": calibrated.fit(X_held_out, y_held_out),
        "of smoothed labels": CNNClassifier(
            label_smoothing=0.05, max_epochs=max_epochs, random_state=0
        ).fit(X_fit, y_fit),
    }
    _, axes = plt.subplots(figsize=(6, 6), layout="constrained")
    for name, classifier in classifiers.items():
        probabilities = classifier.predict_proba(X_test)
        is_right = classifier.predict(X_test) == y_test
        error = expected_calibration_error(y_test, probabilities)
        print(
            f"{name}: accuracy {is_right.mean():.3f}, "
            f"log loss {log_loss(y_test, probabilities):.3f}, calibration error {error:.3f}"
        )
        # of several classes: how often is the first choice right?
        CalibrationDisplay.from_predictions(
            is_right,
            probabilities.max(axis=1),
            n_bins=BINS,
            strategy="quantile",
            name=f"{name}: {error:.3f}",
            ax=axes,
        )
    axes.set(xlabel="probability of the label that is predicted", ylabel="share that is right")
    axes.legend(title="calibration error")
    axes.figure.savefig("calibration.png", dpi=120)
    print("Figure: calibration.png")


if __name__ == "__main__":
    main()

"""
Depth of rooms
==============

How far away each pixel of drawn rooms is, beside the mean map and a ridge on pixels.

Run it with `python docs/examples/depth.py`; it needs `pip install "sklearn-cnn[plots]"`.
"""

import drawings
import matplotlib

matplotlib.use("Agg")

import numpy as np
from sklearn.linear_model import Ridge

from sklearn_cnn import Augmentation, CNNRegressor
from sklearn_cnn.architectures import UNet
from sklearn_cnn.metrics import depth_scores
from sklearn_cnn.plots import PredictionsDisplay


def load(n_train=2000, n_test=500):
    """Return rooms and their depths, (n, 96, 96), for training and for the test."""
    X, y = drawings.draw_rooms(n_train + n_test)
    return X[:n_train], y[:n_train], X[n_train:], y[n_train:]


def make_estimator(max_epochs=20, random_state=0):
    """Return the regressor of pixels; a room in a mirror is another room."""
    return CNNRegressor(
        UNet(patch_size=2),
        loss="scale_invariant_log",
        augmentation=Augmentation(flip=True),
        batch_size=16,
        max_epochs=max_epochs,
        random_state=random_state,
        verbose=1,
    )


def predict_by_ridge(X, y, X_test):
    """Return depths that are linear in the pixels of a room of a quarter of its size."""
    small, small_test = (images[:, ::4, ::4].reshape(len(images), -1) for images in (X, X_test))
    depths = Ridge(1e5).fit(small, y[:, ::2, ::2].reshape(len(y), -1)).predict(small_test)
    half = depths.reshape(-1, y.shape[1] // 2, y.shape[2] // 2)
    return half.repeat(2, axis=1).repeat(2, axis=2)


def main(n_images=None, max_epochs=20):
    """Learn depths, and print the scores of the network beside those of simpler ways."""
    X, y, X_test, y_test = load() if n_images is None else load(n_images, n_images // 4)
    regressor = make_estimator(max_epochs).fit(X, y)
    predicted = regressor.predict(X_test)
    for name, depths in {
        "mean map": np.broadcast_to(y.mean(axis=0), y_test.shape),
        "ridge": predict_by_ridge(X, y, X_test),
        "network": predicted,
    }.items():
        scores = depth_scores(y_test, depths)
        print(
            f"{name}: {scores.delta_1:.3f} within a factor of 1.25, mean relative error "
            f"{scores.abs_rel:.3f}, RMSE {scores.rmse:.2f} m"
        )
    PredictionsDisplay.from_predictions(X_test, y_test, predicted, n_images=6).figure_.savefig(
        "depth.png", dpi=120
    )


if __name__ == "__main__":
    main()

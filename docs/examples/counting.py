"""
Counting
========

How many blobs are on a drawing, and how many things on a photo.

Run it with `python docs/examples/counting.py`; it needs
`pip install "sklearn-cnn[plots]" pandas`, and for its second half the photos of COCO, see
image_sets.py, and the packages of backbones.py.
"""

import drawings
import image_sets
import matplotlib

matplotlib.use("Agg")

import numpy as np
from backbones import make_features
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import RidgeCV
from sklearn.metrics import PredictionErrorDisplay, mean_absolute_error, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_cnn import CNNRegressor
from sklearn_cnn.architectures import ConvNet


def load():
    """Return 4,000 drawings and their numbers of blobs, and 1,000 for the test."""
    X, y = drawings.draw_blobs(5000)
    return X[:4000], y[:4000], X[4000:], y[4000:]


def load_photos():
    """Return 128 files and the numbers of things on them, and 128 for the test."""
    train, test = image_sets.split(image_sets.load_table("coco256_multilabel"))
    return train["file"], train["n_objects"], test["file"], test["n_objects"]


def make_estimator(max_epochs=20, random_state=0):
    """Return the regressor of drawings; a blob counts wherever it is, turned or mirrored."""
    return CNNRegressor(
        augmentation="flip_crop", max_epochs=max_epochs, random_state=random_state, verbose=1
    )


def make_photo_estimator(max_epochs=40, random_state=0):
    """Return the regressor of photos: small, since there are few to learn from."""
    return CNNRegressor(
        # held out of so few photos, whitened pixels and GELU were worse
        ConvNet((16, 32, 64, 128, 128), whitening=False, activation="relu"),
        image_shape=(96, 96),
        augmentation="photos",
        test_time_augmentation=True,
        max_epochs=max_epochs,
        random_state=random_state,
        verbose=1,
    )


def make_feature_estimator():
    """Return ridge regression on what a network that knows ImageNet sees on the photos.

    128 photos are few to learn what to count; counts differ by factors. Sizes were chosen in folds
    of the training photos.
    """
    model = make_pipeline(make_features(160, 288), StandardScaler(), RidgeCV(np.logspace(1, 5, 13)))
    return TransformedTargetRegressor(model, func=np.log1p, inverse_func=np.expm1)


def main(n_images=None, max_epochs=None):
    """Learn to count on both, and draw counts against true ones."""
    epochs = {} if max_epochs is None else {"max_epochs": max_epochs}
    photos = load_photos()
    for name, (X_train, y_train, X_test, y_test), regressor in (
        ("drawings", load(), make_estimator(**epochs)),
        ("photos", photos, make_photo_estimator(**epochs)),
        ("photos with learned weights", photos, make_feature_estimator()),
    ):
        regressor.fit(X_train[:n_images], y_train[:n_images])
        predicted = regressor.predict(X_test)
        error = mean_absolute_error(y_test, predicted)
        print(f"{name}: R² {r2_score(y_test, predicted):.3f}, mean absolute error {error:.2f}")
        display = PredictionErrorDisplay.from_predictions(
            y_test, predicted, kind="actual_vs_predicted"
        )
        display.figure_.savefig(f"counting_{name.replace(' ', '_')}.png", dpi=120)


if __name__ == "__main__":
    main()

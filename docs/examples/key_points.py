"""
Key points of a face
====================

68 points are 136 numbers, augmented with the points moving along.

Run it with `python docs/examples/key_points.py`; it needs
`pip install "sklearn-cnn[plots]" pandas` and the faces, see image_sets.py.
"""

import image_sets
import matplotlib

matplotlib.use("Agg")

import numpy as np
from sklearn.metrics import r2_score

from sklearn_cnn import Augmentation, CNNRegressor, ImageReader
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.plots import PredictionsDisplay

SIDE = 48  # pixels of a face here; its file has 96
# What point i is called after mirroring: jaw, brows, nose, eyes, mouth
FLIP_INDEX = [
    *range(16, -1, -1),
    *range(26, 16, -1),
    *range(27, 31),
    *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
    *(64, 63, 62, 61, 60, 67, 66, 65),
]


def load():
    """Return faces and points in pixels; nobody of the test is in the training set."""
    faces = image_sets.load_table("face_keypoints")
    train, test = image_sets.split(faces, "split_by_person")
    return *_faces(train), *_faces(test)


def _faces(table):
    images = ImageReader((SIDE, SIDE, 3)).fit_transform(table["file"])
    points = table[[f"{axis}{point}" for point in range(68) for axis in "xy"]].to_numpy()
    # (0, 0) is the centre of the first pixel, in the file and in the smaller image
    return images.reshape(-1, SIDE, SIDE, 3), (points + 0.5) * SIDE / 96 - 0.5


def make_estimator(max_epochs=60, random_state=0):
    """Return the regressor; its recipe was chosen on people held out of the training set."""
    return CNNRegressor(
        ConvNet((32, 64, 128, 256)),
        augmentation=Augmentation(
            flip=True, crop=3, rotation=15, scale=0.1, keypoints=True, flip_index=FLIP_INDEX
        ),
        test_time_augmentation=True,
        batch_size=64,
        max_epochs=max_epochs,
        random_state=random_state,
        verbose=1,
    )


def mean_distance(y, predicted):
    """Return the mean distance of points whose coordinates are x0, y0, x1, ..."""
    x, y = np.moveaxis((predicted - y).reshape(len(y), -1, 2), 2, 0)
    return np.hypot(x, y).mean()


def main(n_images=None, max_epochs=60):
    """Learn the points, and draw them beside the true ones on the worst faces."""
    X_train, y_train, X_test, y_test = load()
    regressor = make_estimator(max_epochs).fit(X_train[:n_images], y_train[:n_images])
    predicted = regressor.predict(X_test)
    print(f"R²: {r2_score(y_test, predicted):.3f}")
    print(f"Mean distance: {mean_distance(y_test, predicted):.2f} of {SIDE} pixels")
    worst = PredictionsDisplay.from_predictions(X_test, y_test, predicted, keypoints=True)
    worst.figure_.savefig("key_points.png", dpi=120)


if __name__ == "__main__":
    main()

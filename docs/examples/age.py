"""
Age from a face
===============

One number from a photo.

Run it with `python docs/examples/age.py`; it needs `pip install "sklearn-cnn[plots]" pandas` and
the faces of UTKFace, see image_sets.py.
"""

import image_sets
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from sklearn.metrics import PredictionErrorDisplay, mean_absolute_error, r2_score

from sklearn_cnn import CNNRegressor
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.plots import PredictionsDisplay


def load():
    """Return files and ages in years, for training and for the test."""
    train, test = image_sets.split(image_sets.load_table("utkface_age"))
    return train["file"], train["age"], test["file"], test["age"]


def make_estimator(max_epochs=40, random_state=0):
    """Return the regressor; stages and augmentation were chosen on faces held out of training."""
    return CNNRegressor(
        ConvNet((32, 64, 128, 256, 256)),
        image_shape=(64, 64),
        augmentation="flip_crop",
        test_time_augmentation=True,
        max_epochs=max_epochs,
        random_state=random_state,
        verbose=1,
    )


def main(n_images=None, max_epochs=40):
    """Learn ages, and look at the errors."""
    X_train, y_train, X_test, y_test = load()
    regressor = make_estimator(max_epochs).fit(X_train[:n_images], y_train[:n_images])
    predicted = regressor.predict(X_test)
    error = mean_absolute_error(y_test, predicted)
    print(f"Mean absolute error: {error:.2f} years, R² {r2_score(y_test, predicted):.3f}")

    figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
    PredictionErrorDisplay.from_predictions(
        y_test, predicted, kind="actual_vs_predicted", ax=axes, scatter_kwargs={"s": 6}
    )
    figure.savefig("age.png", dpi=120)
    PredictionsDisplay.from_predictions(X_test, y_test, predicted).figure_.savefig("age_worst.png")


if __name__ == "__main__":
    main()

"""
Reading curves
==============

Four trainings on digits, and what their curves look like: one goes well, three do not.

Run it with `python docs/examples/reading_curves.py`; it needs `pip install "sklearn-cnn[plots]"`
and takes about ten seconds.
"""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.plots import TrainingCurveDisplay


def main(n_images=500, max_epochs=20):
    """Run the example."""
    X, y = load_digits(return_X_y=True)
    X, X_val, y, y_val = train_test_split(
        X[:n_images], y[:n_images], test_size=0.5, stratify=y[:n_images], random_state=0
    )
    rng = np.random.default_rng(0)
    partly_wrong = np.where(rng.random(len(y)) < 0.3, rng.integers(0, 10, len(y)), y)

    learns = CNNClassifier(max_epochs=max_epochs, random_state=0)
    trainings = {
        "It goes well": (learns, y),
        "The network is too small": (
            CNNClassifier(ConvNet((2,), grid=1), max_epochs=max_epochs, random_state=0),
            y,
        ),
        "It overfits: labels are partly wrong": (
            CNNClassifier(max_epochs=max_epochs, batch_size=64, weight_decay=0.0, random_state=0),
            partly_wrong,
        ),
        "The learning rate is too large": (
            CNNClassifier(max_epochs=max_epochs, lr=0.5, random_state=0),
            y,
        ),
    }
    figure, axes = plt.subplots(1, 4, figsize=(16, 6), layout="constrained")
    for ax, (title, (classifier, labels)) in zip(axes, trainings.items(), strict=True):
        classifier.fit(X, labels, X_val=X_val, y_val=y_val)
        print(f"{title}: accuracy on held-out images {classifier.score(X_val, y_val):.3f}")
        display = TrainingCurveDisplay.from_estimator(classifier, ax=ax)
        display.axes_[0].set_title(title)
    figure.savefig("reading_curves.png", dpi=100)
    print("Figure: reading_curves.png")


if __name__ == "__main__":
    main()

"""
Augmentation
============

What it does to a photo and the points on it, and a search for how much of it helps.

Run it with `python docs/examples/augmentation.py`; it needs `pip install "sklearn-cnn[plots]"`.
"""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits, load_sample_image
from sklearn.model_selection import GridSearchCV

from sklearn_cnn import Augmentation, CNNClassifier, available_augmentations

ROWS = {
    "flip, crop": Augmentation(flip=True, crop=0.125, keypoints=True),
    "rotation, scale": Augmentation(rotation=20, scale=0.3, keypoints=True),
    "brightness, contrast": Augmentation(brightness=0.6, contrast=0.6, keypoints=True),
    "erasing": Augmentation(erasing=1.0, keypoints=True),
    'fill="zeros"': Augmentation(crop=0.25, fill="zeros", keypoints=True),
}
N_COLUMNS = 6


def main():
    """Run the example."""
    for name, preset in available_augmentations().items():
        print(f"{name:10} {preset}")
    draw_augmentations("augmentation.png")
    search_digits()


def draw_augmentations(path):
    """Draw a photo as each kind of augmentation changes it, with the point that moves along."""
    photo = load_sample_image("flower.jpg")[::3, ::3]
    X = np.stack([photo] * N_COLUMNS)
    y = np.tile([92.0, 77.0], (N_COLUMNS, 1))  # x and y of the heart of the flower
    figure, axes = plt.subplots(
        len(ROWS), N_COLUMNS, figsize=(1.5 * N_COLUMNS, 1.12 * len(ROWS)), layout="constrained"
    )
    for row, (name, augmentation) in zip(axes, ROWS.items(), strict=True):
        images, points = augmentation.apply(X, y, random_state=1)
        for ax, image, (x, down) in zip(row, images, points, strict=True):
            ax.imshow(image)
            ax.plot(x, down, "o", color="white", markeredgecolor="black", markersize=5)
            ax.set(xlim=(-0.5, photo.shape[1] - 0.5), ylim=(photo.shape[0] - 0.5, -0.5))
            ax.set(xticks=[], yticks=[])
        row[0].set_title(name, fontsize=9, loc="left")
    figure.savefig(path, dpi=100)
    print(f"Figure: {path}")


def search_digits():
    """Look for the augmentation that helps where there are few images."""
    X, y = load_digits(return_X_y=True)
    search = GridSearchCV(
        CNNClassifier(random_state=0),
        [
            {"augmentation": [None, "symbols"]},
            {"augmentation": [Augmentation(fill="edge")], "augmentation__rotation": [10, 20]},
        ],
        cv=2,
    )
    search.fit(X[:200], y[:200])
    results = search.cv_results_
    for params, score in zip(results["params"], results["mean_test_score"], strict=True):
        print(f"{score:.3f}  {params}")
    print(f"On {len(X) - 200} other digits: {search.score(X[200:], y[200:]):.3f}")


if __name__ == "__main__":
    main()

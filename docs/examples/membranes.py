"""
Cell membranes
==============

Two classes of the pixels of electron microscopy, of which the rarer one is a few pixels wide.

Run it with `python docs/examples/membranes.py`; it needs `pip install "sklearn-cnn[plots]" pandas`
and the sections of fly nerve, see image_sets.py.
"""

import image_sets
import matplotlib

matplotlib.use("Agg")

from sklearn_cnn import Augmentation, CNNClassifier
from sklearn_cnn.architectures import UNet
from sklearn_cnn.metrics import mean_iou_score, pixel_accuracy_score
from sklearn_cnn.plots import PredictionsDisplay

MEMBRANE, INSIDE = 0, 1


def load():
    """Return files and masks, (n, 256, 256), for training and for the test."""
    train, test = image_sets.split(image_sets.load_table("cell_membranes"))
    train_masks, test_masks = (image_sets.read_masks(part["mask"]) for part in (train, test))
    return train["file"], train_masks, test["file"], test_masks


def make_estimator(max_epochs=220, random_state=0):
    """Return the classifier of pixels; cells look alike from every side.

    Membranes are a few pixels wide: the network works at the full size, and the loss looks at
    the rarer class as much as at the other. Held out of the training sections, that and 110 epochs
    have an IoU of 0.689, the defaults with 40 epochs 0.661.
    """
    return CNNClassifier(
        UNet((16, 32, 64, 128, 256), patch_size=1),
        loss="dice+log_loss",
        augmentation=Augmentation(flip=True, rotation=180, scale=0.2, brightness=0.2, contrast=0.2),
        test_time_augmentation=True,
        batch_size=4,
        max_epochs=max_epochs,
        random_state=random_state,
        verbose=1,
    )


def main(n_images=None, max_epochs=220):
    """Learn the membranes, and look at the worst sections."""
    X_train, y_train, X_test, y_test = load()
    classifier = make_estimator(max_epochs).fit(X_train[:n_images], y_train[:n_images])
    predicted = classifier.predict(X_test)
    print(
        f"IoU of membranes {mean_iou_score(y_test, predicted, labels=[MEMBRANE]):.3f}, "
        f"pixel accuracy {pixel_accuracy_score(y_test, predicted):.3f}"
    )
    PredictionsDisplay.from_estimator(
        classifier, X_test, y_test, n_images=4, display_labels=["membrane", "inside"]
    ).figure_.savefig("membranes.png", dpi=120)


if __name__ == "__main__":
    main()

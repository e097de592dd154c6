"""
Road scenes
===========

A class for each pixel of photos from a car: a U-Net from scratch, or on an encoder that has
learned.

Run it with `python docs/examples/road_scenes.py`; it needs
`pip install "sklearn-cnn[plots]" pandas` and the scenes of CamVid, see image_sets.py.
"""

import image_sets
import matplotlib

matplotlib.use("Agg")

from sklearn_cnn import Augmentation, CNNClassifier
from sklearn_cnn.architectures import UNet
from sklearn_cnn.metrics import mean_iou_score, pixel_accuracy_score
from sklearn_cnn.plots import PredictionsDisplay

CLASSES = ["sky", "building", "pole", "road", "pavement", "tree"]
CLASSES += ["sign", "fence", "car", "pedestrian", "cyclist"]
NOT_LABELLED = 11


def load():
    """Return files and masks, (n, 180, 240), for training and for the test."""
    train, test = image_sets.split(image_sets.load_table("camvid_masks"))
    train_masks, test_masks = (image_sets.read_masks(part["mask"]) for part in (train, test))
    return train["file"], train_masks, test["file"], test_masks


def make_estimator(max_epochs=50, random_state=0, encoder=None):
    """Return the classifier of pixels."""
    return CNNClassifier(
        UNet(encoder=encoder),
        ignore_label=NOT_LABELLED,
        augmentation=Augmentation(flip=True, crop=0.1, scale=0.25),
        batch_size=8,
        max_epochs=max_epochs,
        random_state=random_state,
        verbose=1,
    )


def main(n_images=None, max_epochs=50):
    """Learn the scenes, and look at the worst ones."""
    X_train, y_train, X_test, y_test = load()
    classifier = make_estimator(max_epochs).fit(X_train[:n_images], y_train[:n_images])
    predicted = classifier.predict(X_test)
    counted = {"ignore_label": NOT_LABELLED}
    of_each = mean_iou_score(y_test, predicted, labels=classifier.classes_, average=None, **counted)
    for name, score in zip(CLASSES, of_each, strict=False):
        print(f"{name:12} {score:.2f}")
    print(
        f"mean IoU {mean_iou_score(y_test, predicted, **counted):.3f}, "
        f"pixel accuracy {pixel_accuracy_score(y_test, predicted, **counted):.3f}"
    )
    PredictionsDisplay.from_estimator(
        classifier, X_test, y_test, n_images=6, display_labels=CLASSES
    ).figure_.savefig("road_scenes.png", dpi=120)


if __name__ == "__main__":
    main()

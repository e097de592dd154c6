"""
Several labels for one image
============================

Which shapes are on a drawing, and what is on a photo.

Run it with `python docs/examples/several_labels.py`; it needs
`pip install "sklearn-cnn[plots]" pandas`, and for its second half the photos of COCO, see
image_sets.py, and the packages of backbones.py.
"""

import drawings
import image_sets
import matplotlib

matplotlib.use("Agg")

import numpy as np
from backbones import make_features
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, classification_report
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.plots import PredictionsDisplay

GROUPS = ["person", "vehicle", "outdoor", "animal", "accessory", "sports"]
GROUPS += ["kitchen", "food", "furniture", "electronic", "appliance", "indoor"]


def load():
    """Return 4,000 drawings and a 0/1 column a shape, and 1,000 for the test."""
    X, y = drawings.draw_shapes(5000)
    return X[:4000], y[:4000], X[4000:], y[4000:]


def load_photos():
    """Return 128 files and a 0/1 column a group of things, and 128 for the test."""
    train, test = image_sets.split(image_sets.load_table("coco256_multilabel"))
    return train["file"], train[GROUPS].to_numpy(), test["file"], test[GROUPS].to_numpy()


def make_estimator(max_epochs=20, random_state=0):
    """Return the classifier of drawings."""
    return CNNClassifier(
        augmentation="flip_crop", max_epochs=max_epochs, random_state=random_state, verbose=1
    )


def make_photo_estimator(max_epochs=40, random_state=0):
    """Return the classifier of photos: small, since there are few to learn from."""
    return CNNClassifier(
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
    """Return linear models of what a network that knows ImageNet sees on the photos.

    Sizes and C were chosen in folds of the training photos.
    """
    each_label = OneVsRestClassifier(LogisticRegression(C=0.01, max_iter=2000))
    return make_pipeline(make_features(160, 288), StandardScaler(), each_label)


def main(n_images=None, max_epochs=None):
    """Learn both, report on each label, and look at drawings that are read wrongly."""
    epochs = {} if max_epochs is None else {"max_epochs": max_epochs}
    X_train, y_train, X_test, y_test = load()
    classifier = make_estimator(**epochs).fit(X_train[:n_images], y_train[:n_images])
    predicted = classifier.predict(X_test)
    names = list(drawings.SHAPES)
    print(classification_report(y_test, predicted, target_names=names, digits=3, zero_division=0))
    worst = PredictionsDisplay.from_estimator(classifier, X_test, y_test)
    worst.figure_.savefig("several_labels.png", dpi=120)

    X_train, y_train, X_test, y_test = load_photos()
    classifier = make_photo_estimator(**epochs).fit(X_train[:n_images], y_train[:n_images])
    learned = make_feature_estimator().fit(X_train[:n_images], y_train[:n_images])
    share = y_train.mean(axis=0)  # what a guess without looking at the photo can know
    for name, scores in {
        "network": classifier.predict_proba(X_test),
        "learned weights": learned.predict_proba(X_test),
        "how common a label is": np.tile(share, (len(y_test), 1)),
    }.items():
        precision = average_precision_score(y_test, scores, average="micro")
        print(f"Photos, micro average precision, {name}: {precision:.3f}")


if __name__ == "__main__":
    main()

"""Dogs against cats, from JPEG files of many sizes: two classes, and a threshold to choose.

Run it with `python docs/examples/cats_and_dogs.py`; it needs
`pip install "sklearn-cnn[plots]" pandas` and the photos, see image_sets.py.
"""

import image_sets
import matplotlib

matplotlib.use("Agg")

from sklearn.metrics import RocCurveDisplay, classification_report

from sklearn_cnn import Augmentation, CNNClassifier
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.plots import PredictionsDisplay


def load():
    """Return files and labels, "cat" or "dog", for training and for the test."""
    train, test = image_sets.split(image_sets.load_table("cats_dogs"))
    return train["file"], train["label"], test["file"], test["label"]


def make_estimator(max_epochs=60, random_state=0):
    """Return the classifier; its recipe was chosen on photos held out of the training set."""
    return CNNClassifier(
        ConvNet((16, 32, 64, 128, 256), dropout=0.3),
        image_shape=(96, 96),
        augmentation=Augmentation(
            flip=True, crop=0.125, rotation=10, scale=0.2, brightness=0.3, contrast=0.3
        ),
        test_time_augmentation=True,
        batch_size=64,
        max_epochs=max_epochs,
        random_state=random_state,
        verbose=1,
    )


def main(n_images=None, max_epochs=60):
    """Learn from the files, draw the ROC curve, and look at the worst errors."""
    X_train, y_train, X_test, y_test = load()
    classifier = make_estimator(max_epochs).fit(X_train[:n_images], y_train[:n_images])
    print(classification_report(y_test, classifier.predict(X_test), digits=3))
    roc = RocCurveDisplay.from_estimator(classifier, X_test, y_test, plot_chance_level=True)
    roc.figure_.savefig("cats_and_dogs.png", dpi=120)
    worst = PredictionsDisplay.from_estimator(classifier, X_test, y_test)
    worst.figure_.savefig("cats_and_dogs_worst.png", dpi=120)


if __name__ == "__main__":
    main()

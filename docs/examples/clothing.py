"""Clothing: Fashion-MNIST, ten classes of 28 x 28 pixels, some of them much alike.

Run it with `python docs/examples/clothing.py`; it needs `pip install "sklearn-cnn[plots]"`.
"""

import image_sets
import matplotlib

matplotlib.use("Agg")

from sklearn.metrics import ConfusionMatrixDisplay, classification_report
from sklearn.model_selection import train_test_split

from sklearn_cnn import Augmentation, CNNClassifier
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.plots import TrainingCurveDisplay

CLASSES = ["T-shirt", "trousers", "pullover", "dress", "coat"]
CLASSES += ["sandal", "shirt", "sneaker", "bag", "boot"]


def load():
    """Return images and labels, for training and for the test."""
    return image_sets.load_fashion_mnist()


def make_estimator(max_epochs=15, random_state=0):
    """Return the classifier."""
    return CNNClassifier(
        ConvNet((32, 64, 128, 256)),
        augmentation=Augmentation(flip=True, crop=2),
        test_time_augmentation=True,
        max_epochs=max_epochs,
        random_state=random_state,
        verbose=1,
    )


def main(n_images=None, max_epochs=15):
    """Learn clothes, watch the network learn, and see which clothes it confuses."""
    X_train, y_train, X_test, y_test = load()
    X_train, X_val, y_train, y_val = train_test_split(
        X_train[:n_images], y_train[:n_images], test_size=0.1, random_state=0
    )
    classifier = make_estimator(max_epochs).fit(X_train, y_train, X_val=X_val, y_val=y_val)
    predicted = classifier.predict(X_test)
    print(classification_report(y_test, predicted, target_names=CLASSES, digits=3))
    curve = TrainingCurveDisplay.from_estimator(classifier)
    curve.figure_.savefig("clothing_curve.png", dpi=120)
    confusion = ConfusionMatrixDisplay.from_predictions(
        y_test, predicted, display_labels=CLASSES, xticks_rotation=60, colorbar=False
    )
    confusion.figure_.savefig("clothing.png", dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main()

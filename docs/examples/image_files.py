"""
Images in folders
=================

A class a folder, cross-validated from the files, beside an SVM.

Run it with `python docs/examples/image_files.py`, in about a minute. It writes scikit-learn's
digits as PNG files into a temporary folder first; your own photos need no such step.
"""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import classification_report
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sklearn_cnn import CNNClassifier, ImageReader, find_broken, load_image_folder


def write_digits(folder, n_images):
    """Write each digit as folder/<class>/<number>.png, and one file that is no image."""
    digits = load_digits()
    pixels = (digits.images * 255 / 16).astype(np.uint8)
    for number, label in enumerate(digits.target[:n_images]):
        path = folder / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[number]).resize((24, 24)).save(path)
    (folder / "0" / "broken.png").write_bytes(b"no image")


def main(n_images=1797, max_epochs=5):
    """Run the example, on fewer images and epochs to try it out."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "digits")
        write_digits(folder, n_images)
        digits = load_image_folder(folder)
        print(f"{len(digits.data)} files of {len(digits.target_names)} classes\n")

        classifier = CNNClassifier(
            image_shape=(12, 12),
            max_epochs=max_epochs,
            memory=Path(temporary, "cache"),  # each file is decoded once
            handle_broken="skip",
            random_state=0,
        )
        X_train, X_test, y_train, y_test = train_test_split(
            digits.data, digits.target, stratify=digits.target, random_state=0
        )
        # fit leaves the broken file out; predict needs all of its files
        broken = list(find_broken(X_test))
        classifier.fit(X_train, y_train)
        predicted = classifier.predict(np.delete(X_test, broken))
        print(classification_report(np.delete(y_test, broken), predicted, digits=3))

        # cross-validation predicts every file
        broken = list(find_broken(digits.data))
        X, y = np.delete(digits.data, broken), np.delete(digits.target, broken)
        svm = make_pipeline(ImageReader((12, 12)), SVC())
        for name, estimator in {"CNNClassifier": classifier, "SVC": svm}.items():
            print(f"{name}: accuracy {cross_val_score(estimator, X, y, cv=3).mean():.3f}")


if __name__ == "__main__":
    main()

"""What leaves beside the estimator: size, difference, loss of accuracy, time of one image.

    python benchmarks/export.py            four networks, some minutes on two cores
    python benchmarks/export.py resnet18   those whose names are given

Small networks learn Fashion-MNIST from 5,000 images; those with a photo's input learn cats and
dogs, EfficientNet-Lite0 from ImageNet's weights. int8 is calibrated on 300 training images, and
scores are those of 1,000 (600 photos) that neither trained nor calibrated. Times are of one image,
the median of 50, with as many threads as torch has: they mean something on a quiet machine.
"""

import functools
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from examples import image_sets, import_task, make_backbone

from sklearn_cnn import CNNClassifier, ImageReader

SIDE = 128


def clothes():
    """Return small gray images: training, then test."""
    X, y, X_test, y_test = image_sets.load_fashion_mnist()
    return X[:5000], y[:5000], X_test[:1000], y_test[:1000]


def photos():
    """Return photos of one size: training, then test."""
    X, y, X_test, y_test = import_task("cats_and_dogs").load()
    read = ImageReader((SIDE, SIDE, 3))
    return (read.fit_transform(X), y, read.transform(X_test), y_test)


NETWORKS = {
    "convnet": ("convnet", clothes, {}),
    "resnet": ("resnet", clothes, {"max_epochs": 5}),
    "resnet18": ("resnet18", photos, {"max_epochs": 3}),
    "lite0": (make_backbone(freeze=True), photos, {}),
}


def median_ms(call, n=50):
    """Return the median time of a call in milliseconds."""
    seconds = []
    for _ in range(n):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds))


def session_of(path):
    """Return a session with as many threads as torch has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(path, options)


def answers_of(session, images):
    """Return the answers for images, in batches."""
    batches = (images[start : start + 32] for start in range(0, len(images), 32))
    return np.concatenate([session.run(None, {"images": batch})[0] for batch in batches])


def measure(name, folder):
    """Print a line for each precision of a network."""
    architecture, load, params = NETWORKS[name]
    X, y, X_test, y_test = load()
    shape = (SIDE, SIDE, 3) if load is photos else None
    model = CNNClassifier(architecture, image_shape=shape, random_state=0, **params).fit(X, y)
    known, score = model.predict_proba(X_test), model.score(X_test, y_test)
    one = median_ms(lambda: model.predict_proba(X_test[:1]))
    print(f"| {name} | estimator | | | | {score:.4f} | {one:.2f} |", flush=True)
    for precision in ("float32", "float16", "int8"):
        path = Path(folder, f"{name}-{precision}.onnx")
        size = model.to_onnx(path, X[:300], precision=precision).n_bytes / 1e6
        session = session_of(path)
        answers = answers_of(session, X_test)
        largest, labels = np.abs(answers - known).max(), answers.argmax(axis=1)
        same = np.mean(labels == known.argmax(axis=1))
        score = np.mean(model.classes_[labels] == np.asarray(y_test))
        one = median_ms(functools.partial(session.run, None, {"images": X_test[:1]}))
        print(
            f"| {name} | {precision} | {size:.2f} | {largest:.2g} | {same:.4f} | {score:.4f} "
            f"| {one:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    print("| network | precision | MB | largest difference | same label | accuracy | one (ms) |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or NETWORKS:
            measure(name, folder)

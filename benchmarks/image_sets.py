"""Real image sets: from the folder SKLEARN_CNN_DATA where it is set, else by download."""

import gzip
import io
import os
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.datasets import FashionMNIST


def load_fashion_mnist():
    """Return X_train, y_train, X_test, y_test; images are uint8 of 28 x 28."""
    folder = os.environ.get("SKLEARN_CNN_DATA")
    if folder is None:
        root = Path.home() / ".cache" / "sklearn_cnn"
        sets = [FashionMNIST(root, train=train, download=True) for train in (True, False)]
        return tuple(np.asarray(part) for s in sets for part in (s.data, s.targets))
    names = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"]
    return tuple(_read_idx(Path(folder, "fashion_mnist", f"{name}-ubyte.gz")) for name in names)


def load_cifar10():
    """Return X_train, y_train, X_test, y_test, or None; images are uint8 of 32 x 32 x 3.

    The file holds 20,000 of the training images and 5,000 of the test images, in losslessly
    compressed blocks of 500.
    """
    path = Path(os.environ.get("SKLEARN_CNN_DATA", ""), "cifar10_20k.npz")
    if not path.exists():
        return None
    with np.load(path) as content:
        parts = []
        for part in ("train", "test"):
            keys = sorted(key for key in content.files if key.startswith(f"{part}_webp_"))
            blocks = (Image.open(io.BytesIO(content[key].tobytes())) for key in keys)
            rows = [np.asarray(block.convert("RGB")).reshape(-1, 32, 32, 3) for block in blocks]
            parts += [np.concatenate(rows), content[f"y_{part}"]]
    return tuple(parts)


def _read_idx(path):
    """Read a file of MNIST's format: the fourth byte counts the sizes, big-endian, that follow."""
    content = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(content, ">i4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)

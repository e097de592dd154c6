"""The image sets of the examples, drawn small: the same files with other pictures."""

import csv
import gzip
import io
import itertools
import zipfile

import numpy as np
from PIL import Image

N_TRAIN, N_TEST = 600, 40
ROOMS = ["frontal", "bedroom", "bathroom", "kitchen"]
GROUPS = "person vehicle outdoor animal accessory sports kitchen food furniture electronic "
GROUPS = (GROUPS + "appliance indoor").split()


def write_sets(folder):
    """Write all sets into a folder, as SKLEARN_CNN_DATA names it."""
    rng = np.random.default_rng(0)
    for name in ("mnist", "fashion_mnist"):
        _write_idx(folder / name, rng)
    _write_cifar(folder / "cifar10_20k.npz", rng)
    _write_zip(folder / "cats_dogs.zip", 80, ["file"], _pet, rng)
    _write_zip(folder / "utkface_age.zip", 160, ["file"], _face, rng)
    _write_zip(folder / "houses.zip", 40, ROOMS, _house, rng)
    _write_zip(folder / "face_keypoints.zip", 80, ["file"], _points, rng)
    _write_zip(folder / "coco256_multilabel.zip", 60, ["file"], _scene, rng)
    _write_masks(folder / "camvid_masks.zip", 12, rng)
    _write_masks(folder / "cell_membranes.zip", 2, rng)


def _pictures(n, shape, rng):
    """Return images that are as light as their label, from 0 to 9."""
    labels = np.arange(n) % 10
    noise = rng.integers(0, 60, (n, *shape))
    return (noise + 18 * labels.reshape(-1, *[1] * len(shape))).astype(np.uint8), labels


def _write_idx(folder, rng):
    folder.mkdir(parents=True)
    for part, n in ("train", N_TRAIN), ("t10k", N_TEST):
        images, labels = _pictures(n, (28, 28), rng)
        for kind, array in ("images-idx3", images), ("labels-idx1", labels.astype(np.uint8)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
            path = folder / f"{part}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(header + array.tobytes()))


def _write_cifar(path, rng):
    arrays = {}
    for part, n in ("train", 100), ("test", N_TEST):
        images, arrays[f"y_{part}"] = _pictures(n, (32, 32, 3), rng)
        for number, block in enumerate(np.split(images, 2)):
            stacked = io.BytesIO()
            Image.fromarray(block.reshape(-1, 32, 3)).save(stacked, "webp", lossless=True)
            arrays[f"{part}_webp_{number}"] = np.frombuffer(stacked.getvalue(), np.uint8)
    np.savez(path, **arrays)


def _write_zip(path, n, photos, describe, rng):
    """Write a zip of n rows with these columns of photos, a quarter of them for the test."""
    rows = []
    with zipfile.ZipFile(path, "w") as archive:
        for number, column in itertools.product(range(n), photos):
            if column == photos[0]:
                rows.append({"split": "train" if number % 4 else "test"})
                rows[-1] |= describe(number)
            rows[-1][column] = f"images/{number}_{column}.jpg"
            jpeg = io.BytesIO()
            light = 20 * (number % 10)
            Image.fromarray(rng.integers(light, light + 60, (26, 24, 3), dtype=np.uint8)).save(
                jpeg, "jpeg"
            )
            archive.writestr(rows[-1][column], jpeg.getvalue())
        table = io.StringIO()
        writer = csv.DictWriter(table, rows[0])
        writer.writeheader()
        writer.writerows(rows)
        archive.writestr("labels.csv", table.getvalue())


def _write_masks(path, n_labels, rng):
    """Write a zip of 8 images, as light as the labels of their masks, a quarter for the test."""
    table = ["file,mask,split"]
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(8):
            mask = rng.integers(0, n_labels, (6, 8), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
            for folder, pixels in ("images", 20 * mask), ("masks", mask):
                png = io.BytesIO()
                Image.fromarray(pixels).save(png, "png")
                archive.writestr(f"{folder}/{number}.png", png.getvalue())
            part = "train" if number % 4 else "test"
            table.append(f"images/{number}.png,masks/{number}.png,{part}")
        archive.writestr("labels.csv", "\n".join(table))


def _pet(number):
    return {"label": ["cat", "dog"][number % 2]}


def _face(number):
    return {"age": 1 + 9 * (number % 10)}


def _house(number):
    rooms = {"bedrooms": 1 + number % 4, "bathrooms": 1 + number % 3, "area": 900 + 50 * number}
    return {"price": 100_000 * (1 + number % 10), **rooms, "zipcode": 91_000 + number % 3}


def _points(number):
    person = {"split_by_person": "train" if number % 4 else "test"}
    names = [f"{axis}{point}" for point in range(68) for axis in "xy"]
    return person | {name: (7 * column + number) % 96 for column, name in enumerate(names)}


def _scene(number):
    labels = {
        group: int((number // 4 + number + column) % 3 == 0) for column, group in enumerate(GROUPS)
    }
    return {"n_objects": number % 7, **labels}

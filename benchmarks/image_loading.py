"""How fast image files are read: beside torchvision's DataLoader and a loop of Pillow.

    python benchmarks/image_loading.py                 everything, about 6 minutes on two cores
    python benchmarks/image_loading.py --quick         fewer images and epochs
    python benchmarks/image_loading.py --part decode   one part

The photos are cats_dogs.zip out of the folder that SKLEARN_CNN_DATA names.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from examples import image_sets
from PIL import Image
from sklearn.model_selection import cross_val_score
from skorch.callbacks import Callback
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from sklearn_cnn import CNNClassifier, ImageReader, load_image_folder
from sklearn_cnn.architectures import ResNet

SIZE = (96, 96)


def main():
    """Run every part in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer images and epochs")
    parser.add_argument("--part", choices=PARTS, action="append", help="one part; all if none")
    parser.add_argument("--peak-of", type=int, metavar="N", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak_of is not None:
        stream_once(arguments.folder, arguments.peak_of)
        return
    with tempfile.TemporaryDirectory() as folder:
        photos = unpack_photos(Path(folder, "photos"))
        for part in arguments.part or PARTS:
            PARTS[part](photos, Path(folder, part), arguments.quick)


def unpack_photos(folder):
    """Write the training photos to a folder of each class."""
    archive = Path(os.environ["SKLEARN_CNN_DATA"], "cats_dogs.zip")
    with zipfile.ZipFile(archive) as photos:
        lines = photos.read("labels.csv").decode().splitlines()
        names = lines[0].split(",")
        for line in lines[1:]:
            row = dict(zip(names, line.split(","), strict=True))
            if row["split"] == "train":
                target = folder / row["label"] / row["file"].replace("/", "_")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(photos.read(row["file"]))
    return folder


def decode_and_resize(photos, _folder, is_quick):
    """Compare ways to bring all photos to one array, in turns."""
    repetitions = 3 if is_quick else 7
    paths = load_image_folder(photos).data
    ways = {
        "ImageReader": lambda: read_with_image_reader(paths),
        "ImageFolder, DataLoader, 2 workers": lambda: read_with_data_loader(photos),
        "loop of Pillow": lambda: read_with_pillow(paths),
    }
    seconds = {name: [] for name in ways}
    for _ in range(repetitions):
        for name, way in ways.items():
            start = time.perf_counter()
            images = way()
            seconds[name].append(time.perf_counter() - start)
            assert len(images) == len(paths)
    print(f"Decode and resize {len(paths)} photos to {SIZE[0]} x {SIZE[1]}")
    ours = np.array(seconds["ImageReader"])
    for name, taken in seconds.items():
        ratio = np.median(np.array(taken) / ours)
        print(f"  {name:36} {len(paths) / np.median(taken):7.0f} img/s   ours is {ratio:.2f} x")


def read_with_image_reader(paths):
    """Read with our own transformer."""
    return ImageReader(SIZE, flatten=False).fit_transform(paths)


def read_with_data_loader(photos):
    """Read as PyTorch's tutorials do."""
    transform = v2.Compose([v2.Resize(SIZE, antialias=True), v2.PILToTensor()])
    loader = DataLoader(ImageFolder(photos, transform), batch_size=64, num_workers=2)
    return np.concatenate([images.numpy() for images, _ in loader])


def read_with_pillow(paths):
    """Read one after the other."""
    images = np.empty((len(paths), *SIZE, 3), np.uint8)
    for position, path in enumerate(paths):
        with Image.open(path) as image:
            resized = image.convert("RGB").resize(SIZE[::-1], Image.Resampling.BILINEAR)
        images[position] = resized
    return images


def cross_validate(photos, cache, is_quick):
    """Measure what share of a cross-validation goes into decoding, with `memory`."""
    n_epochs = 1 if is_quick else 5
    pets = load_image_folder(photos)
    start = time.perf_counter()
    # fills the same cache that the classifier looks into
    ImageReader(SIZE, memory=cache).fit(pets.data)
    decoding = time.perf_counter() - start
    classifier = CNNClassifier(image_shape=SIZE, max_epochs=n_epochs, memory=cache, random_state=0)
    entries = len(list(cache.rglob("*.npy")))
    start = time.perf_counter()
    scores = cross_val_score(classifier, pets.data, pets.target, cv=3)
    training = time.perf_counter() - start
    assert len(list(cache.rglob("*.npy"))) == entries, "a file was decoded twice"
    share = decoding / (decoding + training)
    print(
        f"Three-fold cross_val_score with memory, {n_epochs} epochs: accuracy {scores.mean():.3f}"
    )
    print(
        f"  decoding {decoding:.2f} s of {decoding + training:.1f} s: {share:.1%}, each file once"
    )


class EpochTimes(Callback):
    """Keeps the seconds of each epoch in a list."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __deepcopy__(self, memo):
        # the estimator copies callbacks, and this one reports to whoever made it
        return self

    def on_epoch_begin(self, net, **kwargs):
        """Start the clock."""
        self.start_ = time.perf_counter()

    def on_epoch_end(self, net, **kwargs):
        """Stop it."""
        self.seconds.append(time.perf_counter() - self.start_)


def stream(photos, _folder, is_quick, repetitions=3):
    """Compare training from files with training from memory, in turns, on a ResNet-18."""
    n_photos = 256 if is_quick else 1024
    pets = load_image_folder(photos)
    X, y = pets.data[:n_photos], pets.target[:n_photos]
    resnet18 = ResNet((64, 128, 256, 512), depth=2, stem="large")
    seconds = {True: [], False: []}
    losses = {}
    for _ in range(repetitions):
        for in_memory in seconds:
            classifier = CNNClassifier(
                resnet18,
                image_shape=SIZE,
                max_epochs=2,
                batch_size=64,
                in_memory=in_memory,
                callbacks=[EpochTimes(seconds[in_memory])],
                random_state=0,
            ).fit(X, y)
            losses[in_memory] = classifier.loss_curve_
    assert losses[True] == losses[False], "streaming trained another network"
    rates = {kept: n_photos / np.median(taken) for kept, taken in seconds.items()}
    print(f"Training a ResNet-18 at {SIZE[0]} x {SIZE[1]}, {n_photos} photos")
    print(f"  in memory {rates[True]:.0f} img/s, from files {rates[False]:.0f} img/s: ", end="")
    print(f"{np.median(np.array(seconds[True]) / np.array(seconds[False])):.2f} x")


def peak_memory(photos, _folder, is_quick):
    """Print the peak memory of a streamed fit on the photos, each taken several times."""
    print("Peak memory of a streamed fit and predict, of a process of its own")
    for factor in (1, 2) if is_quick else (1, 4, 16):
        command = [sys.executable, __file__, "--peak-of", str(factor), "--folder", str(photos)]
        print(
            "  " + subprocess.run(command, check=True, capture_output=True, text=True).stdout,
            end="",
        )


def stream_once(photos, factor):
    """Fit and predict on the photos repeated, and print the peak of memory."""
    pets = load_image_folder(photos)
    X, y = np.tile(pets.data, factor), np.tile(pets.target, factor)
    small = {"architecture__widths": (8,), "architecture__residual": False}
    classifier = CNNClassifier(image_shape=SIZE, max_epochs=1, in_memory=False, random_state=0)
    classifier.set_params(**small).fit(X, y).predict(X)
    # not getrusage, whose peak begins with that of the process that started this one
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) / 1024
    kept = len(X) * SIZE[0] * SIZE[1] * 3 / 2**20
    print(f"{len(X):6} photos: {peak:6.0f} MiB (their pixels: {kept:5.0f} MiB)")


def many_small_files(_photos, folder, is_quick):
    """Write small PNGs and fit from their folder."""
    n_files = 6000 if is_quick else 60000
    X, y, *_ = image_sets.load_fashion_mnist()
    for label in np.unique(y):
        (folder / str(label)).mkdir(parents=True)
    for number, (image, label) in enumerate(zip(X[:n_files], y[:n_files], strict=True)):
        Image.fromarray(image).save(folder / str(label) / f"{number}.png")
    clothes = load_image_folder(folder)
    start = time.perf_counter()
    ImageReader().fit(clothes.data)
    rate = n_files / (time.perf_counter() - start)
    start = time.perf_counter()
    classifier = CNNClassifier(max_epochs=1, random_state=0).fit(clothes.data, clothes.target)
    print(f"{n_files} PNGs of 28 x 28: read at {rate:.0f} files/s; one epoch of ", end="")
    print(f"fit in {time.perf_counter() - start:.1f} s, loss {classifier.best_loss_:.3f}")


PARTS = {
    "decode": decode_and_resize,
    "cache": cross_validate,
    "stream": stream,
    "memory": peak_memory,
    "small": many_small_files,
}


if __name__ == "__main__":
    main()

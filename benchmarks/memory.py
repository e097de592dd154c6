"""How much memory training and prediction take, and how time grows with the number of images.

    python benchmarks/memory.py             about two minutes on two cores
    python benchmarks/memory.py --quick     a tenth of the images

Linux only: memory is what /proc counts as a process's own (RssAnon), so that pages of a
mapped file, which the system drops when it needs them, do not count. Each fit runs in a new
process.
"""

import argparse
import multiprocessing
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from side_by_side import write_json

IMAGE_SHAPE = (64, 64, 3)
MIB = 2**20


class Peak:
    """The largest amount of memory of this process that is its own, in a block."""

    def __enter__(self):
        self.before = self.largest = _own_memory()
        self._is_over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *exception):
        self.seconds = time.perf_counter() - self._start
        self._is_over.set()
        self._watcher.join()
        self.grown = self.largest - self.before
        self.left = _own_memory() - self.before

    def _watch(self):
        while not self._is_over.wait(0.002):
            self.largest = max(self.largest, _own_memory())


def _own_memory():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no RssAnon: this benchmark runs on Linux only.")


def _classifier():
    from sklearn_cnn import CNNClassifier
    from sklearn_cnn.architectures import ConvNet

    network = ConvNet((8,), residual=False)
    return CNNClassifier(network, max_epochs=1, batch_size=128, device="cpu", random_state=0)


def fit_in_memory(n_samples):
    """Fit on images in memory; return what it took."""
    images = np.random.default_rng(0).integers(0, 256, (n_samples, *IMAGE_SHAPE), dtype=np.uint8)
    labels = np.arange(n_samples) % 10
    # thread pools and the code itself are loaded before the measurement
    _classifier().fit(images[:256], labels[:256]).predict(images[:256])
    with Peak() as peak:
        _classifier().fit(images, labels)
    return {
        "n_samples": n_samples,
        "images_mib": images.nbytes / MIB,
        "fit_mib": peak.grown / MIB,
        "left_mib": peak.left / MIB,
        "seconds": peak.seconds,
    }


def fit_memmap(n_samples):
    """Fit on and predict images that lie in a file; return what it took."""
    labels = np.arange(n_samples) % 10
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "images.npy")
        images = np.lib.format.open_memmap(path, "w+", np.uint8, (n_samples, *IMAGE_SHAPE))
        # the rest of the file is a hole, which reads as zeros
        images[:256] = np.random.default_rng(0).integers(0, 256, (256, *IMAGE_SHAPE))
        del images
        images = np.load(path, mmap_mode="r")
        _classifier().fit(images[:256], labels[:256]).predict(images[:256])
        classifier = _classifier()
        with Peak() as fitting:
            classifier.fit(images, labels)
        with Peak() as predicting:
            classifier.predict(images)
        return {
            "n_samples": n_samples,
            "images_mib": images.nbytes / MIB,
            "fit_mib": fitting.grown / MIB,
            "predict_mib": predicting.grown / MIB,
        }


def fit_masks(n_samples):
    """Fit on images and masks of 11 classes in memory, and predict; return what it took."""
    from sklearn_cnn import CNNClassifier
    from sklearn_cnn.architectures import UNet

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n_samples, *IMAGE_SHAPE), dtype=np.uint8)
    masks = rng.integers(0, 11, images.shape[:3], dtype=np.uint8)
    network = UNet((8, 16), residual=False)
    classifier = CNNClassifier(network, max_epochs=1, batch_size=16, device="cpu", random_state=0)
    classifier.fit(images[:64], masks[:64]).score(images[:64], masks[:64])
    with Peak() as fitting:
        classifier.fit(images, masks)
    with Peak() as predicting:
        classifier.predict(images)
    with Peak() as scoring:
        classifier.score(images, masks)
    return {
        "n_samples": n_samples,
        "masks_mib": masks.nbytes / MIB,
        "all_logits_mib": 4 * 11 * masks.nbytes / MIB,
        "fit_mib": fitting.grown / MIB,
        "predict_mib": predicting.grown / MIB,
        "score_mib": scoring.grown / MIB,
    }


def _in_new_process(function, n_samples):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, (n_samples,))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the images")
    parser.add_argument("--json", type=Path, help="where to write the results too")
    arguments = parser.parse_args()
    scale = 10 if arguments.quick else 1
    print("| images in memory | MiB | fit takes | stays behind | seconds | ms an image |")
    print("|---|---|---|---|---|---|")
    rows = []
    for n_samples in (10_000, 20_000, 40_000):
        row = _in_new_process(fit_in_memory, n_samples // scale)
        rows.append(row)
        print(
            f"| {row['n_samples']:,} | {row['images_mib']:.0f} | {row['fit_mib']:.0f} MiB "
            f"| {row['left_mib']:.0f} MiB | {row['seconds']:.1f} "
            f"| {1000 * row['seconds'] / row['n_samples']:.3f} |",
            flush=True,
        )
    memmap = _in_new_process(fit_memmap, 100_000 // scale)
    print(
        f"\nA memmap of {memmap['images_mib']:.0f} MiB: fit takes {memmap['fit_mib']:.0f} MiB, "
        f"predict {memmap['predict_mib']:.0f} MiB."
    )
    masks = _in_new_process(fit_masks, 5_000 // scale)
    print(
        f"\n{masks['n_samples']:,} masks of 11 classes, {masks['masks_mib']:.0f} MiB (all logits: "
        f"{masks['all_logits_mib']:.0f}): fit takes {masks['fit_mib']:.0f} MiB, predict "
        f"{masks['predict_mib']:.0f}, score {masks['score_mib']:.0f}."
    )
    if arguments.json:
        write_json(arguments.json, {"in_memory": rows, "memmap": memmap, "masks": masks})


if __name__ == "__main__":
    main()

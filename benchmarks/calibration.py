"""How honest probabilities are, and what makes them so: accuracy, calibration error, log loss.

    python benchmarks/calibration.py                                 hours on one core
    python benchmarks/calibration.py clothing --seeds 0 --variants default temperature
    python benchmarks/calibration.py small_photos --n-images 20000   all images
    python benchmarks/calibration.py --n-images 300 --epochs 1       to see that all of it runs
    python benchmarks/calibration.py --json results.json             keep what was measured
    python benchmarks/calibration.py --table results.json            print what was measured

The sets are 10,000 clothes of Fashion-MNIST, 5,000 photos of CIFAR-10, and cats and dogs, 2,400
files read at 96 x 96 pixels; each seed draws other images where there are more. On these learn, in
turn:

- default: no argument but random_state;
- label_smoothing=0.05 and 0.1;
- averaged weights: an exponential moving average of the weights of all steps, by torch;
- nine tenths: the default on nine tenths of the images;
- temperature: that network, with a temperature of scikit-learn's fitted to the last tenth;
- label_smoothing=0.1, nine tenths, and the same with a temperature.

All are scored on the test images. The seconds are those of a fit, of a temperature without that of
its network. The sets are those of docs/examples/image_sets.py.
"""

import argparse
import json
import time
from functools import cache
from pathlib import Path

import numpy as np
from examples import import_task
from side_by_side import write_json
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sklearn_cnn import CNNClassifier, ImageReader
from sklearn_cnn.metrics import expected_calibration_error

# How many images are learned from, and the size that files are resized to.
SETS = {
    "clothing": (10_000, None),
    "small_photos": (5_000, None),
    "cats_and_dogs": (2_400, (96, 96)),
}
DECAY = 0.99


class AveragedWeights(Callback):
    """Leave the exponential moving average of the weights, and of batch normalization's, behind."""

    def on_train_begin(self, net, **kwargs):
        """Begin from the first weights."""
        average = get_ema_multi_avg_fn(DECAY)
        self.average_ = AveragedModel(net.module_, multi_avg_fn=average, use_buffers=True)

    def on_batch_end(self, net, **kwargs):
        """Add the weights of a step."""
        self.average_.update_parameters(net.module_)

    def on_train_end(self, net, **kwargs):
        """Put the averages into the network."""
        net.module_.load_state_dict(self.average_.module.state_dict())


# The parameters of each, whether a tenth is held out, and whether a temperature is fitted to it.
VARIANTS = {
    "default": ({}, False, False),
    "label_smoothing=0.05": ({"label_smoothing": 0.05}, False, False),
    "label_smoothing=0.1": ({"label_smoothing": 0.1}, False, False),
    "averaged weights": ({"callbacks": [AveragedWeights()]}, False, False),
    "nine tenths": ({}, True, False),
    "temperature": ({}, True, True),
    "label_smoothing=0.1, nine tenths": ({"label_smoothing": 0.1}, True, False),
    "label_smoothing=0.1, temperature": ({"label_smoothing": 0.1}, True, True),
}


@cache
def loaded(name):
    """Return images and labels, for training and for the test."""
    X, y, X_test, y_test = (np.asarray(part) for part in import_task(name).load())
    _, size = SETS[name]
    if size is not None:
        reader = ImageReader(size, flatten=False)
        X, X_test = (reader.fit_transform(files) for files in (X, X_test))
    return X, y, X_test, y_test


def measure(name, seed, n_images, epochs, variants):
    """Fit the variants in turn; yield a record of each."""
    X, y, X_test, y_test = loaded(name)
    n_of_set, _ = SETS[name]
    n_images = min(n_images or n_of_set, len(X))
    rows = np.random.default_rng(seed).permutation(len(X))[:n_images]
    X, y = X[rows], y[rows]
    parts = train_test_split(X, y, test_size=0.1, stratify=y, random_state=seed)
    X_most, X_tenth, y_most, y_tenth = parts
    fitted = {}
    for variant in variants:
        own, holds_out, has_temperature = VARIANTS[variant]
        # a temperature belongs to a network that another variant may have fitted
        key = (str(own), holds_out)
        if key not in fitted:
            start = time.perf_counter()
            network = CNNClassifier(max_epochs=epochs, random_state=seed, **own)
            network.fit(*((X_most, y_most) if holds_out else (X, y)))
            fitted[key] = network, time.perf_counter() - start
        classifier, seconds = fitted[key]
        if has_temperature:
            start = time.perf_counter()
            frozen = FrozenEstimator(classifier)
            # folds change nothing but how few images a class may have
            classifier = CalibratedClassifierCV(frozen, method="temperature", cv=2)
            classifier.fit(X_tenth, y_tenth)
            seconds = time.perf_counter() - start
        probabilities = classifier.predict_proba(X_test)
        labels = classifier.classes_
        yield {
            "set": name,
            "n_images": n_images,
            "epochs": epochs,
            "seed": seed,
            "variant": variant,
            "accuracy": accuracy_score(y_test, labels[probabilities.argmax(axis=1)]),
            "calibration error": expected_calibration_error(y_test, probabilities, labels=labels),
            "log loss": log_loss(y_test, probabilities, labels=labels),
            "seconds": seconds,
        }


def print_table(records):
    """Print a line for each set and variant: means over the seeds."""
    print("| set | images | variant | accuracy | calibration error | log loss | seeds | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    cases = {}
    for r in records:
        cases.setdefault((r["set"], r["n_images"], r["epochs"], r["variant"]), []).append(r)
    for (name, n_images, _, variant), runs in cases.items():
        cells = [name, f"{n_images}", variant]
        for figure in ("accuracy", "calibration error", "log loss"):
            values = [run[figure] for run in runs]
            spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.4f}{spread}")
        seconds = np.mean([run["seconds"] for run in runs])
        print(f"| {' | '.join(cells)} | {len(runs)} | {seconds:.0f} |")


def main():
    """Measure, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", help=f"of {', '.join(SETS)}; else all")
    parser.add_argument("--epochs", type=int, help="of each fit; else the default's")
    parser.add_argument("--n-images", type=int, help="to learn from; else those of the set")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--json", type=Path, help="where to write what was measured")
    parser.add_argument("--table", type=Path, nargs="+", help="print what was measured before")
    arguments = parser.parse_args()
    if unknown := set(arguments.sets) - set(SETS):
        parser.error(f"no sets of these names: {', '.join(unknown)}; there are {', '.join(SETS)}")
    if arguments.table:
        files = [json.loads(path.read_text()) for path in arguments.table]
        print_table([record for file in files for record in file["results"]])
        return
    start, records = time.perf_counter(), []
    for name in arguments.sets or SETS:
        for seed in arguments.seeds:
            case = (name, seed, arguments.n_images, arguments.epochs or "auto")
            for record in measure(*case, arguments.variants):
                records.append(record)
                print(json.dumps(record), flush=True)
                if arguments.json:
                    write_json(arguments.json, records)
    print_table(records)
    print(f"In all {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()

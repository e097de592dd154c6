"""What early stopping costs in score and saves in epochs, on small sets, in pairs.

    python benchmarks/early_stopping.py                       an hour on one core
    python benchmarks/early_stopping.py digits --epochs 40 --seeds 2 --json results.json
    python benchmarks/early_stopping.py --table results.json  print what was measured

Each seed draws other images, and the tenth that is held out. On these learn, in turns:

- all: without early stopping, on all images;
- nine tenths: without, on what is left;
- early stopping: on the same nine tenths, stopped by the tenth that is held out;
- cut off: the same rates, but training ends when patience does, with the weights that scored best;
- best weights: the schedule goes to its end, and the weights that scored best are kept.

A score is the accuracy, or R², on test images, less that of "nine tenths" of the same seed. Digits,
and small images of clothes without augmentation, faces (age) with "flip_crop", photos of CIFAR-10
and of cats and dogs with "photos". The sets are those of docs/examples/image_sets.py.
"""

import argparse
import json
import math
import statistics
import time
from functools import cache, partial
from pathlib import Path

import numpy as np
from examples import image_sets, import_task
from side_by_side import write_json
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from skorch.callbacks import LRScheduler
from torch.optim.lr_scheduler import LambdaLR

from sklearn_cnn import CNNClassifier, CNNRegressor, ImageReader
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.training.optimizers import SCHEDULES

VARIANTS = ["all", "nine tenths", "early stopping", "cut off", "best weights"]
N_TEST, BATCH = 800, 32


def halved(images):
    """Return the means of 2 x 2 pixels."""
    n, height, width, *channels = images.shape
    parts = images.reshape(n, height // 2, 2, width // 2, 2, *channels)
    return parts.mean(axis=(2, 4)).round().astype(np.uint8)


def load_digits_to_test():
    """Return digits to learn from, and others."""
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, test_size=N_TEST, random_state=0)
    return X, y, X_test, y_test


def load_faces():
    """Return faces of 16 x 16 pixels, and ages."""
    reader, sides = ImageReader(image_shape=(16, 16), flatten=False), []
    for table in image_sets.split(image_sets.load_table("utkface_age")):
        sides += [reader.fit_transform(table["file"]), table["age"].to_numpy(float)]
    return sides


def load_pets():
    """Return photos of 32 x 32 pixels, and whether a cat or a dog is in them."""
    X, y, X_test, y_test = import_task("cats_and_dogs").load()
    reader = ImageReader(image_shape=(32, 32, 3), flatten=False)
    return reader.fit_transform(X), np.array(y), reader.transform(X_test), np.array(y_test)


def load_halved(load):
    """Return images of half the height and width, and labels."""
    X, y, X_test, y_test = load()
    return halved(X), y, halved(X_test[:N_TEST]), y_test[:N_TEST]


# How a set is loaded, how many images are learned from, and by what.
SETS = {
    "digits": (load_digits_to_test, 300, CNNClassifier(augmentation=None)),
    "clothes": (
        partial(load_halved, image_sets.load_fashion_mnist),
        400,
        CNNClassifier(augmentation=None),
    ),
    "age": (load_faces, 400, CNNRegressor(augmentation="flip_crop")),
    "cifar": (
        partial(load_halved, image_sets.load_cifar10_20k),
        600,
        CNNClassifier(augmentation="photos"),
    ),
    "pets": (load_pets, 1150, CNNClassifier(augmentation="photos")),
}


@cache
def loaded(name):
    """Return what a set holds."""
    return SETS[name][0]()


def as_a_callback(schedule, n_steps):
    """Return parameters that move the rate as a schedule does, unseen by early stopping."""
    scheduler = LRScheduler(
        LambdaLR, lr_lambda=lambda step: SCHEDULES[schedule](step / n_steps), step_every="batch"
    )
    return {"lr_schedule": "constant", "callbacks": [scheduler], "early_stopping": True}


def parameters_of(variant, schedule, n_steps, patience):
    """Return the parameters of a variant."""
    if variant in ("all", "nine tenths"):
        return {"lr_schedule": schedule}
    if variant == "early stopping":
        params = {"lr_schedule": schedule, "early_stopping": True}
    else:
        params = as_a_callback(schedule, n_steps)
    # more epochs than there are, for the schedule to go to its end
    return {**params, "n_iter_no_change": n_steps if variant == "best weights" else patience}


def measure(name, epochs, seed, schedule, patience, variants):
    """Fit the variants in turn; return a record of each."""
    _, n_images, estimator = SETS[name]
    X, y, X_test, y_test = loaded(name)
    rows = np.random.default_rng(seed).permutation(len(X))[:n_images]
    X, y = X[rows], y[rows]
    kept, held_out = train_test_split(
        np.arange(n_images),
        test_size=0.1,
        random_state=seed,
        stratify=y if is_classifier(estimator) else None,
    )
    n_steps = epochs * math.ceil(len(kept) / BATCH)
    records = []
    for variant in variants:
        model = clone(estimator).set_params(
            architecture=ConvNet((16, 32)),
            max_epochs=epochs,
            batch_size=BATCH,
            random_state=seed,
            **parameters_of(variant, schedule, n_steps, patience),
        )
        start = time.process_time()
        if variant == "all":
            model.fit(X, y)
        else:
            model.fit(X[kept], y[kept], X_val=X[held_out], y_val=y[held_out])
        records.append(
            {
                "set": name,
                "epochs": epochs,
                "seed": seed,
                "schedule": schedule,
                "patience": patience,
                "variant": variant,
                "score": model.score(X_test[:N_TEST], y_test[:N_TEST]),
                "n_iter": model.n_iter_,
                "cpu_seconds": time.process_time() - start,
            }
        )
        print(json.dumps(records[-1]), flush=True)
    return records


def print_table(records):
    """Print a line for each set, length and variant: means over the seeds."""
    print("| set | epochs | rate, patience | variant | score | beside nine tenths | epochs run |")
    print("|---|---|---|---|---|---|---|")
    runs = {}
    for r in records:
        case = (r["set"], r["epochs"], r["schedule"], r["patience"])
        runs.setdefault(case, {}).setdefault(r["variant"], {})[r["seed"]] = r
    for (name, epochs, schedule, patience), variants in sorted(runs.items()):
        for variant, of_seed in variants.items():
            scores = {seed: r["score"] for seed, r in of_seed.items()}
            beside = [scores[s] - variants["nine tenths"][s]["score"] for s in scores]
            spread = statistics.stdev(beside) / len(beside) ** 0.5 if len(beside) > 1 else np.nan
            print(
                f"| {name} | {epochs} | {schedule}, {patience} | {variant} "
                f"| {np.mean(list(scores.values())):.4f} | {np.mean(beside):+.4f} ± {spread:.4f} "
                f"| {np.mean([r['n_iter'] for r in of_seed.values()]):.1f} |"
            )


def main():
    """Measure, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=list(SETS))
    parser.add_argument("--epochs", nargs="+", type=int, default=[20, 40, 100])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--schedule", default="one_cycle", choices=["one_cycle", "cosine"])
    parser.add_argument("--patience", type=int, default=10)
    parser.add_argument("--variants", nargs="+", default=VARIANTS, choices=VARIANTS)
    parser.add_argument("--json", type=Path, help="where to write what was measured")
    parser.add_argument("--table", type=Path, nargs="+", help="print what was measured before")
    arguments = parser.parse_args()
    if arguments.table:
        files = [json.loads(path.read_text()) for path in arguments.table]
        print_table([record for file in files for record in file["results"]])
        return
    # all are compared with that one
    variants = [v for v in VARIANTS if v in {"nine tenths", *arguments.variants}]
    records = []
    for seed in arguments.seeds:
        for name in arguments.sets:
            for epochs in arguments.epochs:
                case = (name, epochs, seed, arguments.schedule, arguments.patience)
                records += measure(*case, variants)
        if arguments.json:
            write_json(arguments.json, records)
    print_table(records)


if __name__ == "__main__":
    main()

"""Tasks on real and drawn images: our recipes, our defaults and the baselines in one table.

    python benchmarks/tasks.py                      all of it, some three hours on two cores
    python benchmarks/tasks.py age digits           these tasks
    python benchmarks/tasks.py age --only recipe    one contender
    python benchmarks/tasks.py --quick              few images and epochs, to see that all of it
                                                    runs: a minute; keeps no results
    python benchmarks/tasks.py --table              print what results/tasks.json holds

Each task is a script of docs/examples; what was tuned of its recipe was tuned on images held out of
the training set (results/tasks.md). The contenders learn from the same training images and are
scored on the test images:

- dummy: the commonest class, the mean, how common a label is;
- pixels: gradient boosting (ridge regression for many numbers) on small gray images;
- textbook: Conv 32, pool, Conv 64, pool, Dense 128 without augmentation, trained as ours are
  (standardized pixels, one cycle up to lr=0.001), without weight decay;
- default: our estimator without an argument but image_shape and random_state;
- pretrained, of photos: no argument but EfficientNet-Lite0, as it learned on ImageNet, and
  random_state; of road scenes the recipe with that network as the encoder of its U-Net;
- frozen, of photos: the same, of which the last layer alone learns;
- features, of photos where the script has it: a linear model of what that network sees;
- recipe: that of the script, and what it is without a part of it; prices are the mean of eight
  networks that start from one that knows CIFAR-10, which is learned once and not counted in the
  seconds.

Of labels the log loss and the expected calibration error say how honest the probabilities are, but
where classes are weighted, which are then meant to be other ones.

The sets are those of docs/examples/image_sets.py.
"""

import argparse
import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from contenders import TEXTBOOK
from examples import import_task, make_backbone
from side_by_side import environment
from sklearn.base import clone, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.metrics import average_precision_score, check_scoring, make_scorer
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_cnn import CNNClassifier, CNNRegressor, ImageReader
from sklearn_cnn.architectures import ConvNet, Finetuned, UNet
from sklearn_cnn.metrics import (
    depth_scores,
    expected_calibration_error,
    mean_iou_score,
    pixel_accuracy_score,
)

RESULTS = Path(__file__).parent / "results" / "tasks.json"
CONTENDERS = {"dummy", "pixels", "textbook", "default", "pretrained", "frozen", "recipe"}
CONTENDERS |= {"features"}
CONTENDERS |= {"recipe without class_weight", "recipe from scratch"}
CONTENDERS |= {"recipe without photos", "recipe without table"}
QUICK = {"n_train": 400, "n_test": 200, "max_epochs": 1, "max_iter": 5}


def gray(X):
    """Return colour images of an array in gray, and files as they are: a reader converts them."""
    return X.mean(axis=-1).astype(np.uint8) if np.ndim(X) == 4 else X


ACCURACY = {
    "accuracy": "accuracy",
    "log loss": "neg_log_loss",
    "calibration error": make_scorer(
        expected_calibration_error, response_method="predict_proba", greater_is_better=False
    ),
}
PRECISION = make_scorer(
    average_precision_score, response_method=("decision_function", "predict_proba"), average="micro"
)


def log_target(regressor):
    """Return a regressor of the logarithm."""
    return TransformedTargetRegressor(regressor, func=np.log, inverse_func=np.exp)


@dataclass
class Task:
    """A task: its script, how it is scored, and what its baselines need.

    Attributes
    ----------
    script : str
        Script of docs/examples.
    scoring : dict of str to str or callable
        Names to scorers.
    pixels : estimator
        Learns from rows of small gray images.
    image_shape : tuple of int or None, default=None
        What the default estimator is told.
    photos : bool, default=False
        Whether learned weights of photos are tried.
    learned_shape : tuple of int or None, default=None
        The size that these are given; None: what they recommend, or that of images of one size.
    seeds : int, default=1
        Number of seeds of the networks, for the sets where one says little.
    side : int, default=14
        Pixels of each side of the small gray images.
    wrap : callable, default=identity
        Puts a baseline into what the target needs.
    load, make_estimator : str
        Functions of the script.
    quick : bool, default=False
        Whether few images and one epoch do, to see that all of it runs.
    """

    script: str
    scoring: dict
    pixels: object
    image_shape: tuple | None = None
    photos: bool = False
    learned_shape: tuple | None = None
    seeds: int = 1
    side: int = 14
    wrap: Callable = field(default=lambda estimator: estimator)
    load: str = "load"
    make_estimator: str = "make_estimator"
    quick: bool = False

    @functools.cached_property
    def data(self):
        """What the script loads: read once, for all seeds."""
        return getattr(import_task(self.script), self.load)()

    def read(self, seed):
        """Return training and test images and targets."""
        return self.data

    def contenders(self, seed):
        """Return names to functions that make the estimators."""
        regression = is_regressor(self.pixels)
        ours = CNNRegressor if regression else CNNClassifier
        common = {"image_shape": self.image_shape, "random_state": seed}

        def dummy():
            return self.wrap(DummyRegressor() if regression else DummyClassifier(strategy="prior"))

        def pixels():
            small = ImageReader((self.side, self.side, 1))
            return self.wrap(make_pipeline(FunctionTransformer(gray), small, clone(self.pixels)))

        def textbook():
            network = ConvNet(padding="valid", **TEXTBOOK)
            alone = {"augmentation": None, "weight_decay": 0.0, "lr": 0.001}
            return self.wrap(ours(network, **alone, **common))

        def pretrained(**fine_tuning):
            backbone = make_backbone(**fine_tuning)
            return self.wrap(ours(backbone, image_shape=self.learned_shape, random_state=seed))

        learned = {"pretrained": pretrained, "frozen": lambda: pretrained(freeze=True)}
        script = import_task(self.script)
        if hasattr(script, "make_feature_estimator"):
            learned["features"] = script.make_feature_estimator
        return {
            "dummy": dummy,
            "pixels": pixels,
            "textbook": textbook,
            "default": lambda: self.wrap(ours(**common)),
            **(learned if self.photos else {}),
            "recipe": lambda: self.recipe(seed),
        }

    def is_repeated(self, name):
        """Return whether another seed changes what a contender learns."""
        return name not in ("dummy", "pixels", "features")

    def recipe(self, seed, **arguments):
        """Return the estimator of the script."""
        return getattr(import_task(self.script), self.make_estimator)(
            random_state=seed, **arguments
        )


class Imbalanced(Task):
    """The recipe is the class weight alone."""

    def contenders(self, seed):
        """Return names to functions that make the estimators."""
        unweighted = functools.partial(self.recipe, seed, class_weight=None)
        return {**super().contenders(seed), "recipe without class_weight": unweighted}


class HousePrices(Task):
    """The recipe starts from a network of other photos, which is learned once, untimed."""

    @functools.cached_property
    def source(self):
        """The network that knows other photos."""
        few = {"n_images": QUICK["n_train"], "max_epochs": QUICK["max_epochs"]}
        return import_task(self.script).learn_source(**(few if self.quick else {}))

    def recipe(self, seed, **arguments):
        """Return the estimator of the script, with its source."""
        return super().recipe(seed, source=self.source, **arguments)


class PhotosAndTable(Task):
    """The recipe learns from photos and numbers; beside it, from either alone."""

    def contenders(self, seed):
        """Return names to functions that make the estimators."""
        parts = {"recipe": {}, "recipe without photos": {"photos": False}}
        parts["recipe without table"] = {"table": False}
        side = {"side": 32} if self.quick else {}
        return {
            name: functools.partial(self.recipe, **side, **part) for name, part in parts.items()
        }

    def recipe(self, **arguments):
        """Return the estimator of the script, in which nothing is random."""
        return import_task(self.script).make_estimator(**arguments)


class FineTuning(Task):
    """Few images are drawn for each seed; the recipe starts from a network of other classes."""

    @functools.cached_property
    def source(self):
        """The network that knows the other classes."""
        few = {"max_epochs": QUICK["max_epochs"]} if self.quick else {}
        return import_task(self.script).learn_source(*self.data[4:], **few)

    def read(self, seed):
        """Return training and test images and targets."""
        X, y, X_test, y_test, *_ = self.data
        return *import_task(self.script).draw(X, y, seed), X_test, y_test

    def contenders(self, seed):
        """Return names to functions that make the estimators."""
        network = import_task(self.script).NETWORK
        scratch = functools.partial(super().recipe, seed, architecture=network)
        return {**super().contenders(seed), "recipe from scratch": scratch}

    def is_repeated(self, name):
        """Return True: each seed draws other images."""
        return True

    def recipe(self, seed, **arguments):
        """Return the estimator of the script, with its source."""
        return super().recipe(seed, architecture=Finetuned(self.source), **arguments)


class Maps(Task):
    """A value for each pixel: beside the recipe, a U-Net without any other argument."""

    def contenders(self, seed):
        """Return names to functions that make the estimators."""
        recipe = functools.partial(self.recipe, seed)
        plain = recipe().get_params()
        ignored = {"ignore_label": plain["ignore_label"]} if "ignore_label" in plain else {}
        ours = type(recipe())
        contenders = {
            "default": lambda: ours(UNet(), random_state=seed, **ignored),
            "recipe": recipe,
        }
        if self.photos:
            contenders["pretrained"] = lambda: recipe(encoder=make_backbone())
        return contenders


def delta_1(y, predicted):
    """Return the share of depths within a factor of 1.25."""
    return depth_scores(y, predicted).delta_1


BOOSTED_CLASSES = HistGradientBoostingClassifier(random_state=0)
BOOSTED_NUMBERS = HistGradientBoostingRegressor(random_state=0)
BOOSTED_LABELS = MultiOutputClassifier(BOOSTED_CLASSES)
ERRORS = {"MAE": "neg_mean_absolute_error", "R²": "r2"}
PRICES = {
    "R² of log": make_scorer(import_task("house_prices").log_r2),
    "median error": make_scorer(
        import_task("house_prices").median_relative_error, greater_is_better=False
    ),
}
POINTS = {
    "R²": "r2",
    "distance": make_scorer(import_task("key_points").mean_distance, greater_is_better=False),
}
# scikit-learn scores errors by negative numbers; the table shows them as they are
ERROR_NAMES = {"MAE", "median error", "distance", "log loss", "calibration error"}
ROAD = {
    "mean IoU": make_scorer(mean_iou_score, ignore_label=11),
    "pixel accuracy": make_scorer(pixel_accuracy_score, ignore_label=11),
}
MEMBRANES = {
    "IoU of membranes": make_scorer(mean_iou_score, labels=[0]),
    "pixel accuracy": make_scorer(pixel_accuracy_score),
}
BALANCED = {"balanced accuracy": "balanced_accuracy"}

TASKS = {
    "digits": Task("digits", ACCURACY, BOOSTED_CLASSES),
    "clothing": Task("clothing", ACCURACY, BOOSTED_CLASSES),
    "small_photos": Task(
        "small_photos", ACCURACY, BOOSTED_CLASSES, photos=True, learned_shape=(64, 64)
    ),
    "cats_and_dogs": Task(
        "cats_and_dogs",
        {**ACCURACY, "ROC-AUC": "roc_auc"},
        BOOSTED_CLASSES,
        (96, 96),
        photos=True,
        seeds=3,
    ),
    "age": Task("age", ERRORS, BOOSTED_NUMBERS, (64, 64), photos=True, seeds=3),
    "house_prices": HousePrices(
        "house_prices", PRICES, BOOSTED_NUMBERS, photos=True, seeds=3, side=28, wrap=log_target
    ),
    "photos_and_table": PhotosAndTable("photos_and_table", PRICES, BOOSTED_NUMBERS),
    "key_points": Task("key_points", POINTS, RidgeCV(np.logspace(2, 7, 11)), photos=True, seeds=3),
    "shapes": Task(
        "several_labels", {"micro F1": "f1_micro", "micro AP": PRECISION}, BOOSTED_LABELS
    ),
    "photo_labels": Task(
        "several_labels",
        {"micro AP": PRECISION},
        BOOSTED_LABELS,
        (96, 96),
        photos=True,
        seeds=3,
        load="load_photos",
        make_estimator="make_photo_estimator",
    ),
    "blobs": Task("counting", ERRORS, BOOSTED_NUMBERS),
    "photo_counts": Task(
        "counting",
        ERRORS,
        BOOSTED_NUMBERS,
        (96, 96),
        photos=True,
        seeds=3,
        load="load_photos",
        make_estimator="make_photo_estimator",
    ),
    "road_scenes": Maps("road_scenes", ROAD, None, photos=True),
    "membranes": Maps("membranes", MEMBRANES, None),
    "depth": Maps("depth", {"within 1.25": make_scorer(delta_1)}, None),
    "imbalanced": Imbalanced("imbalanced", BALANCED, BOOSTED_CLASSES, seeds=3),
    "fine_tuning": FineTuning("fine_tuning", ACCURACY, BOOSTED_CLASSES, seeds=10),
}


def quickened(estimator):
    """Return an estimator that learns for a moment only."""
    for name in estimator.get_params():
        argument = name.rpartition("__")[2]
        if argument in QUICK:
            estimator.set_params(**{name: QUICK[argument]})
    return estimator


def measure(task, seed, only, done=()):
    """Fit and score the contenders with one seed; yield name, scores and seconds of fit.

    Those named in `done` are left out.
    """
    X, y, X_test, y_test = task.read(seed)
    if task.quick:
        few, few_tests = (
            np.random.default_rng(seed).permutation(len(of))[:n]
            for of, n in ((y, QUICK["n_train"]), (y_test, QUICK["n_test"]))
        )
        X, y, X_test, y_test = (
            take(part, rows)
            for part, rows in ((X, few), (y, few), (X_test, few_tests), (y_test, few_tests))
        )
    for name, make_estimator in task.contenders(seed).items():
        is_asked_for = not only or name in only
        if name in done or not is_asked_for or (seed > 0 and not task.is_repeated(name)):
            continue
        estimator = make_estimator()
        if task.quick:
            quickened(estimator)
        start = time.perf_counter()
        estimator.fit(X, y)
        seconds = time.perf_counter() - start
        scores = check_scoring(estimator, scoring=task.scoring)(estimator, X_test, y_test)
        yield name, {m: -s if m in ERROR_NAMES else s for m, s in scores.items()}, seconds


def take(part, rows):
    """Return rows of an array or of a pandas Series."""
    return part.iloc[rows] if hasattr(part, "iloc") else part[rows]


def add(row, scores, seconds):
    """Add the measurement of one seed to a row of results."""
    for name, value in {**scores, "seconds": seconds}.items():
        row.setdefault(name, []).append(round(float(value), 4))


def line(task, name, row):
    """Return one line of the table: mean ± standard deviation over the seeds."""
    cells = []
    for metric, values in row.items():
        if metric not in ("seconds", "measured"):
            spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
            cells.append(f"{metric} {np.mean(values):.4f}{spread}")
    seconds = f"{np.mean(row['seconds']):.0f} s"
    day = row.get("measured", {}).get("date", "")
    return f"| {task} | {name} | {', '.join(cells)} | {len(row['seconds'])} | {seconds} | {day} |"


def print_table(results):
    """Print the results as a table of Markdown."""
    print("| task | contender | test scores | seeds | seconds of a fit | day |")
    print("|---|---|---|---|---|---|")
    for task, rows in results.items():
        for name, row in rows.items():
            print(line(task, name, row))


def kept_results():
    """Return the results that are kept: tasks to contenders to figures of each seed."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def store(task, name, row):
    """Put a row into the file of results, over the one of the same name."""
    kept = kept_results()
    threads = {"threads": torch.get_num_threads()}
    kept.setdefault(task, {})[name] = {**row, "measured": {**environment(), **threads}}
    # in the order of the tasks, whenever they were measured
    ordered = {known: kept[known] for known in TASKS if known in kept}
    RESULTS.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")


def main(tasks, only, n_seeds, quick, resume=False):
    """Measure, printing each result as it comes, and keep the results."""
    start = time.perf_counter()
    for task_name in tasks:
        task = TASKS[task_name]
        measured = kept_results().get(task_name, {}) if resume and not quick else {}
        task.quick = quick
        for seed in range(1 if quick else n_seeds or task.seeds):
            done = {name for name, row in measured.items() if len(row["seconds"]) > seed}
            for name, scores, seconds in measure(task, seed, only, done):
                add(measured.setdefault(name, {}), scores, seconds)
                print(line(task_name, name, measured[name]), flush=True)
                if not quick:
                    store(task_name, name, measured[name])
    print(f"In all {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", help=f"of {', '.join(TASKS)}; else all")
    parser.add_argument("--only", nargs="+", default=[], help="names of contenders; else all")
    parser.add_argument("--seeds", type=int, help="number of seeds; else that of the task")
    parser.add_argument("--quick", action="store_true", help="few images and epochs, nothing kept")
    parser.add_argument(
        "--resume", action="store_true", help="measure the seeds that the kept results lack"
    )
    parser.add_argument("--table", action="store_true", help="print the results that are kept")
    arguments = parser.parse_args()
    if unknown := set(arguments.tasks) - set(TASKS):
        parser.error(f"no tasks of these names: {', '.join(unknown)}; there are {', '.join(TASKS)}")
    if unknown := set(arguments.only) - CONTENDERS:
        parser.error(f"no contenders of these names: {', '.join(unknown)}")
    if arguments.table:
        print_table(kept_results())
    else:
        main(
            arguments.tasks or list(TASKS),
            arguments.only,
            arguments.seeds,
            arguments.quick,
            arguments.resume,
        )

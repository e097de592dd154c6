"""How often sets and intervals hold the truth that were asked for 90 %, and how large they are.

    python benchmarks/conformal.py                all, some minutes on one core
    python benchmarks/conformal.py digits houses  those that are named
    python benchmarks/conformal.py --quick        few images, two draws: sees that it runs

Each row is a mean over 20 draws ± their standard deviation:

- digits, from flat rows: a draw has 200 images to fit on, 200 or 800 others to calibrate, 797 to
  test; folds are those of the 200 and 200, in five draws;
- age, from paths of photos of 32 x 32: networks are fitted once, a draw halves the faces of the
  test set into calibration and test; by folds one fit is tested on all of them;
- house prices, from what a frozen network sees on four photos and a table, on the log price: a draw
  has 428 of the 535 houses to learn from and calibrate, 107 to test.

"worst" is the coverage, over all draws, of that class, or third of the true numbers, which is
covered the least. The sets are those of docs/examples/image_sets.py; houses need the packages of
docs/examples/backbones.py.
"""

import argparse
import time
import warnings
from functools import partial

import numpy as np
import pandas as pd
from examples import image_sets, import_task
from mapie.classification import CrossConformalClassifier, SplitConformalClassifier
from mapie.regression import CrossConformalRegressor
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet

guide = import_task("conformal")
LEVEL = guide.LEVEL
N_FOLDS = 5
# Of a draw of the digits: to fit, to calibrate by few and by all, to test.
CUTS = [(0, 200), (200, 400), (200, 1000), (1000, 1797)]


class Table:
    """Coverage and size of what each method gave on each draw.

    Parameters
    ----------
    n_groups : int
        Into how many the images are told apart.
    """

    def __init__(self, n_groups):
        self.n_groups = n_groups
        self._draws = {}

    def add(self, method, hits, sizes, groups):
        """Take in a draw.

        Parameters
        ----------
        method : str
        hits : ndarray of bool of shape (n,)
            Whether the truth of each image is held.
        sizes : ndarray of shape (n,)
        groups : ndarray of int of shape (n,)
            From 0 on.
        """
        counts = [np.bincount(groups, weights, self.n_groups) for weights in (hits, None)]
        draw = (hits.mean(), sizes.mean(), (sizes == 0).mean(), counts)
        self._draws.setdefault(method, []).append(draw)

    def show(self, title):
        """Print a row a method."""
        print(f"\n### {title}\n\n| method | draws | coverage | mean size | empty | worst |")
        print("|---|---|---|---|---|---|")
        for method, draws in self._draws.items():
            coverage, size, empty, counts = (np.array(part) for part in zip(*draws, strict=True))
            n_hits, n_images = counts.sum(axis=0)
            worst = (n_hits / n_images).min()
            print(
                f"| {method} | {len(draws)} | {coverage.mean():.3f} ± {coverage.std():.3f} "
                f"| {size.mean():.2f} ± {size.std():.2f} | {empty.mean():.3f} | {worst:.3f} |",
                flush=True,
            )


def sets_by_class(classifier, X, y):
    """Return a function of the sets where each class is calibrated on its own images."""
    of_class = []
    for label in classifier.classes_:
        mapie = SplitConformalClassifier(classifier, confidence_level=LEVEL, prefit=True)
        with warnings.catch_warnings():
            # that there are fewer labels is meant
            warnings.filterwarnings("ignore", "WARNING: your conformalization dataset has less")
            of_class.append(mapie.conformalize(X[y == label], y[y == label]))
    return lambda images: np.column_stack(
        [mapie.predict_set(images)[1][:, k, 0] for k, mapie in enumerate(of_class)]
    )


def digits(n_draws, quick):
    """Sets of digits, prefit and by folds; class by class."""
    X, y = load_digits(return_X_y=True)
    network = CNNClassifier(max_epochs=1 if quick else 10, random_state=0)
    table, scores = Table(10), []
    for seed in range(n_draws):
        order = np.random.default_rng(seed).permutation(len(X))
        fit, half, calibration, test = (order[a:b] for a, b in CUTS)
        classifier = clone(network).fit(X[fit], y[fit])
        scores.append(classifier.score(X[test], y[test]))
        prefit = {
            "lac": (partial(guide.sets, classifier, "lac"), calibration),
            "aps": (partial(guide.sets, classifier, "aps"), calibration),
            "lac, class by class": (partial(sets_by_class, classifier), calibration),
            "lac, calibrated on 200": (partial(guide.sets, classifier, "lac"), half),
        }
        for method, (conformalize, rows) in prefit.items():
            members = conformalize(X[rows], y[rows])(X[test])
            table.add(method, *guide.of_sets(members, y[test]), y[test])
        if seed > n_draws // 5:
            # five fits more are what a draw costs
            continue
        both = np.concatenate([fit, half])
        folds = CrossConformalClassifier(
            network, confidence_level=LEVEL, cv=N_FOLDS, random_state=seed
        )
        folds.fit_conformalize(X[both], y[both])
        for aggregate in ("mean", "crossval"):
            members = folds.predict_set(X[test], agg_scores=aggregate)[1][:, :, 0]
            method = f'lac, {N_FOLDS} folds of 400, "{aggregate}"'
            table.add(method, *guide.of_sets(members, y[test]), y[test])
    table.show(f"Digits, accuracy {np.mean(scores):.3f}, size in classes")


def age(n_draws, quick):
    """Intervals of ages from paths: of one number, of three quantiles, by folds."""
    sides = image_sets.split(image_sets.load_table("utkface_age"))
    (X, y), (X_test, y_test) = (
        # MAPIE takes no list of paths
        (np.array(table["file"]), table["age"].to_numpy(float))
        for table in sides
    )
    network = CNNRegressor(
        ConvNet((16, 32, 64)),
        image_shape=(32, 32),
        augmentation="flip_crop",
        max_epochs=1 if quick else 12,
        random_state=0,
    )
    regressor = clone(network).fit(X, y)
    quantiles = clone(network).set_params(loss="quantile", quantile=(0.05, 0.5, 0.95)).fit(X, y)
    error = np.abs(regressor.predict(X_test) - y_test).mean()
    methods = {
        "intervals": partial(guide.intervals, regressor),
        "quantiles as they are": lambda *_: lambda images: quantiles.predict(images)[:, [0, 2]],
        "quantiles, conformalized": partial(guide.quantile_intervals, quantiles),
    }
    table, thirds = Table(3), _thirds(y_test)
    with warnings.catch_warnings():
        # MAPIE looks for the number of columns, and paths have none
        warnings.filterwarnings("ignore", "Estimator does not appear fitted")
        for seed in range(n_draws):
            calibration, test = train_test_split(
                np.arange(len(X_test)), test_size=0.5, random_state=seed
            )
            for method, conformalize in methods.items():
                limits = conformalize(X_test[calibration], y_test[calibration])(X_test[test])
                table.add(method, *guide.of_intervals(limits, y_test[test]), thirds[test])
    folds = CrossConformalRegressor(network, confidence_level=LEVEL, cv=N_FOLDS, random_state=0)
    limits = folds.fit_conformalize(X, y).predict_interval(X_test)[1][:, :, 0]
    table.add(f"{N_FOLDS} folds", *guide.of_intervals(limits, y_test), thirds)
    table.show(f"Age, mean absolute error {error:.1f} years, size in years")


def houses(n_draws, quick):
    """Intervals of the log price of houses, from features of photos and a table."""
    task = import_task("photos_and_table")
    (_, seen), (_, search) = task.make_estimator(side=32 if quick else 224).regressor.steps
    seen.set_params(**{f"{photo}__memory": None for photo in task.PHOTOS})
    # one setting out of the middle of the grid: a search a fold would take an hour
    regressor = search.estimator.set_params(memory=None, svr__C=3, svr__gamma=0.01)
    X, y, X_test, y_test = task.load()
    X, y = pd.concat([X, X_test]), np.log(np.concatenate([y, y_test]))
    if quick:
        X, y = X[:40], y[:40]
    # nothing is learned there, so that houses of the test may take part
    X = seen.fit_transform(X)
    table, errors = Table(3), []
    for seed in range(n_draws):
        rows, test = train_test_split(np.arange(len(X)), test_size=0.2, random_state=seed)
        thirds = _thirds(y)[test]
        folds = CrossConformalRegressor(
            regressor, confidence_level=LEVEL, cv=N_FOLDS, random_state=seed
        )
        folds.fit_conformalize(X.iloc[rows], y[rows])
        predicted, limits = folds.predict_interval(X.iloc[test])
        errors.append(np.median(np.abs(np.exp(predicted - y[test]) - 1)))
        table.add(f"{N_FOLDS} folds", *guide.of_intervals(limits[:, :, 0], y[test]), thirds)
        fit, calibration = train_test_split(rows, test_size=0.5, random_state=seed)
        fitted = clone(regressor).fit(X.iloc[fit], y[fit])
        limits = guide.intervals(fitted, X.iloc[calibration], y[calibration])(X.iloc[test])
        table.add("half of the houses held back", *guide.of_intervals(limits, y[test]), thirds)
    table.show(f"House prices, median relative error {np.mean(errors):.1%}, size in the log price")


def _thirds(y):
    """Return 0, 1 or 2: whether a number is among the smallest, the middle or the largest third."""
    return np.searchsorted(np.quantile(y, [1 / 3, 2 / 3]), y)


SETS = {"digits": digits, "age": age, "houses": houses}


def main():
    """Print a table a set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", default=list(SETS), help=f"of {', '.join(SETS)}")
    parser.add_argument("--quick", action="store_true", help="one epoch, two draws")
    arguments = parser.parse_args()
    for name in arguments.sets:
        start = time.process_time()
        SETS[name](2 if arguments.quick else 20, arguments.quick)
        print(f"\n{time.process_time() - start:.0f} s of one core", flush=True)


if __name__ == "__main__":
    main()

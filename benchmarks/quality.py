"""How good the defaults are: our estimators without arguments beside scikit-learn's.

    python benchmarks/quality.py             everything, about 15 minutes on two cores
    python benchmarks/quality.py --quick     without Fashion-MNIST

Fashion-MNIST comes out of the folder that SKLEARN_CNN_DATA names, or else through
torchvision's download.
"""

import argparse
import time

import numpy as np
from examples import drawings, image_sets
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from sklearn_cnn import CNNClassifier, CNNRegressor

CLASSIFIERS = {
    "CNNClassifier": CNNClassifier(random_state=0),
    "SVC(gamma=0.001)": SVC(gamma=0.001),
    "MLPClassifier": make_pipeline(StandardScaler(), MLPClassifier(random_state=0)),
    "HistGradientBoosting": HistGradientBoostingClassifier(random_state=0),
}
REGRESSORS = {
    "CNNRegressor": CNNRegressor(random_state=0),
    "SVR": make_pipeline(StandardScaler(), SVR()),
    "MLPRegressor": make_pipeline(StandardScaler(), MLPRegressor(random_state=0)),
    "HistGradientBoosting": HistGradientBoostingRegressor(random_state=0),
}


def report(task, name, score, start):
    """Print one line of the table."""
    print(f"{task:28} {name:22} {score:8.4f} {time.perf_counter() - start:8.1f} s", flush=True)


def digits():
    """Five-fold accuracy on the digits, flat rows as they come."""
    X, y = load_digits(return_X_y=True)
    for name, classifier in CLASSIFIERS.items():
        start = time.perf_counter()
        report("digits, accuracy", name, cross_val_score(classifier, X, y).mean(), start)
    start = time.perf_counter()
    seeds = [CNNClassifier(random_state=seed) for seed in range(1, 4)]
    scores = [cross_val_score(classifier, X, y).mean() for classifier in seeds]
    report("digits, seeds 1 to 3", "CNNClassifier", np.mean(scores), start)


def drawn():
    """R² of geometry from 2,000 drawn images of 32 x 32, tested on 1,000 others."""
    (bars, angles), (discs, circles) = drawings.draw_bars(3000), drawings.draw_discs(3000)
    targets = {"angle of a bar": (bars, angles)}
    for column, name in enumerate(["radius of a disc", "x of a disc", "y of a disc"]):
        targets[name] = (discs, circles[:, column])
    for task, (X, y) in targets.items():
        rows = X.reshape(len(X), -1)
        for name, regressor in REGRESSORS.items():
            start = time.perf_counter()
            regressor.fit(rows[:2000], y[:2000])
            report(f"{task}, R²", name, regressor.score(rows[2000:], y[2000:]), start)


def fashion():
    """Test accuracy on Fashion-MNIST, all 60,000 training images."""
    X_train, y_train, X_test, y_test = image_sets.load_fashion_mnist()
    start = time.perf_counter()
    classifier = CNNClassifier(random_state=0, verbose=1).fit(X_train, y_train)
    report("Fashion-MNIST, accuracy", "CNNClassifier", classifier.score(X_test, y_test), start)
    start = time.perf_counter()
    boosting = HistGradientBoostingClassifier(random_state=0, max_iter=50)
    boosting.fit(X_train.reshape(60000, -1)[::6], y_train[::6])
    score = boosting.score(X_test.reshape(10000, -1), y_test)
    report("  on every sixth image", "HistGradientBoosting", score, start)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave out Fashion-MNIST")
    arguments = parser.parse_args()
    digits()
    drawn()
    if not arguments.quick:
        fashion()

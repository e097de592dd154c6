"""A grid search over networks beside the same search in plain skorch.

    python benchmarks/grid_search.py                    everything, about ten minutes
    python benchmarks/grid_search.py --runs ours-1 ours-2-cold ours-2-warm
    python benchmarks/grid_search.py --json FILE        also write the figures to FILE

Three networks, two learning rates and three folds make 18 fits of three epochs on 4,000 of
6,000 Fashion-MNIST images, which come out of the folder that SKLEARN_CNN_DATA names, or else
through torchvision's download. Both sides train the same networks in the same batches with
AdamW; each side reads the images as is best for it, uint8 or float32.

"cold" has to start its workers first, which import torch; "warm" finds them running. Workers
of n_jobs=2 on two cores have one thread each. "loop" is a training loop written by hand with
every trick of ours (Adam at a constant rate): what remains is what the steps cost.
"""

import argparse
import json
import os
import threading
import time

import numpy as np
import psutil
import torch
from contenders import TEXTBOOK, TunedLoop
from examples import image_sets
from joblib import parallel_config
from joblib.externals.loky import get_reusable_executor
from side_by_side import Case
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from skorch import NeuralNetClassifier

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet

ARCHITECTURES = [
    ConvNet(),
    ConvNet(residual=False),
    ConvNet(padding="valid", **TEXTBOOK),
]
RATES = [0.001, 0.004]
EPOCHS, BATCH_SIZE, N_IMAGES, N_WARM_UP = 3, 128, 6000, 120
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)


class SkorchNet(torch.nn.Sequential):
    """The network of an architecture, as skorch wants it: a class with parameters."""

    def __init__(self, architecture):
        super().__init__(architecture.build(1, (28, 28), 10))


def ours(X, y, n_jobs):
    """Search with our estimator."""
    classifier = CNNClassifier(
        augmentation=None, max_epochs=EPOCHS, batch_size=BATCH_SIZE, random_state=0
    )
    grid = {"architecture": ARCHITECTURES, "lr": RATES}
    return GridSearchCV(classifier, grid, cv=FOLDS, refit=False, n_jobs=n_jobs).fit(X, y)


def skorch(X, y, n_jobs):
    """Search with plain skorch, on standardized float32 images."""
    images = X[:, np.newaxis].astype(np.float32)
    images = (images - images.mean()) / images.std()
    net = NeuralNetClassifier(
        SkorchNet,
        max_epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        # its default takes the network's outputs for probabilities
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    torch.manual_seed(0)
    grid = {"module__architecture": ARCHITECTURES, "lr": RATES}
    return GridSearchCV(net, grid, cv=FOLDS, refit=False, n_jobs=n_jobs).fit(images, y)


class LoopOverArchitecture(TunedLoop):
    """The tuned loop for the network of an architecture."""

    def __init__(self, architecture, images, labels, lr):
        self.architecture = architecture
        case = Case("search", "of an architecture", images.shape[1:], len(images), BATCH_SIZE)
        super().__init__(case, images, labels, lr)

    def make_network(self):
        network = self.architecture.build(1, (28, 28), 10)
        sample = self.standardized(self.images[:1000])
        self.architecture.initialize(network, lambda: sample)
        return network


class LoopClassifier(ClassifierMixin, BaseEstimator):
    """The tuned loop as an estimator."""

    def __init__(self, architecture=None, lr=0.001):
        self.architecture = architecture
        self.lr = lr

    def fit(self, X, y):
        """Train for `EPOCHS` epochs."""
        self.classes_ = np.unique(y)
        self.loop_ = LoopOverArchitecture(self.architecture, X[..., np.newaxis], y, self.lr)
        self.loop_.fit(EPOCHS)
        return self

    def predict(self, X):
        """Return the most probable classes."""
        return self.classes_[self.loop_.predict(X[..., np.newaxis]).argmax(axis=1)]


def loop(X, y, n_jobs):
    """Search with the tuned loop."""
    torch.manual_seed(0)
    grid = {"architecture": ARCHITECTURES, "lr": RATES}
    return GridSearchCV(LoopClassifier(), grid, cv=FOLDS, refit=False, n_jobs=n_jobs).fit(X, y)


def one_thread(X, y, n_jobs):
    """Search with our estimator in this process, with as many threads as a worker has."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return ours(X, y, n_jobs)
    finally:
        torch.set_num_threads(n_threads)


# name: (what to run, n_jobs, whether workers are to be started first)
RUNS = {
    "ours-1": (ours, 1, False),
    "ours-1-one-thread": (one_thread, 1, False),
    "ours-2-cold": (ours, 2, True),
    "ours-2-warm": (ours, 2, False),
    "skorch-1": (skorch, 1, False),
    "skorch-2-cold": (skorch, 2, True),
    "skorch-2-warm": (skorch, 2, False),
    "loop-2-warm": (loop, 2, False),
}


class WorkerMemory(threading.Thread):
    """Watches how much memory of its own any one worker has at most, in MiB."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak = 0.0
        self.finished = threading.Event()

    def run(self):
        """Look at all child processes ten times a second."""
        while not self.finished.wait(0.1):
            for child in psutil.Process().children(recursive=True):
                try:
                    memory = child.memory_info()
                except psutil.Error:
                    continue  # it has just ended
                # what is shared, as memory-mapped arrays are, does not count
                self.peak = max(self.peak, (memory.rss - memory.shared) / 2**20)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.finished.set()
        self.join()


def cpu_seconds():
    """Return the processor time of this process and its workers up to now."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    times = [process.cpu_times() for process in processes]
    return sum(t.user + t.system for t in times)


def timed(name, X, y):
    """Run one of RUNS; return seconds, peak memory of a worker and all scores."""
    search, n_jobs, cold = RUNS[name]
    if cold:
        get_reusable_executor().shutdown(wait=True)
    elif n_jobs > 1:
        # after it the workers run, and have imported what they need
        search(X[:N_WARM_UP], y[:N_WARM_UP], n_jobs)
    with WorkerMemory() as memory:
        start, cpu_start = time.perf_counter(), cpu_seconds()
        results = search(X, y, n_jobs).cv_results_
        seconds, cpu = time.perf_counter() - start, cpu_seconds() - cpu_start
    folds = [results[f"split{fold}_test_score"].tolist() for fold in range(FOLDS.n_splits)]
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "worker_mib": memory.peak if n_jobs > 1 else 0.0,
        "scores": folds,
    }


def memory_of_data(X, y):
    """Return by how much workers grow with ten times the data, as a share of that data."""
    figures = []
    for images, labels in ((X[: len(X) // 10], y[: len(X) // 10]), (X, y)):
        get_reusable_executor().shutdown(wait=True)
        classifier = CNNClassifier(ConvNet((2,), residual=False), max_epochs=1, random_state=0)
        with WorkerMemory() as memory, parallel_config(n_jobs=2):
            GridSearchCV(classifier, {"lr": [0.001]}, cv=FOLDS, refit=False).fit(images, labels)
        figures.append(memory.peak)
    grown = figures[1] - figures[0]
    return {"worker_mib": figures, "share": grown * 2**20 / (0.9 * X.nbytes)}


def main():
    """Print one table, and check that scores do not depend on n_jobs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", nargs="+", choices=[*RUNS, "memory"], default=[*RUNS, "memory"])
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()
    X_all, y_all, _, _ = image_sets.load_fashion_mnist()
    X, y = X_all[:N_IMAGES], y_all[:N_IMAGES]
    print(f"{os.cpu_count()} cores, torch {torch.__version__}, {N_IMAGES} images")
    print(f"{'run':20} {'seconds':>8} {'of CPU':>8} {'best score':>11} {'MiB of a worker':>16}")
    figures = {}
    for name in arguments.runs:
        if name == "memory":
            figures[name] = memory_of_data(X_all, y_all)
            continue
        found = figures[name] = timed(name, X, y)
        best = np.mean(found["scores"], axis=0).max()
        print(
            f"{name:20} {found['seconds']:8.1f} {found['cpu_seconds']:8.1f} {best:11.4f} "
            f"{found['worker_mib']:16.0f}",
            flush=True,
        )
    if "memory" in figures:
        print(f"a worker grows by {figures['memory']['share']:.2f} of the data")
    if {"ours-1-one-thread", "ours-2-warm"} <= set(figures):
        same = figures["ours-1-one-thread"]["scores"] == figures["ours-2-warm"]["scores"]
        assert same, "scores of n_jobs=1 and n_jobs=2 differ at one thread"
        print("n_jobs=1 and n_jobs=2 agree at one thread, bit for bit")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()

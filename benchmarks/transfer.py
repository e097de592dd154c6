"""What learned weights are worth: fine-tuning against training from scratch.

    python benchmarks/transfer.py            pullover or coat: about two minutes on two cores
    python benchmarks/transfer.py shirts     T-shirt or shirt

A network learns eight classes of Fashion-MNIST. The other two, which are hard to tell apart,
are then learned from 50 images each: by the same architecture from scratch, and by fine-tuning
in several ways. Ten draws of the images; the test images of the two classes are the same.

Fashion-MNIST comes out of the folder that SKLEARN_CNN_DATA names, or else through
torchvision's download.
"""

import argparse
import time

import numpy as np
from image_sets import load_fashion_mnist
from sklearn.frozen import FrozenEstimator

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet, Finetuned

PAIRS = {"coats": ("pullover or coat", (2, 4)), "shirts": ("T-shirt or shirt", (0, 6))}
NETWORK = ConvNet((16, 32, 64))
N_SOURCE, N_A_CLASS, N_SEEDS = 24_000, 50, 10


def learn_the_others(X, y, pair):
    """Return a network frozen after it learned the classes that are not of the pair."""
    rows = np.flatnonzero(~np.isin(y, pair))[:N_SOURCE]
    source = CNNClassifier(NETWORK, max_epochs=3, random_state=0)
    return FrozenEstimator(source.fit(X[rows], y[rows]))


def candidates(source):
    """Return what is compared: names to architectures."""
    return {
        "from scratch": NETWORK,
        "all layers, trunk at a tenth of the rate": Finetuned(source),
        "new last layer alone": Finetuned(source, freeze=True),
        "the same, all layers after half of the epochs": Finetuned(
            source, freeze=True, unfreeze_after=10
        ),
    }


def draw(y, pair, seed):
    """Return the rows of 50 images of each class of the pair."""
    rng = np.random.default_rng(seed)
    of_class = [rng.choice(np.flatnonzero(y == label), N_A_CLASS, replace=False) for label in pair]
    return np.concatenate(of_class)


def compare(task, pair, data):
    """Print the test accuracies of one pair of classes."""
    X, y, X_test, y_test = data
    start = time.perf_counter()
    source = learn_the_others(X, y, pair)
    print(f"{task}: source learned in {time.perf_counter() - start:.0f} s", flush=True)
    tested = np.isin(y_test, pair)
    scores = {}
    for name, architecture in candidates(source).items():
        start = time.perf_counter()
        scores[name] = []
        for seed in range(N_SEEDS):
            rows = draw(y, pair, seed)
            classifier = CNNClassifier(architecture, random_state=seed).fit(X[rows], y[rows])
            scores[name].append(classifier.score(X_test[tested], y_test[tested]))
        gain = np.subtract(scores[name], scores["from scratch"])
        print(
            f"  {name:46} {np.mean(scores[name]):.3f} ± {np.std(scores[name], ddof=1):.3f}"
            f"   better by {gain.mean():+.3f}, for {(gain > 0).sum():2} of {N_SEEDS} seeds"
            f"   {time.perf_counter() - start:5.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pair", nargs="?", choices=PAIRS, default="coats")
    compare(*PAIRS[parser.parse_args().pair], load_fashion_mnist())

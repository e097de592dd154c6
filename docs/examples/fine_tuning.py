"""
Fine-tuning
===========

Two kinds of clothes from 50 images each, by a network that knows eight others.

Run it with `python docs/examples/fine_tuning.py`; it needs `pip install "sklearn-cnn[plots]"`.
"""

import image_sets
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.frozen import FrozenEstimator

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet, Finetuned

NETWORK = ConvNet((16, 32, 64))
PULLOVER, COAT = 2, 4


def load():
    """Return images and labels of the pullovers and coats, and of the other clothes."""
    X, y, X_test, y_test = image_sets.load_fashion_mnist()
    rare, tested = np.isin(y, (PULLOVER, COAT)), np.isin(y_test, (PULLOVER, COAT))
    return X[rare], y[rare], X_test[tested], y_test[tested], X[~rare][:24000], y[~rare][:24000]


def learn_source(X, y, max_epochs=3):
    """Return a classifier of the other clothes, frozen: a bare one would be cloned untrained."""
    return FrozenEstimator(CNNClassifier(NETWORK, max_epochs=max_epochs, random_state=0).fit(X, y))


def make_estimator(architecture, max_epochs=20, random_state=0):
    """Return a classifier, of `NETWORK` from scratch or of `Finetuned(source)`."""
    return CNNClassifier(architecture, max_epochs=max_epochs, random_state=random_state)


def draw(X, y, random_state=0, n_a_class=50):
    """Return a few images of each class."""
    rng = np.random.default_rng(random_state)
    rows = [rng.choice(np.flatnonzero(y == k), n_a_class, replace=False) for k in (PULLOVER, COAT)]
    return X[np.concatenate(rows)], y[np.concatenate(rows)]


def main(n_images=None, max_epochs=20, n_draws=10):
    """Compare both over ten draws of the 100 images."""
    X, y, X_test, y_test, X_others, y_others = load()
    source = learn_source(X_others[:n_images], y_others[:n_images])
    scores = np.empty((n_draws, 2))
    for seed in range(n_draws):
        for column, architecture in enumerate((NETWORK, Finetuned(source))):
            classifier = make_estimator(architecture, max_epochs, random_state=seed)
            scores[seed, column] = classifier.fit(*draw(X, y, seed)).score(X_test, y_test)
    scratch, finetuned = scores.T
    print(f"From scratch: accuracy {scratch.mean():.3f} ± {scratch.std(ddof=1):.3f}")
    print(f"Fine-tuned:   accuracy {finetuned.mean():.3f} ± {finetuned.std(ddof=1):.3f}")
    print(f"Fine-tuned is better in {(finetuned > scratch).sum()} of {n_draws} draws")

    _, axes = plt.subplots(figsize=(4, 4), layout="constrained")
    axes.plot(["from scratch", "fine-tuned"], scores.T, "o-", color="tab:blue", alpha=0.6)
    axes.set(ylabel="accuracy, a line a draw of 100 images")
    axes.figure.savefig("fine_tuning.png", dpi=120)


if __name__ == "__main__":
    main()

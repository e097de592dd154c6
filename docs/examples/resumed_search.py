"""
A search that goes on
=====================

It is interrupted, and run again: fits that are done are loaded, not done again.

Run it with `python docs/examples/resumed_search.py`; it takes about half a minute. Stop it
with Ctrl-C, or kill it, and run it again: it goes on where it stopped. The folder
`search_cache` keeps the fits; delete it to start anew.
"""

import time

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.model_selection import CachedEstimator


def main(n_images=1797, max_epochs=3):
    """Search twice; the second search finds all fits done."""
    X, y = load_digits(return_X_y=True)
    cached = CachedEstimator(
        CNNClassifier(max_epochs=max_epochs, random_state=0), memory="search_cache"
    )
    search = GridSearchCV(
        cached,
        {
            "estimator__architecture": [ConvNet((16, 32)), ConvNet((32, 64))],
            "estimator__lr": [0.001, 0.005],
        },
        cv=3,
        n_jobs=2,
    )
    for _ in range(2):
        start = time.perf_counter()
        search.fit(X[:n_images], y[:n_images])
        seconds = time.perf_counter() - start
        print(f"Accuracy {search.best_score_:.4f} with {search.best_params_} in {seconds:.1f} s")


if __name__ == "__main__":
    main()

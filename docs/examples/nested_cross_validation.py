"""
Nested cross-validation
=======================

What accuracy a search leads to on images that it never saw.

The best score of a search is too good, since the best of many scores is chosen. Here the inner
folds choose the candidate and the outer folds, which the search does not see, judge it.

Run it with `python docs/examples/nested_cross_validation.py`; it takes about a minute.
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet


def main(n_images=1797, max_epochs=3):
    """Run a search inside each of three outer folds."""
    X, y = load_digits(return_X_y=True)
    inner, outer = (StratifiedKFold(3, shuffle=True, random_state=seed) for seed in (0, 1))
    search = GridSearchCV(
        CNNClassifier(max_epochs=max_epochs, random_state=0),
        {"architecture": [ConvNet((16, 32)), ConvNet((32, 64))], "lr": [0.001, 0.005]},
        cv=inner,
    )
    # the outer folds run in parallel, each with a whole search in it
    result = cross_validate(
        search, X[:n_images], y[:n_images], cv=outer, n_jobs=2, return_estimator=True
    )
    for found, score in zip(result["estimator"], result["test_score"], strict=True):
        print(f"inner {found.best_score_:.4f}, outer {score:.4f}: {found.best_params_}")
    scores = result["test_score"]
    print(f"Accuracy of the whole procedure: {scores.mean():.4f} ± {scores.std():.4f}")


if __name__ == "__main__":
    main()

"""
Successive halving
==================

Many candidates train for few epochs, the better ones for more.

Run it with `python docs/examples/halving_search.py`; it takes about a minute.
"""

from sklearn.datasets import load_digits
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet


def main(n_images=1797, max_epochs=9):
    """Search with a rising number of epochs, and print each round."""
    X, y = load_digits(return_X_y=True)
    search = HalvingGridSearchCV(
        CNNClassifier(random_state=0),
        {
            "architecture": [ConvNet((16, 32)), ConvNet((32, 64, 128)), ConvNet(residual=False)],
            "lr": [0.0003, 0.001, 0.005],
        },
        resource="max_epochs",
        # what has trained for one epoch says little about nine
        min_resources=max(1, max_epochs // 3),
        max_resources=max_epochs,
        factor=3,
        cv=3,
        n_jobs=2,
    )
    search.fit(X[:n_images], y[:n_images])
    results = search.cv_results_
    print("round  epochs  accuracy  candidate")
    for number, epochs, score, params in zip(
        results["iter"],
        results["n_resources"],
        results["mean_test_score"],
        results["params"],
        strict=True,
    ):
        shown = {name: value for name, value in params.items() if name != "max_epochs"}
        print(f"{number:5}  {epochs:6}  {score:8.4f}  {shown}")
    print(f"Best: {search.best_params_}, accuracy {search.best_score_:.4f}")


if __name__ == "__main__":
    main()

"""
A search over architectures
===========================

A grid search, with a table and a figure of the results.

Run it with `python docs/examples/architecture_search.py`; it needs
`pip install "sklearn-cnn[plots]" pandas` and takes about a minute.
"""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet


def main(n_images=1797, max_epochs=5):
    """Search, print the table and draw the figure."""
    X, y = load_digits(return_X_y=True)
    # one grid an architecture: a parameter may be asked of those alone that have it
    widths = {"architecture__widths": [(16, 32), (32, 64, 128)]}
    search = GridSearchCV(
        CNNClassifier(max_epochs=max_epochs, random_state=0),
        [
            {"architecture": [ConvNet()], "lr": [0.001, 0.005], **widths},
            {"architecture": [ConvNet(residual=False)], "lr": [0.001, 0.005], **widths},
        ],
        cv=3,
        n_jobs=2,
    )
    search.fit(X[:n_images], y[:n_images])
    results = table(search)
    print(results.to_string(index=False, float_format="{:.4f}".format))
    plot(results, "architecture_search.png")


def table(search):
    """Return the results as a frame with one row a candidate, the best first."""
    results = pd.DataFrame(search.cv_results_)
    frame = pd.DataFrame(
        {
            "network": [
                "residual" if architecture.residual else "plain"
                for architecture in results["param_architecture"]
            ],
            "widths": results["param_architecture__widths"].astype(str),
            "lr": results["param_lr"].astype(float),
            "accuracy": results["mean_test_score"],
            "std": results["std_test_score"],
            "seconds a fit": results["mean_fit_time"],
        }
    )
    return frame.sort_values("accuracy", ascending=False)


def plot(results, path):
    """Draw accuracy and its spread over the folds for each network, and save the figure."""
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for offset, (lr, group) in zip((-0.1, 0.1), results.sort_index().groupby("lr"), strict=True):
        positions = np.arange(len(group)) + offset
        axes.errorbar(
            positions, group["accuracy"], yerr=group["std"], fmt="o", capsize=3, label=f"lr={lr:g}"
        )
    names = [f"{row.network}\n{row.widths}" for row in group.itertuples()]
    axes.set(xticks=range(len(names)), xticklabels=names, ylabel="accuracy in 3 folds")
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
    print(f"Figure: {path}")


if __name__ == "__main__":
    main()

"""
Quick start
===========

Digits in two minutes: cross-validation, a search over architectures, a report, a figure.

Run it with `python docs/examples/quickstart.py`; it needs `pip install "sklearn-cnn[plots]"`.
"""

import matplotlib

matplotlib.use("Agg")

from sklearn.datasets import load_digits
from sklearn.metrics import classification_report
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.plots import TrainingCurveDisplay


def main():
    """Run the example."""
    X, y = load_digits(return_X_y=True)  # flat rows of 64 pixels work as they are

    scores = cross_val_score(CNNClassifier(random_state=0), X, y)
    print(f"Accuracy in five folds: {scores.mean():.3f} ± {scores.std():.3f}\n")

    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    search = GridSearchCV(
        CNNClassifier(max_epochs=5, random_state=0),
        [
            {"architecture": [ConvNet()], "architecture__widths": [(16, 32), (32, 64, 128)]},
            {"architecture": [ConvNet(residual=False)], "lr": [0.001, 0.005]},
        ],
        cv=3,
    )
    search.fit(X_train, y_train)
    for params, score in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        print(f"{score:.3f}  {params}")
    print(f"Best: {search.best_params_}\n")

    # the best one once more, with a validation set to watch it learn
    best = search.best_estimator_.set_params(max_epochs=20)
    best.fit(X_train, y_train, X_val=X_test, y_val=y_test)
    print(classification_report(y_test, best.predict(X_test)))
    display = TrainingCurveDisplay.from_estimator(best, loss_scale="log")
    display.figure_.savefig("learning_curve.png", dpi=120)
    print("Figure: learning_curve.png")


if __name__ == "__main__":
    main()

"""
A search by Optuna
==================

Optuna chooses the next candidate by the scores of the earlier ones.

Run it with `python docs/examples/optuna_search.py`; it needs `pip install "sklearn-cnn[optuna]"`
and takes about a minute.
"""

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna_integration import OptunaSearchCV
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet

# Optuna's choices are numbers and names; these stand for the widths.
WIDTHS = {"small": (16, 32), "large": (32, 64, 128)}


def main(n_images=1797, max_epochs=3, n_trials=6):
    """Search by Optuna's own functions, then through its search class for scikit-learn."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:n_images], y[:n_images]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = search_by_functions(X, y, max_epochs, n_trials)
    print(f"Study:          accuracy {study.best_value:.4f} with {study.best_params}")
    search = search_by_class(X, y, max_epochs, n_trials)
    print(f"OptunaSearchCV: accuracy {search.best_score_:.4f} with {search.best_params_}")


def search_by_functions(X, y, max_epochs, n_trials):
    """Return a study of networks and learning rates."""

    def objective(trial):
        classifier = CNNClassifier(
            ConvNet(
                widths=WIDTHS[trial.suggest_categorical("widths", list(WIDTHS))],
                dropout=trial.suggest_float("dropout", 0.0, 0.4),
            ),
            lr=trial.suggest_float("lr", 3e-4, 3e-2, log=True),
            max_epochs=max_epochs,
            random_state=0,
        )
        return cross_val_score(classifier, X, y, cv=3, n_jobs=2).mean()

    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=3)
    )
    study.optimize(objective, n_trials=n_trials)
    return study


def search_by_class(X, y, max_epochs, n_trials):
    """Return a fitted search, which is an estimator as `GridSearchCV` is."""
    search = OptunaSearchCV(
        CNNClassifier(ConvNet((16, 32)), max_epochs=max_epochs, random_state=0),
        {
            "lr": FloatDistribution(3e-4, 3e-2, log=True),
            "architecture__residual": CategoricalDistribution([True, False]),
        },
        n_trials=n_trials,
        cv=3,
        random_state=0,
    )
    return search.fit(X, y)


if __name__ == "__main__":
    main()

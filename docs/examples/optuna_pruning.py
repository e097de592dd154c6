"""
Optuna, and trials that end early
=================================

Those that fall behind while they train: by a callback, and by a loop of your own.

Run it with `python docs/examples/optuna_pruning.py`; it needs `pip install "sklearn-cnn[optuna]"`
and takes about a minute.
"""

import optuna
from optuna.trial import TrialState
from optuna_integration import SkorchPruningCallback
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_cnn import CNNClassifier, ConvNet


def main(n_images=600, max_epochs=6, n_trials=8):
    """Search in both ways, and say how many trials were pruned."""
    X, y = load_digits(return_X_y=True)
    parts = train_test_split(
        X[:n_images], y[:n_images], test_size=0.3, stratify=y[:n_images], random_state=0
    )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for way in (by_a_callback, by_a_loop):
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.RandomSampler(seed=0),
            # below the median of the earlier trials at the same epoch
            pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1),
        )
        study.optimize(way(*parts, max_epochs), n_trials=n_trials)
        n_pruned = len(study.get_trials(states=[TrialState.PRUNED]))
        print(
            f"{way.__name__}: pruned {n_pruned} of {n_trials} trials, accuracy "
            f"{study.best_value:.4f} with {study.best_params}"
        )


def chosen(trial):
    """Return the parameters that a trial is to try."""
    return {"lr": trial.suggest_float("lr", 1e-5, 3e-2, log=True)}


def by_a_callback(X, X_val, y, y_val, max_epochs):
    """Return an objective whose `fit` tells the trial of each epoch, and ends when it is told to.

    The learning rate goes up and down, so epochs compare to the same epochs of other trials.
    """

    def objective(trial):
        classifier = CNNClassifier(
            ConvNet((8, 16)),
            max_epochs=max_epochs,
            callbacks=[SkorchPruningCallback(trial, "valid_score")],
            random_state=0,
            **chosen(trial),
        )
        classifier.fit(X, y, X_val=X_val, y_val=y_val)
        return classifier.validation_scores_[-1]

    return objective


def by_a_loop(X, X_val, y, y_val, max_epochs):
    """Return an objective that trains epoch by epoch, at a constant rate."""

    def objective(trial):
        classifier = CNNClassifier(ConvNet((8, 16)), random_state=0, **chosen(trial))
        for epoch in range(max_epochs):
            classifier.partial_fit(X, y, classes=range(10))
            score = classifier.score(X_val, y_val)
            trial.report(score, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return score

    return objective


if __name__ == "__main__":
    main()

"""Networks that are fitted in a moment."""

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet


def network(estimator=CNNClassifier, **params):
    """Return an estimator with one narrow stage and two epochs."""
    params = {"max_epochs": 2, "batch_size": 16, "random_state": 0, **params}
    return estimator(ConvNet((4,)), **params)


def fitted_with_scores(X, y):
    """Return a classifier that was fitted, and scored after each epoch on the first 20 images."""
    return network().fit(X, y, X_val=X[:20], y_val=y[:20])

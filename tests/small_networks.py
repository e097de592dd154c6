"""Networks that are fitted in a moment."""

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet


def network(estimator=CNNClassifier, **params):
    """Return an estimator with one narrow stage and two epochs."""
    params = {"max_epochs": 2, "batch_size": 16, "random_state": 0, **params}
    return estimator(ConvNet((4,)), **params)

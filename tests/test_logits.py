"""A network that returns anything but logits of the batch is refused, whenever it does."""

import numpy as np
import pytest
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (40, 8, 8), dtype=np.uint8)
Y = np.arange(40) % 2


class Dense(nn.Module):
    """One layer; what it returns is bent by subclasses."""

    def __init__(self, in_channels, n_outputs, image_size):
        super().__init__()
        height, width = image_size
        self.dense = nn.Linear(height * width * in_channels, n_outputs)

    def forward(self, images):
        return self.bend(self.dense(images.flatten(1)))

    def bend(self, logits):
        return logits


class VectorInTraining(Dense):
    def bend(self, logits):
        return logits[:, 0] if self.training else logits


class WiderInTraining(Dense):
    def bend(self, logits):
        return logits.repeat(1, 4) if self.training else logits


class AuxiliaryInTraining(Dense):
    def bend(self, logits):
        return (logits, logits) if self.training else logits


class OneForAll(Dense):
    def bend(self, logits):
        return logits.mean(dim=0, keepdim=True)


class Squeezed(Dense):
    def bend(self, logits):
        return logits.squeeze()


class VectorInLargeBatches(Dense):
    def bend(self, logits):
        return logits[:, 0] if len(logits) > 30 else logits


@pytest.mark.parametrize("estimator", [CNNClassifier, CNNRegressor])
@pytest.mark.parametrize(
    ("network", "found"),
    [
        (VectorInTraining, r"\(8,\)"),
        (WiderInTraining, r"\(8, [48]\)"),
        (AuxiliaryInTraining, "tuple"),
        (OneForAll, r"\(1, [12]\)"),
    ],
)
def test_other_outputs_are_refused_before_they_are_learned_from(estimator, network, found):
    unfitted = estimator(network, batch_size=8, max_epochs=1, random_state=0)
    with pytest.raises(ValueError, match=f"logits of shape .*, got {found}"):
        unfitted.fit(X, Y)
    assert not hasattr(unfitted, "net_")


def test_a_dimension_that_is_lost_is_missed_in_fit():
    with pytest.raises(ValueError, match=r"a batch of 2, .* logits of shape \(2, 1\), got \(2,\)"):
        CNNRegressor(Squeezed, max_epochs=1).fit(X, Y)
    # smaller ones never go through the network alone
    large = RNG.integers(0, 256, (10, 64, 64), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"a batch of 1, .* logits of shape \(1, 2\), got \(2,\)"):
        CNNClassifier(Squeezed, max_epochs=1).fit(large, Y[:10])


def test_other_outputs_in_prediction_are_refused():
    fitted = CNNRegressor(VectorInLargeBatches, batch_size=8, max_epochs=1).fit(X, Y)
    with pytest.raises(ValueError, match=r"a batch of 40, .* got \(40,\)"):
        fitted.predict(X)

"""Training goes on when the device's memory ends, with the gradient of the whole batch."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from torch import nn

from sklearn_cnn import Augmentation, CNNClassifier
from sklearn_cnn.architectures import TorchModule
from sklearn_cnn.losses import WeightedLoss
from sklearn_cnn.training.gradient_accumulation import GradientAccumulation


class Narrow(nn.Sequential):
    """A network on a device with room for a few images at a time in training."""

    def __init__(self, in_channels, image_size, num_classes, room=1000):
        super().__init__(nn.Flatten(), nn.Linear(in_channels * 64, num_classes))
        self.room = room
        self.seen = []

    def forward(self, images):
        if self.training:
            self.seen.append(len(images))
            if len(images) > self.room:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return super().forward(images)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (48, 8, 8), dtype=np.uint8), np.arange(48) % 2


def classifier(room, **params):
    architecture = TorchModule(Narrow, room=room)
    params = {"max_epochs": 2, "batch_size": 16, "random_state": 0, **params}
    return CNNClassifier(architecture, **params)


def gradient_of(n_parts, weights):
    torch.manual_seed(0)
    layer, loss = nn.Linear(5, 3), WeightedLoss(nn.CrossEntropyLoss())
    batch = (torch.randn(13, 5), torch.arange(13) % 3, weights)
    total = 0.0
    for (images, targets, part_weights), share in GradientAccumulation(n_parts).parts(batch):
        value = loss(layer(images), targets, part_weights) * share
        value.backward()
        total += value.item()
    return torch.tensor(total), layer.weight.grad


@pytest.mark.parametrize("weights", [None, torch.linspace(0.1, 2, 13)])
@pytest.mark.parametrize("n_parts", [2, 4])
def test_parts_add_up_to_the_gradient_of_the_whole_batch(n_parts, weights):
    torch.testing.assert_close(gradient_of(n_parts, weights), gradient_of(1, weights))


@pytest.mark.parametrize(
    ("n_images", "sizes"), [(16, [4, 4, 4, 4]), (13, [4, 3, 3, 3]), (5, [3, 2]), (3, [3]), (1, [1])]
)
def test_parts_hold_two_images_at_least(n_images, sizes):
    batch = torch.zeros(n_images, 5), torch.arange(n_images), None
    parts = GradientAccumulation(4).parts(batch)
    assert [len(images) for (images, _, _), _ in parts] == sizes
    assert [share for _, share in parts] == [size / n_images for size in sizes]
    assert torch.equal(torch.cat([targets for (_, targets, _), _ in parts]), batch[1])


def test_memory_that_ends_halves_the_batch_and_changes_no_result(images):
    plain = classifier(room=1000).fit(*images)
    with pytest.warns(UserWarning, match=r"memory with 16 images.*Set batch_size=8"):
        halved = classifier(room=8).fit(*images)
    seen = halved.module_[1].seen
    # one attempt that fails, then halves from there on
    assert seen == [16] + [8] * 12
    assert halved.loss_curve_ == pytest.approx(plain.loss_curve_, rel=1e-5)
    np.testing.assert_allclose(
        halved.predict_proba(images[0]), plain.predict_proba(images[0]), rtol=1e-4
    )


def test_memory_may_end_more_than_once(images):
    with pytest.warns(UserWarning, match="ran out of the device's memory") as caught:
        fitted = classifier(room=5).fit(*images)
    assert [str(w.message).partition("Set ")[2] for w in caught] == [
        f"batch_size={size} to take smaller steps instead." for size in (8, 4)
    ]
    assert set(fitted.module_[1].seen[2:]) == {4}


def test_memory_for_less_than_two_images_is_an_error_that_a_search_survives(images):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(MemoryError, match=r"2 images at a time.*smaller architecture"):
            classifier(room=1).fit(*images)
        search = GridSearchCV(
            classifier(room=1), {"architecture__room": [1, 1000]}, cv=2, error_score=0.0
        ).fit(*images)
    assert search.best_params_ == {"architecture__room": 1000}


def test_mixed_targets_are_taken_in_parts_too(images):
    params = {"augmentation": Augmentation(mixup=0.4), "max_epochs": 1, "lr": 1e-9}
    whole = classifier(16, **params).fit(*images)
    with pytest.warns(UserWarning, match="batch_size=8"):
        halved = classifier(8, **params).fit(*images)
    assert halved.loss_curve_ == pytest.approx(whole.loss_curve_, rel=1e-5)

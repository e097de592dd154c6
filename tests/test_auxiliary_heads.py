"""Networks that return {"out": logits, "aux": logits of another head} in training."""

import copy
import functools

import numpy as np
import pytest
import torch
from drawn_pixels import shapes
from sklearn.frozen import FrozenEstimator
from torch import nn
from torch.nn import functional

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import Finetuned, TorchModule
from sklearn_cnn.losses import DiceAndLogLoss, DiceLoss, FocalLoss

X, MASKS = shapes(8)
IGNORED = MASKS.copy()
IGNORED[:, :2] = 255
WEIGHTS = np.linspace(0.25, 1.75, 8)
CLASS_WEIGHTS = {0: 0.5, 1: 2.0, 2: 3.0}
DEPTHS = X / np.float32(10)
DEPTHS[:, 0] = np.nan


class TwoHeads(nn.Module):
    """A convolution, and two heads on its maps or their mean."""

    def __init__(self, in_channels, num_classes, pools=False, room=1000):
        super().__init__()
        self.trunk = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.aux = nn.Conv2d(4, num_classes, 1)
        self.head = nn.Conv2d(4, num_classes, 1)
        self.pools, self.room = pools, room

    def forward(self, images):
        if self.training and len(images) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        maps = torch.relu(self.trunk(images))
        if self.pools:
            maps = maps.mean(dim=(2, 3), keepdim=True)
        out = self._logits(self.head, maps)
        return {"out": out, "aux": self._logits(self.aux, maps)} if self.training else out

    def _logits(self, head, maps):
        return head(maps).flatten(1) if self.pools else head(maps)


def network(n_outputs=3, **params):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TwoHeads(1, n_outputs, **params)


def estimator(kind=CNNClassifier, architecture=None, **params):
    """Return an estimator that takes a step an epoch, of plain gradient descent."""
    given = {"optimizer": torch.optim.SGD, "lr": 0.5, "lr_schedule": "constant", "max_epochs": 2}
    given |= {"weight_decay": 0.0, "batch_size": 8, "precision": "float32", "random_state": 0}
    return kind(network() if architecture is None else architecture, **{**given, **params})


def by_hand(fitted, start, loss, n_steps=2):
    """Take the steps of `estimator` in a loop of torch's, and return the module."""
    module = nn.Sequential(fitted.module_.standardize, copy.deepcopy(start)).train()
    optimizer = torch.optim.SGD(module[1].parameters(), lr=0.5)
    for _ in range(n_steps):
        optimizer.zero_grad()
        outputs = module(torch.from_numpy(X)[:, None])
        (loss(outputs["out"]) + 0.5 * loss(outputs["aux"])).backward()
        optimizer.step()
    return module


def assert_same_weights(first, second):
    first, second = first.state_dict(), second.state_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-4, atol=1e-6)


def of_masks(loss, masks=MASKS):
    target = torch.from_numpy(np.where(masks == 255, -100, masks.astype(np.int64)))
    return lambda logits: loss(logits, target)


def of_weighted_pixels(logits):
    losses = functional.cross_entropy(logits, torch.from_numpy(MASKS).long(), reduction="none")
    of_pixels = torch.tensor(list(CLASS_WEIGHTS.values()))[torch.from_numpy(MASKS).long()]
    weights = of_pixels / of_pixels.mean() * torch.from_numpy(WEIGHTS).float()[:, None, None]
    return (losses * weights).mean()


@pytest.mark.parametrize(
    ("params", "masks", "loss"),
    [
        ({}, MASKS, of_masks(functional.cross_entropy)),
        ({"ignore_label": 255}, IGNORED, of_masks(functional.cross_entropy, IGNORED)),
        ({"loss": "dice"}, MASKS, of_masks(DiceLoss())),
        ({"loss": "dice+log_loss"}, MASKS, of_masks(DiceAndLogLoss())),
        ({"loss": "focal", "ignore_label": 255}, IGNORED, of_masks(FocalLoss(), IGNORED)),
        ({"class_weight": CLASS_WEIGHTS, "sample_weight": WEIGHTS}, MASKS, of_weighted_pixels),
    ],
    ids=["log_loss", "ignored", "dice", "dice+log_loss", "focal", "weighted"],
)
def test_half_of_the_loss_of_the_auxiliary_head_counts(params, masks, loss):
    of_fit = {name: params[name] for name in params.keys() & {"sample_weight"}}
    fitted = estimator(**{n: v for n, v in params.items() if n not in of_fit})
    fitted.fit(X, masks, **of_fit)
    assert_same_weights(fitted.module_.network, by_hand(fitted, network(), loss)[1])
    start = by_hand(fitted, network(), loss, n_steps=0)
    with torch.no_grad():
        outputs = start(torch.from_numpy(X)[:, None])
    expected = loss(outputs["out"]) + 0.5 * loss(outputs["aux"])
    assert fitted.loss_curve_[0] == pytest.approx(expected.item(), rel=1e-5)


def test_numbers_of_pixels_are_learned_by_both_heads():
    target = (DEPTHS - np.nanmean(DEPTHS)) / np.nanstd(DEPTHS)
    known, target = torch.from_numpy(~np.isnan(DEPTHS)), torch.from_numpy(target)

    def loss(outputs):
        return (outputs[:, 0] - target)[known].square().mean()

    fitted = estimator(CNNRegressor, network(1)).fit(X, DEPTHS)
    assert_same_weights(fitted.module_.network, by_hand(fitted, network(1), loss)[1])


def test_an_image_may_have_two_heads_too():
    y = np.arange(8) % 3
    loss = functools.partial(functional.cross_entropy, target=torch.from_numpy(y))
    fitted = estimator(architecture=network(pools=True)).fit(X, y)
    assert_same_weights(fitted.module_.network, by_hand(fitted, network(pools=True), loss)[1])


def test_a_step_in_parts_is_the_step_of_the_whole_batch():
    plain = estimator().fit(X, MASKS)
    with pytest.warns(UserWarning, match="memory with 8 images"):
        in_parts = estimator(architecture=network(room=4)).fit(X, MASKS)
    assert_same_weights(plain.module_, in_parts.module_)


def test_both_heads_learn_in_bf16():
    fitted = estimator(precision="bf16").fit(X, MASKS)
    exact = estimator().fit(X, MASKS)
    assert fitted.loss_curve_ == pytest.approx(exact.loss_curve_, rel=0.02)
    assert not torch.equal(fitted.module_.network.aux.weight, network().aux.weight)


def test_validation_looks_at_the_last_layer_alone():
    fitted = estimator().fit(X, MASKS, X_val=X, y_val=MASKS)
    picked = np.take_along_axis(fitted.predict_proba(X), MASKS[..., None].astype(int), axis=-1)
    expected = -np.log(picked).mean()
    assert fitted.history_[-1]["valid_loss"] == pytest.approx(expected, rel=1e-5)


def test_skorchs_own_loop_learns_from_both_heads():
    fitted = estimator().fit(X, MASKS)
    net, before = copy.deepcopy(fitted.net_), fitted.module_.network
    net.partial_fit(X[:, None].astype(np.float32), MASKS[..., None])
    loss = of_masks(functional.cross_entropy)
    assert_same_weights(net.module_.network, by_hand(fitted, before, loss, n_steps=2)[1])


class SmallAux(TwoHeads):
    """The maps of the auxiliary head have another size than the images."""

    def _logits(self, head, maps):
        return super()._logits(head, maps)[..., ::2, ::2] if head is self.aux else head(maps)


class AuxInPrediction(TwoHeads):
    def forward(self, images):
        maps = self.trunk(images)
        return {"out": self.head(maps), "aux": self.aux(maps)}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (SmallAux, r"in training too, to logits of shape \(8, 3, 16, 20\), got \(8, 3, 8, 10\)"),
        (AuxInPrediction, r"got a dict of .*but in training, where a network may return \{\"out\""),
    ],
)
def test_other_outputs_of_an_auxiliary_head_are_refused(kind, message):
    with pytest.raises(ValueError, match=message):
        estimator(architecture=kind).fit(X, MASKS)


class AuxiliaryHeadLast(nn.Module):
    """Two heads of which the one that answers is not the last of the constructor."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.trunk = nn.Conv2d(in_channels, 4, 3)
        self.head, self.aux = nn.Linear(4, num_classes), nn.Linear(4, num_classes)

    def forward(self, images):
        means = self.trunk(images).mean(dim=(2, 3))
        return (
            {"out": self.head(means), "aux": self.aux(means)} if self.training else self.head(means)
        )


def test_a_last_layer_that_answers_nothing_is_refused():
    y = np.arange(8) % 2
    source = CNNClassifier(AuxiliaryHeadLast, max_epochs=1, random_state=0).fit(X, y)
    message = r"network.aux, taken for the last layer, takes no part .*head="
    with pytest.raises(ValueError, match=message):
        source.transform(X)
    with pytest.raises(ValueError, match=message):
        CNNClassifier(Finetuned(FrozenEstimator(source)), max_epochs=1).fit(X, y)
    named = CNNClassifier(TorchModule(AuxiliaryHeadLast, head="head"), max_epochs=1, random_state=0)
    assert named.fit(X, y).transform(X).shape == (8, 4)
    tuned = CNNClassifier(Finetuned(FrozenEstimator(named)), lr=1e-10, max_epochs=1).fit(X, 1 - y)
    before, after = (e.module_.network.state_dict() for e in (named, tuned))
    assert not torch.allclose(before["head.weight"], after["head.weight"])
    torch.testing.assert_close(before["aux.weight"], after["aux.weight"])


def of_pixels(architecture, **params):
    return CNNClassifier(architecture, max_epochs=1, random_state=0, **params).fit(X, MASKS)


def test_a_convolution_of_1_x_1_that_is_made_last_is_the_last_layer():
    source = of_pixels(TwoHeads)
    trunk = source.module_.network.trunk
    with torch.no_grad():
        maps = torch.relu(trunk(source.module_.standardize(torch.from_numpy(X)[:, None])))
    np.testing.assert_allclose(source.transform(X), maps.mean(dim=(2, 3)), rtol=1e-4, atol=1e-5)
    assert len(source.get_feature_names_out()) == 4
    frozen = of_pixels(TorchModule(TwoHeads, freeze=True)).module_.network
    learns = {name for name, parameter in frozen.named_parameters() if parameter.requires_grad}
    assert learns == {"head.weight", "head.bias"}
    tuned = CNNClassifier(Finetuned(FrozenEstimator(source)), lr=1e-10, max_epochs=1).fit(X, MASKS)
    before, after = (e.module_.network.state_dict() for e in (source, tuned))
    assert not torch.allclose(before["head.weight"], after["head.weight"])
    torch.testing.assert_close(before["trunk.weight"], after["trunk.weight"])


class HeadBeforeAux(nn.Module):
    """A head of 1 x 1, and an auxiliary one of 3 x 3 behind it."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.trunk = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.head = nn.Conv2d(4, num_classes, 1)
        self.aux = nn.Conv2d(4, num_classes, 3, padding=1)

    def forward(self, images):
        maps = torch.relu(self.trunk(images))
        return {"out": self.head(maps), "aux": self.aux(maps)} if self.training else self.head(maps)


def test_another_last_layer_is_named():
    source = of_pixels(HeadBeforeAux)
    message = r'TorchModule\(HeadBeforeAux, head="\.\.\."\): what can be named is \[\'head\'\]'
    with pytest.raises(ValueError, match=message):
        source.transform(X)
    with pytest.raises(ValueError, match=message):
        of_pixels(Finetuned(FrozenEstimator(source)))
    with pytest.raises(ValueError, match=message):
        of_pixels(TorchModule(HeadBeforeAux, freeze=True))
    assert of_pixels(TorchModule(HeadBeforeAux, head="head")).transform(X).shape == (8, 4)


class AuxiliaryConvolutionLast(TwoHeads):
    def __init__(self, in_channels, num_classes):
        super().__init__(in_channels, num_classes)
        self.aux = self._modules.pop("aux")


def test_a_frozen_trunk_needs_a_last_layer_that_answers():
    with pytest.raises(ValueError, match=r"network.aux, taken for the last layer, .*head="):
        of_pixels(TorchModule(AuxiliaryConvolutionLast, freeze=True))
    # all of it learns: which layer is the last one does not matter
    assert of_pixels(AuxiliaryConvolutionLast).predict(X).shape == X.shape

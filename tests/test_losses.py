"""Losses against hand-computed values and scikit-learn's metrics."""

import numpy as np
import pytest
import torch
from sklearn.metrics import hinge_loss, log_loss, mean_pinball_loss
from torch import nn
from torch.nn import functional

from sklearn_cnn.losses import (
    BinaryHingeLoss,
    MixedTargets,
    QuantileLoss,
    WeightedLoss,
    check_label_smoothing,
    resolve_loss,
)
from sklearn_cnn.targets import Continuous, MultiLabel, SingleLabel

LABELS = np.array(["b", "a", "b", "c", "b", "a"])
INDICATOR = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0], [1, 0, 1]])
LOGITS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def letters():
    return SingleLabel(np.array(["a", "b", "c"]))


# by name


def test_log_loss_is_that_of_scikit_learn(letters):
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    weight = torch.tensor([1.0, 2.0, 0.5, 1.0, 1.0, 0.5])
    loss = resolve_loss("log_loss", letters)
    encoded = letters.encode(LABELS)
    probabilities = letters.probabilities(logits.numpy())
    assert loss(logits, encoded).item() == pytest.approx(log_loss(LABELS, probabilities), rel=1e-6)
    weighted = log_loss(LABELS, probabilities, sample_weight=weight.numpy())
    assert loss(logits, encoded, weight).item() == pytest.approx(weighted, rel=1e-6)


def test_hinge_is_the_mean_margin_that_is_missed(letters):
    logits = torch.tensor([[0.0, 2.0, 1.5], [1.0, 0.0, 0.0]])
    # margins of "b" over "a" and "c": 2, 0.5; of "a" over "b" and "c": 1, 1
    loss = resolve_loss("hinge", letters)(logits, letters.encode(["b", "a"]))
    assert loss.item() == pytest.approx((0.5 / 3 + 0) / 2)


def test_several_labels_have_the_log_loss_of_each():
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    loss = resolve_loss("log_loss", MultiLabel(3))(logits, torch.from_numpy(INDICATOR).float())
    p = torch.sigmoid(logits).numpy()
    by_hand = -np.where(INDICATOR == 1, np.log(p), np.log(1 - p)).mean()
    assert loss.item() == pytest.approx(by_hand, rel=1e-5)


def test_binary_hinge_by_hand():
    logits = torch.tensor([[2.0, 0.5], [-3.0, 0.0]])
    target = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    losses = BinaryHingeLoss("none")(logits, target)
    assert losses.tolist() == [[0.0, 0.5], [4.0, 1.0]]
    assert BinaryHingeLoss()(logits, target).item() == 5.5 / 4
    assert resolve_loss("hinge", MultiLabel(2))(logits, target).item() == 5.5 / 4


def test_binary_hinge_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=50), rng.integers(0, 2, 50)
    ours = BinaryHingeLoss()(torch.from_numpy(logits), torch.from_numpy(y))
    assert ours.item() == pytest.approx(hinge_loss(y, logits))


@pytest.mark.parametrize("quantile", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("columns", [1, 3])
def test_quantile_loss_is_the_pinball_loss_of_scikit_learn(quantile, columns):
    rng = np.random.default_rng(0)
    y, outputs = rng.normal(size=(2, 40, columns))
    weight = rng.uniform(0.5, 2, 40)
    loss = QuantileLoss(quantile)(torch.from_numpy(outputs), torch.from_numpy(y)).item()
    assert loss == pytest.approx(mean_pinball_loss(y, outputs, alpha=quantile))
    weight /= weight.mean()
    weighted = WeightedLoss(QuantileLoss(quantile))
    loss = weighted(*map(torch.from_numpy, (outputs, y, weight))).item()
    expected = mean_pinball_loss(y, outputs, alpha=quantile, sample_weight=weight)
    assert loss == pytest.approx(expected)


def test_each_output_has_its_quantile():
    rng = np.random.default_rng(0)
    y, outputs, quantiles = rng.normal(size=(40, 1)), rng.normal(size=(40, 3)), (0.1, 0.5, 0.8)
    loss = QuantileLoss(quantiles)(torch.from_numpy(outputs), torch.from_numpy(y)).item()
    of_each = [mean_pinball_loss(y, outputs[:, [i]], alpha=q) for i, q in enumerate(quantiles)]
    assert loss == pytest.approx(np.mean(of_each))


def test_losses_of_numbers_by_hand():
    outputs, y = torch.tensor([[0.0], [0.0]]), torch.tensor([[0.5], [-3.0]])
    target = Continuous(np.arange(3.0))
    expected = {
        "squared_error": (0.25 + 9) / 2,
        "absolute_error": (0.5 + 3) / 2,
        "huber": (0.125 + 2.5) / 2,
    }
    for name, value in expected.items():
        assert resolve_loss(name, target)(outputs, y).item() == value


# smoothed labels


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_smoothed_labels_have_the_loss_of_torch(letters, smoothing):
    encoded = letters.encode(LABELS)
    loss = resolve_loss("log_loss", letters, label_smoothing=smoothing)
    expected = functional.cross_entropy(LOGITS, encoded, label_smoothing=smoothing)
    torch.testing.assert_close(loss(LOGITS, encoded), expected)
    # a weight weighs the whole of the mixed label
    weight = torch.tensor([1.0, 2.0, 0.5, 1.0, 1.0, 0.5])
    soft = (1 - smoothing) * torch.eye(3)[encoded] + smoothing / 3
    of_each = functional.cross_entropy(LOGITS, soft, reduction="none")
    torch.testing.assert_close(loss(LOGITS, encoded, weight), (of_each * weight).mean())


def test_mixed_images_have_smoothed_labels(letters):
    first, second = letters.encode(LABELS), letters.encode(LABELS[::-1])
    share = torch.linspace(0, 1, 6)
    soft = share[:, None] * torch.eye(3)[first] + (1 - share)[:, None] * torch.eye(3)[second]
    loss = resolve_loss("log_loss", letters, label_smoothing=0.2)
    torch.testing.assert_close(
        loss(LOGITS, MixedTargets(first, share, second, 1 - share)),
        functional.cross_entropy(LOGITS, soft, label_smoothing=0.2),
    )


def test_several_labels_are_mixed_with_one_half():
    target = torch.from_numpy(INDICATOR).float()
    loss = resolve_loss("log_loss", MultiLabel(3), label_smoothing=0.2)
    smooth = torch.where(target == 1, 0.9, 0.1)
    of_each = functional.binary_cross_entropy_with_logits(LOGITS[:5], smooth, reduction="none")
    torch.testing.assert_close(loss(LOGITS[:5], target), of_each.mean())
    weight = torch.tensor([2.0, 0.5, 1.0, 1.0, 0.5])
    torch.testing.assert_close(
        loss(LOGITS[:5], target, weight), (of_each.mean(dim=1) * weight).mean()
    )


@pytest.mark.parametrize("loss", ["auto", "log_loss", "dice+log_loss"])
def test_losses_that_smooth_labels(loss):
    check_label_smoothing(0.1, loss)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("hinge", "loss='hinge'. Write loss=\"log_loss\""),
        ("dice", "loss='dice'. Write"),
        ("focal", "loss='focal'. Write"),
        (nn.CrossEntropyLoss(), r"loss=CrossEntropyLoss. .*CrossEntropyLoss\(label_smoothing=0"),
        (nn.MultiMarginLoss, "loss=MultiMarginLoss. Smooth them in it"),
    ],
)
def test_other_losses_do_not_smooth_labels(loss, message):
    with pytest.raises(ValueError, match=rf"label_smoothing=0.1 is for .* got {message}"):
        check_label_smoothing(0.1, loss)
    check_label_smoothing(0.0, loss)


# given as modules


def test_a_weighted_loss_is_the_mean_of_weighted_samples():
    outputs, y = torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.zeros(2, 2)
    loss = WeightedLoss(nn.MSELoss())
    assert loss(outputs, y).item() == 2.5
    # the first sample's mean is 5, the second's 0
    assert loss(outputs, y, torch.tensor([3.0, 1.0])).item() == 7.5
    assert loss(outputs, y, torch.ones(2)).item() == 2.5


def test_the_users_loss_is_copied():
    given = nn.SmoothL1Loss(reduction="sum", beta=0.5)
    loss = resolve_loss(given, Continuous(np.arange(3.0)))
    assert loss.loss is not given
    assert given.reduction == "sum"
    assert loss.loss.reduction == "none"
    assert loss.loss.beta == 0.5


def test_a_loss_without_reduction_takes_no_weights():
    class Worst(nn.Module):
        def forward(self, outputs, target):
            return (outputs - target).abs().max()

    loss = resolve_loss(Worst(), Continuous(np.arange(3.0)))
    assert not loss.takes_weights
    assert loss(torch.tensor([[1.0], [5.0]]), torch.zeros(2, 1)).item() == 5
    assert resolve_loss(nn.L1Loss(), Continuous(np.arange(3.0))).takes_weights


def test_a_loss_may_be_given_as_a_class():
    loss = resolve_loss(nn.CrossEntropyLoss, SingleLabel(np.array([0, 1])))
    assert isinstance(loss.loss, nn.CrossEntropyLoss)


@pytest.mark.parametrize(
    ("target", "loss", "use"),
    [
        (SingleLabel(np.arange(3)), nn.NLLLoss, "CrossEntropyLoss"),
        (SingleLabel(np.arange(3)), nn.BCELoss, "CrossEntropyLoss"),
        (SingleLabel(np.arange(3)), nn.BCEWithLogitsLoss, "CrossEntropyLoss"),
        (MultiLabel(3), nn.CrossEntropyLoss, "BCEWithLogitsLoss"),
        (MultiLabel(3), nn.BCELoss, "BCEWithLogitsLoss"),
        (Continuous(np.arange(3.0)), nn.BCELoss, "expects probabilities"),
    ],
)
@pytest.mark.parametrize("as_class", [True, False], ids=["class", "instance"])
def test_a_loss_that_does_not_fit_is_refused(target, loss, use, as_class):
    with pytest.raises(ValueError, match=rf"{loss.__name__} does not fit here: .*{use}"):
        resolve_loss(loss if as_class else loss(), target)


@pytest.mark.parametrize("loss", [nn.functional.mse_loss, 3, int, lambda *_: 0])
def test_what_is_no_loss_is_refused(loss):
    with pytest.raises(TypeError, match=r"name or a torch\.nn\.Module"):
        resolve_loss(loss, Continuous(np.arange(3.0)))


# weights of outputs

DTYPES = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]
OF_CLASSES = [nn.CrossEntropyLoss, nn.MultiMarginLoss]
OF_LABELS = [
    nn.BCEWithLogitsLoss,
    lambda weight: nn.BCEWithLogitsLoss(pos_weight=weight),
    nn.MultiLabelSoftMarginLoss,
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", [*OF_CLASSES, *OF_LABELS])
def test_weights_of_outputs_have_any_dtype(letters, make, dtype):
    target, y = (letters, LABELS) if make in OF_CLASSES else (MultiLabel(3), INDICATOR)
    y = target.encode(np.concatenate([y, y])[:6])
    weight = torch.tensor([1, 0, 1])
    given, expected = make(weight=weight.to(dtype)), make(weight=weight.float())
    loss = resolve_loss(given, target)
    assert loss(LOGITS, y).item() == resolve_loss(expected, target)(LOGITS, y).item()
    assert dtype in {tensor.dtype for tensor in given.buffers()}


@pytest.mark.parametrize("make", OF_CLASSES)
@pytest.mark.parametrize("shape", [(2,), (4,), (1,)], ids=str)
def test_other_weights_than_one_a_class_are_refused(letters, make, shape):
    with pytest.raises(ValueError, match=rf"loss={make.__name__}\(weight=.*y has 3 classes"):
        resolve_loss(make(weight=torch.ones(shape)), letters)


def test_other_weights_than_one_a_label_are_refused():
    for make in OF_LABELS:
        for shape in ((), (1,), (3,), (1, 3)):
            resolve_loss(make(weight=torch.ones(shape)), MultiLabel(3))
        with pytest.raises(ValueError, match=r"weight of shape \(2,\), but y has 3 labels"):
            resolve_loss(make(weight=torch.ones(2)), MultiLabel(3))


def test_a_loss_of_the_users_own_in_doubles_is_computed_in_floats():
    class Scaled(nn.MSELoss):
        def __init__(self):
            super().__init__()
            self.register_buffer("weight", torch.tensor([2.0], dtype=torch.float64))

        def forward(self, outputs, target):
            return super().forward(outputs, target) * self.weight

    loss = resolve_loss(Scaled, Continuous(np.arange(3.0)))
    assert loss(torch.ones(3, 1), torch.zeros(3, 1)).dtype == torch.float32


# numbers that are missing


@pytest.mark.parametrize("name", ["squared_error", "absolute_error", "huber"])
def test_a_loss_of_missing_numbers_is_the_mean_over_the_others(name):
    target = Continuous(np.arange(6.0).reshape(3, 2))
    loss = resolve_loss(name, target)
    loss.leaves_out_missing = True
    outputs = torch.tensor([[0.5, 2.0], [1.0, 3.0], [-1.0, 0.0]], requires_grad=True)
    y = torch.tensor([[1.0, np.nan], [np.nan, np.nan], [2.0, 1.0]])
    of_each = torch.tensor(
        [[loss.loss(outputs[i, j], y[i, j]).item() for j in range(2)] for i in range(3)]
    )
    weight = torch.tensor([0.5, 1.0, 1.5])
    assert loss(outputs, y).item() == pytest.approx(of_each.nanmean().item())
    by_hand = (of_each * weight[:, None]).nansum() / 3
    assert loss(outputs, y, weight).item() == pytest.approx(by_hand.item())
    loss(outputs, y).backward()
    assert (outputs.grad == 0).tolist() == y.isnan().tolist()
    assert loss(outputs, torch.full((3, 2), np.nan)).item() == 0


def test_without_missing_numbers_the_loss_is_the_same():
    loss = WeightedLoss(nn.MSELoss())
    outputs, y = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    for weight in (None, torch.tensor([0.5, 1.5, 1.0, 0.25, 1.75])):
        loss.leaves_out_missing = False
        plain = loss(outputs, y, weight).item()
        loss.leaves_out_missing = True
        assert loss(outputs, y, weight).item() == pytest.approx(plain)


def test_a_loss_of_each_sample_cannot_leave_out_numbers():
    class OfSamples(nn.Module):
        reduction = "mean"

        def forward(self, outputs, target):
            return (outputs - target).square().sum(dim=1)

    loss = WeightedLoss(OfSamples())
    loss.leaves_out_missing = True
    message = r"OfSamples returned \(3,\) for targets of shape \(3, 2\)"
    with pytest.raises(ValueError, match=message):
        loss(torch.zeros(3, 2), torch.tensor([[np.nan, 0.0]] * 3))


class _Float(nn.Module):
    def forward(self, logits, target):
        return float(nn.functional.cross_entropy(logits.detach(), target))


class _Detached(nn.Module):
    def forward(self, logits, target):
        return nn.functional.cross_entropy(logits, target).detach()


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (_Float(), TypeError, "loss=_Float must return a tensor, got a float"),
        (_Detached(), ValueError, "loss=_Detached returned a tensor without a gradient"),
    ],
)
def test_a_loss_that_nothing_can_be_learned_from_is_named(letters, loss, error, message):
    logits = torch.zeros(6, 3, requires_grad=True)
    with pytest.raises(error, match=message):
        resolve_loss(loss, letters)(logits, letters.encode(LABELS))


@pytest.mark.parametrize("weight", [[1.0, -1.0, 1.0], [0.0, 0.0, 0.0], [1.0, np.nan, 1.0]])
def test_weights_of_outputs_that_are_no_weights_are_refused(letters, weight):
    loss = nn.CrossEntropyLoss(weight=torch.tensor(weight))
    with pytest.raises(ValueError, match=r"CrossEntropyLoss\(weight=...\) must have weights"):
        resolve_loss(loss, letters)

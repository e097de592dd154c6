"""Schedules at their corners, and how optimizers are made."""

import functools
import math

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_cnn.training.optimizers import (
    OPTIMIZERS,
    SCHEDULES,
    cosine,
    make_optimizer,
    one_cycle,
    resolve_weight_decay,
)


@pytest.fixture
def module():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


def test_one_cycle_starts_low_peaks_after_a_quarter_and_ends_at_zero():
    assert one_cycle(0) == pytest.approx(0.04)
    assert one_cycle(0.125) == pytest.approx(0.52)
    assert one_cycle(0.25) == 1
    assert one_cycle(0.625) == pytest.approx(0.5)
    assert one_cycle(1) == pytest.approx(0, abs=1e-15)


def test_one_cycle_rises_then_falls_without_a_jump():
    factors = np.array([one_cycle(step / 1000) for step in range(1001)])
    assert (np.diff(factors[:251]) > 0).all()
    assert (np.diff(factors[250:]) < 0).all()
    # the steepest slope of half a cosine wave
    assert np.abs(np.diff(factors)).max() <= math.pi / 2 / 250


def test_cosine_falls_from_one_to_zero():
    assert [cosine(0), cosine(0.5)] == pytest.approx([1, 0.5])
    assert cosine(1 / 3) == pytest.approx(0.75)
    assert cosine(1) == pytest.approx(0, abs=1e-15)
    factors = np.array([cosine(step / 1000) for step in range(1001)])
    assert (np.diff(factors) < 0).all()


def test_schedules_by_name():
    assert SCHEDULES["constant"] is None
    assert (SCHEDULES["one_cycle"], SCHEDULES["cosine"]) == (one_cycle, cosine)


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, torch.optim.RMSprop])
def test_biases_and_normalizations_do_not_decay(module, optimizer):
    decayed, free = make_optimizer(optimizer, module, 0.1, 0.05).param_groups
    convolution, normalization, _, linear = module
    assert [id(p) for p in decayed["params"]] == [id(convolution.weight), id(linear.weight)]
    assert [id(p) for p in free["params"]] == [
        id(p) for p in (convolution.bias, normalization.weight, normalization.bias, linear.bias)
    ]
    assert [decayed["weight_decay"], free["weight_decay"]] == [0.05, 0]
    assert [decayed["lr"], free["lr"]] == [0.1, 0.1]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)],
)
def test_optimizers_by_name(module, name, kind):
    assert type(make_optimizer(name, module, 0.1, 0.0)) is kind


def test_sgd_by_name_has_nesterov_momentum(module):
    group = make_optimizer("sgd", module, 0.1, 0.0).param_groups[0]
    assert group["momentum"] == 0.9
    assert group["nesterov"]


def test_a_partial_keeps_its_arguments(module):
    given = functools.partial(torch.optim.AdamW, betas=(0.5, 0.6), amsgrad=True)
    optimizer = make_optimizer(given, module, 0.1, 0.05)
    assert type(optimizer) is torch.optim.AdamW
    for group in optimizer.param_groups:
        assert group["betas"] == (0.5, 0.6)
        assert group["amsgrad"]
        assert group["lr"] == 0.1


def test_a_partial_may_ask_for_another_implementation(module):
    given = functools.partial(torch.optim.AdamW, foreach=True)
    assert make_optimizer(given, module, 0.1, 0.0).defaults["foreach"] is True


def test_a_partial_may_leave_out_the_fused_implementation(module):
    given = functools.partial(torch.optim.SGD, fused=False)
    assert make_optimizer(given, module, 0.1, 0.0).defaults["fused"] is False


def test_an_optimizer_that_has_no_fused_implementation(module):
    assert type(make_optimizer(torch.optim.Adamax, module, 0.1, 0.0)) is torch.optim.Adamax


class OwnLBFGS(torch.optim.LBFGS):
    pass


@pytest.mark.parametrize(
    ("optimizer", "reason"),
    [
        (torch.optim.LBFGS, "LBFGS does not fit here: it computes the loss .* several times"),
        (functools.partial(torch.optim.LBFGS, max_iter=3), "LBFGS does not fit .*'adamw'"),
        (OwnLBFGS, "OwnLBFGS does not fit here"),
        (torch.optim.SparseAdam, "SparseAdam does not fit here: it takes sparse gradients"),
    ],
)
@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_optimizers_of_other_steps_are_refused(module, optimizer, reason, weight_decay):
    with pytest.raises(ValueError, match=reason):
        make_optimizer(optimizer, module, 0.1, weight_decay)


def test_frozen_parameters_are_left_out(module):
    module[0].requires_grad_(False)
    groups = make_optimizer("adamw", module, 0.1, 0.05).param_groups
    assert sum(len(group["params"]) for group in groups) == 4
    module[3].weight.requires_grad_(False)
    (free,) = make_optimizer("adamw", module, 0.1, 0.05).param_groups
    assert free["weight_decay"] == 0


def test_one_step_of_sgd_by_hand():
    module = nn.Linear(1, 1)
    with torch.no_grad():
        module.weight.fill_(2.0)
        module.bias.fill_(3.0)
    optimizer = make_optimizer(torch.optim.SGD, module, lr=0.1, weight_decay=0.5)
    module(torch.ones(1, 1)).sum().backward()
    optimizer.step()
    # gradients are 1; the weight decays by lr * weight_decay * 2 besides
    assert module.weight.item() == pytest.approx(2 - 0.1 - 0.1)
    assert module.bias.item() == pytest.approx(3 - 0.1)


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        ("adamw", 0.3),
        (torch.optim.AdamW, 0.3),
        (functools.partial(torch.optim.AdamW, eps=1e-6), 0.3),
        ("sgd", 5e-4),
        ("adam", 0.0),
        (torch.optim.RMSprop, 0.0),
    ],
)
def test_weight_decay_auto_follows_the_optimizer(optimizer, expected):
    assert resolve_weight_decay("auto", optimizer, 0.3) == expected
    assert resolve_weight_decay(0.25, optimizer, 0.3) == 0.25


@pytest.mark.parametrize("module", [nn.Flatten(), nn.Linear(1, 1).requires_grad_(False)])
def test_a_network_in_which_nothing_learns_is_refused(module):
    with pytest.raises(ValueError, match=r"no parameter that learns.*requires_grad"):
        make_optimizer("adamw", module, lr=0.1, weight_decay=0.0)

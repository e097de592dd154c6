"""Frozen parts, rates of parts, and parts that learn later."""

import torch
from torch import nn

from sklearn_cnn.architectures._fine_tuning import to_train_mode
from sklearn_cnn.training.optimizers import make_optimizer, parameter_groups


def network():
    trunk = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))
    return nn.Sequential(trunk, nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2)))


def test_frozen_parts_stay_in_evaluation_mode():
    module = network().eval()
    module[0].requires_grad_(False)
    to_train_mode(module)
    assert not any(layer.training for layer in module[0].modules())
    assert all(layer.training for layer in module[1].modules())


def test_parts_that_learn_go_back_to_training_mode():
    module = network().eval()
    module[0].requires_grad_(False)
    to_train_mode(module)
    module.requires_grad_(True)
    to_train_mode(module)
    assert all(layer.training for layer in module.modules())


def test_a_part_that_learns_in_part_is_in_training_mode():
    module = network().eval()
    module[0][0].requires_grad_(False)
    to_train_mode(module)
    assert module[0].training
    assert module[0][1].training
    assert not module[0][0].training


def test_groups_have_rates_of_their_own():
    module = network()
    names = [name for name, _ in module[0].named_parameters(prefix="0")]
    groups = parameter_groups(module, 0.2, 0.05, dict.fromkeys(names, 0.1))
    assert [group["lr"] for group in groups] == [0.2, 0.2, 0.2 * 0.1, 0.2 * 0.1]
    assert [group["lr_ratio"] for group in groups] == [1.0, 1.0, 0.1, 0.1]
    assert [group["weight_decay"] for group in groups] == [0.05, 0.0, 0.05, 0.0]
    of_trunk = {p for group in groups[2:] for p in group["params"]}
    assert of_trunk == set(module[0].parameters())


def test_parameters_without_a_gradient_are_in_no_group():
    module = network()
    module[0].requires_grad_(False)
    optimizer = make_optimizer("adamw", module, 0.1, 0.05, {"0.0.weight": 0.5})
    optimized = {p for group in optimizer.param_groups for p in group["params"]}
    assert optimized == set(module[1].parameters())


def test_one_step_at_two_rates_by_hand():
    module = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    with torch.no_grad():
        module[0].weight.fill_(2.0)
        module[1].weight.fill_(3.0)
    optimizer = make_optimizer(torch.optim.SGD, module, 0.1, 0.0, {"0.weight": 0.5})
    module(torch.ones(1, 1)).sum().backward()
    optimizer.step()
    assert module[0].weight.item() == torch.tensor(2.0 - 0.05 * 3.0).item()
    assert module[1].weight.item() == torch.tensor(3.0 - 0.1 * 2.0).item()

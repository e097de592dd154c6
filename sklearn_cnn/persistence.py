"""Fitted estimators as files without pickled code: tensors and plain values alone."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import torch

import sklearn_cnn
from sklearn_cnn._encoding import decode, encode
from sklearn_cnn._warnings import warn
from sklearn_cnn.architectures import TorchModule, as_architecture
from sklearn_cnn.architectures._assembly import assemble, describe
from sklearn_cnn.architectures._weights import load_tensors
from sklearn_cnn.targets import Continuous, MultiLabel, SingleLabel
from sklearn_cnn.training.device import has_device, new_tensors_on_cpu, resolve_device, seeded
from sklearn_cnn.training.finetuning import FineTuning
from sklearn_cnn.training.going_on import ingredients, parts_to_renew

_FORMAT = "sklearn_cnn estimator"
_VERSION = 2

# What a net was made with, and what a later change of parameters or machine must not change.
_NET_SETTINGS = ("precision", "prediction_precision")

# Learned attributes that users do not see.
_PRIVATE = ("_seed", "_n_trainings", "_class_weights", "_balanced_weights", "_described")


def save_estimator(estimator, path):
    """Write a fitted estimator to a file; see `BaseCNN.save`."""
    parameters, lost = _encode_parameters(estimator)
    net = estimator.net_
    names = {parameter: name for name, parameter in net.module_.named_parameters()}
    groups = [[names[p] for p in group["params"]] for group in net.optimizer_.param_groups]
    # what the parameters in the file will not make again is of no use
    renewed = parts_to_renew(estimator._made_of, ingredients(estimator), lost)
    learned = {
        name: value
        for name, value in vars(estimator).items()
        if name in _PRIVATE or (name.endswith("_") and not name.startswith("_") and name != "net_")
    }
    content = {
        "format": _FORMAT,
        "version": _VERSION,
        "written_by": sklearn_cnn.__version__,
        "class": type(estimator).__name__,
        "parameters": parameters,
        "lost_parameters": lost,
        "architecture": _encode_architecture(estimator._architecture),
        "learned": encode(learned),
        "target": _encode_target(estimator._target),
        "net": encode({name: getattr(net, name) for name in _NET_SETTINGS}),
        "fine_tuning": encode(dataclasses.asdict(net.fine_tuning)),
        "history": encode(list(net.history_)),
        "weights": _cpu_weights(net.module_),
        "frozen": [name for parameter, name in names.items() if not parameter.requires_grad],
        "loss_weights": None if "criterion" in renewed else _cpu_weights(net.criterion_),
        "optimizer": None if "optimizer" in renewed else encode(net.optimizer_.state_dict()),
        "optimizer_groups": groups,
    }
    _write(content, Path(path))


@new_tensors_on_cpu()
def load_estimator(path, architecture=None, kind=None):
    """Return the estimator that `save_estimator` wrote.

    Parameters
    ----------
    path : str or path
    architecture : Architecture, class or callable, default=None
        The user's own network, where one was saved.
    kind : type, default=None
        A class of estimators beside ours that the file may hold.

    Returns
    -------
    CNNClassifier or CNNRegressor
    """
    content = _read(path)
    kinds = {k.__name__: k for k in (sklearn_cnn.CNNClassifier, sklearn_cnn.CNNRegressor)}
    if kind is not None:
        kinds.setdefault(kind.__name__, kind)
    if content["class"] not in kinds:
        raise ValueError(
            f"{os.fspath(path)!r} holds a {content['class']}: load it with "
            f"{content['class']}.load(path)."
        )
    structure = _structure(content, architecture, path)
    estimator = kinds[content["class"]](**_parameters(content, architecture, structure))
    for name, value in decode(content["learned"]).items():
        setattr(estimator, name, value)
    estimator._target = _decode_target(content["target"])
    estimator._architecture = structure
    if estimator.architecture is structure:
        # it took the place of what the file could not hold
        estimator._described = describe(structure)
    estimator.net_ = _restored_net(estimator, content, path)
    return estimator


def _cpu_weights(module):
    """Return a state dict as torch writes it, with the versions of its layers."""
    state = module.state_dict()
    for name, tensor in state.items():
        state[name] = tensor.cpu()
    return state


def _encode_parameters(estimator):
    """Return the parameters that plain values can hold, and a description of the others."""
    kept, lost = {}, {}
    for name, value in estimator.get_params(deep=False).items():
        try:
            kept[name] = encode(value)
        except TypeError:
            lost[name] = " ".join(repr(value).split())
    return kept, lost


def _encode_architecture(architecture):
    """Encode what builds the layers; of the user's own class only its name and parameters."""
    try:
        return encode(architecture)
    except TypeError:
        is_module = isinstance(architecture, TorchModule)
        parameters = architecture.params if is_module else {}
        return {"own": repr(architecture), "parameters": _encodable(parameters)}


def _encodable(values):
    kept = {}
    for name, value in values.items():
        try:
            kept[name] = encode(value)
        except TypeError:
            continue
    return kept


def _structure(content, given, path):
    """Return the architecture that builds the layers."""
    saved = content["architecture"]
    is_own = "own" in saved
    if given is None:
        if is_own:
            load = f"{content['class']}.load(path, architecture=...)"
            raise ValueError(
                f"{os.fspath(path)!r} was saved with a network of your own, {saved['own']}, "
                f"whose code is not in the file. Pass its class again: {load}. To start from it, "
                f"write Finetuned(FrozenEstimator({load}))."
            )
        return decode(saved)
    architecture = as_architecture(given)
    if is_own and isinstance(architecture, TorchModule):
        architecture = TorchModule(
            architecture.module, **{**decode(saved["parameters"]), **architecture.params}
        )
    return architecture


def _parameters(content, given, structure):
    """Return the parameters of the estimator; warn of those that the file could not hold."""
    parameters = decode(content["parameters"])
    lost = dict(content["lost_parameters"])
    if given is not None or "architecture" in lost:
        parameters["architecture"] = structure
    if given is not None or isinstance(structure, TorchModule):
        lost.pop("architecture", None)
    if lost:
        described = ", ".join(f"{name}={value}" for name, value in lost.items())
        warn(
            f"A saved estimator holds plain values only, so these parameters did not come back: "
            f"{described}. Predictions do not need them; set them again before you train on.",
        )
    return parameters


def _restored_net(estimator, content, path):
    """Build the net anew, and load what it had learned."""
    image = torch.zeros((1, *estimator.image_shape_), dtype=torch.float32)
    rows = torch.arange(1)
    device = _device_for(estimator)
    # layers are made with random weights; whatever mode the caller is in, they can be trained
    with torch.inference_mode(False), seeded(0, torch.device("cpu")):
        module = assemble(estimator._architecture, image, rows, estimator._target.n_outputs)
        _load_weights(module, content["weights"], path)
        frozen = set(content["frozen"])
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(name not in frozen)
        settings = decode(content["net"])
        plan = FineTuning(**decode(content["fine_tuning"]))
        net = estimator._wrap(module, plan, estimator.lr_schedule, device)
    vars(net).update(settings)
    net.history_.extend(decode(content["history"]))
    if content["loss_weights"] is not None:
        net.criterion_.load_state_dict(content["loss_weights"])
    if content["optimizer"] is not None:
        _restore_optimizer(net, decode(content["optimizer"]), content["optimizer_groups"])
    net.has_stepped_ = True
    return net


def _load_weights(module, weights, path):
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(
            f"The weights in {os.fspath(path)!r} are not those of the architecture: {error}"
        ) from error


def _restore_optimizer(net, state, groups):
    """Load the optimizer's state, with its groups as they were."""
    parameters = dict(net.module_.named_parameters())
    net.optimizer_.param_groups = [
        {**net.optimizer_.defaults, "params": [parameters[name] for name in names]}
        for names in groups
    ]
    net.optimizer_.load_state_dict(state)


def _device_for(estimator):
    if has_device(estimator.device):
        return resolve_device(estimator.device)
    warn(
        f"The estimator was saved with device={estimator.device!r}, which this machine does not "
        "have: it is on the CPU now.",
    )
    return torch.device("cpu")


def _encode_target(target):
    if isinstance(target, SingleLabel):
        facts = {"classes": target.classes}
    elif isinstance(target, MultiLabel):
        facts = {"n_labels": target.n_outputs}
    else:
        facts = {**vars(target), "dtype": np.dtype(target.dtype).name}
    return {"kind": type(target).__name__, "facts": encode(facts)}


def _decode_target(encoded):
    facts = decode(encoded["facts"])
    if encoded["kind"] == "SingleLabel":
        return SingleLabel(facts["classes"])
    if encoded["kind"] == "MultiLabel":
        return MultiLabel(facts["n_labels"])
    target = object.__new__(Continuous)
    vars(target).update({**facts, "dtype": np.dtype(facts["dtype"]).type})
    return target


def _write(content, path):
    """Write a file as a whole: an interrupted save leaves the earlier one."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        torch.save(content, part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _read(path):
    content = load_tensors(path)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(
            f"{os.fspath(path)!r} holds no estimator of sklearn_cnn. For the weights of a network "
            "alone see TorchvisionModel(name, weights=path)."
        )
    if content["version"] > _VERSION:
        raise ValueError(
            f"{os.fspath(path)!r} was written by sklearn_cnn {content['written_by']} in version "
            f"{content['version']} of its format; sklearn_cnn {sklearn_cnn.__version__} reads "
            f"versions up to {_VERSION}. Install a newer sklearn_cnn."
        )
    return content

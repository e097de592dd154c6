"""Estimators to the content of a file and back: what was learned, by fixed lists.

`docs/file_format.md` describes the layout. Whatever comes out of a file passes a check of its type
and range first, layers are built without memory until their shapes are those of the file's
tensors, and nothing is opened, fetched or imported because a file says so.
"""

import os
from contextlib import contextmanager
from dataclasses import asdict

import torch

from sklearn_cnn._version import __version__
from sklearn_cnn.architectures import TorchModule
from sklearn_cnn.architectures._fine_tuning import FineTuning
from sklearn_cnn.architectures._finetuned import LearnedNetwork
from sklearn_cnn.images import check_image_shape
from sklearn_cnn.persistence._checks import (
    Record,
    anything,
    boolean,
    dict_of,
    in_one_line,
    integer,
    list_of,
    number,
    one_of,
    optional,
    text,
)
from sklearn_cnn.persistence._container import pack, unpack
from sklearn_cnn.persistence._files import read_file
from sklearn_cnn.persistence._network import (
    build_module,
    decode_structure,
    encode_fitted,
    encode_structure,
    fitted_architecture,
)
from sklearn_cnn.persistence._records import (
    TARGETS,
    decode_class_weights,
    decode_history_row,
    decode_images,
    decode_pixel_range,
    decode_recipe,
    decode_target,
    decode_unfreezing,
    encode_images,
    encode_target,
    set_images,
    targets_of,
)
from sklearn_cnn.persistence._values import (
    decode,
    decode_estimator_parameters,
    encode,
    encode_parameters,
)
from sklearn_cnn.persistence._weights import check_values, encode_optimizer, restore_optimizer
from sklearn_cnn.runtime.device import has_device, new_tensors_on_cpu, resolve_device
from sklearn_cnn.runtime.equality import is_same
from sklearn_cnn.runtime.replaced_files import replace_file
from sklearn_cnn.runtime.warnings import warn

_MODULE, _OPTIMIZER = "module.", "optimizer."
_PRECISIONS = ("float32", "bf16")


def save_estimator(estimator, path):
    """Write a fitted estimator to a file; see `BaseCNN.save`."""
    replace_file(path, dumps(estimator))


def load_estimator(path, kind, architecture=None):
    """Return the estimator that `save_estimator` wrote; see `loads`."""
    name = repr(os.fspath(path))
    with _named(name):
        data = read_file(path)
    return loads(data, kind, architecture, name)


@new_tensors_on_cpu()
def dumps(estimator):
    """Return a fitted estimator as the bytes of a file.

    Parameters
    ----------
    estimator : CNNClassifier or CNNRegressor

    Returns
    -------
    bytes

    Raises
    ------
    TypeError
        If a label is neither a number nor text.
    ValueError
        If a parameter was set that cannot be used, or a weight is not finite.
    """
    estimator._validate_params()
    check_image_shape(estimator.image_shape)
    parameters, lost = encode_parameters(estimator.get_params(deep=False))
    if parameters.get("memory") is not None:
        # a folder of this machine, which a reader must not write into
        lost["memory"] = repr(parameters.pop("memory"))
    net = estimator.net_
    weights = {name: tensor.detach().cpu() for name, tensor in net.module_.state_dict().items()}
    _check_own_weights(weights)
    # the state of an optimizer that the parameters in the file will not make is of no use
    is_kept = "optimizer" not in lost and is_same(net.optimizer, estimator.optimizer)
    groups, state = encode_optimizer(net) if is_kept else (None, {})
    content = {
        "written_by": __version__,
        "estimator": type(estimator).__name__,
        "parameters": parameters,
        "not_saved": lost,
        "architecture": encode_structure(estimator._architecture),
        "fitted_architecture": encode_fitted(estimator._fitted_architecture),
        "images": encode_images(estimator),
        "pixels": estimator._pixel_range._asdict(),
        "target": encode_target(estimator._target),
        "training": _encode_training(estimator, net),
        "optimizer": groups,
    }
    tensors = {_MODULE + name: tensor for name, tensor in weights.items()}
    return pack(content, {**tensors, **{_OPTIMIZER + name: t for name, t in state.items()}})


def _check_own_weights(weights):
    try:
        check_values(weights)
    except ValueError as error:
        # bf16 gradients of torch's depthwise convolutions are undefined where a kernel sees nothing
        # but padding, which no prediction shows
        raise ValueError(
            f"A model that no reader would take is not saved: {error}. Fit with "
            'precision="float32" or a lower lr.'
        ) from error


@new_tensors_on_cpu()
@torch.inference_mode(False)
def loads(data, kind, architecture=None, name="the model"):
    """Return the estimator that `dumps` wrote.

    Parameters
    ----------
    data : bytes
        From anyone.
    kind : type
        The class of the estimator.
    architecture : Architecture, class or callable, default=None
        The user's own network, where one was saved.
    name : str, default="the model"
        What to call it in an error.

    Returns
    -------
    CNNClassifier or CNNRegressor

    Raises
    ------
    ValueError
        If `dumps` does not write such bytes, or `architecture` is missing or another.
    """
    with _named(name):
        values, tensors = unpack(data)
        content = Record(values, "content")
        content.take("written_by", text)
        _check_kind(content.take("estimator", text), kind)
        known = kind._get_param_names()
        parameters = content.take("parameters", decode_estimator_parameters, known)
        lost = content.take("not_saved", dict_of, known, text)
        structure = content.take("architecture", decode_structure, architecture, kind.__name__)
        is_given = architecture is not None
        if is_given or "architecture" in lost:
            parameters["architecture"] = structure
        estimator = kind(**parameters)
        estimator._validate_params()
        check_image_shape(estimator.image_shape)
        # what the file holds takes the place of learned weights that it would start from
        estimator._architecture = structure.without_weights()
        fitted = content.take("fitted_architecture", optional, decode)
        estimator._fitted_architecture = fitted_architecture(fitted, structure)
        set_images(estimator, *content.take("images", decode_images))
        estimator._pixel_range = content.take("pixels", decode_pixel_range)
        estimator._target = content.take("target", decode_target, targets_of(kind))
        shape, target = estimator.image_shape_, estimator._target
        weights = _part(tensors, _MODULE)
        module = build_module(estimator._architecture, shape, target, weights)
        net, fitted = content.take("training", _restore_training, estimator, module)
        groups = content.take("optimizer", optional, list_of, anything)
        if groups is not None:
            restore_optimizer(net, groups, _part(tensors, _OPTIMIZER))
        content.end()
        _check_names(tensors, (_MODULE,) if groups is None else (_MODULE, _OPTIMIZER))
    vars(estimator).update({**estimator._learned(net, None), **fitted})
    if is_given or isinstance(structure, TorchModule):
        lost.pop("architecture", None)
    _warn_of_lost(lost)
    return estimator


@new_tensors_on_cpu()
@torch.inference_mode(False)
def load_network(path):
    """Return the network that an estimator in a file has learned, and nothing else of it.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    LearnedNetwork

    Raises
    ------
    ValueError
        As `loads`.
    """
    with _named(repr(os.fspath(path))):
        values, tensors = unpack(read_file(path))
        content = Record(values, "content")
        kind = content.take("estimator", text)
        structure = content.take("architecture", decode_structure, None, kind)
        shape, *_, prepared = content.take("images", decode_images)
        pixels = content.take("pixels", decode_pixel_range)
        target = content.take("target", decode_target, TARGETS)
        module = build_module(structure, shape, target, _part(tensors, _MODULE))
    return LearnedNetwork(module, structure, shape[2], prepared["interpolation"], pixels)


@contextmanager
def _named(name):
    """Say which file an error speaks of."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name} cannot be loaded: {in_one_line(str(error))}.") from error


def _part(tensors, prefix):
    """Return the tensors whose names begin with a prefix, by the rest of their names."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _check_names(tensors, prefixes):
    unknown = sorted(name for name in tensors if not name.startswith(prefixes))
    if unknown:
        raise ValueError(f"it holds unknown tensors {unknown[:3]}")


def _check_kind(name, kind):
    if name != kind.__name__:
        raise ValueError(f"it holds a {name}: load it with {name}.load(path)")


def _encode_training(estimator, net):
    module = net.module_
    return {
        "seed": estimator._seed,
        "n_trainings": estimator._n_trainings,
        "class_weights": encode(estimator._class_weights),
        "balanced_weights": encode(getattr(estimator, "_balanced_weights", None)),
        "score_name": estimator._score_name,
        "best_validation_score": encode(estimator.best_validation_score_),
        "best_epoch": encode(estimator.best_epoch_),
        "history": [{k: encode(v) for k, v in row.items()} for row in net.history_],
        "lr": float(net.lr),
        "precision": estimator._precision,
        "prediction_precision": estimator._prediction_precision,
        "frozen": [name for name, p in module.named_parameters() if not p.requires_grad],
        "lr_ratios": net.lr_ratios,
        "unfreeze_after": estimator._fine_tuning.unfreeze_after,
        "recipe": asdict(estimator._recipe),
        "is_from_scratch": estimator._is_from_scratch,
    }


def _restore_training(entries, name, estimator, module):
    """Set how training goes on; return the net, and the attributes that it does not know."""
    record, target = Record(entries, name), estimator._target
    estimator._seed = record.take("seed", integer, 0, 2**64)
    estimator._n_trainings = record.take("n_trainings", integer, 1, 2**32)
    estimator._class_weights = record.take("class_weights", optional, decode_class_weights, target)
    balanced = record.take("balanced_weights", optional, decode_class_weights, target)
    if balanced is not None:
        estimator._balanced_weights = balanced
    fitted = {
        "_score_name": record.take("score_name", text),
        "best_validation_score_": record.take("best_validation_score", optional, number),
        "best_epoch_": record.take("best_epoch", optional, integer, 1, 2**32),
    }
    parameters = dict(module.named_parameters())
    for frozen in record.take("frozen", list_of, one_of, parameters):
        parameters[frozen].requires_grad_(False)
    ratios = record.take("lr_ratios", dict_of, parameters, number, 0)
    unfreeze_after = record.take("unfreeze_after", optional, decode_unfreezing)
    estimator._fine_tuning = FineTuning(ratios, unfreeze_after)
    estimator._recipe = record.take("recipe", decode_recipe)
    # files of before trained on images as they were
    estimator._is_from_scratch = record.take_or(False, "is_from_scratch", boolean)
    estimator._resolve_augmentation()
    net = estimator._make_net(module, estimator._fine_tuning, _device_for(estimator))
    net.lr = record.take("lr", number, 0)
    estimator._precision = record.take("precision", one_of, _PRECISIONS)
    estimator._prediction_precision = record.take("prediction_precision", one_of, _PRECISIONS)
    net.history_.extend(record.take("history", list_of, decode_history_row))
    record.end()
    return net, fitted


def _device_for(estimator):
    if has_device(estimator.device):
        return resolve_device(estimator.device)
    warn(
        f"The estimator was saved with device={estimator.device!r}, which this machine does not "
        "have: it is on the CPU now.",
    )
    return torch.device("cpu")


def _warn_of_lost(lost):
    if lost:
        described = ", ".join(f"{name}={value}" for name, value in lost.items())
        warn(
            "A saved estimator holds plain values only, so these parameters did not come back: "
            f"{in_one_line(described)}. Predictions do not need them; set them again before you "
            "train on.",
        )

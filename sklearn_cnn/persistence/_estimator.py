"""Estimators to the content of a file and back: what was learned, by fixed lists.

`docs/file_format.md` describes the layout. Whatever comes out of a file passes a check of its type
and range first, layers are built without memory until their shapes are those of the file's
tensors, and nothing is opened, fetched or imported because a file says so.
"""

import math
import os
from contextlib import contextmanager

import numpy as np
import torch
from sklearn.base import ClassifierMixin

from sklearn_cnn._version import __version__
from sklearn_cnn.architectures import Architecture, ConvNet, ResNet, TorchModule, TorchvisionModel
from sklearn_cnn.architectures._assembly import (
    as_module,
    assemble,
    in_channels_last,
)
from sklearn_cnn.architectures._fine_tuning import FineTuning
from sklearn_cnn.architectures._finetuned import LearnedNetwork
from sklearn_cnn.architectures._registry import as_architecture
from sklearn_cnn.architectures._standardize import Standardize
from sklearn_cnn.images import pixel_statistics
from sklearn_cnn.persistence._checks import (
    Record,
    anything,
    boolean,
    dict_of,
    integer,
    list_of,
    number,
    one_of,
    optional,
    text,
)
from sklearn_cnn.persistence._container import pack, unpack
from sklearn_cnn.persistence._files import read_file, replace_file
from sklearn_cnn.persistence._values import (
    decode,
    decode_estimator_parameters,
    decode_parameters,
    encode,
    encode_architecture,
    encode_parameters,
)
from sklearn_cnn.persistence._weights import (
    check_output_shape,
    check_values,
    check_weights,
    encode_optimizer,
    layers_without_memory,
    restore_optimizer,
)
from sklearn_cnn.runtime.device import has_device, new_tensors_on_cpu, resolve_device
from sklearn_cnn.runtime.equality import is_same
from sklearn_cnn.runtime.seeds import float32_by_default, seeded
from sklearn_cnn.runtime.warnings import warn
from sklearn_cnn.targets import Continuous, MultiLabel, SingleLabel

_MODULE, _OPTIMIZER = "module.", "optimizer."
_PRECISIONS = ("float32", "bf16")
_TARGETS = ("labels", "indicator", "numbers")
_DTYPES: dict[str, type] = {"float32": np.float32, "float64": np.float64}
_LARGEST_SIDE, _MOST_OUTPUTS = 2**20, 2**24
# Values of an image that a network of the user's own, which may look at one, is built for.
_LARGEST_IMAGE = 2**28
_BUILT_FROM_A_FILE = (ConvNet, ResNet, TorchvisionModel)


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
    estimator._check_same_image_shape()
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
    names = getattr(estimator, "feature_names_in_", None)
    content = {
        "written_by": __version__,
        "estimator": type(estimator).__name__,
        "parameters": parameters,
        "not_saved": lost,
        "architecture": _encode_structure(estimator._architecture),
        "fitted_architecture": _encode_fitted(estimator._fitted_architecture),
        "images": {
            "shape": list(estimator.image_shape_),
            "n_features": getattr(estimator, "n_features_in_", None),
            "feature_names": None if names is None else names.tolist(),
        },
        "target": _encode_target(estimator._target),
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
        structure = content.take("architecture", _structure, architecture, kind.__name__)
        is_given = architecture is not None
        if is_given or "architecture" in lost:
            parameters["architecture"] = structure
        estimator = kind(**parameters)
        estimator._validate_params()
        estimator._architecture = structure
        fitted = content.take("fitted_architecture", optional, decode)
        estimator._fitted_architecture = _fitted_architecture(fitted, structure)
        _set_images(estimator, *content.take("images", _images))
        # which prediction resizes to
        estimator._check_same_image_shape()
        estimator._target = content.take("target", _target, _targets_of(kind))
        shape, n_outputs = estimator.image_shape_, estimator._target.n_outputs
        module = _module(structure, shape, n_outputs, _part(tensors, _MODULE))
        net, fitted = content.take("training", _restore_training, estimator, module)
        groups = content.take("optimizer", optional, list_of, anything)
        if groups is not None:
            restore_optimizer(net, groups, _part(tensors, _OPTIMIZER))
        content.end()
    vars(estimator).update({**estimator._learned(net, None), **fitted})
    if is_given or isinstance(structure, TorchModule):
        lost.pop("architecture", None)
    _warn_of_lost(lost)
    return estimator


@new_tensors_on_cpu()
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
        structure = content.take("architecture", _structure, None, kind)
        shape, *_ = content.take("images", _images)
        n_outputs = content.take("target", _target, _TARGETS).n_outputs
        module = _module(structure, shape, n_outputs, _part(tensors, _MODULE))
    return LearnedNetwork(module, structure, shape[2])


@contextmanager
def _named(name):
    """Say which file an error speaks of."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name} cannot be loaded: {error}.") from error


def is_built_from_a_file(architecture):
    """Return whether `loads` can build an architecture that it is not passed."""
    return type(architecture) in _BUILT_FROM_A_FILE


def _part(tensors, prefix):
    """Return the tensors whose names begin with a prefix, by the rest of their names."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _check_kind(name, kind):
    if name != kind.__name__:
        raise ValueError(f"it holds a {name}: load it with {name}.load(path)")


def _encode_fitted(architecture):
    """Encode what `architecture` was in the fit, or return None if that needs code."""
    try:
        return encode_architecture(architecture)
    except TypeError:
        return None


def _fitted_architecture(decoded, structure):
    """Return what training that goes on is compared with; what a file cannot hold is given."""
    if decoded is not None and not isinstance(decoded, Architecture):
        raise ValueError("fitted_architecture is no architecture")
    return structure if decoded is None else decoded


def _encode_structure(architecture):
    """Encode what builds the layers; of the user's own class only its name and parameters."""
    try:
        return encode_architecture(architecture)
    except TypeError:
        own = architecture.params if isinstance(architecture, TorchModule) else {}
        return {"own": repr(architecture), "parameters": encode_parameters(own)[0]}


def _structure(saved, name, given, kind):
    """Return the architecture that builds the layers."""
    own, parameters = None, {}
    if isinstance(saved, dict) and "own" in saved:
        record = Record(saved, name)
        own = record.take("own", text)
        parameters = record.take("parameters", anything)
        parameters = decode_parameters(parameters, name, parameters)
        record.end()
    if given is not None:
        architecture = as_architecture(given)
        if own is not None and isinstance(architecture, TorchModule):
            parameters = {**parameters, **architecture.params}
            architecture = TorchModule(architecture.module, **parameters)
        return architecture
    if own is not None:
        load = f"{kind}.load(path, architecture=...)"
        raise ValueError(
            f"it was saved with a network of your own, {own}, whose code is not in the file. Pass "
            f"its class again: {load}. To start from it, write "
            f"Finetuned(FrozenEstimator({load}))"
        )
    architecture = decode(saved, name)
    if not is_built_from_a_file(architecture) or getattr(architecture, "weights", None):
        raise ValueError(f"{name} is none that builds layers")
    return architecture


def _images(entries, name):
    """Return the shape of images, and the number and names of scikit-learn's features, or None."""
    record = Record(entries, name)
    shape = record.take("shape", list_of, integer, 1, _LARGEST_SIDE)
    if len(shape) != 3:
        raise ValueError(f"{name}.shape is not height, width and channels")
    n_features = record.take("n_features", optional, integer, 1, math.prod(shape))
    names = record.take("feature_names", optional, list_of, text)
    record.end()
    if n_features not in (None, 1, math.prod(shape)):
        raise ValueError(f"{name}.n_features does not agree with the images")
    if names is not None and len(names) != n_features:
        raise ValueError(f"{name}.feature_names are not as many as the features")
    return tuple(shape), n_features, names


def _set_images(estimator, shape, n_features, names):
    estimator.image_shape_ = shape
    if n_features is not None:
        estimator.n_features_in_ = n_features
    if names is not None:
        estimator.feature_names_in_ = np.array(names, dtype=object)


def _encode_target(target):
    if isinstance(target, SingleLabel):
        return {"kind": "labels", "classes": encode(target.classes)}
    if isinstance(target, MultiLabel):
        return {"kind": "indicator", "n_labels": target.n_outputs}
    return {
        "kind": "numbers",
        "is_1d": target.is_1d,
        "dtype": np.dtype(target.dtype).name,
        "mean": encode(target.mean),
        "scale": encode(target.scale),
    }


def _targets_of(kind):
    return _TARGETS[:2] if issubclass(kind, ClassifierMixin) else _TARGETS[2:]


def _target(entries, name, expected):
    record = Record(entries, name)
    target: SingleLabel | MultiLabel | Continuous
    what = record.take("kind", one_of, expected)
    if what == "labels":
        classes = record.take("classes", _array)
        if classes.ndim != 1 or not 1 <= len(classes) == len(set(classes.tolist())):
            raise ValueError(f"{name}.classes are not distinct labels")
        target = SingleLabel(classes)
    elif what == "indicator":
        target = MultiLabel(record.take("n_labels", integer, 1, _MOST_OUTPUTS))
    else:
        target = _numbers(record, name)
    record.end()
    return target


def _numbers(record, name):
    target = Continuous.__new__(Continuous)
    target.is_1d = record.take("is_1d", boolean)
    target.dtype = _DTYPES[record.take("dtype", one_of, _DTYPES)]
    target.mean = record.take("mean", _array, "f")
    target.scale = record.take("scale", _array, "f")
    target.n_outputs = target.mean.size
    shape = (1,) if target.is_1d else (target.n_outputs,)
    if target.mean.shape != shape or target.scale.shape != shape or (target.scale <= 0).any():
        raise ValueError(f"{name}: mean and scale are not those of numbers")
    return target


def _array(value, name, kinds="biufOSUmM"):
    array = decode(value, name)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds or array.size == 0:
        raise ValueError(f"{name} is no array that belongs there")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} holds numbers that are not finite")
    return array


def _class_weights(value, name, target):
    weights = _array(value, name, "f")
    several = isinstance(target, MultiLabel)
    if weights.shape != (target.n_outputs, *(2,) * several) or (weights < 0).any():
        raise ValueError(f"{name} are not weights of the classes")
    return weights


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
        "will_unfreeze": net.with_frozen,
    }


def _restore_training(entries, name, estimator, module):
    """Set how training goes on; return the net, and the attributes that it does not know."""
    record, target = Record(entries, name), estimator._target
    estimator._seed = record.take("seed", integer, 0, 2**64)
    estimator._n_trainings = record.take("n_trainings", integer, 1, 2**32)
    estimator._class_weights = record.take("class_weights", optional, _class_weights, target)
    balanced = record.take("balanced_weights", optional, _class_weights, target)
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
    will_unfreeze = record.take("will_unfreeze", boolean)
    plan = FineTuning(ratios, unfreeze_after=1 if will_unfreeze else None)
    with torch.inference_mode(False):
        net = estimator._make_net(module, plan, _device_for(estimator))
    net.lr = record.take("lr", number, 0)
    estimator._precision = record.take("precision", one_of, _PRECISIONS)
    estimator._prediction_precision = record.take("prediction_precision", one_of, _PRECISIONS)
    net.history_.extend(record.take("history", list_of, _history_row))
    record.end()
    return net, fitted


def _history_row(entries, name):
    if not isinstance(entries, dict) or "train_loss" not in entries:
        raise ValueError(f"{name} is no epoch")
    row = {key: decode(value, f"{name}.{key}") for key, value in entries.items()}
    for key in {"train_loss", "valid_score"} & row.keys():
        if type(row[key]) not in (int, float):
            raise ValueError(f"{name}.{key} is no number")
    return row


@torch.inference_mode(False)
def _module(structure, image_shape, n_outputs, weights):
    """Build the module anew, with the weights of the file in place of any of its own."""
    height, width, channels = image_shape
    is_ours = is_built_from_a_file(structure)
    # layers may draw numbers, and get torch's default dtype
    with seeded(0, torch.device("cpu")), float32_by_default():
        if is_ours:
            with layers_without_memory(len(weights)):
                network = structure.build(channels, (height, width), n_outputs)
                unknown = torch.empty(channels)
                module = as_module(Standardize(unknown, unknown), network)
        else:
            if height * width * channels > _LARGEST_IMAGE:
                raise ValueError(f"its images of {image_shape} are too large")
            blank = torch.zeros((1, height, width, channels))
            pixels = pixel_statistics(blank, torch.arange(1))
            module = assemble(structure, pixels, n_outputs)
    check_weights(weights, module.state_dict())
    if is_ours:
        check_output_shape(module, image_shape, n_outputs)
    # torch keeps the versions of layers in a state dict of its own
    state = module.state_dict()
    state.update(weights)
    module.load_state_dict(state, assign=True)
    # torch would ask for the memory of a tensor that no file can hold at its first use
    if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        raise ValueError("its network holds tensors that are not in the file")
    return in_channels_last(module)


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
            f"A saved estimator holds plain values only, so these parameters did not come back: "
            f"{described}. Predictions do not need them; set them again before you train on.",
        )

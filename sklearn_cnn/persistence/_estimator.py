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

import sklearn_cnn
from sklearn_cnn._warnings import warn
from sklearn_cnn.architectures import ConvNet, ResNet, TorchModule, TorchvisionModel
from sklearn_cnn.architectures._assembly import (
    as_module,
    assemble,
    describe,
    in_channels_last,
)
from sklearn_cnn.architectures._registry import as_architecture
from sklearn_cnn.architectures._standardize import Standardize
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
from sklearn_cnn.targets import Continuous, MultiLabel, SingleLabel
from sklearn_cnn.training.device import (
    float32_by_default,
    has_device,
    new_tensors_on_cpu,
    resolve_device,
    seeded,
)
from sklearn_cnn.training.finetuning import FineTuning
from sklearn_cnn.training.going_on import ingredients, parts_to_renew

_MODULE, _OPTIMIZER = "module.", "optimizer."
_PRECISIONS = ("float32", "bf16")
_DTYPES: dict[str, type] = {"float32": np.float32, "float64": np.float64}
_LARGEST_SIDE, _MOST_OUTPUTS = 2**20, 2**24
# Values of an image that a network of the user's own, which may look at one, is built for.
_LARGEST_IMAGE = 2**28
_BUILT_FROM_A_FILE = (ConvNet, ResNet, TorchvisionModel)


def save_estimator(estimator, path):
    """Write a fitted estimator to a file; see `BaseCNN.save`."""
    replace_file(path, dumps(estimator))


def load_estimator(path, architecture=None, kind=None):
    """Return the estimator that `save_estimator` wrote; see `loads`."""
    name = repr(os.fspath(path))
    with _named(name):
        data = read_file(path)
    return loads(data, architecture, kind, name)


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
    estimator._check_parameters()
    estimator._check_same_image_shape()
    parameters, lost = encode_parameters(estimator.get_params(deep=False))
    if parameters.get("memory") is not None:
        # a folder of this machine, which a reader must not write into
        lost["memory"] = repr(parameters.pop("memory"))
    net = estimator.net_
    weights = {name: tensor.detach().cpu() for name, tensor in net.module_.state_dict().items()}
    _check_own_weights(weights)
    # what the parameters in the file will not make again is of no use
    renewed = parts_to_renew(estimator._made_of, ingredients(estimator), lost)
    groups, state = (None, {}) if "optimizer" in renewed else encode_optimizer(net)
    names = getattr(estimator, "feature_names_in_", None)
    content = {
        "written_by": sklearn_cnn.__version__,
        "estimator": type(estimator).__name__,
        "parameters": parameters,
        "not_saved": lost,
        "architecture": _encode_structure(estimator._architecture),
        "described": estimator._described,
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
def loads(data, architecture=None, kind=None, name="the model"):
    """Return the estimator that `dumps` wrote.

    Parameters
    ----------
    data : bytes
        From anyone.
    architecture : Architecture, class or callable, default=None
        The user's own network, where one was saved.
    kind : type, default=None
        A class of estimators beside ours that the file may hold.
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
        estimator_class = _estimator_class(content.take("estimator", text), kind)
        known = estimator_class._get_param_names()
        parameters = content.take("parameters", decode_estimator_parameters, known)
        lost = content.take("not_saved", dict_of, known, text)
        structure = content.take("architecture", _structure, architecture, estimator_class)
        is_given = architecture is not None
        if is_given or "architecture" in lost:
            parameters["architecture"] = structure
        estimator = estimator_class(**parameters)
        estimator._check_parameters()
        estimator._architecture = structure
        estimator._described = content.take("described", text)
        if estimator.architecture is structure:
            # it took the place of what the file could not hold
            estimator._described = describe(structure)
        content.take("images", _restore_images, estimator)
        # which prediction resizes to
        estimator._check_same_image_shape()
        estimator._target = content.take("target", _target, estimator_class)
        module = _module(structure, estimator, _part(tensors, _MODULE))
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


def _estimator_class(name, kind):
    kinds = {k.__name__: k for k in (sklearn_cnn.CNNClassifier, sklearn_cnn.CNNRegressor)}
    if kind is not None:
        kinds.setdefault(kind.__name__, kind)
    found = kinds.get(name)
    if found is None or (kind is not None and not issubclass(found, kind)):
        raise ValueError(f"it holds a {name}: load it with {name}.load(path)")
    return found


def _encode_structure(architecture):
    """Encode what builds the layers; of the user's own class only its name and parameters."""
    try:
        return encode_architecture(architecture)
    except TypeError:
        own = architecture.params if isinstance(architecture, TorchModule) else {}
        return {"own": repr(architecture), "parameters": encode_parameters(own)[0]}


def _structure(saved, name, given, estimator_class):
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
        load = f"{estimator_class.__name__}.load(path, architecture=...)"
        raise ValueError(
            f"it was saved with a network of your own, {own}, whose code is not in the file. Pass "
            f"its class again: {load}. To start from it, write "
            f"Finetuned(FrozenEstimator({load}))"
        )
    architecture = decode(saved, name)
    if not is_built_from_a_file(architecture) or getattr(architecture, "weights", None):
        raise ValueError(f"{name} is none that builds layers")
    return architecture


def _restore_images(entries, name, estimator):
    """Set what the estimator learned of the images' form."""
    record = Record(entries, name)
    shape = record.take("shape", list_of, integer, 1, _LARGEST_SIDE)
    if len(shape) != 3:
        raise ValueError(f"{name}.shape is not height, width and channels")
    estimator.image_shape_ = tuple(shape)
    n_features = record.take("n_features", optional, integer, 1, math.prod(shape))
    names = record.take("feature_names", optional, list_of, text)
    record.end()
    if n_features is not None:
        if n_features not in (1, math.prod(shape)):
            raise ValueError(f"{name}.n_features does not agree with the images")
        estimator.n_features_in_ = n_features
    if names is not None:
        if len(names) != n_features:
            raise ValueError(f"{name}.feature_names are not as many as the features")
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


def _target(entries, name, estimator_class):
    record = Record(entries, name)
    target: SingleLabel | MultiLabel | Continuous
    is_classifier = issubclass(estimator_class, sklearn_cnn.CNNClassifier)
    kind = record.take("kind", one_of, ("labels", "indicator") if is_classifier else ("numbers",))
    if kind == "labels":
        classes = record.take("classes", _array)
        if classes.ndim != 1 or not 1 <= len(classes) == len(set(classes.tolist())):
            raise ValueError(f"{name}.classes are not distinct labels")
        target = SingleLabel(classes)
    elif kind == "indicator":
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
    module, plan = net.module_, net.fine_tuning
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
        "precision": net.precision,
        "prediction_precision": net.prediction_precision,
        "frozen": [name for name, p in module.named_parameters() if not p.requires_grad],
        "lr_ratios": plan.lr_ratios,
        "unfreeze_after": plan.unfreeze_after,
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
    plan = FineTuning(ratios, record.take("unfreeze_after", optional, integer, 1, 2**32))
    with torch.inference_mode(False):
        net = estimator._wrap(module, plan, estimator.lr_schedule, _device_for(estimator))
    net.lr = record.take("lr", number, 0)
    net.precision = record.take("precision", one_of, _PRECISIONS)
    net.prediction_precision = record.take("prediction_precision", one_of, _PRECISIONS)
    net.history_.extend(record.take("history", list_of, _history_row))
    net.has_stepped_ = True
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
def _module(structure, estimator, weights):
    """Build the module anew, with the weights of the file in place of any of its own."""
    height, width, channels = estimator.image_shape_
    n_outputs = estimator._target.n_outputs
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
                raise ValueError(f"its images of {estimator.image_shape_} are too large")
            image = torch.zeros((1, height, width, channels))
            module = assemble(structure, image, torch.arange(1), n_outputs)
    check_weights(weights, module.state_dict())
    if is_ours:
        check_output_shape(module, estimator.image_shape_, n_outputs)
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

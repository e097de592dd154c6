"""From pixels as the user has them to what the estimator answers, in one module of torch."""

import copy

import numpy as np
import torch
from torch import nn

from sklearn_cnn.targets import Continuous, MultiLabel, Quantiles

# Methods that an export may answer as; the first that an estimator has is the usual one.
OUTPUTS = ("predict_proba", "predict", "decision_function", "transform")


class ExportedModule(nn.Module):
    """From pixels as the user has them to what the estimator answers.

    Parameters
    ----------
    core : nn.Module
        Maps images of shape (b, C, H, W) to outputs.
    answer : nn.Module
        Maps outputs to the answer.
    image_shape : tuple of (int, int, int)
        Height, width and channels.
    channel_axis : {-1, 1}
        Where images of four dimensions keep their channels.
    """

    def __init__(self, core, answer, image_shape, channel_axis):
        super().__init__()
        height, width, channels = image_shape
        self.core, self.answer, self.channel_axis = core, answer, channel_axis
        self.shape = (channels, height, width) if channel_axis == 1 else (height, width, channels)
        # by the number of dimensions of a batch
        self.forms = {4: self.shape, 2: (height * width * channels,)}
        if channels == 1:
            self.forms[3] = (height, width)

    def forward(self, images):
        """Return the answer for images.

        Parameters
        ----------
        images : Tensor of shape (b, H, W, C) or (b, C, H, W), (b, H, W) or (b, H*W*C)
            Pixels, uint8 or floats, as the estimator takes them.

        Returns
        -------
        Tensor of shape (b,), (b, k), (b, H, W) or (b, H, W, k)
            What the method of the estimator returns; for labels their indices in `classes_`.
        """
        # a trace would say that it cannot hold what is asked here
        if not torch.jit.is_tracing() and images.shape[1:] != self.forms.get(images.ndim):
            raise ValueError(
                f"images have shape {tuple(images.shape)}, but a batch of shape "
                f"{('b', *self.shape)} is expected."
            )
        if images.dtype != torch.uint8:
            images = images.float()
        images = images.flatten(1).unflatten(1, self.shape)
        if self.channel_axis == -1:
            images = images.permute(0, 3, 1, 2)
        return self.answer(self.core(images))


def exported_module(core, target, output, image_shape, channel_axis):
    """Return a module of its own, on the CPU, that answers what a method of an estimator does.

    Parameters
    ----------
    core : nn.Module
        Maps images of shape (b, C, H, W) to outputs; it is copied.
    target : SingleLabel, MultiLabel or Continuous
    output : {"predict_proba", "predict", "decision_function", "transform"}
        The method.
    image_shape : tuple of (int, int, int)
    channel_axis : {-1, 1}

    Returns
    -------
    ExportedModule
        In evaluation mode.
    """
    answer = nn.Identity() if output == "transform" else _ANSWERS[output](target)
    if target.is_map and output != "transform":
        answer = nn.Sequential(answer, _ValuesLast())
    # torch.export.save takes weights in channels_last for parts of others, and warns
    core = copy.deepcopy(core).to("cpu", memory_format=torch.contiguous_format)
    return ExportedModule(core, answer, image_shape, channel_axis).eval()


def answers_of(outputs, target, output):
    """Return what the method of an estimator returns for outputs of its network.

    Parameters
    ----------
    outputs : ndarray of shape (n, k) or (n, k, H, W)
    target : SingleLabel, MultiLabel or Continuous
    output : {"predict_proba", "predict", "decision_function", "transform"}

    Returns
    -------
    ndarray of shape (n,), (n, k), (n, H, W) or (n, H, W, k)
    """
    if output == "transform":
        return outputs
    if target.is_map:
        keep = getattr(target, _KEEPS[output])
        kept = keep(torch.from_numpy(outputs)).numpy()
        return target.decode(kept) if output == "predict" else kept
    methods = {
        "predict_proba": "probabilities",
        "predict": "decode",
        "decision_function": "decision",
    }
    return getattr(target, methods[output])(outputs)


def labels_of(answers, target, output):
    """Return the labels or numbers that answers stand for.

    Parameters
    ----------
    answers : ndarray of shape (n,), (n, k), (n, H, W) or (n, H, W, k)
    target : SingleLabel, MultiLabel or Continuous
    output : {"predict_proba", "predict", "decision_function"}

    Returns
    -------
    ndarray of the same shape, or without its last axis
    """
    if output == "predict":
        return answers
    if target.is_map:
        # what is kept of logits, which have the values of a pixel second
        is_margin = answers.ndim == 3
        scores = np.stack([-answers, answers]) if is_margin else np.moveaxis(answers, -1, 0)
        least = 0.5 if output == "predict_proba" else 0.0
        return target.decode(target.keep(torch.from_numpy(scores - least).movedim(0, 1)).numpy())
    if output == "predict_proba":
        # as logits have it: the largest, or all above zero
        return target.decode(answers - 0.5)
    return target.decode(np.column_stack([-answers, answers]) if answers.ndim == 1 else answers)


def _probabilities(target):
    return nn.Sigmoid() if isinstance(target, MultiLabel) else nn.Softmax(dim=1)


def _decision(target):
    is_binary = not isinstance(target, MultiLabel) and target.n_outputs == 2
    return _Margin() if is_binary else nn.Identity()


def _prediction(target):
    if isinstance(target, Continuous):
        return _ToUnits(target)
    return _Indicator() if isinstance(target, MultiLabel) else _LargestIndex()


_ANSWERS = {
    "predict_proba": _probabilities,
    "predict": _prediction,
    "decision_function": _decision,
}


# What of the logits of each pixel a method returns.
_KEEPS = {
    "predict_proba": "keep_probabilities",
    "predict": "keep",
    "decision_function": "keep_decision",
}


class _ValuesLast(nn.Module):
    """Maps with the values of a pixel last, as the estimators return them."""

    def forward(self, maps):
        return maps.permute(0, 2, 3, 1) if maps.ndim == 4 else maps


class _Margin(nn.Module):
    """How far the second class is ahead of the first."""

    def forward(self, logits):
        return logits[:, 1] - logits[:, 0]


class _LargestIndex(nn.Module):
    """The index of the largest logit."""

    def forward(self, logits):
        return logits.argmax(dim=1)


class _Indicator(nn.Module):
    """The labels of positive logits, as 0 and 1."""

    def forward(self, logits):
        return (logits > 0).long()


class _ToUnits(nn.Module):
    """Numbers in the user's units, float32 where that does not round what was learned."""

    scale: torch.Tensor
    mean: torch.Tensor

    def __init__(self, target):
        super().__init__()
        self.is_1d = target.is_1d
        self.are_quantiles = isinstance(target, Quantiles)
        rounding = np.finfo(np.float32).eps * np.abs(target.mean)
        is_exact = (rounding < 1e-5 * target.scale) & (np.abs(np.log10(target.scale)) < 30)
        dtype = torch.float32 if is_exact.all() else torch.float64
        # of maps the values of a pixel are the second axis
        shape = (-1, 1, 1) if target.is_map else (-1,)
        self.register_buffer("scale", torch.tensor(target.scale, dtype=dtype).reshape(shape))
        self.register_buffer("mean", torch.tensor(target.mean, dtype=dtype).reshape(shape))

    def forward(self, outputs):
        y = outputs.to(self.scale.dtype) * self.scale + self.mean
        if self.are_quantiles:
            # as `predict` has them, which do not cross
            return y.sort(dim=1).values
        return y[:, 0] if self.is_1d else y

"""What is minimized: losses of values and of maps, and how samples and pixels are weighted."""

import copy
import inspect
from itertools import pairwise
from numbers import Real
from typing import NamedTuple

import torch
from torch import nn

from sklearn_cnn.runtime.warnings import warn

# What torch's losses leave out; their `ignore_index`.
_NOT_COUNTED = -100

# What the loss of an auxiliary head counts beside that of the last layer, as in torchvision's
# references/segmentation/train.py.
_AUX_WEIGHT = 0.5

# Losses whose targets can be mixed with the uniform distribution.
_SMOOTHED = ("auto", "log_loss", "dice+log_loss")

# What a y may hold.
ONE_LABEL, SEVERAL_LABELS, NUMBERS = "one label an image", "several labels an image", "numbers"

# What each loss of torch's expects; it fits a y that holds just that.
_EXPECTATIONS = {
    nn.CrossEntropyLoss: ONE_LABEL,
    nn.MultiMarginLoss: ONE_LABEL,
    nn.BCEWithLogitsLoss: SEVERAL_LABELS,
    nn.MultiLabelSoftMarginLoss: SEVERAL_LABELS,
    nn.MSELoss: NUMBERS,
    nn.L1Loss: NUMBERS,
    nn.SmoothL1Loss: NUMBERS,
    nn.HuberLoss: NUMBERS,
    nn.NLLLoss: "log-probabilities, but the network returns logits",
    nn.KLDivLoss: "log-probabilities, but the network returns logits",
    nn.BCELoss: "probabilities, but the network returns logits",
    nn.PoissonNLLLoss: "counts, but numbers are standardized inside",
    nn.GaussianNLLLoss: "a variance besides outputs and targets",
    nn.SoftMarginLoss: "labels -1 and 1, but an indicator holds 0 and 1",
    nn.HingeEmbeddingLoss: "distances, and -1 or 1 for each",
    nn.MultiLabelMarginLoss: "lists of labels, but several labels come as an indicator",
    nn.CosineEmbeddingLoss: "pairs of outputs",
    nn.MarginRankingLoss: "pairs of outputs",
    nn.TripletMarginLoss: "triplets of outputs",
    nn.TripletMarginWithDistanceLoss: "triplets of outputs",
    nn.CTCLoss: "sequences of labels",
}

# Those of torch's that take no values of pixels.
_OF_IMAGES_ALONE = (nn.MultiMarginLoss, nn.MultiLabelSoftMarginLoss)


class BinaryHingeLoss(nn.Module):
    """Hinge loss of 0/1 targets, `max(0, 1 - s z)` for logits z and signs s.

    Parameters
    ----------
    reduction : {"mean", "none"}, default="mean"
        Whether the losses are averaged.
    """

    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, logits, target):
        """Compute the loss."""
        losses = torch.relu(1 - (2 * target - 1) * logits)
        return losses.mean() if self.reduction == "mean" else losses


class BinaryLogLoss(nn.BCEWithLogitsLoss):
    """Cross-entropy of a sigmoid, of 0/1 targets that are mixed with one half [1]_.

    Parameters
    ----------
    label_smoothing : float, default=0.0
        How much of each target is one half, in [0, 1).

    References
    ----------
    .. [1] C. Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR
       2016.
    """

    def __init__(self, label_smoothing=0.0):
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits, target):
        """Compute the loss."""
        smooth = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        return super().forward(logits, smooth)


class QuantileLoss(nn.Module):
    """Pinball loss, whose minimum is the quantile of the target [1]_.

    Parameters
    ----------
    quantile : float or sequence of float
        The quantile in (0, 1), or that of each output.
    reduction : {"mean", "none"}, default="mean"
        Whether the losses are averaged.

    References
    ----------
    .. [1] R. Koenker, G. Bassett, "Regression quantiles", Econometrica 46, 1978.
    """

    def __init__(self, quantile, reduction="mean"):
        super().__init__()
        self.quantile = quantile
        self.reduction = reduction

    def forward(self, outputs, target):
        """Compute the loss."""
        missing, quantile = target - outputs, outputs.new_tensor(self.quantile)
        losses = torch.maximum(quantile * missing, (quantile - 1) * missing)
        return losses.mean() if self.reduction == "mean" else losses


class MixedTargets(NamedTuple):
    """Two targets for each image of a batch, and the weight that each of them has in its loss."""

    first: torch.Tensor
    first_weight: torch.Tensor
    second: torch.Tensor
    second_weight: torch.Tensor


class WeightedLoss(nn.Module):
    """A loss that takes a weight for each sample.

    Parameters
    ----------
    loss : nn.Module
        Maps logits and targets to a loss; it is copied. Where it has a `reduction`, that is
        set to "none", so that samples can be weighted.
    """

    def __init__(self, loss):
        super().__init__()
        # logits are float32
        self.loss = copy.deepcopy(loss).float()
        self.takes_weights = hasattr(loss, "reduction")
        if self.takes_weights:
            self.loss.reduction = "none"
        # whether targets may hold NaN; to look at each batch would keep a device waiting
        self.leaves_out_missing = False

    def forward(self, logits, target, weight=None):
        """Return the mean over the batch of the weighted losses of its samples.

        The loss of `MixedTargets` is the sum of their two. Of targets that hold NaN it is the mean
        over the numbers that are there. Of the logits of two heads, a dict of "out" and "aux", it
        is that of the first plus half that of the second.
        """
        if isinstance(logits, dict):
            out, aux = (self(logits[head], target, weight) for head in ("out", "aux"))
            return out + _AUX_WEIGHT * aux
        if isinstance(target, MixedTargets):
            first = self(logits, target.first, target.first_weight)
            return first + self(logits, target.second, target.second_weight)
        if self.leaves_out_missing:
            return self._of_known(logits, target, weight)
        losses = self._losses(logits, target)
        if weight is None:
            return losses.mean()
        return (losses.reshape(len(weight), -1).mean(dim=1) * weight).mean()

    def _losses(self, logits, target):
        """Return what the loss returns; raise if nothing could be learned from it."""
        losses = self.loss(logits, target)
        if not isinstance(losses, torch.Tensor):
            raise TypeError(
                f"loss={type(self.loss).__name__} must return a tensor, got a "
                f"{type(losses).__name__}: compute it by torch, without .item() or NumPy."
            )
        if logits.requires_grad and not losses.requires_grad:
            raise ValueError(
                f"loss={type(self.loss).__name__} returned a tensor without a gradient: compute it "
                "of the logits by torch, without detach() or no_grad()."
            )
        return losses

    def _of_known(self, logits, target, weight):
        """Return the mean of the weighted losses of the targets that are not NaN."""
        known = ~target.isnan()
        losses = self._losses(logits, target.nan_to_num())
        if losses.shape != target.shape:
            raise ValueError(
                "y holds NaN, which needs a loss of each number: with reduction='none' "
                f"{type(self.loss).__name__} returned {tuple(losses.shape)} for targets of shape "
                f"{tuple(target.shape)}. Return that shape, or leave out rows with NaN."
            )
        losses = torch.where(known, losses, 0)
        losses = losses if weight is None else losses * weight[:, None]
        # a batch may have none
        return losses.sum() / known.sum().clamp(min=1)


class MapLoss(WeightedLoss):
    """A loss of maps: the mean over the pixels that count.

    Parameters
    ----------
    loss : nn.Module
        Maps logits of shape (b, k, H, W), and targets as `read` returns them, to a loss; it is
        copied. Where it has a `reduction`, that is set to "none": it then returns a loss for each
        value of the targets, or one for each image.
    read : callable
        Maps encoded targets of shape (b, H, W, c) to targets, and to what of them counts, a
        Tensor of bool of their shape.
    class_weights : Tensor of shape (k,) or (k, 2), default=None
        Weight of the pixels of each class; or of each label of a pixel, where it is absent and
        where it is present.

    Notes
    -----
    NaN in targets are 0 to a loss, and what it returns for them is left out, unless its attribute
    `takes_missing` says that it leaves them out by itself.
    """

    class_weights: torch.Tensor | None

    def __init__(self, loss, read, class_weights=None):
        super().__init__(loss)
        self.read = read
        self.register_buffer("class_weights", class_weights)

    def forward(self, logits, target, weight=None):
        """Return the mean, over what counts in the batch, of the losses times their weights."""
        if isinstance(logits, dict) or isinstance(target, MixedTargets):
            return super().forward(logits, target, weight)
        target, counts = self.read(target)
        if target.is_floating_point() and not getattr(self.loss, "takes_missing", False):
            # gradients would be NaN where targets are
            target = target.nan_to_num()
        losses = self._losses(logits, target)
        if not self.takes_weights:
            return losses.mean()
        if losses.shape == (len(logits),):
            if self.class_weights is not None:
                raise ValueError(
                    f"class_weight cannot act on {type(self.loss).__name__}, which returns a loss "
                    "for each image, not for each pixel. Write class_weight=None or "
                    'loss="log_loss".'
                )
            return (losses if weight is None else losses * weight).mean()
        if losses.shape != target.shape:
            raise ValueError(
                f"With reduction='none' {type(self.loss).__name__} returned "
                f"{tuple(losses.shape)} for targets of shape {tuple(target.shape)}. Return a loss "
                "for each of them, or one for each image."
            )
        losses = torch.where(counts, losses, 0)
        if self.class_weights is not None:
            losses = losses * _weights_of_pixels(self.class_weights, target)
        if weight is not None:
            losses = losses * weight.view(-1, *(1,) * (losses.ndim - 1))
        # a batch may have none
        return losses.sum() / counts.sum().clamp(min=1)


def _weights_of_pixels(class_weights, target):
    """Return the weight of the class of each pixel, or of each of its labels, there or not."""
    if class_weights.ndim == 1:
        return class_weights[target.clamp(min=0)]
    absent, present = class_weights.T[:, :, None, None]
    return torch.where(target > 0, present, absent)


def has_probabilities(loss):
    """Say whether probabilities follow from logits: they do not where those are margins.

    Parameters
    ----------
    loss : str, nn.Module or class of one
        As a classifier takes it.
    """
    kind = loss if inspect.isclass(loss) else type(loss)
    return not (loss == "hinge" or issubclass(kind, nn.MultiMarginLoss))


def check_quantile(quantile, loss):
    """Raise a ValueError if `quantile=` holds several that do not ascend, or are not in (0, 1).

    Warn if `loss=` does not look at it.
    """
    if not isinstance(quantile, Real):
        are_numbers = len(quantile) > 0 and all(isinstance(q, Real) for q in quantile)
        if not are_numbers or not all(a < b for a, b in pairwise((0, *quantile, 1))):
            raise ValueError(
                f"quantile must be a number in (0, 1), or several that ascend, such as "
                f"(0.05, 0.5, 0.95), got {quantile!r}."
            )
    if loss != "quantile" and quantile != 0.5:
        warn(
            f"quantile={quantile!r} changes nothing with loss={loss!r}. To predict it write "
            'loss="quantile".'
        )


def check_label_smoothing(label_smoothing, loss):
    """Raise a ValueError if labels cannot be smoothed in `loss=`."""
    if label_smoothing == 0 or (isinstance(loss, str) and loss in _SMOOTHED):
        return
    if isinstance(loss, str):
        given, instead = repr(loss), 'Write loss="log_loss".'
    else:
        given = (loss if inspect.isclass(loss) else type(loss)).__name__
        instead = f"Smooth them in it: nn.CrossEntropyLoss(label_smoothing={label_smoothing})."
    raise ValueError(
        f'label_smoothing={label_smoothing} is for loss="log_loss" and "dice+log_loss", got '
        f"loss={given}. {instead}"
    )


def resolve_loss(loss, target, class_weights=None, label_smoothing=0.0):
    """Return the loss that `loss=` stands for.

    Parameters
    ----------
    loss : str, nn.Module or class of one
        A key of `target.losses`, or a loss on logits.
    target : SingleLabel, MultiLabel or Continuous
        What the loss is for.
    class_weights : ndarray of shape (n_outputs,) or (n_outputs, 2), or None
        Weights of the classes of pixels; those of images are weights of samples.
    label_smoothing : float, default=0.0
        See `check_label_smoothing`, which says what takes it.

    Returns
    -------
    WeightedLoss

    Raises
    ------
    ValueError
        If the module is of torch's, and expects something else than logits and such a target, or
        other weights than one for each output.
    TypeError
        If it is neither a name nor a module.
    """
    if isinstance(loss, str):
        if loss not in target.losses:
            several = "several labels" if target.holds == SEVERAL_LABELS else "a value"
            value = f"{several} for each {'pixel' if target.is_map else 'image'}"
            raise ValueError(
                f"loss={loss!r} is not for a y with {value}, whose losses are "
                f"{sorted(target.losses)}."
            )
        smoothing = {"label_smoothing": label_smoothing} if loss in _SMOOTHED else {}
        return _weighted(target.losses[loss](**smoothing), target, class_weights)
    check_loss(loss, (target.holds,))
    weighted = _weighted(loss() if inspect.isclass(loss) else loss, target, class_weights)
    return _with_weights_of_outputs(weighted, target)


def _weighted(loss, target, class_weights):
    """Return a loss that takes weights: of maps those of classes, of images those of samples."""
    if not target.is_map:
        return WeightedLoss(loss)
    if isinstance(loss, _OF_IMAGES_ALONE):
        instead = "BCEWithLogitsLoss" if target.holds == SEVERAL_LABELS else "CrossEntropyLoss"
        raise ValueError(
            f"loss={type(loss).__name__} does not fit here: it is of images alone, and y has a "
            f"value for each pixel. Use nn.{instead}."
        )
    if getattr(loss, "ignore_index", _NOT_COUNTED) != _NOT_COUNTED:
        raise ValueError(
            f"loss={type(loss).__name__}(ignore_index={loss.ignore_index}) is given the indices of "
            f"classes_, and {_NOT_COUNTED} for pixels that do not count. Leave ignore_index out, "
            f"and mark those pixels by ignore_label={loss.ignore_index} of the classifier."
        )
    if class_weights is not None:
        class_weights = torch.as_tensor(class_weights, dtype=torch.float32)
    return MapLoss(loss, target.targets, class_weights)


def _with_weights_of_outputs(weighted, target):
    """Return a loss with its weights of classes or labels in float32; raise if they are too few."""
    loss, n_outputs = weighted.loss, target.n_outputs
    if not isinstance(loss, tuple(_EXPECTATIONS)) or target.holds == NUMBERS:
        return weighted
    fitting: list = [(n_outputs,)]
    what = "classes"
    if target.holds == SEVERAL_LABELS:
        fitting, what = [(n_outputs,), (1, n_outputs), (1,), ()], "labels"
    for name in ("weight", "pos_weight"):
        weight = getattr(loss, name, None)
        if not isinstance(weight, torch.Tensor):
            continue
        if tuple(weight.shape) not in fitting:
            raise ValueError(
                f"loss={type(loss).__name__}({name}=...) has a weight of shape "
                f"{tuple(weight.shape)}, but y has {n_outputs} {what}. Pass {n_outputs} numbers, "
                "in the order of classes_."
            )
        if not (weight.isfinite().all() and (weight >= 0).all() and (weight > 0).any()):
            raise ValueError(
                f"loss={type(loss).__name__}({name}=...) must have weights that are finite and not "
                f"negative, one of them above 0; got {weight.tolist()}."
            )
        # integers too, which Module.float leaves as they are
        setattr(loss, name, weight.float())
    return weighted


def check_loss(loss, holds):
    """Raise if a loss cannot be made, or is torch's, or derives from one, and fits no such y.

    Parameters
    ----------
    loss : str, nn.Module or class of one
    holds : collection of str
        What y may hold.

    Raises
    ------
    ValueError
        If the module expects something else.
    TypeError
        If it is neither a name nor a module, or a class that needs arguments.
    """
    if isinstance(loss, str):
        return
    kind = loss if inspect.isclass(loss) else type(loss)
    if not issubclass(kind, nn.Module):
        raise TypeError(
            f"loss must be a name or a torch.nn.Module, got {loss!r}. A function becomes the "
            "forward(outputs, targets) of a module."
        )
    known = next((base for base in kind.__mro__ if base in _EXPECTATIONS), kind)
    is_torchs = known in _EXPECTATIONS or known.__module__.startswith("torch.nn.")
    expected = _EXPECTATIONS.get(known, "something else than outputs and targets")
    if is_torchs and expected not in holds:
        fitting = "; for ".join(f"{held} use {_losses_of(held)}" for held in holds)
        raise ValueError(
            f"loss={kind.__name__} does not fit here: {known.__name__} expects {expected}. "
            f"For {fitting}."
        )
    if inspect.isclass(loss):
        _check_needs_nothing(loss)


def _losses_of(held):
    fitting = [loss for loss, expected in _EXPECTATIONS.items() if expected == held]
    names = " or ".join(f"nn.{loss.__name__}" for loss in fitting)
    return names if held == NUMBERS else f"{names} (the first of pixels, too)"


def _check_needs_nothing(kind):
    try:
        inspect.signature(kind).bind()
    except TypeError as error:
        raise TypeError(
            f"loss={kind.__name__} cannot be made without arguments ({error}). Pass an object: "
            f"loss={kind.__name__}(...)."
        ) from error

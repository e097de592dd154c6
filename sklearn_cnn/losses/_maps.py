"""Losses of a value for each pixel, beside those that fit a value an image as well."""

import torch
from torch import nn
from torch.nn import functional

# torch's `ignore_index`: what pixels hold that do not count.
_NOT_COUNTED = -100
# How much of the squared mean of errors is forgiven.
_FORGIVEN = 0.5
# Part of the mean depth below which its logarithm goes on in a straight line.
_SMALLEST_PART = 0.1


class DiceLoss(nn.Module):
    """One minus the Dice coefficient of probabilities [1]_: the mean over the classes in an image.

    Each class counts alike, however few its pixels. Classes that are not in an image do not count.

    Parameters
    ----------
    reduction : {"mean", "none"}, default="mean"
        Whether the losses of images are averaged.

    References
    ----------
    .. [1] F. Milletari, N. Navab, S.-A. Ahmadi, "V-Net: fully convolutional neural networks for
       volumetric medical image segmentation", 3DV 2016.
    """

    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, logits, target):
        """Compute the loss.

        Parameters
        ----------
        logits : Tensor of shape (b, k, H, W)
        target : Tensor of shape (b, H, W)
            Indices of classes, int64; -100 where a pixel does not count.
        """
        classes = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1)
        is_class = target[:, None] == classes
        probabilities = logits.softmax(dim=1) * (target != _NOT_COUNTED)[:, None]
        both = (probabilities * is_class).sum(dim=(2, 3))
        n_true = is_class.sum(dim=(2, 3))
        # where a class is, its pixels keep the sum from being zero
        either = (probabilities.sum(dim=(2, 3)) + n_true).clamp(min=1)
        is_there = n_true > 0
        losses = torch.where(is_there, 1 - 2 * both / either, 0).sum(dim=1)
        losses = losses / is_there.sum(dim=1).clamp(min=1)
        return losses.mean() if self.reduction == "mean" else losses


class DiceAndLogLoss(nn.Module):
    """The sum of `DiceLoss` and of cross-entropy, the mean over the pixels of an image that count.

    Parameters
    ----------
    reduction : {"mean", "none"}, default="mean"
        Whether the losses of images are averaged.
    label_smoothing : float, default=0.0
        That of the cross-entropy, in [0, 1).
    """

    def __init__(self, reduction="mean", label_smoothing=0.0):
        super().__init__()
        self.reduction = reduction
        self.label_smoothing = label_smoothing
        self.dice = DiceLoss(reduction="none")

    def forward(self, logits, target):
        """Compute the loss of logits (b, k, H, W) and indices (b, H, W)."""
        of_pixels = functional.cross_entropy(
            logits, target, reduction="none", label_smoothing=self.label_smoothing
        )
        n_counted = (target != _NOT_COUNTED).sum(dim=(1, 2)).clamp(min=1)
        losses = self.dice(logits, target) + of_pixels.sum(dim=(1, 2)) / n_counted
        return losses.mean() if self.reduction == "mean" else losses


class FocalLoss(nn.Module):
    """Cross-entropy of each pixel times (1 - p)², p its class's probability [1]_.

    Pixels that are known for sure hardly count.

    Parameters
    ----------
    reduction : {"mean", "none"}, default="mean"
        Whether the losses of the pixels that count are averaged.

    References
    ----------
    .. [1] T.-Y. Lin et al., "Focal loss for dense object detection", ICCV 2017.
    """

    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, logits, target):
        """Compute the loss of logits (b, k, H, W) and indices (b, H, W)."""
        entropies = functional.cross_entropy(logits, target, reduction="none")
        losses = (1 - torch.exp(-entropies)) ** 2 * entropies
        if self.reduction == "none":
            return losses
        return losses.sum() / (target != _NOT_COUNTED).sum().clamp(min=1)


class ScaleInvariantLogLoss(nn.Module):
    """Mean squared error of logarithms of depths, less half of their squared mean error [1]_.

    A map that is right but for one factor is forgiven half of it. Logarithms of depths below a
    tenth of the mean depth go on in a straight line, so that any output has one.

    Parameters
    ----------
    mean, scale : array-like of shape (k,)
        What turns standardized numbers into depths, number * scale + mean.
    reduction : {"mean", "none"}, default="mean"
        Whether the losses of images are averaged.

    Raises
    ------
    ValueError
        If a mean is not positive.

    References
    ----------
    .. [1] D. Eigen, C. Puhrsch, R. Fergus, "Depth map prediction from a single image using a
       multi-scale deep network", NeurIPS 2014.
    """

    # NaN in targets
    takes_missing = True

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, mean, scale, reduction="mean"):
        super().__init__()
        mean, scale = (
            torch.as_tensor(v, dtype=torch.float32).view(-1, 1, 1) for v in (mean, scale)
        )
        if (mean <= 0).any():
            raise ValueError(
                'loss="scale_invariant_log" is for depths, which are positive, but the mean of y '
                f'is {mean.min():g}. Write loss="squared_error".'
            )
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.reduction = reduction

    def forward(self, outputs, target):
        """Compute the loss.

        Parameters
        ----------
        outputs, target : Tensor of shape (b, k, H, W)
            Standardized; NaN in targets where a number is missing.
        """
        known = ~target.isnan()
        errors = self._logarithm(outputs) - self._logarithm(target.nan_to_num())
        errors = torch.where(known, errors, 0)
        n_known = known.sum(dim=(2, 3)).clamp(min=1)
        squares, mean = ((e.sum(dim=(2, 3)) / n_known) for e in (errors**2, errors))
        losses = (squares - _FORGIVEN * mean**2).mean(dim=1)
        return losses.mean() if self.reduction == "mean" else losses

    def _logarithm(self, standardized):
        parts = (standardized * self.scale + self.mean) / (_SMALLEST_PART * self.mean)
        return torch.where(parts > 1, parts.clamp(min=1).log(), parts - 1)

"""Which number of a network's outputs is attributed to the pixels."""

import numpy as np
import torch
from torch import nn

from sklearn_cnn.targets import Continuous, MultiLabel

_MOST_NAMED = 10


def target_indices(target, asked, n_images):
    """Return which output of the network is meant, for each image.

    Parameters
    ----------
    target : SingleLabel, MultiLabel, Continuous or one of those for each pixel
        What y is.
    asked : label, int, array-like of shape (n_images,) or None
        The user's `target`.
    n_images : int

    Returns
    -------
    Tensor of shape (n_images,), int64
    None
        If it depends on what is predicted.

    Raises
    ------
    ValueError
        If it is none of the classes or columns, or there is more than one answer.
    """
    has_classes = not isinstance(target, (MultiLabel, Continuous))
    known = target.classes.tolist() if has_classes else list(range(target.n_outputs))
    if asked is None:
        if target.n_outputs == 1:
            return torch.zeros(n_images, dtype=torch.int64)
        if not target.is_map and not isinstance(target, Continuous):
            return None
        what = "the classes" if has_classes else "the outputs"
        raise ValueError(f"Write as target= which of {what} is meant: {_shown(known)}.")
    is_one = np.ndim(asked) == 0
    given = np.asarray(asked)[None] if is_one else np.asarray(asked)
    if given.ndim != 1 or (not is_one and len(given) != n_images):
        raise ValueError(
            f"target must be one of {_shown(known)}, or hold one for each of {n_images} images, "
            f"but has shape {given.shape}."
        )
    index = {value: position for position, value in enumerate(known)}
    # to Python True is 1, which is no more than an accident
    are_bools = any(isinstance(value, bool) for value in known)
    unknown = [
        value
        for value in given.tolist()
        if value not in index or (isinstance(value, bool) and not are_bools)
    ]
    if unknown:
        what = "a class" if has_classes else "an output"
        raise ValueError(f"target={unknown[0]!r} is not {what}: they are {_shown(known)}.")
    indices = torch.tensor([index[value] for value in given.tolist()])
    return indices.expand(n_images) if is_one else indices


def _shown(known):
    """Return values as text, the first of many."""
    more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
    return f"{known[:_MOST_NAMED]}{more}"


class Attributed(nn.Module):
    """Maps images to the one number of each that is attributed to their pixels.

    Of labels it is the logit, of two classes how far it is ahead of the other's, as
    `decision_function` has it; of numbers how far they are from the mean, in the units of y; of
    values for each pixel the mean of that over the pixels that are predicted as the class, or over
    all pixels of numbers.

    Parameters
    ----------
    module : nn.Module
        Maps images of shape (b, C, H, W) to outputs (b, k) or (b, k, H, W).
    target : SingleLabel, MultiLabel, Continuous or one of those for each pixel
    """

    def __init__(self, module, target):
        super().__init__()
        self.module, self.target = module, target

    def forward(self, images, index, share):
        """Return a number an image.

        Parameters
        ----------
        images : Tensor of shape (b, C, H, W)
        index : Tensor of shape (b,), int64
            Which output.
        share : Tensor of shape (b, H, W), or (b,) of ones
            How much each pixel counts.

        Returns
        -------
        Tensor of shape (b,)
        """
        values = self._values(self.module(images).float(), index)
        return (values * share).flatten(1).sum(dim=1) if share.ndim == 3 else values * share

    def shares(self, outputs, index):
        """Return how much each pixel counts: those that are predicted as what the index says.

        Parameters
        ----------
        outputs : Tensor of shape (b, k) or (b, k, H, W)
        index : Tensor of shape (b,), int64

        Returns
        -------
        Tensor of shape (b,) or (b, H, W)
            Which sums to one, or is zero where no pixel is predicted so.
        """
        if not self.target.is_map:
            return outputs.new_ones(len(outputs))
        if isinstance(self.target, Continuous):
            counts = torch.ones_like(outputs[:, 0])
        elif isinstance(self.target, MultiLabel):
            counts = (_of(outputs, index) > 0).float()
        else:
            counts = (outputs.argmax(dim=1) == index[:, None, None]).float()
        return counts / counts.sum(dim=(1, 2), keepdim=True).clamp(min=1)

    def _values(self, outputs, index):
        """Return the values of outputs (b, k) or (b, k, H, W) that are meant."""
        values = _of(outputs, index)
        if isinstance(self.target, Continuous):
            # several quantiles are of one number, and have one scale
            scales = np.broadcast_to(self.target.scale, self.target.n_outputs)
            scale = outputs.new_tensor(scales.tolist())[index]
            return values * (scale if values.ndim == 1 else scale[:, None, None])
        if not isinstance(self.target, MultiLabel) and self.target.n_outputs == 2:
            return values - _of(outputs, 1 - index)
        return values


def _of(outputs, index):
    """Return the output of each image that its index says."""
    return outputs[torch.arange(len(outputs), device=outputs.device), index]

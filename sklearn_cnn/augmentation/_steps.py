"""Augmentation as a step of training: images, targets and weights of a batch at once."""

from dataclasses import dataclass
from typing import Any

import torch

from sklearn_cnn.augmentation._augmentation import Augmentation
from sklearn_cnn.augmentation._changes import (
    change,
    hold_few_values,
    moves_pixels,
    restored,
)
from sklearn_cnn.augmentation._coordinates import check_coordinates, move_coordinates
from sklearn_cnn.augmentation._pixels import draw_mixture, mix
from sklearn_cnn.augmentation._presets import as_augmentation
from sklearn_cnn.losses import NUMBERS, MixedTargets
from sklearn_cnn.targets import Continuous


def augmentation_step(spec, target, loss, samples):
    """Return the step of training that a value of `augmentation=` stands for.

    Parameters
    ----------
    spec : None, str, Augmentation or callable
    target : SingleLabel, MultiLabel or Continuous
    loss : WeightedLoss
    samples : Samples
        The training set.

    Returns
    -------
    callable or None
        Maps (images, targets, weights, generator) to images, targets and weights.

    Raises
    ------
    ValueError
        If the augmentation is unknown, or does not suit the target or the loss.
    """
    augmentation = as_augmentation(spec)
    if augmentation is None:
        return None
    if not isinstance(augmentation, Augmentation):
        return _CallableStep(augmentation, target)
    _check_target(augmentation, target)
    if augmentation.mixup and not loss.takes_weights:
        raise ValueError(
            "augmentation mixes losses (mixup), which needs one of each image. Give the loss a "
            '`reduction`, with "none" returning a loss for each sample.'
        )
    in_floats = hold_few_values(samples.images, samples.indices)
    return _AugmentationStep(augmentation, target, in_floats)


def why_not_resized(spec):
    """Return why images may not be resized when a value of `augmentation=` is used, or None.

    y could be in pixels of the images before or after, and nothing in it says which.
    """
    keypoints = spec.keypoints if isinstance(spec, Augmentation) else None
    if not keypoints:
        return None
    return (
        f"augmentation has keypoints={keypoints!r}, and coordinates are not resized along: they "
        "are in pixels of the image that the network gets. Pass images of that size, and y in "
        "pixels of these."
    )


def check_kind_of_y(augmentation, holds):
    """Raise a ValueError if an augmentation suits no y of some kinds; see `losses`."""
    if not isinstance(augmentation, Augmentation):
        return
    if augmentation.keypoints and NUMBERS not in holds:
        raise ValueError(
            f"augmentation has keypoints={augmentation.keypoints!r}, but y holds labels. "
            "Coordinates are for CNNRegressor."
        )
    if augmentation.mixup and NUMBERS in holds:
        raise ValueError(
            "augmentation has mixup, which mixes labels, but y holds numbers. Write mixup=0."
        )


def _check_target(augmentation, target):
    check_kind_of_y(augmentation, (target.holds,))
    if target.is_map and augmentation.keypoints:
        raise ValueError(
            f"augmentation has keypoints={augmentation.keypoints!r}, but y has a value for each "
            "pixel, which moves with the image by itself. Write keypoints=None."
        )
    if target.is_map or not isinstance(target, Continuous):
        return
    if augmentation.keypoints:
        check_coordinates(augmentation, target.n_columns, augmentation.flip)
    elif augmentation.keypoints is None and target.n_columns > 1 and moves_pixels(augmentation):
        raise ValueError(
            f"{augmentation!r} moves images, but y of {target.n_columns} columns would stay where "
            "it is: wrong if it holds coordinates. Write Augmentation(..., keypoints=True) for "
            'points x0, y0, x1, y1, ..., keypoints="boxes" for corners of boxes, or '
            "keypoints=False for numbers that do not change when the image moves."
        )


def _as_mask(maps):
    """Return maps as torchvision's transforms know them."""
    from torchvision.tv_tensors import Mask  # takes a second, and few fits need it

    return Mask(maps)


@dataclass
class _CallableStep:
    """Any function of a batch of images; it draws from the global generators, seeded by fit.

    Where y has a value for each pixel, it is a function of images and maps.
    """

    function: Any
    target: Any

    def __call__(self, images, targets, weights, generator):
        maps = [_as_mask(targets.permute(0, 3, 1, 2))] if self.target.is_map else []
        try:
            augmented = self.function(images, *maps)
        except Exception as error:
            found = f"{type(error).__name__}: {error}".rstrip(".")
            raise self._failure(images, f"{found}.") from error
        if maps:
            augmented, targets = self._of_pair(augmented, images, maps[0])
        if not isinstance(augmented, torch.Tensor):
            raise self._failure(images, f"it returned {type(augmented).__name__}, no tensor.")
        if augmented.shape != images.shape or augmented.dtype != images.dtype:
            found = f"it returned images of shape {tuple(augmented.shape)}, {augmented.dtype}."
            raise self._failure(images, found)
        return augmented, targets, weights

    def _of_pair(self, pair, images, maps):
        """Return images and maps out of what the function returned."""
        is_pair = isinstance(pair, (tuple, list)) and len(pair) == 2
        if not is_pair or getattr(pair[1], "shape", None) != maps.shape:
            raise self._failure(
                images,
                "y has a value for each pixel, so it is called with images and maps of shape "
                f"{tuple(maps.shape)}, {maps.dtype}, and has to return a pair of both.",
            )
        changed = torch.as_tensor(pair[1]).as_subclass(torch.Tensor)
        if not maps.is_floating_point():
            self._check_masks(changed, images)
        return pair[0], changed.to(maps.dtype).permute(0, 2, 3, 1)

    def _check_masks(self, changed, images):
        """Raise if masks hold what is no class: a loss would fail on it, or take it for one."""
        n_codes, uncounted = self.target.n_codes, self.target.uncounted
        is_code = (changed >= 0) & (changed < n_codes) & (changed % 1 == 0)
        is_made_up = ~is_code & (changed != uncounted)
        if is_made_up.any():
            raise self._failure(
                images,
                f"it returned masks that hold {changed[is_made_up][0].item()}. They come as the "
                f"numbers of classes, 0 to {n_codes - 1}, and {uncounted} where a pixel does not "
                "count, of which none may be made up: move them by the nearest pixel, "
                'interpolate(..., mode="nearest"), not by means of several.',
            )

    def _failure(self, images, found):
        returned = "a tensor"
        if self.target.is_map:
            returned = "images and masks or maps, tensors"
        return ValueError(
            f"augmentation={self.function!r} failed on a batch of shape {tuple(images.shape)}, "
            f"{images.dtype}: {found} The function has to return {returned} of the same shape and "
            "dtype. What prediction shall see too (resizing, scaling, normalizing) belongs into X, "
            "or is a part of the network; what mixes images and labels is Augmentation(mixup=0.2)."
        )


@dataclass
class _AugmentationStep:
    """An `Augmentation` that moves coordinates and maps, and mixes targets too."""

    augmentation: Augmentation
    target: Any
    # whether bytes turn to floats, which are not rounded; the first layer takes either alike
    in_floats: bool

    def __call__(self, images, targets, weights, generator):
        augmentation = self.augmentation
        images = images.float() if self.in_floats else images
        if augmentation.keypoints:
            # targets are standardized, images move in pixels
            pixels = self.target.to_units(targets)
            changed, moves = change(augmentation, images, generator)
            if moves is not None:
                pixels = move_coordinates(augmentation, moves, pixels)
            return restored(changed, images), self.target.from_units(pixels), weights
        changed, moves = change(augmentation, images, generator)
        if self.target.is_map and moves is not None:
            maps = targets.permute(0, 3, 1, 2)
            maps = moves.move_maps(maps, augmentation.fill, self.target.uncounted)
            targets = maps.permute(0, 2, 3, 1)
        if augmentation.mixup:
            partner, share = draw_mixture(len(images), augmentation.mixup, generator)
            changed = mix(changed.float(), partner, share)
            # the weight of a sample stays with its target
            weights = torch.ones_like(share) if weights is None else weights
            own, others = share * weights, (1 - share) * weights[partner]
            targets = MixedTargets(targets, own, targets[partner], others)
            weights = None
        return restored(changed, images), targets, weights

"""What architectures that start from learned weights have in common: how they are fine-tuned."""

import dataclasses
from numbers import Integral, Real

import torch

from sklearn_cnn._compat import Interval, StrOptions
from sklearn_cnn.architectures._base import Architecture
from sklearn_cnn.architectures._fine_tuning import FineTuning, Recipe
from sklearn_cnn.architectures._standardize import Standardize
from sklearn_cnn.runtime.warnings import warn

# Parameters that every architecture with learned weights has.
FINE_TUNING_CONSTRAINTS: dict = {
    "freeze": ["boolean", list, tuple, StrOptions({"auto"})],
    "head_lr_ratio": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
    "unfreeze_after": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"}), None],
}

# White as a byte says it, and as black and white images do, which bools are.
_WHITE, _WHITE_OF_TWO = 255, 1
# Bytes that are all below have a unit of their own more likely than they are that dark.
_FEWEST_SHADES = 32

# Chosen on photos held out of training sets; see benchmarks/results/transfer.md.
_RECIPE = Recipe(lr=0.003, weight_decay=0.05, max_epochs=12, keeps_statistics=True)
_HEAD_LR_RATIO = 10.0
# Where no layer is new, all learn as fast as the others do beside one.
_RECIPE_OF_TRUNKS = dataclasses.replace(_RECIPE, lr=0.0003)
# Share of the epochs.
_HEAD_FIRST = 2 / 3


class LearnedArchitecture(Architecture):
    """Base class of architectures that start from learned weights, with a last layer of their own.

    Subclasses have the parameters of `FINE_TUNING_CONSTRAINTS`.
    """

    freeze: bool | list | tuple | str
    head_lr_ratio: float | str
    unfreeze_after: int | str | None

    @property
    def _is_pretrained(self):
        """Whether "auto" is what suits weights that were learned on many other images."""
        return self.has_learned_weights

    @property
    def _has_new_head(self):
        """Whether "auto" is what suits a last layer that has learned less than the rest."""
        return self._is_pretrained

    @property
    def _frozen(self):
        """What `freeze` comes to."""
        return self._has_new_head if self.freeze == "auto" else self.freeze

    @property
    def _unfreezing(self):
        """When what is frozen begins to learn."""
        if self.unfreeze_after != "auto":
            return self.unfreeze_after
        return _HEAD_FIRST if self.freeze == "auto" and self._has_new_head else None

    @property
    def _lr_ratio(self):
        """What `head_lr_ratio` comes to."""
        if self.head_lr_ratio != "auto":
            return float(self.head_lr_ratio)
        return _HEAD_LR_RATIO if self._has_new_head else 1.0

    def fine_tuning(self, network):
        """Return how the parts of the network differ in learning.

        Parameters
        ----------
        network : torch.nn.Module
            What `build` returned.

        Returns
        -------
        FineTuning
            Names of its parameters to ratios of the learning rate, and when frozen parts
            begin to learn.
        """
        if self._lr_ratio == 1:
            # networks that have no last layer to tell apart
            return self.fine_tuning_of(())
        heads = tuple(f"{head}." for head in self.head_names(network))
        trunk = [name for name, _ in network.named_parameters() if not name.startswith(heads)]
        return self.fine_tuning_of(trunk)

    def fine_tuning_of(self, trunk):
        """Return how a network differs in learning whose parameters of these names are its trunk.

        Parameters
        ----------
        trunk : sequence of str
            Names of parameters, as `named_parameters()` of the network has them.

        Returns
        -------
        FineTuning
            What `head_lr_ratio` and `unfreeze_after` say of them.
        """
        ratio = self._lr_ratio
        ratios = {} if ratio == 1 else dict.fromkeys(trunk, 1 / ratio)
        return FineTuning(ratios, self._unfreezing)

    def recipe(self):
        """Return how the network is best trained.

        Returns
        -------
        Recipe
            With learned weights smaller rates, fewer epochs, and statistics of batch normalization
            that are kept.
        """
        if not self._is_pretrained:
            return super().recipe()
        return _RECIPE if self._has_new_head else _RECIPE_OF_TRUNKS


class ModelByName(LearnedArchitecture):
    """Base class of architectures that a library builds by name, with its weights or without."""

    def __init__(
        self,
        name,
        *,
        weights=None,
        freeze="auto",
        head_lr_ratio="auto",
        unfreeze_after="auto",
    ):
        self.name = name
        self.weights = weights
        self.freeze = freeze
        self.head_lr_ratio = head_lr_ratio
        self.unfreeze_after = unfreeze_after


def check_unfreezing(freeze, unfreeze_after):
    """Refuse to unfreeze what is not frozen."""
    if unfreeze_after not in (None, "auto") and not freeze:
        raise ValueError(
            f"unfreeze_after={unfreeze_after} has no effect with freeze={freeze!r}. Write "
            "freeze=True, or leave unfreeze_after out."
        )


def learned_standardization(pixels, mean, std, source):
    """Return the standardization of pixels that learned weights expect.

    Parameters
    ----------
    pixels : PixelStatistics
        Of the training images.
    mean, std : sequence of float
        A channel, of pixels in [0, 1]. Gray images get their means; more channels take them in
        turn.
    source : str
        What to call the weights in an error.

    Returns
    -------
    Standardize

    Raises
    ------
    ValueError
        If the pixels are floats outside of [0, 1].

    Warns
    -----
    UserWarning
        If the pixels are bytes of so small a range that they would be nearly black.
    """
    if not pixels.are_bytes and (pixels.low < 0 or pixels.high > 1):
        raise ValueError(
            f"{source} were trained on pixels from 0 to 1, but X has "
            f"floats from {pixels.low:g} to {pixels.high:g}. Pass pixels as uint8 from 0 to "
            "255, or as floats in [0, 1]."
        )
    mean, std = torch.tensor(tuple(mean)).float(), torch.tensor(tuple(std)).float()
    n_channels = len(pixels.mean)
    # statistics of colours are taken in turn for the bands of other images
    if n_channels not in (1, len(mean)) and not (len(mean) in (1, 3) and n_channels > len(mean)):
        raise ValueError(
            f"X has {n_channels} channels, but mean and std of {source} hold {len(mean)} numbers: "
            "pass one for each channel."
        )
    channels = torch.arange(n_channels) % len(mean)
    if n_channels == 1:
        mean, std = mean.mean(dim=0, keepdim=True), std.mean(dim=0, keepdim=True)
    white = _white(pixels, source)
    return Standardize(mean[channels] * white, std[channels] * white)


def _white(pixels, source):
    """Return the pixel that is 1 where learned weights have pixels from 0 to 1."""
    if not pixels.are_bytes or pixels.high == _WHITE_OF_TWO:
        return 1.0
    if _WHITE_OF_TWO < pixels.high < _FEWEST_SHADES:
        warn(
            f"{source} were trained on pixels from 0 to 1, to which bytes are brought by / 255, "
            f"but X has bytes from {pixels.low:g} to {pixels.high:g}: nearly black. If "
            f"{pixels.high:g} is white, pass X / {pixels.high:g} as floats, in prediction too, or "
            "scale the bytes to 0 to 255."
        )
    return float(_WHITE)


def check_statistics(mean, std):
    """Raise unless mean and standard deviation are those of channels, or both are None."""
    if mean is None and std is None:
        return
    given = [v if isinstance(v, (tuple, list)) else () for v in (mean, std)]
    if (
        len(given[0]) != len(given[1])
        or not given[0]
        or not all(isinstance(v, Real) for v in (*given[0], *given[1]))
        or not all(v > 0 for v in given[1])
    ):
        raise ValueError(
            f"mean={mean!r} and std={std!r} must hold a number for each channel, of pixels in "
            "[0, 1], and deviations must be positive, as in mean=(0.485, 0.456, 0.406), "
            "std=(0.229, 0.224, 0.225)."
        )
    if max(*given[0], *given[1]) > 1:
        raise ValueError(
            f"mean={mean!r} and std={std!r} are of pixels in [0, 1]. Divide those of bytes by 255: "
            f"mean={_divided(mean)}, std={_divided(std)}."
        )


def _divided(statistics):
    return tuple(round(value / 255, 4) for value in statistics)

"""The network of an estimator that has learned already, with a new last layer."""

import copy
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from sklearn_cnn._compat import validate_parameter_constraints
from sklearn_cnn.architectures._base import Architecture
from sklearn_cnn.architectures._heads import check_parts, freeze_parts, replace_head
from sklearn_cnn.architectures._learned import (
    FINE_TUNING_CONSTRAINTS,
    LearnedArchitecture,
    check_unfreezing,
)
from sklearn_cnn.images import PixelRange
from sklearn_cnn.runtime.fitted import is_network_estimator

# Pixels whose spread is another than the source's by more than this are of another unit.
_MOST_CHANGE_OF_SPREAD = 20


class Finetuned(LearnedArchitecture):
    """The network of a fitted estimator, with a new last layer for another task.

    Each fit starts from a copy of the source's weights and its standardization of pixels;
    the source itself is never trained. What it predicted, labels or numbers, does not matter, but
    whether it was of each image or of each pixel does.

    Parameters
    ----------
    source : FrozenEstimator, str or path
        A fitted `CNNClassifier` or `CNNRegressor` in scikit-learn's `FrozenEstimator`
        (`clone`, and so every search, would strip a bare one of what it learned), or the
        path of one that `save` wrote.
    freeze : bool or sequence of str, default=False
        What does not learn: with True all but the last layer, else the parts of the network
        of these names. Frozen parts compute in training what they do in prediction:
        normalizations keep their statistics.
    head_lr_ratio : float, default=10.0
        How many times as fast as the rest of the network the new layer learns: it learns at
        `lr`, the rest at `lr / head_lr_ratio`.
    unfreeze_after : int, default=None
        Epochs after which the frozen parts learn too. None: never.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn_cnn import CNNClassifier
    >>> from sklearn_cnn.architectures import Finetuned
    >>> X, y = load_digits(return_X_y=True)
    >>> source = CNNClassifier(max_epochs=5, random_state=0).fit(X[y < 8], y[y < 8])
    >>> tuned = CNNClassifier(Finetuned(FrozenEstimator(source)), max_epochs=5, random_state=0)
    >>> bool(tuned.fit(X[y >= 8][:40], y[y >= 8][:40]).score(X[y >= 8], y[y >= 8]) > 0.9)
    True
    """

    _parameter_constraints: dict = FINE_TUNING_CONSTRAINTS

    def __init__(self, source, *, freeze=False, head_lr_ratio=10.0, unfreeze_after=None):
        self.source = source
        self.freeze = freeze
        self.head_lr_ratio = head_lr_ratio
        self.unfreeze_after = unfreeze_after

    def resolve(self):
        """Check parameters and read the source, before any image is opened.

        Returns
        -------
        Finetuned
            A copy that holds what the source has learned.

        Raises
        ------
        ValueError
            If a parameter is out of its range, or the source's file is none that `save` wrote.
        TypeError
            If the source is neither a frozen estimator of ours nor a path.
        NotFittedError
            If the source is not fitted.
        FileNotFoundError
            If the source is a path without a file.
        """
        validate_parameter_constraints(
            self._parameter_constraints,
            {name: getattr(self, name) for name in self._parameter_constraints},
            type(self).__name__,
        )
        check_unfreezing(self.freeze, self.unfreeze_after)
        resolved = type(self)(**self.get_params(deep=False))
        resolved._source = self._read_source()
        check_parts(resolved._source.module.network, self.freeze)
        return resolved

    def build(self, in_channels, image_size, n_outputs):
        """Copy the source's network, and put a new layer in the place of its last one.

        Parameters
        ----------
        in_channels : int
            Number of channels of an image.
        image_size : tuple of (int, int)
            Height and width in pixels.
        n_outputs : int
            Number of outputs.

        Returns
        -------
        torch.nn.Module
            Maps images of shape (n, in_channels, height, width) to logits of shape
            (n, n_outputs), or of maps (n, n_outputs, height, width).

        Raises
        ------
        ValueError
            If a parameter is out of its range, the source was fitted on images of other
            channels, its network has no last layer to replace, or its file is none that `save`
            wrote.
        TypeError
            If the source is neither a frozen estimator of ours nor a path.
        NotFittedError
            If the source is not fitted.
        FileNotFoundError
            If the source is a path without a file.
        """
        source = self._source if hasattr(self, "_source") else self.resolve()._source
        if source.n_channels != in_channels:
            raise ValueError(
                f"The source of Finetuned was fitted on images of {source.n_channels} "
                f"channels, but X has images of {in_channels}."
            )
        network = copy.deepcopy(source.module.network).cpu()
        heads = source.architecture.head_names(network)
        for head in heads:
            replace_head(network, n_outputs, head)
        freeze_parts(network, self.freeze, heads)
        return network

    def standardization(self, pixels):
        """Return the source's own standardization of pixels.

        Parameters
        ----------
        pixels : PixelStatistics
            Of the training images.

        Returns
        -------
        torch.nn.Module
            Maps images of shape (b, C, H, W) to float32 images of that shape.

        Raises
        ------
        ValueError
            If the pixels are plainly not in the unit of those that the source was fitted on.

        Warns
        -----
        UserWarning
            If a prediction of the source would warn that they are on another scale.
        """
        source = self._learned()
        standardize = copy.deepcopy(source.module.standardize).cpu()
        spread, usual = pixels.std.max().item(), standardize.std.max().item()
        if not usual / _MOST_CHANGE_OF_SPREAD < spread < usual * _MOST_CHANGE_OF_SPREAD:
            raise ValueError(
                f"The pixels of X have a standard deviation of {spread:.3g}, those that the "
                f"source of Finetuned was fitted on had {usual:.3g}. Bring X to the same unit, "
                "0 to 255 or 0 to 1."
            )
        owner = "the source of Finetuned was fitted on"
        source.pixel_range.warn_of_another_scale(pixels, "X", owner)
        return standardize

    @property
    def output(self):  # type: ignore[override]
        """What the network returns: as that of the source, "vector", "map" or None."""
        return self._learned().architecture.output

    @property
    def _is_pretrained(self):
        # its source learned as an estimator does, from no more images
        return False

    @property
    def has_learned_weights(self):
        """Whether it starts from learned weights, and not from random ones."""
        return True

    def recommended_interpolation(self):
        """Return how images are resized.

        Returns
        -------
        {"bilinear", "bicubic"}
            What the images of the source were resized by.
        """
        return self._learned().interpolation

    def head_names(self, network):
        """Return which layers of a network are its last ones.

        Parameters
        ----------
        network : torch.nn.Module
            What `build` returned.

        Returns
        -------
        tuple of str
            Those of the source's architecture.
        """
        return self._learned().architecture.head_names(network)

    def without_weights(self):
        """Return the architecture that the source was fitted with.

        Returns
        -------
        Architecture
            It builds the same layers with random weights.
        """
        source = self._learned()
        return source.architecture._as_built(source.module.network)

    def _learned(self):
        return self._source if hasattr(self, "_source") else self._read_source()

    def _read_source(self):
        """Return what the source has learned."""
        if isinstance(self.source, (str, os.PathLike)):
            return _network_reader[0](self.source)
        estimator = self._frozen_estimator()
        return LearnedNetwork(
            estimator.module_,
            estimator._architecture,
            estimator.image_shape_[2],
            estimator._preparation.interpolation,
            estimator._pixel_range,
        )

    def _frozen_estimator(self):
        """Return the fitted estimator that the source holds."""
        if is_network_estimator(self.source):
            raise TypeError(
                f"Finetuned got a bare {type(self.source).__name__}, which clone strips of what "
                "it learned. Write Finetuned(FrozenEstimator(estimator)), with FrozenEstimator "
                "out of sklearn.frozen, or pass the path of a saved estimator."
            )
        estimator = getattr(self.source, "estimator", None)
        if not isinstance(self.source, FrozenEstimator) or not is_network_estimator(estimator):
            raise TypeError(
                "The source of Finetuned must be a fitted CNNClassifier or CNNRegressor in a "
                f"FrozenEstimator, or the path of a saved one, got {self.source!r}."
            )
        check_is_fitted(estimator)
        return estimator


class LearnedNetwork(NamedTuple):
    """What an estimator has learned.

    Parameters
    ----------
    module : nn.Sequential
        Of `standardize` and `network`.
    architecture : Architecture
        What builds such a network with random weights.
    n_channels : int
        Of the images that it was fitted on.
    interpolation : str
        How these were resized.
    pixel_range : PixelRange
        Of their pixels.
    """

    module: Any
    architecture: Architecture
    n_channels: int
    interpolation: str
    pixel_range: PixelRange


def set_network_reader(read: Callable):
    """Say how a saved network is read: the room of files is above this one, and hands it in."""
    _network_reader[:] = [read]


_network_reader: list[Callable] = []

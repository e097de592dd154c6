"""The network of an estimator that has learned already, with a new last layer."""

import copy
import os

from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted

from sklearn_cnn.architectures._heads import (
    FINE_TUNING_CONSTRAINTS,
    LearnedArchitecture,
    check_unfreezing,
    freeze_parts,
    replace_head,
)
from sklearn_cnn.architectures._standardize import Standardize

# Pixels whose spread is another than the source's by more than this are of another unit.
_MOST_CHANGE_OF_SPREAD = 20


class Finetuned(LearnedArchitecture):
    """The network of a fitted estimator, with a new last layer for another task.

    Each fit starts from a copy of the source's weights and its standardization of pixels;
    the source itself is never trained. What it predicted, labels or numbers, does not matter.

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

    def build(self, in_channels, image_size, n_outputs):
        """Copy the source's network, and put a new layer in the place of its last Linear.

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
            (n, n_outputs).

        Raises
        ------
        ValueError
            If a parameter is out of its range, the source was fitted on images of other
            channels, its network does not end in a Linear, or its file is none that `save`
            wrote.
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
        source = self._fitted_source()
        if source.image_shape_[2] != in_channels:
            raise ValueError(
                f"The source of Finetuned was fitted on images of {source.image_shape_[2]} "
                f"channels, but X has images of {in_channels}."
            )
        network = copy.deepcopy(source.module_.network).cpu()
        replace_head(network, n_outputs)
        freeze_parts(network, self.freeze)
        return network

    def standardization(self, images, rows):
        """Return the source's own standardization of pixels.

        Parameters
        ----------
        images : torch.Tensor of shape (n, H, W, C), uint8 or float32
            The training images.
        rows : torch.Tensor of int64
            Which of them count.

        Returns
        -------
        torch.nn.Module
            Maps images of shape (b, C, H, W) to float32 images of that shape.

        Raises
        ------
        ValueError
            If the pixels are plainly not in the unit of those that the source was fitted on.
        """
        standardize = copy.deepcopy(self._fitted_source().module_.standardize).cpu()
        spread = Standardize.of(images, rows).std.max().item()
        usual = standardize.std.max().item()
        if not usual / _MOST_CHANGE_OF_SPREAD < spread < usual * _MOST_CHANGE_OF_SPREAD:
            raise ValueError(
                f"The pixels of X have a standard deviation of {spread:.3g}, those that the "
                f"source of Finetuned was fitted on had {usual:.3g}. Bring X to the same unit, "
                "0 to 255 or 0 to 1."
            )
        return standardize

    def without_weights(self):
        """Return the architecture that the source was fitted with.

        Returns
        -------
        Architecture
            It builds the same layers with random weights.
        """
        return self._fitted_source()._architecture

    def _fitted_source(self):
        """Return the estimator that the source stands for."""
        # the estimators need architectures, and so cannot be imported before them
        from sklearn_cnn._base import BaseCNN
        from sklearn_cnn.persistence import load_estimator

        if isinstance(self.source, (str, os.PathLike)):
            return load_estimator(self.source)
        if isinstance(self.source, BaseCNN):
            raise TypeError(
                f"Finetuned got a bare {type(self.source).__name__}, which clone strips of what "
                "it learned. Write Finetuned(FrozenEstimator(estimator)), with FrozenEstimator "
                "out of sklearn.frozen, or pass the path of a saved estimator."
            )
        estimator = getattr(self.source, "estimator", None)
        if not isinstance(self.source, FrozenEstimator) or not isinstance(estimator, BaseCNN):
            raise TypeError(
                "The source of Finetuned must be a fitted CNNClassifier or CNNRegressor in a "
                f"FrozenEstimator, or the path of a saved one, got {self.source!r}."
            )
        check_is_fitted(estimator)
        return estimator

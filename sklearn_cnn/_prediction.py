"""What a fitted estimator shows, and answers: X is read, goes through the network, and is kept."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sklearn_cnn._config import prediction_options
from sklearn_cnn.architectures import Architecture
from sklearn_cnn.architectures._assembly import head_name, penultimate
from sklearn_cnn.architectures._heads import n_inputs_of_head
from sklearn_cnn.augmentation import flip_average
from sklearn_cnn.images import (
    Extremes,
    Maps,
    PixelRange,
    Preparation,
    own_sizes,
    read_images,
    resized_back,
    with_broken_maps,
)
from sklearn_cnn.runtime.device import new_tensors_on_cpu
from sklearn_cnn.runtime.fitted import check_features, reads_one_fit
from sklearn_cnn.runtime.progress import image_bar
from sklearn_cnn.training.frozen import through_cache
from sklearn_cnn.training.prediction import predict_outputs, refuse_not_finite
from sklearn_cnn.training.samples import drop


class PredictionMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """What both estimators have learned, and what they make of images."""

    image_shape_: tuple[int, int, int]
    net_: Any
    # what builds the layers of `module_`, and what stood in `architecture` when it did
    _architecture: Architecture
    _fitted_architecture: Architecture
    # what y is, see `targets`
    _target: Any
    _pixel_range: PixelRange
    # how the images of the last fit reached the network
    _preparation: Preparation
    _precision: str
    _prediction_precision: str
    # of the estimators: what y is of images that were read, what scores predictions by y, and what
    # scores what is kept of predictions by maps of it
    _values_of: Callable
    _score_of: Callable
    _scorer_by: Callable

    @property
    def module_(self):
        """The trained `torch.nn.Module`, from raw images of shape (b, C, H, W) to logits.

        Weights of convolutions are in channels_last layout; its `state_dict()` holds contiguous
        copies of them, so change weights through `parameters()` or `load_state_dict`.
        """
        return self.net_.module_

    @property
    def history_(self):
        """skorch's history: a dict an epoch."""
        return self.net_.history_

    @property
    def lr_(self):
        """The largest learning rate, in place of "auto"."""
        return self.net_.lr

    @property
    def weight_decay_(self):
        """The weight decay, in place of "auto"."""
        return self.net_.weight_decay

    @property
    def max_epochs_(self):
        """The epochs of a fit, in place of "auto"."""
        return self.net_.max_epochs

    @property
    def device_(self):
        """The device that the module is on."""
        return self.net_.device

    @property
    def precision_(self):
        """The precision of training: "bf16" or "float32"."""
        return self._precision

    @property
    def _n_features_out(self):
        try:
            head = head_name(self._architecture, self.module_)
        except ValueError as error:
            # dir() asks for every attribute, that of a network without such a layer too
            raise AttributeError(str(error)) from error
        return n_inputs_of_head(self.module_.get_submodule(head))

    def get_feature_names_out(self, input_features=None):
        """Get names of the features that `transform` computes.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Not used.

        Returns
        -------
        ndarray of str
            The name of the class in lower case, and a number.

        Raises
        ------
        ValueError
            If the network has no layer whose input `transform` could show.
        """
        check_is_fitted(self)
        head_name(self._architecture, self.module_)
        return super().get_feature_names_out(input_features)

    @reads_one_fit
    @new_tensors_on_cpu()
    def transform(self, X):
        """Compute the features that the network's last layer sees.

        Parameters
        ----------
        X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images, as in `fit`.

        Returns
        -------
        ndarray of shape (n, n_features), float32
            The input of the last `nn.Linear`, or of the layer that the architecture names.

        Raises
        ------
        ValueError
            If X cannot be used, the network has no such layer, or its output is not finite.
        """
        check_is_fitted(self)
        return self._outputs(X, self._feature_module())

    @reads_one_fit
    @new_tensors_on_cpu()
    def predict_original_size(self, X):
        """Predict a value for each pixel of images as they were given, before they were resized.

        Scores of classes, or numbers, are scaled bilinearly, batch by batch.

        Parameters
        ----------
        X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images, as in `fit`.

        Returns
        -------
        list of ndarray of shape (H, W) or (H, W, k)
            What `predict` returns for each image, of its own size.

        Raises
        ------
        ValueError
            If X cannot be used, the estimator was fitted on values of whole images, or with
            `resize_mode="crop"`, which cuts off pixels.
        """
        check_is_fitted(self)
        if not self._target.is_map:
            raise ValueError(
                f"{type(self).__name__} was fitted on values of whole images, which have no size: "
                "use predict."
            )
        resize_mode = self._preparation.resize_mode
        if resize_mode == "crop":
            raise ValueError(
                'resize_mode="crop" cuts off pixels, which get no prediction. Fit with "squash" or '
                '"pad".'
            )
        images = self._read_like_fit(X)
        sizes = own_sizes(X, self._prediction_options(), images).tolist()
        predicted: list[np.ndarray] = []

        def keep_resized(logits):
            # batches come in order
            for scores in self._target.keep_scores(logits).cpu():
                size = sizes[len(predicted)]
                scores = resized_back(scores[None], size, resize_mode)
                predicted.append(self._target.decode_scores(scores)[0])
            return logits.new_empty((len(logits), 0))

        self._outputs_of(images, self._logit_module(), self._logit_shape(), keep_resized)
        return predicted

    @new_tensors_on_cpu()
    def _raw_predict(self, X, keep="keep"):
        """Return logits of X, or of maps what a method of their target keeps of them."""
        check_is_fitted(self)
        kept = getattr(self._target, keep) if self._target.is_map else None
        return self._outputs(X, self._logit_module(), self._logit_shape(), kept)

    def _outputs(self, X, module, shape=None, keep=None):
        """Return what a module makes of X, or what is kept of each batch of it."""
        return self._outputs_of(self._read_like_fit(X), module, shape, keep)

    def _outputs_of(self, images, module, shape=None, keep=None):
        """Return what a module makes of images, or what is kept of each batch of them."""
        device = torch.device(self.net_.device)
        precision = self._prediction_precision
        if self.memory is not None and module is self.module_:
            head = self._head_of(module)
            module = through_cache(module, head, images, self.memory, device, precision)
        # in one block, for small ones that stay would split the memory that batches reuse
        extremes, finite = Extremes(), np.empty(len(images), dtype=bool)

        def checked(logits, rows):
            finite[rows] = logits.isfinite().all(dim=(1, 2, 3)).cpu()
            return keep(logits)

        title = f"{type(self).__name__}: predicting"
        with image_bar(len(images), title, bool(self.verbose)) as progress:
            outputs = predict_outputs(
                *(module, images, device, precision, shape, progress),
                watch=extremes.add,
                keep=None if keep is None else checked,
            ).numpy()
        self._compare_scale(extremes)
        if keep is None:
            finite = np.isfinite(outputs).all(axis=1)
        refuse_not_finite(finite)
        return outputs

    def _read_like_fit(self, X):
        """Return the images of X, of the shape that those of `fit` had."""
        return read_images(
            X,
            self._prediction_options(),
            expected=self.image_shape_,
            check_features=partial(check_features, self, False),
        ).images

    def _prediction_options(self, handle_broken="error"):
        """Return how X is read."""
        # not get_params, which reads signatures: a tenth of the time of one small image
        parameters, name = vars(self), type(self).__name__
        fitted = self._fitted_architecture, self._preparation
        return prediction_options(parameters, name, *fitted, handle_broken)

    def _compare_scale(self, extremes):
        """Warn if pixels of X are plainly on another scale than those of the last fit."""
        owner = f"{type(self).__name__} was fitted on"
        self._pixel_range.warn_of_another_scale(extremes, "X", owner)

    def _feature_module(self):
        """Return what maps images to the input of the last layer."""
        return penultimate(self.module_, head_name(self._architecture, self.module_))

    def _logit_module(self):
        """Return what maps images to what predictions are made of."""
        return self._averaged(self.module_) if self.test_time_augmentation else self.module_

    def _averaged(self, module):
        """Return a module with test-time augmentation."""
        size = self.image_shape_[:2]
        return flip_average(module, self.augmentation, self._target, size)

    def _logit_shape(self):
        """Return the shape of what the network makes of an image."""
        size = self.image_shape_[:2] if self._target.is_map else ()
        return (self._target.n_outputs, *size)

    def _head_of(self, module):
        """Return the name of the last layer, if parts of the network are frozen."""
        if all(parameter.requires_grad for parameter in module.parameters()):
            return None
        try:
            return head_name(self._architecture, module)
        except ValueError:  # it has none that `transform` could show the input of
            return None

    def _to_score_by(self, X, y, sample_weight):
        """Return what there is to score by: without files that `fit` would leave out."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None. X, y = unpack_dataset(dataset) separates the labels of a Dataset."
            )
        if self.handle_broken == "error":
            return X, y, sample_weight
        check_is_fitted(self)
        options = self._prediction_options(self.handle_broken)
        read = read_images(X, options, expected=self.image_shape_)
        if self._target.is_map:
            read = with_broken_maps(read, self._values_of(X, y, read.images, options))
        return drop(read.broken, X, y, sample_weight)

    @reads_one_fit
    @new_tensors_on_cpu()
    def _score_pixels(self, X, y, sample_weight):
        """Return the score of a value for each pixel, at the size of the network's images."""
        images = self._read_like_fit(X)
        score = self._scorer_of_pixels(X, y, images)
        shape, keep = self._logit_shape(), self._target.keep
        kept = self._outputs_of(images, self._logit_module(), shape, keep)
        return score(kept, sample_weight)

    def _scorer_of(self, X, y, images):
        """Return what maps predictions of the images of X, as `predict` has them, to their score.

        y is read as `score` reads it.
        """
        if not self._target.is_map:
            return partial(self._score_of, y)
        score = self._scorer_of_pixels(X, y, images)
        return lambda predicted: score(self._target.undecode(predicted))

    def _scorer_of_pixels(self, X, y, images):
        """Return what scores what is kept of predictions by the masks or maps of y."""
        maps = self._values_of(X, y, images, self._prediction_options())
        if not isinstance(maps, Maps):
            name = type(self).__name__
            raise ValueError(
                f"y has a value for each image, but {name} was fitted on a value for each pixel: "
                "masks or maps of shape (n, height, width) are what predictions are compared with."
            )
        return self._scorer_by(maps)

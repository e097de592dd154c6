"""What both estimators are: `fit` is resolve, read, encode, build, train; tags."""

import copy
from abc import ABCMeta, abstractmethod
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_consistent_length
from torch.utils.data import Dataset

from sklearn_cnn._compat import (
    CallbackSupportMixin,
    VisualBlock,
    place_in_search,
    with_callbacks,
)
from sklearn_cnn._config import (
    lr_and_weight_decay,
    resolve,
    resolve_auto,
)
from sklearn_cnn._parameters import ParametersMixin
from sklearn_cnn._prediction import PredictionMixin
from sklearn_cnn._saving import SavingMixin
from sklearn_cnn.architectures import Architecture
from sklearn_cnn.architectures._assembly import (
    assemble,
    fine_tuning_of,
    initialize,
)
from sklearn_cnn.architectures._fine_tuning import FineTuning, Recipe
from sklearn_cnn.augmentation import as_augmentation, augmentation_step, resolve_automatic
from sklearn_cnn.images import (
    ImageSet,
    Maps,
    PixelRange,
    as_maps,
    own_sizes,
    read_images,
    refuse_no_batch,
    with_broken_maps,
)
from sklearn_cnn.losses import has_probabilities
from sklearn_cnn.metrics._validation import NEGATIVE_LOSS, metric_of_scorer, try_metric
from sklearn_cnn.runtime.device import new_tensors_on_cpu, resolve_precision, widest_fan_in
from sklearn_cnn.runtime.equality import is_same
from sklearn_cnn.runtime.fitted import check_features, fits_aside, reset_fitted
from sklearn_cnn.runtime.gpu_slots import gpu_slot
from sklearn_cnn.runtime.html_display import html_without_features
from sklearn_cnn.runtime.progress import tell
from sklearn_cnn.runtime.seeds import draw_seed, seeded
from sklearn_cnn.runtime.suggestions import explains_keywords
from sklearn_cnn.runtime.warnings import warn
from sklearn_cnn.targets import MultiLabel, PixelClasses, PixelLabels, PixelNumbers, SingleLabel
from sklearn_cnn.training.batches import TrainingBatches, resolve_batch_size
from sklearn_cnn.training.contention import ContentionWatch
from sklearn_cnn.training.early_stopping import Validation, split_off_validation
from sklearn_cnn.training.epoch_listeners import ProgressBar, SklearnCallbacks, describe
from sklearn_cnn.training.loop import TrainingPlan, train
from sklearn_cnn.training.net import Net
from sklearn_cnn.training.optimizers import carry_over_state, set_first_lr
from sklearn_cnn.training.samples import Samples, drop, read_weights

# Images whose score says something, at the least.
_FEWEST_HELD_OUT = 5

# What an output of the network is of; of other targets a number.
_OUTPUTS = {
    SingleLabel: "classes",
    MultiLabel: "labels",
    PixelClasses: "classes of pixels",
    PixelLabels: "labels of pixels",
    PixelNumbers: "numbers of pixels",
}


class BaseCNN(
    CallbackSupportMixin,
    PredictionMixin,
    SavingMixin,
    ParametersMixin,
    metaclass=ABCMeta,
):
    """Base class of the estimators; holds a skorch net rather than being one."""

    # Images that a validation score is defined for, without `scoring`.
    _min_validation_samples = 1

    # What the losses of y that fits this kind of estimator take; see `losses`.
    _holds: tuple[str, ...]

    _target: Any
    # what builds the layers, and what stood in `architecture` when it did
    _architecture: Architecture
    _fitted_architecture: Architecture
    _fine_tuning: FineTuning
    _recipe: Recipe
    # whether all of the network learns, from random weights
    _is_from_scratch: bool
    _score_name: str
    _pixel_range: PixelRange
    image_shape_: tuple[int, int, int]

    @abstractmethod
    def _make_target(self, y, sample_weight, classes):
        """Return the kind of target that y is; see `targets`."""

    @abstractmethod
    def _make_loss(self, target):
        """Return the `WeightedLoss` that `loss=` stands for."""

    @abstractmethod
    def _default_metric(self):
        """Return the `Metric` of validation scores without `scoring`."""

    @abstractmethod
    def _true_values(self, y, samples):
        """Return what is true of samples, rows of y or of its `Maps`, as `predict` says it."""

    def _nonlinearity(self):
        """Return what makes probabilities of logits in `net_.predict_proba`, or None."""
        return

    @abstractmethod
    def _map_format(self):
        """Return the `MapFormat` of masks or maps in files."""

    def _check_classes(self, y, classes):
        """Check the classes that `partial_fit` was told of."""

    def _compare_targets(self, y, samples):
        """Warn if training goes on with samples, rows of y, that plainly are on another scale."""

    def _make_class_weights(self, given, encoded, keep_balanced):
        """Return weights of the classes, or None; those that balance may be learned from y."""
        return

    @explains_keywords
    @fits_aside
    @new_tensors_on_cpu()
    @with_callbacks
    def fit(self, X, y=None, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Train a network on images.

        Parameters
        ----------
        X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images as numbers of any real dtype: arrays, memmaps, torch tensors, frames; or a
            sequence or one-column frame of arrays, PIL images, paths of files or what files hold
            (bytes, open files), or a torch Dataset. Numbers: uint8 stays uint8, all else becomes
            float32; four dimensions follow `channel_axis`. Files and PIL images become uint8 of
            one channel if all of them are gray, else of three; gray of more than 8 bits keeps its
            values, as float32.
        y : array-like of shape (n,), (n, n_outputs), (n, H, W) or (n, H, W, k), default=None
            Targets; of three dimensions and more values of each pixel, masks or maps of the size of
            the images, which are resized with them. May be left out only if X is a Dataset of
            (image, label) pairs. A regressor takes NaN for numbers that are missing in one of
            several columns, or in maps.
        sample_weight : array-like of shape (n,), default=None
            Weights of the samples, not negative. A weight of 0 leaves a sample out.
        X_val : array-like, default=None
            Images to score after each epoch. With `early_stopping=True` they take the place
            of the part that is split off, else they are scored and nothing more. A regressor
            takes two or more: R² of a single one is not defined.
        y_val : array-like, default=None
            Targets of `X_val`.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of `X_val`.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y or a parameter cannot be used, or the loss became infinite or NaN. The
            estimator then stays as it was.
        TypeError
            If X is one image or path instead of a batch, or it or a parameter is of a kind
            that cannot be used. The estimator then stays as it was.
        KeyboardInterrupt
            After Ctrl-C. The estimator is then fitted with what was learned until then.

        Warns
        -----
        UserWarning
            If the shape of the images had to be guessed and the guess is doubtful,
            `handle_broken="skip"` left files out, an indicator y holds a single 1 in each row, y of
            several columns NaN, one of several classes has a single image, or there is but one,
            `target_scale` of a regressor multiplies nothing, or pixels of `X_val`, or of X or
            numbers of y where training goes on, or of X where it starts from `Finetuned`, are
            plainly on another scale, or so small, as uint8, that they would be nearly black to
            learned weights; or if `early_stopping=True` holds out fewer than 5 images, or fewer
            than there are classes.
        ConvergenceWarning
            If `early_stopping=True` finds no sample to spare.
        """
        _check_pair(X_val, y_val, sample_weight_val)
        # resolve
        goes_on = self.warm_start and hasattr(self, "net_")
        config = self._resolve(goes_on)
        last = self._net_to_go_on_with(config) if goes_on else None
        # read
        given = self._read(X, y, sample_weight, config, last)
        validation = None
        if X_val is not None:
            validation = self._read(X_val, y_val, sample_weight_val, config, last, name="X_val")
        # encode
        samples, held_out = self._encode(given, validation, last)
        with self._seeded(config) as (seed, device):
            if validation is None and config.patience is not None:
                samples, held_out = self._split(samples, config)
            # build
            net, plan = self._build(config, samples, last, device)
            if validation is not None:
                self._pixel_range.warn_of_another_scale(held_out.extremes(), "X_val", "X has")
            # train
            left = drop(given.read.broken, X, given.y, sample_weight)
            callbacks = SklearnCallbacks(self, self._learned, config.max_epochs, *left)
            scored = self._make_validation(held_out, (validation or given).values, config, device)
            self._train(net, plan, config, samples, scored, [callbacks], seed)
            callbacks.fit_ends()
        return self

    @fits_aside
    @new_tensors_on_cpu()
    def _partial_fit(self, X, y, sample_weight, classes=None):
        goes_on = hasattr(self, "net_")
        config = self._resolve(goes_on, lr_schedule="constant", max_epochs=1, time_limit=None)
        refuse_no_batch(y, "y")
        self._check_classes(y, classes)
        last = self._net_to_go_on_with(config) if goes_on else None
        given = self._read(X, y, sample_weight, config, last)
        samples, _ = self._encode(given, None, last, classes, is_partial=True)
        with self._seeded(config) as (seed, device):
            net, plan = self._build(config, samples, last, device, is_partial=True)
            self._train(net, plan, config, samples, None, [], seed)
        return self

    def _resolve(self, goes_on, **fixed):
        """Return the configuration that the parameters come to; no image is opened for it."""
        self._validate_params()
        parameters = {**self._all_parameters(), **fixed}
        last = (self._recipe, self._preparation.interpolation) if goes_on else ()
        return resolve(parameters, type(self).__name__, self._holds, *last)

    def _net_to_go_on_with(self, config):
        """Return the net of the last fit; raise if the parameters ask for another network."""
        self._check_same_image_shape()
        if not is_same(config.architecture, self._fitted_architecture):
            before, now = str(self._fitted_architecture), str(config.architecture)
            other = now if now != before else "another of that name"
            raise ValueError(
                f"The architecture of the last fit is {before}, and cannot change to {other} when "
                "training goes on. Restore the parameter, or start anew: fit with warm_start=False."
            )
        return self.net_

    def _check_same_image_shape(self):
        """Raise if `image_shape` is not that of the images which the network was made for."""
        asked = self.image_shape or ()
        if not is_same(asked, self.image_shape_[: len(asked)]):
            raise ValueError(
                f"The images of the last fit have the shape {self.image_shape_}, and image_shape "
                f"cannot change to {tuple(asked)} when training goes on. Restore the parameter, or "
                "start anew: fit with warm_start=False."
            )

    def _read(self, X, y, sample_weight, config, last, name="X"):
        """Read X, with the labels of its own if y is None, and weights.

        The first images of a fit that does not go on say what shape all have.
        """
        refuse_no_batch(y, name.replace("X", "y"))
        refuse_no_batch(sample_weight, name.replace("X", "sample_weight"))
        is_first = last is None and name == "X"
        if is_first:
            reset_fitted(self)
        read = read_images(
            X,
            config.read,
            expected=None if is_first else self.image_shape_,
            check_features=partial(check_features, self, is_first),
            name=name,
            with_labels=y is None,
        )
        if is_first:
            self.image_shape_ = tuple(read.images.shape[1:])
        y = read.labels if y is None else y
        check_consistent_length(read.images, y)
        values = self._values_of(X, y, read.images, config.read, name.replace("X", "y"))
        read = with_broken_maps(read, values)
        if name == "X" and config.read.handle_broken == "skip":
            self.skipped_rows_ = np.array(read.broken, dtype=np.int64)
        return _Given(read, y, values, read_weights(sample_weight, read.images, read.broken))

    def _values_of(self, X, y, images, options, name="y"):
        """Return y or, where it has a value for each pixel, the `Maps` of these images of X."""
        size = self.image_shape_[:2]
        maps = as_maps(y, size, name, self._map_format())
        if maps is None:
            return y
        return maps.of_images(own_sizes(X, options, images), size, options)

    def _encode(self, given, validation, last, classes=None, is_partial=False):
        """Return training and validation samples with y as tensors; learn from y what y is.

        What a batch after the first one of `partial_fit` holds changes nothing of that.
        """
        is_next_batch = is_partial and last is not None
        if not is_next_batch:
            self._learn_targets(given.values, given.weights, classes, last)
        encoded = self._encoded(given.values)
        self._class_weights = self._make_class_weights(given, encoded, keep_balanced=is_next_batch)
        samples = self._weighted(given, encoded)
        if last is not None:
            self._compare_targets(given.values, samples)
        if len(samples) < 2:
            raise ValueError(
                f"Found n_samples={len(samples)} to train on (those of weight 0 do not count), "
                "while a minimum of 2 is required: batch normalization compares images."
            )
        if validation is None:
            return samples, None
        held_out = self._weighted(validation, self._encoded(validation.values, "y_val"))
        self._check_validation_set(held_out)
        return samples, held_out

    def _learn_targets(self, y, sample_weight, classes, last):
        target = self._make_target(y, sample_weight, classes)
        if last is None:
            self._target = target
            self._seed, self._n_trainings = draw_seed(self.random_state), 0
        elif not target.same_as(self._target):
            raise ValueError(
                "warm_start can only continue on the same classes or number of outputs as in the "
                "last fit. Set warm_start=False to start anew."
            )

    def _encoded(self, values, name="y"):
        """Return y as a tensor; raise if it is of another kind than in the fit."""
        is_map = isinstance(values, Maps)
        if is_map != self._target.is_map:
            fitted, found = "image", "pixel"
            if self._target.is_map:
                fitted, found = found, fitted
            raise ValueError(
                f"{name} has a value for each {found}, but {type(self).__name__} was fitted on a "
                f"value for each {fitted}."
            )
        return self._target.encode(values, name)

    def _weighted(self, given, encoded):
        """Join images, encoded targets and weights; those of no weight drop out."""
        weights = given.weights
        # those of pixels are the loss's
        if self._class_weights is not None and not self._target.is_map:
            of_class = self._target.sample_weights(self._class_weights, encoded)
            weights = of_class if weights is None else weights * of_class
        return Samples.weighted(given.read.images, encoded, weights)

    def _check_validation_set(self, held_out):
        """Raise if too few images are left to be scored."""
        needed = self._min_validation_samples if self.scoring is None else 1
        if len(held_out) < needed:
            raise ValueError(
                f"Found n_samples={len(held_out)} in X_val (those of weight 0 do not count), while "
                f"a minimum of {needed} is required: {self._metric().name} of fewer is not "
                "defined. Pass more as X_val and y_val, or neither: then early_stopping=True "
                "splits off a part of X."
            )

    def _split(self, samples, config):
        """Split off the validation samples of `early_stopping`."""
        strata = self._target.strata(samples.targets[samples.indices])
        # the first training's seed: whoever goes on must not have learned from what scores them
        seed = _seed_of_training(self._seed, 0)
        split = split_off_validation(strata, len(samples), config.validation_fraction, seed)
        if split is None:
            warn(
                "early_stopping=True finds no sample to spare for validation among "
                f"{len(samples)}: training runs for max_epochs={config.max_epochs} epochs.",
                ConvergenceWarning,
            )
            return samples, None
        n_held_out, n_classes = len(split[1]), 0 if strata is None else len(np.unique(strata))
        if n_held_out < max(_FEWEST_HELD_OUT, n_classes):
            of_classes = f" of {n_classes} classes" if n_classes else ""
            warn(
                f"early_stopping=True goes by the score of {n_held_out} images{of_classes}, which "
                "says little. Set a larger validation_fraction, or pass X_val and y_val."
            )
        return samples.subset(split[0]), samples.subset(split[1])

    @contextmanager
    def _seeded(self, config):
        """Seed what building and training draw from; yields the seed and a device with a slot."""
        # the seed of the first training, or of an int set as random_state since
        is_fixed = isinstance(self.random_state, Integral)
        seed = draw_seed(self.random_state) if is_fixed else self._seed
        seed = _seed_of_training(seed, self._n_trainings)
        self._n_trainings += 1
        # a wait for a GPU does not count
        config.time_limit.pause()
        # fit trains whatever mode the caller is in
        with torch.inference_mode(False), gpu_slot(config.device) as device, seeded(seed, device):
            config.time_limit.resume()
            yield seed, device

    def _build(self, config, samples, last, device, is_partial=False):
        """Return a net, with the weights of the last one if there is one, and how to train it."""
        architecture = config.architecture
        if last is None:
            pixels = samples.pixel_statistics()
            target = self._target
            module = assemble(architecture, pixels, target.n_outputs, target.is_map)
            initialize(architecture, module, pixels)
            self._architecture = clone(architecture.without_weights())
            self._fitted_architecture = clone(architecture)
            self._fine_tuning = fine_tuning_of(architecture, module)
            self._recipe = config.recipe
            learns_whole = all(parameter.requires_grad for parameter in module.parameters())
            self._is_from_scratch = learns_whole and not architecture.has_learned_weights
            self._pixel_range = PixelRange.of(pixels)
        else:
            extremes = samples.extremes()
            self._compare_scale(extremes)
            self._pixel_range = self._pixel_range.widened(extremes)
            # a copy: a training that fails leaves the last one as it was
            module = copy.deepcopy(last.module_)
        # callbacks predict before training ends
        self._preparation = config.read.preparation
        net = self._make_net(module, self._fine_tuning, device, config.callbacks)
        if last is not None:
            net.history_.extend(copy.deepcopy(list(last.history_)))
            set_first_lr(net)
            if is_partial:
                carry_over_state(last, net)
        return net, self._plan(config, module, device, is_partial)

    def _make_net(self, module, fine_tuning, device, callbacks=()):
        """Return the initialized net of a module."""
        lr, weight_decay = lr_and_weight_decay(self._all_parameters(), self._recipe)
        return Net(
            module,
            self._make_loss(self._target),
            optimizer=self.optimizer,
            lr=lr,
            weight_decay=weight_decay,
            max_epochs=resolve_auto(self.max_epochs, self._recipe.max_epochs),
            lr_ratios=fine_tuning.lr_ratios,
            with_frozen=fine_tuning.unfreeze_after is not None,
            callbacks=list(callbacks),
            device=str(device),
            predict_nonlinearity=self._nonlinearity(),
        ).initialize()

    def _plan(self, config, module, device, is_partial=False):
        """Return how the net is trained."""
        size, fan_in = self.image_shape_[:2], widest_fan_in(module)
        precision = resolve_precision(config.precision, device, size, fan_in)
        return TrainingPlan(
            n_epochs=config.max_epochs,
            lr_schedule=config.lr_schedule,
            precision=precision,
            # "auto" predicts in float32: rounding would show in scores
            prediction_precision="float32" if config.precision == "auto" else precision,
            shape=self._logit_shape(),
            compile=config.compile,
            unfreeze_after=self._fine_tuning.epochs_frozen(config.max_epochs),
            head=self._head_of(module),
            memory=config.read.memory,
            verbose=config.verbose,
            keeps_statistics=self._recipe.keeps_statistics,
            is_whole=not is_partial,
            limit=config.time_limit,
        )

    def _train(self, net, plan, config, samples, validation, listeners, seed):
        """Run the epochs, and keep what was learned even if Ctrl-C ends them."""
        scored = [] if validation is None else [validation.samples]
        self._check_acts_on_loss(net.criterion_, [samples, *scored])
        if config.test_time_augmentation:
            self._averaged(net.module_)  # raises if predictions could not be averaged
        # callbacks predict before training ends
        self._precision, self._prediction_precision = plan.precision, plan.prediction_precision
        self._resolve_augmentation()
        device = torch.device(net.device)
        batches = TrainingBatches(
            samples.on(device),
            batch_size=resolve_batch_size(config.batch_size, len(samples)),
            generator=torch.Generator(device).manual_seed(seed),
            augmentation=augmentation_step(
                self.augmentation_, self._target, net.criterion_, samples
            ),
        )
        watch = ContentionWatch.of_training(device, batches.samples.images, plan.compile)
        listeners = [*listeners, watch]
        with ExitStack() as stack:
            if config.verbose:
                bar = self._progress_bar(net, batches, plan)
                listeners = [*listeners, stack.enter_context(closing(bar))]
            try:
                train(net, batches, plan, validation, listeners)
            except KeyboardInterrupt:
                if net.n_steps_ > 0:
                    self._keep(net, validation)
                raise
        self._keep(net, validation)

    def _resolve_augmentation(self):
        """Set what `augmentation` comes to."""
        self.augmentation_ = resolve_automatic(
            as_augmentation(self.augmentation),
            self._target,
            self.image_shape_[:2],
            from_scratch=self._is_from_scratch,
        )

    def _check_acts_on_loss(self, loss, of_samples):
        """Let a loss leave out missing numbers; raise if these or weights cannot act on it."""
        are_weighted = any(samples.weights is not None for samples in of_samples)
        are_missing = any(samples.has_missing_targets() for samples in of_samples)
        if self._target.is_map:
            are_weighted |= self._class_weights is not None
            are_missing &= not getattr(loss.loss, "takes_missing", False)
        else:
            loss.leaves_out_missing = are_missing
        if loss.takes_weights or not (are_weighted or are_missing):
            return
        if are_weighted:
            cannot = "sample_weight and class_weight cannot act on it"
        else:
            cannot = "numbers that are missing in y (NaN) cannot be left out of it"
        raise ValueError(
            f"loss={self.loss!r} has no `reduction`, so {cannot}. Give it one, with "
            '"none" returning a loss for each sample, and for each number where y holds NaN.'
        )

    def _progress_bar(self, net, batches, plan):
        """Return a bar; above it stands what is about to be trained."""
        place = place_in_search(self)
        name = f"{type(self).__name__} ({place})" if place else type(self).__name__
        described = describe(net, batches, plan, self._described_outputs(), str(self._architecture))
        tell(f"{name}: {described}")
        return ProgressBar(place, plan.n_epochs, batches.n_steps, self._metric().name)

    def _described_outputs(self):
        """Return how many outputs the network has, and of what."""
        n_outputs, kind = self._target.n_outputs, _OUTPUTS.get(type(self._target), "outputs")
        if n_outputs == 1:
            return "1 number of pixels" if self._target.is_map else "1 output"
        return f"{n_outputs:,} {kind}"

    def _make_validation(self, held_out, y, config, device):
        """Return how held-out samples, rows of y, are scored; None where there are none."""
        if held_out is None:
            return None
        samples = held_out.compact()
        # of maps that are read when they are needed all at once
        targets = samples.targets[:].numpy()
        weights = None if samples.weights is None else samples.weights.numpy()
        is_asked_of_truth = self.scoring not in (None, "loss")
        metric = self._metric(self._true_values(y, held_out) if is_asked_of_truth else None)
        if self.scoring is not None:
            try_metric(metric, targets, self._target.likely_outputs(targets), weights)

        def score(outputs):
            return metric.score(targets, outputs, weights)

        score_or_loss = None if metric.score is None else score
        return Validation(
            samples.on(device),
            score_or_loss,
            config.patience,
            config.tol,
            keep=self._target.keep if self._target.is_map else None,
        )

    def _metric(self, y_true=None):
        """Return the `Metric` of validation scores, of samples of which y_true is true."""
        if self.scoring is None:
            return self._default_metric()
        if self.scoring == "loss":
            return NEGATIVE_LOSS
        return metric_of_scorer(
            self.scoring,
            self._target,
            y_true,
            has_probabilities=has_probabilities(self.loss),
            is_weighted=self._class_weights is not None,
        )

    def _keep(self, net, validation):
        """Set what was learned."""
        # whatever parameters are set after this
        self._score_name = self._metric().name
        self.__dict__.update(self._learned(net, validation))

    def _learned(self, net, validation):
        """Return the fitted attributes, by their names."""
        losses = [row["train_loss"] for row in net.history_]
        scores = [row["valid_score"] for row in net.history_ if "valid_score" in row]
        batch_sizes = [row["batch_size"] for row in net.history_ if "batch_size" in row]
        return {
            "net_": net,
            "n_outputs_": self._target.n_outputs,
            "n_iter_": len(net.history_),
            "n_steps_": sum(row.get("train_batch_count", 0) for row in net.history_),
            "batch_size_": batch_sizes[-1] if batch_sizes else None,
            "loss_curve_": losses,
            "best_loss_": min(losses, default=None),
            "validation_scores_": scores or None,
            "best_validation_score_": validation.best_score if validation and scores else None,
            "best_epoch_": validation.best_epoch if validation else None,
        }

    # hundreds of features say less than images and classes
    _html_repr = html_without_features

    def _sk_visual_block_(self):
        """Return scikit-learn's record of what a notebook shows; fitted, of which images too."""
        caption = None
        if hasattr(self, "net_"):
            shape = " × ".join(map(str, self.image_shape_))
            caption = f"images of {shape}, {self._described_outputs()}"
        name = type(self).__name__
        return VisualBlock("single", self, names=name, name_details=str(self), name_caption=caption)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


class _Given(NamedTuple):
    """What was given to a fit: images as they were read, y, its values or `Maps`, and weights."""

    read: ImageSet
    y: Any
    values: Any
    weights: Any


def _check_pair(X_val, y_val, sample_weight_val):
    if (X_val is None) != (y_val is None):
        given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
        hint = ""
        if isinstance(X_val, Dataset):
            hint = " Both of a Dataset of pairs are X_val, y_val = unpack_dataset(dataset)."
        raise ValueError(f"{given} is provided, but {missing} was not provided.{hint}")
    if X_val is None and sample_weight_val is not None:
        raise ValueError("sample_weight_val is provided, but X_val was not provided.")


def _seed_of_training(seed, position):
    """Return a seed: each training has a stream of its own, which random_state fixes."""
    return int(np.random.SeedSequence([seed, position]).generate_state(1)[0])

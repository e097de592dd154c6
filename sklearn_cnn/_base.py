"""What both estimators are: parameters, fit, partial_fit, raw predictions, tags."""

import copy
import copyreg
import os
from abc import ABCMeta, abstractmethod
from contextlib import ExitStack, closing, contextmanager, nullcontext
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    clone,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import nn

from sklearn_cnn._learned import forget, restored_on_failure
from sklearn_cnn._warnings import warn
from sklearn_cnn.architectures import Architecture, as_architecture
from sklearn_cnn.architectures._assembly import (
    assemble,
    describe,
    fine_tuning_of,
    initialize,
    is_other_module,
    last_linear,
    penultimate,
)
from sklearn_cnn.architectures._registry import without_own_name
from sklearn_cnn.images import check_image_shape, labels_of, read_images, read_training_images
from sklearn_cnn.persistence import (
    dumps,
    is_built_from_a_file,
    load_estimator,
    loads,
    save_estimator,
)
from sklearn_cnn.training.augmentation import (
    Augmentation,
    as_augmentation,
    augmentation_step,
    mirrored_mean,
    why_not_resized,
    with_parameters,
)
from sklearn_cnn.training.batches import TrainingBatches, resolve_batch_size
from sklearn_cnn.training.callbacks import copy_callbacks
from sklearn_cnn.training.device import (
    draw_seed,
    new_tensors_on_cpu,
    resolve_device,
    resolve_precision,
    seeded,
    widest_fan_in,
)
from sklearn_cnn.training.going_on import ingredients, parts_to_renew
from sklearn_cnn.training.net import Net
from sklearn_cnn.training.optim import OPTIMIZERS, SCHEDULES, resolve_weight_decay
from sklearn_cnn.training.samples import Samples, read_weights, without_rows
from sklearn_cnn.training.sharing import estimate_memory, shared
from sklearn_cnn.training.validation import Validation, split_off_validation
from sklearn_cnn.training.watchers import (
    CallbackSupportMixin,
    ProgressBar,
    SklearnCallbacks,
    with_callbacks,
)

# Parameters with parameters of their own, and what replaces a name by its object.
_OBJECTS_OF_NAMES = {"architecture": as_architecture, "augmentation": with_parameters}


class BaseCNN(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
    metaclass=ABCMeta,
):
    """Base class of the estimators; holds a skorch net rather than being one."""

    _parameter_constraints: dict = {
        "architecture": [str, Architecture, callable],
        "image_shape": [tuple, list, None],
        "channel_axis": [Options(Integral, {-1, 1})],
        "resize_mode": [StrOptions({"squash", "crop", "pad"})],
        "augmentation": [str, Augmentation, callable, None],
        "test_time_augmentation": ["boolean"],
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "lr_schedule": [StrOptions(set(SCHEDULES))],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "device": [str, torch.device],
        "precision": [StrOptions({"auto", "bf16", "float32"})],
        "compile": ["boolean"],
        "callbacks": [list, tuple, None],
        "memory": [str, os.PathLike, HasMethods(["cache"]), None],
        "in_memory": ["boolean", StrOptions({"auto"})],
        "handle_broken": [StrOptions({"error", "skip"})],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # Images that a validation score is defined for.
    _min_validation_samples = 1

    _target: Any
    _architecture: Architecture
    _described: str
    _made_of: dict[str, Any]
    _score_name: str

    @abstractmethod
    def _make_target(self, y, sample_weight, classes):
        """Return the kind of target that y is; see `targets`."""

    @abstractmethod
    def _make_loss(self, target):
        """Return the `WeightedLoss` that `loss=` stands for."""

    @abstractmethod
    def _score_outputs(self, encoded, outputs, sample_weight):
        """Return the validation score of raw outputs against encoded targets."""

    @abstractmethod
    def _name_of_score(self, loss):
        """Return what `_score_outputs` computes under a loss, as figures call it."""

    def _check_classes(self, y, classes):
        """Check the classes that `partial_fit` was told of."""

    def _make_class_weights(self, y, sample_weight, keep_balanced):
        """Return weights of the classes, or None; those that balance may be learned from y."""
        return

    @restored_on_failure
    @new_tensors_on_cpu()
    @with_callbacks
    def fit(self, X, y=None, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Train a network on images.

        Parameters
        ----------
        X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images as numbers of any real dtype: arrays, memmaps, torch tensors, frames; or a
            sequence or one-column frame of arrays, PIL images or paths of files, or a torch
            Dataset. Numbers: uint8 stays uint8, all else becomes float32; four dimensions
            follow `channel_axis`. Files and PIL images become uint8 of one channel if all of
            them are gray, else of three.
        y : array-like of shape (n,) or (n, n_outputs), default=None
            Targets. May be left out only if X is a Dataset of (image, label) pairs.
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
            If the shape of the images had to be guessed and the guess is doubtful, or
            `handle_broken="skip"` left files out.
        ConvergenceWarning
            If `early_stopping=True` finds no sample to spare.
        """
        if (X_val is None) != (y_val is None):
            given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
            raise ValueError(f"{given} is provided, but {missing} was not provided.")
        if X_val is None and sample_weight_val is not None:
            raise ValueError("sample_weight_val is provided, but X_val was not provided.")
        self._check_parameters()
        continued = self.warm_start and hasattr(self, "net_")
        y = self._targets_of(X, y)
        data, broken = self._read_training_set(X, y, sample_weight, continued)
        held_out = None
        if X_val is not None:
            images, weights, _ = self._read(X_val, y_val, sample_weight_val, name="X_val")
            held_out = self._weighted(images, self._target.encode(y_val, "y_val"), weights)
            self._check_validation_set(held_out)
        with self._seeded(data, continued) as (seed, device):
            if held_out is None and self.early_stopping:
                data, held_out = self._split(data)
            net = self._make_net(data, continued, self.lr_schedule, device)
            told = without_rows(broken, X, y, sample_weight)
            watcher = SklearnCallbacks(self, self._learned, self.max_epochs, *told)
            self._train(net, data, held_out, self.max_epochs, [watcher], seed)
            watcher.fit_ends()
        return self

    @restored_on_failure
    @new_tensors_on_cpu()
    def _partial_fit(self, X, y, sample_weight, classes=None):
        self._check_parameters()
        self._check_classes(y, classes)
        continued = hasattr(self, "net_")
        y = self._targets_of(X, y)
        data, _ = self._read_training_set(X, y, sample_weight, continued, classes, partial=True)
        with self._seeded(data, continued) as (seed, device):
            net = self._make_net(data, continued, "constant", device)
            self._train(net, data, None, 1, [], seed, settle=False)
        return self

    def _check_parameters(self):
        self._validate_params()
        as_augmentation(self.augmentation)
        check_image_shape(self.image_shape)

    def _targets_of(self, X, y):
        """Return y, or the labels of X if it is a Dataset of pairs."""
        y = labels_of(X) if y is None else y
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        return y

    def _read_training_set(self, X, y, sample_weight, continued, classes=None, partial=False):
        """Read X and y, and learn from y unless an earlier fit is continued.

        Returns the samples that count, and the rows of X that are left out as broken files.
        """
        if continued:
            self._check_same_image_shape()
        else:
            forget(self)
        images, weights, broken = self._read(X, y, sample_weight, reset=not continued)
        is_next_batch = continued and partial
        if not is_next_batch:
            self._learn_targets(y, weights, classes, continued)
        encoded = self._target.encode(y)
        self._class_weights = self._make_class_weights(y, weights, keep_balanced=is_next_batch)
        data = self._weighted(images, encoded, weights)
        if len(data) < 2:
            raise ValueError(
                f"Found n_samples={len(data)} to train on (those of weight 0 do not count), "
                "while a minimum of 2 is required: batch normalization compares images."
            )
        return data, broken

    def _check_same_image_shape(self):
        """Raise if `image_shape` is not that of the images which the network was made for."""
        asked = self.image_shape or ()
        if tuple(asked) != self.image_shape_[: len(asked)]:
            raise ValueError(
                f"The images of the last fit have the shape {self.image_shape_}, and image_shape "
                f"cannot change to {tuple(asked)} when training goes on. Restore the parameter, or "
                "start anew: fit with warm_start=False."
            )

    def _read(self, X, y, sample_weight, *, reset=False, name="X"):
        """Read images and weights, and list broken rows; raise unless y is as long."""
        images, broken = read_training_images(self, X, reset=reset, name=name)
        check_consistent_length(images, y)
        return images, read_weights(sample_weight, images, broken), broken

    def _learn_targets(self, y, sample_weight, classes, continued):
        target = self._make_target(y, sample_weight, classes)
        if not continued:
            self._target = target
            self._seed, self._n_trainings = draw_seed(self.random_state), 0
        elif not target.same_as(self._target):
            raise ValueError(
                "warm_start can only continue on the same classes or number of outputs as in the "
                "last fit. Set warm_start=False to start anew."
            )

    def _weighted(self, images, encoded, weights):
        """Join images, encoded targets and weights; those of no weight drop out."""
        if self._class_weights is not None:
            of_class = self._target.sample_weights(self._class_weights, encoded)
            weights = of_class if weights is None else weights * of_class
        return Samples.weighted(images, encoded, weights)

    def _check_validation_set(self, held_out):
        """Raise if too few images are left to be scored."""
        needed = self._min_validation_samples
        if len(held_out) < needed:
            score = self._name_of_score(self.loss)
            raise ValueError(
                f"Found n_samples={len(held_out)} in X_val (those of weight 0 do not count), while "
                f"a minimum of {needed} is required: {score} of fewer is not defined. Pass "
                "more as X_val and y_val, or neither: then early_stopping=True splits off a part "
                "of X."
            )

    def _split(self, data):
        """Split off the validation samples of `early_stopping`."""
        strata = self._target.strata(data.targets[data.rows])
        # the first training's seed: whoever goes on must not have learned from what scores them
        seed = self._seed_of_training(self._seed, 0)
        split = split_off_validation(strata, len(data), self.validation_fraction, seed)
        if split is None:
            warn(
                f"early_stopping=True finds no sample to spare for validation among {len(data)}: "
                f"training runs for max_epochs={self.max_epochs} epochs.",
                ConvergenceWarning,
            )
            return data, None
        return data.subset(split[0]), data.subset(split[1])

    @contextmanager
    def _seeded(self, data, continued):
        """Seed what training draws from; yields the seed and a device with room for it."""
        # a net that goes on has its place already
        room = nullcontext(torch.device(self.net_.device)) if continued else self._room(data)
        seed = self._seed_of_training(self._current_seed(), self._n_trainings)
        self._n_trainings += 1
        # fit trains whatever mode the caller is in
        with torch.inference_mode(False), room as device, seeded(seed, device):
            yield seed, device

    def _current_seed(self):
        """Return the seed of the first training, or of an int set as random_state since."""
        is_fixed = isinstance(self.random_state, Integral)
        return draw_seed(self.random_state) if is_fixed else self._seed

    @staticmethod
    def _seed_of_training(seed, position):
        """Return a seed: each training has a stream of its own, which random_state fixes."""
        return int(np.random.SeedSequence([seed, position]).generate_state(1)[0])

    def _room(self, data):
        """Return a context of the device; on a GPU that others use too it waits for room."""
        batch_size = resolve_batch_size(self.batch_size, len(data))

        def estimate():
            architecture = as_architecture(self.architecture)
            return estimate_memory(architecture, data, self._target.n_outputs, batch_size)

        return shared(resolve_device(self.device), estimate)

    def _make_net(self, data, continued, lr_schedule, device):
        """Make the net, or a copy of the last one so that a failure leaves that untouched."""
        architecture = as_architecture(self.architecture)
        described = describe(architecture)
        if continued:
            other = described if described != self._described else "another of that name"
            if other == described or is_other_module(architecture, self._architecture):
                raise ValueError(
                    f"The architecture of the last fit is {self._described}, and cannot change to "
                    f"{other} when training goes on. Restore the parameter, or start anew: "
                    "fit with warm_start=False."
                )
            return self._net_that_goes_on(lr_schedule)
        module = assemble(architecture, data.images, data.rows, self._target.n_outputs)
        initialize(architecture, module, data.images, data.rows)
        self._architecture, self._described = clone(architecture.without_weights()), described
        return self._wrap(module, fine_tuning_of(architecture, module), lr_schedule, device)

    def _wrap(self, module, fine_tuning, lr_schedule, device):
        """Return the net that trains a module."""
        self._made_of = ingredients(self)
        return Net(
            module,
            **self._settings(module, lr_schedule, device),
            device=str(device),
            n_outputs=self._target.n_outputs,
            image_size=self.image_shape_[:2],
            fine_tuning=fine_tuning,
        ).initialize()

    def _net_that_goes_on(self, lr_schedule):
        """Return a copy of the last net, with the parameters as they are now."""
        net, made_of = copy.deepcopy(self.net_), ingredients(self)
        settings = self._settings(net.module_, lr_schedule, torch.device(net.device))
        net.reconfigure(parts_to_renew(self._made_of, made_of), **settings)
        self._made_of = made_of
        return net

    def _settings(self, module, lr_schedule, device):
        """Return what parameters set of a net, and may be changed when training goes on."""
        size, fan_in = self.image_shape_[:2], widest_fan_in(module)
        precision = resolve_precision(self.precision, device, size, fan_in)
        return {
            "criterion": self._make_loss(self._target),
            "optimizer": self.optimizer,
            "lr": self.lr,
            "weight_decay": resolve_weight_decay(self.weight_decay, self.optimizer),
            "lr_schedule": lr_schedule,
            "precision": precision,
            # "auto" predicts in float32: rounding would show in scores
            "prediction_precision": "float32" if self.precision == "auto" else precision,
            "compile": self.compile,
            "callbacks": copy_callbacks(self.callbacks or []),
        }

    def _train(self, net, data, held_out, n_epochs, watchers, seed, settle=True):
        """Run the epochs, and keep what was learned even if Ctrl-C ends them."""
        are_weighted = any(s is not None and s.weights is not None for s in (data, held_out))
        if are_weighted and not net.criterion_.takes_weights:
            raise ValueError(
                f"loss={self.loss!r} has no `reduction`, so sample_weight and class_weight cannot "
                'act on it. Give it one, with "none" returning a loss for each sample.'
            )
        if self.test_time_augmentation:
            self._averaged(net)  # raises if predictions could not be averaged
        device = torch.device(net.device)
        step = augmentation_step(self.augmentation, self._target, net.criterion_, data)
        batches = TrainingBatches(
            data.on(device),
            batch_size=resolve_batch_size(self.batch_size, len(data)),
            generator=torch.Generator(device).manual_seed(seed),
            augmentation=step,
        )
        validation = None
        if held_out is not None:
            validation = self._make_validation(held_out.compact(), device)
        with ExitStack() as stack:
            if self.verbose:
                bar = ProgressBar(n_epochs, type(self).__name__)
                watchers = [*watchers, stack.enter_context(closing(bar))]
            try:
                net.fit(batches, validation, n_epochs, watchers, settle)
            except KeyboardInterrupt:
                if net.has_stepped_:
                    self.__dict__.update(self._learned(net, validation))
                raise
        self.__dict__.update(self._learned(net, validation))

    def _make_validation(self, samples, device):
        targets = samples.targets.numpy()
        weights = None if samples.weights is None else samples.weights.numpy()

        def score(outputs):
            return self._score_outputs(targets, outputs, weights)

        patience = self.n_iter_no_change if self.early_stopping else None
        return Validation(samples.on(device), score, patience, self.tol)

    def _learned(self, net, validation):
        """Return the fitted attributes, by their names."""
        losses = [row["train_loss"] for row in net.history_]
        scores = [row["valid_score"] for row in net.history_ if "valid_score" in row]
        return {
            "net_": net,
            "n_outputs_": self._target.n_outputs,
            "n_iter_": len(net.history_),
            "loss_curve_": losses,
            "best_loss_": min(losses, default=None),
            "validation_scores_": scores or None,
            "best_validation_score_": validation.best_score if validation and scores else None,
            "best_epoch_": validation.best_epoch if validation else None,
            # whatever parameters are set after this
            "_score_name": self._name_of_score(self.loss),
        }

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
    def device_(self):
        """The device that the module is on."""
        return self.net_.device

    @property
    def precision_(self):
        """The precision of training: "bf16" or "float32"."""
        return self.net_.precision

    @property
    def _why_not_resized(self):
        """Why images are refused, in training and in prediction, that would be resized; or None."""
        return why_not_resized(self.augmentation)

    @property
    def _n_features_out(self):
        return last_linear(self.module_).in_features

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
            The input of the last `nn.Linear`.

        Raises
        ------
        ValueError
            If X cannot be used, the network has no `nn.Linear`, or its output is not finite.
        """
        check_is_fitted(self)
        return self._outputs(X, penultimate(self.module_))

    @new_tensors_on_cpu()
    def _raw_predict(self, X):
        check_is_fitted(self)
        return self._outputs(X, self._averaged(self.net_) if self.test_time_augmentation else None)

    def _outputs(self, X, module):
        """Return what a module, or the network if None, makes of X."""
        images = read_images(self, X)
        outputs = self.net_.raw_predict(images, module).numpy()
        unfit = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
        if len(unfit) > 0:
            raise ValueError(
                f"The network's output is NaN or infinite for {len(unfit)} of {len(outputs)} "
                f"images, the first of them X[{unfit[0]}]. Bring the pixels of X to the unit that "
                "they had in fit. If they have it, weights of module_ are NaN or infinite: fit "
                "anew."
            )
        return outputs

    def _averaged(self, net):
        """Return the module with test-time augmentation."""
        size = self.image_shape_[:2]
        return mirrored_mean(net.module_, self.augmentation, self._target, size)

    def save(self, path):
        """Write the fitted estimator to a file that holds no code.

        The file holds tensors and plain values, in safetensors' layout and under a checksum, so
        that reading it runs nothing: unlike a pickle, it may come from anyone.

        Parameters
        ----------
        path : str or path
            The file; one that is there is replaced as a whole, and keeps its mode. A link is
            followed.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If labels are neither numbers nor text.
        ValueError
            If a parameter was set that `fit` would refuse, a weight is not finite, or the path
            is there and no regular file.
        OSError
            If the file cannot be written, for want of room say; an earlier one is as it was.

        See Also
        --------
        load : Read the file.
        """
        check_is_fitted(self)
        save_estimator(self, path)

    @classmethod
    def load(cls, path, architecture=None):
        """Read a fitted estimator that `save` wrote.

        Predictions are those of the estimator that was saved, and training goes on from
        where it was. Parameters that are code of your own (`callbacks`, a function as
        `augmentation`, a loss) and `memory` come back as their defaults, with a warning. So do
        learned weights that another `fit` would start from: in place of
        `Finetuned(FrozenEstimator(...))` stands the architecture of its source.

        Parameters
        ----------
        path : str or path
            The file.
        architecture : Architecture, nn.Module, class or callable, default=None
            Your own network, if you saved one: its code is not in the file. Parameters of
            its constructor that were set are set again.

        Returns
        -------
        CNNClassifier or CNNRegressor
            The estimator, of the class that `load` is called on.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged, is no regular file, was not written by `save` of this
            version of the format, holds what `save` never writes, or another class of
            estimator, or needs `architecture`. Nothing is built or opened before that is clear.

        Warns
        -----
        UserWarning
            If a parameter did not come back, or the device is missing on this machine.

        See Also
        --------
        save : Write the file.
        """
        return load_estimator(path, architecture, kind=cls)

    def set_params(self, **params):
        """Set the parameters of this estimator.

        `architecture__<parameter>` and `augmentation__<parameter>` work where these are
        given by name, or the architecture as an `nn.Module` class, too: what the name stands
        for takes its place first.

        Parameters
        ----------
        **params : dict
            Name to value.

        Returns
        -------
        self : object
            This estimator.

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        for owner, as_object in _OBJECTS_OF_NAMES.items():
            if any(name.startswith(f"{owner}__") for name in params):
                spec = params.get(owner, getattr(self, owner))
                params = {**params, owner: as_object(spec)}
        return super().set_params(**params)

    def __reduce_ex__(self, protocol):
        """Return what pickle and copy keep: everything. skops asks `__getstate__` alone."""
        # names that were registered in this process mean nothing in a worker
        state = {**vars(self), "architecture": without_own_name(self.architecture)}
        return copyreg.__newobj__, (type(self),), state  # type: ignore[attr-defined]

    def __getstate__(self):
        """Return plain values alone: once fitted, the bytes of the file that `save` writes."""
        if not hasattr(self, "net_"):
            return {**vars(self), "architecture": without_own_name(self.architecture)}
        own = None if is_built_from_a_file(self._architecture) else self._architecture
        if isinstance(getattr(own, "module", None), nn.Module):
            raise TypeError(
                f"{own!r} cannot be kept without code. Fit with the class of the network, or keep "
                f"the estimator by {type(self).__name__}.save, whose load is passed the network."
            )
        return {"_saved": dumps(self), "_own_architecture": own}

    def __setstate__(self, state):
        if "_saved" in state:
            state = vars(loads(state["_saved"], state["_own_architecture"], kind=type(self)))
        super().__setstate__(state)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

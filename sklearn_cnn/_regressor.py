"""The regressor."""

from functools import partial
from numbers import Real

import numpy as np
import torch
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_cnn._base import BaseCNN
from sklearn_cnn._compat import Interval, StrOptions
from sklearn_cnn.images import MapFormat, Maps
from sklearn_cnn.losses import NUMBERS, QuantileLoss, WeightedLoss, resolve_loss
from sklearn_cnn.metrics._validation import (
    d2_pinball,
    mean_d2_pinball,
    r2,
    r2_of_known,
    r2_of_maps,
    r2_of_pixels,
)
from sklearn_cnn.runtime.fitted import reads_one_fit
from sklearn_cnn.runtime.suggestions import explains_keywords
from sklearn_cnn.runtime.warnings import warn
from sklearn_cnn.targets import Continuous, PixelNumbers, Quantiles, check_numbers

# Numbers of y whose scale is compared with that of the first training.
_MOST_COMPARED = 2**24


class CNNRegressor(MultiOutputMixin, RegressorMixin, BaseCNN):
    """A convolutional network that predicts one number or several from an image, or from pixels.

    y of shape (n, H, W) or (n, H, W, k) holds a number for each pixel, or several.
    y is standardized inside; predictions come in its own units and shape.

    Parameters
    ----------
    architecture : str, Architecture, nn.Module or callable, default="convnet"
        The network. A name: "convnet", "resnet" (both for small images), any of torchvision's
        classification models ("resnet18", "efficientnet_b0", ...), or one that
        `architectures.register_architecture` added; `architectures.available_architectures()`
        lists them. An object: `ConvNet`, `ResNet`, `TorchvisionModel`, `Finetuned`. Or your
        own `nn.Module` class, or a function that returns a module, which is passed whichever
        of `in_channels`, `num_classes` (or `n_outputs`), `image_size` and `image_shape` it
        names and must return logits. A module itself is copied, and each fit starts from its
        weights. Parameters of the architecture are set by `architecture__<name>`.
    image_shape : tuple of int, default=None
        (H, W) or (H, W, C). How flat rows unflatten (these are never resized), and the size
        that images and files of any size are resized to, in `fit` and in `predict`. None: the
        size seen in `fit` is the size; flat rows whose length is a perfect square are square gray
        images, others strips of height 1; guesses that may be wrong warn. With learned weights,
        files and images of several sizes are resized to the one that the weights recommend.
    channel_axis : {-1, 1}, default=-1
        Where X of four dimensions keeps its channels, and in which order flat rows hold
        them: -1 for (H, W, C), 1 for (C, H, W).
    resize_mode : {"squash", "crop", "pad"}, default="squash"
        How images reach `image_shape`: by ignoring the aspect ratio, by cutting off what
        juts out, or by filling up with zeros. Pixels are interpolated as the learned weights of
        the architecture recommend, without them bilinearly.
    augmentation : "auto", str, Augmentation, callable or None, default="auto"
        How training images are changed at random. "auto" and None: they are not, for numbers may
        be places or sizes. Else a name out of `available_augmentations()`, an `Augmentation`
        object, or a function that maps a batch of images of shape (b, C, H, W), uint8 or float32,
        to one of the same shape and dtype; torchvision's v2 transforms do. Maps move along; a
        function is then one of images and maps. In training only. Parameters of an object are set
        by `augmentation__<name>`.
    test_time_augmentation : bool, default=False
        Whether predictions are means over an image and its mirror image; coordinates are
        mirrored back as `augmentation` says. It may be set after `fit`; validation scores in
        training and `transform` are without it.
    loss : {"auto", "squared_error", "absolute_error", "huber", "quantile", \
            "scale_invariant_log"} or nn.Module, default="auto"
        "auto" is "squared_error". The losses act on standardized targets: "huber" is linear
        beyond one standard deviation. A module takes outputs and targets, both of shape
        (b, n_outputs), or (b, n_outputs, H, W) of maps. "quantile" is not for maps;
        "scale_invariant_log" is for maps of depths alone: errors of their logarithms, of which half
        of what one factor for a whole map explains is forgiven. Depths must be positive, NaN where
        there are none.
    quantile : float or tuple of float, default=0.5
        Which quantile `loss="quantile"` predicts, in (0, 1). Several, which ascend: `predict`
        has a column for each, and in no row do they cross; y is one number an image.
    target_scale : float, default=1.0
        What the numbers in image files of y, maps of 8 to 32 bits, are multiplied by: 0.001 makes
        metres of millimetres. Arrays and `.npy` files hold numbers as they are; `fit` warns if y is
        of nothing else.
    optimizer : {"adamw", "adam", "sgd"}, class or functools.partial, default="adamw"
        A name ("sgd" has Nesterov momentum 0.9), a class out of `torch.optim`, or a partial
        of one with further arguments.
    lr : float or "auto", default="auto"
        Largest learning rate of the schedule. "auto" is what suits the architecture: 0.005 from
        scratch, 0.003 with learned weights.
    weight_decay : float or "auto", default="auto"
        Weight decay of the layers' weights; biases and normalizations have none. "auto" is
        0.5 for AdamW, where it acts at the rate of `lr` times this, or 0.05 with learned weights;
        5e-4 for "sgd", which adds it to the gradient; and 0 for other optimizers.
    lr_schedule : {"one_cycle", "cosine", "constant"}, default="one_cycle"
        How the learning rate moves, step by step, over `max_epochs`: up and down, down, or
        not at all.
    max_epochs : int or "auto", default="auto"
        Times that training sees each image. "auto": 20 from scratch, 12 with learned weights.
    time_limit : float, default=None
        Seconds that a `fit` may take, the reading of images included. If they are too few for
        `max_epochs`, the learning rate goes its way in the time that there is, and training
        ends with it: within one step and what ends an epoch (a validation, callbacks). The result
        then depends on the speed of the machine. `partial_fit` ignores it.
    batch_size : int or "auto", default="auto"
        Images in a training step. "auto": the power of two from 8 to 128 that makes an epoch
        about 45 steps.
    scoring : str, callable or None, default=None
        What is scored on validation images after each epoch, and so what `early_stopping`
        goes by: None (R², for `loss="quantile"` D² of the pinball loss), "loss" (with its sign
        changed), a scorer's name out of `sklearn.metrics.get_scorer_names()`, or a scorer
        (`sklearn.metrics.make_scorer` makes one). Higher is better. Your own function of
        (estimator, X, y) gets the outputs that are there: an estimator that has `predict` alone,
        and as X the numbers of the validation set's rows.
    early_stopping : bool, default=False
        Whether to hold out part of the training set, and stop when the score on it stops rising.
        With "one_cycle" and "cosine" the learning rate then comes to its end within a quarter more
        epochs, and the last weights are kept; with "constant" training stops at once, and the
        weights that scored best are kept. The part is random, of two samples or more;
        where they cannot be spared there is a warning and no early stopping. `partial_fit`
        ignores it.
    validation_fraction : float, default=0.1
        Share of the training set that `early_stopping` holds out, in (0, 1).
    n_iter_no_change : int, default=10
        Epochs without a rise of the score by `tol` after which `early_stopping` stops. Those of the
        first half of a schedule do not count, nor those before `unfreeze_after` is over.
    tol : float, default=1e-4
        Smallest rise of the validation score that counts as one.
    device : str or torch.device, default="auto"
        Where to train and predict. "auto": CUDA, then MPS, then the CPU.
    precision : {"auto", "bf16", "float32"}, default="auto"
        Of training. "auto": bfloat16 autocast where the hardware multiplies it natively, the
        images have at least 144 pixels and the widest convolution sums at least 256 products
        an output; else float32, which is as fast there. Predictions are float32 then.
        "bf16" predicts in bfloat16 too.
    compile : bool, default=False
        Whether training runs through `torch.compile`.
    callbacks : list of skorch callbacks, default=None
        Copied before use, but for what they hold, which is shared; reach the used ones through
        `net_.callbacks_`. Those that have a parameter here instead are refused by its name. For
        scikit-learn's own callbacks see `set_callbacks`.
    memory : str, path or joblib.Memory, default=None
        Folder that caches decoded files of images, masks and maps, as in `Pipeline`: a search then
        decodes each file once in all, and its workers share the pages. A file that has changed is
        decoded anew. What frozen layers make of training images is kept too, so that folds share
        it.
    in_memory : bool or "auto", default="auto"
        Whether decoded files, Datasets and memmaps are kept in memory. Else they are read
        again, batch by batch, while the network trains. "auto": if they take at most half of
        the memory that is free. The result is the same.
    handle_broken : {"error", "skip"}, default="error"
        What `fit` and `score` do about files that cannot be read as images, masks or maps: raise,
        or leave their rows out with a warning that counts and names them. `find_broken` says
        which images they are.
    warm_start : bool, default=False
        Whether another `fit` goes on from the weights of the last one.
    random_state : int, RandomState instance or None, default=None
        Fixes weights, order and augmentation. None draws from the operating system; global
        generators are never touched. Training that goes on has streams of its own, out of the
        same draw, unless another int was set since; the part that `early_stopping` holds out
        stays that of the first training.
    verbose : int, default=0
        Whether `fit` says what it trains, and shows a progress bar; so do predictions that take
        longer than five seconds.

    Attributes
    ----------
    n_outputs_ : int
        Outputs of the network, that is of y.
    n_features_in_ : int
        H * W * C for numeric X; 1 for a one-column frame of images; absent for a sequence.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X was a frame whose names are all strings.
    image_shape_ : tuple of (int, int, int)
        Height, width and channels of an image.
    skipped_rows_ : ndarray of int64
        The rows of X that `handle_broken="skip"` left out of the last fit; absent without it,
        and after `load`.
    net_ : skorch.NeuralNet
        The net that trained.
    module_ : torch.nn.Module
        The network with its standardization of the pixels, from raw images (b, C, H, W) to
        logits.
    lr_, weight_decay_ : float
        What `lr` and `weight_decay` came to.
    augmentation_ : Augmentation, callable or None
        What `augmentation` came to.
    max_epochs_ : int
        What `max_epochs` came to.
    batch_size_ : int
        What `batch_size` came to.
    n_iter_ : int
        Epochs run.
    n_steps_ : int
        Training steps in them.
    loss_curve_ : list of float
        Mean training loss of each epoch.
    best_loss_ : float
        Smallest of `loss_curve_`.
    validation_scores_ : list of float or None
        What `scoring` says of the validation set after each epoch, if there is one; weighted by
        `sample_weight` where the scorer takes weights.
    best_validation_score_ : float or None
        Largest validation score of the last fit.
    best_epoch_ : int or None
        The epoch, counted from 1, whose weights `early_stopping` kept: with "one_cycle" and
        "cosine" the last one.
    history_ : skorch.history.History
        A dict of all figures of each epoch.
    device_ : str
        The device in use.
    precision_ : {"bf16", "float32"}
        The precision of training.

    See Also
    --------
    CNNClassifier : The same for labels.

    Examples
    --------
    How bright is an image?

    >>> import numpy as np
    >>> from sklearn_cnn import CNNRegressor
    >>> X = np.random.default_rng(0).integers(0, 256, (300, 8, 8), dtype=np.uint8)
    >>> y = X.mean(axis=(1, 2))
    >>> regressor = CNNRegressor(random_state=0).fit(X[:200], y[:200])
    >>> bool(regressor.score(X[200:], y[200:]) > 0.8)
    True
    """

    _parameter_constraints: dict = {
        **BaseCNN._parameter_constraints,
        "loss": [
            StrOptions({"auto", "quantile", "scale_invariant_log", *Continuous.losses}),
            nn.Module,
            callable,
        ],
        "quantile": [Interval(Real, 0, 1, closed="neither"), tuple, list],
        "target_scale": [Interval(Real, 0, None, closed="neither")],
    }

    @explains_keywords
    def __init__(
        self,
        architecture="convnet",
        *,
        image_shape=None,
        channel_axis=-1,
        resize_mode="squash",
        augmentation="auto",
        test_time_augmentation=False,
        loss="auto",
        quantile=0.5,
        target_scale=1.0,
        optimizer="adamw",
        lr="auto",
        weight_decay="auto",
        lr_schedule="one_cycle",
        max_epochs="auto",
        time_limit=None,
        batch_size="auto",
        scoring=None,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        device="auto",
        precision="auto",
        compile=False,
        callbacks=None,
        memory=None,
        in_memory="auto",
        handle_broken="error",
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.architecture = architecture
        self.image_shape = image_shape
        self.channel_axis = channel_axis
        self.resize_mode = resize_mode
        self.augmentation = augmentation
        self.test_time_augmentation = test_time_augmentation
        self.loss = loss
        self.quantile = quantile
        self.target_scale = target_scale
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.lr_schedule = lr_schedule
        self.max_epochs = max_epochs
        self.time_limit = time_limit
        self.batch_size = batch_size
        self.scoring = scoring
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.device = device
        self.precision = precision
        self.compile = compile
        self.callbacks = callbacks
        self.memory = memory
        self.in_memory = in_memory
        self.handle_broken = handle_broken
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch on a batch, at the constant rate `lr`.

        Mean and scale of y are learned from the first batch.

        Parameters
        ----------
        X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images, as in `fit`.
        y : array-like of shape (n,), (n, n_outputs), (n, H, W) or (n, H, W, n_outputs)
            Targets; NaN in one of several columns, or in maps, does not count.
        sample_weight : array-like of shape (n,), default=None
            Weights of the samples.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or y cannot be used, or other quantiles are asked for than in the first call.

        Warns
        -----
        UserWarning
            If pixels, or numbers of y, plainly are on another scale than in the first batch; or if
            y of several columns holds NaN.
        """
        if hasattr(self, "net_"):
            self._check_number_of_quantiles()
        return self._partial_fit(X, y, sample_weight)

    def score(self, X, y=None, sample_weight=None):
        """Return R² of the predictions, or of several quantiles the mean D² of the pinball loss.

        Parameters
        ----------
        X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images, as in `fit`.
        y : array-like of shape (n,), (n, n_outputs), (n, H, W) or (n, H, W, n_outputs)
            What is true of them. NaN in one of several columns, or in maps, does not count.
        sample_weight : array-like of shape (n,), default=None
            Weights of the samples.

        Returns
        -------
        float
            At most 1; of several columns the mean, as in scikit-learn's `r2_score`. Of maps that
            over all pixels.

        Raises
        ------
        ValueError
            If y is missing: labels within a Dataset are not looked for.

        Warns
        -----
        UserWarning
            If `handle_broken="skip"` left files out.
        """
        X, y, sample_weight = self._to_score_by(X, y, sample_weight)
        check_is_fitted(self)
        if self._target.is_map:
            return self._score_pixels(X, y, sample_weight)
        if isinstance(self._target, Quantiles):
            self._check_number_of_quantiles()
        return self._score_of(y, self.predict(X), sample_weight)

    def _score_of(self, y, predicted, sample_weight=None):
        if isinstance(self._target, Quantiles):
            return mean_d2_pinball(y, predicted, self.quantile, sample_weight)
        return r2_of_known(check_numbers(y, allow_nan=True), predicted, sample_weight)

    def _scorer_by(self, maps):
        """Return what maps kept predictions, and weights of images, to R² over pixels."""
        return partial(r2_of_maps, self._target.encode(maps)[:].numpy())

    def _answer_facts(self):
        """Return what an exported file says of its answer."""
        # that of the fit, whatever was set since
        loss = getattr(self.net_.criterion_, "loss", None)
        if not isinstance(loss, QuantileLoss):
            return {}
        return {"quantile": np.asarray(loss.quantile, dtype=np.float64).tolist()}

    @reads_one_fit
    def predict(self, X):
        """Predict numbers.

        Parameters
        ----------
        X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images, as in `fit`.

        Returns
        -------
        ndarray of shape (n,), (n, n_outputs), (n, n_quantiles), (n, H, W) or (n, H, W, n_outputs)
            In the units and shape of y, or of several quantiles a column each; float32 if y was
            of at most that precision, else float64. Maps have the size of the images as the
            network sees them, after resizing.
        """
        outputs = self._raw_predict(X)
        return self._target.decode(outputs)

    _holds = (NUMBERS,)

    # R² and D² divide by the spread of the targets, and a single one has none
    _min_validation_samples = 2

    def _n_quantiles(self):
        """Return how many quantiles are asked for; None for one that is no column, or none."""
        several = self.loss == "quantile" and not isinstance(self.quantile, Real)
        return len(self.quantile) if several else None

    def _check_number_of_quantiles(self):
        fitted = self._target.n_outputs if isinstance(self._target, Quantiles) else None
        if self._n_quantiles() != fitted:
            raise ValueError(
                f"loss={self.loss!r} and quantile={self.quantile!r} do not ask for as many columns "
                "as the last fit. Restore them, or fit anew."
            )

    def _map_format(self):
        are_depths = self.loss == "scale_invariant_log"
        return MapFormat(scale=self.target_scale, are_depths=are_depths, are_numbers=True)

    def _make_target(self, y, sample_weight, classes):
        if self.target_scale != 1 and not (isinstance(y, Maps) and y.are_scaled):
            warn(
                f"target_scale={self.target_scale} changes nothing: it multiplies numbers in image "
                "files and PIL images, but not those of arrays and .npy files. Multiply y itself."
            )
        if isinstance(y, Maps):
            return PixelNumbers(y, sample_weight)
        y = check_numbers(y, allow_nan=True)
        if sample_weight is not None and len(y) == len(sample_weight):
            counts = sample_weight > 0
            y, sample_weight = y[counts], sample_weight[counts]
        if self._n_quantiles() is not None:
            return Quantiles(y, sample_weight, self._n_quantiles())
        return Continuous(y, sample_weight)

    def _compare_targets(self, y, samples):
        # maps that are read while training are not read before, and of many a part tells
        if isinstance(samples.targets, torch.Tensor):
            step = 1 + samples.targets.numel() // _MOST_COMPARED
            some = samples.subset(torch.arange(0, len(samples), step))
            if self._target.is_map:
                numbers = self._target.decode(some.targets[some.indices].numpy())
            else:
                numbers = self._true_values(y, some)
            self._target.warn_of_another_scale(numbers, type(self).__name__)

    def _make_loss(self, target):
        if self.loss == "quantile" and not target.is_map:
            return WeightedLoss(QuantileLoss(self.quantile))
        return resolve_loss("squared_error" if self.loss == "auto" else self.loss, target)

    def _default_metric(self):
        if self._target.is_map:
            return r2_of_pixels()
        return d2_pinball(self.quantile) if self.loss == "quantile" else r2()

    def _true_values(self, y, samples):
        if self._target.is_map:
            return self._target.true_numbers(y, samples.indices)
        return check_numbers(y, allow_nan=True)[samples.indices.numpy()]

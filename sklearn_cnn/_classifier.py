"""The classifier."""

import functools
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_cnn._base import BaseCNN
from sklearn_cnn._compat import Interval, StrOptions
from sklearn_cnn.images import MapFormat, Maps, as_maps
from sklearn_cnn.losses import ONE_LABEL, SEVERAL_LABELS, has_probabilities, resolve_loss
from sklearn_cnn.metrics._validation import accuracy, mean_iou
from sklearn_cnn.runtime.fitted import reads_one_fit
from sklearn_cnn.runtime.suggestions import explains_keywords
from sklearn_cnn.targets import (
    MultiLabel,
    PixelClasses,
    PixelLabels,
    SingleLabel,
    check_classes,
    check_ignore_label,
    classification_target,
    has_several_labels,
    pixel_classes,
    refuse_padding,
    unique_classes,
    warn_if_each_pixel_has_one,
    warn_if_one_hot,
    warn_of_rare_classes,
)


def _has_probabilities(classifier):
    return has_probabilities(classifier.loss)


class CNNClassifier(ClassifierMixin, BaseCNN):
    """A convolutional network that classifies images, or each pixel of them.

    Binary, multiclass or multilabel; y of shape (n, H, W) holds a class for each pixel, and of
    shape (n, H, W, k) k labels, each of them 0 or 1.

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
        How training images are changed at random. "auto": from scratch they are shifted by up to a
        sixteenth of each side; images of masks, of fewer than 16 pixels a side, and for learned
        weights are not changed. None: none is. Else a name out of `available_augmentations()`, an
        `Augmentation` object, or a function that maps a batch of images of shape (b, C, H, W),
        uint8 or float32, to one of the same shape and dtype; torchvision's v2 transforms do. Masks
        move along; a function is then one of images and masks. In training only. Parameters of an
        object are set by `augmentation__<name>`.
    test_time_augmentation : bool, default=False
        Whether predictions are means of the logits of an image and of its mirror image. It
        may be set after `fit`; validation scores in training and `transform` are without it.
    loss : {"auto", "log_loss", "hinge", "dice", "dice+log_loss", "focal"} or nn.Module, \
            default="auto"
        "auto" is "log_loss": cross-entropy, of the softmax over classes or, for multilabel
        y, of a sigmoid a label. "hinge" has no `predict_proba`. Of masks: "dice" counts each class
        of an image alike, "dice+log_loss" is the sum, and "focal" hardly counts pixels that are
        known for sure. A module takes logits of
        shape (b, n_outputs) and the targets: class indices, or a float indicator for
        multilabel y. Of masks: logits (b, n_classes, H, W) and indices (b, H, W), -100 where a
        pixel does not count.
    label_smoothing : float, default=0.0
        How much of each label is spread evenly over all classes, in [0, 1); of several labels how
        much of each 0 and 1 is one half [1]_. Predictions are then less sure. For "log_loss", and
        that part of "dice+log_loss". The validation loss has it too. `class_weight` and
        `sample_weight` weigh an image, or pixel, as its label has it.
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
    class_weight : dict or "balanced", default=None
        Weight of each class in the loss. "balanced": inversely proportional to its frequency
        (for `partial_fit`, in what `fit` saw or in the first batch since that had it); of masks
        to its frequency among pixels. For
        multilabel y, a dict maps the column of a label to the weight of its presence. A dict
        may change from batch to batch of `partial_fit`.
    ignore_label : int, str or bool, default=None
        The label, in masks, of pixels that do not count: neither in the loss, nor in weights of
        classes, nor in scores. It is none of the classes.
    palette : dict, default=None
        What the colours of masks stand for that are RGB images: each label to its colour
        (red, green, blue), of 0 to 255. Without it a file of few colours, a palette PNG, holds the
        indices of its palette.
    scoring : str, callable or None, default=None
        What is scored on validation images after each epoch, and so what `early_stopping`
        goes by: None (the accuracy; of masks the mean IoU), "loss" (with its sign changed), a
        scorer's name out of `sklearn.metrics.get_scorer_names()`, or a scorer
        (`sklearn.metrics.make_scorer` makes one). Higher is better. Your own function of
        (estimator, X, y) gets the outputs that are there: an estimator that has `predict`,
        `predict_proba` and `decision_function` alone, and of masks `predict` alone, and as X the
        numbers of the validation set's rows.
    early_stopping : bool, default=False
        Whether to hold out part of the training set, and stop when the score on it stops rising.
        With "one_cycle" and "cosine" the learning rate then comes to its end within a quarter more
        epochs, and the last weights are kept; with "constant" training stops at once, and the
        weights that scored best are kept. The part is stratified by class where possible, else
        random with one sample of each class kept for training; for multilabel y it is random.
        Where no sample can be spared there is a warning and no early stopping. `partial_fit`
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
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; for multilabel y the indices of its columns. As in scikit-learn's
        classifiers a label stays one of them if all of its samples weigh 0, or if all of its
        files are broken and left out.
    n_outputs_ : int
        Outputs of the network: a class or label each.
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
        `sample_weight` and `class_weight`, as the loss is, where the scorer takes weights.
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
    CNNRegressor : The same for numbers.

    References
    ----------
    .. [1] C. Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR
       2016.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_cnn import CNNClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = CNNClassifier(max_epochs=5, random_state=0).fit(X[:1000], y[:1000])
    >>> classifier.image_shape_
    (8, 8, 1)
    >>> bool(classifier.score(X[1000:], y[1000:]) > 0.9)
    True
    """

    _parameter_constraints: dict = {
        **BaseCNN._parameter_constraints,
        "loss": [
            StrOptions({"auto", *SingleLabel.losses, *PixelClasses.losses}),
            nn.Module,
            callable,
        ],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "ignore_label": ["boolean", Integral, str, None],
        "palette": [dict, None],
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
        label_smoothing=0.0,
        optimizer="adamw",
        lr="auto",
        weight_decay="auto",
        lr_schedule="one_cycle",
        max_epochs="auto",
        time_limit=None,
        batch_size="auto",
        class_weight=None,
        ignore_label=None,
        palette=None,
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
        self.label_smoothing = label_smoothing
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.lr_schedule = lr_schedule
        self.max_epochs = max_epochs
        self.time_limit = time_limit
        self.batch_size = batch_size
        self.class_weight = class_weight
        self.ignore_label = ignore_label
        self.palette = palette
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

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one epoch on a batch, at the constant rate `lr`.

        Parameters
        ----------
        X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images, as in `fit`.
        y : array-like of shape (n,), (n, n_labels) or (n, H, W)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come, without `ignore_label`. Needed in the first call unless
            y is a multilabel indicator, whose classes are the indices of its columns.
        sample_weight : array-like of shape (n,), default=None
            Weights of the samples.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or y cannot be used, a label is not among the classes, or `classes` is
            missing in the first call, or differs from it later or from the columns of an
            indicator.
        """
        return self._partial_fit(X, y, sample_weight, classes)

    @reads_one_fit
    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images, as in `fit`.

        Returns
        -------
        ndarray of shape (n,), (n, n_labels) or (n, H, W)
            The label of the largest logit, in the type of `classes_`; for multilabel y a 0/1
            indicator of the labels of a probability above one half. Where y had a class for each
            pixel, that of each pixel of the images as the network sees them, after resizing.
        """
        outputs = self._raw_predict(X)
        return self._target.decode(outputs)

    def score(self, X, y=None, sample_weight=None):
        """Return the accuracy of predictions; of classes of pixels the mean IoU.

        Parameters
        ----------
        X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images, as in `fit`.
        y : array-like of shape (n,), (n, n_labels) or (n, H, W)
            Labels.
        sample_weight : array-like of shape (n,), default=None
            Weights of the samples.

        Returns
        -------
        float
            Share of images of which each label is right. Where y has a class for each pixel, the
            mean over classes of intersection over union, without pixels of `ignore_label`.

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
        return super().score(X, y, sample_weight)

    def _score_of(self, y, predicted):
        return accuracy_score(y, predicted)

    def _answer_facts(self):
        """Return what an exported file says of its answer."""
        return {"classes": self.classes_.tolist()}

    @available_if(_has_probabilities)
    @reads_one_fit
    def predict_proba(self, X):
        """Predict probabilities.

        Parameters
        ----------
        X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images, as in `fit`.

        Returns
        -------
        ndarray of shape (n, n_classes) or (n, n_labels), float64, or (n, H, W, n_classes), float32
            The last axis follows `classes_`. It sums to one, but for multilabel y.
        """
        outputs = self._raw_predict(X, "keep_probabilities")
        return outputs if self._target.is_map else self._target.probabilities(outputs)

    @available_if(_has_probabilities)
    def predict_log_proba(self, X):
        """Predict logarithms of probabilities.

        Parameters
        ----------
        X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images, as in `fit`.

        Returns
        -------
        ndarray of shape (n, n_classes) or (n, n_labels), float64, or (n, H, W, n_classes), float32
            The logarithm of `predict_proba`.
        """
        return np.log(self.predict_proba(X))

    @reads_one_fit
    def decision_function(self, X):
        """Compute logits.

        Parameters
        ----------
        X : array-like of shape (n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images, as in `fit`.

        Returns
        -------
        ndarray of shape (n,), (n, n_classes) or (n, n_labels), float64
            For two classes, the second's logit less the first's. Of classes of pixels float32 of
            shape (n, H, W), or (n, H, W, n_classes).
        """
        outputs = self._raw_predict(X, "keep_decision")
        return outputs if self._target.is_map else self._target.decision(outputs)

    _holds = (ONE_LABEL, SEVERAL_LABELS)

    def _scorer_by(self, masks):
        """Return what maps kept predictions, and weights of images, to the mean IoU."""
        # a fold may hold a class that training had not
        target, widen = self._target.widened(masks)
        encoded = target.encode(masks)[:].numpy()

        def score(kept, sample_weight=None):
            return mean_iou(target).score(encoded, widen(kept), sample_weight)

        return score

    def _check_classes(self, y, classes):
        if hasattr(self, "net_"):
            known = self.classes_
            given = known if classes is None else unique_classes(classes)
            given = given[[label != self.ignore_label for label in given.tolist()]]
            if not np.array_equal(given, known):
                raise ValueError(
                    f"classes={given.tolist()} are not those of the first call, {known.tolist()}."
                )
            return
        masks = as_maps(y, (1, 1), form=self._map_format())
        if masks is None:
            several = isinstance(classification_target(y), MultiLabel)
        else:
            several = has_several_labels(masks)
        if classes is None and not several:
            raise ValueError("classes must be passed on the first call to partial_fit.")

    def _map_format(self):
        return MapFormat(palette=self.palette)

    def _make_target(self, y, sample_weight, classes):
        if isinstance(y, Maps) and has_several_labels(y):
            refuse_padding(y, self.ignore_label)
            check_ignore_label(self.ignore_label, np.arange(2), y)
            warn_if_each_pixel_has_one(y)
            return PixelLabels(y.n_values, self.ignore_label)
        if isinstance(y, Maps):
            classes = None if classes is None else unique_classes(classes)
            return pixel_classes(y, self.ignore_label, classes)
        if self.ignore_label is not None:
            raise ValueError(
                f"ignore_label={self.ignore_label!r} is for masks, a class for each pixel, but y "
                "has labels of images. Leave out images that do not count, or give them a "
                "sample_weight of 0."
            )
        if self.palette is not None:
            raise ValueError(
                "palette is for masks, a class for each pixel, but y has labels of images. Write "
                "palette=None."
            )
        target = classification_target(y, classes)
        if isinstance(target, MultiLabel):
            warn_if_one_hot(y)
        elif classes is None:
            # in a batch of partial_fit a class may well have one image
            warn_of_rare_classes(y, sample_weight)
        return target

    def _make_loss(self, target):
        loss = "log_loss" if self.loss == "auto" else self.loss
        return resolve_loss(loss, target, self._class_weights, self.label_smoothing)

    # of class_weight="balanced", which batches of partial_fit do not learn anew
    _balanced_weights = None

    def _make_class_weights(self, given, encoded, keep_balanced):
        if not keep_balanced:
            self._balanced_weights = None
        if self.class_weight is None:
            return None
        if self.class_weight == "balanced" and self._balanced_weights is not None:
            return self._balanced_weights
        weights = self._target.class_weights(
            self.class_weight, self._labels_to_weigh(given, encoded)
        )
        if self.class_weight == "balanced":
            self._balanced_weights = weights
        return weights

    def _labels_to_weigh(self, given, encoded):
        """Return the labels of images that count, or how many pixels of them each class has."""
        counts = slice(None) if given.weights is None else given.weights > 0
        if self._target.is_map:
            return self._target.pixel_counts(encoded, torch.arange(len(encoded))[counts])
        return check_classes(given.y)[counts]

    def _default_metric(self):
        if self._target.is_map:
            return mean_iou(self._target)
        return accuracy(self._target, is_weighted=self._class_weights is not None)

    def _true_values(self, y, samples):
        if self._target.is_map:
            return self._target.true_labels(samples.targets[samples.indices])
        encoded = samples.targets[samples.indices].numpy()
        return self._target.decode(self._target.likely_outputs(encoded))

    def _nonlinearity(self):
        if not _has_probabilities(self):
            return None
        several = isinstance(self._target, MultiLabel)
        return torch.sigmoid if several else functools.partial(torch.softmax, dim=1)

    def _learned(self, net, validation):
        return {**super()._learned(net, validation), "classes_": self._target.classes}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

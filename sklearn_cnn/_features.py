"""What a network sees in images, for any scikit-learn estimator."""

import os
from dataclasses import replace
from functools import partial
from numbers import Integral

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sklearn_cnn._compat import HasMethods, Options, StrOptions
from sklearn_cnn.architectures import Architecture, as_architecture
from sklearn_cnn.architectures._assembly import (
    assemble_trunk,
    head_name,
    initialize,
    layer_outputs,
    penultimate,
)
from sklearn_cnn.architectures._registry import without_own_name
from sklearn_cnn.images import (
    RESIZE_MODES,
    Extremes,
    PixelRange,
    ReadOptions,
    check_image_shape,
    pixel_statistics,
    read_images,
)
from sklearn_cnn.runtime.device import new_tensors_on_cpu, resolve_device
from sklearn_cnn.runtime.fitted import check_features, fits_aside, reads_one_fit, reset_fitted
from sklearn_cnn.runtime.html_display import NestedDefaultsMixin
from sklearn_cnn.runtime.progress import image_bar
from sklearn_cnn.runtime.seeds import seeded
from sklearn_cnn.runtime.suggestions import explains_keywords
from sklearn_cnn.runtime.warnings import warn
from sklearn_cnn.training.feature_cache import cached
from sklearn_cnn.training.prediction import predict_outputs, refuse_not_finite

_MOST_LAYERS = 20


class CNNFeatures(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, NestedDefaultsMixin, BaseEstimator
):
    """Features of images out of a network that has learned already, for any estimator.

    Nothing is trained: `fit` builds the network, and learns nothing from y. The features of
    photos out of a network that was trained on ImageNet, and a linear model on them, are a good
    start where there are few photos.

    Parameters
    ----------
    architecture : str, Architecture, nn.Module, nn.Module class or callable
        The network, as `CNNClassifier` takes it; one with learned weights, for example
        `TimmModel("efficientnet_lite0", weights=True)`. Random weights warn.
    image_shape : tuple of int, default=None
        (H, W) or (H, W, C): how flat rows unflatten, and the size that images and files are
        resized to. None: the size seen in `fit`, or if there are several the one that the learned
        weights recommend; files and images of other sizes are resized to it later. Arrays of
        three or four dimensions must have it.
    channel_axis : {-1, 1}, default=-1
        Where X of four dimensions keeps its channels, and in which order flat rows hold
        them: -1 for (H, W, C), 1 for (C, H, W).
    resize_mode : {"squash", "crop", "pad"}, default="squash"
        How images reach `image_shape`: by ignoring the aspect ratio, by cutting off what
        juts out, or by filling up with zeros. Pixels are interpolated as the learned weights of
        the architecture recommend, without them bilinearly.
    layer : str, default="penultimate"
        What returns the features: "penultimate", the input of the network's last layer, or the
        name of a layer as `named_modules()` of the network has it. Maps are averaged over their
        pixels, and tokens over all of them.
    device : str or torch.device, default="auto"
        Where the network runs: "auto" takes CUDA where there is one, then MPS, then the CPU.
    precision : {"auto", "bf16", "float32"}, default="auto"
        Of the network's arithmetic; "auto" is "float32".
    memory : str, path or joblib.Memory, default=None
        Folder that caches decoded files, and the features of images that `fit_transform` has seen,
        each by itself: the folds of a cross-validation share them.
    verbose : int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    module_ : torch.nn.Module
        Standardization of pixels and network, from raw images of shape (b, C, H, W) on.
    image_shape_ : tuple of (int, int, int)
        Height, width and channels of an image.
    n_features_in_ : int
        H * W * C for numeric X; 1 for a one-column frame of images; absent for a sequence.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X was a frame whose names are all strings.

    See Also
    --------
    CNNClassifier : Trains a network; its `transform` returns features of that.
    ImageReader : Images as rows of pixels.

    Examples
    --------
    >>> import torchvision
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_cnn import CNNFeatures
    >>> from sklearn_cnn.architectures import TorchvisionModel
    >>> backbone = TorchvisionModel("resnet18", weights="DEFAULT")
    >>> make_pipeline(CNNFeatures(backbone, image_shape=(224, 224)), LogisticRegression())
    Pipeline(steps=[('cnnfeatures',
                     CNNFeatures(architecture=TorchvisionModel(name='resnet18',
                                                               weights='DEFAULT'),
                                 image_shape=(224, 224))),
                    ('logisticregression', LogisticRegression())])
    """

    _parameter_constraints: dict = {
        "architecture": [str, Architecture, callable],
        "image_shape": [tuple, list, Integral, None],  # a number is told that it takes two
        "channel_axis": [Options(Integral, {-1, 1})],
        "resize_mode": [StrOptions(set(RESIZE_MODES))],
        "layer": [str],
        "device": [str, torch.device],
        "precision": [StrOptions({"auto", "bf16", "float32"})],
        "memory": [str, os.PathLike, HasMethods(["cache"]), None],
        "verbose": ["verbose"],
    }

    module_: torch.nn.Module
    image_shape_: tuple[int, int, int]

    @explains_keywords
    def __init__(
        self,
        architecture,
        *,
        image_shape=None,
        channel_axis=-1,
        resize_mode="squash",
        layer="penultimate",
        device="auto",
        precision="auto",
        memory=None,
        verbose=0,
    ):
        self.architecture = architecture
        self.image_shape = image_shape
        self.channel_axis = channel_axis
        self.resize_mode = resize_mode
        self.layer = layer
        self.device = device
        self.precision = precision
        self.memory = memory
        self.verbose = verbose

    @fits_aside
    def fit(self, X, y=None):
        """Build the network for images like these.

        Parameters
        ----------
        X : sequence of paths, encoded images or arrays, or array-like
            Images, as `CNNClassifier.fit` takes them.
        y : None
            Ignored.

        Returns
        -------
        CNNFeatures
            This object.

        Raises
        ------
        ValueError
            If X cannot be read as images, or a parameter cannot be used.
        TypeError
            If X is one image or path instead of a batch, or holds what is no image.

        Warns
        -----
        UserWarning
            If the network has no learned weights, or pixels are uint8 of so small a range that they
            would be nearly black to it.
        """
        self._fit(X)
        return self

    @fits_aside
    def fit_transform(self, X, y=None):
        """Build the network and return the features of the images, reading each once.

        Parameters
        ----------
        X : sequence of paths, encoded images or arrays, or array-like
            Images.
        y : None
            Ignored.

        Returns
        -------
        ndarray of shape (n, n_features), float32
            The features.

        Raises
        ------
        ValueError
            If X cannot be read as images, or a parameter cannot be used.
        TypeError
            If X is one image or path instead of a batch, or holds what is no image.

        Warns
        -----
        UserWarning
            If the network has no learned weights, or pixels are uint8 of so small a range that they
            would be nearly black to it.
        """
        return self._features(self._fit(X), is_fit=True)

    @reads_one_fit
    def transform(self, X):
        """Return the features of images.

        Parameters
        ----------
        X : sequence of paths, encoded images or arrays, or array-like
            Images.

        Returns
        -------
        ndarray of shape (n, n_features), float32
            The features.

        Raises
        ------
        ValueError
            If X cannot be read, holds an array of another size and `image_shape` is None, or
            a feature is not finite.
        TypeError
            If X is one image or path instead of a batch, or holds what is no image.
        """
        check_is_fitted(self)
        return self._features(self._read(X, reset=False))

    @new_tensors_on_cpu()
    def _fit(self, X):
        """Set what is learned of the images, and return them."""
        self._validate_params()
        check_image_shape(self.image_shape)
        resolve_device(self.device)
        architecture = as_architecture(self.architecture).resolve()
        if not architecture.has_learned_weights:
            warn(
                f"{architecture} has random weights, whose features say little. Pass one with "
                'learned weights, such as TorchvisionModel("resnet18", weights="DEFAULT").'
            )
        reset_fitted(self)
        self._read_options = ReadOptions(
            self.image_shape,
            self.channel_axis,
            self.resize_mode,
            in_memory="auto",
            estimator_name=type(self).__name__,
            recommended_size=architecture.recommended_size(),
            interpolation=architecture.recommended_interpolation(),
        )
        images = self._read(X, reset=True)
        self.image_shape_ = tuple(images.shape[1:])
        pixels = pixel_statistics(images, torch.arange(len(images)))
        # random weights, where there are some, are the same each time
        with torch.inference_mode(False), seeded(0, torch.device("cpu")):
            module = assemble_trunk(architecture, pixels)
            initialize(architecture, module, pixels)
        self.module_, self._head_name = module, head_name(architecture, module)
        self._pixel_range = PixelRange.of(pixels)
        with torch.no_grad():
            features = self._extractor()(pixels.sample[:1].permute(0, 3, 1, 2))
        self._n_features_out = features.shape[1]
        return images

    def _read(self, X, reset):
        # `transform` prepares images as `fit` did, whatever was set since
        return read_images(
            X,
            replace(self._read_options, memory=self.memory, verbose=bool(self.verbose)),
            expected=None if reset else self.image_shape_,
            check_features=partial(check_features, self, reset),
        ).images

    @new_tensors_on_cpu()
    def _features(self, images, is_fit=False):
        device = resolve_device(self.device)
        self.module_.to(device)
        precision = "float32" if self.precision == "auto" else self.precision
        extractor = cached(
            self._extractor(),
            list(self.module_.named_modules()),
            self.memory,
            *(self.layer, device.type, precision),
            adds=is_fit,
        )
        name, extremes = type(self).__name__, Extremes()
        title = f"{name}: computing features"
        with image_bar(len(images), title, bool(self.verbose)) as progress:
            features = predict_outputs(
                extractor, images, device, precision, progress=progress, watch=extremes.add
            ).numpy()
        self._pixel_range.warn_of_another_scale(extremes, "X", f"{name} was fitted on")
        refuse_not_finite(np.isfinite(features).all(axis=1))
        return features

    def _extractor(self):
        """Return what maps a batch of images to features."""
        if self.layer == "penultimate":
            return penultimate(self.module_, self._head_name)
        name, layers = f"network.{self.layer}", dict(self.module_.named_modules())
        if name not in layers:
            names = [n.removeprefix("network.") for n in layers if n.startswith("network.")]
            raise ValueError(
                f'layer={self.layer!r} is neither "penultimate" nor a layer of the network, whose '
                f"last ones are {names[-_MOST_LAYERS:]}."
            )
        # a module of the user's may keep the one that it has learned
        if name == self._head_name and getattr(layers[name], "out_features", None) == 1:
            raise ValueError(
                f"layer={self.layer!r} is the last layer, which is made anew for each y and has "
                'random weights here. Its input is layer="penultimate".'
            )
        return layer_outputs(self.module_, name)

    @reads_one_fit
    def __getstate__(self):
        """Return what pickle keeps: tensors on the CPU, and objects for names of this process."""
        state = super().__getstate__()
        state["architecture"] = without_own_name(self.architecture)
        if "module_" in state:
            state["module_"] = self.module_.cpu()
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

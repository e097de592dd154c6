"""Images as rows of numbers, for estimators that know nothing of files."""

import os
from dataclasses import replace
from functools import partial
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sklearn_cnn._compat import HasMethods, Options, StrOptions
from sklearn_cnn.images._options import ReadOptions
from sklearn_cnn.images._reader import read_images
from sklearn_cnn.images._resizing import INTERPOLATIONS, RESIZE_MODES
from sklearn_cnn.images._shape import check_image_shape
from sklearn_cnn.runtime.fitted import check_features, fits_aside, reads_one_fit, reset_fitted


class ImageReader(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Read and resize images into an array that any scikit-learn estimator takes.

    `CNNClassifier` and `CNNRegressor` read images themselves; this is for the others. The
    `memory` of a Pipeline caches what it returns.

    Parameters
    ----------
    image_shape : tuple of int, default=None
        (H, W) or (H, W, C): the size that images are resized to, and the channels, 1, 3 or 4,
        that files and PIL images are converted to. None: the size of the images seen in
        `fit`, which must have but one; gray if all of them are gray, else RGB.
    channel_axis : {-1, 1}, default=-1
        Where X of four dimensions keeps its channels, and in which order flat rows hold
        them: -1 for (H, W, C), 1 for (C, H, W).
    resize_mode : {"squash", "crop", "pad"}, default="squash"
        How images reach `image_shape`: by ignoring the aspect ratio, by cutting off what
        juts out, or by filling up with zeros.
    interpolation : {"bilinear", "bicubic"}, default="bilinear"
        How pixels are computed where images are resized, with antialiasing.
    flatten : bool, default=True
        Whether each image becomes a row, as scikit-learn's estimators take it.
    memory : str, path or joblib.Memory, default=None
        Folder that caches decoded files, each by itself.
    handle_broken : {"error", "skip"}, default="error"
        What `fit` and `fit_transform` do about files that cannot be read as images: raise, or
        leave them out with a warning that counts and names them. y would not follow: with y, as
        in a Pipeline, they raise; `find_broken` says which files to leave out before. `transform`
        needs every file.
    verbose : int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    image_shape_ : tuple of (int, int, int)
        Height, width and channels of an image.
    n_features_in_ : int
        H * W * C for numeric X; 1 for a one-column frame of images; absent for a sequence.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X was a frame whose names are all strings.
    skipped_rows_ : ndarray of int64
        The rows that `handle_broken="skip"` left out; absent without it.

    See Also
    --------
    find_broken : Says which files cannot be read.
    load_image_folder : Lists the files of a folder.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from sklearn_cnn import ImageReader
    >>> path = Path(tempfile.mkdtemp(), "gray.png")
    >>> Image.new("L", (6, 4), 128).save(path)
    >>> ImageReader(image_shape=(2, 2)).fit_transform([path])
    array([[128, 128, 128, 128]], dtype=uint8)
    """

    _parameter_constraints: dict = {
        "image_shape": [tuple, list, Integral, None],  # a number is told that it takes two
        "channel_axis": [Options(Integral, {-1, 1})],
        "resize_mode": [StrOptions(set(RESIZE_MODES))],
        "interpolation": [StrOptions(set(INTERPOLATIONS))],
        "flatten": ["boolean"],
        "memory": [str, os.PathLike, HasMethods(["cache"]), None],
        "handle_broken": [StrOptions({"error", "skip"})],
        "verbose": ["verbose"],
    }

    image_shape_: tuple[int, int, int]

    def __init__(
        self,
        image_shape=None,
        *,
        channel_axis=-1,
        resize_mode="squash",
        interpolation="bilinear",
        flatten=True,
        memory=None,
        handle_broken="error",
        verbose=0,
    ):
        self.image_shape = image_shape
        self.channel_axis = channel_axis
        self.resize_mode = resize_mode
        self.interpolation = interpolation
        self.flatten = flatten
        self.memory = memory
        self.handle_broken = handle_broken
        self.verbose = verbose

    @fits_aside
    def fit(self, X, y=None):
        """Learn the size of the images, and check that each can be read.

        Parameters
        ----------
        X : sequence of paths, encoded images or arrays, or array-like
            Images, as `CNNClassifier.fit` takes them.
        y : None
            Ignored.

        Returns
        -------
        ImageReader
            This object.

        Raises
        ------
        ValueError
            If X cannot be read as images.
        TypeError
            If X is one image or path instead of a batch, or holds what is no image.
        """
        self._read(X, reset=True)
        return self

    @fits_aside
    def fit_transform(self, X, y=None):
        """Learn the size of the images and return them, reading each once.

        Parameters
        ----------
        X : sequence of paths, encoded images or arrays, or array-like
            Images.
        y : object, default=None
            Refused where files are left out, else ignored.

        Returns
        -------
        ndarray of shape (n, H*W*C) or (n, H, W, C), uint8 or float32
            The images.

        Raises
        ------
        ValueError
            If X cannot be read as images.
        TypeError
            If X is one image or path instead of a batch, or holds what is no image.
        """
        return self._read(X, reset=True, y=y)

    @reads_one_fit
    def transform(self, X):
        """Return images as an array.

        Parameters
        ----------
        X : sequence of paths, encoded images or arrays, or array-like
            Images.

        Returns
        -------
        ndarray of shape (n, H*W*C) or (n, H, W, C), uint8 or float32
            The images; float32 where X is numbers of another dtype than uint8, or files of
            more than 8 bits.

        Raises
        ------
        ValueError
            If X cannot be read, or holds images of another size and `image_shape` is None.
        TypeError
            If X is one image or path instead of a batch, or holds what is no image.
        """
        check_is_fitted(self)
        return self._read(X, reset=False)

    def _read(self, X, reset, y=None):
        self._validate_params()
        if reset:
            check_image_shape(self.image_shape)
            reset_fitted(self)
            self._read_options = ReadOptions(
                self.image_shape,
                self.channel_axis,
                self.resize_mode,
                estimator_name=type(self).__name__,
                interpolation=self.interpolation,
            )
        # `transform` prepares images as `fit` did, whatever was set since
        options = replace(
            self._read_options,
            memory=self.memory,
            handle_broken=self.handle_broken if reset else "error",
            verbose=bool(self.verbose),
        )
        read = read_images(
            X,
            options,
            expected=None if reset else self.image_shape_,
            check_features=partial(check_features, self, reset),
        )
        images = read.images[:].numpy()
        if read.broken and y is not None:
            raise ValueError(
                f"{len(read.broken)} of {len(images)} files of X cannot be read, and y would not "
                "follow if ImageReader left them out. Leave them out before, of X and y: "
                "rows = list(find_broken(X))."
            )
        if reset and self.handle_broken == "skip":
            self.skipped_rows_ = np.array(read.broken, dtype=np.int64)
            images = np.delete(images, read.broken, axis=0)
        if reset:
            self.image_shape_ = tuple(images.shape[1:])
        return images.reshape(len(images), -1) if self.flatten else images

    @property
    def _n_features_out(self):
        height, width, channels = self.image_shape_
        return height * width * channels

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

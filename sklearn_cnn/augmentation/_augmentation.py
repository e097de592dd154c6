"""What is changed at random, and how strongly: an object with parameters."""

import math
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator

from sklearn_cnn._compat import (
    Interval,
    RealNotInt,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn_cnn.augmentation._changes import change, hold_few_values, restored
from sklearn_cnn.augmentation._coordinates import check_coordinates, move_coordinates
from sklearn_cnn.augmentation._geometry import FILLS
from sklearn_cnn.augmentation._pixels import draw_mixture, mix
from sklearn_cnn.images import as_numpy, looks_channels_first
from sklearn_cnn.runtime.seeds import draw_seed
from sklearn_cnn.runtime.suggestions import explains_keywords


class Augmentation(BaseEstimator):
    """Random changes of the training images, drawn for each image anew in each epoch.

    Nothing is changed that is not asked for: `Augmentation()` leaves images as they are.
    Images are flipped, turned and scaled about their centre, shifted, changed in brightness
    and contrast, erased in part and mixed, in this order, on the device and a batch at a time.

    Parameters
    ----------
    flip : bool, default=False
        Whether half of the images are mirrored, left to right.
    crop : int or float, default=0
        Pixels that an image is padded by on each side, before a part of its own size is cut
        out at random: it moves by up to `crop` pixels each way. A float in [0, 1) is a share
        of each side.
    rotation : float, default=0.0
        Largest angle in degrees, in [0, 180], to both sides.
    scale : float, default=0.0
        Largest enlargement: 0.25 draws factors from 1 / 1.25 to 1.25, uniform in their
        logarithm.
    brightness : float, default=0.0
        Largest shift of an image's pixels, in standard deviations of this image's own pixels,
        up and down. So it means the same for images of 0 to 255 and of 0 to 1.
    contrast : float, default=0.0
        In [0, 1]. The distances of an image's pixels from their mean are multiplied by a
        factor from 1 - contrast to 1 + contrast.
    erasing : float, default=0.0
        Probability that a rectangle of 2 to 40 % of an image is filled with the image's mean
        colour [1]_. The masks or maps of y stay as they are: what was there is to be predicted.
    mixup : float, default=0.0
        The alpha of mixup [2]_, 0.2 say; 0 is none. Each image is mixed with another one of its
        batch, at a share out of Beta(alpha, alpha), and its loss likewise. For classifiers.
    fill : {"reflect", "edge", "zeros"}, default="reflect"
        What comes in from outside of an image that is moved: the image mirrored at its edge,
        its outermost pixels, or zeros. Masks and maps of y likewise, but that pixels do not count
        where zeros come in.
    keypoints : bool or "boxes", default=None
        What y of a regression holds. True: points, as x0, y0, x1, y1, ..., which move with
        the image. "boxes": boxes, each as x0, y0, x1, y1 of two opposite corners; a box
        becomes the smallest upright one around its moved corners. False: numbers that do
        not change when the image moves. None: nothing is said, and y of several columns is
        refused if the image moves.
    flip_index : array-like of int, default=None
        With `keypoints=True` and `flip`: after mirroring, point i is what was point
        `flip_index[i]` before, so that a left eye stays a left one. `range(n_points)` where
        no points change places.

    See Also
    --------
    available_augmentations : Names of ready ones.

    Notes
    -----
    y with a value for each pixel moves with the images, each pixel to the nearest one; its values
    are those that it had.

    Coordinates are in pixels of the image as the network gets it, and images with coordinates
    are not resized: another size than `image_shape` is refused, in prediction too. (0, 0) is the
    centre of the upper left pixel; mirroring takes x to W - 1 - x.

    References
    ----------
    .. [1] Z. Zhong, L. Zheng, G. Kang, S. Li, Y. Yang, "Random erasing data augmentation",
       AAAI 2020.
    .. [2] H. Zhang, M. Cisse, Y. N. Dauphin, D. Lopez-Paz, "mixup: beyond empirical risk
       minimization", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_cnn import Augmentation, CNNClassifier
    >>> classifier = CNNClassifier(augmentation=Augmentation(flip=True, crop=4))
    >>> classifier.set_params(augmentation__crop=2).augmentation
    Augmentation(crop=2, flip=True)
    >>> X = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    >>> Augmentation(crop=1).apply(X, random_state=0).shape
    (1, 3, 4)
    """

    _parameter_constraints: dict = {
        "flip": ["boolean"],
        "crop": [
            Interval(Integral, 0, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="left"),
        ],
        "rotation": [Interval(Real, 0, 180, closed="both")],
        "scale": [Interval(Real, 0, None, closed="left")],
        "brightness": [Interval(Real, 0, None, closed="left")],
        "contrast": [Interval(Real, 0, 1, closed="both")],
        "erasing": [Interval(Real, 0, 1, closed="both")],
        "mixup": [Interval(Real, 0, None, closed="left")],
        "fill": [StrOptions(set(FILLS))],
        "keypoints": ["boolean", StrOptions({"boxes"}), None],
        "flip_index": ["array-like", None],
    }

    @explains_keywords
    def __init__(
        self,
        *,
        flip=False,
        crop=0,
        rotation=0.0,
        scale=0.0,
        brightness=0.0,
        contrast=0.0,
        erasing=0.0,
        mixup=0.0,
        fill="reflect",
        keypoints=None,
        flip_index=None,
    ):
        self.flip = flip
        self.crop = crop
        self.rotation = rotation
        self.scale = scale
        self.brightness = brightness
        self.contrast = contrast
        self.erasing = erasing
        self.mixup = mixup
        self.fill = fill
        self.keypoints = keypoints
        self.flip_index = flip_index

    def apply(self, X, y=None, *, random_state=None):
        """Augment images, to look at them; training does so by itself.

        Parameters
        ----------
        X : array-like of shape (n, H, W) or (n, H, W, C)
            Images. uint8 stays uint8, unless no value is above 31: rounding would undo much of
            what is changed. Such images, and all else, become float32.
        y : array-like of shape (n, n_coordinates), (n, H, W) or (n, H, W, k), default=None
            With `keypoints`, coordinates that move with the images; or masks or maps.
        random_state : int, RandomState instance or None, default=None
            Fixes what is drawn.

        Returns
        -------
        X : ndarray of the shape of X
            The augmented images.
        y : ndarray of the shape of y
            The moved coordinates, as float32, or the moved masks or maps, if y was given; 255, of
            int8 -1, or of floats NaN, where `fill="zeros"` lets in what does not count.

        Raises
        ------
        ValueError
            If a parameter is out of its range, or X or y has another shape.
        """
        check_parameters(self)
        pixels = _read_pixels(X)
        moving, are_maps = None, np.ndim(y) > 2
        if are_maps:
            moving = _read_maps(y, pixels.shape)
        elif y is not None:
            moving = _read_coordinates(self, y, len(pixels))
        images = torch.from_numpy(pixels.reshape(*pixels.shape[:3], -1))
        if hold_few_values(images, torch.arange(len(images))):
            images = images.float()
        images = images.permute(0, 3, 1, 2)
        generator = torch.Generator().manual_seed(draw_seed(random_state))
        changed, moves = change(self, images, generator)
        if moving is not None and moves is not None:
            moving = _moved(self, moves, moving, are_maps)
        if self.mixup:
            changed = mix(changed.float(), *draw_mixture(len(pixels), self.mixup, generator))
        changed = restored(changed, images).permute(0, 2, 3, 1).reshape(pixels.shape).numpy()
        if moving is None:
            return changed
        moving = moving.permute(0, 2, 3, 1) if are_maps else moving
        return changed, moving.numpy().reshape(np.shape(y))


def check_parameters(augmentation):
    """Raise a ValueError if a parameter of an augmentation is out of its range."""
    validate_parameter_constraints(
        augmentation._parameter_constraints,
        augmentation.get_params(deep=False),
        type(augmentation).__name__,
    )
    if augmentation.flip_index is not None:
        index = np.asarray(augmentation.flip_index)
        if index.ndim != 1 or not np.array_equal(np.sort(index), np.arange(len(index))):
            raise ValueError(
                "flip_index must hold each of 0 to n_points - 1 once (point i of the mirrored "
                f"image is what was point flip_index[i]), got {augmentation.flip_index!r}."
            )
    if augmentation.mixup and augmentation.keypoints:
        raise ValueError("mixup mixes labels, and keypoints says that y holds coordinates.")


def _read_pixels(X):
    X = np.asarray(as_numpy(X))
    if X.ndim not in (3, 4) or X.size == 0:
        raise ValueError(
            f"X must have shape (n, H, W) or (n, H, W, C), none of them 0, got {X.shape}."
        )
    if X.ndim == 4 and looks_channels_first(X.shape):
        raise ValueError(
            f"X has shape {X.shape}, which looks like (n, C, H, W), but must have shape "
            "(n, H, W, C). Pass X.transpose(0, 2, 3, 1)."
        )
    # a copy: torch has no read-only tensors, nor such of reversed order
    dtype = np.uint8 if X.dtype in (bool, np.uint8) else np.float32
    return np.array(X, dtype=dtype, order="C")


def _read_maps(y, shape):
    """Return masks or maps of images as a Tensor of shape (n, k, H, W)."""
    y = np.asarray(as_numpy(y, "y"))
    if y.shape[:3] != shape[:3] or y.ndim > 4 or y.dtype.kind not in "buif":
        n, height, width = shape[:3]
        advice = ""
        if y.dtype.kind in "OSU":
            advice = " Numbers of labels are np.unique(y, return_inverse=True)[1].reshape(y.shape)."
        raise ValueError(
            f"Masks or maps hold numbers for each pixel, of shape {shape[:3]} or "
            f"({n}, {height}, {width}, k), got {y.dtype} of shape {y.shape}.{advice}"
        )
    return torch.from_numpy(np.array(y)).reshape(*shape[:3], -1).permute(0, 3, 1, 2)


def _moved(augmentation, moves, moving, are_maps):
    """Return coordinates or maps, which have gone with their images."""
    if not are_maps:
        return move_coordinates(augmentation, moves, moving)
    of_integers = -1 if moving.dtype == torch.int8 else 255
    outside = math.nan if moving.is_floating_point() else of_integers
    return moves.move_maps(moving, augmentation.fill, outside)


def _read_coordinates(augmentation, y, n_samples):
    if not augmentation.keypoints:
        raise ValueError(
            f'y moves with keypoints=True or keypoints="boxes" only, got {augmentation!r}.'
        )
    y = np.array(y, dtype=np.float32)
    if y.ndim != 2 or len(y) != n_samples:
        raise ValueError(f"y must have shape ({n_samples}, n_coordinates), got {y.shape}.")
    check_coordinates(augmentation, y.shape[1], augmentation.flip)
    return torch.from_numpy(y)

"""What is changed at random, and how strongly: an object with parameters."""

from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import (
    Interval,
    RealNotInt,
    StrOptions,
    validate_parameter_constraints,
)

from sklearn_cnn.images import as_numpy
from sklearn_cnn.training.augmentation._geometry import FILLS, Moves, move_boxes
from sklearn_cnn.training.augmentation._pixels import change_colour, draw_mixture, erase, mix
from sklearn_cnn.training.device import draw_seed


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
        colour [1]_.
    mixup : float, default=0.0
        The alpha of mixup [2]_, 0.2 say; 0 is none. Each image is mixed with another one of its
        batch, at a share out of Beta(alpha, alpha), and its loss likewise. For classifiers.
    fill : {"reflect", "edge", "zeros"}, default="reflect"
        What comes in from outside of an image that is moved: the image mirrored at its edge,
        its outermost pixels, or zeros.
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
    Coordinates are in pixels of the image as the network gets it. (0, 0) is the centre of the
    upper left pixel; mirroring takes x to W - 1 - x.

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
            Images. uint8 stays uint8, all else but bool becomes float32.
        y : array-like of shape (n, n_coordinates), default=None
            With `keypoints`, coordinates that move with the images.
        random_state : int, RandomState instance or None, default=None
            Fixes what is drawn.

        Returns
        -------
        X : ndarray of the shape of X
            The augmented images.
        y : ndarray of shape (n, n_coordinates), float32
            The moved coordinates, if y was given.

        Raises
        ------
        ValueError
            If a parameter is out of its range, or X or y has another shape.
        """
        self._check()
        X = np.asarray(as_numpy(X))
        if X.ndim not in (3, 4):
            raise ValueError(f"X must have shape (n, H, W) or (n, H, W, C), got {X.shape}.")
        # a copy: torch has no read-only tensors, nor such of reversed order
        pixels = np.array(
            X, dtype=np.uint8 if X.dtype in (bool, np.uint8) else np.float32, order="C"
        )
        images = torch.from_numpy(pixels if X.ndim == 4 else pixels[..., np.newaxis])
        images = images.permute(0, 3, 1, 2)
        generator = torch.Generator().manual_seed(draw_seed(random_state))
        coordinates = None
        if y is not None:
            coordinates = torch.from_numpy(self._check_y(y, len(X)))
        changed, coordinates = self._change(images, coordinates, generator)
        if self.mixup:
            changed = mix(changed.float(), *draw_mixture(len(X), self.mixup, generator))
        changed = restored(changed, images).permute(0, 2, 3, 1).reshape(X.shape).numpy()
        return changed if y is None else (changed, coordinates.numpy())

    @property
    def _moves_pixels(self):
        return bool(self.flip or self.crop or self.rotation or self.scale)

    def _check(self):
        """Check the parameters by themselves."""
        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(deep=False), type(self).__name__
        )
        if self.flip_index is not None:
            index = np.asarray(self.flip_index)
            if index.ndim != 1 or not np.array_equal(np.sort(index), np.arange(len(index))):
                raise ValueError(
                    "flip_index must hold each of 0 to n_points - 1 once (point i of the mirrored "
                    f"image is what was point flip_index[i]), got {self.flip_index!r}."
                )

    def _check_y(self, y, n_samples):
        y = np.asarray(y, dtype=np.float32)
        if not self.keypoints:
            raise ValueError(f'y moves with keypoints=True or keypoints="boxes" only, got {self}.')
        if y.ndim != 2 or len(y) != n_samples:
            raise ValueError(f"y must have shape ({n_samples}, n_coordinates), got {y.shape}.")
        self._check_coordinates(y.shape[1], self.flip)
        return y

    def _check_coordinates(self, n_coordinates, mirrored):
        """Check that y of so many columns holds what `keypoints` says, and can be mirrored."""
        per_thing = 4 if self.keypoints == "boxes" else 2
        if n_coordinates % per_thing:
            form = "x0, y0, x1, y1" + ("" if per_thing == 4 else ", ...")
            raise ValueError(
                f"keypoints={self.keypoints!r} takes y of {form}: a multiple of {per_thing} "
                f"columns, but y has {n_coordinates}."
            )
        if self.keypoints == "boxes" or not mirrored:
            return
        n_points = n_coordinates // 2
        if self.flip_index is None and n_points > 1:
            raise ValueError(
                "Mirroring swaps left and right points, so keypoints=True needs flip_index: point "
                "i of the mirrored image is what was point flip_index[i]. Write "
                f"flip_index=range({n_points}) if no point changes places with another."
            )
        if self.flip_index is not None and len(self.flip_index) != n_points:
            raise ValueError(
                f"flip_index has {len(self.flip_index)} entries, but y has {n_points} points."
            )

    def _change(self, images, coordinates, generator):
        """Return images, float32 if they were computed with, and moved coordinates; no mixup."""
        if self._moves_pixels:
            size = tuple(images.shape[2:])
            moves = Moves.draw(
                len(images),
                size,
                generator,
                flip=self.flip,
                crop=self._crop_of(size),
                rotation=self.rotation,
                scale=self.scale,
            )
            images = moves.move_images(images, self.fill)
            if coordinates is not None:
                coordinates = self._move(moves, coordinates)
        if self.brightness or self.contrast:
            images = change_colour(images.float(), self.brightness, self.contrast, generator)
        if self.erasing:
            images = erase(images.float(), self.erasing, generator)
        return images, coordinates

    def _crop_of(self, size):
        if isinstance(self.crop, Integral):
            return int(self.crop), int(self.crop)
        return tuple(round(self.crop * side) for side in size)

    def _move(self, moves, coordinates):
        """Move coordinates of shape (b, n_coordinates) with their images."""
        if self.keypoints == "boxes":
            return move_boxes(moves, coordinates.unflatten(1, (-1, 4))).flatten(1)
        points = moves.move_points(coordinates.unflatten(1, (-1, 2)))
        if self.flip_index is not None:
            index = torch.as_tensor(np.asarray(self.flip_index), device=points.device)
            points = torch.where(moves.flipped[:, None, None], points[:, index], points)
        return points.flatten(1)


def restored(changed, images):
    """Return changed images in the dtype and layout of the images that they were made of."""
    if images.dtype == torch.uint8 and changed.dtype != torch.uint8:
        changed = changed.round().clamp(0, 255).to(torch.uint8)
    return changed.contiguous(memory_format=torch.channels_last)

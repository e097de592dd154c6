"""
Drawings
========

Drawn images whose targets are known exactly.
"""

import numpy as np

SIDE = 32
_ROWS, _COLUMNS = np.mgrid[:SIDE, :SIDE]

# How far inside of its outline a point is, for shapes of radius 1 about (0, 0)
SHAPES = {
    "disc": lambda x, y: 1 - np.hypot(x, y),
    "ring": lambda x, y: 0.25 - abs(0.75 - np.hypot(x, y)),
    "square": lambda x, y: 0.85 - np.maximum(abs(x), abs(y)),
    "cross": lambda x, y: np.minimum(
        1 - np.maximum(abs(x), abs(y)), 0.3 - np.minimum(abs(x), abs(y))
    ),
    "triangle": lambda x, y: np.minimum(0.6 - y, 0.5 * (y + 1) - 0.87 * abs(x)),
}


def draw_bars(n_samples, seed=0):
    """Draw rotated bars.

    Parameters
    ----------
    n_samples : int
    seed : int, default=0

    Returns
    -------
    images : ndarray of shape (n_samples, 32, 32), uint8
    angles : ndarray of shape (n_samples,)
        In degrees, from -80 to 80.
    """
    rng = np.random.default_rng(seed)
    angles = rng.uniform(-80, 80, n_samples)
    x, y = rng.uniform(12, 19, (2, n_samples))
    images = [_bar(*bar) for bar in zip(np.deg2rad(angles), x, y, strict=True)]
    return np.stack(images), angles


def draw_discs(n_samples, seed=0):
    """Draw discs.

    Parameters
    ----------
    n_samples : int
    seed : int, default=0

    Returns
    -------
    images : ndarray of shape (n_samples, 32, 32), uint8
    circles : ndarray of shape (n_samples, 3)
        Radius, x and y of the centre, in pixels.
    """
    rng = np.random.default_rng(seed)
    radius = rng.uniform(3, 8, n_samples)
    x, y = rng.uniform(8, 24, (2, n_samples))
    circles = np.column_stack([radius, x, y])
    return np.stack([_disc(*circle) for circle in circles]), circles


def draw_blobs(n_samples, seed=0):
    """Draw round blobs of differing size and brightness that may overlap, on a noisy ground.

    Parameters
    ----------
    n_samples : int
    seed : int, default=0

    Returns
    -------
    images : ndarray of shape (n_samples, 48, 48), uint8
    counts : ndarray of shape (n_samples,), int
        Blobs of each image, from 0 to 12.
    """
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 13, n_samples)
    rows, columns = np.mgrid[:48, :48]
    images = rng.normal(30, 8, (n_samples, 48, 48))
    for image, count in zip(images, counts, strict=True):
        for x, y, radius, light in rng.uniform((4, 4, 1.5, 90), (44, 44, 3, 180), (count, 4)):
            distance = np.hypot(columns - x, rows - y)
            image += light * np.exp(-((distance / radius) ** 2) / 2)
    return images.clip(0, 255).astype(np.uint8), counts


def draw_shapes(n_samples, seed=0):
    """Draw translucent shapes of differing size and colour that overlap.

    Parameters
    ----------
    n_samples : int
    seed : int, default=0

    Returns
    -------
    images : ndarray of shape (n_samples, 48, 48, 3), uint8
    labels : ndarray of shape (n_samples, 5), int
        1 where the image holds a shape of `SHAPES`, which it does with probability 0.4.
    """
    rng = np.random.default_rng(seed)
    labels = (rng.random((n_samples, len(SHAPES))) < 0.4).astype(int)
    rows, columns = np.mgrid[:48, :48]
    images = np.empty((n_samples, 48, 48, 3))
    for image, present in zip(images, labels, strict=True):
        ground = rng.uniform(0, 90, 3)
        image[:] = ground + rng.normal(0, 6, image.shape)
        for number in rng.permutation(np.flatnonzero(present)):
            x, y, radius = rng.uniform((12, 12, 7), (36, 36, 11))
            inside = list(SHAPES.values())[number]((columns - x) / radius, (rows - y) / radius)
            opacity = 0.7 * np.clip(radius * inside + 0.5, 0, 1)[..., None]
            colour = ground + rng.uniform(70, 160, 3)
            image[:] = (1 - opacity) * image + opacity * colour
    return images.clip(0, 255).astype(np.uint8), labels


def _bar(angle, x, y, length=20, width=4):
    along = (_COLUMNS - x) * np.cos(angle) + (_ROWS - y) * np.sin(angle)
    across = (_ROWS - y) * np.cos(angle) - (_COLUMNS - x) * np.sin(angle)
    return _shade(np.minimum(length / 2 - abs(along), width / 2 - abs(across)))


def _disc(radius, x, y):
    return _shade(radius - np.hypot(_COLUMNS - x, _ROWS - y))


def _shade(inside):
    """Turn distances inside an outline into pixels, with a soft edge of one pixel."""
    return (255 * np.clip(inside + 0.5, 0, 1)).astype(np.uint8)

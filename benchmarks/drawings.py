"""Drawn images whose targets are known exactly."""

import numpy as np

SIDE = 32
_ROWS, _COLUMNS = np.mgrid[:SIDE, :SIDE]


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


def _bar(angle, x, y, length=20, width=4):
    along = (_COLUMNS - x) * np.cos(angle) + (_ROWS - y) * np.sin(angle)
    across = (_ROWS - y) * np.cos(angle) - (_COLUMNS - x) * np.sin(angle)
    return _shade(np.minimum(length / 2 - abs(along), width / 2 - abs(across)))


def _disc(radius, x, y):
    return _shade(radius - np.hypot(_COLUMNS - x, _ROWS - y))


def _shade(inside):
    """Turn distances inside an outline into pixels, with a soft edge of one pixel."""
    return (255 * np.clip(inside + 0.5, 0, 1)).astype(np.uint8)

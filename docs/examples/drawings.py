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


ROOM_SIDE = 96
_EYE = 1.5  # metres above the floor


def draw_rooms(n_samples, seed=0):
    """Draw rooms with balls and boxes on the floor, each in a colour of its own, lit from above.

    Parameters
    ----------
    n_samples : int
    seed : int, default=0

    Returns
    -------
    images : ndarray of shape (n_samples, 96, 96, 3), uint8
    depths : ndarray of shape (n_samples, 96, 96), float32
        How far away each pixel is, along the line of sight, in metres.
    """
    rng = np.random.default_rng(seed)
    rooms = [_room(rng) for _ in range(n_samples)]
    return np.stack([image for image, _ in rooms]), np.stack([depth for _, depth in rooms])


def _room(rng):
    """Return a picture of a room, seen from its front wall, and its depths."""
    rows, columns = (np.mgrid[:ROOM_SIDE, :ROOM_SIDE] + 0.5) / ROOM_SIDE * 2 - 1
    rays = np.stack([columns, -rows - 0.2, np.ones_like(rows)], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    half_width, height, length = rng.uniform((2, 2.3, 4), (4, 3.2, 9))
    low = np.array([-half_width, -_EYE, -1.0])
    # the room is a box that is seen from inside
    depth, normals = _box(rays, low, np.array([half_width, height - _EYE, length]), inside=True)
    # each wall, the floor and the ceiling
    colors = rng.uniform(0.3, 1, (3, 3))[np.abs(normals).argmax(axis=-1)]
    for _ in range(rng.integers(2, 6)):
        size = rng.uniform(0.2, 0.7)
        x, z = rng.uniform((-half_width + size, 2), (half_width - size, length - size))
        if rng.random() < 0.5:
            found = _ball(rays, np.array([x, size - _EYE, z]), size)
        else:
            corner = np.array([x - size, -_EYE, z - size])
            found = _box(rays, corner, corner + size * rng.uniform(0.7, 2, 3), inside=False)
        nearer = found[0] < depth
        depth, normals = (
            np.where(nearer, found[0], depth),
            np.where(nearer[..., None], found[1], normals),
        )
        colors = np.where(nearer[..., None], rng.uniform(0.2, 1, 3), colors)
    lamp = np.array([rng.uniform(-1, 1), 1.5, rng.uniform(-1, 0)])
    light = 0.35 + 0.65 * np.clip(normals @ (lamp / np.linalg.norm(lamp)), 0, 1)
    shades = colors * light[..., None] / (1 + 0.03 * depth[..., None])
    noisy = 255 * shades + rng.normal(0, 4, shades.shape)
    return noisy.clip(0, 255).astype(np.uint8), depth.astype(np.float32)


def _ball(rays, centre, radius):
    """Return how far away a ball is along rays, infinite where they miss it, and its normals."""
    along = rays @ centre
    inside = along**2 - centre @ centre + radius**2
    depth = np.where(inside > 0, along - np.sqrt(np.maximum(inside, 0)), np.inf)
    points = rays * np.where(inside > 0, depth, 0)[..., None]
    return depth, (points - centre) / radius


def _box(rays, low, high, inside):
    """Return how far away a box is along rays, infinite where they miss it, and its normals."""
    with np.errstate(divide="ignore"):
        ends = np.sort(np.stack([low / rays, high / rays]), axis=0)
    enters, leaves = ends[0].max(axis=-1), ends[1].min(axis=-1)
    if inside:
        depth, axis = leaves, ends[1].argmin(axis=-1)
    else:
        depth = np.where((enters < leaves) & (enters > 0), enters, np.inf)
        axis = ends[0].argmax(axis=-1)
    return depth, -np.sign(rays) * np.eye(3)[axis]

"""Small images with a known answer, drawn by the seed."""

import numpy as np

SIDE = 12


def bars_and_discs(n, seed=0):
    """RGB images of one bar or one disc in any colour; y names the shape."""
    rng = np.random.default_rng(seed)
    bars, discs, _ = _shapes(n, rng)
    is_disc = np.arange(n) % 2 == 1
    masks = np.where(is_disc[:, None, None], discs, bars)
    return _painted(masks, _bright_colours(n, rng), rng), np.where(is_disc, "disc", "bar")


def upright_and_lying_bars(n, seed=0):
    """Gray images of 8 x 8 with noise and one bar; y is 1 where it lies."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 120, (n, 8, 8), dtype=np.uint8)
    lies = np.arange(n) % 2
    for image, is_lying, where in zip(images, lies, rng.integers(1, 7, n), strict=True):
        (image if is_lying else image.T)[where] = 255
    return images, lies


def coloured_shapes(n, seed=0):
    """RGB images of a bar or a disc; y names the colour, red, green or blue."""
    rng = np.random.default_rng(seed)
    bars, discs, _ = _shapes(n, rng)
    masks = np.where(rng.random((n, 1, 1)) < 0.5, bars, discs)
    of_class = np.arange(n) % 3
    colours = np.eye(3)[of_class] * rng.integers(100, 216, (n, 1))
    return _painted(masks, colours, rng), np.array(["red", "green", "blue"])[of_class]


def several_shapes(n, seed=0):
    """RGB images of a bar, a disc, both or neither; y is their indicator of shape (n, 2)."""
    rng = np.random.default_rng(seed)
    bars, discs, _ = _shapes(n, rng)
    y = np.column_stack([np.arange(n) % 2, np.arange(n) // 2 % 2])
    masks = (bars & (y[:, 0] == 1)[:, None, None]) | (discs & (y[:, 1] == 1)[:, None, None])
    return _painted(masks, _bright_colours(n, rng), rng), y


def placed_discs(n, seed=0):
    """RGB images of one disc; y is the row and column of its centre, in pixels."""
    rng = np.random.default_rng(seed)
    _, discs, centres = _shapes(n, rng)
    return _painted(discs, _bright_colours(n, rng), rng), centres


def _shapes(n, rng):
    """Return masks of a bar across the image and of a disc, and the centres of both."""
    centres = rng.uniform(2.5, SIDE - 3.5, (n, 2))
    rows = np.arange(SIDE)[:, None] - centres[:, 0, None, None]
    columns = np.arange(SIDE) - centres[:, 1, None, None]
    discs = rows**2 + columns**2 <= rng.uniform(2, 3, (n, 1, 1)) ** 2
    bars = np.broadcast_to(np.abs(rows) <= 1, discs.shape)
    return bars, discs, centres


def _bright_colours(n, rng):
    return rng.integers(120, 216, (n, 3))


def _painted(masks, colours, rng):
    noise = rng.integers(0, 40, (*masks.shape, 3))
    return (noise + masks[..., None] * colours[:, None, None]).astype(np.uint8)

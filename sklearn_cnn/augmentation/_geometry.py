"""Where images and the points on them go: flipped, turned, scaled, shifted.

Coordinates are (x, y) in pixels, x to the right, y down; (0, 0) is the centre of the first
pixel, so the image reaches from -0.5 to W - 0.5.
"""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from sklearn_cnn.runtime.device import sent

# The names of `grid_sample` for what `fill` means.
_PADDING_MODES = {"reflect": "reflection", "edge": "border", "zeros": "zeros"}
FILLS = frozenset(_PADDING_MODES)


def uniform(n, low, high, generator):
    """Draw n numbers between two bounds."""
    drawn = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float32)
    return low + (high - low) * drawn


@dataclass
class AffineTransform:
    """Where each image of a batch goes: flipped, turned and scaled about its centre, shifted.

    Parameters
    ----------
    size : tuple of (int, int)
        Height and width of an image.
    flipped : Tensor of shape (b,), bool
    shift : Tensor of shape (b, 2), int64
        Along x and y, in whole pixels.
    turn : Tensor of shape (b, 2, 2) or None
        Rotation times scale. None where no image is turned or scaled.
    """

    size: tuple[int, int]
    flipped: torch.Tensor
    shift: torch.Tensor
    turn: torch.Tensor | None

    @classmethod
    def draw(cls, n, size, generator, *, flip, crop, rotation, scale):
        """Draw the moves of n images.

        Parameters
        ----------
        n : int
        size : tuple of (int, int)
        generator : torch.Generator
        flip : bool
        crop : tuple of (int, int)
            Largest shift along y and x, in pixels.
        rotation : float
            Largest angle, in degrees.
        scale : float
            Largest enlargement; 0.25 draws factors from 1 / 1.25 to 1.25.
        """
        device = generator.device
        flipped = torch.zeros(n, dtype=torch.bool, device=device)
        if flip:
            flipped = uniform(n, 0, 1, generator) < 0.5
        shift = torch.zeros(n, 2, dtype=torch.int64, device=device)
        if any(crop):
            # torch.randint takes one bound for all: y and x may have different ones
            for axis, largest in enumerate(reversed(crop)):
                bounds = {"low": -largest, "high": largest + 1, "size": (n,)}
                shift[:, axis] = torch.randint(**bounds, generator=generator, device=device)
        turn = None
        if rotation or scale:
            angle = torch.deg2rad(uniform(n, -rotation, rotation, generator))
            # as often half as large as twice as large
            factor = uniform(n, -1, 1, generator).mul(math.log1p(scale)).exp()
            cos, sin = factor * angle.cos(), factor * angle.sin()
            turn = torch.stack([cos, -sin, sin, cos], dim=1).reshape(n, 2, 2)
        return cls(size, flipped, shift, turn)

    def move_points(self, points):
        """Move points with their images.

        Parameters
        ----------
        points : Tensor of shape (b, k, 2), float32
            x and y of k points on each image.

        Returns
        -------
        Tensor of shape (b, k, 2)
            They may lie outside of the image.
        """
        matrix, offset = self._forward()
        return _times(matrix[:, None], points) + offset[:, None]

    def move_images(self, images, fill):
        """Move images.

        Parameters
        ----------
        images : Tensor of shape (b, C, H, W), uint8 or float32
        fill : {"reflect", "edge", "zeros"}
            What comes in from outside of the image.

        Returns
        -------
        Tensor of shape (b, C, H, W)
            float32 where pixels were interpolated, else of the dtype of `images`.
        """
        if self.turn is None:
            return self._gather(images, fill)
        padding = _PADDING_MODES[fill]
        return functional.grid_sample(
            images.float(), self._sources(), padding_mode=padding, align_corners=False
        )

    def move_maps(self, maps, fill, outside):
        """Move maps with their images: each pixel takes the value of the nearest one.

        Parameters
        ----------
        maps : Tensor of shape (b, k, H, W)
            Codes of classes, or numbers of which NaN are missing.
        fill : {"reflect", "edge", "zeros"}
            As the images are moved.
        outside : int or float
            What comes in from outside of the image where that is "zeros".

        Returns
        -------
        Tensor of shape (b, k, H, W)
            Of the dtype of `maps`.
        """
        if self.turn is None:
            return self._gather(maps, fill, outside)
        sources, zeros = self._sources(), fill == "zeros"
        padding = _PADDING_MODES["edge" if zeros else fill]
        moved = functional.grid_sample(
            maps.float(), sources, mode="nearest", padding_mode=padding, align_corners=False
        )
        if zeros:
            # the image reaches from -1 to 1
            is_inside = (sources.abs() <= 1).all(dim=-1)[:, None]
            moved = torch.where(is_inside, moved, outside)
        return moved.to(maps.dtype)

    def _forward(self):
        """Return matrix (b, 2, 2) and offset (b, 2): a point p goes to matrix · p + offset."""
        n, device = self.flipped.shape[0], self.flipped.device
        matrix = torch.eye(2, dtype=torch.float32, device=device).repeat(n, 1, 1)
        if self.turn is not None:
            matrix = self.turn.clone()
        matrix[:, :, 0] *= torch.where(self.flipped, -1.0, 1.0)[:, None]
        centre = self._half(device) - 0.5
        return matrix, centre - _times(matrix, centre) + self.shift

    def _sources(self):
        """Return for `grid_sample` the place that each pixel comes from, (b, H, W, 2).

        Its unit is half an image, its origin the middle. A sum of what rows and columns
        contribute is ten times as fast as `affine_grid`, which multiplies matrices.
        """
        matrix, offset = self._forward()
        (a, b), (c, d) = matrix.permute(1, 2, 0)
        inverse = (torch.stack([d, -b, -c, a]) / (a * d - b * c)).T.reshape(-1, 2, 2)
        half = self._half(matrix.device)
        back = inverse / half[:, None]
        start = (0.5 - half) / half - _times(back, offset)
        rows, columns = (torch.arange(n, device=matrix.device)[:, None] for n in self.size)
        down = rows * back[:, None, :, 1] + start[:, None]
        along = columns * back[:, None, :, 0]
        return down[:, :, None] + along[:, None]

    def _half(self, device):
        """Return half of width and height."""
        return sent(self.size[::-1], device, torch.float32) / 2

    def _gather(self, images, fill, outside=0):
        """Move by whole pixels: each one is copied, ten times as fast as interpolation."""
        (n, channels, height, width), device = images.shape, images.device
        columns = torch.arange(width, device=device) - self.shift[:, :1]
        columns = torch.where(self.flipped[:, None], width - 1 - columns, columns)
        rows = torch.arange(height, device=device) - self.shift[:, 1:]
        first = torch.arange(n, device=device)[:, None] * height
        row_starts = (first + _inside(rows, height, fill)) * width
        source = row_starts[:, :, None] + _inside(columns, width, fill)[:, None, :]
        pixels = images.permute(0, 2, 3, 1).reshape(-1, channels)
        moved = pixels.index_select(0, source.flatten()).reshape(n, height, width, channels)
        if fill == "zeros":
            is_inside = ((rows >= 0) & (rows < height))[:, :, None] & (
                (columns >= 0) & (columns < width)
            )[:, None, :]
            moved = torch.where(is_inside[..., None], moved, outside)
        return moved.permute(0, 3, 1, 2)


def move_boxes(moves, boxes):
    """Move boxes with their images.

    Parameters
    ----------
    moves : AffineTransform
    boxes : Tensor of shape (b, k, 4)
        x0, y0, x1, y1 of two opposite corners.

    Returns
    -------
    Tensor of shape (b, k, 4)
        The smallest upright box around the four moved corners; x0 <= x1 and y0 <= y1.
    """
    x0, y0, x1, y1 = boxes.unbind(dim=-1)
    corners = torch.stack([x0, y0, x1, y0, x0, y1, x1, y1], dim=-1)
    corners = corners.flatten(1).unflatten(1, (-1, 2))
    corners = moves.move_points(corners).unflatten(1, (-1, 4))
    return torch.cat([corners.amin(dim=2), corners.amax(dim=2)], dim=2)


def _times(matrix, points):
    """Multiply matrices (..., 2, 2) by points (..., 2), in float32 whatever autocast says."""
    return matrix[..., 0] * points[..., :1] + matrix[..., 1] * points[..., 1:]


def _inside(positions, length, fill):
    """Return the positions that pixels are copied from, all of them on the image."""
    if fill == "reflect":
        # mirrored at the edge: c b a | a b c | c b a
        folded = positions % (2 * length)
        return torch.minimum(folded, 2 * length - 1 - folded)
    return positions.clamp(0, length - 1)

"""From X as users have it to tensors of images."""

from sklearn_cnn.images._containers import as_numpy
from sklearn_cnn.images._reader import read_images
from sklearn_cnn.images._shape import ImageShape, is_resized

__all__ = ["ImageShape", "as_numpy", "is_resized", "read_images"]

"""From X as users have it to tensors of images."""

from sklearn_cnn.images._containers import (
    as_numpy,
    cells_of,
    is_image_column,
    is_image_sequence,
    labels_of,
    unpack_dataset,
)
from sklearn_cnn.images._folder import load_image_folder
from sklearn_cnn.images._image_reader import ImageReader
from sklearn_cnn.images._lazy import LazyImages
from sklearn_cnn.images._reader import read_images, read_training_images
from sklearn_cnn.images._shape import (
    ImageShape,
    array_shape,
    check_image_shape,
    looks_channels_first,
)
from sklearn_cnn.images._threads import reading_threads

__all__ = [
    "ImageReader",
    "ImageShape",
    "LazyImages",
    "array_shape",
    "as_numpy",
    "cells_of",
    "check_image_shape",
    "is_image_column",
    "is_image_sequence",
    "labels_of",
    "load_image_folder",
    "looks_channels_first",
    "read_images",
    "read_training_images",
    "reading_threads",
    "unpack_dataset",
]

"""From X as users have it to tensors of images."""

from sklearn_cnn.images._broken import find_broken
from sklearn_cnn.images._containers import as_numpy, parse
from sklearn_cnn.images._datasets import unpack_dataset
from sklearn_cnn.images._decoding import advice_on_base64, shown
from sklearn_cnn.images._folder import load_image_folder
from sklearn_cnn.images._image_reader import ImageReader
from sklearn_cnn.images._lazy import LazyImages, MappedImages
from sklearn_cnn.images._map_files import MapFormat, check_palette, kinds_of_labels
from sklearn_cnn.images._maps import Maps, as_maps, with_broken_maps
from sklearn_cnn.images._options import Preparation, ReadOptions
from sklearn_cnn.images._own_sizes import own_sizes
from sklearn_cnn.images._reader import ImageSet, read_images
from sklearn_cnn.images._refusals import refuse_no_batch
from sklearn_cnn.images._resizing import INTERPOLATIONS, RESIZE_MODES, resized_back
from sklearn_cnn.images._shape import (
    ImageShape,
    array_shape,
    check_image_shape,
    looks_channels_first,
)
from sklearn_cnn.images._statistics import (
    Extremes,
    PixelRange,
    PixelStatistics,
    pixel_statistics,
)
from sklearn_cnn.images._table import load_image_table

__all__ = [
    "INTERPOLATIONS",
    "RESIZE_MODES",
    "Extremes",
    "ImageReader",
    "ImageSet",
    "ImageShape",
    "LazyImages",
    "MapFormat",
    "MappedImages",
    "Maps",
    "PixelRange",
    "PixelStatistics",
    "Preparation",
    "ReadOptions",
    "advice_on_base64",
    "array_shape",
    "as_maps",
    "as_numpy",
    "check_image_shape",
    "check_palette",
    "find_broken",
    "kinds_of_labels",
    "load_image_folder",
    "load_image_table",
    "looks_channels_first",
    "own_sizes",
    "parse",
    "pixel_statistics",
    "read_images",
    "refuse_no_batch",
    "resized_back",
    "shown",
    "unpack_dataset",
    "with_broken_maps",
]

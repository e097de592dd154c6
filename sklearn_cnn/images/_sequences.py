"""Sequences of images: files, PIL images, arrays of any size, and Datasets of them."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from sklearn_cnn.images import _arrays, _containers
from sklearn_cnn.images._cache import ImageCache, decoded_folder
from sklearn_cnn.images._cached_files import add_to_cache, warn_of_no_cache
from sklearn_cnn.images._datasets import DatasetItems, open_dataset
from sklearn_cnn.images._encoded import (
    Name,
    Wanted,
    attempt,
    look_at,
    reading_bar,
    refuse_all_broken,
)
from sklearn_cnn.images._refusals import refuse_mixed_sizes
from sklearn_cnn.images._shape import refuse_resizing, warn_of_signals
from sklearn_cnn.runtime.warnings import warn


def read_cells(cells: Any, options, expected, name, broken, with_labels):
    """Return the images of a sequence, in memory or still to be decoded, and what gives labels.

    Parameters
    ----------
    cells : sequence
        Of images, or of (image, label) pairs.
    options : ReadOptions
    expected : tuple of (int, int, int) or None
        The shape of the images that `fit` saw.
    name : str
        What to call the sequence in an error.
    broken : dict or None
        Takes the rows of files that cannot be read, and why. None: the first raises.
    with_labels : bool
        Whether the labels of pairs are wanted.

    Returns
    -------
    images : Tensor or LazyImages of shape (n, H, W, C)
    labels : callable
        Returns the labels, or None, when the images have been read.
    """
    if expected is not None and options.image_shape is None and options.recommended_size:
        options = replace(options, image_shape=tuple(expected[:2]))
    if isinstance(cells, Dataset):
        items = DatasetItems(cells, options, with_labels, name)
        if expected is None and not with_labels:
            _containers.refuse_two_images(items.first)
        first = _containers.image_of(items.first)
        if not _containers.is_path(first):
            if expected is None and _containers.is_array(first):
                warn_of_signals(first.shape, options, are_stacked=False)
            if options.image_shape is None and options.recommended_size and items.are_mixed():
                options = replace(options, image_shape=options.recommended_size)
            return open_dataset(items, options, expected, name), items.labels
        cells = [items[row] for row in range(len(items))]
    if expected is None and not with_labels:
        _containers.refuse_two_images(cells[0])
    labels = _containers.labels_of(cells, options, name) if with_labels else None
    cells = [_containers.image_of(cell) for cell in cells]
    first = _containers.first_image(cells)
    if _containers.is_array(first):
        if expected is None:
            warn_of_signals(first.shape, options, are_stacked=False)
        images = _read_arrays(cells, options, name)
    else:
        images = _open_encoded(cells, options, expected, name, broken)
    return images, lambda: labels


def _open_encoded(cells, options, expected, name, broken):
    """Return files or PIL images, still to be decoded."""
    wanted, named = Wanted.by(options, expected), Name(name, cells)
    looked_at = None
    if wanted.size is None and options.recommended_size:
        looked_at = _look_at_all(cells, named, broken)
        if len({(item.height, item.width) for item in looked_at if item is not None}) > 1:
            wanted = wanted._replace(size=options.recommended_size)
    # cached images do not say whether they were resized: where none may be, they lie by themselves
    how = "unresized" if options.why_not_resized else wanted.resize_mode
    # decoders turn their OSErrors into BrokenImageError: one that comes here is the cache's
    try:
        folder = decoded_folder(
            options.memory, wanted.size, wanted.with_alpha, how, wanted.interpolation
        )
        if folder is not None and all(map(_containers.is_path, cells)):
            return _open_cached(options, ImageCache(folder), cells, wanted, named, broken)
    except OSError as error:
        warn_of_no_cache(options, error, "images")
    items = _look_at_all(cells, named, broken) if looked_at is None else looked_at
    _warn_of_lost_bits(items, named)
    _refuse_resizing(options, items, named)
    return wanted.decoded(items, named)


def _look_at_all(cells, named, broken):
    items = [attempt(look_at, cell, named, row, broken) for row, cell in enumerate(cells)]
    refuse_all_broken(named, broken)
    return items


def _read_arrays(images, options, name):
    arrays = _containers.arrays_of(images, name)
    are_mixed = len({array.shape for array in arrays}) > 1
    if options.image_shape is None and options.recommended_size and are_mixed:
        options = replace(options, image_shape=options.recommended_size)
    if options.image_shape is None:
        refuse_mixed_sizes({array.shape for array in arrays}, name)
        return _arrays.read_stack(np.stack(arrays), options, name)
    # images of any size: each is resized before they are stacked
    singles = [_arrays.read_stack(array[np.newaxis], options, name) for array in arrays]
    channels = sorted({single.shape[3] for single in singles})
    if len(channels) > 1:
        raise ValueError(
            f"{name} mixes images of {channels} channels. Images are resized, their channels are "
            "not converted: bring all of them to gray or to colour first."
        )
    return torch.cat(singles)


def _open_cached(options, cache, paths, wanted, named, broken):
    """Return the images of files out of a cache, to which those that it lacks are added first."""

    def add(headers, named_headers, damaged):
        _warn_of_lost_bits(headers, named_headers)
        _refuse_resizing(options, headers, named_headers)
        # other fits may want the same files in colour: gray is made when they are read
        images = wanted.with_own_channels().decoded(headers, named_headers)
        with reading_bar(options, len(headers)) as progress:
            cache.add(headers, images, damaged, progress)

    files = add_to_cache(cache, paths, named, broken, add)
    refuse_all_broken(named, broken)
    _containers.refuse_mixed_numbers(cache.dtypes(files), named.of)
    refuse_mixed_sizes(cache.sizes(files), named.of_all)
    return cache.images(files, wanted.channels)


def _warn_of_lost_bits(items, named):
    rows = [row for row, item in enumerate(items) if getattr(item, "loses_bits", False)]
    if rows:
        warn(
            f"{len(rows)} of {len(items)} files of {named.of_all} have 16 bits a colour, of which "
            f"the upper 8 are read; {named.of(rows[0])} is the first. If they use a small part of "
            "their range, read them into arrays by a package that keeps all bits."
        )


def _refuse_resizing(options, items, named):
    """Raise if one of the images, or their headers, has a size that may not be changed."""
    for row, item in enumerate(items):
        if item is not None:
            refuse_resizing(options, (item.height, item.width), named.of(row))

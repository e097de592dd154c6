"""torch Datasets as X: each item is read once, image and label together."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_cnn.images import _arrays, _containers
from sklearn_cnn.images._encoded import Name, Wanted, attempt, look_at
from sklearn_cnn.images._lazy import DecodedImages
from sklearn_cnn.images._options import keeps_in_memory
from sklearn_cnn.images._own_sizes import size_of
from sklearn_cnn.images._refusals import refuse_mixed_sizes, refuse_no_batch
from sklearn_cnn.images._resizing import convert_channels
from sklearn_cnn.images._shape import refuse_resizing

# Of PIL's colours.
_BYTES_A_PIXEL = 4


class DatasetItems:
    """The items of a Dataset, whose labels are noted while they are read for their images.

    Masks and maps stay those that were noted: an item that is read again must have the same.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
    options : ReadOptions
    with_labels : bool
        Whether labels are wanted.
    name : str
        What to call the Dataset in an error.
    """

    def __init__(self, dataset: Any, options, with_labels, name):
        self._dataset, self._options, self._name = dataset, options, name
        self.first = dataset[0]
        # what was looked at, and not yet read for its image
        self._unread = {0: self.first}
        if with_labels and not _containers.is_pair(self.first):
            _containers.refuse_others_than_pairs(self.first)
            _containers.refuse_missing_labels(options)
        self._labels: dict[int, Any] | None = {} if with_labels else None
        self._maps: Sequence | None = None

    def __len__(self):
        return len(self._dataset)

    def __getitem__(self, row):
        item = self._unread.pop(row) if row in self._unread else self._dataset[row]
        if self._labels is not None:
            self._labels[row] = _containers.label_of(item, row, self._name)
        elif self._maps is not None:
            self._check_map(item, row, self._maps[row])
        return item

    def are_mixed(self):
        """Say whether images have several sizes; the second size ends the look at them.

        Items that were looked at are not read again, if there is memory for all of them.
        """
        sizes = set()
        for row in range(len(self)):
            item = self[row]
            image = _containers.image_of(item)
            size = size_of(image, self._options)
            if row == 0:
                n_bytes = getattr(image, "nbytes", _BYTES_A_PIXEL * math.prod(size))
                # beside them the images that are made of them
                are_kept = keeps_in_memory(self._options, 2 * len(self) * n_bytes)
            if are_kept:
                self._unread[row] = item
            # what cannot be read is named when it is read
            sizes |= {size} - {(0, 0)}
            if len(sizes) > 1:
                return True
        return False

    def _check_map(self, item, row, noted):
        label = np.asarray(_containers.label_of(item, row, self._name))
        if not np.array_equal(label, np.asarray(noted), equal_nan=label.dtype.kind == "f"):
            raise ValueError(
                f"{self._name}[{row}] has another mask or map each time that it is read. Random "
                "transforms within a Dataset would move the image alone: write in_memory=True, "
                "which reads each item once, and augmentation= for random changes."
            )

    def labels(self):
        """Return the labels, those of items that were not read yet too; None if there are none."""
        if self._labels is None:
            return None
        for row in range(len(self)):
            if row not in self._labels:
                self[row]
        noted, self._labels = self._labels, None
        labels = _containers.stack_labels([noted[row] for row in range(len(self))])
        if _containers.is_map(labels[0]):
            self._maps = labels
        return labels


def open_dataset(items, options, expected, name):
    """Return the images of a Dataset, still to be read: one at a time and in one thread.

    Parameters
    ----------
    items : DatasetItems
    options : ReadOptions
    expected : tuple of (int, int, int) or None
        The shape of the images that `fit` saw.
    name : str
        What to call the Dataset in an error.

    Returns
    -------
    DecodedImages of shape (n, H, W, C)
    """

    def open_first(item):
        return _image_of(item, 0, options, expected, name)

    first, first_dtype = attempt(open_first, items.first, Name(name, [items.first]), 0, None)
    size = first.shape[:2] if options.image_shape is None else options.image_shape[:2]
    channels, kept_dtype = first.shape[2], first.dtype

    def name_of(row):
        return f"{name}[{row}]"

    def read(row):
        image, dtype = _image_of(items[row], row, options, expected, name)
        _containers.refuse_mixed_numbers({0: first_dtype, row: dtype}, name_of)
        if options.image_shape is None:
            refuse_mixed_sizes({tuple(size), tuple(image.shape[:2])}, name)
        if image.shape[2] not in (1, channels) or image.dtype != kept_dtype:
            raise ValueError(
                f"{name}[{row}] has {image.shape[2]} channels of {image.dtype}, but {name}[0] has "
                f"{channels} of {kept_dtype}. PIL images are converted to those of "
                "image_shape=(height, width, channels); arrays are not converted."
            )
        return image

    shape = len(items), *size, channels
    return DecodedImages(
        range(len(items)),
        read,
        shape,
        options.resize_mode,
        name_of,
        kept_dtype,
        options.interpolation,
        n_threads=1,
    )


def _image_of(item, row, options, expected, name):
    """Return the image of an item, and the dtype that the Dataset has it in."""
    image = _containers.image_of(item)
    if _containers.is_encoded(image):
        wanted = Wanted.by(options, expected)
        encoded = look_at(image)
        pixels = wanted.decode(encoded)
        refuse_resizing(options, pixels.shape[:2], f"{name}[{row}]")
        return convert_channels(pixels, wanted.channels or pixels.shape[2]), encoded.dtype
    if not _containers.is_array(image):
        raise TypeError(
            f"{name}[{row}] is a {type(image).__name__}, but {name} must hold encoded images or "
            "arrays."
        )
    array = np.asarray(_containers.as_numpy(image, f"{name}[{row}]"))
    return _arrays.read_stack(array[np.newaxis], options, name)[0], array.dtype


def unpack_dataset(dataset):
    """Separate the images of a torch Dataset from their labels.

    scikit-learn's cross-validation and metrics need y by itself. This reads the whole Dataset
    into memory, so that random transforms in it are drawn once: `augmentation` is the place
    for those. For photos that do not fit in memory pass paths, or the Dataset itself to `fit`.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        With a length and integer indexing, of (image, label) pairs. Images are PIL images or
        arrays; a label may be a mask or map, a gray PIL image or an array.

    Returns
    -------
    X : list of length n
        The images as the Dataset has them.
    y : ndarray of shape (n,), (n, n_outputs) or (n, H, W)
        The labels. Masks or maps of several sizes, or as PIL images, are the objects of an array of
        shape (n,).

    Raises
    ------
    TypeError
        If the Dataset has no length or does not hold pairs.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> from sklearn_cnn import unpack_dataset
    >>> dataset = TensorDataset(torch.zeros(4, 8, 8), torch.tensor([0, 1, 0, 1]))
    >>> X, y = unpack_dataset(dataset)
    >>> len(X), y
    (4, array([0, 1, 0, 1]))
    """
    refuse_no_batch(dataset)
    _containers.refuse_lone(dataset)
    cells = [dataset[row] for row in range(len(dataset))]
    labels = [_containers.label_of(cell, row) for row, cell in enumerate(cells)]
    return [image for image, _ in cells], _containers.stack_labels(labels)

"""Images that are read when rows of them are asked for: what does not fit in memory."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch

from sklearn_cnn.images._decoding import BrokenImageError, UnknownColourError
from sklearn_cnn.images._resizing import convert_channels, resize
from sklearn_cnn.runtime.threads import reading_threads

# Images that a thread decodes between two looks at the queue: one at a time, threads would
# wait for each other more than for the decoder.
_BLOCK = 32


class LazyImages(ABC):
    """Images that are read anew whenever rows of them are asked for.

    To those who train and predict it is a tensor of shape (n, H, W, C): it has a length,
    shape and dtype, and a slice or tensor of rows gives a tensor of images.

    Parameters
    ----------
    shape : tuple of int
        (n, H, W, C).
    dtype : torch.dtype
    """

    device = torch.device("cpu")

    def __init__(self, shape, dtype):
        self.dtype = dtype
        self._image_shape = tuple(shape[1:])
        self._rows = np.arange(shape[0])

    def __len__(self):
        return len(self._rows)

    @property
    def shape(self):
        """(n, H, W, C)."""
        return (len(self), *self._image_shape)

    @property
    def nbytes(self):
        """Bytes that they take on a device: none, since only batches go there."""
        return 0

    def __getitem__(self, rows):
        """Return the images at a slice, or a tensor of int64, of rows."""
        return self._read(self._rows[rows if isinstance(rows, slice) else rows.numpy()])

    def select(self, rows):
        """Return the images of some rows, still to be read."""
        selected = copy.copy(self)
        selected._rows = self._rows[rows.numpy()]
        return selected

    def to(self, device):
        """Return the images as they are: only batches of them go to a device."""
        return self

    @abstractmethod
    def _read(self, rows):
        """Return the images at an array of rows as a tensor of shape (b, H, W, C)."""


class MappedImages(LazyImages):
    """Images of a tensor, such as one over memory that is mapped from a file.

    Parameters
    ----------
    images : Tensor of shape (n, H, W, C)
    """

    def __init__(self, images):
        super().__init__(images.shape, images.dtype)
        self._images = images

    def _read(self, rows):
        return self._images[torch.from_numpy(rows)]


class DecodedImages(LazyImages):
    """Images that are decoded, and resized, one by one.

    Parameters
    ----------
    items : sequence
        What is decoded: `ImageFile` objects, PIL images or the like.
    decode : callable
        Maps an item to a tensor of shape (H, W, C), of any size.
    shape : tuple of int
        (n, H, W, C) after resizing.
    resize_mode : {"squash", "crop", "pad"}
    name : callable
        Maps a row to what an error calls the item.
    dtype : torch.dtype, default=torch.uint8
    interpolation : {"bilinear", "bicubic"}, default="bilinear"
    n_threads : int or None, default=None
        Threads that decode; None takes as many as torch may use.
    """

    def __init__(
        self,
        items,
        decode: Callable,
        shape,
        resize_mode,
        name: Callable,
        dtype=torch.uint8,
        interpolation="bilinear",
        n_threads=None,
    ):
        super().__init__(shape, dtype)
        self._items, self._decode, self._name = items, decode, name
        self._resize_mode, self._interpolation = resize_mode, interpolation
        # asked here, since a thread that reads ahead may have a limit of its own
        self._n_threads = n_threads or torch.get_num_threads()

    def _read(self, rows):
        return self.read(rows)

    def read(self, rows=None, broken=None, progress=None):
        """Decode images.

        Parameters
        ----------
        rows : ndarray of int or None
            Which; None takes all.
        broken : dict or None
            Takes the rows that cannot be decoded, and why; their images are zero. None: the
            first raises, as masks of unknown colours always do.
        progress : callable or None
            Told how many more images are decoded.

        Returns
        -------
        Tensor of shape (b, H, W, C)

        Raises
        ------
        ValueError
            If an item cannot be decoded; it is named.
        """
        rows = self._rows if rows is None else rows
        images = torch.empty((len(rows), *self._image_shape), dtype=self.dtype, device="cpu")
        self.read_into(images, rows, broken, progress)
        return images

    def read_into(self, images, rows, broken=None, progress=None):
        """Decode images into a tensor that is there; see `read`."""

        def read_block(start):
            block = range(start, min(start + _BLOCK, len(rows)))
            for position in block:
                row = int(rows[position])
                try:
                    images[position] = self._image(row)
                except BrokenImageError as error:
                    if broken is None or isinstance(error, UnknownColourError):
                        raise ValueError(f"{self._name(row)}: {error}.") from error
                    images[position] = 0
                    # what the header told comes first
                    broken.setdefault(row, str(error))
            return len(block)

        starts = range(0, len(rows), _BLOCK)
        for n_done in in_threads(read_block, starts, self._n_threads):
            if progress is not None:
                progress(n_done)

    def _image(self, row):
        height, width, channels = self._image_shape
        pixels = self._decode(self._items[row])
        size, mode = (height, width), self._resize_mode
        resized = resize(pixels[None], size, mode, self._interpolation)[0]
        return convert_channels(resized, channels)


def in_threads(function, arguments, n_threads):
    """Yield the results of calls in order; an error ends those that have not begun."""
    if min(n_threads, len(arguments)) <= 1:
        yield from map(function, arguments)
        return
    executor = reading_threads(n_threads)
    try:
        yield from executor.map(function, arguments)
    finally:
        executor.shutdown(cancel_futures=True)

"""Decoded images, masks and maps on disk, so that a search decodes each file once.

A folder holds entries: an array of images, mapped into memory by whoever uses it, and an index
that says which file each image came from. Folds of a cross-validation ask for other subsets of
the same files each time, so it is single files that are looked up, not lists of them.
"""

import errno
import json
import math
import os
import uuid
import zlib
from contextlib import suppress
from typing import NamedTuple

import joblib
import numpy as np
import torch
from filelock import FileLock, Timeout

from sklearn_cnn.images._decoding import kept_dtype
from sklearn_cnn.images._lazy import LazyImages
from sklearn_cnn.images._resizing import convert_channels
from sklearn_cnn.runtime.cache_folder import cache_folder
from sklearn_cnn.runtime.sealed_files import read_sealed, write_sealed
from sklearn_cnn.runtime.warnings import warn

# Changes whenever the same file would be decoded to other pixels, or entries are laid out anew.
_VERSION = 5
# What a file system says that cannot allocate, where the C library does not do it instead.
_NO_FALLOCATE = {errno.EINVAL, errno.EOPNOTSUPP}
_ZEROS = bytes(1 << 20)


def decoded_folder(memory, size, with_alpha, resize_mode, interpolation="bilinear"):
    """Return the folder that holds images of a size.

    Parameters
    ----------
    memory : str, path, joblib.Memory or None
        The estimator's parameter.
    size : tuple of (int, int) or None
        Height and width; None for images as they are.
    with_alpha : bool
        Whether they have four channels.
    resize_mode : str
    interpolation : str, default="bilinear"

    Returns
    -------
    Path or None
        None if nothing is to be cached.
    """
    parts = [
        "own" if size is None else "x".join(map(str, size)),
        *(["alpha"] if with_alpha else []),
        resize_mode,
        # folders of bilinear images had no word for it, nor has any of images as they are
        *([] if size is None or interpolation == "bilinear" else [interpolation]),
        f"v{_VERSION}",
    ]
    return cache_folder(memory, "-".join(parts))


def decoded_maps_folder(memory, palette, are_numbers=False):
    """Return the folder that holds masks and maps, each of the size of its own file.

    Parameters
    ----------
    memory : str, path, joblib.Memory or None
        The estimator's parameter.
    palette : ndarray of int
        The colours that masks hold the positions of; empty where they hold numbers.
    are_numbers : bool, default=False
        Whether indices of a palette are refused, which other folders may hold.

    Returns
    -------
    Path or None
        None if nothing is to be cached.
    """
    parts = [
        "maps",
        *(["numbers"] if are_numbers else []),
        *([joblib.hash(palette)] if len(palette) else []),
        f"v{_VERSION}",
    ]
    return cache_folder(memory, "-".join(parts))


class _Place(NamedTuple):
    """Where an image lies, how many channels its file has, and the checksum of its pixels."""

    entry: int
    row: int
    channels: int
    checksum: int


class ImageCache:
    """Decoded images in a folder, those of an entry of one size.

    An entry is a file of pixels, `.images`, that is mapped into memory, and an index of it, that
    tells shape, files, checksums and what numbers the files hold. One process at a time adds
    entries.

    Parameters
    ----------
    folder : Path
        Made where it is not there.
    is_exact : bool, default=False
        Whether pixels stay what files hold, as maps do; all but uint8 become float32 otherwise.

    Raises
    ------
    OSError
        Here and from each method, if the folder cannot be read, or written to where it must be.
    """

    def __init__(self, folder, is_exact=False):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._lock = folder, FileLock(folder / "lock")
        self._is_exact = is_exact
        self._entries, self._indices, self._dtypes = [], [], []
        self._found, self._checked = {}, set()

    def locked(self):
        """Return a context in which no other process adds images."""
        return self._lock

    def find(self, files):
        """Take note of what others have added, and give up entries that are damaged.

        Parameters
        ----------
        files : list of (str, int, int) or None
            Path, size and time of modification of those whose images are to be checked.
        """
        self._remove_strays()
        damaged = self._read_indices() + self._check(files)
        if damaged:
            warn(
                f"{', '.join(damaged)} in the image cache {self._folder} cannot be read or "
                "is damaged: its images are decoded again."
            )

    def _remove_strays(self):
        """Remove what processes left that were killed, unless one adds images right now."""
        if self._strays():
            with suppress(Timeout), self._lock.acquire(timeout=0):
                # looked for again: until the lock was free they may have been another's work
                for path in self._strays():
                    path.unlink()

    def _strays(self):
        pixels = self._folder.glob("*.images")
        orphans = [path for path in pixels if not path.with_suffix(".index").exists()]
        return [*orphans, *self._folder.glob("*.draft")]

    def _read_indices(self):
        """Read the indices that are new; return the names of those that cannot be used."""
        damaged = []
        for index in sorted(self._folder.glob("*.index")):
            if index in self._indices:
                continue
            try:
                shape, files, dtype = json.loads(read_sealed(index))
                images = self._mapped(index.with_suffix(".images"), np.dtype(dtype), "r", shape)
            except (FileNotFoundError, ValueError):
                # its pixels are a stray from now on
                index.unlink(missing_ok=True)
                damaged.append(index.name)
            else:
                self._note(index, files, images, np.dtype(dtype))
        return damaged

    def _note(self, index, files, images, dtype):
        for *place, path, n_bytes, modified in files:
            self._found[path, n_bytes, modified] = _Place(len(self._entries), *place)
        self._entries.append(images)
        self._indices.append(index)
        self._dtypes.append(dtype)

    def _check(self, files):
        """Give up entries of which images that are asked for have changed; return their names."""
        unchecked = {file for file in files if file in self._found} - self._checked
        changed = set()
        # in the order in which they lie on the disk
        for file in sorted(unchecked, key=self._found.__getitem__):
            entry, row, _, checksum = self._found[file]
            if entry not in changed and _checksum(self._entries[entry][row]) != checksum:
                changed.add(entry)
        for entry in changed:
            self._indices[entry].unlink(missing_ok=True)
        self._found = {f: place for f, place in self._found.items() if place.entry not in changed}
        self._checked |= unchecked
        return sorted(self._indices[entry].with_suffix(".images").name for entry in changed)

    def __contains__(self, file):
        """Say whether a file, as (path, size, time of modification), has been decoded."""
        return file in self._found

    def add(self, files, images, broken=None, progress=None):
        """Decode images into a new entry.

        Parameters
        ----------
        files : list of ImageFile
            All of one dtype.
        images : DecodedImages
            Of the same files.
        broken : dict or None
            Takes the positions of those that cannot be decoded, and why; they are left out.
            None: the first raises.
        progress : callable or None
            Told how many more images are decoded.
        """
        path = self._folder / f"{uuid.uuid4().hex}.images"
        index, dtype = path.with_suffix(".index"), files[0].dtype
        try:
            _allocate(path, math.prod(images.shape) * images.dtype.itemsize)
            entry = self._mapped(path, dtype, "r+", images.shape)
            images.read_into(torch.from_numpy(entry), np.arange(len(images)), broken, progress)
            entry.flush()
            listed = [
                (row, file.channels, _checksum(entry[row]), file.path, file.n_bytes, file.modified)
                for row, file in enumerate(files)
                if broken is None or row not in broken
            ]
            # the index comes last and at once: an entry without one does not count
            write_sealed(index, json.dumps([images.shape, listed, dtype.name]).encode())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self._note(index, listed, self._mapped(path, dtype, "r", images.shape), dtype)
        self._checked.update(file[-3:] for file in listed)

    def sizes(self, files):
        """Return the set of (height, width) of those files that are cached."""
        return {
            self._entries[self._found[file].entry].shape[1:3]
            for file in files
            if file in self._found
        }

    def dtypes(self, files):
        """Return what the pixels of those files that are cached are, by their positions."""
        return {
            position: self._dtypes[self._found[file].entry]
            for position, file in enumerate(files)
            if file in self._found
        }

    def images(self, files, channels=None):
        """Return the images of cached files, still to be read.

        Parameters
        ----------
        files : list of (str, int, int) or None
            Path, size and time of modification. The rows of others than cached ones are zero.
        channels : int or None
            None is 1 if all files are gray, else 3.

        Returns
        -------
        CachedImages
        """
        places = [self._found.get(file, _Place(-1, 0, 1, 0)) for file in files]
        entry, row, own, _ = np.array(places).reshape(-1, 4).T
        used = np.unique(entry[entry >= 0])
        channels = int(own.max()) if channels is None else channels
        size = self._entries[used[0]].shape[1:3]
        mapped = {number: self._entries[number] for number in used.tolist()}
        dtype = kept_dtype(self._dtypes[used[0]])
        return CachedImages(mapped, entry, row, (len(places), *size, channels), dtype)

    def image(self, file):
        """Return the pixels of a cached file, as (path, size, time of modification), mapped."""
        place = self._found[file]
        return self._entries[place.entry][place.row]

    def _mapped(self, path, dtype, mode, shape):
        """Map a file of images, whose pixels were of some dtype, into memory."""
        stored = dtype if self._is_exact or dtype == np.uint8 else np.float32
        return np.memmap(path, stored, mode, shape=tuple(shape))


class CachedImages(LazyImages):
    """Images out of mapped arrays.

    Parameters
    ----------
    entries : dict of int to memmap of shape (m, H, W, 1, 3 or 4)
    entry, row : ndarray of int64 of shape (n,)
        Where each image is.
    shape : tuple of int
        (n, H, W, C).
    dtype : torch.dtype
    """

    def __init__(self, entries, entry, row, shape, dtype):
        super().__init__(shape, dtype)
        self._entries, self._entry, self._row = entries, entry, row

    def _read(self, rows):
        images = torch.zeros((len(rows), *self._image_shape), dtype=self.dtype, device="cpu")
        entry, row = self._entry[rows], self._row[rows]
        for number, mapped in self._entries.items():
            chosen = np.flatnonzero(entry == number)
            stored = torch.from_numpy(mapped[row[chosen]])
            images[torch.from_numpy(chosen)] = convert_channels(stored, self._image_shape[2])
        return images


def _allocate(path, n_bytes):
    """Make a file that has its room on the disk.

    A hole in a file can be mapped, but a write into it ends the process where the disk is full.
    """
    with open(path, "xb") as file:
        try:
            if not _fallocate(file, n_bytes):
                for start in range(0, n_bytes, len(_ZEROS)):
                    file.write(_ZEROS[: n_bytes - start])
                file.flush()
        except OSError as error:
            needed = f"{error.strerror}; {n_bytes / 1e6:.1f} MB are needed"
            raise OSError(error.errno, needed, str(path)) from error


def _fallocate(file, n_bytes):
    """Reserve room for a file; say whether that can be done here."""
    if not hasattr(os, "posix_fallocate"):
        return False
    try:
        os.posix_fallocate(file.fileno(), 0, n_bytes)
    except OSError as error:
        if error.errno not in _NO_FALLOCATE:
            raise
        return False
    return True


def _checksum(image):
    return zlib.crc32(np.asarray(image).data)

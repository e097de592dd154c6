"""Decoded images on disk, so that a search decodes each file once.

A folder holds entries: an array of images, mapped into memory by whoever uses it, and an index
that says which file each image came from. Folds of a cross-validation ask for other subsets of
the same files each time, so it is single files that are looked up, not lists of them.
"""

import json
import os
import uuid
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from sklearn.utils.validation import check_memory as sklearn_check_memory

from sklearn_cnn.images._decoding import convert_channels
from sklearn_cnn.images._lazy import LazyImages
from sklearn_cnn.runtime.warnings import warn

# Changes whenever the same file would be decoded to other pixels.
_VERSION = 2


def check_memory(memory):
    """Return the joblib.Memory that `memory=` stands for.

    Raises
    ------
    ValueError
        If it is neither a folder nor a `Memory`.
    """
    return sklearn_check_memory(os.fspath(memory) if isinstance(memory, os.PathLike) else memory)


def cache_folder(memory, size, with_alpha, resize_mode):
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

    Returns
    -------
    Path or None
        None if nothing is to be cached.
    """
    location = check_memory(memory)
    if getattr(location, "store_backend", None) is None:
        return None
    parts = [
        "own" if size is None else "x".join(map(str, size)),
        *(["alpha"] if with_alpha else []),
        resize_mode,
        f"v{_VERSION}",
    ]
    # under the backend's folder, so that Memory.clear() clears it too
    return Path(location.store_backend.location, "sklearn_cnn", "-".join(parts))


class ImageCache:
    """Decoded images of one size in a folder.

    Parameters
    ----------
    folder : Path
        Made where it is not there. One process at a time adds to it.
    """

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._entries, self._found, self._seen = [], {}, set()

    def locked(self):
        """Return a context in which no other process adds images."""
        return FileLock(self._folder / "lock")

    def remove_strays(self):
        """Remove arrays without an index, which a process that was killed left; when locked."""
        for path in self._folder.glob("*.npy"):
            if not path.with_suffix(".json").exists():
                path.unlink()

    def refresh(self):
        """Take note of what others have added."""
        for index in sorted(self._folder.glob("*.json")):
            if index.name in self._seen:
                continue
            self._seen.add(index.name)
            try:
                files = json.loads(index.read_text())
                images = np.load(index.with_suffix(".npy"), mmap_mode="r")
            except (OSError, ValueError, EOFError) as error:
                warn(
                    f"{index} of the image cache cannot be read ({error}): its images are decoded "
                    "again.",
                )
                continue
            for row, channels, *file in files:
                self._found[tuple(file)] = (len(self._entries), row, channels)
            self._entries.append(images)

    def __contains__(self, file):
        """Say whether a file, as (path, size, time of modification), has been decoded."""
        return file in self._found

    def add(self, files, images, broken=None, progress=None):
        """Decode images into a new entry.

        Parameters
        ----------
        files : list of ImageFile
        images : DecodedImages
            Of the same files.
        broken : dict or None
            Takes the positions of those that cannot be decoded, and why; they are left out.
            None: the first raises.
        progress : callable or None
            Told how many more images are decoded.
        """
        path = self._folder / f"{uuid.uuid4().hex}.npy"
        entry = np.lib.format.open_memmap(path, "w+", dtype=np.uint8, shape=images.shape)
        try:
            rows = np.arange(len(images))
            images.read_into(torch.from_numpy(entry), rows, broken, progress)
            entry.flush()
        except BaseException:
            path.unlink()
            raise
        index = [
            (row, file.channels, file.path, file.n_bytes, file.modified)
            for row, file in enumerate(files)
            if broken is None or row not in broken
        ]
        # the index comes last and at once: an entry without one does not count
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(index))
        draft.replace(path.with_suffix(".json"))
        self.refresh()

    def sizes(self, files):
        """Return the set of (height, width) of those files that are cached."""
        return {
            self._entries[self._found[file][0]].shape[1:3] for file in files if file in self._found
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
        places = [self._found.get(file, (-1, 0, 1)) for file in files]
        entry, row, own = np.array(places).reshape(-1, 3).T
        used = np.unique(entry[entry >= 0])
        channels = int(own.max()) if channels is None else channels
        size = self._entries[used[0]].shape[1:3]
        mapped = {number: self._entries[number] for number in used.tolist()}
        return CachedImages(mapped, entry, row, (len(places), *size, channels))


class CachedImages(LazyImages):
    """Images out of mapped arrays.

    Parameters
    ----------
    entries : dict of int to memmap of shape (m, H, W, 1, 3 or 4)
    entry, row : ndarray of int64 of shape (n,)
        Where each image is.
    shape : tuple of int
        (n, H, W, C).
    """

    def __init__(self, entries, entry, row, shape):
        super().__init__(shape, torch.uint8)
        self._entries, self._entry, self._row = entries, entry, row

    def _read(self, rows):
        images = np.zeros((len(rows), *self._image_shape), dtype=np.uint8)
        entry, row = self._entry[rows], self._row[rows]
        for number, mapped in self._entries.items():
            chosen = np.flatnonzero(entry == number)
            stored = torch.from_numpy(mapped[row[chosen]])
            images[chosen] = convert_channels(stored, self._image_shape[2]).numpy()
        return torch.from_numpy(images)

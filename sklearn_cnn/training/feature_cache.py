"""What frozen layers make of images, on disk: a search computes it once, whatever its folds."""

import hashlib
import sqlite3
import zlib
from contextlib import closing

import numpy as np
import torch

from sklearn_cnn.runtime.cache_folder import cache_folder
from sklearn_cnn.runtime.digest import value_key
from sklearn_cnn.runtime.warnings import warn

# Changes whenever the same image would be kept as other features, or they are laid out anew.
_VERSION = 1
# Seconds to wait for another process that writes.
_PATIENCE = 60
# Rounding to bfloat16 is off by less, layers of other code by more.
_TOLERANCE = 0.03


def cached(trunk, layers, memory, *facts, adds=True):
    """Return a trunk that looks up what it made of an image before.

    Parameters
    ----------
    trunk : callable
        Maps images of shape (b, C, H, W) to features of shape (b, ...).
    layers : list of (str, nn.Module)
        All of its layers, by their names.
    memory : str, path, joblib.Memory or None
        Where features are kept, by the pixels of their images.
    *facts : object
        What else features depend on, such as device and precision.
    adds : bool, default=True
        Whether features that are not there yet are kept. Images to predict are seen once, and
        theirs would fill the disk.

    Returns
    -------
    callable
        The trunk itself if there is no cache, or none to look into.
    """
    try:
        folder = cache_folder(memory, f"features-v{_VERSION}")
        if folder is None:
            return trunk
        if adds:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _warn_unusable(memory, error)
        return trunk
    of_layers = [
        [name, str(type(layer)), layer.extra_repr(), _own(layer)] for name, layer in layers
    ]
    key = value_key([of_layers, torch.__version__, *map(str, facts)], {})
    path = folder / f"{key}.sqlite"
    # SQLite would make a file to look into
    return _CachedTrunk(trunk, path, adds) if adds or path.exists() else trunk


def _own(layer):
    """Return parameters and buffers of a layer, without those of layers in it."""
    named = [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
    return [[name, tensor.detach()] for name, tensor in named]


class _CachedTrunk:
    """Features by the digest of their image, each with a checksum, in a file of SQLite."""

    def __init__(self, trunk, path, adds):
        self._trunk, self._path, self._adds = trunk, path, adds
        self._shape, self._is_compared = torch.Size(), False

    def __call__(self, images):
        if not self._is_compared:
            self._compare(images[:1])
        digests = [_digest(image) for image in images.cpu()]
        known = self._find(digests)
        features = images.new_empty((len(images), *self._shape), dtype=torch.float32)
        for row, digest in enumerate(digests):
            if digest in known:
                features[row] = known[digest]
        missing = [row for row, digest in enumerate(digests) if digest not in known]
        if missing:
            batch = images[missing].contiguous(memory_format=torch.channels_last)
            features[missing] = self._trunk(batch).float()
            if self._adds:
                self._add([digests[row] for row in missing], features[missing].cpu())
        return features

    def _compare(self, image):
        """Learn the shape of features from an image, and check its own if they are there."""
        features = self._trunk(image).float().cpu()
        self._shape, self._is_compared = features.shape[1:], True
        for known in self._find([_digest(image[0].cpu())]).values():
            # the code of a user's layers can change where their weights do not
            if (known - features[0]).norm() > _TOLERANCE * features.norm():
                self._start_anew("holds what other code made of the images")

    def _find(self, digests):
        """Return the features that are there, by the digests of their images."""
        marks = ", ".join("?" * len(digests))
        rows = self._run(
            lambda database: database.execute(
                f"SELECT image, value FROM features WHERE image IN ({marks})", digests
            ).fetchall()
        )
        found = {digest: self._unsealed(value) for digest, value in rows or ()}
        if any(features is None for features in found.values()):
            self._start_anew("is damaged")
            return {}
        return found

    def _add(self, digests, features):
        rows = [(digest, _sealed(row)) for digest, row in zip(digests, features, strict=True)]
        self._run(
            lambda database: database.executemany(
                "INSERT OR REPLACE INTO features VALUES (?, ?)", rows
            )
        )

    def _run(self, statement):
        """Return the result of a statement; None if the file is not there or cannot be used."""
        if self._path is None:
            return None
        try:
            with closing(sqlite3.connect(self._path, timeout=_PATIENCE)) as database, database:
                # a power cut may damage the file, which is noticed
                database.execute("PRAGMA synchronous = OFF")
                database.execute(
                    "CREATE TABLE IF NOT EXISTS features (image BLOB PRIMARY KEY, value BLOB)"
                )
                return statement(database)
        except sqlite3.OperationalError as error:  # no room, no right, locked for too long
            _warn_unusable(self._path, error)
            self._path = None
        except sqlite3.DatabaseError:
            self._start_anew("is damaged")
        return None

    def _start_anew(self, reason):
        warn(f"The cache of features {self._path} {reason}: features are computed anew.")
        self._path.unlink(missing_ok=True)

    def _unsealed(self, value):
        """Return features that `_sealed` laid out; None if a bit of them has changed."""
        checksum, content = value[:4], value[4:]
        is_whole = len(content) == 4 * self._shape.numel() and checksum == _checksum(content)
        if not is_whole:
            return None
        return torch.from_numpy(np.frombuffer(content, np.float32).copy()).view(self._shape)


def _sealed(features):
    content = features.contiguous().numpy().tobytes()
    return _checksum(content) + content


def _checksum(content):
    return zlib.crc32(content).to_bytes(4, "little")


def _digest(image):
    """Return 16 bytes that tell an image from others."""
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    facts = f"{pixels.dtype} {pixels.shape}".encode()
    return hashlib.blake2b(facts + pixels.tobytes(), digest_size=16).digest()


def _warn_unusable(place, error):
    warn(f"The cache {place} cannot be used ({error}): features are computed anew each time.")

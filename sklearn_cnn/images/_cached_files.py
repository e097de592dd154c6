"""Files whose pixels come out of a cache, to which those that it lacks are added."""

import os

from sklearn_cnn.images._decoding import BrokenImageError, identify, read_header
from sklearn_cnn.images._encoded import attempt
from sklearn_cnn.runtime.warnings import warn


def add_to_cache(cache, paths, named, broken, add):
    """Add files to a cache that are not there yet.

    Parameters
    ----------
    cache : ImageCache
    paths : sequence of path
    named : Name
        What errors call them.
    broken : dict or None
        Takes the rows of files that cannot be read, and why. None: the first raises.
    add : callable
        Adds a list of `ImageFile` by their `Name`; the positions of those that cannot be decoded,
        and why, go into the dict that comes third, where it is none.

    Returns
    -------
    list of (str, int, int) or None
        Path, size and time of modification of each; None of those that are not there.
    """
    files = [attempt(_identify, path, named, row, broken) for row, path in enumerate(paths)]
    cache.find(files)
    if any(file is not None and file not in cache for file in files):
        # one process decodes while others wait, and then find what they need
        with cache.locked():
            cache.find(files)
            _add_missing(cache, files, named, broken, add)
    return files


def warn_of_no_cache(options, error, what):
    """Warn that the folder `memory` cannot be used."""
    warn(
        f"memory={options.memory!r} cannot be used ({error}): {what} are decoded without a "
        "cache. Make room there, or choose a folder that can be written to."
    )


def _add_missing(cache, files, named, broken, add):
    rows: dict = {}
    for row, file in enumerate(files):
        if file is not None and file not in cache:
            rows.setdefault(file, []).append(row)
    # of a file that is there twice the first row stands for all
    headers = {
        row: attempt(_read_same_header, file, named, row, broken)
        for file, (row, *_) in rows.items()
    }
    readable = {row: header for row, header in headers.items() if header is not None}
    if readable:
        damaged: dict[int, str] | None = None if broken is None else {}
        add(list(readable.values()), named.at(list(readable)), damaged)
        for position, reason in (damaged or {}).items():
            broken[list(readable)[position]] = reason
    for same in rows.values():
        if broken is not None and same[0] in broken:
            broken.update(dict.fromkeys(same, broken[same[0]]))


def _read_same_header(file):
    header = read_header(file[0])
    if (header.path, header.n_bytes, header.modified) != file:
        raise BrokenImageError("the file has changed since it was first looked at")
    return header


def _identify(path):
    path = os.path.abspath(os.fspath(path))
    return (path, *identify(path))

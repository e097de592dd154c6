"""A folder of images, a folder a class."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch, check_random_state

from sklearn_cnn.images._decoding import image_extensions, is_named_as_image
from sklearn_cnn.runtime.warnings import warn

# What systems leave beside the files of a user, hidden or in archives.
_OF_SYSTEMS = {"__macosx", "thumbs.db", "desktop.ini"}


def load_image_folder(container_path, *, categories=None, shuffle=True, random_state=0):
    """List the image files of a folder that holds a folder for each class.

    The files are not opened: their paths are what the estimators take as X.

    Parameters
    ----------
    container_path : str or path
        The folder. Each folder in it is a class, whose images lie at any depth. Links to
        folders are followed; what is hidden is passed over.
    categories : list of str, default=None
        The classes to list, in the order that `target` counts, such as the `target_names` of the
        training set; some may be without files. None: all, in alphabetical order.
    shuffle : bool, default=True
        Whether to shuffle the files, which makes folds without stratification representative.
    random_state : int, RandomState instance or None, default=0
        Fixes the order.

    Returns
    -------
    Bunch
        With `data`, an ndarray of paths (str) of shape (n,); `target`, an ndarray of int64 of
        shape (n,); `target_names`, a list of the classes, which `target` counts; and
        `filenames`, which is `data` as in `sklearn.datasets.load_files`.

    Raises
    ------
    ValueError
        If there is no such folder, or none of the classes, or a class without images that
        `categories` does not name.

    Warns
    -----
    UserWarning
        If files of the classes are not named as images that can be read; they are counted by kind.
        If the folders look like parts of a set, such as train and test, and not like classes, or a
        class that `categories` names may be misspelt.

    See Also
    --------
    load_image_table : Files and targets out of a table.
    sklearn.datasets.load_files : The same for texts.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from sklearn_cnn import load_image_folder
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ["cat", "dog"]:
    ...     (folder / name).mkdir()
    ...     Image.new("RGB", (8, 8)).save(folder / name / "0.png")
    >>> pets = load_image_folder(folder, shuffle=False)
    >>> pets.target_names, pets.target
    (['cat', 'dog'], array([0, 1]))
    """
    folder = Path(container_path)
    if not folder.is_dir():
        raise ValueError(f"There is no folder {str(folder)!r}.")
    found = sorted(
        child.name for child in folder.iterdir() if child.is_dir() and not _is_hidden(child.name)
    )
    names = found if categories is None else _check_categories(categories, found, folder)
    if not names:
        raise ValueError(
            f"{str(folder)!r} must hold a folder for each class; it holds the folders {found}."
        )
    _warn_of_parts(folder, found)
    passed_over: Counter[str] = Counter()
    files = [_image_files(folder / name, passed_over) for name in names]
    empty = [name for name, paths in zip(names, files, strict=True) if not paths]
    if len(empty) == len(names) or (empty and categories is None):
        raise ValueError(
            f"The classes {empty} of {str(folder)!r} hold no files that are named as images "
            f"({', '.join(sorted(image_extensions()))}){_by_kind(passed_over)}."
        )
    if passed_over:
        warn(
            f"{sum(passed_over.values())} files of {str(folder)!r} are passed over, since they are "
            f"not named as images that can be read{_by_kind(passed_over)}."
        )
    data = np.array([path for paths in files for path in paths])
    target = np.repeat(np.arange(len(names)), [len(paths) for paths in files])
    if shuffle:
        order = check_random_state(random_state).permutation(len(data))
        data, target = data[order], target[order]
    return Bunch(data=data, filenames=data, target=target, target_names=names)


def _check_categories(categories, found, folder):
    """Return the classes that are asked for; some may have no folder, but not all."""
    names = list(categories)
    if isinstance(categories, str) or len(set(names)) < len(names):
        raise ValueError(f"categories must list each class once, got {categories!r}.")
    missing = [name for name in names if name not in found]
    others = [name for name in found if name not in names]
    if missing and len(missing) == len(names):
        raise ValueError(
            f"{str(folder)!r} must hold a folder for each class; it holds the folders {found}, and "
            f"{missing} are asked for."
        )
    if missing and others:
        warn(
            f"{str(folder)!r} holds no folders {missing}, which categories names, but {others}, "
            "which it does not. If one is misspelt, its files are left out."
        )
    return names


def _warn_of_parts(folder, found):
    """Warn if folders look like parts of a set, such as train and test, rather than classes."""
    times = Counter(
        child.name
        for name in found
        for child in (folder / name).iterdir()
        if child.is_dir() and not _is_hidden(child.name)
    )
    shared = sorted(name for name, n_times in times.items() if n_times > 1)
    # one name alone, such as "images", may be in each class
    if len(shared) > 1:
        warn(
            f"The classes {found} of {str(folder)!r} hold folders of the same names, {shared}. If "
            "those are the classes, list each part by itself: train = load_image_folder("
            f"{str(folder / found[0])!r}), and the others with categories=train.target_names."
        )


def _image_files(folder, passed_over):
    """Return the paths below a folder that are named as images, and count the others by kind."""
    paths = []
    for parent, names in _walk(folder):
        for name in names:
            if is_named_as_image(name):
                paths.append(os.path.join(parent, name))
            else:
                passed_over[os.path.splitext(name)[1].lower()] += 1
    return paths


def _walk(folder):
    """Yield each folder below one, and the files in it, in order; links are followed once."""
    entered = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        path = os.path.realpath(parent)
        is_new = path not in entered
        entered.add(path)
        # os.walk goes where this list says, and in its order
        folders[:] = sorted(name for name in folders if not _is_hidden(name)) if is_new else []
        if is_new:
            yield parent, sorted(name for name in names if not _is_hidden(name))


def _is_hidden(name):
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def _by_kind(passed_over):
    kinds = [f"{n} {kind or 'without an extension'}" for kind, n in passed_over.most_common()]
    return f": {', '.join(kinds)}" if kinds else ""

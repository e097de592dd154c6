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

# How links are counted that lead to nothing.
_DEAD = "behind dead links"


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
    OSError
        If a folder cannot be read.

    Warns
    -----
    UserWarning
        If files of the classes are not named as images that can be read, or are dead links; they
        are counted by kind. If links lead to the same folder under several classes. If the folders
        look like parts of a set, such as train and test, and not like classes; if a class that
        `categories` names may be misspelt or, without `categories`, one may be that has a single
        image or differs from another in case only.

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
    found, _, dead = _listed(folder)
    names = found if categories is None else _check_categories(categories, found, folder)
    if not names:
        raise ValueError(
            f"{str(folder)!r} must hold a folder for each class; it holds the folders {found}."
        )
    _warn_of_parts(folder, found)
    # a dead link may be a class
    passed_over = Counter(_DEAD for name in dead if categories is None or name in names)
    reached: dict[str, list[str]] = {}
    files = [_image_files(folder / name, passed_over, reached) for name in names]
    empty = [name for name, paths in zip(names, files, strict=True) if not paths]
    if len(empty) == len(names) or (empty and categories is None):
        raise ValueError(
            f"The classes {empty} of {str(folder)!r} hold no files that are named as images "
            f"({', '.join(sorted(image_extensions()))}){_by_kind(passed_over)}."
        )
    if passed_over:
        warn(
            f"{sum(passed_over.values())} files of {str(folder)!r} are passed over, which are dead "
            f"links or not named as images that can be read{_by_kind(passed_over)}."
        )
    _warn_of_several_classes(folder, reached)
    if categories is None:
        _warn_of_doubtful_classes(
            folder, {n: len(paths) for n, paths in zip(names, files, strict=True)}
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
    times = Counter(within for name in found for within in _listed(folder / name)[0])
    shared = sorted(name for name, n_times in times.items() if n_times > 1)
    # one name alone, such as "images", may be in each class
    if len(shared) > 1:
        train = next((name for name in found if name.lower().startswith("train")), found[0])
        warn(
            f"The classes {found} of {str(folder)!r} hold folders of the same names, {shared}. If "
            "those are the classes, list each part by itself: train = load_image_folder("
            f"{str(folder / train)!r}), and the others with categories=train.target_names."
        )


def _warn_of_several_classes(folder, reached):
    """Warn of folders that hold images of several classes, since links lead there."""
    several = [
        " and ".join(repr(os.path.relpath(path, folder)) for path in paths)
        for paths in reached.values()
        if len(paths) > 1
    ]
    if several:
        warn(
            f"Links in {str(folder)!r} lead to the same images under several classes, so that each "
            f"of these has several labels: {_some(several)}. Remove the links, or name the "
            "classes that are meant by categories=[...]."
        )


def _warn_of_doubtful_classes(folder, counts):
    """Warn of classes that have a single image, or differ from another in case only."""
    rare = [name for name, n_images in counts.items() if n_images == 1]
    # where all have a single image none stands out
    if 0 < len(rare) < len(counts):
        warn(
            f"{len(rare)} of the {len(counts)} classes of {str(folder)!r} have a single image: "
            f"{_some(map(repr, rare))}. Is one misspelt, or no class?"
        )
    alike: dict[str, list[str]] = {}
    for name in counts:
        alike.setdefault(name.casefold(), []).append(name)
    doubtful = [" and ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    if doubtful:
        warn(
            f"Classes of {str(folder)!r} differ in case only: {_some(doubtful)}. They are learned "
            "as different classes: if they are the same, put their files into one folder."
        )


def _image_files(folder, passed_over, reached):
    """Return the paths below a folder that are named as images, and count the others by kind.

    Folders that hold images are noted in `reached`, by the path without links.
    """
    paths = []
    for parent, real_path, names, dead in _walk(folder):
        named = [os.path.join(parent, name) for name in names if is_named_as_image(name)]
        paths += named
        if named:
            reached.setdefault(real_path, []).append(parent)
        others = (name for name in names if not is_named_as_image(name))
        passed_over.update(os.path.splitext(name)[1].lower() for name in others)
        passed_over.update(_DEAD for _ in dead)
    return paths


def _walk(folder):
    """Yield each folder below one, its path without links, and the files and dead links in it.

    In order; links to folders are followed once.
    """
    # a class that `categories` names may have no folder
    entered, ahead = set(), [os.fspath(folder)] if folder.is_dir() else []
    while ahead:
        parent = ahead.pop()
        real_path = os.path.realpath(parent)
        if real_path not in entered:
            entered.add(real_path)
            folders, names, dead = _listed(parent)
            ahead += [os.path.join(parent, name) for name in reversed(folders)]
            yield parent, real_path, names, dead


def _listed(folder):
    """Return the names of folders, of files and of dead links in one, in order.

    What is hidden is passed over. The disk is asked of links alone, not of each file.
    """
    folders, names, dead = [], [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_hidden(entry.name):
                continue
            if os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():
                folders.append(entry.name)
            elif entry.is_symlink() and not os.path.exists(entry.path):
                dead.append(entry.name)
            else:
                names.append(entry.name)
    return sorted(folders), sorted(names), sorted(dead)


def _is_hidden(name):
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def _by_kind(passed_over):
    kinds = [f"{n} {kind or 'without an extension'}" for kind, n in passed_over.most_common()]
    return f": {', '.join(kinds)}" if kinds else ""


def _some(names):
    """Return the first names, as text."""
    names = list(names)
    return f"{', '.join(names[:10])}{', ...' if len(names) > 10 else ''}"

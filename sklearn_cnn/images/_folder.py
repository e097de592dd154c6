"""A folder of images, a folder a class."""

import os
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch, check_random_state

from sklearn_cnn.images._decoding import image_extensions, is_named_as_image


def load_image_folder(container_path, *, categories=None, shuffle=True, random_state=0):
    """List the image files of a folder that holds a folder for each class.

    The files are not opened: their paths are what the estimators take as X.

    Parameters
    ----------
    container_path : str or path
        The folder. Each folder in it is a class, whose images lie at any depth.
    categories : list of str, default=None
        The classes to list. None: all.
    shuffle : bool, default=True
        Whether to shuffle the files, which makes folds without stratification representative.
    random_state : int, RandomState instance or None, default=0
        Fixes the order.

    Returns
    -------
    Bunch
        With `data`, an ndarray of paths (str) of shape (n,); `target`, an ndarray of int64 of
        shape (n,); `target_names`, a list of the classes in alphabetical order, which `target`
        counts; and `filenames`, which is `data` as in `sklearn.datasets.load_files`.

    Raises
    ------
    ValueError
        If there is no such folder or class, or a class without images.

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
    found = sorted(child.name for child in folder.iterdir() if _is_class(child))
    names = found if categories is None else sorted(categories)
    missing = sorted(set(names) - set(found))
    if missing or not names:
        raise ValueError(
            f"{str(folder)!r} must hold a folder for each class; it holds the folders {found}"
            + (f", and {missing} are asked for." if missing else ".")
        )
    files = [_image_files(folder / name) for name in names]
    empty = [name for name, paths in zip(names, files, strict=True) if not paths]
    if empty:
        raise ValueError(
            f"The classes {empty} of {str(folder)!r} hold no files that are named as images "
            f"({', '.join(sorted(image_extensions()))})."
        )
    data = np.array([path for paths in files for path in paths])
    target = np.repeat(np.arange(len(names)), [len(paths) for paths in files])
    if shuffle:
        order = check_random_state(random_state).permutation(len(data))
        data, target = data[order], target[order]
    return Bunch(data=data, filenames=data, target=target, target_names=names)


def _is_class(path):
    return path.is_dir() and not path.name.startswith(".")


def _image_files(folder):
    """Return the paths below a folder that are named as images; links to folders are left."""
    return [
        os.path.join(parent, name)
        for parent, folders, names in _sorted_walk(folder)
        for name in sorted(names)
        if not name.startswith(".") and is_named_as_image(name)
    ]


def _sorted_walk(folder):
    for parent, folders, names in os.walk(folder):
        # os.walk goes where this list says, and in its order
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield parent, folders, names

"""Which files can be read, asked before anything is trained."""

import torch
from torch.utils.data import Dataset

from sklearn_cnn.images import _containers
from sklearn_cnn.images._decoding import BrokenImageError, ImageFile, decode_file, decode_pil
from sklearn_cnn.images._encoded import look_at
from sklearn_cnn.images._lazy import in_threads


def find_broken(X):
    """Find the files that cannot be read as images, and say why.

    Cross-validation and metrics need an image for each row, and a file that is missing or damaged
    fails each fold that predicts it: leave such files out once, before. Each file is decoded as a
    whole.

    Parameters
    ----------
    X : sequence of paths or PIL images
        As the estimators take them; arrays are never broken.

    Returns
    -------
    dict of int to str
        The rows of X that cannot be read, in order, and the reasons.

    Raises
    ------
    TypeError
        If X is one path or image instead of a batch, or holds what is no image.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from PIL import Image
    >>> from sklearn_cnn import find_broken
    >>> folder = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (8, 8)).save(folder / "0.png")
    >>> _ = (folder / "1.png").write_bytes(b"")
    >>> X, y = np.array([str(folder / "0.png"), str(folder / "1.png")]), np.array([0, 1])
    >>> find_broken(X)
    {1: 'the file is empty'}
    >>> rows = list(find_broken(X))
    >>> X, y = np.delete(X, rows), np.delete(y, rows)
    """
    cells = _containers.parse(X).cells
    if cells is None:
        return {}
    # a Dataset may not be asked by several threads
    n_threads = 1 if isinstance(cells, Dataset) else torch.get_num_threads()
    reasons = in_threads(lambda row: _reason(cells[row]), range(len(cells)), n_threads)
    return {row: reason for row, reason in enumerate(reasons) if reason is not None}


def _reason(cell):
    """Return why a cell cannot be read as an image, or None if it can."""
    image = _containers.image_of(cell)
    if _containers.is_array(image):
        return None
    try:
        item = look_at(image)
        if isinstance(item, ImageFile):
            decode_file(item)
        else:
            decode_pil(item.image)
    except BrokenImageError as error:
        return str(error)
    return None

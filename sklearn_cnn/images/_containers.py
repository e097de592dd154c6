"""Containers that users keep images in, brought to one array."""

import numpy as np
import torch
from scipy.sparse import issparse


def is_image_column(X):
    """Say whether X is a one-column frame or (n, 1) object array that holds an image a cell."""
    shape: tuple[int, ...] = getattr(X, "shape", ())
    if len(shape) != 2 or shape[1] != 1 or shape[0] == 0:
        return False
    return _is_image(_first_cell(X))


def is_image_sequence(X):
    """Say whether X is a list, series or 1-D object array of images as arrays."""
    if isinstance(X, (np.ndarray, torch.Tensor)) and X.dtype != object:
        return False
    if len(getattr(X, "shape", (0,))) != 1 or not hasattr(X, "__len__") or len(X) == 0:
        return False
    return _is_image(next(iter(X)))


def stack_images(images, where="X"):
    """Stack a sequence of equally sized images.

    Parameters
    ----------
    images : sequence of array-like
        Images of shape (H, W), (H, W, C) or, where the channels come first, (C, H, W).
    where : str, default="X"
        What to call the sequence in an error.

    Returns
    -------
    ndarray of shape (n, ...)

    Raises
    ------
    ValueError
        If the sizes differ; the sizes found are listed.
    TypeError
        If an element is no image.
    """
    arrays = []
    for position, image in enumerate(images):
        if not _is_image(image):
            raise TypeError(
                f"{where}[{position}] is a {type(image).__name__}, but {where} starts with images "
                "as arrays."
            )
        arrays.append(np.asarray(as_numpy(image)))
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        listed = ", ".join(str(shape) for shape in shapes[:5])
        raise ValueError(
            f"{where} holds images of {len(shapes)} sizes: {listed}"
            f"{', ...' if len(shapes) > 5 else ''}. Write image_shape=(height, width) to resize "
            "them to one."
        )
    return np.stack(arrays)


def as_numpy(X):
    """Return a torch tensor as an array that shares its memory where it can; else X itself."""
    if isinstance(X, torch.Tensor):
        X = X.detach()
        # NumPy has no bfloat16
        return (X.float() if X.dtype == torch.bfloat16 else X).cpu().numpy()
    return X


def column_of(X):
    """Return the cells of a one-column frame or (n, 1) array as a sequence."""
    if hasattr(X, "iloc"):
        return list(X.iloc[:, 0])
    if isinstance(X, np.ndarray):
        return list(X[:, 0])
    return X.to_series(0).to_list()


def refuse_files(X):
    """Raise if X is or holds paths or PIL images.

    Raises
    ------
    TypeError
        With what to write instead.
    """
    first = _first_cell(X) if _has_rows(X) else None
    if _is_pil(X) or _is_pil(first):
        raise TypeError(
            "X is or holds PIL images. X must be a batch of images as numbers: write "
            'numpy.stack([numpy.asarray(image.convert("RGB")) for image in images]).'
        )
    if isinstance(X, (str, bytes)) or hasattr(X, "__fspath__"):
        raise TypeError(
            f"X is a single path or name, {X!r}. X must be a batch of images as an array of shape "
            "(n, H*W*C), (n, H, W), (n, H, W, C) or (n, C, H, W)."
        )
    if isinstance(first, (str, bytes)) or hasattr(first, "__fspath__"):
        raise TypeError(
            f"X holds {type(first).__name__} values such as {first!r}: argument must be images as "
            "numbers, not a string to be read as a number. Read the files first, for example with "
            "numpy.stack([numpy.asarray(PIL.Image.open(path)) for path in paths])."
        )


def _has_rows(X):
    if hasattr(X, "shape"):
        return len(X.shape) > 0 and 0 not in X.shape
    return hasattr(X, "__len__") and hasattr(X, "__getitem__") and len(X) > 0


def _first_cell(X):
    if issparse(X):
        return None
    if hasattr(X, "iloc"):
        return X.iloc[(0,) * len(X.shape)]
    if hasattr(X, "get_column"):
        return X[0, 0] if X.shape[1] else None
    if isinstance(X, np.ndarray):
        return X.flat[0] if X.dtype.kind in "OSU" else None
    return None if isinstance(X, dict) else next(iter(X))


def _is_pil(image):
    return hasattr(image, "getbands")


def _is_image(cell):
    return len(getattr(cell, "shape", ())) in (2, 3)

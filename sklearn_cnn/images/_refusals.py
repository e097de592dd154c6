"""What is no batch of images, or of labels: errors that say what to write instead."""

import io
import os
from collections.abc import Iterable, Mapping

import numpy as np
from scipy.sparse import issparse
from torch.utils.data import DataLoader, IterableDataset


def refuse_no_batch(X, name="X"):
    """Raise if something has no length and order, as X, y and weights must.

    Parameters
    ----------
    X : object
        Anything; None passes.
    name : str, default="X"
        What to call it in an error.

    Raises
    ------
    TypeError
        With what to write instead.
    """
    if isinstance(X, DataLoader):
        raise TypeError(
            f"{name} is a DataLoader, but batches are drawn here: pass what it loads, "
            "loader.dataset, and give the estimator its batch_size."
        )
    for method in ("collect", "compute"):  # polars' lazy frames; Dask's collections
        if hasattr(X, method):
            raise TypeError(
                f"{name} is a {type(X).__name__}, which is not computed yet: pass "
                f"{name}.{method}()."
            )
    if isinstance(X, (str, os.PathLike)):
        raise TypeError(
            f"{name} is one path or name, {os.fspath(X)!r}: write a list, with an entry for each "
            "image."
        )
    # sparse matrices of SciPy's dict of keys have an error of their own
    if isinstance(X, Mapping) and not issparse(X):
        if X.keys() == {"bytes", "path"}:
            raise TypeError(f"{name} is a single encoded image, a dict: write [{name}].")
        keys = list(X)[:10]
        one = f"one of them by its key, {name}[{keys[0]!r}], or " if keys else ""
        raise TypeError(
            f"{name} is a {type(X).__name__} with the keys {keys}: pass {one}all values, "
            f"list({name}.values())."
        )
    has_order = hasattr(X, "__getitem__") or hasattr(X, "shape")
    # a Dataset without a length and an open file have errors of their own
    if isinstance(X, Iterable) and not (has_order or isinstance(X, (IterableDataset, io.IOBase))):
        raise TypeError(
            f"{name} is a {type(X).__name__}, which has no length, or no order that can be read "
            f"twice: write list({name})."
        )


def refuse_arrays_in_cells(X):
    """Raise if the cells of a column that holds no images are rows of numbers.

    Parameters
    ----------
    X : array-like
        Anything that is no sequence or column of images.

    Raises
    ------
    TypeError
        With what to write instead.
    """
    for stacked, cell in _first_row(X):
        if hasattr(cell, "__len__") and not isinstance(cell, (str, bytes, Mapping)):
            raise TypeError(
                f"The cells of X are each a {type(cell).__name__} of {len(cell)}, where numbers or "
                f"images are expected. Pass them as one array: {stacked}."
            )


def refuse_empty(X, estimator_name):
    """Raise if an array or sequence of one dimension is empty, in scikit-learn's words."""
    if hasattr(X, "__len__") and len(getattr(X, "shape", (0,))) == 1 and len(X) == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape=(0,)) while a minimum of 1 is required by "
            f"{estimator_name}: X holds no images."
        )


def refuse_mixed_sizes(sizes, name):
    """Raise if there is more than one size, and list those that there are.

    Parameters
    ----------
    sizes : set of tuple of int
    name : str
        What holds the images.

    Raises
    ------
    ValueError
        With what to write.
    """
    if len(sizes) > 1:
        listed = ", ".join(str(size) for size in sorted(sizes)[:5])
        raise ValueError(
            f"{name} holds images of {len(sizes)} sizes: {listed}"
            f"{', ...' if len(sizes) > 5 else ''}. Write image_shape=(height, width) to resize "
            "them to one."
        )


def _first_row(X):
    """Return what makes one array of each column whose cells are objects, and its first cell."""
    if hasattr(X, "to_pylist") and hasattr(X, "type") and len(X) > 0:  # an array of pyarrow
        return [("np.array(X.to_pylist())", X[0].as_py())]
    if issparse(X) or 0 in getattr(X, "shape", (0,)):
        return []
    if isinstance(X, np.ndarray):
        stacked = "np.stack(X)" if X.ndim == 1 else "np.stack(X.ravel())"
        return [(stacked, X.flat[0])] if X.dtype == object else []
    if hasattr(X, "iloc"):
        cells = X.iloc[0].items() if len(X.shape) == 2 else [(None, X.iloc[0])]
        return [(f"np.stack({_column(name)})", cell) for name, cell in cells]
    if hasattr(X, "get_column"):  # a frame of polars, and below its series
        cells = zip(X.columns, X.row(0), strict=True)
    else:
        cells = [(None, X[0])] if hasattr(X, "to_list") else []
    return [(f"np.array({_column(name)}.to_list())", cell) for name, cell in cells]


def _column(name):
    return "X" if name is None else f"X[{name!r}]"

"""Containers that users keep images in, and what their cells are."""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from scipy.sparse import issparse
from torch.utils.data import Dataset, IterableDataset

from sklearn_cnn.images._decoding import (
    BrokenImageError,
    advice_on_base64,
    is_named_as_image,
    pil_size,
    shown,
)
from sklearn_cnn.images._refusals import refuse_arrays_in_cells, refuse_no_batch

_BYTES = (bytes, bytearray, memoryview)


def is_image_column(X):
    """Say whether X is a one-column frame or (n, 1) array that holds an image a cell."""
    shape: tuple[int, ...] = getattr(X, "shape", ())
    if len(shape) != 2 or shape[1] != 1 or shape[0] == 0 or issparse(X):
        return False
    if isinstance(X, np.ndarray) and not _holds_objects(X):
        return False
    return _any_image(cells_of(X))


def is_image_sequence(X):
    """Say whether X is a list, tuple, series, Dataset or 1-D array of images."""
    if isinstance(X, Dataset):
        return hasattr(X, "__len__") and len(X) > 0
    if isinstance(X, Mapping) or (
        isinstance(X, (np.ndarray, torch.Tensor)) and not _holds_objects(X)
    ):
        return False
    # a set has a length too, but no order that y could follow
    has_order = hasattr(X, "__len__") and hasattr(X, "__getitem__")
    if len(getattr(X, "shape", (0,))) != 1 or not has_order or len(X) == 0:
        return False
    return _any_image(cells_of(X))


def cells_of(X):
    """Return the images of a sequence or column, in a form with a length and integer indexing."""
    if isinstance(X, (Dataset, list, tuple)):
        return X
    if isinstance(X, np.ndarray):
        if X.dtype.kind == "S":
            # as long as the longest: NumPy's own cells lack the zeros that an image may end with
            return [cell.tobytes() for cell in X.ravel().view(f"V{X.itemsize}")]
        return X.ravel().tolist() if X.dtype.kind in "UT" else list(X.ravel())
    if hasattr(X, "iloc"):
        return list(X if len(X.shape) == 1 else X.iloc[:, 0])
    if hasattr(X, "to_pylist"):  # pyarrow
        return (X.column(0) if hasattr(X, "column_names") else X).to_pylist()
    if hasattr(X, "get_column"):
        return X.to_series(0).to_list()
    return list(X)


def is_image(cell):
    """Say whether one cell is an image: an array, or one that is decoded."""
    return is_array(cell) or is_encoded(cell)


def is_encoded(cell):
    """Say whether a cell is a path, PIL image, bytes, open file, or dict of bytes and path."""
    return is_path(cell) or is_pil(cell) or is_content(cell) or is_record(cell)


def is_array(cell):
    """Say whether a cell is an image as an array."""
    return len(getattr(cell, "shape", ())) in (2, 3)


def is_pil(cell):
    """Say whether a cell is a PIL image."""
    return isinstance(cell, Image.Image)


def is_path(cell):
    """Say whether a cell is the path of a file."""
    return isinstance(cell, (str, os.PathLike))


def is_content(cell):
    """Say whether a cell is what an image file holds: bytes, or a file that is open."""
    return isinstance(cell, _BYTES) or (hasattr(cell, "read") and hasattr(cell, "seek"))


def is_record(cell):
    """Say whether a cell is an image as Hugging Face's columns hold it."""
    return isinstance(cell, Mapping) and cell.keys() == {"bytes", "path"}


def is_pair(cell):
    """Say whether a cell is an (image, label) pair; text that names no image file is a label.

    The label may be a mask or map: an image that has a value for each pixel, not a colour.
    """
    return (
        isinstance(cell, tuple)
        and len(cell) == 2
        and is_image(cell[0])
        and (is_map(cell[1]) or not is_plainly_image(cell[1]))
    )


def is_map(value):
    """Say whether an array, of shape (H, W), (H, W, 1) or (1, H, W), or PIL image holds no colours.

    It may be a mask or map then.
    """
    if is_pil(value):
        return len(value.getbands()) == 1
    shape: tuple[int, ...] = getattr(value, "shape", ())
    return len(shape) == 2 or (len(shape) == 3 and 1 in (shape[0], shape[2]))


def is_plainly_image(value):
    """Say whether a value is an image: text named as image files are, bytes that are no text."""
    if isinstance(value, bytes):
        # zeros at the end are what NumPy fills text up with
        return not value.isascii() or b"\0" in value.rstrip(b"\0")
    return is_image(value) and (not isinstance(value, str) or is_named_as_image(value))


def image_of(cell):
    """Return the image of a cell, which may be an (image, label) pair, or a dict that has it."""
    if is_pair(cell):
        cell = cell[0]
    if is_record(cell):
        return cell["path"] if cell["bytes"] is None else cell["bytes"]
    refuse_others_than_pairs(cell)
    return cell


class Parsed(NamedTuple):
    """What X is, asked once.

    Parameters
    ----------
    table : object
        The frame or array whose columns are features to scikit-learn; None if X is a sequence.
    cells : sequence or None
        Images, or (image, label) pairs; None if X is numbers.
    """

    table: Any
    cells: Any


def parse(X, name="X"):
    """Return what X is; errors call it by a name.

    Parameters
    ----------
    X : object
        As the user gave it.
    name : str, default="X"
        What to call it in an error.

    Raises
    ------
    ValueError
        If it holds masked values.
    TypeError
        If X is one image rather than a batch, or holds what is neither image nor number; with
        what to write instead.
    """
    X = as_numpy(X, name)
    refuse_lone(X)
    refuse_no_batch(X, name)
    if is_image_column(X):
        return Parsed(X, cells_of(X))
    if is_image_sequence(X):
        return Parsed(None, cells_of(X))
    refuse_text(X)
    refuse_arrays_in_cells(X)
    return Parsed(X, None)


def labels_of(cells, options, name="X"):
    """Return the labels of (image, label) pairs.

    Parameters
    ----------
    cells : sequence
    options : ReadOptions
    name : str, default="X"

    Returns
    -------
    ndarray of shape (n,) or (n, n_outputs)

    Raises
    ------
    ValueError
        If there are none.
    TypeError
        If a later cell is no pair.
    """
    if not is_pair(cells[0]):
        refuse_others_than_pairs(cells[0])
        refuse_missing_labels(options)
    return stack_labels([label_of(cell, row, name) for row, cell in enumerate(cells)])


def refuse_missing_labels(options):
    """Raise what scikit-learn's estimators raise if y is missing."""
    raise ValueError(
        f"This {options.estimator_name} estimator requires y to be passed, but the target y is "
        "None."
    )


def refuse_others_than_pairs(cell):
    """Raise if a cell holds images among other things, and is no (image, label) pair.

    Raises
    ------
    TypeError
        With what to write instead.
    """
    if isinstance(cell, Mapping):
        # as the items of Hugging Face's Datasets are
        raise TypeError(
            f"X holds dicts, with the keys {list(cell)[:10]}. An item must be an image or an "
            "(image, label) pair. Pass images and labels by themselves, by the keys that yours "
            'have: [item["image"] for item in dataset] as X and [item["label"] for item in '
            "dataset] as y. To read them as they are needed pass a torch Dataset whose "
            '__getitem__ returns (item["image"], item["label"]).'
        )
    if not isinstance(cell, (tuple, list)) or is_pair(cell):
        return
    # a list of text is a row of a table, which has an error of its own
    entries = cell if isinstance(cell, tuple) else [v for v in cell if not isinstance(v, str)]
    if any(map(is_plainly_image, entries)):
        kinds = ", ".join(type(value).__name__ for value in cell[:5])
        advice = "Pass one image of each item, [item[0] for item in X], and labels as y. "
        if len(cell) == 2 and all(map(is_image, cell)):
            advice += (
                "A mask or map within an item is a gray PIL image, or an array of shape (H, W); "
                "colours, several values a pixel and files are passed as y: X, y = zip(*dataset), "
                "then fit(list(X), list(y)). "
            )
        raise TypeError(
            f"X holds items that are a {type(cell).__name__} of {len(cell)} ({kinds}), but an item "
            f"must be an image or an (image, label) tuple. {advice}Images that belong together are "
            "one image of more channels: [np.dstack(item) for item in X] of arrays."
        )


def arrays_of(images, name="X"):
    """Return images as NumPy arrays, of any size but of one kind of number.

    Parameters
    ----------
    images : sequence of array-like
        Images of shape (H, W), (H, W, C) or, where the channels come first, (C, H, W).
    name : str, default="X"
        What to call the sequence in an error.

    Returns
    -------
    list of ndarray

    Raises
    ------
    ValueError
        If they hold numbers of different kinds, or masked ones.
    TypeError
        If an element is no image.
    """
    arrays: list[np.ndarray] = []
    for position, image in enumerate(images):
        if not is_array(image):
            raise TypeError(
                f"{name}[{position}] is a {type(image).__name__}, but {name} holds images as "
                "arrays. Leave out rows without an image, of y too."
            )
        arrays.append(np.asarray(as_numpy(image, f"{name}[{position}]")))
    dtypes = {row: array.dtype for row, array in enumerate(arrays)}
    refuse_mixed_numbers(dtypes, lambda row: f"{name}[{row}]")
    return arrays


def refuse_mixed_numbers(dtypes, name_of):
    """Raise unless all images hold the same kind of number; floats of any size are one kind.

    Most floats are 0 to 1, bytes 0 to 255, 16 bits up to 65535: side by side, some of the images
    would all but vanish.

    Parameters
    ----------
    dtypes : dict of int to dtype
        Of images, by their rows.
    name_of : callable
        Maps a row to what an error calls the image.

    Raises
    ------
    ValueError
        With what to do.
    """
    rows = iter(dtypes)
    first = next(rows)
    for row in rows:
        if _number_kind(dtypes[row]) != _number_kind(dtypes[first]):
            raise ValueError(
                f"{name_of(row)} holds {dtypes[row]}, but {name_of(first)} holds {dtypes[first]}. "
                "None is scaled to the other: bring all of them to one dtype and range first."
            )


def as_numpy(X, name="X"):
    """Return a tensor, or a series of arrays of one shape, as an array; else X itself.

    Of torch the array shares the memory where it can; polars has series of such a dtype.

    Raises
    ------
    ValueError
        If X, or an entry of a list, is an array of NumPy's with values that are masked.
    """
    if any(map(_is_masked, X if isinstance(X, (list, tuple)) else [X])):
        nan = ""
        if name.startswith("y"):
            nan = " (.filled(np.nan) in maps or several columns of numbers, which does not count)"
        raise ValueError(
            f"Input {name} contains masked values, and what is below the mask would be learned. "
            f"Put numbers in their place, by .filled(number){nan}, or leave those samples out."
        )
    if isinstance(X, torch.Tensor):
        X = X.detach()
        # NumPy has no bfloat16
        return (X.float() if X.dtype == torch.bfloat16 else X).cpu().numpy()
    if hasattr(X, "to_numpy") and len(getattr(getattr(X, "dtype", None), "shape", ())) > 0:
        return X.to_numpy()
    return X


def refuse_lone(X):
    """Raise if X is one image, encoded or not, or a Dataset without a length.

    Raises
    ------
    TypeError
        With what to write instead.
    """
    if X is None:
        raise TypeError("X is None. X must be a batch of images.")
    if is_path(X):
        path = os.fspath(X)
        raise TypeError(
            f"X is a single path or name, {shown(path)}{advice_on_base64(path)}. X must "
            "be a batch of images: write [path] for one file; load_image_folder lists the files "
            "of a folder."
        )
    if is_encoded(X):
        kind = "PIL image" if is_pil(X) else f"encoded image, a {type(X).__name__}"
        raise TypeError(f"X is a single {kind}. X must be a batch of images: write [image].")
    if isinstance(X, IterableDataset) or (isinstance(X, Dataset) and not hasattr(X, "__len__")):
        raise TypeError(
            f"X is a {type(X).__name__} without a length and integer indexing. X must be a Dataset "
            "that has both, or hold images or their paths."
        )


def refuse_text(X):
    """Raise a TypeError that says what to write if numbers start with text or a dict."""
    first = _first_cell(X) if _has_rows(X) else None
    if not isinstance(X, np.ndarray):
        # of what an array of objects holds scikit-learn has its own words
        refuse_others_than_pairs(first)
    if isinstance(first, (list, tuple)) and len(first) > 0:
        first = first[0]
    if isinstance(first, (str, bytes, os.PathLike)):
        raise TypeError(
            f"X holds {type(first).__name__} values such as {first!r:.50}: argument must be images "
            "as numbers, not a string to be read as a number. Paths of image files come in a list, "
            "Series, 1-D array or frame of one column, as str or Path."
        )


def _is_masked(values):
    return isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values)


def _number_kind(dtype):
    # in whatever order the bytes are
    return "f" if dtype.kind == "f" else (dtype.kind, dtype.itemsize)


def _any_image(cells):
    """Say whether cells start with an image, or one of them is encoded."""
    return is_image(first_image(cells)) or any(map(is_encoded, cells))


def first_image(cells):
    """Return the image of the first cell that is not None."""
    return image_of(next((cell for cell in cells if cell is not None), None))


def label_of(cell, row, name="X"):
    """Return the label of a pair; a TypeError, which names the row, if it is none.

    A mask or map as an array has the shape (H, W).
    """
    refuse_others_than_pairs(cell)
    if not is_pair(cell):
        raise TypeError(
            f"{name}[{row}] is no (image, label) pair but a {type(cell).__name__}: pass y by "
            "itself."
        )
    if isinstance(cell[1], Mapping) and not is_record(cell[1]):
        names = list(cell[1])
        raise TypeError(
            f"{name}[{row}] is a pair of an image and a dict of {names}, as sets for detection "
            "have them: y is one of its values. Give the Dataset a target_transform, lambda "
            f"target: target[{names[0] if names else '...'!r}], or pass y by itself."
        )
    label = as_numpy(cell[1], "y")
    if is_pil(label):
        # thousands of masks would be as many open files; whoever reads one says what is broken
        with suppress(BrokenImageError):
            pil_size(label)
    elif len(getattr(label, "shape", ())) == 3:
        return label[..., 0] if label.shape[2] == 1 else label[0]
    return label


def stack_labels(labels):
    """Return labels as an array; of masks or maps that do not stack it holds objects."""
    if any(map(is_pil, labels)) or len({label.shape for label in labels if is_map(label)}) > 1:
        stacked = np.empty(len(labels), dtype=object)
        for row, label in enumerate(labels):
            stacked[row] = label
        return stacked
    return np.array(labels)


def refuse_two_images(cell):
    """Raise if a cell is a pair of images, of which the second may be a mask or map."""
    if is_pair(cell) and is_map(cell[1]):
        raise TypeError(
            "X holds pairs of images, of which the second would not be looked at. If it is a mask "
            "or map, leave out y, or pass both by themselves: X, y = unpack_dataset(dataset). "
            "Images that belong together are one image of more channels: [np.dstack(item) for "
            "item in X] of arrays."
        )


def _has_rows(X):
    if hasattr(X, "shape"):
        return len(X.shape) > 0 and 0 not in X.shape
    return hasattr(X, "__len__") and hasattr(X, "__getitem__") and len(X) > 0


def _first_cell(X) -> Any:
    if issparse(X):
        return None
    if hasattr(X, "iloc"):
        return X.iloc[(0,) * len(X.shape)]
    if hasattr(X, "get_column"):
        return X[0, 0] if X.shape[1] else None
    if isinstance(X, np.ndarray):
        return X.flat[0] if _holds_objects(X) else None
    return None if isinstance(X, dict) else next(iter(X))


def _holds_objects(X):
    """Say whether an array's cells are objects, bytes or text; NumPy has two kinds of text."""
    return isinstance(X, np.ndarray) and X.dtype.kind in "OSUT"

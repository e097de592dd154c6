"""A table of images: each row names a file, and says what is true of it."""

import csv
import os
from contextlib import suppress

import numpy as np
from sklearn.utils import Bunch

from sklearn_cnn._compat import safe_indexing
from sklearn_cnn.images._decoding import is_named_as_image
from sklearn_cnn.runtime.warnings import warn


def load_image_table(
    table, *, file, target, split=None, root=None, handle_broken="error", as_frame=False
):
    """List the image files that a table names, and what it says of them.

    The files are not opened: their paths are what the estimators take as X. Rows stay in the order
    of the table, so that its other columns go with them, as groups say.

    Parameters
    ----------
    table : str, path or frame
        A CSV file in UTF-8 whose first line names the columns, separated by tabs if it ends in
        .tsv; or a pandas or polars frame.
    file : str
        The column of the files: paths as text.
    target : str or list of str
        The column of what is to be predicted, or several columns of numbers.
    split : str, default=None
        A column that says which part a row belongs to: "train" or "test", or the number of a fold.
    root : str or path, default=None
        Folder that paths are relative to. None: the one that the table lies in; of a frame, the
        current one.
    handle_broken : {"error", "skip"}, default="error"
        What to do if files are missing: raise, or leave their rows out with a warning that counts
        and names them.
    as_frame : bool, default=False
        Whether `data` and `target` are pandas frames; a single target is a Series.

    Returns
    -------
    Bunch
        With `data`, an ndarray of paths (str) of shape (n,); `target`, an ndarray of shape (n,), or
        (n, n_targets) if `target` is a list; `target_names`; and `filenames`, the same paths.
        Text becomes int64, which counts `target_names`, the classes in alphabetical order; names
        of image files, of masks say, become paths; numbers stay as they are. Where there are no
        classes, `target_names` are the columns. With `split` there is `splits`, a Bunch of a
        Bunch of `data` and `target` for each part; with `as_frame=True` also `frame`, the data
        beside the target.

    Raises
    ------
    ValueError
        If there is no such table or column, files are missing, a cell of `file` or of a target of
        text is empty, or one of several targets holds text.
    TypeError
        If the table is neither path nor frame.
    ImportError
        If `as_frame=True` and pandas is not installed.

    Warns
    -----
    UserWarning
        If `handle_broken="skip"` left rows out.

    See Also
    --------
    load_image_folder : A folder of images for each class.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from sklearn_cnn import load_image_table
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ["a.png", "b.png"]:
    ...     Image.new("RGB", (8, 8)).save(folder / name)
    >>> _ = (folder / "pets.csv").write_text("image,kind,age\\na.png,dog,3\\nb.png,cat,7\\n")
    >>> kinds = load_image_table(folder / "pets.csv", file="image", target="kind")
    >>> kinds.target_names, kinds.target
    (['cat', 'dog'], array([1, 0]))
    >>> load_image_table(folder / "pets.csv", file="image", target="age").target
    array([3, 7])
    """
    if handle_broken not in ("error", "skip"):
        raise ValueError(f'handle_broken must be "error" or "skip", got {handle_broken!r}.')
    targets = [target] if isinstance(target, str) else list(target)
    columns = _read_columns(table, [file, *targets, *([] if split is None else [split])])
    if root is None:
        root = os.path.dirname(table) if isinstance(table, (str, os.PathLike)) else ""
    values = [_numbers_or_text(columns[name], name) for name in targets]
    of_files = {file: _text(columns[file], file)}
    has_masks = isinstance(target, str) and _name_images(values[0])
    if has_masks:
        of_files[target] = values[0]
    of_files = {
        name: np.array([os.path.join(root, path) for path in paths])
        for name, paths in of_files.items()
    }
    kept = _rows_of_files(of_files, root, handle_broken)
    data = of_files[file][kept]
    if has_masks:
        encoded, names = of_files[target], targets
    elif isinstance(target, str):
        encoded, names = _encoded(values[0], target)
    else:
        encoded, names = _joined(values, targets), targets
    result = Bunch(data=data, filenames=data, target=encoded[kept], target_names=names)
    if as_frame:
        result.update(_as_frames(result, file, targets, is_single=isinstance(target, str)))
    if split is not None:
        result.splits = _parts(result, _labels(columns[split], split)[kept])
    return result


def _read_columns(table, names):
    """Return columns of a table by name: arrays of a frame's cells, lists of text of a file's."""
    if isinstance(table, (str, os.PathLike)):
        columns = _read_file(os.fspath(table))
    elif hasattr(table, "columns") and hasattr(table, "shape"):
        columns = {name: table[name] for name in table.columns}
    else:
        raise TypeError(
            "table must be the path of a CSV file or a pandas or polars frame, got "
            f"{type(table).__name__}."
        )
    missing = [name for name in names if name not in columns]
    if missing:
        message = f"The table has no columns {missing}; it has {list(columns)}."
        if len(columns) == 1:
            message += (
                " Commas separate columns, tabs in a file that ends in .tsv: read others by "
                "pandas.read_csv with its sep, and pass the frame."
            )
        raise ValueError(message)
    return {
        name: columns[name] if isinstance(columns[name], list) else np.asarray(columns[name])
        for name in names
    }


def _read_file(path):
    """Return the columns of a CSV file: lists of text by name."""
    if not os.path.isfile(path):
        raise ValueError(f"There is no table {path!r}.")
    delimiter = "\t" if path.lower().endswith((".tsv", ".tab")) else ","
    try:
        with open(path, encoding="utf-8-sig", newline="") as lines:
            header, *rows = [row for row in csv.reader(lines, delimiter=delimiter) if row] or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{path!r} is no CSV file in UTF-8 ({error}). Read it by pandas, and pass the frame."
        ) from error
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise ValueError(
                f"Row {number} of {path!r} has {len(row)} cells for {len(header)} columns: {row}."
            )
    return {name: [row[place] for row in rows] for place, name in enumerate(header)}


def _numbers_or_text(cells, column):
    """Return the cells of a column of numbers as an array, others as a list of text."""
    if isinstance(cells, np.ndarray):
        return cells if cells.dtype.kind in "biuf" else _text(cells, column)
    for dtype in (np.int64, np.float64) if any(cells) else ():
        with suppress(ValueError, OverflowError):
            return np.array([cell or "nan" for cell in cells], dtype=object).astype(dtype)
    return _text(cells, column)


def _text(cells, column):
    """Return cells as a list of text; raise if one is empty or something else."""
    texts = [os.fspath(cell) if isinstance(cell, os.PathLike) else cell for cell in cells]
    others = [row for row, text in enumerate(texts) if not isinstance(text, str) or not text]
    if others:
        raise ValueError(
            f"Column {column!r} must hold text, but {len(others)} of its {len(texts)} cells do "
            f"not, the first of them in row {others[0]}: {texts[others[0]]!r}."
        )
    return texts


def _labels(cells, column):
    """Return the cells of a split: numbers in frames alone, for 0 of a file may be 00 too."""
    return np.array(
        _text(cells, column) if isinstance(cells, list) else _numbers_or_text(cells, column)
    )


def _name_images(values):
    """Say whether the values of a target are names of image files."""
    return isinstance(values, list) and len(values) > 0 and all(map(is_named_as_image, values))


def _rows_of_files(of_files, root, handle_broken):
    """Return the rows whose files are there; raise, or warn, if others are missing."""
    n_rows = len(next(iter(of_files.values())))
    is_there = np.ones(n_rows, dtype=bool)
    for column, paths in of_files.items():
        found = np.array([os.path.isfile(path) for path in paths], dtype=bool)
        missing = np.flatnonzero(~found)
        if len(missing) > 0:
            first = ", ".join(repr(str(path)) for path in paths[missing[:3]])
            counted = f"{len(missing)} of {n_rows} files of column {column!r} are missing: {first}"
            counted += ", ..." if len(missing) > 3 else ""
            if handle_broken == "error":
                raise ValueError(
                    f"{counted}. Paths are relative to {os.path.abspath(root)!r}: pass root= for "
                    'another folder, or leave these rows out by handle_broken="skip".'
                )
            warn(f"{counted}. Their rows are left out.")
        is_there &= found
    if not is_there.any():
        raise ValueError("The table names no file that is there.")
    return np.flatnonzero(is_there)


def _encoded(values, column):
    """Return numbers as they are, with the column's name; text as the classes that it counts."""
    if isinstance(values, np.ndarray):
        return values, [column]
    classes, encoded = np.unique(values, return_inverse=True)
    return encoded.astype(np.int64), classes.tolist()


def _joined(values, columns):
    """Return columns of numbers side by side."""
    of_text = [name for name, of in zip(columns, values, strict=True) if isinstance(of, list)]
    if of_text or not columns:
        found = f"{of_text} hold text" if of_text else "the list is empty"
        raise ValueError(
            f"target must be the name of a column, or a list of columns of numbers, but {found}."
        )
    return np.column_stack(values)


def _as_frames(result, file, targets, is_single):
    """Return data, target and both as pandas frames."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("as_frame=True needs the package pandas: pip install pandas.") from error
    data = pd.DataFrame({file: result.data})
    numbers = result.target.reshape(len(data), -1)
    target = pd.DataFrame({name: numbers[:, place] for place, name in enumerate(targets)})
    frame = pd.concat([data, target], axis=1)
    return {"data": data, "target": target[targets[0]] if is_single else target, "frame": frame}


def _parts(result, values):
    """Return the data and target of each part of a split."""
    parts = Bunch()
    for value in np.unique(values).tolist():
        rows = np.flatnonzero(values == value)
        data, target = (safe_indexing(result[name], rows) for name in ("data", "target"))
        parts[value] = Bunch(data=data, target=target)
    return parts

"""Where what is cached lies."""

import os
from pathlib import Path

from sklearn.utils.validation import check_memory


def cache_folder(memory, *names):
    """Return a folder within a joblib cache, which need not be there.

    Parameters
    ----------
    memory : str, path, joblib.Memory or None
        The parameter of an estimator.
    *names : str
        Of folders within each other.

    Returns
    -------
    Path or None
        None if nothing is to be cached.

    Raises
    ------
    OSError
        If joblib cannot make the folder of the cache, which it does at once.
    """
    location = check_memory(os.fspath(memory) if isinstance(memory, os.PathLike) else memory)
    backend = getattr(location, "store_backend", None)
    # under the backend's folder, so that Memory.clear() clears it too
    return None if backend is None else Path(backend.location, "sklearn_cnn", *names)

"""Files that are replaced as a whole."""

import errno
import os
import stat
import uuid
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where nobody can remove a file that is open
    fcntl = None  # type: ignore[assignment]


def check_replaceable(path):
    """Raise if nothing could be written to a path, before something is made that takes long.

    Parameters
    ----------
    path : str or path

    Raises
    ------
    TypeError
        If it is no path.
    ValueError
        If there is something else than a file at the path.
    FileNotFoundError
        If there is no such folder.
    """
    # following links by hand, since replacing would replace the link
    path = Path(os.path.realpath(path))
    # a link that is left is one of a loop
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ValueError(f"{str(path)!r} is there already and no regular file.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r}: make it first.")


def replace_file(path, data):
    """Write a file as a whole: whatever happens, the earlier one or the new one is there.

    A link is followed, and the mode of a file that is replaced is kept.

    Parameters
    ----------
    path : str or path
    data : bytes

    Raises
    ------
    ValueError
        If there is something else than a file at the path.
    OSError
        If it cannot be written.
    """
    check_replaceable(path)
    path = Path(os.path.realpath(path))
    _remove_strays(path.parent)
    # a name of its own: whoever takes a part for a stray removes no other by its name, and the
    # longest name of a file has room for no more
    part = path.with_name(f".sklearn_cnn-{uuid.uuid4().hex}.part")
    try:
        with _new_file(part) as file:
            file.write(data)
            file.flush()
            # a file that was replaced must not be lost to a power cut
            os.fsync(file.fileno())
            if path.exists():
                os.chmod(part, stat.S_IMODE(path.stat().st_mode))
            if fcntl is None:
                file.close()
            os.replace(part, path)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise OSError(
            error.errno,
            f"No room left for the {len(data) / 2**20:.1f} MiB of {str(path)!r}; what was there "
            "before is as it was",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _new_file(path):
    """Open a new file for writing, locked until it is closed or this process ends."""
    while True:
        file = open(path, "wb")  # noqa: SIM115
        if fcntl is None:
            return file
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        # another writer took it for a stray before it was locked
        file.close()


def _remove_strays(folder):
    """Remove what earlier writers in a folder left when they were killed."""
    for part in folder.glob(".sklearn_cnn-*.part"):
        if not part.is_file():
            continue
        # one that is being written is locked, or on Windows cannot be removed
        with suppress(OSError), open(part, "rb") as file:
            if fcntl is None:
                file.close()
            else:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()

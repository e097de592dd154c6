"""Files that are written whole or not at all, and of which a changed bit is noticed."""

import hashlib
import uuid


def write_sealed(path, content):
    """Write bytes to a file, behind a digest of them.

    Parameters
    ----------
    path : Path
        Until all is written, the file is `<digits>.draft` in the same folder.
    content : bytes
    """
    draft = path.with_name(f"{uuid.uuid4().hex}.draft")
    try:
        draft.write_bytes(_digest(content) + b"\n" + content)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def read_sealed(path):
    """Return the bytes that `write_sealed` wrote; ValueError if a bit of the file has changed."""
    digest, _, content = path.read_bytes().partition(b"\n")
    if digest != _digest(content):
        raise ValueError("it is damaged: its digest is that of other content")
    return content


def _digest(content):
    return hashlib.blake2b(content).hexdigest().encode()

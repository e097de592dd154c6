"""Reading a file as a whole."""

import os
import stat

_BINARY = getattr(os, "O_BINARY", 0)


def read_file(path):
    """Return the bytes of a regular file; anything else, a pipe say, is refused unread.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is something else than a file.
    """
    # opening a pipe would wait for somebody to write into it
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ValueError("it is no regular file")
    with open(descriptor, "rb") as file:
        # the header's length and its first bracket: a file of hundreds of gigabytes is not read
        # to find that it is none of safetensors'
        if file.peek(9)[8:9] not in (b"{", b"") and file.peek(2)[:2] != b"PK":
            raise ValueError("it is no safetensors file, or a broken one")
        # some of /proc, which a link may lead to, have no size and no end
        return file.read(status.st_size)

"""Settings of the whole process that hold while a context is open, and are undone then."""

from contextlib import contextmanager


@contextmanager
def setting_held(contexts, begin, end):
    """Hold a setting of the process.

    May be nested, and entered by several threads at a time: the last to leave undoes it.

    Parameters
    ----------
    contexts : set
        One entry for each context of this setting that is open, in whatever thread.
    begin, end : callable
        Make the setting and undo it.
    """
    this = object()
    # No lock, which a forked child might find taken for ever: adding and discarding are atomic.
    # At worst one thread enters as the last one leaves, and runs with the usual setting.
    if not contexts:
        begin()
    contexts.add(this)
    try:
        yield
    finally:
        contexts.discard(this)
        if not contexts:
            end()

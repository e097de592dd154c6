"""Progress bars: drawn over themselves where that can be, else a line now and then."""

import sys
from contextlib import contextmanager

from tqdm.asyncio import tqdm_asyncio
from tqdm.auto import tqdm

# Seconds that reading or predicting takes before there is a bar.
_SHORT = 5
# Seconds between lines in a file.
_BETWEEN_LINES = 10


def make_bar(**options):
    """Return a `tqdm`; where its text cannot be drawn over, it writes a line now and then."""
    # tqdm.auto is another class where a notebook has widgets
    if tqdm is not tqdm_asyncio or sys.stderr.isatty():
        return tqdm(**options)
    seldom = {"mininterval": _BETWEEN_LINES, "maxinterval": _BETWEEN_LINES}
    return tqdm(file=_Lines(), **seldom, **options)


class _Lines:
    """Writes each state of a bar as a line: a file or a notebook's text keeps all of them."""

    def write(self, text):
        """Write the text of a state; what would clear the last one is left out."""
        text = text.strip("\r\n ")
        if text:
            sys.stderr.write(f"{text}\n")

    def flush(self):
        """Flush what was written."""
        sys.stderr.flush()


def tell(line):
    """Write a line to where bars are, above those that are drawn."""
    tqdm.write(line, file=sys.stderr)


@contextmanager
def image_bar(n_images, title, is_shown):
    """Show a bar of images that are worked on, once it takes long; yield what is told of more.

    Parameters
    ----------
    n_images : int
        Of all.
    title : str
    is_shown : bool
        Otherwise None is yielded: tqdm starts a thread even for a bar that it does not show.
    """
    if not is_shown:
        yield None
        return
    with make_bar(total=n_images, desc=title, unit="image", leave=False, delay=_SHORT) as bar:
        yield bar.update

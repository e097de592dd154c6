"""A progress bar of images."""

from contextlib import contextmanager

from tqdm.auto import tqdm


@contextmanager
def image_bar(n_images, title, is_shown):
    """Show a bar of images that are worked on; yield what is told of more of them.

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
    with tqdm(total=n_images, desc=title, unit="image", leave=False) as bar:
        yield bar.update

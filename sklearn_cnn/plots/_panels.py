"""Several axes in the place of one, as scikit-learn's displays with panels have them."""

import math

import numpy as np


def refuse_without_matplotlib():
    """Raise an ImportError that says what to install, unless matplotlib is there."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'A figure needs the package matplotlib: pip install "sklearn-cnn[plots]".'
        ) from error


def make_panels(ax, n_panels, n_cols, panel_size, sharex=False):
    """Return axes for the panels of a display.

    Parameters
    ----------
    ax : Axes, array-like of Axes or None
        None: a new figure. One: the panels take its place. Several: these are the panels.
    n_panels, n_cols : int
        Panels, and how many of them stand side by side.
    panel_size : tuple of (float, float)
        Width and height of a panel of a new figure, in inches.
    sharex : bool, default=False
        Whether the panels share the axis of the first, and have numbers below the last alone.

    Returns
    -------
    bounding_ax : Axes or None
        The one whose place the panels take.
    axes : ndarray of shape (n_panels,)

    Raises
    ------
    ValueError
        If there are several axes, but not one a panel, or one that was not made as a subplot.
    """
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.gridspec import GridSpecFromSubplotSpec

    n_rows = math.ceil(n_panels / n_cols)
    if ax is None:
        figsize = (n_cols * panel_size[0], n_rows * panel_size[1])
        _, ax = plt.subplots(figsize=figsize, layout="constrained")
    if not isinstance(ax, Axes):
        axes = np.asarray(ax, dtype=object).ravel()
        if len(axes) != n_panels:
            raise ValueError(
                f"ax holds {len(axes)} axes, but there are {n_panels} panels to draw. Pass one "
                f"axes, whose place they take, or {n_panels} of them."
            )
        return None, axes
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError("ax has no place in a grid: make it by plt.subplots or add_subplot.")
    ax.set_axis_off()
    grid = GridSpecFromSubplotSpec(n_rows, n_cols, subplot_spec=place)
    axes = np.empty(n_panels, dtype=object)
    for panel in range(n_panels):
        shared = axes[0] if sharex and panel > 0 else None
        axes[panel] = ax.figure.add_subplot(grid[divmod(panel, n_cols)], sharex=shared)
        if sharex and panel < n_panels - 1:
            axes[panel].tick_params(labelbottom=False)
    return ax, axes

"""What a forked child makes anew: the threads of its parent are not in it."""

import os

import torch


def after_fork_in_child(hook):
    """Call a function in each child that this process forks, where the system can fork.

    Parameters
    ----------
    hook : callable
        For a lock that another thread may hold, or a count of what other threads do.

    Returns
    -------
    callable
        The function, so that this serves as a decorator.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=hook)
    return hook


@after_fork_in_child
def _compute_on_one_thread():
    # a child has no copy of OpenMP's threads, and would wait for them for ever
    torch.set_num_threads(1)

"""Threads that read images while others train."""

import functools
from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import ThreadpoolController


def reading_threads(n_threads):
    """Return an executor whose threads have no OpenMP team of their own.

    Each thread that runs a parallel loop of torch gets a team of as many threads as there are
    cores, and an idle team spins for work: two teams on the same cores made each training step
    twice as slow.

    Parameters
    ----------
    n_threads : int

    Returns
    -------
    concurrent.futures.ThreadPoolExecutor
    """
    return ThreadPoolExecutor(n_threads, initializer=_without_team)


def _without_team():
    # a limit holds for the thread that sets it, and these threads end without lifting it
    _controller().limit(limits=1, user_api="openmp")


@functools.cache
def _controller():
    # finding the loaded libraries takes milliseconds: once
    return ThreadpoolController()

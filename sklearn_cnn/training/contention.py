"""Threads that wait for cores: a warning after the first epoch, with what to set."""

import time

import torch

from sklearn_cnn.images import LazyImages
from sklearn_cnn.runtime.warnings import warn

# An epoch shorter than this, in seconds, tells too little, and costs too little.
_SHORTEST = 3
# Share of the time that the thread which trains is at work: nearly all, with cores to itself.
_BUSY = 0.7


class ContentionWatch:
    """Warns if, in the first epoch, the thread that trains waits for a core much of the time.

    The threads of a step wait for each other: if one of them shares its core with another
    program, all do. One thread alone is then faster than two.

    Parameters
    ----------
    is_watching : bool
        Whether training computes on the CPU, with several threads, on images in memory: a GPU, a
        disk and a compiler are waited for rightly.
    """

    looks_at_net = False

    def __init__(self, is_watching):
        self.is_watching = is_watching

    @classmethod
    def of_training(cls, device, images, is_compiled=False):
        """Return the watch of a training on a device, of some images."""
        waits_rightly = device.type != "cpu" or isinstance(images, LazyImages) or is_compiled
        return cls(not waits_rightly and torch.get_num_threads() > 1)

    def epoch_begins(self, net):
        """Look at the clocks."""
        self._wall, self._at_work = time.perf_counter(), time.thread_time()

    def step_ends(self):
        """Do nothing."""

    def epoch_ends(self, net, validation):
        """Warn if it was the first epoch, and the thread was idle."""
        if self.is_watching:
            wall = time.perf_counter() - self._wall
            self._judge(wall, time.thread_time() - self._at_work)
        self.is_watching = False
        return False

    def _judge(self, wall, at_work):
        if wall < _SHORTEST or at_work > _BUSY * wall:
            return
        warn(
            f"The first epoch took {wall:.0f} s, of which training was at work for {at_work:.0f} s "
            f"only: its {torch.get_num_threads()} threads wait for cores that other programs, or "
            "other fits, are using. Fewer threads are faster then: torch.set_num_threads(1), or "
            "OMP_NUM_THREADS=1 in the environment before Python starts."
        )

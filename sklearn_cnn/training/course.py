"""How far a training has come on its schedule: by its steps, or by the clock if time is short."""

from time import monotonic


class TimeLimit:
    """The seconds that a fit may take, of which some have passed.

    Parameters
    ----------
    seconds : float or None
        None: as many as it takes.
    """

    def __init__(self, seconds):
        self.seconds = seconds
        self._before, self._since = 0.0, monotonic()

    @property
    def passed(self):
        """Seconds that have passed."""
        return self._before + monotonic() - self._since

    def pause(self):
        """Do not count what passes until `resume`."""
        self._before = self.passed

    def resume(self):
        """Count on."""
        self._since = monotonic()


class Course:
    """How far a training has come, in steps of its plan.

    With a limit of time it has come at least as far as its share of the time is gone: where that is
    too little, a step passes several, so that the learning rate has ended when the time has.

    Parameters
    ----------
    n_steps : int
        Steps an epoch.
    n_epochs : sequence of int
        Epochs of each cycle of the learning rate.
    limit : TimeLimit
    """

    def __init__(self, n_steps, n_epochs, limit):
        self.ends = [n_steps * sum(n_epochs[: cycle + 1]) for cycle in range(len(n_epochs))]
        self.limit = limit
        self.n_steps = n_steps
        self.cycle = 0
        self.position = 0
        # steps that are left, and how much of the course each of them passes
        self._n_left, self._stride = self.ends[-1], 1
        # seconds passed after the first step, which is slower than all others, and the last one
        self._first = self._last = None
        # what the end of an epoch takes
        self._seconds_of_end = 0.0

    @property
    def is_over(self):
        """Whether all steps are done, or the time is up."""
        return self.position >= self.ends[-1]

    @property
    def cycle_is_over(self):
        """Whether the learning rate has come to its end, or to that of a cycle."""
        return self.position >= self.ends[self.cycle]

    @property
    def progress(self):
        """Share of the cycle's steps that are done, in [0, 1]."""
        return (self.position - self._start) / (self.ends[self.cycle] - self._start)

    @property
    def n_epochs_done(self):
        """Epochs of the cycle's plan that are done."""
        return (self.position - self._start) / self.n_steps

    @property
    def _start(self):
        return 0 if self.cycle == 0 else self.ends[self.cycle - 1]

    @property
    def is_in_last_cycle(self):
        """Whether no cycle comes after this one."""
        return self.cycle == len(self.ends) - 1

    def turns(self):
        """Begin the next cycle if this one is over; return whether it was."""
        if not self.cycle_is_over:
            return False
        self.cycle += 1
        return True

    def end_in(self, n_epochs):
        """Pass what is left of the last cycle in so many epochs, or as many as are left."""
        n_steps = n_epochs * self.n_steps
        if n_steps < self._n_left:
            left = self.ends[-1] - self.position
            self._n_left, self._stride = n_steps, left / max(n_steps, 1)
            self._move_to(self._planned)

    @property
    def _planned(self):
        """Where the steps that are done have come to, without a limit of time."""
        return self.ends[-1] - self._n_left * self._stride

    def step_ends(self, loss):
        """Take note of a step and of its loss, a tensor."""
        self._n_left -= 1
        position = self._planned
        if self.limit.seconds is not None:
            # the device may be steps behind
            loss.item()
            self._last = self.limit.passed
            position = max(position, self._share_of_time() * self.ends[-1])
        self._move_to(position)

    def epoch_ends(self):
        """Take note of what has been done since the last step, which will come again."""
        if self.limit.seconds is not None:
            self._seconds_of_end = self.limit.passed - self._last
            self._move_to(self._share_of_time() * self.ends[-1])

    def _move_to(self, position):
        self.position = min(max(position, self.position), self.ends[self.cycle])

    def _share_of_time(self):
        """Return the share of the time for steps that is gone."""
        passed = self.limit.passed
        if self._first is None:
            self._first = passed
        left = self.limit.seconds - self._seconds_of_end - self._first
        return (passed - self._first) / left if left > 0 else 1.0

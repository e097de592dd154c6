"""What every list of widths, depths or units has to be."""

from collections.abc import Mapping, Set
from numbers import Integral


def check_positive_integers(name, numbers):
    """Raise a ValueError that names a parameter if it is no sequence of positive integers."""
    if isinstance(numbers, (Set, Mapping)):
        raise ValueError(f"{name}={numbers!r} has no order. Write a tuple or a list.")
    # True is an integer of Python's
    if not all(isinstance(n, Integral) and not isinstance(n, bool) and int(n) > 0 for n in numbers):
        raise ValueError(f"{name}={numbers!r} must hold positive integers only.")

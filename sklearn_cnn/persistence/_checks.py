"""Plain values out of a file of a stranger's, taken only after a check of what they are."""

import math

# Those of 64 bits. Larger ones become no float, and keys of equal hash can be made of them.
WHOLE_NUMBERS = range(-(2**63), 2**64)

# Characters, which torchvision's list of names needs.
_LONGEST_LINE = 2000


class Record:
    """A JSON object whose entries are taken one by one, each through a check.

    Parameters
    ----------
    entries : object
        What should be a dict.
    name : str
        What to call it in an error.
    """

    def __init__(self, entries, name):
        if type(entries) is not dict:
            raise ValueError(f"{name} is no object")
        self._entries = dict(entries)
        self._name = name

    def take(self, key, check, *arguments):
        """Return an entry after `check(entry, its name, *arguments)`."""
        if key not in self._entries:
            raise ValueError(f"{self._name} has no {key!r}")
        return check(self._entries.pop(key), f"{self._name}.{key}", *arguments)

    def take_or(self, default, key, check, *arguments):
        """Return an entry as `take` does, or a default where there is none."""
        return self.take(key, check, *arguments) if key in self._entries else default

    def end(self):
        """Raise if there are entries that nobody takes."""
        if self._entries:
            raise ValueError(f"{self._name} has unknown entries {sorted(self._entries)[:5]}")


def anything(value, name):  # noqa: ARG001
    """Leave a value to a later check."""
    return value


def boolean(value, name):
    """Return True or False."""
    return _is(value, (bool,), name, "true or false")


def integer(value, name, low, high):
    """Return an int from low to high."""
    _is(value, (int,), name, "a whole number")
    if not low <= value <= high:
        raise ValueError(f"{name} is {shown(value)}, and not from {low} to {high}")
    return value


def number(value, name, low=-math.inf, high=math.inf):
    """Return a finite number from low to high."""
    _is(value, (int, float), name, "a number")
    if not (low <= value <= high and abs(value) < math.inf):
        raise ValueError(f"{name} is not a finite number from {low} to {high}")
    return value


def text(value, name):
    """Return a str."""
    return _is(value, (str,), name, "text")


def one_of(value, name, known):
    """Return a key of a table, or a member of a list."""
    if text(value, name) not in known:
        raise ValueError(f"{name} is {shown(value)}, which this sklearn_cnn does not know")
    return value


def list_of(value, name, check, *arguments):
    """Return a list whose entries pass a check."""
    _is(value, (list,), name, "a list")
    return [check(entry, f"{name}[{i}]", *arguments) for i, entry in enumerate(value)]


def dict_of(value, name, known, check, *arguments):
    """Return a dict from known names to values that pass a check."""
    _is(value, (dict,), name, "an object")
    return {
        one_of(key, name, known): check(entry, f"{name}.{key}", *arguments)
        for key, entry in value.items()
    }


def optional(value, name, check, *arguments):
    """Return None, or what passes a check."""
    return None if value is None else check(value, name, *arguments)


def shown(value):
    """Return how a value is spelled in an error, which no file makes longer than a line."""
    spelled = repr(value)
    return spelled if len(spelled) <= 60 else spelled[:57] + "..."


def in_one_line(words):
    """Return what a file made of an error or a warning, as a terminal may show it."""
    shortened = words if len(words) <= _LONGEST_LINE else words[:_LONGEST_LINE] + "..."
    # control characters clear a terminal, or write over what it shows
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in shortened)


def _is(value, kinds, name, described):
    # bool is an int of Python's
    if type(value) not in kinds:
        raise ValueError(f"{name} is {shown(value)}, and not {described}")
    return value

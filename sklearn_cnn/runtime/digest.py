"""Keys of objects by their value: `joblib.hash` alone tells equal tensors, and copies, apart."""

import copyreg
import os
import sys
import types

import joblib
import numpy as np
import torch


class NoKeyError(TypeError):
    """An object that cannot be told from others by its value; the message says which and why."""


def value_key(value, meanings):
    """Return 32 hexadecimal digits that are the same for equal values, in every process.

    Arrays and tensors count by their bytes, paths with size and time of change of their files,
    classes and functions by name and version, strings with the object that they stand for in
    `meanings`, and what else there is by what pickle would store of it.
    """
    try:
        return joblib.hash(_Layout(meanings).plain(value))
    except RuntimeError as error:  # it is nested too deeply, or holds a sparse tensor
        raise NoKeyError(str(error)) from error


class _Layout:
    """Lays objects out as lists of strings."""

    def __init__(self, meanings):
        self._meanings, self._begun = meanings, {}

    def plain(self, value):
        kind = type(value)
        if value is None or kind in (bool, int, float, complex):
            return f"{kind.__name__} {value!r}"
        if isinstance(value, (str, os.PathLike)):
            path = str(os.fsdecode(value))
            text = f"{_named(kind)} {path!r}{_stamp(path)}"
            return [text, self.plain(self._meanings[path])] if path in self._meanings else text
        if isinstance(value, (type, types.FunctionType)):
            return _named(value)
        if id(value) in self._begun:
            return f"within {len(self._begun) - self._begun[id(value)]}"  # levels up from here
        self._begun[id(value)] = len(self._begun)
        try:
            return self._parts(value, kind)
        finally:
            del self._begun[id(value)]

    def _parts(self, value, kind):
        if kind in (bytes, bytearray):
            return [kind.__name__, joblib.hash(bytes(value))]
        if kind in (np.ndarray, np.memmap) or isinstance(value, np.generic):
            return self._array(np.asarray(value))
        if isinstance(value, torch.Tensor):
            facts = f"{value.dtype} {tuple(value.shape)} {value.requires_grad}"
            content = value.detach().cpu().flatten().view(torch.uint8).numpy()
            return [_named(kind), facts, joblib.hash(content)]
        if kind in (list, tuple):
            return [kind.__name__, *map(self.plain, value)]
        if kind in (set, frozenset):
            return [kind.__name__, *sorted(joblib.hash(self.plain(part)) for part in value)]
        if kind is dict:  # in order: in a module's children, say, it counts
            return ["dict", *(self.plain(part) for item in value.items() for part in item)]
        if kind is types.MethodType:
            return ["method", self.plain(value.__func__), self.plain(value.__self__)]
        return [_named(kind), *self._state(value, kind)]

    def _array(self, array):
        facts = f"array {array.dtype!r} {array.shape}"
        if array.dtype.hasobject or array.dtype.kind in "UST":
            return [facts, self.plain(array.tolist())]
        return [facts, joblib.hash(np.ascontiguousarray(array).reshape(-1).view(np.uint8))]

    def _state(self, value, kind):
        try:
            reduced = copyreg.dispatch_table.get(kind, lambda it: it.__reduce_ex__(4))(value)
        except Exception as error:  # whatever a class raises of whose objects there is no pickle
            raise NoKeyError(f"{_named(kind)}: {error}") from error
        if isinstance(reduced, str):
            return [_named(value, reduced)]
        parts = [self.plain(part) for part in reduced[:3]]
        parts += [self.plain(None if part is None else list(part)) for part in reduced[3:5]]
        if hasattr(value, "to_numpy"):
            content = np.asarray(value)  # paths in a column, which is pickled as one block
            parts += [self._array(content)] * (content.dtype.kind in "OUT")
        return parts


def _named(thing, qualname=None):
    """Return the name that something is imported by, with its package's version."""
    qualname = qualname or thing.__qualname__
    owner = getattr(getattr(thing, "__self__", None), "__name__", None)
    module = str(getattr(thing, "__module__", None) or owner)
    found = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    # workers find nothing of a script's by name: there, one that closes over nothing is plain
    is_closure = set(getattr(getattr(thing, "__code__", None), "co_freevars", ())) - {"__class__"}
    if (
        "<" in qualname
        or (found is not None and found is not thing)
        or (found is None and is_closure)
    ):
        advice = "define it by def or class, under a name of its own, at the top of a module"
        raise NoKeyError(f"{module}.{qualname} cannot be imported by name: {advice} or script")
    version = getattr(sys.modules.get(module.partition(".")[0]), "__version__", "")
    # workers that are spawned name the main module otherwise
    return f"{module.replace('__mp_main__', '__main__')}.{qualname} {version}"


def _stamp(text):
    """Return size and time of change of the file that a string names, if it names one."""
    is_file = (os.sep in text or "." in text) and os.path.isfile(text)
    facts = os.stat(text) if is_file else None
    return f" {facts.st_size} {facts.st_mtime_ns}" if facts else ""

"""A digest of any Python object by its value: equal objects have equal digests.

`joblib.hash` follows how pickle lays an object out, and so tells equal tensors, and equal
modules, from each other; here arrays and tensors count by their bytes.
"""

import functools
import hashlib
import os
import site
import sys
import sysconfig
import types
from typing import Any

import numpy as np
import torch

# Bytes of an array that are copied at a time if it is not contiguous.
_CHUNK = 1 << 24
# Attributes of a class that say nothing of what it does, or that Python fills in as it runs.
_INCIDENTAL = {"__dict__", "__weakref__", "__doc__", "__module__", "__slotnames__", "__qualname__"}
_INCIDENTAL |= {"__firstlineno__", "__static_attributes__", "__annotations__", "__annotate_func__"}
_INCIDENTAL |= {"__abstractmethods__", "_abc_impl", "__annotations_cache__"}
# Where pip puts packages, in every environment that Python may look into.
_INSTALLED = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
_INSTALLED += [*site.getsitepackages(), site.getusersitepackages()]
_STANDARD = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]


def digest(value, meanings=None):
    """Return a digest of a value, the same in every process.

    Arrays, memmaps and tensors count by type, shape and bytes; a string or path that names
    a file counts with the file's size and time of change; classes and functions of installed
    packages by name and the package's version, all others, those of an editable installation
    too, by their code. What else there is counts by what pickle would store of it.

    Parameters
    ----------
    value : object
        Anything that can be pickled, and functions and classes that cannot.
    meanings : dict of str to object, default=None
        Objects that strings inside the value stand for; such a string counts with its object.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    TypeError
        If the value, or something inside it, cannot be pickled.
    """
    return _Digester(meanings or {}).digest(value).hex()


class _Digester:
    """Digests of objects that may share parts, or hold themselves."""

    def __init__(self, meanings):
        self.meanings = meanings
        # the objects are kept too: an id is free again when its object is gone
        self.done: dict[int, tuple[Any, bytes]] = {}
        self.begun: dict[int, int] = {}

    def digest(self, value):
        if id(value) in self.done:
            return self.done[id(value)][1]
        if id(value) in self.begun:
            # an object that holds itself: how far up it stands
            return _hashed("within", repr(len(self.begun) - self.begun[id(value)]))
        self.begun[id(value)] = len(self.begun)
        try:
            result = _hashed(*self.parts(value))
        finally:
            del self.begun[id(value)]
        self.done[id(value)] = value, result
        return result

    def parts(self, value):
        """Return what a value consists of, as strings, bytes and buffers."""
        kind = type(value)
        if value is None or kind in (bool, int, float, complex):
            return kind.__name__, repr(value)
        if kind in (bytes, bytearray):
            return kind.__name__, value
        if isinstance(value, (str, os.PathLike)):
            return _name(kind), str(value), *_stamp(value), *self.meaning(str(value))
        if isinstance(value, (np.ndarray, np.generic)):
            return self.array(np.asarray(value))
        if isinstance(value, torch.Tensor):
            content = value.detach().cpu().flatten().view(torch.uint8).numpy()
            facts = f"{value.dtype} {tuple(value.shape)} {value.requires_grad}"
            return _name(kind), facts, _hashed_array(content)
        if isinstance(value, np.dtype):
            return "dtype", repr(value)
        if kind in (list, tuple):
            return kind.__name__, *map(self.digest, value)
        if kind in (set, frozenset):
            return kind.__name__, *sorted(map(self.digest, value))
        if kind is dict:
            return self.mapping(value)
        if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
            return self.definition(value)
        if isinstance(value, (types.ModuleType, types.CodeType, types.CellType)):
            return getattr(self, kind.__name__)(value)
        if isinstance(value, (classmethod, staticmethod, property, functools.cached_property)):
            functions = [getattr(value, n, None) for n in ("__func__", "func", "fget", "fset")]
            return kind.__name__, *map(self.digest, functions)
        return self.state(value)

    def meaning(self, text):
        return (self.digest(self.meanings[text]),) if text in self.meanings else ()

    def array(self, array):
        facts = f"{array.dtype!r} {array.shape}"
        if array.dtype.hasobject or array.dtype.kind in "US":
            return "array", facts, self.digest(array.tolist())
        return "array", facts, _hashed_array(array)

    def mapping(self, mapping):
        # in order: in a module's children, say, it counts
        return "dict", *(self.digest(part) for item in mapping.items() for part in item)

    def definition(self, thing):
        """Return name and version of what an installed package defines, else name and code."""
        version = _version(thing.__module__ or "builtins")
        if version is not None:
            return _name(thing), version
        if isinstance(thing, types.BuiltinFunctionType):
            return (_name(thing),)
        if isinstance(thing, type):
            content = {n: v for n, v in sorted(vars(thing).items()) if n not in _INCIDENTAL}
            return _name(thing), self.digest(thing.__bases__), self.digest(content)
        state = (thing.__defaults__, thing.__kwdefaults__, thing.__closure__)
        return _name(thing), self.digest(thing.__code__), self.digest(state)

    def module(self, module):
        return "module", module.__name__, str(getattr(module, "__version__", None))

    def code(self, code):
        names = (code.co_names, code.co_varnames, code.co_freevars)
        return "code", code.co_code, self.digest(code.co_consts), self.digest(names)

    def cell(self, cell):
        try:
            contents = cell.cell_contents
        except ValueError:  # the variable has no value yet
            return "cell", "empty"
        return "cell", self.digest(contents)

    def state(self, value):
        """Return what pickle would store of an object."""
        reduced = value.__reduce_ex__(4)
        if isinstance(reduced, str):
            return _name(type(value)), reduced
        items = [None if part is None else list(part) for part in reduced[3:5]]
        return _name(type(value)), *map(self.digest, (*reduced[:3], *items))


def _hashed(*parts):
    """Hash parts with their lengths, so that no two lists of parts look the same."""
    result = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        result.update(len(memoryview(content).cast("B")).to_bytes(8, "little"))
        result.update(content)
    return result.digest()


def _hashed_array(array):
    """Hash an array's bytes in C order; those of a memmap are read in place."""
    result = hashlib.sha256()
    array = np.atleast_1d(array)
    step = len(array)
    if not array.flags.c_contiguous:
        step = max(1, _CHUNK * len(array) // max(1, array.nbytes))
    for start in range(0, len(array) if array.size else 0, step):
        block = np.ascontiguousarray(array[start : start + step])
        result.update(block.reshape(-1).view(np.uint8).data)
    return result.digest()


def _stamp(path):
    """Return size and time of change of the file that a string names, if it names one."""
    text = os.fsdecode(path)
    looks_like_one = os.sep in text or "." in text
    if not (looks_like_one and os.path.isfile(text)):
        return ()
    facts = os.stat(text)
    return (f"{facts.st_size} {facts.st_mtime_ns}",)


def _version(module):
    """Return the version that a module, given by name, counts with; None if its code counts."""
    package, folder = module.partition(".")[0], _folder(module)
    if package == "__main__":
        return None
    if package == __name__.partition(".")[0] or _is_installed(folder):
        version = getattr(sys.modules.get(package), "__version__", None)
        return None if version is None else str(version)
    # the versions of Python are for the caller to tell apart
    return "" if _is_standard(package, folder) else None


def _folder(module):
    """Return the folder of a module's package, links followed; None for what has no file."""
    parts = module.split(".")
    # from the outside in: a namespace package has no file, but its parts do
    for depth in range(1, len(parts) + 1):
        file = getattr(sys.modules.get(".".join(parts[:depth])), "__file__", None)
        if file is not None:
            return os.path.realpath(os.path.dirname(file))
    return None


def _is_installed(folder):
    if folder is None:
        return False
    # links may lead out of the environment, into another folder of such a name
    has_name = not {"site-packages", "dist-packages"}.isdisjoint(folder.split(os.sep))
    return has_name or _is_in(folder, _INSTALLED)


def _is_standard(package, folder):
    if folder is None:
        return package in sys.stdlib_module_names
    return _is_in(folder, _STANDARD)


def _is_in(folder, places):
    return any(f"{folder}{os.sep}".startswith(os.path.realpath(p) + os.sep) for p in places)


def _name(thing):
    return f"{thing.__module__}.{thing.__qualname__}"

"""A digest of any Python object by its value: equal objects have equal digests.

`joblib.hash` follows how pickle lays an object out, and so tells equal tensors, and equal
modules, from each other; here arrays and tensors count by their bytes.
"""

import collections
import dis
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
# These count with their versions wherever they are: their sources in an editable installation too.
_VERSIONED = {
    "sklearn_cnn",
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "sklearn",
    "skorch",
    "joblib",
}
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

    With code counts what it reads of its module, and of other modules that are not installed:
    constants, functions and classes, and what those read in turn. What code looks up by a name
    that it computes, or imports as it runs, does not count.

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
        If the value, or something inside it, cannot be pickled. What code alone holds or reads,
        a lock or an open file, counts by the name of its type then.
    """
    return _Digester(meanings or {}).digest_with_reads(value).hex()


class _Digester:
    """Digests of objects that may share parts, or hold themselves."""

    def __init__(self, meanings):
        self.meanings = meanings
        # the objects are kept too: an id is free again when its object is gone
        self.done: dict[int, tuple[Any, bytes]] = {}
        self.begun: dict[int, int] = {}
        # what code reads, to be digested once the value is: no recursion goes from one
        # definition to the next, however long the chain
        self.unread: collections.deque[tuple[str, str, Any]] = collections.deque()
        self.read: set[tuple[int, str]] = set()
        self.is_in_code = False

    def digest_with_reads(self, value):
        result, reads = self.digest(value), set()
        self.is_in_code = True
        while self.unread:
            module, name, value = self.unread.popleft()
            reads.add(_hashed("read", module, name, self.digest(value)))
        return _hashed("value", result, *sorted(reads))

    def digest(self, value):
        if id(value) in self.done:
            return self.done[id(value)][1]
        if id(value) in self.begun:
            # an object that holds itself: how far up it stands
            return _hashed("within", repr(len(self.begun) - self.begun[id(value)]))
        self.begun[id(value)] = len(self.begun)
        try:
            result = _hashed(*self.parts(value))
        except Exception as error:
            # code itself is never pickled with what it holds
            if not self.is_in_code or isinstance(error, RecursionError):
                raise
            result = _hashed("unknown", _name(type(value)))
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
        was_in_code, self.is_in_code = self.is_in_code, True
        try:
            return _name(thing), *map(self.digest, self.code_and_state(thing))
        finally:
            self.is_in_code = was_in_code

    def code_and_state(self, thing):
        if isinstance(thing, type):
            content = {n: v for n, v in sorted(vars(thing).items()) if n not in _INCIDENTAL}
            return thing.__bases__, content
        self.note_reads(thing)
        return thing.__code__, (thing.__defaults__, thing.__kwdefaults__, thing.__closure__)

    def note_reads(self, function):
        """Put down what a function reads of its module, and of other modules of the user's own."""
        loaded, names = _names_in(function.__code__)
        # grows in the loop, by the modules that it comes across
        spaces = [(function.__module__, function.__globals__, loaded)]
        for module, space, wanted in spaces:
            for name in sorted(wanted & space.keys()):
                value = space[name]
                if (id(space), name) not in self.read:
                    self.read.add((id(space), name))
                    self.unread.append((_main(module), name, value))
                if isinstance(value, types.ModuleType) and _version(value.__name__) is None:
                    is_new = all(vars(value) is not seen for _, seen, _ in spaces)
                    spaces += [(value.__name__, vars(value), names)] * is_new

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
            # functools.cache knows its function
            inner = getattr(value, "__wrapped__", None)
            return _name(type(value)), reduced, self.digest(inner)
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
    if package in _VERSIONED or _is_installed(folder):
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


def _names_in(code):
    """Return the global names that code loads, and all its names, attributes among them."""
    loads = ("LOAD_GLOBAL", "LOAD_NAME")
    loaded = {i.argval for i in dis.get_instructions(code) if i.opname in loads}
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner_loaded, inner_names = _names_in(constant)
            loaded |= inner_loaded
            names |= inner_names
    # Python's own, such as __file__, say where a module is and not what it does
    pythons = {name for name in names if name.startswith("__") and name.endswith("__")}
    return loaded - pythons, names - pythons


def _name(thing):
    return f"{_main(thing.__module__)}.{thing.__qualname__}"


def _main(module):
    """Return a module's name; workers that are spawned name the main one otherwise."""
    return str(module).replace("__mp_main__", "__main__")

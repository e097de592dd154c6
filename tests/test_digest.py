"""Equal values have equal digests, and whatever makes a difference makes one here."""

import collections
import copy
import functools
import importlib
import math
import os
import subprocess
import sys
import types

import cloudpickle
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from torch import nn

from sklearn_cnn import CNNClassifier
from sklearn_cnn._digest import digest
from sklearn_cnn.architectures import ConvNet, TorchModule


def network(first=0.5):
    """A network whose weights are the same each time."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    module[0].weight.data[0, 0, 0, 0] = first
    return module


class Factory:
    """Something of the user's own that has state."""

    def __init__(self, width):
        self.width = width


def holds_itself():
    """A list inside itself."""
    cycle = [1]
    cycle.append(cycle)
    return cycle


SAME = {
    "array": lambda: np.arange(6.0),
    "array of text": lambda: np.array(["a", "b"]),
    "array of objects": lambda: np.array([1, "a", None], dtype=object),
    "tensor": lambda: torch.arange(6.0),
    "bfloat16": lambda: torch.ones(3, dtype=torch.bfloat16),
    "scalar tensor": lambda: torch.tensor(2.0),
    "module": network,
    "estimator": lambda: CNNClassifier(ConvNet((4,)), random_state=0),
    "pipeline": lambda: make_pipeline(MinMaxScaler(), CNNClassifier(nn.Flatten)),
    "loss": lambda: CNNClassifier(loss=nn.CrossEntropyLoss(weight=torch.ones(2))),
    "partial": lambda: functools.partial(torch.optim.SGD, momentum=0.9),
    "method": lambda: Factory(3).__init__,
    "generator": lambda: np.random.default_rng(0),
    "random state": lambda: np.random.RandomState(0),
    "pandas": lambda: pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
    "polars": lambda: pl.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
    "containers": lambda: {"a": [1, (2.5, b"3")], "b": {4, 5, "six"}, "c": frozenset([None])},
    "ordered": lambda: collections.OrderedDict(a=1),
    "dtypes": lambda: [torch.float16, np.dtype("f4"), torch.device("cpu")],
    "cycle": holds_itself,
    "module of Python's": lambda: os,
}


@pytest.mark.parametrize("make", SAME.values(), ids=SAME)
def test_equal_values_have_equal_digests(make):
    value = make()
    assert digest(value) == digest(make()) == digest([make()][0])
    assert len(digest(value)) == 64
    if not isinstance(value, types.ModuleType):
        assert digest(cloudpickle.loads(cloudpickle.dumps(value))) == digest(value)
        assert digest(copy.deepcopy(value)) == digest(value)


DIFFERENT = {
    "type of a number": (1, 1.0),
    "sign of zero": (0.0, -0.0),
    "text and bytes": ("a", b"a"),
    "grouping": ([[1], [2]], [[1, 2]]),
    "list and tuple": ([1], (1,)),
    "dtype": (np.zeros(4, np.uint8), np.zeros(4, np.int8)),
    "shape": (np.zeros((2, 3)), np.zeros((3, 2))),
    "one pixel": (np.array([[1, 2]]), np.array([[1, 3]])),
    "array and tensor": (np.zeros(2), torch.zeros(2, dtype=torch.float64)),
    "weights": (network(0.5), network(0.25)),
    "a frozen weight": (network(), network().requires_grad_(False)),
    "order of layers": (
        nn.Sequential(collections.OrderedDict(a=nn.ReLU(), b=nn.Flatten())),
        nn.Sequential(collections.OrderedDict(b=nn.Flatten(), a=nn.ReLU())),
    ),
    "parameter": (CNNClassifier(lr=0.001), CNNClassifier(lr=0.002)),
    "parameter of the architecture": (ConvNet((4,)), ConvNet((8,))),
    "class": (nn.ReLU(), nn.GELU()),
    "state": (Factory(1), Factory(2)),
    "column": (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
    "seed": (np.random.RandomState(0), np.random.RandomState(1)),
}


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_different_values_have_different_digests(pair):
    assert digest(pair[0]) != digest(pair[1])


def test_layout_and_storage_of_an_array_do_not_matter(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (50, 6, 5), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    everything = [images, np.asfortranarray(images), images[::-1][::-1], np.asarray(mapped)]
    assert len({digest(array) for array in everything}) == 1
    assert digest(images[::2]) == digest(images[::2].copy())
    assert digest(mapped[3:9]) == digest(np.asarray(mapped)[3:9])


def test_an_array_that_is_not_contiguous_is_read_in_parts(monkeypatch):
    monkeypatch.setattr("sklearn_cnn._digest._CHUNK", 64)
    columns = np.arange(400.0).reshape(20, 20)[:, ::3]
    assert digest(columns) == digest(columns.copy())
    assert digest(columns.T) == digest(columns.T.copy())


def test_a_fitted_estimator_counts_with_what_it_learned():
    X, y = load_digits(n_class=2, return_X_y=True)
    fits = [
        CNNClassifier(ConvNet((2,)), max_epochs=1, random_state=seed).fit(X, y)
        for seed in (0, 0, 1)
    ]
    for fit in fits:
        fit.random_state = None
    first, again, other = (digest(FrozenEstimator(fit)) for fit in fits)
    assert first == again != other
    assert digest(clone(fits[0])) == digest(clone(fits[2]))


def defined_by(source):
    """Return the class or function `Thing` of a program's text, as if it stood in a script."""
    script = {"__name__": "a_script", "nn": nn}
    exec(source, script)
    return script["Thing"]


CLASS = """
class Thing(nn.Module):
    size = {size}
    def __init__(self, num_classes):
        super().__init__()
        self.last = nn.Linear({inputs}, num_classes)
"""


def test_a_class_of_ones_own_counts_with_its_code():
    thing = defined_by(CLASS.format(size=1, inputs=64))
    assert digest(thing) == digest(defined_by(CLASS.format(size=1, inputs=64)))
    assert digest(thing) == digest(defined_by("\n\n" + CLASS.format(size=1, inputs=64)))
    assert digest(thing) != digest(defined_by(CLASS.format(size=2, inputs=64)))
    assert digest(thing) != digest(defined_by(CLASS.format(size=1, inputs=32)))
    assert digest(TorchModule(thing)) == digest(clone(TorchModule(thing)))


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """Return a function that writes a package `ours` into a folder, and imports it anew."""

    def write_and_import(folder="project", module="ours", **files):
        package = tmp_path / folder / "ours"
        package.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (package / f"{name}.py").write_text(text)
        monkeypatch.setattr(sys, "path", [str(package.parent), *sys.path])
        # an edit within a second of the first has the same stamp
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        for name in [n for n in sys.modules if n.partition(".")[0] == "ours"]:
            monkeypatch.delitem(sys.modules, name)
        importlib.invalidate_caches()
        return importlib.import_module(module)

    return write_and_import


PACKAGE = """
__version__ = "{version}"
def thing():
    return {result}
class Thing:
    result = {result}
"""


@pytest.mark.parametrize("name", ["thing", "Thing"])
def test_a_package_of_ones_own_counts_with_its_code_whatever_its_version(imported, name):
    def of(**facts):
        return digest(getattr(imported(__init__=PACKAGE.format(**facts)), name))

    first = of(version=1, result=1)
    assert first == of(version=1, result=1) == of(version=2, result=1)
    assert first != of(version=1, result=2)


@pytest.mark.parametrize("folder", ["site-packages", "lib/dist-packages", "elsewhere"])
@pytest.mark.parametrize("name", ["thing", "Thing"])
def test_an_installed_package_counts_with_its_version(
    imported, folder, name, tmp_path, monkeypatch
):
    monkeypatch.setattr("sklearn_cnn._digest._INSTALLED", [str(tmp_path / "elsewhere")])

    def of(**facts):
        return digest(getattr(imported(folder, __init__=PACKAGE.format(**facts)), name))

    first = of(version=1, result=1)
    assert first == of(version=1, result=1) == of(version=1, result=2)
    assert first != of(version=2, result=1)


def test_an_installed_package_that_says_no_version_counts_with_its_code(imported):
    def of(result):
        return digest(imported("site-packages", __init__=f"def thing(): return {result}").thing)

    assert of(1) == of(1) != of(2)


def test_a_package_that_is_linked_into_the_environment_is_ones_own(imported, tmp_path):
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "ours").symlink_to(tmp_path / "project" / "ours")

    def of(result):
        text = PACKAGE.format(version=1, result=result)
        imported(__init__=text)
        return digest(imported("site-packages").thing)

    assert of(1) == of(1) != of(2)


def test_what_python_and_compiled_packages_define_counts_by_name(monkeypatch):
    # torch._C._nn has no file
    things = [os.path.join, collections.OrderedDict, len, math.sqrt, np.dot]
    of_torch = [nn.Linear, torch._C._nn.gelu]
    before = [digest(thing) for thing in things + of_torch]
    assert len(set(before)) == 7
    monkeypatch.setattr(torch, "__version__", "99.0")
    after = [digest(thing) for thing in things + of_torch]
    assert [one == other for one, other in zip(before, after, strict=True)] == (
        [True] * 5 + [False] * 2
    )


@pytest.mark.parametrize(("thing", "package"), [(ConvNet, "sklearn_cnn"), (nn.Linear, "torch")])
def test_what_we_are_made_of_counts_with_its_version_wherever_it_is(thing, package, monkeypatch):
    monkeypatch.setattr("sklearn_cnn._digest._is_installed", lambda _: False)
    first = digest(thing)
    monkeypatch.setattr(thing, "unused", 1, raising=False)
    assert digest(thing) == first
    monkeypatch.setattr(f"{package}.__version__", "99.0")
    assert digest(thing) != first


def test_a_function_counts_with_code_defaults_and_what_it_closes_over():
    twice = defined_by("def Thing(x, by=2): return x * by")
    assert digest(twice) == digest(defined_by("def Thing(x, by=2): return x * by"))
    assert digest(twice) != digest(defined_by("def Thing(x, by=3): return x * by"))
    assert digest(twice) != digest(defined_by("def Thing(x, by=2): return x + by"))

    def times(factor):
        return lambda x: x * factor

    assert digest(times(2)) == digest(times(2)) != digest(times(3))


READING = {
    "a constant": ("SIZE = {}", "def Thing(): return SIZE"),
    "a constant in __init__": ("SIZE = {}", CLASS.format(size=1, inputs="SIZE")),
    "in a lambda inside": ("SIZE = {}", "def Thing(): return lambda: [SIZE for _ in 'ab']"),
    "in a class inside": ("SIZE = {}", "def Thing():\n    class Own:\n        size = SIZE"),
    "a function": ("def helper(): return {}", "def Thing(): return helper()"),
    "a class": ("class Net:\n    size = {}", "def Thing(): return Net()"),
    "a cached function": (
        "import functools\n@functools.cache\ndef helper(): return {}",
        "def Thing(): return helper()",
    ),
    "through another function": (
        "SIZE = {}\ndef helper(): return SIZE",
        "def Thing(): return helper()",
    ),
    "functions that call each other": (
        "SIZE = {}\ndef helper(): return Thing() + SIZE",
        "def Thing(): return helper()",
    ),
    "an object's class": (
        "class Net:\n    def size(self): return {}\nnet = Net()",
        "def Thing(): return net",
    ),
    "an enumeration": (
        "import enum\nclass Size(enum.Enum):\n    SMALL = {}",
        "def Thing(): return Size.SMALL",
    ),
    "a dataclass": (
        "import dataclasses\n@dataclasses.dataclass\nclass Size:\n    height: int = {}",
        "def Thing(): return Size()",
    ),
    "an array": ("import numpy\nSIZES = numpy.arange(9.) == {}", "def Thing(): return SIZES"),
    "what holds a lock too": (
        "import threading\nSIZES = [threading.Lock(), {}]",
        "def Thing(): return SIZES",
    ),
}


@pytest.mark.parametrize(("before", "thing"), READING.values(), ids=READING)
def test_code_counts_with_what_it_reads_of_its_module(before, thing):
    def of(number, unread=0):
        return digest(defined_by(f"{before.format(number)}\nUNREAD = {unread}\n{thing}"))

    assert of(1) == of(1) == of(1, unread=1) != of(2)


@pytest.mark.parametrize(
    "name",
    [
        "a constant in __init__",
        "functions that call each other",
        "an object's class",
        "an enumeration",
        "a dataclass",
    ],
)
def test_code_that_was_sent_to_a_worker_reads_the_same(name):
    before, thing = READING[name]
    value = defined_by(f"{before.format(1)}\n{thing}")
    assert digest(cloudpickle.loads(cloudpickle.dumps(value))) == digest(value)


def test_an_attribute_that_is_named_like_a_global_is_none():
    thing = "size = {}\ndef Thing(x): return x.size, __name__, __file__\n__file__ = '{}'"
    assert digest(defined_by(thing.format(1, "a"))) == digest(defined_by(thing.format(2, "b")))


@pytest.mark.parametrize(
    ("lock", "other"),
    [("threading.Lock()", "threading.local()"), ("open(os.devnull)", "threading.Lock()")],
)
@pytest.mark.parametrize(
    "thing",
    [
        "LOCK = {}\ndef Thing(): return LOCK",
        "class Thing:\n    lock = {}",
        "def Thing(lock={}): return lock",
        "def make(lock): return lambda: lock\nThing = make({})",
    ],
)
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_what_cannot_be_pickled_and_is_read_by_code_counts_by_its_type(thing, lock, other):
    def of(value):
        return digest(defined_by(f"import os, threading\n{thing.format(value)}"))

    assert of(lock) == of(lock) != of(other)


def test_modules_of_ones_own_count_with_what_is_read_of_them(imported):
    files = {
        "__init__": "__version__ = 1",
        "net": "import ours.parts, numpy\ndef thing(): return ours.parts.part, numpy.dot",
        "parts": "from ours import net, sizes\ndef part(): return net.thing, sizes.SIZE",
    }

    def of(size, other=0):
        sizes = f"SIZE = {size}\nOTHER = {other}"
        return digest(imported(module="ours.net", **files, sizes=sizes).thing)

    assert of(1) == of(1) == of(1, other=1) != of(2)


def test_a_chain_of_many_functions_is_followed():
    def of(number):
        functions = [f"def f{n}(): return f{n + 1}()" for n in range(2000)]
        return digest(defined_by("\n".join([*functions, f"f2000 = {number}", "Thing = f0"])))

    assert of(1) == of(1) != of(2)


SCRIPT = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from joblib.externals.loky import get_reusable_executor
from torch import nn
from sklearn_cnn._digest import digest

SIZES = {"a", "b", "c"}

def helper():
    return Net, SIZES

class Net(nn.Flatten):
    def forward(self, x):
        return super().forward(x), helper()

def make(in_channels):
    return Net()

if __name__ == "__main__":
    value = [Net, make, Net()]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        spawned = pool.submit(digest, value).result()
    print(digest(value), spawned, get_reusable_executor(1).submit(digest, value).result())
"""


def test_a_script_and_its_workers_agree(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    out = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        env={name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"},
        capture_output=True,
        check=True,
        text=True,
    )
    own, spawned, sent = out.stdout.split()
    assert own == spawned == sent


def test_a_path_counts_with_the_file_that_it_names(tmp_path):
    file = tmp_path / "image.png"
    absent = digest(str(file))
    file.write_bytes(b"one")
    first = digest(str(file))
    assert first == digest(str(file)) != absent
    os.utime(file, ns=(0, 0))
    assert digest(str(file)) != first
    assert digest(np.array([str(file)])) == digest(
        np.array([str(file)], dtype=object)[:1].astype(str)
    )


def test_what_cannot_be_pickled_is_an_error(tmp_path):
    with open(tmp_path / "file", "w") as file, pytest.raises(TypeError, match="cannot pickle"):
        digest({"stream": file})


def test_the_digest_is_the_same_in_another_process():
    # Python hashes text with another seed in each process, which changes the order of sets
    program = "from sklearn_cnn._digest import digest; print(digest({'a', 'b', 'c'}))"
    other = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert other.stdout.strip() == digest({"c", "b", "a"})


def test_a_string_counts_with_what_it_stands_for():
    grid = {"architecture": ["mine", "other"]}
    narrow, wide = ({"mine": ConvNet((width,))} for width in (4, 8))
    assert digest(grid, narrow) == digest(copy.deepcopy(grid), copy.deepcopy(narrow))
    assert len({digest(grid), digest(grid, narrow), digest(grid, wide)}) == 3
    # what the value does not speak of makes no difference
    assert digest(grid, {**narrow, "unused": ConvNet()}) == digest(grid, narrow)
    # nor does an object that holds its own name go on without end
    assert digest("mine", {"mine": ["mine"]}) == digest("mine", {"mine": ["mine"]})

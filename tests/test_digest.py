"""Equal values have equal digests, and whatever makes a difference makes one here."""

import collections
import copy
import functools
import math
import os
import re
import subprocess
import sys
import threading
import types
from pathlib import Path

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
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.runtime.digest import NoKeyError, value_key


def network(first=0.5):
    """A network whose weights are the same each time."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    module[0].weight.data[0, 0, 0, 0] = first
    return module


def digest(value, meanings=None):
    return value_key(value, meanings or {})


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
}


@pytest.mark.parametrize("make", SAME.values(), ids=SAME)
def test_equal_values_have_equal_digests(make):
    value = make()
    assert digest(value) == digest(make()) == digest([make()][0])
    assert len(digest(value)) == 32
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
    "mask": (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[1, 0])),
    "bound to another": ([1].append, [2].append),
    "pattern": (re.compile("a"), re.compile("b")),
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


def test_classes_and_functions_count_with_name_and_version(monkeypatch):
    things = [nn.Linear, nn.Conv2d, torch.relu, torch.sigmoid, torch._C._nn.gelu]
    others = [os.path.join, os.path.split, len, math.sqrt, np.dot, np.sin, Factory, network]
    before = [digest(thing) for thing in things + others]
    assert len(set(before)) == len(before)
    monkeypatch.setattr(torch, "__version__", "99.0")
    after = [digest(thing) for thing in things + others]
    assert [one == other for one, other in zip(before, after, strict=True)] == (
        [False] * len(things) + [True] * len(others)
    )


def local():
    """Return a class and a function that cannot be imported."""

    class Inside:
        pass

    def inside():
        pass

    return Inside, inside


@functools.cache
def cached():
    """Return nothing."""


def test_a_cached_function_counts_with_its_name():
    assert digest(cached) == digest(copy.copy(cached)) != digest(network)


NO_KEY = {
    "lambda": lambda: lambda x: x,
    "partial of a lambda": lambda: functools.partial(lambda x: x, 1),
    "class inside a function": lambda: local()[0],
    "object of it": lambda: local()[0](),
    "its method": lambda: types.MethodType(lambda self: self, 1),
    "function inside a function": lambda: local()[1],
    "cached": lambda: functools.cache(local()[1]),
    "another of its name": lambda: functools.wraps(network)(lambda: network(0.25)),
    "cached under its own name": lambda: functools.cache(network),
    "closure of a script": lambda: defined_by(CLOSURE),
    "hook of a module": lambda: hooked(network()),
    "lock": threading.Lock,
    "generator": lambda: (number for number in range(3)),
    "sparse": lambda: torch.eye(3).to_sparse(),
    "without bytes": lambda: torch.empty(3, device="meta"),
    "depth": lambda: functools.reduce(lambda inner, _: [inner], range(5000), []),
}


CLOSURE = """
import functools
def times(function, by):
    return functools.wraps(function)(lambda x: by * function(x))
def Thing(x): return x
Thing = times(Thing, 2)
"""


def defined_by(source):
    """Return the `Thing` of a program's text, as a worker gets it from a script."""
    script = {"__name__": "__main__"}
    exec(source, script)
    return script["Thing"]


def test_what_a_script_defines_counts_with_its_name():
    names = ["def Thing(): pass", "def Thing(): return 2", "class Thing: pass"]
    assert len({digest(defined_by(source)) for source in names}) == 1
    method = "class Net:\n    def call(self): return super().call()\nThing = Net().call"
    assert digest(defined_by(method)) == digest(defined_by(method)) != digest(defined_by(names[0]))


def hooked(module):
    """Return a module with a hook that has no name."""
    module.register_forward_hook(lambda *_: None)
    return module


@pytest.mark.parametrize("make", NO_KEY.values(), ids=NO_KEY)
def test_what_cannot_be_told_apart_has_no_key(make):
    with pytest.raises(NoKeyError):
        digest({"inside": [make()]})


@pytest.mark.parametrize("make", [pd.Series, pl.Series, lambda paths: pd.DataFrame({"X": paths})])
def test_a_column_of_paths_counts_with_their_files(tmp_path, make):
    files = [tmp_path / name for name in ("a.png", "b.png")]
    for file in files:
        file.write_bytes(b"one")
    first = digest(make([str(file) for file in files]))
    assert first == digest(make([str(file) for file in files]))
    os.utime(files[1], ns=(0, 0))
    assert first != digest(make([str(file) for file in files]))


def test_names_that_are_not_utf_8(tmp_path):
    name = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xff.png"))
    try:
        Path(name).touch()
    except OSError:
        pytest.skip("this file system takes no such names")
    first = digest([name, Path(name), np.array([name])])
    assert first == digest([name, Path(name), np.array([name])])
    Path(name).write_bytes(b"content")
    assert first != digest([name, Path(name), np.array([name])])


SCRIPT = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from joblib.externals.loky import get_reusable_executor
from torch import nn
from sklearn_cnn.runtime.digest import value_key

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
        spawned = pool.submit(value_key, value, {}).result()
    sent = get_reusable_executor(1).submit(value_key, value, {}).result()
    print(value_key(value, {}), spawned, sent)
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


def test_the_digest_is_the_same_in_another_process():
    # Python hashes text with another seed in each process, which changes the order of sets
    program = (
        "from sklearn_cnn.runtime.digest import value_key; print(value_key({'a', 'b', 'c'}, {}))"
    )
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

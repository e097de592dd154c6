"""Model files with every kind of damage: `python tests/fuzz_model_files.py` runs many.

A damaged file has to end in one ValueError that names it, or in an estimator that predicts. Nothing
else in the process, the environment or the folder may change, and memory stays bounded.
"""

import argparse
import builtins
import copy
import functools
import json
import os
import random
import resource
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from sklearn_cnn import Augmentation, CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet, ResNet, TorchvisionModel
from sklearn_cnn.persistence import _container, dumps, loads

X, Y = load_digits(return_X_y=True)
X, Y = X[:60], Y[:60]
# What a name in a file might be looked up in, and what a call could change.
WATCHED = (torch, nn, nn.functional, torch.optim, torch.backends, np, builtins, os, sys)
# Beside ten times the file: what the allocator of C keeps, and objects of Python's of any load.
ALLOWANCE = 16 * 2**20


@functools.cache
def models():
    """Return small fitted estimators as bytes, which hold every kind of value."""
    common = {"max_epochs": 1, "random_state": 0}
    sgd = functools.partial(torch.optim.SGD, momentum=0.5)
    estimators = [
        CNNClassifier(
            ConvNet((4,), hidden=(3,)),
            class_weight={digit: 1 + digit for digit in range(10)},
            augmentation=Augmentation(crop=1),
            early_stopping=True,
            **common,
        ).fit(X, Y),
        CNNClassifier(
            ResNet((2,)), loss=nn.CrossEntropyLoss(torch.ones(2)), optimizer=sgd, **common
        ).fit(X, np.where(Y > 4, "high", "low").astype(object)),
        CNNClassifier(ConvNet((2,)), device=torch.device("cpu"), **common).fit(
            X, np.column_stack([Y > 4, Y % 2])
        ),
        CNNRegressor(ConvNet((2,)), loss="quantile", **common).fit(X, Y),
        CNNRegressor(ConvNet((2,)), loss="quantile", quantile=(0.1, 0.9), **common).fit(X, Y),
        CNNRegressor(TorchvisionModel("squeezenet1_1"), image_shape=(17, 17), **common).fit(
            np.zeros((4, 17, 17), np.uint8) + np.arange(4, dtype=np.uint8)[:, None, None], Y[:4]
        ),
    ]
    return [dumps(estimator) for estimator in estimators]


def nodes(value, path=()):
    """Yield the path of every value inside of a structure."""
    yield path
    entries = value.items() if isinstance(value, dict) else ()
    for key, entry in enumerate(value) if isinstance(value, list) else entries:
        yield from nodes(entry, (*path, key))


def parent_of(content, path):
    for key in path[:-1]:
        content = content[key]
    return content


VALUES = [
    None, True, -1, 0, 1, 3, 10**6, 10**9, 2**63, 10**400, 0.5, -1e308, "", "DEFAULT", "__class__",
    "__setattr__", "predict", "/dev/zero", "x" * 5000, "\ud800", [], [[]], [1, 2], [10**9] * 50, {},
    {"float": "nan"}, {"float": "inf"}, {"tuple": [1]}, {"dict": [[1, 2]]}, {"dict": [[[1], 2]]},
    {"array": ["<f8", [2], [1.0, 2.0]]}, {"array": ["<U100000000", [1], ["a"]]},
    {"array": ["<f8", [10**9, 10**9], []]}, {"array": ["|O", [1], [None]]},
    {"tensor": ["<f4", [1], [1.0]]}, {"device": "cuda:0"}, {"device": "meta"},
    {"weights": "ResNet18_Weights.IMAGENET1K_V1"}, {"optimizer": "SGD"}, {"optimizer": "Optimizer"},
    {"partial": [{"optimizer": "SGD"}, {"dict": [["lr", 1.0]]}]}, {"loss_class": "MSELoss"},
    {"partial": [{"loss_class": "MSELoss"}, {"dict": []}]}, {"ConvNet": {}},
    {"loss": ["HuberLoss", {"dict": [["delta", 1.0], ["reduction", "mean"]]}]},
    {"ConvNet": {"widths": [10**7, 10**7]}}, {"ConvNet": {"convs_per_stage": 10**9}},
    {"ResNet": {"depth": 10**9}}, {"ResNet": {"widths": "abc"}}, {"Augmentation": {"flip": True}},
    {"TorchvisionModel": {"name": "vit_h_14"}}, {"Finetuned": {"source": "/dev/stdin"}},
    {"TorchvisionModel": {"name": "resnet18", "weights": "DEFAULT"}}, {"getattr": ["a", "b"]},
]  # fmt: skip


def mutated(content, draw):
    """Return a structure with one to three changes at random places."""
    content = copy.deepcopy(content)
    for _ in range(draw.randint(1, 3)):
        path = draw.choice(list(nodes(content))[1:])
        parent, key = parent_of(content, path), path[-1]
        kind = draw.randrange(5)
        if kind == 0:
            del parent[key]
        elif kind == 1 and isinstance(parent, dict):
            parent[draw.choice(["__class__", "predict", "other", "dict"])] = parent.pop(key)
        elif kind == 2:
            other = draw.choice(list(nodes(content))[1:])
            parent[key] = copy.deepcopy(parent_of(content, other)[other[-1]])
        else:
            parent[key] = copy.deepcopy(draw.choice(VALUES))
    return content


def mutated_tensors(tensors, draw):
    """Return tensors of which one has another name, shape, dtype or value, or is missing."""
    tensors, name = dict(tensors), draw.choice(sorted(tensors))
    tensor = tensors.pop(name)
    kind = draw.randrange(6)
    if kind == 0:
        tensors[draw.choice(["module.x", "__class__", "optimizer..step", name + ".y"])] = tensor
    elif kind == 1:
        tensors[name] = tensor.flatten()[:-1]
    elif kind == 2:
        tensors[name] = tensor.to(draw.choice([torch.float64, torch.int64, torch.bool]))
    elif kind == 3:
        tensors[name] = torch.full_like(tensor.double(), draw.choice([np.nan, np.inf])).float()
    elif kind == 4:
        tensors[name] = -tensor - 1
    return tensors


def attempt(data, name):
    """Load bytes and predict; return how that ended, or raise what no file may raise."""
    kind = CNNRegressor if b"CNNRegressor" in data else CNNClassifier
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            estimator = loads(data, kind, name=name)
        except ValueError as error:
            if not str(error).startswith(f"{name} cannot be loaded: "):
                raise
            return "refused"
        images = np.zeros((2, *estimator.image_shape_), np.uint8)
        # of one feature: it learned from a column of files, and refuses numbers
        if images.size < 10**5 and getattr(estimator, "n_features_in_", None) != 1:
            estimator.predict(images[..., 0] if images.shape[3] == 1 else images)
        repr(estimator)
    return "loaded"


def snapshot():
    """Return what no file may change."""
    names = [{key: id(value) for key, value in vars(module).items()} for module in WATCHED]
    files = sorted(os.listdir("."))
    return names, dict(os.environ), list(sys.path), files, torch.get_default_dtype()


def header_of(length, header=b"{}"):
    return length.to_bytes(8, "little") + header


def special_cases():
    """Yield files that ask for memory, depth or time."""
    content, tensors = _container.unpack(models()[0])
    yield b""
    yield header_of(10**9)
    yield header_of(2**63 - 1)
    deep = b'{"a":' * 10**5 + b"1" + b"}" * 10**5
    yield header_of(len(deep), deep)
    twice = b'{"__metadata__":{"format":"a","format":"b"}}'
    yield header_of(len(twice), twice)
    text = json.dumps(content)
    for changed in (
        "[" * 10**5 + "]" * 10**5,
        '{"a":' * 10**5 + "1" + "}" * 10**5,
        text.replace('"target"', '"parameters": {}, "target"', 1),
        text.replace('"lr": 0.005', '"lr": NaN'),
        text[:-1],
        "[" * 2**18 + "[],".join(["[]"] * 10),
        " " * 2**25 + text,
    ):
        yield _container.pack_text(changed, tensors)


def flipped(data, draw):
    data = bytearray(data)
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(data)


def files(n_structures, n_flips, n_truncations, seed=0):
    """Yield the kind of each damaged file and its bytes."""
    draw = random.Random(seed)
    contents = [_container.unpack(data) for data in models()]
    for _ in range(n_structures):
        content, tensors = draw.choice(contents)
        yield "structures", _container.pack(mutated(content, draw), tensors)
    for _ in range(n_structures // 5):
        content, tensors = draw.choice(contents)
        yield "tensors", _container.pack(content, mutated_tensors(tensors, draw))
    for _ in range(n_flips):
        yield "flips", flipped(draw.choice(models()[:4]), draw)
    for i in range(n_truncations):
        data = draw.choice(models())
        yield "truncations", data[: len(data) * i // n_truncations]
    for data in special_cases():
        yield "special cases", data


def run(n_structures, n_flips, n_truncations, seed=0):
    """Load damaged files, and return how many of each kind ended how."""
    counts = Counter()
    # what a first load and prediction import and allocate is no file's doing
    for data in models():
        attempt(data, "model")
    before = snapshot()
    for kind, data in files(n_structures, n_flips, n_truncations, seed):
        used = peak_memory()
        counts[kind, attempt(data, "model")] += 1
        if peak_memory() - used > 10 * len(data) + ALLOWANCE:
            raise AssertionError(f"A file of {len(data)} bytes took {peak_memory() - used}.")
    if snapshot() != before:
        raise AssertionError("A file changed something else than the estimator.")
    return counts


def peak_memory():
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--structures", type=int, default=5000)
    parser.add_argument("--flips", type=int, default=2000)
    parser.add_argument("--truncations", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sizes = options.structures, options.flips, options.truncations
        for (kind, end), count in sorted(run(*sizes, options.seed).items()):
            print(f"{kind:15}{end:10}{count:6}")
        os.chdir(Path(folder).parent)

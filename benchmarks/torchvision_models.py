"""Every classification network of torchvision: refused below its size, built, trained a step.

    python benchmarks/torchvision_models.py              all 80, about ten minutes on two cores
    python benchmarks/torchvision_models.py vgg vit_b    those whose names begin so

Each learns from nine images of three classes, by plain SGD: of 32 x 32, or of the smallest size
that it takes if that is larger. The largest need 8 GB of memory.
"""

import argparse
import functools
import re
import time

import numpy as np
import torch

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import TorchvisionModel
from sklearn_cnn.architectures._torchvision import torchvision_names


def smallest_side(name):
    """Return the smallest side that a network takes, as its own refusal of 1 x 1 says it."""
    try:
        TorchvisionModel(name).build(2, (1, 1), 3)
    except ValueError as error:
        return int(re.search(r"at least (\d+) x", str(error)).group(1))
    return 1


def trained_side(name, side):
    """Return a side of 32 if the network takes that, else the smallest."""
    try:
        TorchvisionModel(name).build(2, (32, 32), 3)
    except ValueError:
        return side
    return 32


def train_a_step(name, side):
    """Return the fitted classifier, and the seconds that it took."""
    X = np.random.default_rng(0).integers(0, 256, (9, side, side, 2), dtype=np.uint8)
    sgd = functools.partial(torch.optim.SGD)
    classifier = CNNClassifier(name, optimizer=sgd, max_epochs=1, lr=1e-4, random_state=0)
    start = time.perf_counter()
    classifier.fit(X, [0, 1, 2] * 3)
    return classifier, time.perf_counter() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("beginnings", nargs="*", default=[""], help="of names")
    beginnings = tuple(parser.parse_args().beginnings)
    print("| name | parameters (million) | smallest image | a fit of one step (s) | loss |")
    print("|---|---|---|---|---|")
    for name in torchvision_names():
        if not name.startswith(beginnings):
            continue
        side = smallest_side(name)
        classifier, seconds = train_a_step(name, trained_side(name, side))
        n_parameters = sum(p.numel() for p in classifier.module_.parameters()) / 1e6
        loss = classifier.loss_curve_[0]
        print(
            f"| {name} | {n_parameters:.1f} | {side} × {side} | {seconds:.1f} | {loss:.2f} |",
            flush=True,
        )
        del classifier

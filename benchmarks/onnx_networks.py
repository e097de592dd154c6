"""Which of torchvision's networks leave as ONNX files that answer as the estimator does.

    python benchmarks/onnx_networks.py           22 of them, some ten minutes on two cores
    python benchmarks/onnx_networks.py swin_t    those whose names are given

Each is trained for one step on noise of 32 x 32 pixels; `to_onnx` compares the file's answers with
the estimator's, and the largest difference in probability is printed, or why there is no file.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from sklearn_cnn import CNNClassifier

NETWORKS = [
    *("resnet18", "resnet34", "resnext50_32x4d", "densenet121", "googlenet"),
    *("squeezenet1_0", "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_small"),
    *("mobilenet_v3_large", "mnasnet0_5", "mnasnet0_75", "shufflenet_v2_x0_5"),
    *("shufflenet_v2_x1_0", "regnet_x_400mf", "regnet_y_400mf", "regnet_y_800mf"),
    *("efficientnet_b0", "efficientnet_b1", "convnext_tiny", "vit_b_32", "swin_t"),
]


def measure(name, path):
    """Print a line for a network."""
    images = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    model = CNNClassifier(name, optimizer=torch.optim.SGD, lr=1e-4, max_epochs=1, random_state=0)
    model.fit(images, [0, 1, 2] * 3)
    start = time.perf_counter()
    try:
        report = model.to_onnx(path, images)
    except ValueError as error:
        print(f"| {name} | none | | {error} |", flush=True)
        return
    seconds = time.perf_counter() - start
    print(
        f"| {name} | {report.difference:.1e} | {report.n_bytes / 1e6:.1f} | {seconds:.0f} |",
        flush=True,
    )


if __name__ == "__main__":
    print("| network | largest difference | MB | seconds |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or NETWORKS:
            measure(name, Path(folder, "network.onnx"))

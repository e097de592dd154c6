"""What an answer costs a server: of one image, of many, and the first one of a new process.

    python benchmarks/serving.py                        all cases, about 5 minutes on two cores
    python benchmarks/serving.py --case convnet-28      one case
    python benchmarks/serving.py --quick                few calls

`predict_proba`, the bare network and what the estimator was exported to take turns in one process,
call by call. An image should cost at most 1.5 times the bare forward pass and half a millisecond.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import torch
from side_by_side import write_json

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet, TimmModel, TorchvisionModel


class Case(NamedTuple):
    """A network, its images, and how many of them are many."""

    title: str
    architecture: Any
    image_shape: tuple[int, int, int]
    n_many: int


CASES = {
    "convnet-28": Case("ConvNet(), 28 x 28 x 1", ConvNet(), (28, 28, 1), 256),
    "resnet18-64": Case("ResNet-18, 64 x 64 x 3", TorchvisionModel("resnet18"), (64, 64, 3), 64),
    "resnet18-224": Case(
        "ResNet-18, 224 x 224 x 3", TorchvisionModel("resnet18"), (224, 224, 3), 16
    ),
    "lite0-224": Case(
        "EfficientNet-Lite0, 224 x 224 x 3", TimmModel("efficientnet_lite0"), (224, 224, 3), 16
    ),
}
OURS, BARE = "predict_proba", "bare module"
# Of an image, in terms of the bare module's time.
GOAL_RATIO, GOAL_SECONDS = 1.5, 0.0005

FRESH = """
import sys
import time

start = time.perf_counter()
import numpy as np
from sklearn_cnn import CNNClassifier

imported = time.perf_counter()
model = CNNClassifier.load(sys.argv[1])
loaded = time.perf_counter()
model.predict_proba(np.zeros((1, *model.image_shape_), dtype=np.uint8))
print(imported - start, loaded - imported, time.perf_counter() - loaded)
"""


def random_images(n_images, image_shape):
    """Draw uint8 images; noise takes as long as photos."""
    return np.random.default_rng(0).integers(0, 256, (n_images, *image_shape), dtype=np.uint8)


def fitted(case):
    """Return an estimator with the network of a case; what it learned does not matter."""
    estimator = CNNClassifier(case.architecture, max_epochs=1, random_state=0, device="cpu")
    return estimator.fit(random_images(20, case.image_shape), np.arange(20) % 10)


def contenders(estimator, image_shape):
    """Return what is timed: a name, and a function that gives the answer for images."""
    bare, exported = estimator.module_, estimator.export_module()
    # below a hundred int8 warns of its calibration
    some = random_images(100, image_shape)
    sessions = {name: session_of(estimator, some, name) for name in ("float32", "int8")}
    return {
        OURS: estimator.predict_proba,
        BARE: torch.inference_mode()(lambda X: bare(torch.from_numpy(X).permute(0, 3, 1, 2))),
        "export_module": torch.inference_mode()(lambda X: exported(torch.from_numpy(X))),
        **{
            f"onnxruntime, {name}": lambda X, session=session: session.run(None, {"images": X})
            for name, session in sessions.items()
        },
    }


def session_of(estimator, images, precision):
    """Return a session of an exported file with as many threads as torch has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # threads that wait busily would take the cores of whoever comes next
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        estimator.to_onnx(path, images, precision=precision)
        return onnxruntime.InferenceSession(path, options)


def take_turns(functions, images, n_calls):
    """Return the median seconds of each function."""
    seconds = {name: [] for name in functions}
    for _ in range(n_calls + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function(images)
            seconds[name].append(time.perf_counter() - start)
    # the first call of each does not count
    return {name: statistics.median(calls[1:]) for name, calls in seconds.items()}


def first_answer(estimator, n_processes):
    """Return the median seconds of import, load and first answer, and the bytes of the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        estimator.save(path)
        command = [sys.executable, "-W", "ignore", "-c", FRESH, str(path)]
        runs = [
            subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            for _ in range(n_processes)
        ]
        steps = [statistics.median(map(float, step)) for step in zip(*runs, strict=True)]
        return {
            **dict(zip(("import", "load", "answer"), steps, strict=True)),
            "bytes": path.stat().st_size,
        }


def print_answers(seconds, n_images):
    """Print a row a contender, and whether one image keeps the goal."""
    for name, its in seconds.items():
        print(f"| {n_images} | {name} | {1000 * its:.2f} | {its / seconds[BARE]:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--calls", type=int, default=50, help="of one image; many get a fifth")
    parser.add_argument("--quick", action="store_true", help="a tenth of the calls")
    parser.add_argument("--json", type=Path, help="where to write the results too")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    n_calls = arguments.calls // 10 if arguments.quick else arguments.calls
    results = {}
    for key in arguments.case:
        case, estimator = CASES[key], fitted(CASES[key])
        print(f"\n### {case.title}\n\n| images | contender | ms | x bare |\n|---|---|---|---|")
        answers, functions = {}, contenders(estimator, case.image_shape)
        for n_images, n in ((1, n_calls), (case.n_many, max(n_calls // 5, 1))):
            images = random_images(n_images, case.image_shape)
            answers[n_images] = take_turns(functions, images, n)
            print_answers(answers[n_images], n_images)
        goal = GOAL_RATIO * answers[1][BARE] + GOAL_SECONDS
        verdict = "kept" if answers[1][OURS] <= goal else "missed"
        print(f"\nOne image may take {1000 * goal:.2f} ms: {verdict}.")
        fresh = first_answer(estimator, 1 if arguments.quick else 5)
        print(
            f"A new process: import {fresh['import']:.2f} s, load {fresh['load']:.2f} s, first "
            f"answer {fresh['answer']:.2f} s; the file has {fresh['bytes'] / 2**20:.1f} MiB.",
            flush=True,
        )
        results[key] = {"answers": answers, "fresh": fresh}
    if arguments.json:
        write_json(arguments.json, results)


if __name__ == "__main__":
    main()

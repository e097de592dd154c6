"""Everything that is worth knowing of one GPU, in under 8 minutes and without a network.

    python benchmarks/gpu.py                        all stages, and gpu.json
    python benchmarks/gpu.py --only correctness     one of them
    python benchmarks/gpu.py --quick --device cpu   whether the script runs

Stages, in the order of what they are worth; each writes what it found before the next begins:
`correctness` (GPU and CPU agree), `tests` (those that are marked for CUDA), `28x28`, `resnet18`,
`resnet50` and `unet` (fit and predict beside plain skorch and a loop tuned by hand, the share of
the device's bfloat16 rate, the peak of its memory), `latency` (of one image, beside the network's
bare pass), `cifar10` (where SKLEARN_CNN_DATA has it).
"""

import argparse
import functools
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from contenders import CONTENDERS, make_network
from examples import image_sets
from networks import ResNet18
from side_by_side import (
    Case,
    print_table,
    random_images,
    summary,
    timed,
    timed_fit,
    write_json,
)
from skorch.callbacks import EpochTimer
from torch.utils.flop_counter import FlopCounterMode

import sklearn_cnn
from sklearn_cnn import CNNClassifier

NAMES = ("ours", "skorch", "tuned loop")
CASES = {
    "28x28": Case(
        "textbook, 28 x 28 x 1, batch 128", "textbook", (28, 28, 1), 50_000, 128, n_predict=50_000
    ),
    "resnet18": Case(
        "ResNet-18, 32 x 32 x 3, batch 128",
        "resnet18",
        (32, 32, 3),
        20_000,
        128,
        one_more=True,
        n_predict=20_000,
    ),
    "resnet50": Case(
        "ResNet-50, 224 x 224 x 3, batch 64",
        "resnet50",
        (224, 224, 3),
        2_000,
        64,
        one_more=True,
        n_predict=2_000,
    ),
    "unet": Case(
        "U-Net, masks of 11 classes, 180 x 240 x 3, batch 8",
        "unet",
        (180, 240, 3),
        400,
        8,
        epochs=2,
        one_more=True,
        n_predict=400,
        n_classes=11,
    ),
}
SMALL = Case("correctness", "textbook", (28, 28, 1), 300, 32, n_classes=3)
# Images and batch size.
QUICK = {"28x28": (256, 32), "resnet18": (20, 10), "resnet50": (10, 5), "unet": (8, 4)}
GOALS = (0.90, 0.94)


STAGES = ("correctness", "tests", *CASES, "latency", "cifar10")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="few images, two rounds")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--minutes", type=float, default=8, help="no stage begins after these")
    parser.add_argument("--json", type=Path, default=Path("gpu.json"))
    arguments = parser.parse_args()
    device, start = torch.device(arguments.device), time.monotonic()
    # stages that were run before stay in the file
    earlier = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
    results = earlier.get("results", {})
    results["device"] = device_name(device)
    results["versions"] = {"torch": torch.__version__, "sklearn_cnn": sklearn_cnn.__version__}
    print(results["device"])
    for stage in arguments.only:
        if time.monotonic() - start > 60 * arguments.minutes:
            print(f"\n{stage}: left out, {arguments.minutes:g} minutes are over.")
            continue
        print(f"\n== {stage}", flush=True)
        began = time.monotonic()
        results[stage] = run_stage(stage, device, arguments)
        print(f"({time.monotonic() - began:.0f} s)", flush=True)
        write_json(arguments.json, results)


def run_stage(stage, device, arguments):
    """Return what a stage finds."""
    if stage == "correctness":
        found = correctness(device)
        for check, holds in found.items():
            print(f"- {check}: {'yes' if holds else 'NO'}", flush=True)
        return found
    if stage == "tests":
        return cuda_tests()
    if stage == "latency":
        return latency(device, 5 if arguments.quick else 200)
    if stage == "cifar10":
        return cifar10(device, arguments.quick)
    rate = matrix_rate(device, 512 if arguments.quick else 8192)
    print(f"- products of matrices in bfloat16: {rate / 1e12:.1f} TFLOP/s")
    case, repetitions = replace(CASES[stage], device=arguments.device), arguments.repetitions
    if arguments.quick:
        n_samples, batch_size = QUICK[stage]
        case = replace(case, n_samples=n_samples, n_predict=n_samples, batch_size=batch_size)
        repetitions = 2
    return speed(case, repetitions, rate)


def cuda_tests():
    """Run the tests that are marked for CUDA; return the end of what they print."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider"]
    tests = Path(__file__).parents[1] / "tests" / "test_cuda.py"
    try:
        done = subprocess.run(
            [*command, str(tests)], capture_output=True, text=True, timeout=300, check=False
        )
    except subprocess.TimeoutExpired:
        return "not done in five minutes"
    print(done.stdout[-4000:] or done.stderr[-1000:])
    return done.stdout.strip().rpartition("\n")[2] or done.stderr.strip().rpartition("\n")[2]


def correctness(device):
    """Return whether what must hold of a GPU does."""
    images, labels = random_images(SMALL, 300)
    params = {"max_epochs": 3, "random_state": 0}
    classifier = CNNClassifier(device=str(device), **params).fit(images, labels)
    there = classifier.predict_proba(images)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    module = pickle.loads(pickle.dumps(classifier)).module_.cpu()
    with torch.inference_mode():
        here = torch.softmax(module(pixels), dim=1).numpy()
    split = [classifier.predict_proba(images[:7]), classifier.predict_proba(images[7:])]
    return {
        "CPU and GPU agree to 0.0001": bool(np.abs(there - here).max() < 1e-4),
        "rows batched otherwise agree to 1e-5": bool(
            np.abs(np.concatenate(split) - there).max() < 1e-5
        ),
        "pickled here, loads without a GPU": _loads_without_gpu(classifier, images, there),
    }


def _loads_without_gpu(classifier, images, expected):
    code = (
        "import pickle, sys, warnings; import numpy as np; warnings.simplefilter('ignore');"
        "model = pickle.load(open('model.pkl', 'rb')); assert model.device_ == 'cpu';"
        "np.save('proba.npy', model.predict_proba(np.load('images.npy')))"
    )
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "model.pkl").write_bytes(pickle.dumps(classifier))
        np.save(Path(folder, "images.npy"), images)
        subprocess.run([sys.executable, "-c", code], check=True, cwd=folder, env=environment)
        return bool(np.abs(np.load(Path(folder, "proba.npy")) - expected).max() < 1e-4)


def matrix_rate(device, size):
    """Return the operations a second of bfloat16 products."""
    a, b = (torch.randn(size, size, device=device).bfloat16() for _ in range(2))
    best = min(timed(lambda: _done(a @ b, device))["seconds"] for _ in range(10))
    return 2 * size**3 / best


def speed(case, repetitions, rate):
    """Time the contenders in turns, and print their tables."""
    images, labels = random_images(case, case.n_samples)
    test_images, _ = random_images(case, case.n_predict, seed=1)
    device = torch.device(case.device)
    contenders = {name: CONTENDERS[name](case, images, labels) for name in NAMES}
    results = {"peak_memory_bytes": {}}
    for task in ("fit", "predict"):
        answers = {name: [] for name in NAMES}
        for turn in range(repetitions + 1):
            for name, contender in contenders.items():
                if device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats(device)
                if task == "fit":
                    done = functools.partial(_done, device=device)
                    answer = timed_fit(contender, case.epochs, case.one_more, done)
                else:
                    has_form = hasattr(contender, "prepare")
                    prepared = contender.prepare(test_images) if has_form else test_images
                    answer = timed(lambda c=contender, x=prepared: _done(c.predict(x), device))
                if turn > 0:
                    answers[name].append(answer)
                if task == "fit" and device.type == "cuda":
                    results["peak_memory_bytes"][name] = torch.cuda.max_memory_allocated(device)
        n_images = case.n_samples if task == "fit" else case.n_predict
        results[task] = summary(answers, NAMES, n_images)
        print_table(f"{task}: {case.title}", results[task])
    flops = training_flops(case)
    results["share_of_bf16_rate"] = results["fit"][0]["images_per_second"] * flops / rate
    print(f"\nTraining reaches {results['share_of_bf16_rate']:.2f} of the bfloat16 rate.")
    for name, peak in results["peak_memory_bytes"].items():
        print(f"Peak of the device's memory, {name}: {peak / 2**20:,.0f} MiB")
    return results


def latency(device, n_calls):
    """Time one image through `predict_proba`, and through the module with both transfers."""
    results = {}
    for stage, case in CASES.items():
        images, labels = random_images(case, 4 * case.n_classes)
        classifier = CONTENDERS["ours"](replace(case, device=str(device)), images, labels)
        classifier.fit(1)
        module, one = classifier.classifier.module_.eval(), images[:1]

        def bare(module=module, one=one):
            with torch.inference_mode():
                pixels = torch.from_numpy(one).to(device).permute(0, 3, 1, 2)
                return torch.softmax(module(pixels), dim=1).cpu()

        seconds = {"ours": [], "bare": []}
        for turn in range(n_calls + 10):
            for name, call in (("ours", lambda: classifier.predict(one)), ("bare", bare)):  # noqa: B023
                taken = timed(call)["seconds"]
                if turn >= 10:
                    seconds[name].append(taken)
        medians = {name: 1e3 * float(np.median(taken)) for name, taken in seconds.items()}
        print(f"- one image, {stage}: {medians['ours']:.2f} ms, bare pass {medians['bare']:.2f} ms")
        results[stage] = medians
    return results


def training_flops(case):
    """Count the operations of the products in a training step, an image."""
    height, width, channels = case.image_shape
    counter = FlopCounterMode(display=False)
    with counter:
        make_network(case)(torch.zeros(2, channels, height, width)).sum().backward()
    return counter.get_total_flops() / 2


def cifar10(device, is_quick):
    """Train on CIFAR-10; return the seconds of training until accuracies are reached."""
    if "SKLEARN_CNN_DATA" not in os.environ:
        print("\nCIFAR-10: SKLEARN_CNN_DATA is not set.")
        return None
    X_train, y_train, X_test, y_test = data = image_sets.load_cifar10_20k()
    if is_quick:
        X_train, y_train, X_test, y_test = (part[:64] for part in data)
    classifier = CNNClassifier(
        ResNet18,
        augmentation="flip_crop",
        max_epochs=1 if is_quick else 40,
        batch_size=min(256, len(X_train)),
        device=str(device),
        callbacks=[EpochTimer()],
        random_state=0,
    )
    start = time.perf_counter()
    classifier.fit(X_train, y_train, X_val=X_test, y_val=y_test)
    total = time.perf_counter() - start
    seconds = np.cumsum([row["dur"] for row in classifier.history_])
    scores = np.array(classifier.validation_scores_)
    reached = {goal: seconds[scores >= goal] for goal in GOALS}
    result = {
        "n_training_images": len(X_train),
        "seconds": total,
        "best_accuracy": float(scores.max()),
        "seconds_to": {goal: float(at[0]) if len(at) else None for goal, at in reached.items()},
    }
    print(f"\nCIFAR-10, {len(X_train):,} training images: {result}")
    return result


def device_name(device):
    """Return what the device is called."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def _done(result, device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return result


if __name__ == "__main__":
    main()

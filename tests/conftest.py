"""Settings of all tests."""

import os

# scikit-learn skips a check of its contract without it; read when scipy is imported
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# figures are drawn, but not on a screen
os.environ.setdefault("MPLBACKEND", "Agg")

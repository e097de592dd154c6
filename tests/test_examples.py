"""The scripts of the guide run as they are; here on few images, for one epoch."""

import os
import re
import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from sklearn.datasets import load_digits

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
# (script, what it prints, file that it leaves)
SCRIPTS = [
    ("architecture_search", "accuracy", "architecture_search.png"),
    ("halving_search", "Best:", None),
    ("image_files", "SVC: accuracy", None),
    ("nested_cross_validation", "Accuracy of the whole procedure", None),
    ("optuna_search", "OptunaSearchCV: accuracy", None),
    ("reading_curves", "It goes well", "reading_curves.png"),
    ("resumed_search", "Accuracy", "search_cache"),
]
# Pages whose blocks of code run one after the other.
PAGES = ["choosing", "evaluation"]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_python(path):
    compile(path.read_text(encoding="utf-8"), path, "exec")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "printed", "left"), SCRIPTS, ids=[s[0] for s in SCRIPTS])
def test_examples_run(name, printed, left, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](n_images=120, max_epochs=1)
    assert printed in capsys.readouterr().out
    assert os.listdir() == ([left] if left else [])


@pytest.mark.parametrize("page", PAGES)
def test_blocks_of_a_page_run(page, monkeypatch):
    X, y = load_digits(return_X_y=True)
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda **_: (X[:200], y[:200]))
    text = (EXAMPLES.parent / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert blocks
    exec("\n".join(blocks), {})
    plt.close("all")

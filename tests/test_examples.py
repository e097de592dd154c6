"""The scripts of the guide run as they are; here on few images, for one epoch."""

import functools
import importlib
import os
import runpy
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn_sets import write_sets
from learned import lite0_file
from sklearn.base import is_classifier, is_regressor

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
BENCHMARKS = EXAMPLES.parents[1] / "benchmarks"
# (script, what it prints, files that it leaves)
SCRIPTS = [
    ("architecture_search", "accuracy", ["architecture_search.png"]),
    ("attributions", "where marks are", ["attributions.png"]),
    ("calibration", "with a temperature: accuracy", ["calibration.png"]),
    ("halving_search", "Best:", []),
    ("image_files", "SVC: accuracy", []),
    ("nested_cross_validation", "Accuracy of the whole procedure", []),
    ("optuna_pruning", "by_a_loop: pruned", []),
    ("optuna_search", "OptunaSearchCV: accuracy", []),
    ("reading_curves", "It goes well", ["reading_curves.png"]),
    ("resumed_search", "Accuracy", ["search_cache"]),
]
# the same for those that import others: image_sets.py, drawings.py
TASKS = [
    ("answers", "How large, and where?", ["answers.png"]),
    ("age", "Mean absolute error", ["age.png", "age_worst.png"]),
    (
        "cats_and_dogs",
        "from learned weights",
        ["cats_and_dogs.png", "cats_and_dogs_scratch.png", "cats_and_dogs_weights.png"],
    ),
    ("clothing", "accuracy", ["clothing.png", "clothing_curve.png"]),
    ("conformal", "quantiles, conformalized: coverage", []),
    (
        "counting",
        "photos with learned weights: R²",
        [f"counting_{of}.png" for of in ("drawings", "photos", "photos_with_learned_weights")],
    ),
    ("depth", "network:", ["depth.png"]),
    ("digits", "accuracy", ["digits.png", "digits_worst.png"]),
    ("fine_tuning", "Fine-tuned is better in", ["fine_tuning.png"]),
    ("house_prices", "Median relative error", ["house_prices.png"]),
    ("imbalanced", "class_weight='balanced': balanced accuracy", ["imbalanced.png"]),
    ("key_points", "Mean distance", ["key_points.png"]),
    ("membranes", "IoU of membranes", ["membranes.png"]),
    ("road_scenes", "mean IoU", ["road_scenes.png"]),
    ("several_labels", "how common a label is", ["several_labels.png"]),
    ("small_photos", "accuracy", ["small_photos.png", "small_photos_worst.png"]),
]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """A folder with the sets, as SKLEARN_CNN_DATA names it."""
    folder = tmp_path_factory.mktemp("sets")
    write_sets(folder)
    return folder


@pytest.fixture
def image_sets(sets, tmp_path, monkeypatch):
    """The module of the examples that loads the sets, and their folder on the path."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    # a script imports what lies beside it; the next test imports it anew
    for path in (*EXAMPLES.glob("*.py"), *BENCHMARKS.glob("*.py")):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    module = importlib.import_module("image_sets")
    monkeypatch.setattr(module, "_CACHE", tmp_path / "cache")
    monkeypatch.setenv("SKLEARN_CNN_DATA", str(sets))
    return module


def run(name, folder, monkeypatch, **few):
    few = few or {"n_images": 120, "max_epochs": 1}
    folder.mkdir()
    monkeypatch.chdir(folder)
    runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](**few)
    plt.close("all")
    return sorted(os.listdir())


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_python(path):
    compile(path.read_text(encoding="utf-8"), path, "exec")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "printed", "left"), SCRIPTS, ids=[s[0] for s in SCRIPTS])
def test_examples_run(name, printed, left, tmp_path, monkeypatch, capsys):
    assert run(name, tmp_path / "run", monkeypatch) == left
    assert printed in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "printed", "left"), TASKS, ids=[t[0] for t in TASKS])
@pytest.mark.usefixtures("image_sets")
def test_tasks_run(name, printed, left, tmp_path, monkeypatch, capsys):
    if name == "cats_and_dogs":
        lite0_file()
    assert run(name, tmp_path / "run", monkeypatch) == left
    assert printed in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("image_sets")
def test_photos_and_tables_run_together(tmp_path, monkeypatch, capsys):
    lite0_file()
    left = run("photos_and_table", tmp_path / "run", monkeypatch, n_images=30, side=32)
    assert left == ["photos_and_table_cache"]
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "photos",
        "table",
        "both",
    ]


def test_tables_name_the_unpacked_images(image_sets):
    houses = image_sets.load_table("houses")
    train, test = image_sets.split(houses)
    assert len(train) == 30
    assert len(test) == 10
    assert all(os.path.isfile(path) for room in ("frontal", "kitchen") for path in houses[room])


def test_sets_that_are_not_there_say_where_to_look(image_sets, monkeypatch):
    monkeypatch.delenv("SKLEARN_CNN_DATA")
    with pytest.raises(FileNotFoundError, match=r"SKLEARN_CNN_DATA .* holds houses\.zip"):
        image_sets.load_table("houses")


def test_blocks_of_photos_are_read_in_order(image_sets):
    X, y, X_test, y_test = image_sets.load_cifar10_20k()
    assert X.shape == (100, 32, 32, 3)
    assert X_test.shape == (40, 32, 32, 3)
    # each photo is as light as its label says
    np.testing.assert_array_equal(np.round((X.mean((1, 2, 3)) - 29.5) / 18), y)
    np.testing.assert_array_equal(np.round((X_test.mean((1, 2, 3)) - 29.5) / 18), y_test)


@pytest.mark.parametrize("name", ["shapes", "blobs"])
def test_drawings_repeat(name):
    draw = runpy.run_path(str(EXAMPLES / "drawings.py"))[f"draw_{name}"]
    X, y = draw(20)
    again, y_again = draw(20)
    np.testing.assert_array_equal(X, again)
    np.testing.assert_array_equal(y, y_again)
    assert not np.array_equal(X, draw(20, seed=1)[0])
    # an image is brighter or more colourful the more there is on it
    count = y if y.ndim == 1 else y.sum(axis=1)
    assert np.corrcoef(count, X.reshape(20, -1).std(axis=1))[0, 1] > 0.5


def test_rooms_repeat_and_are_as_far_as_they_are_drawn():
    draw = runpy.run_path(str(EXAMPLES / "drawings.py"))["draw_rooms"]
    X, depths = draw(6)
    again = draw(6)
    np.testing.assert_array_equal(X, again[0])
    np.testing.assert_array_equal(depths, again[1])
    # the floor in front, seen from 1.5 metres above it along (0, -1.19, 1)
    np.testing.assert_allclose(depths[:, -1, 47:49], 1.5 * np.hypot(1.19, 1) / 1.19, rtol=0.01)
    # no wall is behind a room's farthest corner
    assert depths.max() < np.sqrt(4**2 + 3.2**2 + 9**2)


@pytest.mark.parametrize("name", ["age", "imbalanced"])
@pytest.mark.usefixtures("image_sets")
def test_task_recipes_are_estimators(name):
    estimator = runpy.run_path(str(EXAMPLES / f"{name}.py"))["make_estimator"](random_state=3)
    assert is_regressor(estimator) == (name == "age")
    assert is_classifier(estimator) == (name == "imbalanced")
    assert estimator.random_state == 3


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["house_prices", "photo_labels", "imbalanced", "clothing"])
@pytest.mark.usefixtures("image_sets")
def test_the_table_of_tasks_has_a_row_a_contender(name, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    tasks = importlib.import_module("tasks")
    tasks.main([name], only=["dummy", "pixels", "recipe"], n_seeds=None, quick=True)
    rows = [row for row in capsys.readouterr().out.splitlines() if row.startswith("|")]
    assert [row.split(" | ")[1] for row in rows] == ["dummy", "pixels", "recipe"]
    assert all(metric in row for metric in tasks.TASKS[name].scoring for row in rows)


@pytest.mark.usefixtures("image_sets")
def test_a_run_of_the_tasks_goes_on_where_another_ended(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    tasks = importlib.import_module("tasks")
    monkeypatch.setattr(tasks, "RESULTS", tmp_path / "tasks.json")
    tasks.store("imbalanced", "dummy", {"balanced accuracy": [0.5], "seconds": [1.0]})
    run = functools.partial(tasks.main, ["imbalanced"], ["dummy"], 1, False)
    run(resume=True)
    assert tasks.kept_results()["imbalanced"]["dummy"]["balanced accuracy"] == [0.5]
    run()
    assert tasks.kept_results()["imbalanced"]["dummy"]["balanced accuracy"] == [0.1]


@pytest.mark.usefixtures("image_sets")
def test_results_of_tasks_are_merged(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    tasks = importlib.import_module("tasks")
    monkeypatch.setattr(tasks, "RESULTS", tmp_path / "tasks.json")
    tasks.store("digits", "recipe", {"accuracy": [0.5]})
    tasks.store("age", "dummy", {"MAE": [21.0, 22.0]})
    tasks.store("digits", "recipe", {"accuracy": [0.75]})
    kept = tasks.kept_results()
    assert kept["digits"]["recipe"]["accuracy"] == [0.75]
    assert kept["age"]["dummy"]["MAE"] == [21.0, 22.0]
    assert kept["age"]["dummy"]["measured"]["torch"]

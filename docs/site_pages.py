"""What the site has beside the pages of this folder: reference, results, figures of examples.

The guides are Markdown that reads well as it lies in the repository, with links that work there.
For the site they are led to the pages that it makes of their targets. What is written for it goes
to `api`, `repository` and `auto_examples`, which git ignores.
"""

import inspect
import json
import re
import shutil
import zlib
from pathlib import Path

# the gallery looks at what the examples import
from sklearn.experimental import enable_halving_search_cv  # noqa: F401

import sklearn_cnn
from sklearn_cnn import architectures, inspection, metrics, model_selection, plots

DOCS = Path(__file__).parent
ROOT = DOCS.parent
RESULTS = "benchmarks/results"
# what the guides link to outside of this folder, where it lies in the repository
COPIES = DOCS / "repository"
# from this folder
EMPTY_INVENTORY = "repository/empty.inv"

# Examples that run while the site is built, each within two minutes, on digits or drawings.
RUN = ["answers", "quickstart", "reading_curves", "calibration", "augmentation", "attributions"]
RUN_EXAMPLES = rf"/({'|'.join(RUN)})\.py$"
# Sections of the reference, by the part of the package that a name comes from.
SECTIONS = {
    "_classifier": "Estimators",
    "_regressor": "Estimators",
    "_features": "Estimators",
    "architectures": "Architectures",
    "augmentation": "Augmentation",
    "images": "Images and files",
    "inspection": "Inspection",
    "metrics": "Metrics",
    "model_selection": "Model selection",
    "plots": "Plots",
}
# Tasks in benchmarks/results/tasks.json of an example, where they are not called like it.
TASKS = {"counting": ["blobs", "photo_counts"], "several_labels": ["shapes", "photo_labels"]}
LOWER_IS_BETTER = {"MAE", "distance", "median error"}


def example_order(filename):
    """Return the key that puts examples that run first, in the order of `RUN`, then the others."""
    name = Path(filename).stem
    return (RUN.index(name), name) if name in RUN else (len(RUN) + is_helper(name), name)


def is_helper(name):
    """Say whether an example is no program, but what other examples import."""
    return "__main__" not in (DOCS / "examples" / f"{name}.py").read_text(encoding="utf-8")


def public_names():
    """Return what is public, named from `sklearn_cnn` on, by the title of its section."""
    names = {name: getattr(sklearn_cnn, name) for name in sklearn_cnn.__all__}
    for module in (architectures, inspection, metrics, model_selection, plots):
        prefix = module.__name__.removeprefix("sklearn_cnn.")
        for name in set(module.__all__) - set(sklearn_cnn.__all__):
            names[f"{prefix}.{name}"] = getattr(module, name)
    sections = {title: [] for title in SECTIONS.values()}
    for name, thing in sorted(names.items()):
        room = thing.__module__.split(".")[1]
        title = SECTIONS.get(room, room.strip("_").replace("_", " ").capitalize())
        sections.setdefault(title, []).append(name)
    return sections


def write_pages(_app, _config):
    """Write what is made of the package and of the rest of the repository."""
    write_reference(DOCS / "api" / "index.rst")
    shutil.rmtree(COPIES, ignore_errors=True)
    # README.md lists the others, as results.md does here
    linked = {"CHANGELOG.md", *(f"{RESULTS}/{p.name}" for p in (ROOT / RESULTS).glob("[a-z]*.md"))}
    for page in DOCS.glob("*.md"):
        linked |= set(re.findall(r"\]\(\.\./([^)#]+)", page.read_text(encoding="utf-8")))
    for path in linked:
        (COPIES / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, COPIES / path)
    lines = ["# Sphinx inventory version 2", "# Project: none", "# Version:", "# zlib:", ""]
    (DOCS / EMPTY_INVENTORY).write_bytes("\n".join(lines).encode() + zlib.compress(b""))
    results = json.loads((ROOT / RESULTS / "tasks.json").read_text(encoding="utf-8"))
    for script in (DOCS / "examples").glob("*.py"):
        tasks = TASKS.get(script.stem, [script.stem])
        if set(tasks) <= set(results):
            draw_scores({task: results[task] for task in tasks}, COPIES / f"{script.stem}.svg")


def write_reference(path):
    """Write the page that lists all public names; autosummary makes a page of each."""
    text = (
        "API reference\n=============\n\n.. currentmodule:: sklearn_cnn\n\n"
        "What scikit-learn itself gives its estimators (`set_output`, `fit_transform`, "
        "`set_fit_request` and the like) is as there, and not repeated here.\n"
    )
    for title, names in public_names().items():
        text += f"\n{title}\n{'-' * len(title)}\n\n"
        text += ".. autosummary::\n   :toctree: .\n   :nosignatures:\n\n"
        text += "".join(f"   {name}\n" for name in names)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


def draw_scores(results, path):
    """Draw the mean test score of each contender, an axes a task."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(results), figsize=(5.5 * len(results), 2.2), layout="constrained", squeeze=False
    )
    for ax, (task, contenders) in zip(axes[0], results.items(), strict=True):
        metric = next(iter(contenders["recipe"]))
        scores = {name: sum(c[metric]) / len(c[metric]) for name, c in contenders.items()}
        names = sorted(scores, key=scores.get, reverse=metric in LOWER_IS_BETTER)
        colours = ["C0" if name.startswith("recipe") else "0.7" for name in names]
        bars = ax.barh(names, [scores[name] for name in names], color=colours)
        ax.bar_label(bars, fmt="%.3g", padding=3)
        better = ", lower is better" if metric in LOWER_IS_BETTER else ""
        ax.set(title=f"{task}: {metric} of the test{better}", xticks=[])
        ax.spines[["top", "right", "bottom"]].set_visible(False)
        ax.margins(x=0.12)
    figure.savefig(path)
    plt.close(figure)


def lead_links(_app, docname, source):
    """Lead the links of a guide to pages of the site, and add what only the site needs."""
    folder, _, name = docname.rpartition("/")
    text = source[0]
    if folder == "auto_examples" and (DOCS / "examples" / f"{name}.py").exists():
        text = with_note(name, text)
    elif not folder:
        text = text.replace("](../", "](repository/")
        text = re.sub(r"\]\(examples/(\w+)\.py\)", r"](auto_examples/\1.rst)", text)
        text = text.replace("](examples)", "](auto_examples/index.rst)")
    if docname == "README":
        text += toctree(guides(text))
    elif docname == "results":
        pages = sorted(path.stem for path in (COPIES / RESULTS).glob("*.md"))
        text += toctree([f"repository/{RESULTS}/{page}" for page in pages])
    source[0] = text


def guides(text):
    """Return the guides in the order of the user guide's list, then those that it leaves out."""
    of_the_front_page = {"index", "README", "results", "decisions"}
    found = sorted(path.stem for path in DOCS.glob("*.md"))
    listed = [name for name in re.findall(r"\]\((\w+)\.md\)", text) if name in found]
    return [name for name in dict.fromkeys([*listed, *found]) if name not in of_the_front_page]


def toctree(names):
    """Return a hidden table of contents in Markdown."""
    lines = ["", "", "```{toctree}", ":hidden:", "", *names, "```", ""]
    return "\n".join(lines)


def with_note(name, text):
    """Return the page of an example that is not run with a note, and with what was measured."""
    if re.search(RUN_EXAMPLES, f"/{name}.py") or is_helper(name):
        return text
    note = (
        ".. note::\n\n   This script is not run while the site is built: it takes minutes, or"
        " packages or image sets that do not come with the site."
    )
    if (COPIES / f"{name}.svg").exists():
        note += (
            " The figure is what `benchmarks/tasks.py` measured of it and of others on the same"
            f" images; :doc:`/repository/{RESULTS}/tasks` has the conditions and what the names"
            f" mean.\n\n.. image:: /repository/{name}.svg\n   :alt: Test scores of {name}\n\n"
        )
    code = text.index(".. code-block:: Python")
    return f"{text[:code]}{note}\n\n{text[code:]}"


def show_scores(_app):
    """Make measured scores the small figures of examples that are not run."""
    small = DOCS / "auto_examples" / "images" / "thumb"
    for figure in COPIES.glob("*.svg"):
        shutil.copy(figure, small / f"sphx_glr_{figure.stem}_thumb.svg")


def skip_what_is_not_ours(_app, _what, _name, thing, skip, _options):
    """Leave out of a class what it inherits from scikit-learn."""
    function = inspect.unwrap(getattr(thing, "fget", None) or thing)
    ours = (getattr(function, "__module__", None) or "").startswith("sklearn_cnn")
    return skip or not ours


def setup(app):
    """Connect all of it."""
    # before pages are looked for
    app.connect("config-inited", write_pages)
    # behind the gallery, which waits for the same event
    app.connect("builder-inited", show_scores, priority=900)
    app.connect("source-read", lead_links)
    app.connect("autodoc-skip-member", skip_what_is_not_ours)
    return {"parallel_read_safe": True}

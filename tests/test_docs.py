"""The Python of the README and of the guides runs, and their links lead somewhere.

Each page is one program: its blocks run in order and share their names. They run on few digits,
for one epoch a fit, in this process whatever `n_jobs` says. Shell commands are not run.
"""

import asyncio
import functools
import io
import re
from dataclasses import replace
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from image_files import noise, write_images
from PIL import Image
from sklearn import datasets
from sklearn.utils import Bunch

from sklearn_cnn import CNNClassifier, _base
from sklearn_cnn.architectures import ConvNet, UNet

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in FILES}
# run by tests of their own
OTHERS = SEVERAL_MACHINES, SERVING = "docs/distributed.md", "docs/serving.md"
SETS_AND_INTERVALS = "docs/conformal.md"
PARTS = ["train", "train", "train", "test", "test"]


def blocks(text):
    """Return the blocks of Python of a page, each on the lines that it has there."""
    found = re.finditer(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    return ["\n" * text[: block.start(1)].count("\n") + block[1] for block in found]


def run(page, text):
    """Run the blocks of a page, and return the names that they leave."""
    names = {"__name__": "__main__"}
    with joblib.parallel_config("sequential"):
        for block in blocks(text):
            exec(compile(block, page, "exec"), names)
    plt.close("all")
    return names


@pytest.fixture
def page():
    """The page whose blocks run, where a test does not name it."""


@pytest.fixture
def few_digits(monkeypatch, page):
    """Few digits, and one epoch a fit."""
    load, train = datasets.load_digits, _base.train

    def load_few(*, return_X_y=False):
        digits = load()
        # class by class needs ten of each to calibrate
        n_digits = 400 if page == SETS_AND_INTERVALS else 60
        few = Bunch(**{name: digits[name][:n_digits] for name in ("data", "target", "images")})
        return (few.data, few.target) if return_X_y else few

    def train_once(net, batches, plan, *rest):
        train(net, batches, replace(plan, n_epochs=1), *rest)

    monkeypatch.setattr(datasets, "load_digits", load_few)
    monkeypatch.setattr(_base, "train", train_once)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The image files and the table that the pages name, in the folder that they run in."""
    monkeypatch.chdir(tmp_path)
    rows = ["image,kind,part"]
    for seed, kind in enumerate(["cat", "dog"]):
        images = [noise(20 + number, 24, seed=2 * number + seed) for number in range(5)]
        paths = write_images(tmp_path / "pets" / kind, images, "jpg")
        rows += [f"{path},{kind},{part}" for path, part in zip(paths, PARTS, strict=True)]
    Path("pets.csv").write_text("\n".join(rows))
    Path(write_images(tmp_path, [noise()], "jpg")[0]).rename("new.jpg")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("few_digits", "files")
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(PAGES[p]) and p not in OTHERS])
def test_python_of_a_page_runs(page):
    run(page, PAGES[page])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("few_digits")
def test_python_of_several_machines_runs(monkeypatch):
    # workers are threads here; those of test_distributed.py are processes
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
    threads = functools.partial(distributed.LocalCluster, processes=False, dashboard_address=None)
    monkeypatch.setattr("dask.distributed.LocalCluster", threads)
    # what the page sets is put back
    manager = {"distributed.scheduler.active-memory-manager.start": True}
    with dask.config.set(manager), threads(n_workers=1, threads_per_worker=1) as cluster:
        text = PAGES[SEVERAL_MACHINES]
        assert "scheduler-address:8786" in text
        names = run(
            SEVERAL_MACHINES, text.replace("scheduler-address:8786", cluster.scheduler_address)
        )
        names["client"].close()
    assert names["search"].best_params_.keys() == {"lr"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("few_digits", "files")
def test_the_service_answers_uploads():
    pytest.importorskip("fastapi")
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("onnxruntime")
    images = [noise(20, 24, 3, seed) for seed in range(6)]
    masks = [np.array(["road", "sky"])[image[..., 0] // 128] for image in images]
    roads = CNNClassifier(UNet((4, 8)), image_shape=(16, 16), max_epochs=1, random_state=0)
    roads.fit(images, masks).save("roads.model")
    names = run(SERVING, PAGES[SERVING])
    app = names["app"]

    async def post(*contents, to="/predict", name="images"):
        uploads = [(name, ("upload.jpg", content, "image/jpeg")) for content in contents]
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.post(to, files=uploads)

    photo = Path("new.jpg").read_bytes()
    answer = asyncio.run(post(photo, to="/mask", name="image"))
    with Image.open(io.BytesIO(answer.content)) as mask:
        expected = roads.predict_original_size(["new.jpg"])[0]
        np.testing.assert_array_equal(roads.classes_[np.asarray(mask)], expected)
    assert asyncio.run(post(photo[:100], to="/mask", name="image")).status_code == 422
    reply = asyncio.run(post(photo, Path("pets/cat/0000.jpg").read_bytes()))
    assert reply.status_code == 200
    assert [list(answer) for answer in reply.json()] == [["cat", "dog"]] * 2
    assert all(sum(answer.values()) == pytest.approx(1) for answer in reply.json())
    refused = asyncio.run(post(photo, photo[:100]))
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("X[1]: ")
    known = names["model"].predict_proba(["new.jpg"])
    np.testing.assert_allclose(names["probabilities"], known, atol=0.02)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_files_are_answered_without_torch_as_with_it(dtype, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    scale = np.iinfo(dtype).max // 255
    images = [noise(20 + seed, 24, 1, seed).astype(dtype) * scale for seed in range(6)]
    paths = write_images(tmp_path, images)
    model = CNNClassifier(ConvNet((4,)), image_shape=(14, 12), max_epochs=1, random_state=0)
    model.fit(paths, [0, 1] * 3).to_onnx("pets.onnx", paths)
    *_, without_torch = blocks(PAGES[SERVING])
    names = {}
    exec(without_torch.replace("new.jpg", "0000.png"), names)
    known = model.predict_proba(paths[:1])
    atol = 0.02 if dtype == np.uint8 else 1e-4
    np.testing.assert_allclose(names["probabilities"], known, atol=atol)


def test_pages_with_python_are_found():
    assert sum(len(blocks(text)) for text in PAGES.values()) > 40


def headings(path):
    """Return what `#` may name on a page, as GitHub makes it of headings."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", FILES, ids=PAGES)
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\((?!https?://)([^)]+)\)", text):
        file, _, heading = link.partition("#")
        target = path.parent / file if file else path
        assert target.exists(), link
        assert not heading or heading in headings(target), link

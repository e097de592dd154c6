"""The estimators on files: every container, size, way of reading, and broken file."""

import gc
import io
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from image_files import noise, png, write_images
from listed import Listed
from PIL import Image
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_cnn import CNNClassifier, CNNFeatures, CNNRegressor, ImageReader
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.images import ReadOptions, _cached_files, _encoded, _options, read_images
from sklearn_cnn.images._lazy import LazyImages
from sklearn_cnn.images._resizing import convert_channels, resize
from sklearn_cnn.training.batches import read_ahead

N = 12
IMAGES = [noise(8, 7, seed=seed) for seed in range(N)]
Y = np.arange(N) % 2


def small(estimator=CNNClassifier, **params):
    params = {"max_epochs": 2, "batch_size": 5, "random_state": 0, **params}
    return estimator(ConvNet((4,)), **params)


def read(X, **params):
    """Return the images of X as the estimators read them."""
    return read_images(X, ReadOptions(**{"in_memory": "auto", **params})).images


@pytest.fixture
def paths(tmp_path):
    return write_images(tmp_path / "good", IMAGES)


@pytest.fixture
def broken(tmp_path):
    """Return the path of a file whose header is good and whose pixels are not."""
    content = Path(write_images(tmp_path / "broken", [IMAGES[0]])[0]).read_bytes()
    path = tmp_path / "broken.png"
    path.write_bytes(content[:-60])
    return str(path)


def assert_same_fit(one, other, X=None):
    """Check that weights, losses and predictions are bit for bit the same."""
    for name, weights in one.module_.state_dict().items():
        assert torch.equal(weights, other.module_.state_dict()[name]), name
    assert one.loss_curve_ == other.loss_curve_
    assert one.validation_scores_ == other.validation_scores_
    X = np.stack(IMAGES) if X is None else X
    assert np.array_equal(one.decision_function(X), other.decision_function(X))


def objects(cells, shape=-1):
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array.reshape(shape)


CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "str array": np.array,
    "object array": objects,
    "object column": lambda cells: objects(cells, (-1, 1)),
    "str column": lambda cells: np.array(cells).reshape(-1, 1),
    "pandas object": lambda cells: pd.Series(cells, dtype=object, index=range(5, 5 + len(cells))),
    "pandas string": lambda cells: pd.Series(cells, dtype="string[python]"),
    "pandas arrow": lambda cells: pd.Series(cells, dtype="string[pyarrow]"),
    "pandas frame": lambda cells: pd.DataFrame({"path": cells}),
    "pandas index": pd.Index,
    "polars series": pl.Series,
    "polars frame": lambda cells: pl.DataFrame({"path": cells}),
    "Path": lambda cells: [Path(cell) for cell in cells],
    "Path objects": lambda cells: objects([Path(cell) for cell in cells]),
    "PIL": lambda cells: [Image.open(cell) for cell in cells],
    "PIL series": lambda cells: pd.Series([Image.open(cell) for cell in cells]),
    "mixed": lambda cells: [Image.open(cells[0]), Path(cells[1]), *cells[2:]],
}


def content(path):
    return Path(path).read_bytes()


def written(path):
    """Return a buffer that was written to, and is at its end."""
    buffer = io.BytesIO()
    buffer.write(content(path))
    return buffer


def opened(path, mode="rb"):
    """Return an open file."""
    return open(path, mode)


def record(path):
    """Return an image as Hugging Face's columns hold it."""
    return {"bytes": content(path), "path": None}


# what comes over a wire: the content of files
CONTENTS = {
    "bytes": lambda cells: list(map(content, cells)),
    "bytes tuple": lambda cells: tuple(map(content, cells)),
    "bytes array": lambda cells: np.array(list(map(content, cells))),
    "bytes column": lambda cells: np.array(list(map(content, cells))).reshape(-1, 1),
    "bytes objects": lambda cells: objects(list(map(content, cells))),
    "bytes series": lambda cells: pd.Series(list(map(content, cells))),
    "bytes frame": lambda cells: pd.DataFrame({"image": list(map(content, cells))}),
    "bytes of polars": lambda cells: pl.Series(list(map(content, cells))),
    "bytearrays": lambda cells: [bytearray(content(cell)) for cell in cells],
    "memoryviews": lambda cells: [memoryview(content(cell)) for cell in cells],
    "buffers": lambda cells: list(map(written, cells)),
    "buffers frame": lambda cells: pd.DataFrame({"image": list(map(written, cells))}),
    "open files": lambda cells: list(map(opened, cells)),
    "records": lambda cells: list(map(record, cells)),
    "records frame": lambda cells: pd.DataFrame({"image": list(map(record, cells))}),
    "records of polars": lambda cells: pl.DataFrame({"image": list(map(record, cells))}),
    "records column": lambda cells: objects(list(map(record, cells)), (-1, 1)),
    "records of paths": lambda cells: [{"bytes": None, "path": cell} for cell in cells],
    "bytes, buffer, record, path": lambda cells: [
        content(cells[0]),
        written(cells[1]),
        record(cells[2]),
        *cells[3:],
    ],
}
CONTAINERS |= CONTENTS
if hasattr(np.dtypes, "StringDType"):
    CONTAINERS["NumPy strings"] = lambda cells: np.array(cells, dtype=np.dtypes.StringDType())


@pytest.mark.parametrize("container", CONTAINERS)
def test_containers_are_read_to_the_pixels_of_the_files(container, paths):
    images = read(CONTAINERS[container](paths))
    assert images.dtype == torch.uint8
    assert np.array_equal(images.numpy(), np.stack(IMAGES))


SAME = ["list", "pandas arrow", "PIL", "mixed", "bytes", "buffers", "open files", "records"]


@pytest.mark.parametrize("container", SAME)
def test_an_image_is_the_same_as_file_and_as_array(container, paths):
    X = CONTAINERS[container](paths)
    fitted = small().fit(X, Y)
    assert_same_fit(fitted, small().fit(np.stack(IMAGES), Y))
    assert np.array_equal(fitted.predict_proba(X), fitted.predict_proba(np.stack(IMAGES)))
    assert fitted.score(X, Y) == fitted.score(np.stack(IMAGES), Y)


# what a thermal camera says, which fills a hundredth of 16 bits
DEEP = np.random.default_rng(0).integers(7300, 7900, (N, 8, 7)).astype(np.uint16)


@pytest.mark.parametrize("extension", ["png", "tif"])
@pytest.mark.parametrize("params", [{}, {"in_memory": False}, {"image_shape": (6, 6)}], ids=str)
def test_gray_of_16_bits_is_the_same_as_file_and_as_array(tmp_path, extension, params):
    paths = write_images(tmp_path, DEEP, extension)
    expected = small(**params).fit(DEEP, Y)
    pictures = [Image.fromarray(image) for image in DEEP]
    for X in paths, pictures, Listed(pictures), Listed(list(DEEP)):
        assert_same_fit(expected, small(**params).fit(X, Y), X)


def test_files_of_8_and_of_16_bits_are_refused_together(tmp_path):
    paths = write_images(tmp_path, [*DEEP[:2], IMAGES[2][..., 0]])
    with pytest.raises(ValueError, match=r"^X\[2\], '.*2.png' holds uint8, but X\[0\], .* uint16"):
        small().fit(paths, Y[:3])
    for X in [Image.open(path) for path in paths], Listed([Image.open(path) for path in paths]):
        with pytest.raises(ValueError, match=r"^X\[2\] holds uint8, but X\[0\] holds uint16"):
            small().fit(X, Y[:3])


@pytest.mark.parametrize("memory", [None, "cache"])
def test_colours_of_16_bits_are_cut_with_a_warning(tmp_path, memory):
    values = np.random.default_rng(0).integers(0, 65536, (8, 7, 3)).astype(">u2")
    (tmp_path / "deep.png").write_bytes(png(7, 8, 16, 2, [row.tobytes() for row in values]))
    X = [*write_images(tmp_path, IMAGES[:3]), str(tmp_path / "deep.png")]
    memory = None if memory is None else tmp_path / memory
    with pytest.warns(UserWarning, match=r"1 of 4 files of X have 16 bits .* X\[3\], '.*deep.png'"):
        images = read(X, memory=memory)
    assert np.array_equal(images[:][3].numpy(), values >> 8)


def test_a_ppm_of_16_bits_a_colour_is_cut_with_a_warning(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (8, 7, 3)).astype(">u2")
    (tmp_path / "deep.ppm").write_bytes(b"P6\n7 8\n65535\n" + values.tobytes())
    (tmp_path / "bytes.ppm").write_bytes(b"P6\n7 8\n255\n" + (values >> 8).astype("u1").tobytes())
    X = [str(tmp_path / name) for name in ("bytes.ppm", "deep.ppm")]
    with pytest.warns(UserWarning, match=r"1 of 2 files of X have 16 bits .* X\[1\], '.*deep.ppm'"):
        images = read(X)
    assert abs(images[0].int() - images[1].int()).max() <= 1


def test_features_are_counted_in_columns_only(paths):
    column = small().fit(pd.DataFrame({"path": paths}), Y)
    assert (column.n_features_in_, column.feature_names_in_.tolist()) == (1, ["path"])
    assert not hasattr(small().fit(paths, Y), "n_features_in_")


@pytest.mark.parametrize("container", ["list", "str array", "pandas arrow", "polars frame"])
def test_cross_validation_and_search(container, paths):
    X = CONTAINERS[container](paths)
    expected = cross_val_score(small(max_epochs=1), np.stack(IMAGES), Y, cv=2)
    assert np.array_equal(cross_val_score(small(max_epochs=1), X, Y, cv=2), expected)
    train, test, y_train, _ = train_test_split(X, Y, stratify=Y, random_state=0)
    assert small(max_epochs=1).fit(train, y_train).predict(test).shape == (3,)


def test_a_column_of_a_table(paths):
    table = pd.DataFrame({"path": paths, "area": np.arange(N)})
    columns = ColumnTransformer(
        [("images", small(max_epochs=1), ["path"])], remainder="passthrough"
    )
    features = columns.fit_transform(table, Y)
    assert features.shape[0] == N
    assert np.array_equal(features[:, -1], np.arange(N))
    pipeline = make_pipeline(small(max_epochs=1)).fit(table[["path"]], Y)
    assert pipeline.predict(table[["path"]]).shape == (N,)


@pytest.mark.parametrize("place", [0, 3])
@pytest.mark.parametrize(
    "cell", [None, float("nan"), pd.NA, 3, ["a.png"]], ids=lambda cell: repr(cell)
)
@pytest.mark.parametrize("container", ["list", "object column", "pandas object"])
def test_what_is_no_path_is_named_by_its_place(container, place, cell, paths):
    paths[place] = cell
    is_missing = cell is None or cell is pd.NA or cell != cell
    reason = "there is no image, but" if is_missing else f"a {type(cell).__name__} where paths"
    with pytest.raises(ValueError, match=rf"^X\[{place}\]: {reason}"):
        small().fit(CONTAINERS[container](paths), Y)


def test_what_has_no_order_is_refused(paths):
    for X in (set(paths), dict.fromkeys(paths), (path for path in paths)):
        with pytest.raises(TypeError):
            small().fit(X, Y)


# --- Sizes and channels --------------------------------------------------------------------------

SIZES = [(6, 9), (8, 8), (5, 4), (12, 7)]


def test_mixed_sizes_are_listed_with_what_to_write(tmp_path):
    paths = write_images(tmp_path, [noise(*size) for size in SIZES])
    with pytest.raises(ValueError, match=r"X holds images of 4 sizes: \(5, 4\), \(6, 9\)") as error:
        small().fit(paths, Y[:4])
    assert "Write image_shape=(height, width)" in str(error.value)


@pytest.mark.parametrize("mode", ["squash", "crop", "pad"])
@pytest.mark.parametrize("channels", [1, 3])
def test_files_are_resized_as_arrays_are(tmp_path, mode, channels):
    images = [noise(*size, channels=channels) for size in SIZES]
    paths = write_images(tmp_path, images)
    found = read(paths, image_shape=(7, 6), resize_mode=mode)
    for row, image in zip(found, images, strict=True):
        alone = torch.from_numpy(image.reshape(1, *image.shape[:2], channels))
        assert torch.equal(row, resize(alone, (7, 6), mode)[0])


def test_gray_among_colour_becomes_colour(tmp_path):
    images = [noise(), noise(channels=1)]
    found = read(write_images(tmp_path, images))
    assert np.array_equal(found[0], images[0])
    assert np.array_equal(found[1], np.dstack([images[1]] * 3))


def test_all_gray_stays_gray_and_makes_colour_gray_in_prediction(tmp_path):
    gray = [noise(channels=1, seed=seed) for seed in range(4)]
    estimator = small().fit(write_images(tmp_path / "gray", gray), Y[:4])
    assert estimator.image_shape_ == (6, 5, 1)
    colour = [noise(seed=seed) for seed in range(3)]
    by_pillow = [np.asarray(Image.fromarray(image).convert("L")) for image in colour]
    predicted = estimator.predict_proba(write_images(tmp_path / "colour", colour))
    assert np.array_equal(predicted, estimator.predict_proba(np.stack(by_pillow)))


def test_fitted_on_colour_gray_is_colour_in_prediction(tmp_path):
    estimator = small().fit(write_images(tmp_path / "a", IMAGES), Y)
    gray = noise(8, 7, channels=1)
    predicted = estimator.predict_proba(write_images(tmp_path / "b", [gray]))
    assert np.array_equal(predicted, estimator.predict_proba(np.dstack([gray] * 3)[np.newaxis]))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("is_pil", [False, True])
def test_image_shape_names_the_channels(tmp_path, channels, is_pil):
    images = [noise(channels=c) for c in (1, 3, 4)]
    X = write_images(tmp_path, images)
    X = [Image.open(path) for path in X] if is_pil else X
    found = read(X, image_shape=(6, 5, channels))
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    expected = [np.asarray(Image.fromarray(image).convert(mode)) for image in images]
    assert np.array_equal(found.numpy(), np.stack(expected).reshape(found.shape))


def test_two_channels_are_refused(paths):
    with pytest.raises(ValueError, match=r"image_shape=\(8, 7, 2\) asks for 2 channels"):
        small(image_shape=(8, 7, 2)).fit(paths, Y)


def test_another_size_in_prediction_is_an_error(tmp_path, paths):
    estimator = small().fit(paths, Y)
    with pytest.raises(ValueError, match=r"fitted on images of 8 x 7 x 3"):
        estimator.predict(write_images(tmp_path / "other", [noise(9, 9)]))


# --- Read while training -------------------------------------------------------------------------


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("estimator", [CNNClassifier, CNNRegressor])
def test_streaming_learns_the_same(estimator, weighted, early_stopping, paths):
    weights = np.arange(N) if weighted else None
    one, other = (
        small(estimator, in_memory=in_memory, early_stopping=early_stopping).fit(paths, Y, weights)
        for in_memory in (True, False)
    )
    for name, value in one.module_.state_dict().items():
        assert torch.equal(value, other.module_.state_dict()[name])
    assert np.array_equal(one.predict(paths), other.predict(paths))
    assert one.validation_scores_ == other.validation_scores_


def test_streaming_a_validation_set_and_features(paths):
    one, other = (
        small(in_memory=in_memory).fit(paths, Y, X_val=paths[:5], y_val=Y[:5])
        for in_memory in (True, False)
    )
    assert_same_fit(one, other)
    assert np.array_equal(one.transform(paths), other.transform(paths))


def test_streaming_resizes_the_same(tmp_path):
    paths = write_images(tmp_path, [noise(6 + seed, 9, seed=seed) for seed in range(N)])
    one, other = (
        small(in_memory=in_memory, image_shape=(8, 7)).fit(paths, Y) for in_memory in (True, False)
    )
    assert_same_fit(one, other)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_memmap_beyond_the_free_memory_is_streamed(tmp_path, monkeypatch, dtype):
    np.save(tmp_path / "X.npy", np.stack(IMAGES).astype(dtype))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    kept = small().fit(mapped, Y)
    assert not isinstance(read(mapped), LazyImages)
    monkeypatch.setattr(_options, "free_memory", lambda: mapped.nbytes)
    assert isinstance(read(mapped), LazyImages)
    assert_same_fit(kept, small().fit(mapped, Y), mapped)


def test_files_beyond_the_free_memory_are_streamed(paths, monkeypatch):
    monkeypatch.setattr(_options, "free_memory", lambda: 2 * np.stack(IMAGES).nbytes)
    assert not isinstance(read(paths), LazyImages)
    monkeypatch.setattr(_options, "free_memory", lambda: 2 * np.stack(IMAGES).nbytes - 1)
    assert isinstance(read(paths), LazyImages)
    assert not isinstance(read(paths, in_memory=True), LazyImages)


def test_threads_end(paths):
    before = threading.active_count()
    small(in_memory=False).fit(paths, Y).predict(paths)
    assert threading.active_count() == before


def test_a_consumer_that_stops_early_leaves_no_thread(paths):
    images = read(paths, in_memory=False)
    before = threading.active_count()
    batches = read_ahead(images, [slice(start, start + 2) for start in range(0, N, 2)])
    assert torch.equal(next(batches), torch.from_numpy(np.stack(IMAGES[:2])))
    batches.close()
    assert threading.active_count() == before


def test_an_interrupt_in_training_leaves_no_thread(paths):
    def interrupt(_):
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        small(in_memory=False, augmentation=interrupt).fit(paths, Y)
    gc.collect()
    assert threading.active_count() == before


@pytest.mark.parametrize("in_memory", [True, False])
def test_ctrl_c_while_files_are_read_ends_the_fit(in_memory, paths, monkeypatch):
    decode_file = _encoded.decode_file

    def slow(file, with_alpha=False):
        time.sleep(0.05)
        return decode_file(file, with_alpha)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_encoded, "decode_file", slow)
    threads, before = threading.active_count(), signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        start = time.monotonic()
        # a minute of reading
        with pytest.raises(KeyboardInterrupt):
            small(in_memory=in_memory).fit(paths * 100, np.tile(Y, 100))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - start < 30
    gc.collect()
    assert threading.active_count() == threads


# --- Broken files --------------------------------------------------------------------------------


def make_missing(path):
    os.unlink(path)


def make_empty(path):
    Path(path).write_bytes(b"")


def make_text(path):
    Path(path).write_text("no image at all")


def make_truncated(path):
    Path(path).write_bytes(Path(path).read_bytes()[:-60])


def make_directory(path):
    os.unlink(path)
    os.mkdir(path)


def make_pipe(path):
    os.unlink(path)
    os.mkfifo(path)


def make_huge(path):
    Path(path).write_bytes(png(2**30, 2**30, 8, 2, [b"\0" * 9]))


def make_svg(path):
    Path(path).write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    )


def make_eps(path):
    Path(path).write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n")


DAMAGES = [
    make_missing,
    make_empty,
    make_text,
    make_truncated,
    make_directory,
    make_pipe,
    make_huge,
    make_svg,
    make_eps,
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("way", [{}, {"in_memory": False}, {"memory": True}], ids=str)
def test_a_broken_file_is_one_error_that_names_it(tmp_path, damage, way, paths):
    if "memory" in way:
        way = {"memory": tmp_path / "cache"}
    estimator = small(**way).fit(paths, Y)
    before = dict(vars(estimator))
    damage(paths[7])
    for method in (lambda: estimator.fit(paths, Y), lambda: estimator.predict(paths)):
        with pytest.raises(ValueError) as error:  # noqa: PT011 (the message is checked below)
            method()
        assert str(error.value).startswith(f"X[7], {paths[7]!r}: ")
    assert vars(estimator).keys() == before.keys()
    assert all(vars(estimator)[name] is value for name, value in before.items())


@pytest.mark.parametrize("url", ["https://example.org/cat.png", "s3://bucket/cat.png"])
def test_addresses_are_not_fetched(url, paths):
    with pytest.raises(ValueError, match=rf"X\[11\], '{url}': no such file"):
        small().fit([*paths[:-1], url], Y)


@pytest.mark.parametrize("damage", [make_empty, make_text, make_truncated, make_huge, make_eps])
@pytest.mark.parametrize("container", ["bytes", "bytes array", "buffers", "records frame"])
def test_broken_content_is_one_error_that_names_its_row(container, damage, paths):
    contain = CONTAINERS[container]
    estimator = small().fit(contain(paths), Y)
    before = dict(vars(estimator))
    damage(paths[7])
    reasons = []
    for X in (contain(paths), paths):
        with pytest.raises(ValueError, match=r"^X\[7\]") as error:
            estimator.fit(X, Y)
        reasons.append(str(error.value).partition(": ")[2])
        with pytest.raises(ValueError, match=r"^X\[7\]"):
            estimator.predict(X)
    assert vars(estimator) == before
    if container != "bytes array":  # which NumPy fills up with zeros
        assert reasons[0] == reasons[1]


def test_broken_content_can_be_left_out(paths):
    X = CONTAINERS["bytes"](paths)
    with pytest.warns(UserWarning, match=r"1 of 12 files of X .* X\[7\]: it is no image"):
        fitted = small(handle_broken="skip").fit([*X[:7], b"no image", *X[8:]], Y)
    good = np.arange(N) != 7
    assert_same_fit(fitted, small().fit(np.stack(IMAGES)[good], Y[good]))


def test_an_open_file_stays_where_it_was(paths):
    with open(paths[0], "rb") as file:
        file.seek(5)
        for _ in range(2):
            assert np.array_equal(read([file])[0].numpy(), IMAGES[0])
            assert file.tell() == 5


class Stream(io.RawIOBase):
    """Can be read once, as what comes from a socket."""


@pytest.mark.parametrize("place", [0, 3])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda path: opened(path, "r"), "it cannot be read", id="text"),
        pytest.param(lambda _: io.StringIO("image"), "a str, not bytes", id="StringIO"),
        pytest.param(lambda _: Stream(), "it cannot be read from its start", id="stream"),
    ],
)
def test_what_is_open_otherwise_is_named_by_its_row(place, make, reason, paths):
    X = CONTAINERS["buffers"](paths)
    X[place] = make(paths[place])
    with pytest.raises(ValueError, match=rf"^X\[{place}\]: .*{reason}"):
        small().fit(X, Y)


def test_a_closed_file_is_named_by_its_row(paths):
    X = CONTAINERS["open files"](paths)
    X[3].close()
    with pytest.raises(ValueError, match=r"^X\[3\]: it cannot be read from its start .*closed"):
        small().fit(X, Y)


def test_zeros_at_the_end_of_content_count(tmp_path):
    paths = write_images(tmp_path, [np.zeros((4, size), dtype=np.uint8) for size in (4, 8)], "bmp")
    X = np.array(list(map(content, paths)))
    assert len(X[1]) < len(content(paths[1]))
    assert read(X, image_shape=(4, 4)).sum() == 0


@pytest.mark.parametrize("container", ["bytes", "buffers", "records"])
def test_content_scores_a_training_and_has_features(container, paths):
    X = CONTAINERS[container](paths)
    fitted = small().fit(X, Y, X_val=X, y_val=Y)
    assert_same_fit(fitted, small().fit(paths, Y, X_val=paths, y_val=Y))
    assert np.array_equal(ImageReader().fit_transform(X), ImageReader().fit_transform(paths))
    features = CNNFeatures(fitted.module_.network)
    assert np.array_equal(features.fit_transform(X), features.fit_transform(paths))


def test_pairs_of_content_and_label(paths):
    X = list(zip(CONTAINERS["bytes"](paths), Y, strict=True))
    assert_same_fit(small().fit(X), small().fit(paths, Y))
    with pytest.raises(TypeError, match=r"items that are a tuple of 2 \(bytes, bytes\)"):
        small().fit([(image, image) for image, _ in X], Y)


@pytest.mark.parametrize("name", ["X", "X_val"])
def test_a_broken_file_is_named_by_what_holds_it(name, paths, broken):
    good = {"X": paths, "y": Y, "X_val": paths, "y_val": Y}
    with pytest.raises(ValueError, match=rf"^{name}\[11\], "):
        small().fit(**{**good, name: [*paths[:-1], broken]})


def test_a_file_that_changes_while_the_network_trains(paths):
    def change(batch):
        Image.fromarray(IMAGES[1]).save(paths[0], compress_level=0)
        return batch

    estimator = small(in_memory=False, augmentation=change, max_epochs=3)
    with pytest.raises(ValueError, match=rf"^X\[0\], '{paths[0]}': the file has changed"):
        estimator.fit(paths, Y)
    assert not hasattr(estimator, "net_")


def test_a_file_that_changes_between_two_looks_is_not_cached(tmp_path, paths, monkeypatch):
    read_header = _cached_files.read_header

    def read_changed(path):
        os.utime(path, ns=(0, 0))
        return read_header(path)

    monkeypatch.setattr(_cached_files, "read_header", read_changed)
    with pytest.raises(ValueError, match=r"^X\[0\], .* has changed"):
        small(memory=tmp_path / "cache").fit(paths, Y)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("way", [{}, {"in_memory": False}, {"memory": True}], ids=str)
def test_skipping_is_fitting_without_those_rows(tmp_path, way, early_stopping, paths, broken):
    if "memory" in way:
        way = {"memory": tmp_path / "cache"}
    X, y = [paths[0], broken, *paths[1:8], "none.png", *paths[8:]], np.insert(Y, [1, 8], [0, 1])
    estimator = small(handle_broken="skip", early_stopping=early_stopping, **way)
    with pytest.warns(UserWarning, match="2 of 14 files of X cannot be read") as caught:
        estimator.fit(X, y)
    message = str(caught[0].message)
    assert f"X[1], {broken!r}: " in message
    assert "X[9], 'none.png': no such file" in message
    assert_same_fit(estimator, small(early_stopping=early_stopping, **way).fit(paths, Y))
    # all headers are read before the first pixels
    with pytest.raises(ValueError, match=r"^X\[9\], 'none.png': no such file"):
        estimator.predict(X)


def test_skipping_keeps_the_weights_of_the_others(paths, broken):
    weights = np.arange(1.0, N + 2)
    with pytest.warns(UserWarning, match="1 of 13 files"):
        skipped = small(handle_broken="skip").fit([*paths, broken], [*Y, 1], weights)
    assert_same_fit(skipped, small().fit(paths, Y, weights[:-1]))
    assert weights.tolist() == np.arange(1.0, N + 2).tolist()


def test_skipping_with_several_labels_and_numbers(paths, broken):
    labels = np.column_stack([Y, np.arange(N) // 2 % 2])
    for estimator in (CNNClassifier, CNNRegressor):
        with pytest.warns(UserWarning, match="1 of 13 files"):
            skipped = small(estimator, handle_broken="skip").fit(
                [broken, *paths], np.vstack([[1, 1], labels])
            )
        alone = small(estimator).fit(paths, labels)
        assert np.array_equal(skipped.predict(paths), alone.predict(paths))


def test_a_class_of_broken_files_alone_is_still_a_class(paths, broken):
    with pytest.warns(UserWarning, match="1 of 13 files"):
        skipped = small(handle_broken="skip").fit([*paths, broken], [*Y, 5])
    assert skipped.classes_.tolist() == [0, 1, 5]


@pytest.mark.parametrize("way", [{}, {"in_memory": False}, {"memory": True}], ids=str)
@pytest.mark.parametrize("is_missing", [False, True])
def test_broken_files_alone_are_an_error(tmp_path, way, is_missing, broken):
    if "memory" in way:
        way = {"memory": tmp_path / "cache"}
    X = ["none.png" if is_missing else broken] * 4
    with pytest.raises(ValueError, match=r"None of the 4 files of X can be read as an") as caught:
        small(handle_broken="skip", **way).fit(X, Y[:4])
    # all are named, whether their headers or only their pixels are broken
    for row, path in enumerate(X):
        assert f"X[{row}], {path!r}: " in str(caught.value)


def test_skipping_in_a_validation_set(paths, broken):
    with pytest.warns(UserWarning, match="1 of 5 files of X_val"):
        skipped = small(handle_broken="skip").fit(paths, Y, X_val=[*paths[:4], broken], y_val=Y[:5])
    assert_same_fit(skipped, small().fit(paths, Y, X_val=paths[:4], y_val=Y[:4]))


def test_gray_by_convert_channels_is_what_the_estimator_reads(paths):
    found = read(paths, image_shape=(8, 7, 1))
    assert torch.equal(found, convert_channels(torch.from_numpy(np.stack(IMAGES)), 1))

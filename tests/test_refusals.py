"""What is no batch is refused in one sentence that says what to write."""

import base64

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import torch
from image_files import noise, write_images
from sklearn.metrics import accuracy_score, r2_score
from torch.utils.data import DataLoader, Dataset, TensorDataset

from sklearn_cnn import CNNClassifier, CNNRegressor, ConvNet, ImageReader, unpack_dataset
from sklearn_cnn.images import ReadOptions, parse, read_images, refuse_no_batch

IMAGES = np.stack([noise(6, 5, 1, seed=seed) for seed in range(4)])
ROWS = IMAGES.reshape(4, -1)
Y = np.array([0, 1, 0, 1])
PAIRS = TensorDataset(torch.from_numpy(IMAGES), torch.from_numpy(Y))


def network(kind=CNNClassifier):
    return kind(ConvNet((2,)), max_epochs=1, random_state=0)


@pytest.fixture
def fitted():
    return network().fit(IMAGES, Y)


NO_BATCHES = {
    "loader": (DataLoader(PAIRS), "is a DataLoader.*loader.dataset"),
    "generator": ((image for image in IMAGES), r"is a generator.*write list\("),
    "map": (map(np.asarray, IMAGES), r"is a map.*write list\("),
    "iterator": (iter(IMAGES), r"write list\("),
    "zip": (zip(IMAGES, Y, strict=True), r"is a zip.*write list\("),
    "set": ({1, 2}, r"is a set.*write list\("),
    "values": (dict(enumerate(IMAGES)).values(), r"is a dict_values.*write list\("),
    "dict": ({"image": IMAGES, "label": Y}, r"keys \['image', 'label'\]: pass .*\['image'\]"),
    "empty dict": ({}, r"is a dict with the keys \[\]"),
}


@pytest.mark.parametrize("kind", NO_BATCHES)
@pytest.mark.parametrize("name", ["X", "y", "X_val"])
def test_what_has_no_order_is_refused(kind, name):
    value, message = NO_BATCHES[kind]
    with pytest.raises(TypeError, match=f"^{name} is a .*") as caught:
        refuse_no_batch(value, name)
    with pytest.raises(TypeError, match=message):
        refuse_no_batch(value, name)
    assert "list(" not in str(caught.value) or f"list({name}" in str(caught.value)


@pytest.mark.parametrize(
    "batch",
    [
        IMAGES,
        list(IMAGES),
        torch.from_numpy(IMAGES),
        PAIRS,
        pd.DataFrame(ROWS),
        pl.DataFrame(ROWS),
        pd.Series(Y),
        pa.array(Y),
        scipy.sparse.coo_matrix(ROWS),
        range(4),
        None,
    ],
    ids=lambda batch: type(batch).__name__,
)
def test_what_has_order_is_left_to_others(batch):
    refuse_no_batch(batch)


def test_each_argument_of_fit_is_looked_at(fitted):
    def one_by_one(values):
        return (value for value in values)

    with pytest.raises(TypeError, match=r"^X is a generator"):
        network().fit(one_by_one(IMAGES), Y)
    with pytest.raises(TypeError, match=r"^y is a generator"):
        network().fit(IMAGES, one_by_one(Y))
    with pytest.raises(TypeError, match=r"^y is a dict with the keys"):
        network(CNNRegressor).fit(IMAGES, dict(enumerate(Y)))
    with pytest.raises(TypeError, match=r"^sample_weight is a generator"):
        network().fit(IMAGES, Y, sample_weight=one_by_one(np.ones(4)))
    with pytest.raises(TypeError, match=r"^X_val is a DataLoader"):
        network().fit(IMAGES, Y, X_val=DataLoader(PAIRS), y_val=Y)
    with pytest.raises(TypeError, match=r"^y_val is a map"):
        network().fit(IMAGES, Y, X_val=IMAGES, y_val=map(int, Y))
    with pytest.raises(TypeError, match=r"^y is a map"):
        network().partial_fit(IMAGES, map(int, Y), classes=[0, 1])
    with pytest.raises(TypeError, match=r"^X is a map"):
        fitted.predict(map(np.asarray, IMAGES))
    with pytest.raises(TypeError, match=r"^X is a DataLoader"):
        ImageReader().fit(DataLoader(PAIRS))
    with pytest.raises(TypeError, match=r"^X is a DataLoader"):
        unpack_dataset(DataLoader(PAIRS))


@pytest.mark.parametrize(
    ("X", "remedy"),
    [
        (pd.DataFrame({"image": list(ROWS)}), "np.stack(X['image'])"),
        (pd.DataFrame({"image": ROWS.tolist()}), "np.stack(X['image'])"),
        (pd.DataFrame({"label": Y, "image": list(IMAGES)}), "np.stack(X['image'])"),
        (pd.Series(list(ROWS)), "np.stack(X)"),
        (pl.DataFrame({"image": ROWS.tolist()}), "np.array(X['image'].to_list())"),
        (pl.DataFrame({"image": IMAGES.tolist()}), "np.array(X['image'].to_list())"),
        (pl.DataFrame({"image": pl.Series(IMAGES)}), "np.array(X['image'].to_list())"),
        (pl.Series(IMAGES.tolist()), "np.array(X.to_list())"),
        (pd.Series(list(ROWS)).to_numpy(), "np.stack(X)"),
        (pd.DataFrame({"image": list(ROWS)}).to_numpy(), "np.stack(X.ravel())"),
    ],
)
def test_arrays_in_the_cells_of_a_column_are_refused(X, remedy):
    with pytest.raises(TypeError, match="The cells of X are each a") as caught:
        parse(X)
    message = str(caught.value)
    assert message.endswith(f"Pass them as one array: {remedy}.")
    # what it says to write holds the same numbers
    numbers = eval(remedy, {"np": np, "X": X})
    np.testing.assert_array_equal(numbers.reshape(4, -1), ROWS)
    assert numbers.dtype.kind in "iu"


def test_series_of_arrays_of_one_shape_are_read():
    for numbers in (IMAGES, ROWS):
        read = read_images(pl.Series(numbers), ReadOptions(image_shape=(6, 5)))
        np.testing.assert_array_equal(read.images.numpy(), IMAGES[..., np.newaxis])


@pytest.mark.parametrize("contain", [pa.array, lambda paths: pa.chunked_array([paths])])
def test_paths_of_pyarrow_are_read(tmp_path, contain):
    paths = write_images(tmp_path, list(IMAGES))
    read = read_images(contain(paths), ReadOptions())
    np.testing.assert_array_equal(read.images.numpy(), IMAGES[..., np.newaxis])


@pytest.mark.parametrize("row", [0, 2])
def test_a_missing_image_is_named_by_its_row(tmp_path, row):
    arrays, paths = list(IMAGES), write_images(tmp_path, list(IMAGES))
    arrays[row] = paths[row] = None
    with pytest.raises(TypeError, match=rf"X\[{row}\] is a NoneType.*images as arrays. Leave out"):
        parse_and_read(arrays)
    with pytest.raises(ValueError, match=rf"X\[{row}\]: there is no image, but None: leave out"):
        parse_and_read(paths)
    with pytest.raises(ValueError, match=rf"X\[{row}\]: there is no image, but nan: leave out"):
        parse_and_read(pd.Series(paths).fillna(np.nan))


def parse_and_read(X):
    return read_images(X, ReadOptions()).images


class Triples(Dataset):
    """Items that are no pairs."""

    def __len__(self):
        return 4

    def __getitem__(self, row):
        return IMAGES[row], Y[row], row


def test_triples_of_a_dataset_say_what_to_pass():
    for read in (network().fit, ImageReader().fit, unpack_dataset):
        with pytest.raises(TypeError, match=r"tuple of 3 .*\[item\[0\] for item in X\]"):
            read(Triples())


@pytest.mark.parametrize(
    "nothing",
    [[], (), np.array([]), np.array([], dtype=str), pd.Series([], dtype=object), pl.Series([])],
)
def test_no_images_are_told_as_scikit_learn_does(fitted, nothing):
    message = r"^Found array with 0 sample\(s\) .* required by CNNClassifier"
    with pytest.raises(ValueError, match=message):
        fitted.predict(nothing)
    with pytest.raises(ValueError, match=message):
        network().fit(nothing, nothing)


@pytest.mark.parametrize("kind", [CNNClassifier, CNNRegressor])
def test_score_without_y_says_where_it_comes_from(kind):
    model = network(kind).fit(IMAGES, Y)
    for X in (PAIRS, IMAGES):
        with pytest.raises(ValueError, match=r"requires y .*X, y = unpack_dataset\(dataset\)"):
            model.score(X)
    X, y = unpack_dataset(PAIRS)
    assert model.score(X, y) == model.score(IMAGES, Y)
    weights, metric = [1, 2, 3, 4], accuracy_score if kind is CNNClassifier else r2_score
    weighted = metric(Y, model.predict(IMAGES), sample_weight=weights)
    assert model.score(IMAGES, Y, weights) == weighted


@pytest.mark.parametrize(
    ("X", "remedy"),
    [
        (pa.array(ROWS.tolist()), r"np.array\(X.to_pylist\(\)\)"),
        (
            pa.FixedShapeTensorArray.from_numpy_ndarray(IMAGES[..., 0]),
            r"np.array\(X.to_pylist\(\)\)",
        ),
        (pl.DataFrame(ROWS).lazy(), r"X.collect\(\)"),
        ({"bytes": b"", "path": None}, r"a single encoded image"),
    ],
)
def test_what_is_not_there_yet_says_how_to_get_it(X, remedy):
    with pytest.raises(TypeError, match=remedy):
        network().fit(X, Y)


def test_a_table_of_one_column_of_files_is_read(tmp_path):
    paths = [str(path) for path in write_images(tmp_path, IMAGES)]
    images = read_images(pa.table({"file": paths}), ReadOptions()).images
    assert images.shape == (4, 6, 5, 1)


@pytest.mark.parametrize("contain", [list, pd.Series, lambda texts: np.array(texts, dtype=object)])
@pytest.mark.parametrize("start", ["", "data:image/png;base64,"])
def test_base64_is_shown_in_part_and_says_how_to_decode_it(contain, start):
    text = start + base64.b64encode(bytes(range(256)) * 300).decode()
    decode = r'text\.partition\(","\)\[2\]' if start else "text"
    with pytest.raises(
        ValueError, match=rf"^X\[0\], '{start}AAEC.*base64\.b64decode\({decode}\)\.$"
    ) as caught:
        network().fit(contain([text] * 2), [0, 1])
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "batch", [lambda text: text, lambda text: [text], lambda text: [text.encode()]]
)
def test_base64_is_told_wherever_it_comes(batch):
    text = base64.b64encode(bytes(range(256)) * 300).decode()
    with pytest.raises((TypeError, ValueError), match=r"base64\.b64decode\(text\)") as caught:
        parse_and_read(batch(text))
    assert len(str(caught.value)) < 400


def test_long_text_is_shown_in_part_and_paths_in_full():
    with pytest.raises(ValueError, match=r"^X\[0\], '(no image ){8}n?.*\.\.\.': [^']*$") as caught:
        network().fit(["no image " * 10000] * 2, [0, 1])
    assert "base64" not in str(caught.value)
    path = f"{'folder/' * 30}{'0' * 40}.png"
    with pytest.raises(ValueError, match=rf"^X\[0\], '{path}': no such file\.$"):
        network().fit([path] * 2, [0, 1])

"""A table of file names and targets becomes paths, targets and names."""

import os

import numpy as np
import pandas as pd
import polars as pl
import pytest
from image_files import noise, write_images

from sklearn_cnn import CNNClassifier, ConvNet, load_image_table

FILES = ["0000.png", "0001.png", "0002.png", "0003.png"]
COLUMNS = {
    "image": [f"photos/{name}" for name in FILES],
    "kind": ["dog", "cat", "dog", "cow"],
    "age": [3, 10, 5, 4],
    "weight": [20.5, 4, 18, 600],
    "has_horns": [0, 0, 0, 1],
    "split": ["train", "train", "test", "test"],
    "mask": [f"masks/{name}" for name in FILES],
}


@pytest.fixture
def folder(tmp_path):
    """Return a folder of four photos, their masks, and tables of them."""
    for name in ("photos", "masks"):
        write_images(tmp_path / name, [noise(seed=seed) for seed in range(4)])
    table = pd.DataFrame(COLUMNS)
    table.to_csv(tmp_path / "pets.csv", index=False)
    table.to_csv(tmp_path / "pets.tsv", index=False, sep="\t", encoding="utf-8-sig")
    return tmp_path


@pytest.fixture(params=["csv", "tsv", "path", "pandas", "polars"])
def table(request, folder, monkeypatch):
    """Return the same table as a file and as a frame, whose paths begin in the current folder."""
    if request.param in ("pandas", "polars"):
        monkeypatch.chdir(folder)
        return (
            pd.DataFrame(COLUMNS, index=[7, 8, 9, 7])
            if request.param == "pandas"
            else pl.DataFrame(COLUMNS)
        )
    return folder / "pets.csv" if request.param == "path" else f"{folder}/pets.{request.param}"


def photos(folder, rows=range(4)):
    return [os.path.realpath(folder / "photos" / FILES[row]) for row in rows]


def found(paths):
    return [os.path.realpath(path) for path in paths]


def test_text_becomes_classes(table, folder):
    pets = load_image_table(table, file="image", target="kind")
    assert found(pets.data) == photos(folder)
    assert pets.data.dtype.kind == "U"
    assert pets.filenames is pets.data
    assert pets.target_names == ["cat", "cow", "dog"]
    assert pets.target.tolist() == [2, 0, 2, 1]
    assert pets.target.dtype == np.int64


def test_numbers_stay_as_they_are(table):
    age = load_image_table(table, file="image", target="age")
    assert age.target.tolist() == COLUMNS["age"]
    assert age.target.dtype == np.int64
    assert age.target_names == ["age"]
    both = load_image_table(table, file="image", target=["age", "weight"])
    assert both.target.tolist() == [[3, 20.5], [10, 4], [5, 18], [4, 600]]
    assert both.target_names == ["age", "weight"]
    assert load_image_table(table, file="image", target=["age"]).target.shape == (4, 1)


def test_parts_of_a_split_share_the_classes(table, folder):
    parts = load_image_table(table, file="image", target="kind", split="split").splits
    assert set(parts) == {"train", "test"}
    assert found(parts.train.data) == photos(folder, [0, 1])
    assert parts.train.target.tolist() == [2, 0]
    assert found(parts.test.data) == photos(folder, [2, 3])
    assert parts.test.target.tolist() == [2, 1]


def test_numbers_of_folds_are_parts(folder):
    folds = pd.DataFrame({**COLUMNS, "fold": [1, 0, 1, 0]})
    parts = load_image_table(folds, file="image", target="age", split="fold", root=folder).splits
    assert {fold: part.target.tolist() for fold, part in parts.items()} == {0: [10, 4], 1: [3, 5]}


def test_masks_are_files_too(table, folder):
    pets = load_image_table(table, file="image", target="mask")
    assert found(pets.target) == [os.path.realpath(folder / "masks" / name) for name in FILES]
    assert pets.target_names == ["mask"]


def test_frames_where_they_are_asked_for(table):
    pets = load_image_table(table, file="image", target="kind", split="split", as_frame=True)
    assert list(pets.frame.columns) == ["image", "kind"]
    assert pets.data["image"].tolist() == pets.filenames.tolist()
    assert pets.target.tolist() == [2, 0, 2, 1]
    assert pets.splits.test.data["image"].tolist() == pets.filenames[2:].tolist()
    assert pets.splits.test.target.tolist() == [2, 1]
    both = load_image_table(table, file="image", target=["age", "weight"], as_frame=True)
    assert both.target["weight"].tolist() == COLUMNS["weight"]


def test_root_takes_the_place_of_the_folder_of_the_table(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere.csv"
    elsewhere.write_text("image,age\n0000.png,3\n")
    pets = load_image_table(elsewhere, file="image", target="age", root=folder / "photos")
    assert found(pets.data) == photos(folder, [0])
    absolute = pd.DataFrame({"image": photos(folder), "age": COLUMNS["age"]})
    pets = load_image_table(absolute, file="image", target="age", root="nowhere")
    assert found(pets.data) == photos(folder)


def test_missing_files_are_counted_and_named(table, folder):
    for name in FILES[1:3]:
        (folder / "photos" / name).unlink()
    options = {"file": "image", "target": "kind"}
    with pytest.raises(ValueError, match=r"2 of 4 files of column 'image' are missing: .*0001.png"):
        load_image_table(table, **options)
    with pytest.warns(UserWarning, match="2 of 4 files .* are left out"):
        pets = load_image_table(table, **options, handle_broken="skip")
    assert found(pets.data) == photos(folder, [0, 3])
    assert pets.target.tolist() == [2, 1]


def test_no_file_is_there():
    with (
        pytest.warns(UserWarning, match="4 of 4 files"),
        pytest.raises(ValueError, match="names no file that is there"),
    ):
        load_image_table(
            pd.DataFrame(COLUMNS), file="image", target="age", root="nowhere", handle_broken="skip"
        )


def test_numbers_that_are_missing_are_nan(folder):
    table = folder / "gaps.csv"
    table.write_text("image,x,y\nphotos/0000.png,1,\nphotos/0001.png,2,3\n")
    target = load_image_table(table, file="image", target=["x", "y"]).target
    np.testing.assert_array_equal(target, [[1, np.nan], [2, 3]])


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"target": "breed"}, r"no columns \['breed'\]; it has \['image', 'kind'"),
        ({}, {"target": ["age", "kind"]}, r"\['kind'\] hold text"),
        ({}, {"target": []}, "the list is empty"),
        ({}, {"file": "age"}, "Column 'age' must hold text, but 4 of its 4 cells do not"),
        ({"kind": ["dog", None, "cat", None]}, {}, "2 of its 4 cells do not, .* row 1: "),
        ({}, {"handle_broken": "drop"}, 'must be "error" or "skip"'),
    ],
)
def test_tables_that_cannot_be_used(folder, changes, options, message):
    table = pd.DataFrame({**COLUMNS, **changes})
    options = {"file": "image", "target": "kind", "root": folder, **options}
    with pytest.raises(ValueError, match=message):
        load_image_table(table, **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image;kind\nphotos/0000.png;dog\n", "pandas.read_csv with its sep"),
        (b"image,kind\nphotos/0000.png\n", "Row 0 of .* has 1 cells for 2 columns"),
        (b"image,kind\nphotos/0000.png,\n", "Column 'kind' must hold text"),
        (b"\x89PNG\xff", "no CSV file in UTF-8"),
        (b"", "no columns"),
    ],
)
def test_files_that_are_no_tables(folder, content, message):
    (folder / "odd.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_image_table(folder / "odd.csv", file="image", target="kind")


def test_what_is_no_table():
    with pytest.raises(ValueError, match=r"There is no table 'none.csv'"):
        load_image_table("none.csv", file="image", target="kind")
    with pytest.raises(TypeError, match="pandas or polars frame, got list"):
        load_image_table([["a.png", "dog"]], file="image", target="kind")


def test_what_it_finds_can_be_fitted(table):
    pets = load_image_table(table, file="image", target="has_horns", split="split")
    classifier = CNNClassifier(ConvNet((4,)), max_epochs=1, random_state=0)
    classifier.fit(pets.data, pets.target)
    assert classifier.predict(pets.splits.test.data).shape == (2,)

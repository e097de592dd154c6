"""A folder of folders becomes paths and classes."""

import os

import numpy as np
import pytest
from image_files import noise, write_images
from sklearn.datasets import load_files

from sklearn_cnn import CNNClassifier, load_image_folder
from sklearn_cnn.architectures import ConvNet


@pytest.fixture
def pets(tmp_path):
    """Return a folder of three cats, two dogs and things that are no images."""
    write_images(tmp_path / "dog", [noise(seed=seed) for seed in range(2)])
    write_images(tmp_path / "cat", [noise(seed=seed) for seed in range(2)], "jpg")
    write_images(tmp_path / "cat" / "kittens", [noise(seed=9)], "JPEG", format="JPEG")
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "cat" / ".hidden.png").write_bytes(b"")
    (tmp_path / ".git").mkdir()
    (tmp_path / "read me.png").write_bytes(b"of no class")
    return tmp_path


def test_what_is_found_in_order(pets):
    found = load_image_folder(pets, shuffle=False)
    relative = [os.path.relpath(path, pets) for path in found.data]
    assert relative == [
        "cat/0000.jpg",
        "cat/0001.jpg",
        "cat/kittens/0000.JPEG",
        "dog/0000.png",
        "dog/0001.png",
    ]
    assert found.target.tolist() == [0, 0, 0, 1, 1]
    assert found.target.dtype == np.int64
    assert found.target_names == ["cat", "dog"]
    assert found.filenames is found.data


def test_it_is_like_load_files(tmp_path):
    for name in ("b", "a"):
        write_images(tmp_path / name, [noise()] * 3)
    ours = load_image_folder(str(tmp_path), shuffle=False)
    theirs = load_files(tmp_path, load_content=False, shuffle=False)
    assert sorted(ours.data) == sorted(theirs.filenames)
    assert ours.target_names == theirs.target_names
    assert set(theirs) - {"DESCR"} <= set(ours) | {"DESCR"}


def test_the_order_is_shuffled_by_the_seed(pets):
    one, same = load_image_folder(pets), load_image_folder(pets)
    assert one.data.tolist() == same.data.tolist()
    plain = load_image_folder(pets, shuffle=False)
    orders = {tuple(load_image_folder(pets, random_state=seed).data) for seed in range(5)}
    assert len(orders) > 1
    classes = dict(zip(plain.data, plain.target, strict=True))
    assert [classes[path] for path in one.data] == one.target.tolist()


def test_categories_choose_classes(pets):
    dogs = load_image_folder(pets, categories=["dog"])
    assert dogs.target_names == ["dog"]
    assert dogs.target.tolist() == [0, 0]


def test_links_to_folders_are_not_entered(pets):
    os.symlink(pets, pets / "dog" / "loop")
    assert len(load_image_folder(pets).data) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"categories": ["cow"]}, r"\['cow'\] are asked for"),
        ({"categories": []}, "must hold a folder for each class"),
    ],
)
def test_classes_that_are_not_there(pets, options, message):
    with pytest.raises(ValueError, match=message):
        load_image_folder(pets, **options)


def test_folders_that_hold_no_images(tmp_path):
    with pytest.raises(ValueError, match="There is no folder"):
        load_image_folder(tmp_path / "none")
    with pytest.raises(ValueError, match="must hold a folder for each class"):
        load_image_folder(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"classes \['empty'\] .* hold no files"):
        load_image_folder(tmp_path)


def test_what_it_finds_can_be_fitted(pets):
    found = load_image_folder(pets)
    classifier = CNNClassifier(ConvNet((4,)), max_epochs=1, random_state=0)
    assert classifier.fit(found.data, found.target).predict(found.data).shape == (5,)

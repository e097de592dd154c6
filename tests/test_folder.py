"""A folder of folders becomes paths and classes."""

import os
import warnings

import numpy as np
import pytest
from image_files import noise, write_images
from PIL import features
from sklearn.datasets import load_files

from sklearn_cnn import CNNClassifier, ImageReader, load_image_folder
from sklearn_cnn.architectures import ConvNet


@pytest.fixture
def pets(tmp_path):
    """Return a folder of three cats, two dogs and things that are of no class or hidden."""
    write_images(tmp_path / "dog", [noise(seed=seed) for seed in range(2)])
    write_images(tmp_path / "cat", [noise(seed=seed) for seed in range(2)], "jpg")
    write_images(tmp_path / "cat" / "kittens", [noise(seed=9)], "JPEG", format="JPEG")
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


def test_categories_choose_classes_and_their_order(pets):
    dogs = load_image_folder(pets, categories=["dog"])
    assert dogs.target_names == ["dog"]
    assert dogs.target.tolist() == [0, 0]
    found = load_image_folder(pets, categories=("dog", "cat"), shuffle=False)
    assert found.target_names == ["dog", "cat"]
    assert found.target.tolist() == [0, 0, 1, 1, 1]


@pytest.mark.filterwarnings("error")
def test_categories_of_the_training_set_number_a_test_set_that_lacks_one(tmp_path):
    for folder in ("train/a", "train/b", "train/c", "test/b", "test/c"):
        write_images(tmp_path / folder, [noise()] * 2)
    train = load_image_folder(tmp_path / "train")
    test = load_image_folder(tmp_path / "test", categories=train.target_names, shuffle=False)
    assert test.target_names == train.target_names == ["a", "b", "c"]
    assert test.target.tolist() == [1, 1, 2, 2]
    (tmp_path / "test" / "a").mkdir()
    same = load_image_folder(tmp_path / "test", categories=train.target_names, shuffle=False)
    assert same.target.tolist() == test.target.tolist()


def test_a_category_that_may_be_misspelt_warns(pets):
    with pytest.warns(UserWarning, match=r"no folders \['dgo'\].*but \['dog'\]"):
        found = load_image_folder(pets, categories=["cat", "dgo"])
    assert found.target.tolist() == [0, 0, 0]


def test_links_to_folders_are_followed_without_loops(pets, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write_images(elsewhere, [noise(seed=7)])
    os.symlink(elsewhere, pets / "dog" / "more")
    os.symlink(pets / "dog", pets / "dog" / "loop")
    os.symlink(elsewhere, pets / "wolf")
    with pytest.warns(UserWarning, match="Links in") as caught:
        found = load_image_folder(pets, shuffle=False)
    same, rare = (str(warning.message) for warning in caught)
    assert f"several labels: '{os.path.join('dog', 'more')}' and 'wolf'." in same
    assert "1 of the 3 classes" in rare
    assert found.target_names == ["cat", "dog", "wolf"]
    assert found.target.tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert found.data[5] == str(pets / "dog" / "more" / "0000.png")


def test_links_between_classes_warn_once_and_name_the_folders(pets):
    os.symlink(pets / "cat", pets / "cat2")
    os.symlink(pets, pets / "loop")
    (pets / "read me.png").unlink()
    with pytest.warns(UserWarning, match="Links in") as caught:
        found = load_image_folder(pets)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "'cat' and 'cat2' and 'loop/cat', " in message.replace(os.sep, "/")
    assert "'dog' and 'loop/dog'." in message.replace(os.sep, "/")
    assert len(found.data) == 3 + 3 + 2 + 5
    with warnings.catch_warnings(action="error"):
        assert len(load_image_folder(pets, categories=["cat", "dog"]).data) == 5


def test_dead_links_are_passed_over(pets):
    for link in ("dog/0002.png", "cat/kittens/more", "wolf"):
        os.symlink(pets / "gone", pets / link)
    os.symlink("itself.png", pets / "dog" / "itself.png")
    with pytest.warns(UserWarning, match="dead links") as caught:
        found = load_image_folder(pets)
    assert len(caught) == 1
    assert str(caught[0].message).startswith("4 files of ")
    assert str(caught[0].message).endswith(": 4 behind dead links.")
    assert len(found.data) == 5
    assert all(map(os.path.isfile, found.data))


def test_a_class_of_a_single_image_warns_by_its_name(pets):
    write_images(pets / "dgo", [noise()])
    with pytest.warns(
        UserWarning, match=r"1 of the 3 classes .* a single image: 'dgo'\."
    ) as caught:
        load_image_folder(pets)
    assert len(caught) == 1
    with warnings.catch_warnings(action="error"):
        load_image_folder(pets, categories=["cat", "dog", "dgo"])


def test_classes_that_differ_in_case_only_warn(pets):
    write_images(pets / "Dog", [noise()] * 2)
    if len(os.listdir(pets)) == 4:
        pytest.skip("this file system does not tell the case of names")
    with pytest.warns(UserWarning, match=r"differ in case only: 'Dog' and 'dog'\.") as caught:
        assert load_image_folder(pets).target_names == ["Dog", "cat", "dog"]
    assert len(caught) == 1


def test_files_passed_over_are_counted_by_kind(pets):
    for name in ("a", "b", "c.psd", "d.PSD", "e.psd", ".DS_Store", "Thumbs.db"):
        (pets / "dog" / name).write_bytes(b"")
    write_images(pets / "dog" / "__MACOSX", [noise()])
    write_images(pets / "__MACOSX" / "dog", [noise()])
    with pytest.warns(UserWarning, match="passed over") as caught:
        found = load_image_folder(pets)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert message.startswith("5 files of ")
    assert message.endswith(": 3 .psd, 2 without an extension.")
    assert found.target_names == ["cat", "dog"]
    assert len(found.data) == 5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("extension", ["pgm", "ppm", "pnm", "jp2", "avif", "heic"])
def test_what_pillow_reads_is_found_and_read(tmp_path, extension):
    if extension == "heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    elif extension == "avif" and not features.check("avif"):
        pytest.skip("this Pillow lacks AVIF")
    image = noise(16, 16, 1 if extension == "pgm" else 3)
    for name in ("a", "b"):
        write_images(tmp_path / name, [image] * 2, extension)
    found = load_image_folder(tmp_path)
    assert found.target.shape == (4,)
    shape = (16, 16, 1 if extension == "pgm" else 3)
    images = ImageReader(flatten=False).fit_transform(found.data)
    assert images.shape == (4, *shape)
    if extension[0] == "p":
        np.testing.assert_array_equal(images, np.stack([image.reshape(shape)] * 4))


def test_parts_of_a_set_that_would_become_classes_warn(tmp_path):
    for folder in ("train/cat", "train/dog", "train/cow", "test/cat", "test/dog"):
        write_images(tmp_path / folder, [noise()])
    with pytest.warns(UserWarning, match=r"folders of the same names, \['cat', 'dog'\]") as caught:
        assert load_image_folder(tmp_path).target_names == ["test", "train"]
    message = str(caught[0].message)
    # the first in the alphabet would number the classes of the test set
    assert f"train = load_image_folder({str(tmp_path / 'train')!r})" in message
    assert "categories=train.target_names" in message


@pytest.mark.filterwarnings("error")
def test_folders_within_classes_are_no_parts_of_a_set(tmp_path):
    for folder in ("cat/images", "cat/kittens", "dog/images", "dog/puppies"):
        write_images(tmp_path / folder, [noise()])
    assert load_image_folder(tmp_path).target_names == ["cat", "dog"]


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        (["cow"], r"\['cow'\] are asked for"),
        ([], "must hold a folder for each class"),
        (["cat", "cat"], "must list each class once"),
        ("cat", "must list each class once"),
    ],
)
def test_categories_that_cannot_be(pets, categories, message):
    with pytest.raises(ValueError, match=message):
        load_image_folder(pets, categories=categories)


def test_folders_that_hold_no_images(tmp_path):
    with pytest.raises(ValueError, match="There is no folder"):
        load_image_folder(tmp_path / "none")
    with pytest.raises(ValueError, match="must hold a folder for each class"):
        load_image_folder(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"classes \['empty'\] .* hold no files"):
        load_image_folder(tmp_path)
    (tmp_path / "empty" / "notes.txt").write_text("not an image")
    with pytest.raises(ValueError, match=r"hold no files .*: 1 \.txt\.$"):
        load_image_folder(tmp_path, categories=["empty"])


def test_what_it_finds_can_be_fitted(pets):
    found = load_image_folder(pets)
    classifier = CNNClassifier(ConvNet((4,)), max_epochs=1, random_state=0)
    assert classifier.fit(found.data, found.target).predict(found.data).shape == (5,)

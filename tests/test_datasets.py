"""torch Datasets as X: with labels or without, in memory or read while training."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from image_files import noise, write_images
from PIL import Image
from sklearn.model_selection import cross_val_score
from torch import nn
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from sklearn_cnn import CNNClassifier, unpack_dataset
from sklearn_cnn.architectures import ConvNet, TorchModule

N = 12
IMAGES = np.stack([noise(8, 7, seed=seed) for seed in range(N)])
Y = np.arange(N) % 2


class Pairs(Dataset):
    """Cells of a list; with labels unless these are None."""

    def __init__(self, cells, labels=Y):
        self.cells, self.labels = cells, labels

    def __len__(self):
        return len(self.cells)

    def __getitem__(self, row):
        return self.cells[row] if self.labels is None else (self.cells[row], self.labels[row])


def small(**params):
    return CNNClassifier(ConvNet((4,)), max_epochs=2, random_state=0, **params)


@pytest.fixture(params=["arrays", "tensors", "PIL", "paths", "bytes"])
def cells(request, tmp_path):
    if request.param in ("paths", "bytes"):
        paths = write_images(tmp_path, IMAGES)
        return paths if request.param == "paths" else [Path(path).read_bytes() for path in paths]
    make = {"arrays": np.asarray, "tensors": torch.from_numpy, "PIL": Image.fromarray}
    return [make[request.param](image) for image in IMAGES]


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_dataset_is_its_images(cells, in_memory):
    expected = small().fit(IMAGES, Y).predict_proba(IMAGES)
    fitted = small(in_memory=in_memory).fit(Pairs(cells))
    assert np.array_equal(fitted.predict_proba(Pairs(cells)), expected)
    assert np.array_equal(fitted.predict_proba(Pairs(cells, None)), expected)
    assert fitted.score(Pairs(cells), Y) == fitted.score(IMAGES, Y)
    without_labels = small(in_memory=in_memory).fit(Pairs(cells, None), Y)
    assert np.array_equal(without_labels.predict_proba(IMAGES), expected)


@pytest.mark.parametrize("place", [0, 3])
def test_broken_content_in_a_dataset_is_named_by_its_row(place, tmp_path):
    cells = [Path(path).read_bytes() for path in write_images(tmp_path, IMAGES)]
    cells[place] = cells[place][:-60]
    with pytest.raises(ValueError, match=rf"^X\[{place}\]: it cannot be decoded"):
        small().fit(Pairs(cells))


class Counted(Pairs):
    """Pairs that note which rows are read."""

    def __init__(self, *args):
        super().__init__(*args)
        self.rows = []

    def __getitem__(self, row):
        self.rows.append(row)
        return super().__getitem__(row)

    def n_passes(self):
        """Return how often all rows were read; fails if one was read less or more often."""
        n_passes, rest = divmod(len(self.rows), len(self))
        assert rest == 0
        assert sorted(self.rows) == sorted([*range(len(self))] * n_passes)
        return n_passes


@pytest.mark.parametrize("in_memory", [True, "auto"])
@pytest.mark.parametrize("params", [{}, {"early_stopping": True}, {"handle_broken": "skip"}])
def test_in_memory_each_item_is_read_once(cells, in_memory, params):
    dataset, validation = Counted(cells), Counted(cells)
    estimator = small(in_memory=in_memory, **params).fit(dataset, X_val=validation, y_val=Y)
    assert dataset.n_passes() == 1
    assert validation.n_passes() == 1
    dataset.rows.clear()
    estimator.predict(dataset)
    assert dataset.n_passes() == 1


@pytest.mark.parametrize("norm", ["batch", None])
@pytest.mark.parametrize("handle_broken", ["error", "skip"])
@pytest.mark.parametrize("make", [np.asarray, Image.fromarray])
def test_from_the_disk_items_are_read_as_often_as_they_are_used(make, handle_broken, norm):
    paired, alone, validation = (Counted([make(image) for image in IMAGES]) for _ in range(3))
    estimator = small(in_memory=False, handle_broken=handle_broken)
    estimator.set_params(architecture__norm=norm)
    # statistics of pixels, and two epochs; in the first 50 steps batch normalization looks anew
    # after an epoch that is scored, or the last
    n_used = 1 + 2
    n_updates, n_scored_updates = (1, 2) if norm == "batch" else (0, 0)
    # "skip" looks for broken ones first
    is_looked_at = handle_broken == "skip"

    estimator.fit(paired)
    # one image shows what the last step did
    assert paired.rows.pop() == 0
    # labels come first, from the same look if there is one
    assert paired.n_passes() == 1 + n_used + n_updates

    estimator.fit(alone, Y, X_val=validation, y_val=Y)
    assert alone.rows.pop() == 0
    assert alone.n_passes() == is_looked_at + n_used + n_scored_updates
    # on which scale they are, and the end of each epoch
    assert validation.n_passes() == is_looked_at + 1 + 2

    validation.rows.clear()
    estimator.predict(validation)
    assert validation.n_passes() == 1


def test_unpacked_it_can_be_cross_validated(cells):
    X, y = unpack_dataset(Pairs(cells))
    assert y.tolist() == Y.tolist()
    expected = cross_val_score(small(), IMAGES, Y, cv=2)
    assert np.array_equal(cross_val_score(small(), X, y, cv=2), expected)
    # scikit-learn makes a list of pairs of a Dataset that is given with y
    assert np.array_equal(cross_val_score(small(), Pairs(cells), y, cv=2), expected)


def test_labels_of_a_tensor_dataset():
    X, y = unpack_dataset(TensorDataset(torch.from_numpy(IMAGES), torch.from_numpy(Y)))
    assert np.array_equal(np.stack(X), IMAGES)
    assert y.tolist() == Y.tolist()
    labels = torch.zeros(N, 2, dtype=torch.int64)
    _, y = unpack_dataset(TensorDataset(torch.from_numpy(IMAGES), labels))
    assert y.shape == (N, 2)


def test_images_alone_need_y():
    with pytest.raises(ValueError, match="requires y to be passed"):
        small().fit(Pairs(list(IMAGES), None))
    with pytest.raises(TypeError, match=r"X\[0\] is no \(image, label\) pair"):
        unpack_dataset(Pairs(list(IMAGES), None))


def test_without_length_it_is_refused():
    class Endless(IterableDataset):
        def __iter__(self):
            yield IMAGES[0], 0

    for use in (unpack_dataset, lambda X: small().fit(X, Y)):
        with pytest.raises(TypeError, match="Endless without a length and integer indexing"):
            use(Endless())


class Table:
    """What a Dataset of Hugging Face is, as far as it matters here."""

    def __init__(self, items):
        self.items, self.shape = items, (len(items), 2)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, row):
        return self.items[row]


ITEMS = [{"picture": image, "breed": label} for image, label in zip(IMAGES, Y, strict=True)]


@pytest.mark.parametrize(
    "X", [ITEMS, pd.Series(ITEMS), Pairs(ITEMS, None), Table(ITEMS)], ids=lambda X: type(X).__name__
)
def test_items_that_are_dicts_are_refused_with_what_to_write(X):
    message = r"^X holds dicts, with the keys \['picture', 'breed'\]. An item must be an image"
    uses = [small().fit, lambda X: small().fit(X, Y), small().fit(IMAGES, Y).predict]
    if isinstance(X, Dataset):
        uses.append(unpack_dataset)
    for use in uses:
        with pytest.raises(TypeError, match=message):
            use(X)


@pytest.mark.parametrize("use", [lambda pairs: small().fit(pairs), unpack_dataset])
def test_a_dict_of_targets_is_no_label(use):
    targets = [{"mask": np.zeros((8, 8)), "boxes": [1, 2, 3, 4]} for _ in IMAGES]
    message = r"X\[0\] is a pair of an image and a dict of \['mask', 'boxes'\].*target\['mask'\]"
    with pytest.raises(TypeError, match=message):
        use(Pairs(IMAGES, targets))


def test_a_dict_among_pairs_is_refused():
    pairs = [(image, label) for image, label in zip(IMAGES, Y, strict=True)]
    for wrong in (Pairs([*pairs[:-1], ITEMS[-1]], None), [*pairs[:-1], ITEMS[-1]]):
        with pytest.raises(TypeError, match=r"X holds dicts"):
            small().fit(wrong, Y)


def test_images_of_two_sizes():
    cells = [*IMAGES[:-1], noise(9, 9)]
    with pytest.raises(ValueError, match=r"2 sizes: \(8, 7\), \(9, 9\)"):
        small().fit(Pairs(cells))
    assert small(image_shape=(8, 7)).fit(Pairs(cells)).image_shape_ == (8, 7, 3)


class Network(nn.Sequential):
    """A small one for images of any size; with a mean its learned weights are for 224 x 224."""

    def __init__(self, in_channels, num_classes):
        pool = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, num_classes)
        super().__init__(nn.Conv2d(in_channels, 2, 3), *pool)


def learned(**params):
    network = TorchModule(Network, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bicubic")
    return CNNClassifier(network, max_epochs=1, random_state=0, **params)


@pytest.mark.parametrize("in_memory", ["auto", False])
@pytest.mark.parametrize("make", [torch.from_numpy, Image.fromarray])
def test_of_several_sizes_it_gets_the_size_that_learned_weights_recommend(make, in_memory):
    cells = [make(image) for image in (*IMAGES[:-1], noise(9, 9))]
    dataset = Counted(cells)
    fitted = learned(in_memory=in_memory).fit(dataset)
    assert fitted.image_shape_ == (224, 224, 3)
    # the same as of a list
    assert np.array_equal(fitted.predict_proba(Pairs(cells)), fitted.predict_proba(cells))
    assert fitted.loss_curve_ == learned().fit(cells, Y).loss_curve_
    assert fitted.predict(Pairs([make(noise(5, 6))], None)).shape == (1,)
    if in_memory:
        assert dataset.n_passes() == 1


@pytest.mark.parametrize("labels", [Y, None])
def test_of_one_size_it_keeps_that_and_is_read_once(cells, labels):
    dataset = Counted(cells, labels)
    fitted = learned().fit(dataset, Y if labels is None else None)
    assert fitted.image_shape_ == (8, 7, 3)
    assert dataset.n_passes() == 1
    assert fitted.loss_curve_ == learned().fit(IMAGES, Y).loss_curve_
    one_more = learned(in_memory=False).fit(Pairs(cells, labels), Y if labels is None else None)
    assert one_more.loss_curve_ == fitted.loss_curve_


def test_broken_content_is_left_out_of_the_look_at_sizes(tmp_path):
    paths = write_images(tmp_path, [*IMAGES[:-1], noise(9, 9)])
    cells = [Path(path).read_bytes() for path in paths]
    cells[1] = cells[1][:20]
    fitted = learned(handle_broken="skip").fit(Pairs(cells))
    assert fitted.image_shape_ == (224, 224, 3)
    assert fitted.skipped_rows_.tolist() == [1]
    cells[-1] = cells[0]
    assert learned(handle_broken="skip").fit(Pairs(cells)).image_shape_ == (8, 7, 3)
    with pytest.raises(ValueError, match=r"^X\[1\]: it cannot be decoded"):
        learned().fit(Pairs(cells))


@pytest.mark.parametrize("whole", [np.uint8, np.int64, Image.fromarray])
def test_integers_among_floating_point_numbers(whole):
    convert = whole if whole is Image.fromarray else lambda image: image.astype(whole)
    cells = [*(IMAGES[:-1] / np.float32(255)), convert(IMAGES[-1])]
    with pytest.raises(ValueError, match=r"^X\[11\] holds u?int\d+, but X\[0\] holds float32"):
        small().fit(Pairs(cells))


def test_what_the_dataset_raises_reaches_the_user():
    class Failing(Pairs):
        def __getitem__(self, row):
            if row == 7:
                raise RuntimeError("the disk is on fire")
            return super().__getitem__(row)

    for in_memory in (True, False):
        estimator = small(in_memory=in_memory)
        with pytest.raises(RuntimeError, match="the disk is on fire"):
            estimator.fit(Failing(list(IMAGES), None), Y)
        assert not hasattr(estimator, "net_")


def several(make):
    """Cases of items that hold more than an image and its label, by name."""
    return {
        "two": [(cell, cell) for cell in make],
        "three": [(cell, cell, cell) for cell in make],
        "a list of two": [[cell, cell] for cell in make],
        "an image, a label and more": [(cell, 0, 1) for cell in make],
        "an image and a label in a list": [[cell, 0] for cell in make],
        "a label first": [(0, cell) for cell in make],
        "one in a tuple": [(cell,) for cell in make],
    }


@pytest.mark.parametrize("case", several([]))
def test_items_of_several_images_are_refused_with_what_to_write(cells, case):
    # text in a list is a row of a table
    items = several([Path(cell) if isinstance(cell, str) else cell for cell in cells])[case]
    fitted = small().fit(IMAGES, Y)
    message = f"^X holds items that are a {type(items[0]).__name__} of {len(items[0])}"
    for X in (items, Pairs(items, None)):
        for use in (small().fit, lambda X: small().fit(X, Y), fitted.predict):
            with pytest.raises(TypeError, match=message + r".* an \(image, label\) tuple"):
                use(X)
    with pytest.raises(TypeError, match=message):
        unpack_dataset(Pairs(items, None))


def test_an_item_of_two_images_among_pairs_is_refused(tmp_path):
    paths = write_images(tmp_path, IMAGES)
    pairs = [*zip(paths[:-1], Y[:-1], strict=True), (paths[-1], paths[0])]
    with pytest.raises(TypeError, match=r"a tuple of 2 \(\w+, \w+\)"):
        small().fit(pairs, Y)


def test_rows_of_two_paths_are_refused(tmp_path):
    paths = write_images(tmp_path, IMAGES)
    for rows in (
        [list(pair) for pair in zip(paths, paths, strict=True)],
        [*zip(paths, paths, strict=True)],
    ):
        with pytest.raises(TypeError, match="X holds"):
            small().fit(rows, Y)


def test_labels_that_are_text_are_not_taken_for_files(tmp_path):
    paths = write_images(tmp_path, IMAGES)
    labels = np.array(["left.side", "v1.0"])[Y]
    fitted = small().fit(list(zip(paths, labels.tolist(), strict=True)))
    assert fitted.classes_.tolist() == ["left.side", "v1.0"]

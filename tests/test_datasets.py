"""torch Datasets as X: with labels or without, in memory or read while training."""

import numpy as np
import pandas as pd
import pytest
import torch
from image_files import noise, write_images
from PIL import Image
from sklearn.model_selection import cross_val_score
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from sklearn_cnn import CNNClassifier, unpack_dataset
from sklearn_cnn.architectures import ConvNet

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


@pytest.fixture(params=["arrays", "tensors", "PIL", "paths"])
def cells(request, tmp_path):
    if request.param == "paths":
        return write_images(tmp_path, IMAGES)
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

"""Images that are read when they are asked for behave as a tensor of them does."""

import numpy as np
import pytest
import torch

from sklearn_cnn.images._decoding import BrokenImageError
from sklearn_cnn.images._lazy import DecodedImages, MappedImages

N = 70
IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (N, 4, 3, 3), dtype=np.uint8))


def decode(row):
    if row is None:
        raise BrokenImageError("damaged")
    return IMAGES[row]


def decoded(items=range(N), channels=3, n_threads=3):
    return DecodedImages(
        items, decode, (len(items), 4, 3, channels), "squash", "X[{}]".format, n_threads=n_threads
    )


@pytest.fixture(params=["decoded", "mapped"])
def images(request):
    return decoded() if request.param == "decoded" else MappedImages(IMAGES)


def test_rows_are_those_of_the_tensor(images):
    assert len(images) == N
    assert images.shape == IMAGES.shape
    assert images.dtype == IMAGES.dtype
    rows = torch.tensor([5, 69, 5, 0, 33])
    for chosen in (slice(None), slice(30, 65), slice(68, 99), slice(0, 0), rows, rows[:0]):
        assert torch.equal(images[chosen], IMAGES[chosen])


def test_selections_of_selections(images):
    one = images.select(torch.arange(60, 10, -1))
    two = one.select(torch.tensor([3, 0, 3]))
    assert torch.equal(two[:], IMAGES[[57, 60, 57]])
    assert two.shape == (3, 4, 3, 3)
    assert torch.equal(one[:2], IMAGES[[60, 59]])
    assert len(images) == N


@pytest.mark.parametrize("n_threads", [1, 2, 7])
def test_the_number_of_threads_changes_nothing(n_threads):
    assert torch.equal(decoded(n_threads=n_threads)[:], IMAGES)


def test_the_first_broken_one_raises_by_its_name():
    items = [None if row in (40, 66) else row for row in range(N)]
    with pytest.raises(ValueError, match=r"^X\[40\]: damaged\.$"):
        decoded(items)[:]
    assert torch.equal(decoded(items)[:40], IMAGES[:40])


def test_broken_ones_are_noted_and_black():
    items = [None if row in (40, 66) else row for row in range(N)]
    broken, done = {66: "the header says so"}, []
    images = decoded(items).read(None, broken, done.append)
    assert broken == {66: "the header says so", 40: "damaged"}
    assert not images[[40, 66]].any()
    assert torch.equal(images[:40], IMAGES[:40])
    assert sum(done) == N


def test_other_errors_reach_the_caller():
    def fail(_):
        raise KeyboardInterrupt

    images = DecodedImages(range(N), fail, (N, 4, 3, 3), "squash", str, n_threads=2)
    with pytest.raises(KeyboardInterrupt):
        images[:]

"""Decoded images on disk: each file once, whoever asks, and never a stale one."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from image_files import noise, write_images
from PIL import Image
from sklearn.model_selection import GridSearchCV, cross_val_score

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.images import ReadOptions, _cache, _encoded, read_images
from sklearn_cnn.images._cache import ImageCache, decoded_folder
from sklearn_cnn.images._decoding import decode_file
from sklearn_cnn.runtime.sealed_files import read_sealed

N = 12
IMAGES = [noise(8, 7, seed=seed) for seed in range(N)]
Y = np.arange(N) % 2


def small(**params):
    return CNNClassifier(ConvNet((4,)), max_epochs=1, random_state=0, **params)


def read(paths, memory, **params):
    return read_images(paths, ReadOptions(memory=memory, **params)).images


def entries(folder):
    """Return the files that the cache below a folder holds images of."""
    indices = sorted(Path(folder).rglob("*.index"))
    return [file for index in indices for file in json.loads(read_sealed(index))[1]]


@pytest.fixture
def paths(tmp_path):
    return write_images(tmp_path / "images", IMAGES)


@pytest.fixture
def decoded(monkeypatch):
    """Return the list of the paths that this process decodes."""
    log = []

    def logged(file, with_alpha=False):
        log.append(file.path)
        return decode_file(file, with_alpha)

    monkeypatch.setattr(_encoded, "decode_file", logged)
    return log


class OtherPath:
    """A path that is no pathlib.Path, as other packages have them."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


@pytest.mark.parametrize(
    "make", [str, Path, OtherPath, lambda path: joblib.Memory(path, verbose=0)]
)
def test_memory_in_every_form(tmp_path, make, paths, decoded):
    for _ in range(2):
        images = read(paths, make(tmp_path / "cache"))
        assert np.array_equal(images[:].numpy(), np.stack(IMAGES))
    assert sorted(decoded) == paths


@pytest.mark.parametrize("memory", [None, joblib.Memory(None)], ids=str)
def test_without_memory_nothing_is_written(memory, paths, decoded):
    assert decoded_folder(memory, None, False, "squash") is None
    for _ in range(2):
        assert np.array_equal(read(paths, memory).numpy(), np.stack(IMAGES))
    assert len(decoded) == 2 * N


def test_cross_validation_decodes_each_file_once(tmp_path, paths, decoded):
    cached = cross_val_score(small(memory=tmp_path / "cache"), paths, Y, cv=3)
    assert sorted(decoded) == paths
    assert np.array_equal(cached, cross_val_score(small(), paths, Y, cv=3))


def test_a_search_in_two_processes_decodes_each_file_once(tmp_path, paths):
    grid = {"lr": [0.001, 0.01]}
    cache = tmp_path / "cache"
    search = GridSearchCV(small(memory=cache), grid, cv=2, n_jobs=2).fit(paths, Y)
    assert len(entries(cache)) == N
    alone = GridSearchCV(small(), grid, cv=2).fit(paths, Y)
    for scores in ("split0_test_score", "split1_test_score"):
        assert np.array_equal(search.cv_results_[scores], alone.cv_results_[scores])
    assert np.array_equal(search.predict_proba(paths), alone.predict_proba(paths))


def test_what_is_resized_in_two_ways_is_kept_apart(tmp_path, paths, decoded):
    for _ in range(2):
        for interpolation in "bilinear", "bicubic":
            how = {"image_shape": (6, 5), "interpolation": interpolation}
            images = read(paths, tmp_path / "cache", **how)
            expected = read_images(IMAGES, ReadOptions(**how)).images
            assert torch.equal(images[:], expected)
    assert len(decoded) == 2 * N
    # images that keep their size are the same
    for interpolation in "bilinear", "bicubic":
        read(paths, tmp_path / "cache", interpolation=interpolation)
    assert len(decoded) == 3 * N


def test_the_network_is_the_same_with_and_without(tmp_path, paths):
    for early_stopping in (False, True):
        one = small(memory=tmp_path / "cache", early_stopping=early_stopping).fit(paths, Y)
        other = small(early_stopping=early_stopping).fit(paths, Y)
        for name, value in one.module_.state_dict().items():
            assert torch.equal(value, other.module_.state_dict()[name])


def test_a_file_that_is_there_twice_is_decoded_once(tmp_path, paths, decoded):
    order = [0, 1, 0, 2, 2, 0]
    images = read([paths[row] for row in order], tmp_path / "cache")
    assert np.array_equal(images[:].numpy(), np.stack([IMAGES[row] for row in order]))
    assert sorted(decoded) == paths[:3]


def test_relative_paths_are_the_same_files(tmp_path, paths, decoded, monkeypatch):
    read(paths, tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    read([os.path.relpath(path) for path in paths], tmp_path / "cache")
    assert len(decoded) == N


@pytest.mark.parametrize("changes", ["time", "size"])
def test_a_changed_file_is_decoded_anew(tmp_path, paths, decoded, changes):
    read(paths, tmp_path / "cache")
    status = os.stat(paths[3])
    Image.fromarray(IMAGES[4]).save(paths[3])
    if changes == "size":
        with open(paths[3], "ab") as stream:
            stream.write(b"what follows the image does not count")
        os.utime(paths[3], ns=(status.st_atime_ns, status.st_mtime_ns))
    images = read(paths, tmp_path / "cache")
    assert decoded[N:] == [paths[3]]
    assert np.array_equal(images[3:4][0].numpy(), IMAGES[4])


def test_sizes_and_modes_do_not_mix(tmp_path, paths):
    for params in [
        {},
        {"image_shape": (5, 6)},
        {"image_shape": (6, 5)},
        {"image_shape": (6, 5), "resize_mode": "pad"},
        {"image_shape": (6, 5, 4)},
        {"image_shape": (6, 5, 1)},
        {"image_shape": (6, 5, 3)},
    ]:
        expected = read(paths, None, **params)
        assert torch.equal(read(paths, tmp_path / "cache", **params)[:], expected)


@pytest.mark.parametrize("first", [1, 3])
def test_gray_and_colour_of_the_same_files(tmp_path, paths, first):
    # whatever was asked for first
    for channels in (first, 4 - first):
        images = read(paths, tmp_path / "cache", image_shape=(8, 7, channels))
        expected = [
            Image.fromarray(image).convert("L" if channels == 1 else "RGB") for image in IMAGES
        ]
        assert np.array_equal(images[:].numpy(), np.stack(expected).reshape(images.shape))
    assert len(entries(tmp_path / "cache")) == N


def test_folds_of_gray_and_colour(tmp_path):
    images = [noise(8, 7, channels=1 if row % 3 else 3, seed=row) for row in range(N)]
    paths = write_images(tmp_path / "images", images)
    gray = [path for row, path in enumerate(paths) if row % 3]
    for chosen in (gray[:3], paths[:5], gray, paths):
        cached = read(chosen, tmp_path / "cache")
        assert torch.equal(cached[:], read(chosen, None))
    assert len(entries(tmp_path / "cache")) == N


def deep(n, seed=0):
    return list(np.random.default_rng(seed).integers(2000, 2100, (n, 8, 7)).astype(np.uint16))


@pytest.mark.parametrize("image_shape", [None, (5, 6), (8, 7, 3), (8, 7, 4)])
def test_gray_of_16_bits_keeps_its_values(tmp_path, decoded, image_shape):
    paths = write_images(tmp_path / "images", deep(5))
    expected = read(paths, None, image_shape=image_shape)
    decoded.clear()
    for _ in range(2):
        images = read(paths, tmp_path / "cache", image_shape=image_shape)
        assert images.dtype == torch.float32
        assert torch.equal(images[:], expected)
    assert sorted(decoded) == paths
    if image_shape is None:
        assert np.array_equal(images[:][..., 0].numpy(), np.stack(deep(5)))


def test_depths_are_not_mixed_from_the_cache_either(tmp_path):
    shallow = write_images(tmp_path / "8", [noise(8, 7, channels=1, seed=s) for s in range(2)])
    of_16_bits = write_images(tmp_path / "16", deep(2))
    cache, both = tmp_path / "cache", [*shallow, *of_16_bits]
    expected = re.escape(f"X[2], {of_16_bits[0]!r} holds uint16, but X[0], {shallow[0]!r} holds")
    for _ in range(2):
        for memory in (cache, None):
            with pytest.raises(ValueError, match=expected):
                read(both, memory)
        for paths in (shallow, of_16_bits):
            assert torch.equal(read(paths, cache)[:], read(paths, None))


def test_what_an_earlier_version_decoded_is_not_looked_at(tmp_path, paths):
    folder = decoded_folder(tmp_path / "cache", None, False, "squash")
    earlier = folder.with_name(folder.name.replace("v5", "v4"))
    assert earlier != folder
    read(paths, tmp_path / "cache")
    shutil.move(folder, earlier)
    for entry in earlier.glob("*.images"):
        entry.write_bytes(bytes(entry.stat().st_size))
    assert np.array_equal(read(paths, tmp_path / "cache")[:].numpy(), np.stack(IMAGES))


def test_mixed_sizes_are_refused_from_the_cache_too(tmp_path):
    one = write_images(tmp_path / "one", [noise(8, 7)])
    other = write_images(tmp_path / "other", [noise(9, 7)])
    cache = tmp_path / "cache"
    read(one, cache)
    read(other, cache)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"2 sizes: \(8, 7\), \(9, 7\)"):
            read([*one, *other], cache)


@pytest.mark.parametrize("damage", [b"", b"no array", None])
@pytest.mark.parametrize("extension", ["images", "index"])
def test_a_damaged_entry_is_decoded_again_with_a_warning(tmp_path, paths, damage, extension):
    cache = tmp_path / "cache"
    read(paths, cache)
    (entry,) = cache.rglob(f"*.{extension}")
    entry.write_bytes(entry.read_bytes()[:-9] if damage is None else damage)
    check_it_heals(cache, paths)


def test_an_entry_without_its_array_is_decoded_again(tmp_path, paths):
    cache = tmp_path / "cache"
    read(paths, cache)
    (entry,) = cache.rglob("*.images")
    entry.unlink()
    check_it_heals(cache, paths)


def check_it_heals(cache, paths):
    """Check that images of a damaged cache are right, it is said once, and then all is well."""
    with pytest.warns(UserWarning, match="cannot be read or is damaged: .* decoded again") as said:
        images = read(paths, cache)
    assert len(said) == 1
    assert np.array_equal(images[:].numpy(), np.stack(IMAGES))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(read(paths, cache)[:].numpy(), np.stack(IMAGES))
    assert len(entries(cache)) == N


@pytest.mark.parametrize("extension", ["images", "index"])
def test_each_flipped_bit_is_found(tmp_path, paths, extension):
    cache = tmp_path / "cache"
    read(paths, cache)
    (entry,) = cache.rglob(f"*.{extension}")
    n_bits = 8 * entry.stat().st_size
    for bit in np.random.default_rng(0).choice(n_bits, 60, replace=False):
        (entry,) = cache.rglob(f"*.{extension}")
        flip(entry, bit)
        check_it_heals(cache, paths)


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_two_damaged_entries_are_one_warning(tmp_path, paths, decoded):
    cache = tmp_path / "cache"
    read(paths[:4], cache)
    read(paths[4:8], cache)
    read(paths[8:], cache)
    for entry in sorted(cache.rglob("*.images"))[:2]:
        flip(entry, 0)
    check_it_heals(cache, paths)
    # what is not damaged stays
    assert len(decoded) == N + 8


def test_memory_clear_empties_it(tmp_path, paths, decoded):
    memory = joblib.Memory(tmp_path / "cache", verbose=0)
    read(paths, memory)
    memory.clear(warn=False)
    assert entries(tmp_path / "cache") == []
    read(paths, memory)
    assert len(decoded) == 2 * N


def test_broken_files_do_not_enter(tmp_path, paths):
    broken = tmp_path / "broken.png"
    broken.write_bytes(Path(paths[0]).read_bytes()[:-60])
    cache = tmp_path / "cache"
    with pytest.raises(ValueError, match=r"^X\[1\], "):
        read([paths[0], str(broken)], cache)
    # an error leaves nothing half done
    assert entries(cache) == []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small(memory=cache, handle_broken="skip").fit([*paths, str(broken)], [*Y, 0])
    Image.fromarray(IMAGES[0]).save(broken)
    images = read([str(broken)], cache)
    assert np.array_equal(images[:][0].numpy(), IMAGES[0])


# Fits on the files of a folder; decoding a file takes a while, and says so in a log.
PROGRAM = """
import sys, time
from pathlib import Path
from sklearn_cnn.images import ReadOptions, _encoded, read_images
folder, cache, log, pause = sys.argv[1:]
decode_file = _encoded.decode_file
def slow(file, with_alpha=False):
    time.sleep(float(pause))
    with open(log, "a") as stream:
        stream.write(file.path + "\\n")
    return decode_file(file, with_alpha)
_encoded.decode_file = slow
paths = sorted(map(str, Path(folder).iterdir()))
images = read_images(paths, ReadOptions(memory=cache)).images
print(int(images[:].sum()))
"""


def start(tmp_path, pause):
    arguments = [tmp_path / "images", tmp_path / "cache", tmp_path / "log", pause]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.usefixtures("paths")
def test_two_processes_decode_each_file_once(tmp_path):
    processes = [start(tmp_path, 0.05) for _ in range(2)]
    sums = [int(process.communicate(timeout=120)[0]) for process in processes]
    assert sums == [int(np.stack(IMAGES).sum(dtype=np.int64))] * 2
    assert len((tmp_path / "log").read_text().split()) == N


def test_a_process_that_is_killed_leaves_no_trace(tmp_path, paths):
    process = start(tmp_path, 0.5)
    deadline = time.monotonic() + 100
    while not (tmp_path / "log").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    (stray,) = (tmp_path / "cache").rglob("*.images")
    assert np.array_equal(read(paths, tmp_path / "cache")[:].numpy(), np.stack(IMAGES))
    assert not stray.exists()
    assert len(entries(tmp_path / "cache")) == N


def test_strays_go_even_if_nothing_is_missing(tmp_path, paths):
    read(paths, tmp_path / "cache")
    (entry,) = (tmp_path / "cache").rglob("*.images")
    strays = [entry.with_name(name) for name in ("a.images", "b.images", "b.draft")]
    strays[0].touch()
    strays[1].write_bytes(bytes(10**6))
    strays[2].write_bytes(b"half an ind")
    with ImageCache(entry.parent).locked():
        # they may be another's work
        read(paths, tmp_path / "cache")
        assert all(stray.exists() for stray in strays)
    read(paths, tmp_path / "cache")
    assert not any(stray.exists() for stray in strays)
    assert entry.exists()


@pytest.mark.parametrize("which", ["posix_fallocate", "zeros"])
def test_a_full_disk_is_said_and_the_fit_goes_on(tmp_path, paths, monkeypatch, which):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if which == "posix_fallocate":
        monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    else:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
        monkeypatch.setattr(_cache, "_ZEROS", FullDisk())
    check_it_does_without(tmp_path / "cache", paths, "No space left on device; 0.0 MB are needed")


class FullDisk:
    """Zeros for which there is no room."""

    def __len__(self):
        return 100

    def __getitem__(self, _):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def check_it_does_without(cache, paths, reason):
    """Check that images are right without a cache, that it is said once, and nothing is left."""
    with pytest.warns(UserWarning, match=re.escape(reason)) as said:
        images = read(paths, cache)
    assert len(said) == 1
    assert "images are decoded without a cache" in str(said[0].message)
    assert np.array_equal(images[:].numpy(), np.stack(IMAGES))
    left = [path.name for path in cache.rglob("*") if path.is_file()] if cache.is_dir() else []
    assert set(left) <= {"lock", ".gitignore"}


@pytest.mark.parametrize("supported", [True, False])
def test_files_are_allocated_whatever_the_file_system_can(tmp_path, paths, monkeypatch, supported):
    if not supported:

        def unsupported(*_):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

        monkeypatch.setattr(os, "posix_fallocate", unsupported, raising=False)
    _cache._allocate(tmp_path / "file", 3_000_000)
    status = os.stat(tmp_path / "file")
    assert status.st_size == 3_000_000
    assert 512 * status.st_blocks >= 3_000_000
    assert np.array_equal(read(paths, tmp_path / "cache")[:].numpy(), np.stack(IMAGES))


@pytest.fixture
def mounted(tmp_path):
    """Return the folder of a file system of 128 kB."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "none", str(folder)]
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    # lazily: images that were read are still mapped
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_truly_full(tmp_path, mounted):
    images = [noise(100, 100, seed=seed) for seed in range(8)]
    paths = write_images(tmp_path / "images", images)
    with pytest.warns(UserWarning, match="No space left on device; 0.2 MB are needed"):
        read_all = read(paths, mounted)
    assert np.array_equal(read_all[:].numpy(), np.stack(images))
    # what fits is cached
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(paths[:2], mounted)
    assert len(entries(mounted)) == 2


def test_a_folder_that_cannot_be_written_to(mounted, paths):
    read(paths[:4], mounted)
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # all that is wanted is there
        assert np.array_equal(read(paths[:4], mounted)[:].numpy(), np.stack(IMAGES[:4]))
    with pytest.warns(UserWarning, match="Read-only file system.* decoded without a cache"):
        images = read(paths, mounted)
    assert np.array_equal(images[:].numpy(), np.stack(IMAGES))


def test_a_folder_that_cannot_be_made(tmp_path, paths):
    (tmp_path / "file").touch()
    check_it_does_without(tmp_path / "file" / "cache", paths, "Not a directory")
    without = small(memory=tmp_path / "file" / "cache")
    with pytest.warns(UserWarning, match="Not a directory"):
        without.fit(paths, Y)
    with pytest.warns(UserWarning, match="Not a directory"):
        assert np.array_equal(without.predict(paths), small().fit(paths, Y).predict(paths))


def test_arrays_make_no_folder(tmp_path):
    X = np.stack(IMAGES)
    small(memory=tmp_path / "cache").fit(X, Y).predict(X)
    assert list(tmp_path.iterdir()) == []


LIMITED = """
import resource, sys
from pathlib import Path
from sklearn_cnn.images import ReadOptions, read_images
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
paths = sorted(map(str, Path(sys.argv[1]).iterdir()))
print(int(read_images(paths, ReadOptions(memory=sys.argv[2])).images[:].sum()))
"""


@pytest.mark.usefixtures("paths")
def test_a_limit_of_the_size_of_files(tmp_path):
    pytest.importorskip("resource")
    out = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path / "images", tmp_path / "cache"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(out.stdout) == np.stack(IMAGES).sum(dtype=np.int64)
    assert "File too large; 0.0 MB are needed" in out.stderr
    assert not list((tmp_path / "cache").rglob("*.images"))


def test_names_that_are_not_utf_8(tmp_path, paths):
    strange = os.path.join(os.fsencode(tmp_path), b"\xff.png")
    try:
        shutil.copyfile(paths[0], strange)
    except OSError:
        pytest.skip("this file system takes no such names")
    names = [os.fsdecode(strange), *paths[1:]]
    for _ in range(2):
        images = read(names, tmp_path / "cache")
        assert np.array_equal(images[:].numpy(), np.stack(IMAGES))
    assert len(entries(tmp_path / "cache")) == N

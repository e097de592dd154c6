"""Which files can be read is known before anything is trained."""

import numpy as np
import pandas as pd
import pytest
from image_files import noise, write_images
from listed import Listed
from PIL import Image
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sklearn_cnn import CNNClassifier, CNNRegressor, ConvNet, ImageReader, find_broken

N = 12
IMAGES = [noise(8, 7, seed=seed) for seed in range(N)]
Y = np.arange(N) % 2


def network(kind=CNNClassifier, **params):
    return kind(ConvNet((2,)), max_epochs=1, random_state=0, **params)


@pytest.fixture
def paths(tmp_path):
    """Return N paths, of which that of row 3 is cut short and that of row 7 is missing."""
    paths = write_images(tmp_path / "images", IMAGES)
    content = (tmp_path / "images" / "0003.png").read_bytes()
    (tmp_path / "images" / "0003.png").write_bytes(content[:-40])
    (tmp_path / "images" / "0007.png").unlink()
    return paths


@pytest.fixture
def whole(paths):
    """Return paths and labels of the files that can be read."""
    return np.delete(paths, [3, 7]), np.delete(Y, [3, 7])


def pairs(images):
    """Return a Dataset of the elements of a list, in pairs with labels."""
    return Listed([(image, row % 2) for row, image in enumerate(images)])


@pytest.mark.parametrize(
    "contain", [list, tuple, np.array, pd.Series, lambda X: pd.DataFrame({"image": X}), pairs]
)
def test_broken_files_are_found_with_their_reasons(paths, contain):
    found = find_broken(contain(paths))
    assert list(found) == [3, 7]
    assert "cannot be decoded" in found[3]
    assert found[7] == "no such file"


def test_sizes_and_depths_may_differ_and_arrays_are_never_broken(tmp_path):
    paths = [*write_images(tmp_path, IMAGES), *write_images(tmp_path / "g", [noise(3, 4, 1)])]
    paths += write_images(tmp_path / "deep", [noise(5, 5, 1).astype(np.uint16) * 200])
    assert find_broken(paths) == {}
    assert find_broken(IMAGES) == {}
    assert find_broken(np.stack(IMAGES)) == {}
    assert find_broken([Image.fromarray(image) for image in IMAGES]) == {}
    assert list(find_broken([paths[0], None, paths[1], "none.png"])) == [1, 3]


def test_what_is_no_batch_is_refused(paths):
    with pytest.raises(TypeError, match="X is a single path"):
        find_broken(paths[0])
    with pytest.raises(TypeError, match="X is a map"):
        find_broken(map(str, paths))


def test_rows_that_fit_left_out_are_known(paths):
    model = network(handle_broken="skip")
    with pytest.warns(UserWarning, match="2 of 12 files"):
        model.fit(paths, Y)
    assert model.skipped_rows_.tolist() == [3, 7]
    assert model.skipped_rows_.dtype == np.int64
    model.fit(paths[:2], Y[:2])
    assert model.skipped_rows_.tolist() == []
    assert not hasattr(network().fit(paths[:2], Y[:2]), "skipped_rows_")


@pytest.mark.parametrize("kind", [CNNClassifier, CNNRegressor])
@pytest.mark.parametrize("contain", [list, np.array, lambda X: pd.DataFrame({"image": X})])
def test_score_leaves_out_what_fit_would(paths, whole, kind, contain):
    X, y = whole
    model = network(kind, handle_broken="skip").fit(contain(X), y)
    with pytest.warns(UserWarning, match="2 of 12 files of X cannot be read and are left out"):
        assert model.score(contain(paths), Y) == model.score(contain(X), y)
    weights = np.arange(1.0, N + 1)
    with pytest.warns(UserWarning, match="2 of 12 files"):
        weighted = model.score(contain(paths), Y, weights)
    assert weighted == model.score(contain(X), y, np.delete(weights, [3, 7]))
    with pytest.raises(ValueError, match=r"X\[7\], .*no such file"):
        model.set_params(handle_broken="error").score(contain(paths), Y)


@pytest.mark.filterwarnings("ignore:.* files of X cannot be read")
def test_cross_validation_scores_what_can_be_read(paths):
    scores = cross_val_score(network(handle_broken="skip"), paths, Y, cv=2, error_score="raise")
    assert np.isfinite(scores).all()


def test_reader_leaves_out_broken_files_unless_y_would_not_follow(paths, whole):
    reader = ImageReader(handle_broken="skip", flatten=False)
    expected = np.delete(np.stack(IMAGES), [3, 7], axis=0)
    with pytest.warns(UserWarning, match="2 of 12 files"):
        np.testing.assert_array_equal(reader.fit_transform(paths), expected)
    assert reader.skipped_rows_.tolist() == [3, 7]
    with pytest.warns(UserWarning, match="2 of 12 files"):
        reader.fit(paths, Y)
    assert reader.skipped_rows_.tolist() == [3, 7]
    np.testing.assert_array_equal(reader.transform(whole[0]), expected)
    with pytest.raises(ValueError, match=r"^X\[7\], .*no such file"):
        reader.transform(paths)
    with pytest.raises(ValueError, match=r"^X\[7\], .*no such file"):
        ImageReader().fit(paths)
    pipeline = make_pipeline(ImageReader(handle_broken="skip"), SVC())
    with (
        pytest.warns(UserWarning, match="2 of 12 files"),
        pytest.raises(ValueError, match=r"2 of 12 files .* y would not follow .*find_broken\(X\)"),
    ):
        pipeline.fit(paths, Y)
    assert pipeline.fit(*whole).predict(whole[0]).shape == (N - 2,)


def test_reasons_name_no_source_of_the_decoder(tmp_path):
    path = tmp_path / "cut.jpg"
    Image.fromarray(noise(32, 32, 3)).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    [reason] = find_broken([path]).values()
    assert "cannot be decoded" in reason
    assert ".cpp" not in reason

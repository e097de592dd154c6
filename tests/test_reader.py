"""Every container of images is read to the same pixels."""

import io
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from listed import Listed

from sklearn_cnn import ImageReader
from sklearn_cnn.images import ReadOptions, as_numpy, read_images
from sklearn_cnn.images._resizing import resize

GRAY = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
COLOUR = np.arange(3 * 4 * 5 * 3, dtype=np.uint8).reshape(3, 4, 5, 3)


def read(X, expected=None, **params):
    """Return the images of X, as `fit` reads them or, where a shape is expected, `predict`."""
    return read_images(X, ReadOptions(**params), expected=expected).images


def reader_of(X, **params):
    """Return an estimator that has seen X in `fit`."""
    return ImageReader(**params).fit(X)


def object_array(cells, shape=(-1,)):
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array.reshape(shape)


def assert_pixels(images, expected):
    """Check values and shape, where gray images have one channel."""
    expected = expected[..., np.newaxis] if expected.ndim == 3 else expected
    assert tuple(images.shape) == expected.shape
    assert np.array_equal(images.numpy(), expected)


@pytest.fixture
def torch_warns_each_time():
    """Have torch repeat the warnings that it gives once a process."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(before)


@pytest.mark.parametrize("X", [GRAY, COLOUR], ids=["gray", "colour"])
@pytest.mark.parametrize(
    ("dtype", "read_as"),
    [
        ("uint8", torch.uint8),
        ("bool", torch.uint8),
        ("int8", torch.float32),
        ("uint16", torch.float32),
        ("int64", torch.float32),
        ("float16", torch.float32),
        ("float32", torch.float32),
        (">f4", torch.float32),
        ("float64", torch.float32),
    ],
)
def test_arrays_of_any_dtype(X, dtype, read_as):
    X = (X % 120).astype(dtype)
    images = read(X)
    assert images.dtype == read_as
    assert_pixels(images, X)


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int32", "bfloat16", "float16", "float64"])
def test_torch_tensors(dtype):
    # bfloat16 holds whole numbers up to 256
    X = torch.from_numpy(COLOUR).to(getattr(torch, dtype))
    images = read(X)
    assert images.dtype == (torch.uint8 if dtype in ("uint8", "bool") else torch.float32)
    assert_pixels(images, X.float().numpy())


def test_a_tensor_that_requires_a_gradient_is_detached():
    images = read(torch.from_numpy(COLOUR).float().requires_grad_())
    assert not images.requires_grad
    assert_pixels(images, COLOUR)


@pytest.mark.parametrize("X", [GRAY, COLOUR], ids=["gray", "colour"])
def test_nested_lists(X):
    images = read(X.tolist())
    assert images.dtype == torch.float32
    assert_pixels(images, X)


@pytest.mark.parametrize("X", [GRAY, COLOUR], ids=["gray", "colour"])
@pytest.mark.parametrize(
    "contain",
    [
        list,
        tuple,
        lambda X: [torch.from_numpy(image) for image in X],
        object_array,
        lambda X: pd.Series(list(X), index=[7, 5, 9]),
        lambda X: pl.Series("image", list(X), dtype=pl.Object),
        lambda X: object_array(list(X), (-1, 1)),
        lambda X: pd.DataFrame({"image": list(X)}, index=[7, 5, 9]),
        lambda X: pl.DataFrame({"image": pl.Series(list(X), dtype=pl.Object)}),
    ],
    ids=[
        "list",
        "tuple",
        "tensors",
        "objects",
        "pandas series",
        "polars series",
        "object column",
        "pandas frame",
        "polars frame",
    ],
)
def test_sequences_and_columns_of_images(X, contain):
    images = read(contain(list(X)))
    assert images.dtype == torch.uint8
    assert_pixels(images, X)


def test_list_of_bfloat16_tensors():
    images = read([torch.from_numpy(image).bfloat16() for image in GRAY])
    assert images.dtype == torch.float32
    assert_pixels(images, GRAY)


@pytest.mark.parametrize(
    "contain",
    [
        np.asarray,
        pd.DataFrame,
        pl.DataFrame,
        torch.from_numpy,
        np.ndarray.tolist,
        list,
        np.asfortranarray,
    ],
)
def test_flat_rows_of_numbers(contain):
    images = read(contain(GRAY.reshape(3, -1)), image_shape=(4, 5))
    assert_pixels(images, GRAY)


def test_integers_of_a_frame_become_float32():
    for frame in pd.DataFrame, pl.DataFrame:
        images = read(frame(GRAY.reshape(3, -1).astype(np.int64) * 1000))
        assert images.dtype == torch.float32
        assert np.array_equal(images.numpy().ravel(), GRAY.ravel() * 1000.0)


def test_flat_rows_hold_colour_in_the_order_of_channel_axis():
    assert_pixels(read(COLOUR.reshape(3, -1), image_shape=(4, 5)), COLOUR)
    channels_first = COLOUR.transpose(0, 3, 1, 2).reshape(3, -1)
    assert_pixels(read(channels_first, image_shape=(4, 5, 3), channel_axis=1), COLOUR)


def test_channels_first():
    assert_pixels(read(COLOUR.transpose(0, 3, 1, 2).copy(), channel_axis=1), COLOUR)
    images = [image.transpose(2, 0, 1).copy() for image in COLOUR]
    assert_pixels(read(images, channel_axis=1), COLOUR)


def test_signals_whose_channels_image_shape_names():
    X = np.arange(3 * 50 * 40, dtype=np.float32).reshape(3, 1, 50, 40)
    for images in X, list(X):
        assert_pixels(read(images, image_shape=(1, 50, 40)), X)
    columns = X.transpose(0, 3, 2, 1)
    read_columns = read(columns, image_shape=(50, 1, 40), channel_axis=1)
    assert_pixels(read_columns, X.transpose(0, 2, 1, 3))


@pytest.mark.parametrize("contain", [np.asarray, list, np.ndarray.tolist, Listed])
def test_signals_without_a_height_warn_in_fit_alone(contain, recwarn):
    X = np.arange(3 * 50 * 8, dtype=np.float32).reshape(3, 50, 8)
    read(contain(X), expected=(50, 8, 1))
    read(contain(X), image_shape=(50, 8))
    assert not recwarn.list
    with pytest.warns(UserWarning, match="signals of 50 values and 8 channels") as caught:
        assert_pixels(read(contain(X)), X)
    assert len(caught) == 1


def test_channels_of_signals_without_a_height_are_told_how_to_come():
    X = np.zeros((3, 50, 8), np.float32)
    with pytest.raises(ValueError, match=r"pass signals as X\[:, np.newaxis\]"):
        read(X, image_shape=(1, 50, 8))
    assert read(X[:, np.newaxis], image_shape=(1, 50, 8)).shape == (3, 1, 50, 8)


def test_image_shape_as_torch_has_it_is_refused_for_flat_rows_of_fit():
    rows = np.zeros((3, 5 * 8 * 8), np.float32)
    for channel_axis in (-1, 1):
        with pytest.raises(ValueError, match=r"Write image_shape=\(8, 8, 5\)"):
            read(rows, image_shape=(5, 8, 8), channel_axis=channel_axis)
    # a fit on four dimensions has settled it
    images = read(rows, image_shape=(5, 8, 8), expected=(5, 8, 8))
    assert images.shape == (3, 5, 8, 8)


@pytest.mark.parametrize(
    "view",
    [
        lambda X: X[::-1],
        lambda X: X[:, ::-1],
        lambda X: X[:, :, ::-1],
        lambda X: X[..., ::-1],
        lambda X: X[::2, 1:, ::2],
        np.asfortranarray,
        lambda X: np.broadcast_to(X[:1], X.shape),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_strided_views(view, dtype):
    X = view(COLOUR.astype(dtype))
    assert_pixels(read(X), X)


def test_fields_of_packed_records():
    records = np.zeros(3, dtype=[("label", "u1"), ("image", "f4", (4, 5))])
    records["image"] = GRAY
    assert_pixels(read(records["image"]), GRAY)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channel_axis", [-1, 1])
def test_memory_is_shared_where_the_dtype_allows(dtype, channel_axis):
    X = COLOUR.astype(dtype)
    if channel_axis == 1:
        X = np.ascontiguousarray(X.transpose(0, 3, 1, 2))
    assert np.shares_memory(read(X, channel_axis=channel_axis).numpy(), X)
    tensor = torch.from_numpy(X)
    assert np.shares_memory(read(tensor, channel_axis=channel_axis).numpy(), X)


def test_flat_rows_share_memory():
    rows = GRAY.reshape(3, -1)
    assert np.shares_memory(read(rows, image_shape=(4, 5)).numpy(), rows)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.usefixtures("torch_warns_each_time")
def test_read_only_arrays_do_not_warn(dtype):
    X = COLOUR.astype(dtype)
    X.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_pixels(read(X), COLOUR)
        assert_pixels(read(X.reshape(3, -1), image_shape=(4, 5)), COLOUR)


@pytest.mark.usefixtures("torch_warns_each_time")
@pytest.mark.parametrize("channel_axis", [-1, 1])
def test_a_memmap_is_not_loaded(tmp_path, channel_axis):
    X = COLOUR if channel_axis == -1 else COLOUR.transpose(0, 3, 1, 2)
    np.save(tmp_path / "images.npy", np.ascontiguousarray(X))
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = read(mapped, channel_axis=channel_axis)
        rows = read(mapped.reshape(3, -1), image_shape=(4, 5), channel_axis=channel_axis)
    assert np.shares_memory(images.numpy(), mapped)
    assert np.shares_memory(rows.numpy(), mapped)
    assert_pixels(images, COLOUR)


def test_features_are_counted_as_scikit_learn_does():
    assert reader_of(COLOUR).n_features_in_ == 4 * 5 * 3
    assert reader_of(GRAY).n_features_in_ == 4 * 5
    assert reader_of(GRAY.reshape(3, -1)).n_features_in_ == 4 * 5
    column = reader_of(pd.DataFrame({"image": list(GRAY)}))
    assert column.n_features_in_ == 1
    assert column.feature_names_in_.tolist() == ["image"]
    assert not hasattr(reader_of(list(GRAY)), "n_features_in_")
    assert not hasattr(reader_of(pd.Series(list(GRAY))), "n_features_in_")


def test_shape_is_learned_in_fit():
    assert reader_of(COLOUR).image_shape_ == (4, 5, 3)
    assert reader_of(GRAY).image_shape_ == (4, 5, 1)
    assert reader_of(np.zeros((3, 16))).image_shape_ == (4, 4, 1)
    assert reader_of(np.zeros((3, 15))).image_shape_ == (1, 15, 1)
    assert reader_of(GRAY, image_shape=(7, 6)).image_shape_ == (7, 6, 1)
    assert reader_of(COLOUR, image_shape=[7, 6, 3]).image_shape_ == (7, 6, 3)


def test_mixed_sizes_need_image_shape():
    images = [np.zeros((6, 7, 3)), np.zeros((8, 8, 3)), np.zeros((6, 7, 3))]
    with pytest.raises(ValueError, match=r"2 sizes: \(6, 7, 3\), \(8, 8, 3\)\.") as caught:
        read(images)
    assert "image_shape=(height, width)" in str(caught.value)


def test_at_most_five_sizes_are_listed():
    with pytest.raises(ValueError, match=r"7 sizes: .*\(5, 9\), \.\.\."):
        read([np.zeros((height, 9)) for height in range(1, 8)])


@pytest.mark.parametrize("channels", [(), (1,), (3,)], ids=str)
@pytest.mark.parametrize("mode", ["squash", "crop", "pad"])
def test_mixed_sizes_are_resized_to_image_shape(mode, channels):
    rng = np.random.default_rng(0)
    sizes = [(6, 7), (8, 8), (3, 12), (8, 8)]
    images = [rng.integers(0, 256, (*size, *channels), dtype=np.uint8) for size in sizes]
    resized = read(images, image_shape=(8, 8), resize_mode=mode)
    assert resized.dtype == torch.uint8
    assert resized.shape == (4, 8, 8, channels[0] if channels else 1)
    for image, expected in zip(resized, images, strict=True):
        alone = torch.from_numpy(expected.reshape(1, *expected.shape[:2], -1))
        assert torch.equal(image, resize(alone, (8, 8), mode)[0])


def test_mixed_sizes_with_channels_first_are_resized():
    images = [np.full((3, 6, 7), 5, np.uint8), np.full((3, 9, 9), 8, np.uint8)]
    resized = read(images, image_shape=(8, 8), channel_axis=1)
    assert resized.shape == (2, 8, 8, 3)
    assert (resized[0] == 5).all()
    assert (resized[1] == 8).all()


def test_an_array_is_resized_to_image_shape():
    images = read(COLOUR, image_shape=(8, 10))
    assert torch.equal(images, resize(torch.from_numpy(COLOUR), (8, 10)))


def test_other_channels_than_image_shape_names_are_an_error():
    with pytest.raises(ValueError, match=r"1 channels, but image_shape=\(4, 5, 3\) asks for 3"):
        read(GRAY, image_shape=(4, 5, 3))
    with pytest.raises(ValueError, match=r"3 channels, but image_shape=\(8, 8, 1\) asks for 1"):
        read(list(COLOUR), image_shape=(8, 8, 1))


def test_gray_among_colour_is_an_error():
    with pytest.raises(ValueError, match=r"channels|8 x 8 x 3") as caught:
        read([np.zeros((8, 8)), np.zeros((8, 8, 3))], image_shape=(8, 8))
    # nothing is fitted yet, and image_shape is given already
    assert "was fitted on" not in str(caught.value)
    assert "fit with image_shape" not in str(caught.value)


@pytest.mark.parametrize("image_shape", [None, (4, 5)], ids=["one size", "resized"])
@pytest.mark.parametrize("whole", [np.uint8, np.int64])
@pytest.mark.parametrize("contain", [list, object_array, lambda X: pd.DataFrame({"image": X})])
def test_integers_among_floating_point_numbers_are_an_error(contain, whole, image_shape):
    scaled = [image / np.float32(255) for image in GRAY]
    for images in [*scaled[:2], GRAY[2].astype(whole)], [*GRAY[:2].astype(whole), scaled[2]]:
        with pytest.raises(ValueError, match=r"^X\[2\] holds .*, but X\[0\] holds") as caught:
            read(contain(images), image_shape=image_shape)
        assert np.dtype(whole).name in str(caught.value)
        assert "all of them to one dtype and range" in str(caught.value)


@pytest.mark.parametrize("dtypes", [("f4", "f8", "f2"), ("<u2", ">u2", "<u2"), ("i8",) * 3])
def test_numbers_of_one_kind_may_be_mixed(dtypes):
    images = [image.astype(dtype) for image, dtype in zip(GRAY, dtypes, strict=True)]
    assert_pixels(read(images), GRAY)


@pytest.mark.parametrize("image_shape", [None, (4, 5)], ids=["one size", "resized"])
@pytest.mark.parametrize("other", ["uint16", "int32", "bool", "float32"])
def test_arrays_of_another_depth_are_an_error(other, image_shape):
    with pytest.raises(ValueError, match=rf"^X\[2\] holds {other}, but X\[0\] holds uint8"):
        read([*GRAY[:2], GRAY[2].astype(other)], image_shape=image_shape)


def test_something_else_among_images_is_named_by_its_position():
    with pytest.raises(TypeError, match=r"X\[1\] is a int"):
        read([np.zeros((3, 3)), 3])


@pytest.mark.parametrize("X", [GRAY, COLOUR], ids=["gray", "colour"])
@pytest.mark.parametrize("image_shape", [None, (4, 5)])
def test_one_image_in_a_batch_can_be_predicted(X, image_shape):
    fitted = tuple(read(X, image_shape=image_shape).shape[1:])
    for batch in X[:1], [X[0]], X[:1].reshape(1, -1):
        assert_pixels(read(batch, fitted, image_shape=image_shape), X[:1])


@pytest.mark.parametrize("X", [GRAY, COLOUR], ids=["gray", "colour"])
def test_a_lone_image_is_an_error_that_says_what_to_write(X):
    with pytest.raises(ValueError, match=r"X\[np\.newaxis\]"):
        reader_of(X).transform(X[0])


def test_another_size_at_predict_is_an_error():
    reader = reader_of(COLOUR)
    with pytest.raises(ValueError, match=r"4 x 4 x 3.*fitted on images of 4 x 5 x 3"):
        reader.transform(COLOUR[:, :, :4])
    with pytest.raises(ValueError, match=r"4 x 5 x 1.*fitted on images of 4 x 5 x 3"):
        reader.transform(GRAY[:2])


def test_image_shape_resizes_at_predict_too():
    other = np.full((2, 30, 20, 3), 9, dtype=np.uint8)
    images = read(other, (8, 8, 3), image_shape=(8, 8))
    assert images.shape == (2, 8, 8, 3)
    assert (images == 9).all()


def test_an_array_read_anew_replaces_the_shape():
    reader = reader_of(COLOUR).fit(GRAY)
    assert reader.image_shape_ == (4, 5, 1)
    assert reader.n_features_in_ == 20


@pytest.mark.parametrize("name", ["X", "X_val"])
def test_errors_call_the_data_by_its_name(name):
    with pytest.raises(ValueError, match=rf"^{name} holds images of 2 sizes"):
        read_images([np.zeros((3, 3)), np.zeros((4, 4))], ReadOptions(), name=name)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        pytest.param(scipy.sparse.csr_matrix(np.eye(4)), TypeError, "dense", id="sparse matrix"),
        pytest.param(scipy.sparse.csr_array(np.eye(4)), TypeError, "dense", id="sparse array"),
        pytest.param(np.array(5.0), ValueError, "scalar", id="number"),
        pytest.param(torch.tensor(5.0), ValueError, "scalar", id="number as tensor"),
        pytest.param(np.zeros(16), ValueError, "1D array", id="one row"),
        pytest.param([], ValueError, r"0 sample\(s\)", id="empty list"),
        pytest.param(np.zeros((0, 16)), ValueError, r"0 sample\(s\)", id="no rows"),
        pytest.param(np.zeros((0, 4, 4)), ValueError, r"0 sample\(s\)", id="no images"),
        pytest.param(np.zeros((3, 0)), ValueError, r"0 feature\(s\)", id="no columns"),
        pytest.param(np.zeros((3, 0, 4)), ValueError, r"0 feature\(s\)", id="no pixels"),
        pytest.param(
            pd.DataFrame(index=range(3)), ValueError, r"at least one|0 feature", id="no cells"
        ),
        pytest.param(np.zeros((2, 2, 2, 2, 2)), ValueError, "5 dimensions", id="5 dimensions"),
        pytest.param(np.full((3, 4, 4), np.nan), ValueError, "NaN", id="NaN"),
        pytest.param(np.full((3, 16), np.inf), ValueError, "infinity", id="infinity"),
        pytest.param(np.full((3, 4, 4), 1e300), ValueError, "too large", id="not in float32"),
        pytest.param(np.zeros((3, 4, 4), dtype=complex), ValueError, "Complex", id="complex"),
        pytest.param("cat.png", TypeError, "single path or name", id="path"),
        pytest.param(["cat.png"], ValueError, r"X\[0\], 'cat.png': no such file", id="no file"),
        pytest.param([["a.png", "b.png"]] * 2, TypeError, "holds str values", id="two columns"),
        pytest.param(b"cat.png", TypeError, "single encoded image, a bytes", id="bytes"),
        pytest.param(io.BytesIO(), TypeError, "single encoded image, a BytesIO", id="buffer"),
        pytest.param(
            {"bytes": b"", "path": None}, TypeError, "single encoded image, a dict", id="record"
        ),
        pytest.param([[b"a", b"b"]] * 2, TypeError, "holds bytes values", id="columns of bytes"),
        pytest.param([b"cat.png"], ValueError, r"X\[0\]: it is no image", id="name as bytes"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_what_is_no_batch_of_images_is_refused(X, error, message):
    with pytest.raises(error, match=message):
        read(X)


def test_as_numpy_leaves_all_but_tensors_alone():
    frame = pd.DataFrame({"a": [1]})
    assert as_numpy(frame) is frame
    assert as_numpy(GRAY) is GRAY
    assert np.shares_memory(as_numpy(torch.from_numpy(GRAY)), GRAY)
    assert as_numpy(torch.ones(2, dtype=torch.bfloat16)).dtype == np.float32

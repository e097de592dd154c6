"""TIFF files are read as what they hold, or refused with what was found."""

import io
import pickle

import numpy as np
import PIL
import pytest
import torch
from image_files import noise, tiff
from PIL import Image

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet
from sklearn_cnn.images._decoding import BrokenImageError, decode_file, decode_pil, read_header

COLOUR = noise(5, 6)
BANDS = np.random.default_rng(0).integers(0, 256, (5, 6, 13), dtype=np.uint8)


@pytest.fixture
def write(tmp_path):
    def to_path(*pages, **options):
        path = tmp_path / "image.tif"
        path.write_bytes(tiff(*pages, **options))
        return str(path)

    return to_path


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4"])
def test_gray_of_every_kind_keeps_its_values(write, dtype):
    values = np.arange(30).reshape(5, 6)
    values = (values if dtype[0] == "u" else values - 15).astype(dtype)
    if dtype == "u4":
        values[0, 0] = 2**32 - 256
    path = write(values)
    decoded = decode_file(read_header(path))
    assert decoded.dtype == (torch.uint8 if dtype == "u1" else torch.float32)
    assert np.array_equal(decoded[..., 0].numpy(), values)
    with Image.open(path) as image:
        assert torch.equal(decode_pil(image), decoded)


@pytest.mark.parametrize("dtype", ["f8", "f2", "u8"])
def test_gray_that_pillow_does_not_read_is_named(write, dtype):
    with pytest.raises(BrokenImageError, match=rf"1 band of {np.dtype(dtype)}, which Pillow"):
        read_header(write(np.ones((5, 6), dtype)))


@pytest.mark.parametrize("separate", [False, True])
def test_colours_may_lie_one_after_the_other(write, separate):
    decoded = decode_file(read_header(write(COLOUR, separate=separate)))
    assert np.array_equal(decoded.numpy(), COLOUR)


@pytest.mark.parametrize(
    ("n_bands", "extra", "reason"),
    [
        (2, (0,), "has 2 bands, and does not say that the last one is alpha"),
        (4, (0,), "has 4 bands, and does not say that the last one is alpha"),
        (4, (), "has 4 bands, and does not say that the last one is alpha"),
        (5, (0, 0), "has 5 bands"),
        (5, (2, 0), "has 5 bands"),
        (13, (0,) * 10, "has 13 bands"),
    ],
)
def test_bands_that_would_be_left_out_are_counted(write, capfd, n_bands, extra, reason):
    path = write(BANDS[..., :n_bands], extra=extra)
    with pytest.raises(BrokenImageError, match=rf"^this TIFF {reason}: read it into an array$"):
        read_header(path)
    assert capfd.readouterr().err == ""


def test_bands_that_would_be_left_out_of_a_pil_image(write):
    with Image.open(write(BANDS[..., :4], extra=(0,))) as image:
        with pytest.raises(ValueError, match=r"^X\[0\]: this TIFF has 4 bands"):
            CNNClassifier(ConvNet((4,)), max_epochs=1).fit([image] * 4, [0, 1, 0, 1])
        # whoever makes a picture of it has said what counts
        assert np.array_equal(decode_pil(image.convert("RGB")).numpy(), BANDS[..., :3])


def test_alpha_is_the_fourth_band_where_the_file_says_so(write):
    header = read_header(write(BANDS[..., :4], extra=(2,)))
    assert np.array_equal(decode_file(header, with_alpha=True).numpy(), BANDS[..., :4])


def test_colours_of_16_bits_one_after_the_other_are_refused(write):
    deep = BANDS[..., :3].astype(np.uint16) * 257
    assert np.array_equal(decode_file(read_header(write(deep))).numpy(), BANDS[..., :3])
    with pytest.raises(BrokenImageError, match="bands of 16 bits one after the other"):
        read_header(write(deep, separate=True))


def test_pages_are_counted(write):
    pages = [noise(5, 6, channels=1, seed=seed) for seed in range(4)]
    path = write(*pages)
    with pytest.raises(BrokenImageError, match=r"^this TIFF has 4 pages: read it into an array$"):
        read_header(path)
    # of a PIL image its page counts
    with Image.open(path) as image:
        image.seek(2)
        assert np.array_equal(decode_pil(image)[..., 0].numpy(), pages[2])


@pytest.mark.parametrize(
    ("side", "subfiles"), [(5, (0, 1)), (5, (0, 4)), (3, ())], ids=["copy", "mask", "label"]
)
def test_smaller_copies_and_masks_are_no_pages(write, side, subfiles):
    gray, other = noise(5, 6, channels=1), noise(side, 6, channels=1, seed=1)
    decoded = decode_file(read_header(write(gray, other, subfiles=subfiles)))
    assert np.array_equal(decoded[..., 0].numpy(), gray)


def test_pages_that_lead_in_a_circle_end(write):
    content = tiff(noise(5, 6, 1))
    path = write(noise(5, 6, 1))
    with open(path, "wb") as file:
        file.write(content[:-4] + content[4:8])
    assert read_header(path).height == 5


def test_a_pickled_pil_image_is_read(write):
    with Image.open(write(COLOUR)) as image:
        image.load()
        assert np.array_equal(decode_pil(pickle.loads(pickle.dumps(image))).numpy(), COLOUR)


def test_what_pillow_writes_is_read():
    # Pillow 12 and before do not read YCbCr of this size themselves
    colours = ["YCbCr"] if int(PIL.__version__.partition(".")[0]) >= 13 else []
    for mode in ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", *colours, "LAB", "I;16", "I", "F"]:
        stream = io.BytesIO()
        values = np.arange(30, dtype=np.uint16).reshape(5, 6)
        picture = Image.fromarray(values if mode == "I;16" else values.astype(np.uint8))
        (picture if mode == "I;16" else picture.convert(mode)).save(stream, "TIFF")
        with Image.open(stream) as image:
            assert decode_pil(image).shape[:2] == (5, 6)

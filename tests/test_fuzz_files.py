"""Damaged files end in the right image or one error that names them, never in anything else."""

import io
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from image_files import noise, png, png_chunk, write_images
from PIL import Image

from sklearn_cnn import ImageReader

SIDE = 16

# Nothing is saved between runs, and no example is hunted for longer than it is worth here.
fuzz = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=40,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def smooth():
    """Return an image that compresses: one whose damage could look like a part of it."""
    rows, columns = np.mgrid[:SIDE, :SIDE] * 15
    return np.dstack([rows, columns, 255 - rows]).astype(np.uint8)


def encoded(pixels, extension, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, extension, **options)
    return stream.getvalue()


def gif(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).quantize(32).save(stream, "GIF")
    return stream.getvalue()


FILES = {
    "jpeg": encoded(smooth(), "JPEG"),
    "jpeg progressive": encoded(smooth(), "JPEG", progressive=True),
    "jpeg gray": encoded(smooth()[..., 0], "JPEG"),
    "png": encoded(smooth(), "PNG"),
    "png noise": encoded(noise(SIDE, SIDE), "PNG"),
    "png gray": encoded(noise(SIDE, SIDE, channels=1), "PNG"),
    "png rgba": encoded(np.dstack([smooth(), smooth()[..., :1]]), "PNG"),
    "webp": encoded(noise(SIDE, SIDE), "WEBP"),
    "webp lossless": encoded(noise(SIDE, SIDE), "WEBP", lossless=True),
    "bmp": encoded(noise(SIDE, SIDE), "BMP"),
    "gif": gif(noise(SIDE, SIDE)),
    "tiff": encoded(noise(SIDE, SIDE), "TIFF"),
    "tiff lzw": encoded(noise(SIDE, SIDE), "TIFF", compression="tiff_lzw"),
    "tiff deflate": encoded(smooth(), "TIFF", compression="tiff_deflate"),
}


def read_at_1(content, **params):
    """Return the image of a file that is the second of two, or None if it is refused.

    A refusal must be one ValueError that names position and path.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Pillow may warn of what it reads all the same
        warnings.simplefilter("ignore")
        path = Path(folder, "damaged")
        path.write_bytes(content)
        # the first file has the size that a good second one has
        good = write_images(Path(folder), [noise(SIDE, SIDE)])
        reader = ImageReader(flatten=False, **params)
        try:
            return reader.fit_transform([*good, str(path)])[1]
        except ValueError as error:
            message = str(error)
    if "holds images of 2 sizes" not in message:
        assert message.startswith(f"X[1], {str(path)!r}: "), message
        assert "\n" not in message
    assert not vars(reader).keys() & {"image_shape_", "n_features_in_"}
    return None


@pytest.mark.parametrize("name", FILES)
def test_truncated_files_are_whole_or_refused(name):
    content = FILES[name]
    original = read_at_1(content)
    assert original is not None
    lengths = np.unique(np.linspace(0, len(content) - 1, 25).astype(int))
    for length in [*lengths.tolist(), *range(max(len(content) - 16, 0), len(content))]:
        image = read_at_1(content[:length])
        assert image is None or np.array_equal(image, original), length


@pytest.mark.parametrize("name", FILES)
@fuzz
@given(st.data())
def test_flipped_bytes_give_an_image_or_are_refused(name, data):
    content = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        # headers are where it hurts
        end = data.draw(st.sampled_from([min(64, len(content)), len(content)]))
        content[data.draw(st.integers(0, end - 1))] = data.draw(st.integers(0, 255))
    image = read_at_1(bytes(content), image_shape=(SIDE, SIDE))
    assert image is None or (image.shape == (SIDE, SIDE, 3) and image.dtype == np.uint8)


MAGIC = [
    b"",
    b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF",
    b"BM",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
]


@fuzz
@given(st.sampled_from(MAGIC), st.binary(max_size=200))
def test_random_bytes_are_refused(magic, tail):
    assert read_at_1(magic + tail) is None


@fuzz
@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.sampled_from([0, 2, 3, 4, 6]))
def test_headers_of_any_size(width, height, colour_type):
    palette = png_chunk(b"PLTE", bytes(range(30)))
    content = png(width, height, 8, colour_type, [b"\0" * 8], before=palette)
    image = read_at_1(content, image_shape=(SIDE, SIDE))
    assert image is None or width * height <= 8


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)], ids=str)
@pytest.mark.parametrize("kind", ["png", "bmp"])
def test_images_without_pixels_are_refused(shape, kind):
    height, width = shape
    if kind == "png":
        content = png(width, height, 8, 2, [])
    else:
        content = bytearray(FILES[kind])
        # where a BMP keeps the size of the image
        for place, side in [(18, width), (22, height)]:
            content[place : place + 2] = side.to_bytes(2, "little")
    assert read_at_1(bytes(content), image_shape=(SIDE, SIDE)) is None


def test_damage_does_not_end_the_process(tmp_path):
    # in a process of its own: a crash inside a decoder would take the tests with it
    for name, content in FILES.items():
        (tmp_path / name.replace(" ", "_")).write_bytes(content)
    code = f"""
import pathlib, random, warnings
warnings.simplefilter("ignore")
from sklearn_cnn.images._decoding import BrokenImageError, decode_file, read_header
draw, n_broken = random.Random(0), 0
files = [path.read_bytes() for path in sorted(pathlib.Path({str(tmp_path)!r}).iterdir())]
path = pathlib.Path({str(tmp_path / "damaged")!r})
for _ in range(60):
    for content in map(bytearray, files):
        for _ in range(draw.randrange(1, 9)):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content[:draw.randrange(1, 2 * len(content))])
        try:
            decode_file(read_header(str(path)))
        except BrokenImageError:
            n_broken += 1
print(n_broken)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert output.returncode == 0, output.stderr
    assert int(output.stdout) > 60

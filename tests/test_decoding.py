"""Every file is decoded to the pixels that Pillow sees, upright; deep gray keeps its values."""

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from image_files import noise, png, png_chunk
from PIL import Image, ImageFile, ImageOps

from sklearn_cnn.images import _decoding
from sklearn_cnn.images._decoding import (
    BrokenImageError,
    decode_file,
    decode_pil,
    identify,
    pil_channels,
    pil_dtype,
    pil_size,
    read_header,
)

PILLOW = tuple(map(int, PIL.__version__.split(".")[:2]))
HEIGHT, WIDTH = 13, 17
COLOUR = noise(HEIGHT, WIDTH)
GRAY, ALPHA = COLOUR[..., 0].copy(), COLOUR[..., 1].copy()
RGBA = np.dstack([COLOUR, ALPHA])
ORIENTATION = 0x0112


def picture(pixels=COLOUR):
    return Image.fromarray(pixels)


def write(folder, name, image, **options):
    path = str(folder / name)
    image.save(path, **options)
    return path


def write_bytes(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return str(path)


def as_pillow_sees(path, mode):
    """Return what Pillow makes of the content of a file.

    Opened by its path, Pillow 13 maps a TIFF that lies on its side into rows of a wrong length.
    """
    with Image.open(io.BytesIO(Path(path).read_bytes())) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert(mode))
    return upright.reshape(*upright.shape[:2], -1)


def assert_as_pillow(path, channels, with_alpha=False):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        header = read_header(path)
        pixels = decode_file(header, with_alpha)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    assert header.channels == (3 if with_alpha else channels)
    assert pixels.dtype == torch.uint8
    assert np.array_equal(pixels.numpy(), as_pillow_sees(path, mode))
    assert (header.height, header.width) == tuple(pixels.shape[:2])
    assert pixels.shape[2] == channels


def oriented(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def xmp(orientation):
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        f'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "bmp", "gif", "tif", "ppm", "jp2"])
@pytest.mark.parametrize("pixels", [GRAY, COLOUR], ids=["gray", "colour"])
def test_each_format(tmp_path, extension, pixels):
    is_gray = pixels.ndim == 2
    image = picture(pixels)
    if extension == "gif" and not is_gray:
        image = image.quantize(64)
    path = write(tmp_path, f"image.{extension}", image)
    # WebP has no gray, and GIF has palettes
    assert_as_pillow(path, 1 if is_gray and extension not in ("webp", "gif") else 3)


@pytest.mark.parametrize("extension", ["png", "bmp", "tif", "ppm"])
@pytest.mark.parametrize("pixels", [GRAY, COLOUR], ids=["gray", "colour"])
def test_lossless_formats_give_the_array_back(tmp_path, extension, pixels):
    path = write(tmp_path, f"image.{extension}", picture(pixels))
    decoded = decode_file(read_header(path))
    assert np.array_equal(decoded.numpy(), pixels.reshape(HEIGHT, WIDTH, -1))


@pytest.mark.parametrize("name", ["a.PNG", "a.jpg", "without extension", "ein Bild ü 像.png"])
def test_the_content_counts_and_not_the_name(tmp_path, name):
    path = write(tmp_path, name, picture(), format="PNG")
    assert np.array_equal(decode_file(read_header(path)).numpy(), COLOUR)


@pytest.mark.parametrize(
    "options",
    [
        {"progressive": True},
        {"subsampling": 0},
        {"subsampling": 1},
        {"subsampling": 2},
        {"quality": 20},
        {"optimize": True},
        {"keep_rgb": True},
        {"restart_marker_blocks": 1},
    ],
    ids=str,
)
def test_kinds_of_jpeg(tmp_path, options):
    assert_as_pillow(write(tmp_path, "image.jpg", picture(), **options), 3)


def test_cmyk_jpeg(tmp_path):
    path = write(tmp_path, "image.jpg", picture().convert("CMYK"))
    assert read_header(path).kind == ("JPEG", "CMYK")
    assert_as_pillow(path, 3)


def test_jpeg_of_several_pictures_is_its_first(tmp_path):
    others = [picture(COLOUR[::-1].copy())]
    path = write(tmp_path, "image.mpo", picture(), save_all=True, append_images=others)
    assert read_header(path).kind[0] == "MPO"
    assert_as_pillow(path, 3)


@pytest.mark.parametrize("extension", ["gif", "png", "webp"])
def test_of_an_animation_the_first_frame_counts(tmp_path, extension):
    options = {"lossless": True} if extension == "webp" else {}
    path = write(
        tmp_path,
        f"image.{extension}",
        picture(GRAY),
        save_all=True,
        append_images=[picture(ALPHA)],
        **options,
    )
    expected = picture(GRAY).convert("RGB" if extension in ("webp", "gif") else "L")
    decoded = decode_file(read_header(path)).numpy()
    assert np.array_equal(decoded, np.asarray(expected).reshape(decoded.shape))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits", "jpeg"])
def test_compressed_tiff(tmp_path, compression):
    assert_as_pillow(write(tmp_path, "image.tif", picture(), compression=compression), 3)


def test_fax_tiff(tmp_path):
    image = picture(GRAY).convert("1")
    assert_as_pillow(write(tmp_path, "image.tif", image, compression="group4"), 1)


def test_cmyk_tiff(tmp_path):
    assert_as_pillow(write(tmp_path, "image.tif", picture().convert("CMYK")), 3)


@pytest.mark.parametrize("with_alpha", [False, True])
@pytest.mark.parametrize("extension", ["png", "webp", "tif"])
def test_alpha_is_dropped_or_kept(tmp_path, extension, with_alpha):
    options = {"lossless": True, "exact": True} if extension == "webp" else {}
    path = write(tmp_path, f"image.{extension}", picture(RGBA), **options)
    assert_as_pillow(path, 4 if with_alpha else 3, with_alpha)
    decoded = decode_file(read_header(path), with_alpha)
    assert np.array_equal(decoded.numpy(), RGBA if with_alpha else COLOUR)


def test_images_without_alpha_are_opaque(tmp_path):
    path = write(tmp_path, "image.png", picture())
    decoded = decode_file(read_header(path), with_alpha=True)
    assert np.array_equal(decoded[..., :3].numpy(), COLOUR)
    assert (decoded[..., 3] == 255).all()


def test_gray_with_alpha(tmp_path):
    path = write(tmp_path, "image.png", Image.merge("LA", [picture(GRAY), picture(ALPHA)]))
    assert_as_pillow(path, 1)
    assert np.array_equal(decode_file(read_header(path))[..., 0].numpy(), GRAY)
    with_alpha = decode_file(read_header(path), with_alpha=True)
    assert np.array_equal(with_alpha.numpy(), np.dstack([GRAY, GRAY, GRAY, ALPHA]))


@pytest.mark.parametrize("n_colours", [2, 50])
@pytest.mark.parametrize("transparency", [None, 1, bytes([0, 128])], ids=str)
@pytest.mark.parametrize("with_alpha", [False, True])
def test_palette(tmp_path, n_colours, transparency, with_alpha):
    options = {} if transparency is None else {"transparency": transparency}
    image = picture().quantize(n_colours)
    path = write(tmp_path, "image.png", image, **options)
    header = read_header(path)
    assert header.kind == ("PNG", "P")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decoded = decode_file(header, with_alpha)
    # by way of RGBA, since Pillow warns of some palettes otherwise
    expected = as_pillow_sees(path, "RGBA")
    assert np.array_equal(decoded.numpy(), expected if with_alpha else expected[..., :3])
    assert np.array_equal(decoded[..., :3].numpy(), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("pixels", [GRAY, COLOUR], ids=["gray", "colour"])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_one_transparent_colour(tmp_path, pixels, with_alpha):
    first = int(GRAY[0, 0]) if pixels.ndim == 2 else tuple(map(int, COLOUR[0, 0]))
    path = write(tmp_path, "image.png", picture(pixels), transparency=first)
    channels = 4 if with_alpha else pixels.reshape(HEIGHT, WIDTH, -1).shape[2]
    decoded = decode_file(read_header(path), with_alpha)
    assert decoded.shape[2] == channels
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGBA")) if with_alpha else np.asarray(image)
    assert np.array_equal(decoded.numpy(), expected.reshape(decoded.shape))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_gray_of_few_bits_spans_black_to_white(tmp_path, bits):
    n_bytes = -(-WIDTH * bits // 8)
    packed = np.random.default_rng(0).integers(0, 256, (HEIGHT, n_bytes), dtype=np.uint8)
    path = write_bytes(tmp_path, "image.png", png(WIDTH, HEIGHT, bits, 0, map(bytes, packed)))
    assert_as_pillow(path, 1)
    decoded = decode_file(read_header(path))
    assert (decoded.min(), decoded.max()) == (0, 255)
    assert len(decoded.unique()) == 2**bits


ALL_OF_16_BITS = np.arange(2**16, dtype=np.uint16).reshape(256, 256)


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_16_bit_gray_keeps_its_values(tmp_path, extension):
    path = write(tmp_path, f"image.{extension}", Image.fromarray(ALL_OF_16_BITS))
    header = read_header(path)
    assert (header.channels, header.dtype, header.loses_bits) == (1, np.uint16, False)
    decoded = decode_file(header)
    assert decoded.dtype == torch.float32
    assert np.array_equal(decoded[..., 0].numpy(), ALL_OF_16_BITS)
    with_alpha = decode_file(header, with_alpha=True).numpy()
    assert np.array_equal(with_alpha[..., :3], np.dstack([ALL_OF_16_BITS] * 3))
    assert (with_alpha[..., 3] == 65535).all()


def test_16_bit_gray_in_the_mode_that_older_versions_of_pillow_give_it(tmp_path):
    path = write(tmp_path, "image.png", Image.fromarray(ALL_OF_16_BITS))
    with Image.open(path) as image:
        image.load()
        old = Image.fromarray(ALL_OF_16_BITS.astype(np.int32))
        old.format = "PNG"
        assert pil_dtype(old) == pil_dtype(image) == np.uint16
        assert torch.equal(decode_pil(old), decode_pil(image))


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_16_bit_gray_is_turned(tmp_path, orientation):
    values = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) + 2000
    path = write(tmp_path, "image.png", Image.fromarray(values), exif=oriented(orientation))
    expected = np.rot90(values, {1: 0, 3: 2, 6: -1}[orientation])
    assert np.array_equal(decode_file(read_header(path))[..., 0].numpy(), expected)


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (6, 4)], ids=["RGB", "RGBA"])
def test_16_bit_colour_png_is_as_pillow_reads_it(tmp_path, colour_type, channels):
    values = np.random.default_rng(0).integers(0, 65536, (5, 6, channels)).astype(">u2")
    content = png(6, 5, 16, colour_type, [row.tobytes() for row in values])
    path = write_bytes(tmp_path, "image.png", content)
    assert_as_pillow(path, 3)
    assert read_header(path).loses_bits
    assert np.array_equal(decode_file(read_header(path)).numpy(), (values >> 8)[..., :3])


def test_interlaced_png(tmp_path):
    # one pixel is the whole first pass of seven
    path = write_bytes(tmp_path, "image.png", png(1, 1, 8, 2, [b"\x05\x06\x07"], interlace=1))
    assert decode_file(read_header(path)).tolist() == [[[5, 6, 7]]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("pixels", [GRAY, COLOUR], ids=["gray", "colour"])
def test_exif_turns_the_image(tmp_path, orientation, extension, pixels):
    name = f"image.{extension}"
    path = write(tmp_path, name, picture(pixels), exif=oriented(orientation))
    channels = 1 if pixels.ndim == 2 and extension != "webp" else 3
    assert_as_pillow(path, channels)
    is_sideways = orientation >= 5
    header = read_header(path)
    size = (WIDTH, HEIGHT) if is_sideways else (HEIGHT, WIDTH)
    assert (header.height, header.width) == size
    with Image.open(io.BytesIO(Path(path).read_bytes())) as image:
        assert pil_size(image) == size
        assert np.array_equal(decode_pil(image), decode_file(header))


TURNED = {
    1: GRAY,
    2: GRAY[:, ::-1],
    3: GRAY[::-1, ::-1],
    4: GRAY[::-1],
    5: GRAY.T,
    6: np.rot90(GRAY, -1),
    7: GRAY[::-1, ::-1].T,
    8: np.rot90(GRAY),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_each_orientation_means(tmp_path, orientation):
    path = write(tmp_path, "image.png", picture(GRAY), exif=oriented(orientation))
    assert np.array_equal(decode_file(read_header(path))[..., 0].numpy(), TURNED[orientation])


@pytest.mark.parametrize("orientation", [3, 6])
def test_exif_behind_the_pixels_of_a_png(tmp_path, orientation):
    exif = png_chunk(b"eXIf", oriented(orientation).tobytes().removeprefix(b"Exif\0\0"))
    content = png(WIDTH, HEIGHT, 8, 2, map(bytes, COLOUR), after=exif)
    path = write_bytes(tmp_path, "image.png", content)
    assert_as_pillow(path, 3)
    quarter_turns = {3: 2, 6: -1}[orientation]
    assert np.array_equal(decode_file(read_header(path)), np.rot90(COLOUR, quarter_turns))


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize(
    "extension",
    [
        pytest.param(
            "jpg", marks=pytest.mark.skipif(PILLOW < (11, 2), reason="Pillow writes no XMP there")
        ),
        "png",
    ],
)
def test_an_orientation_in_xmp(tmp_path, orientation, extension):
    if extension == "jpg":
        path = write(tmp_path, "image.jpg", picture(), xmp=xmp(orientation))
    else:
        text = png_chunk(b"iTXt", b"XML:com.adobe.xmp" + b"\0" * 5 + xmp(orientation))
        content = png(WIDTH, HEIGHT, 8, 2, map(bytes, COLOUR), before=text)
        path = write_bytes(tmp_path, "image.png", content)
    assert read_header(path).orientation == orientation
    assert_as_pillow(path, 3)


def test_an_orientation_that_is_none(tmp_path):
    for orientation in (0, 9, 77):
        path = write(tmp_path, "image.jpg", picture(), exif=oriented(orientation))
        assert_as_pillow(path, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)], ids=str)
@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "bmp", "gif", "tif"])
def test_images_of_one_pixel(tmp_path, size, extension):
    path = write(tmp_path, f"image.{extension}", picture(noise(*size, channels=1)))
    assert decode_file(read_header(path)).shape[:2] == size


def pil_image(mode):
    rgba = picture(RGBA)
    if mode == "I;16":
        return Image.fromarray(np.full((HEIGHT, WIDTH), 40_000, dtype=np.uint16))
    if mode in ("La", "PA"):
        return rgba.convert("LA" if mode == "La" else "P").convert(mode)
    return rgba.convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "I;16"])
def test_gray_pil_images(mode):
    image = pil_image(mode)
    assert pil_channels(image) == 1
    decoded = decode_pil(image)
    assert decoded.shape == (HEIGHT, WIDTH, 1)
    if mode == "I;16":
        assert (decoded == 40_000).all()
    elif mode != "La":
        assert np.array_equal(decoded[..., 0].numpy(), np.asarray(image.convert("L")))
    else:
        assert np.array_equal(decoded[..., 0].numpy(), np.asarray(image.convert("LA").convert("L")))


@pytest.mark.parametrize(
    "mode", ["RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "P", "PA"]
)
def test_colour_pil_images(mode):
    image = pil_image(mode)
    assert pil_channels(image) == 3
    expected = np.asarray(image.convert("RGBA" if mode == "RGBa" else "RGB"))
    assert np.array_equal(decode_pil(image).numpy(), expected[..., :3])
    assert decode_pil(image, with_alpha=True).shape == (HEIGHT, WIDTH, 4)


@pytest.mark.parametrize("mode", ["RGBA", "RGBa", "LA", "La", "P", "PA"])
def test_pil_images_keep_their_alpha(mode):
    image = pil_image(mode)
    # what was multiplied by its alpha cannot be shown as it is
    plain = image.convert({"RGBa": "RGBA", "La": "LA"}.get(mode, mode))
    expected = np.asarray(plain.convert("RGBA"))
    assert len(np.unique(expected[..., 3])) > 20
    assert np.array_equal(decode_pil(image, with_alpha=True).numpy(), expected)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"])
def test_pil_images_without_alpha_are_opaque(mode):
    image = pil_image(mode)
    decoded = decode_pil(image, with_alpha=True).numpy()
    assert np.array_equal(decoded[..., :3], np.asarray(image.convert("RGB")))
    assert (decoded[..., 3] == 255).all()


@pytest.mark.skipif(PILLOW < (10, 4), reason="Pillow writes no transparent value of 16 bits")
def test_one_transparent_value_of_16_bits(tmp_path):
    values = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) % 5
    path = write(tmp_path, "image.png", Image.fromarray(values), transparency=1)
    decoded = decode_file(read_header(path), with_alpha=True).numpy()
    assert np.array_equal(decoded[..., 3], np.where(values == 1, 0, 65535))
    assert np.array_equal(decoded[..., 0], values)
    assert decode_file(read_header(path)).shape == (HEIGHT, WIDTH, 1)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_32_bits_keep_their_values(tmp_path, dtype):
    values = (GRAY.astype(dtype) - 100) * 3
    image = Image.fromarray(values)
    header = read_header(write(tmp_path, "image.tif", image))
    assert (header.channels, header.dtype) == (1, dtype)
    for decoded in decode_pil(image), decode_file(header):
        assert decoded.dtype == torch.float32
        assert np.array_equal(decoded[..., 0].numpy(), values)
    with pytest.raises(BrokenImageError, match=rf"{dtype}, of which none says what is opaque"):
        decode_pil(image, with_alpha=True)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_of_a_file_that_are_not_finite(tmp_path, value):
    values = GRAY.astype(np.float32)
    values[3, 4] = value
    header = read_header(write(tmp_path, "image.tif", Image.fromarray(values)))
    with pytest.raises(BrokenImageError, match="NaN or infinite"):
        decode_file(header)


def test_decoding_leaves_the_users_image_alone():
    image = picture(GRAY)
    image.getexif()[ORIENTATION] = 6
    assert pil_size(image) == (WIDTH, HEIGHT)
    decoded = decode_pil(image)
    assert np.array_equal(decoded[..., 0].numpy(), TURNED[6])
    decoded[:] = 0
    assert image.size == (WIDTH, HEIGHT)
    assert image.getexif()[ORIENTATION] == 6
    assert np.array_equal(np.asarray(image), GRAY)


def test_a_fresh_process_reads_a_png_first(tmp_path):
    # Pillow loads the modules of formats when they are asked for
    path = write(tmp_path, "image.png", picture())
    code = (
        "from sklearn_cnn.images._decoding import decode_file, read_header\n"
        f"print(*decode_file(read_header({path!r})).shape)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    output = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert output.split() == [str(HEIGHT), str(WIDTH), "3"]


def test_pillow_decodes_where_torchvision_cannot(tmp_path, monkeypatch):
    header = read_header(write(tmp_path, "image.jpg", picture(), exif=oriented(6)))
    fast = decode_file(header)
    monkeypatch.setattr(_decoding, "_FAST_KINDS", set())
    assert torch.equal(decode_file(header), fast)


# --- What cannot be decoded ----------------------------------------------------------------------


def content_of(extension, pixels=COLOUR):
    stream = io.BytesIO()
    picture(pixels).save(stream, extension)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello", "no image of a format that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "no image of a format"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "no image of a format"),
        (b"%PDF-1.4\n", "no image of a format"),
        (content_of("ICO"), "no image of a format"),
        (content_of("TGA"), "no image of a format"),
        (content_of("PNG")[:20], "cannot be decoded|no image of a format"),
    ],
    ids=["empty", "text", "EPS", "SVG", "PDF", "ICO", "PPM", "half a header"],
)
def test_what_has_no_header_of_an_image(tmp_path, content, reason):
    path = write_bytes(tmp_path, "image.jpg", content)
    with pytest.raises(BrokenImageError, match=reason):
        read_header(path)


@pytest.mark.parametrize("extension", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_truncated_pixels(tmp_path, extension):
    content = content_of(extension, noise(64, 64))
    path = write_bytes(tmp_path, "image", content[: len(content) * 2 // 3])
    with pytest.raises(BrokenImageError):
        decode_file(read_header(path))


@pytest.mark.parametrize("extension", ["JPEG", "PNG", "TIFF"])
def test_truncated_pixels_are_read_where_pillow_is_told_to(tmp_path, monkeypatch, extension):
    content = content_of(extension, noise(64, 64))
    path = write_bytes(tmp_path, "image", content[: len(content) * 2 // 3])
    header = read_header(path)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    decoded = decode_file(header).numpy()
    assert np.array_equal(decoded, as_pillow_sees(path, "RGB"))
    with Image.open(io.BytesIO(content)) as image:
        assert np.array_equal(decoded[:16], np.asarray(image)[:16])


@pytest.mark.parametrize("with_alpha", [False, True])
def test_a_file_that_changes_after_its_header_was_read(tmp_path, with_alpha):
    path = write(tmp_path, "image.png", picture())
    header = read_header(path)
    os.utime(path, ns=(header.modified, header.modified + 1))
    with pytest.raises(BrokenImageError, match="has changed"):
        decode_file(header, with_alpha)
    os.utime(path, ns=(header.modified, header.modified))
    assert decode_file(header, with_alpha).shape[:2] == (HEIGHT, WIDTH)
    os.unlink(path)
    with pytest.raises(BrokenImageError, match="no such file"):
        decode_file(header, with_alpha)


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path, reason in [
        (tmp_path, "it is a directory"),
        (tmp_path / "fifo", "it is not a regular file"),
        (Path("/dev/zero"), "it is not a regular file"),
        (tmp_path / "none.png", "no such file"),
    ]:
        with pytest.raises(BrokenImageError, match=f"^{reason}$"):
            read_header(str(path))


@pytest.mark.parametrize(
    "path", ["https://example.org/cat.png", "file:///etc/hostname", "a\0b.png", "", "x" * 5000]
)
def test_paths_that_are_none(path):
    with pytest.raises(BrokenImageError):
        identify(path)


def test_links_to_images_are_followed(tmp_path):
    path = write(tmp_path, "image.png", picture())
    os.symlink(path, tmp_path / "link.png")
    assert np.array_equal(decode_file(read_header(str(tmp_path / "link.png"))), COLOUR)
    os.symlink(tmp_path / "loop", tmp_path / "loop")
    with pytest.raises(BrokenImageError, match="symbolic links"):
        read_header(str(tmp_path / "loop"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
    path = write(tmp_path, "image.png", picture())
    os.chmod(path, 0)
    with pytest.raises(BrokenImageError, match="Permission denied"):
        read_header(path)


@pytest.mark.parametrize("factor", [1, 3], ids=["above the limit", "above twice the limit"])
def test_more_pixels_than_pillows_limit(tmp_path, monkeypatch, factor):
    path = write(tmp_path, "image.png", picture())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", (HEIGHT * WIDTH - 1) // factor)
    with pytest.raises(BrokenImageError, match="decompression bomb"):
        read_header(path)
    with pytest.raises(BrokenImageError, match="decompression bomb"):
        decode_pil(picture())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert read_header(path).height == HEIGHT


@pytest.mark.parametrize("side", [30_000, 2**31 - 1])
def test_a_small_file_that_says_it_is_huge(tmp_path, side):
    path = write_bytes(tmp_path, "bomb.png", png(side, side, 8, 2, [b"\0" * 9]))
    with pytest.raises(BrokenImageError):
        read_header(path)

"""Masks and maps in files, as PIL images, and of sizes of their own."""

import io
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from drawn_pixels import RNG, MapNet, map_classifier, shapes
from image_files import packed_bits, png, tiff
from listed import Listed
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import KFold, cross_val_score
from torch.utils.data import TensorDataset
from torchvision import tv_tensors

from sklearn_cnn import (
    CNNClassifier,
    CNNRegressor,
    ImageReader,
    find_broken,
    load_image_table,
    unpack_dataset,
)
from sklearn_cnn.architectures import TorchModule
from sklearn_cnn.images._decoding import decode_file, read_header_of
from sklearn_cnn.images._map_files import MapFormat, read_map

X, MASKS = shapes()
DEPTHS = np.array([5000, 1500, 3000], dtype=np.uint16)[MASKS]
PALETTE = {"sky": (10, 20, 30), "box": (200, 0, 0), "disc": (0, 200, 0)}
COLOURS = np.array(list(PALETTE.values()), dtype=np.uint8)
NAMES = np.array(list(PALETTE))


def written(folder, arrays, name="{}.png", change=lambda image: image):
    """Write arrays as image files; return their paths."""
    paths = [folder / name.format(row) for row in range(len(arrays))]
    for path, array in zip(paths, arrays, strict=True):
        change(Image.fromarray(array)).save(path)
    return paths


def with_palette(image):
    image.putpalette(COLOURS.ravel().tolist())
    return image


def in_objects(cells):
    """Return an array of objects, which NumPy would make a number of dimensions of."""
    array = np.empty(len(cells), dtype=object)
    for row, cell in enumerate(cells):
        array[row] = cell
    return array


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return [str(path) for path in written(tmp_path_factory.mktemp("images"), X)]


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    return written(tmp_path_factory.mktemp("masks"), MASKS, change=with_palette)


@pytest.fixture(scope="module")
def of_arrays():
    return map_classifier(max_epochs=2).fit(X, MASKS)


def quick(**params):
    return map_classifier(max_epochs=1, **params)


def regressor(**params):
    return CNNRegressor(MapNet, max_epochs=2, batch_size=8, lr=0.03, random_state=0, **params)


@pytest.mark.parametrize("in_memory", [True, False])
def test_palettes_give_their_indices(images, masks, in_memory):
    classifier = map_classifier(max_epochs=2, in_memory=in_memory, class_weight="balanced")
    weighted = map_classifier(max_epochs=2, class_weight="balanced").fit(X, MASKS)
    classifier.fit(images, masks, X_val=images[:4], y_val=masks[:4])
    assert classifier.loss_curve_ == weighted.loss_curve_
    np.testing.assert_array_equal(classifier.predict(images), weighted.predict(X))
    assert classifier.score(images, masks) == weighted.score(X, MASKS)
    assert classifier.validation_scores_[-1] == classifier.score(images[:4], masks[:4])


@pytest.mark.parametrize(
    "contain",
    [
        lambda masks: [str(path) for path in masks],
        lambda masks: np.array([str(path) for path in masks]),
        lambda masks: pd.Series(masks),
        lambda masks: pd.DataFrame({"mask": [str(path) for path in masks]}),
        lambda masks: [Image.open(path) for path in masks],
        lambda masks: [np.array(Image.open(path)) for path in masks],
        lambda masks: pd.Series([Image.open(path) for path in masks]),
        lambda masks: in_objects([np.array(Image.open(path)) for path in masks]),
        lambda masks: in_objects([Image.open(path) for path in masks])[:, np.newaxis],
        lambda masks: [path.read_bytes() for path in masks],
        lambda masks: np.array([path.read_bytes() for path in masks]),
        lambda masks: pd.DataFrame({"mask": [io.BytesIO(path.read_bytes()) for path in masks]}),
        lambda masks: [io.FileIO(path) for path in masks],
        lambda masks: pd.Series([{"bytes": path.read_bytes(), "path": None} for path in masks]),
        lambda masks: [{"bytes": None, "path": str(path)} for path in masks],
    ],
)
def test_containers_of_masks(masks, of_arrays, contain):
    given = map_classifier(max_epochs=2).fit(X, contain(masks))
    assert given.loss_curve_ == of_arrays.loss_curve_


def test_bytes_of_a_tiff_that_could_be_text(of_arrays):
    contents = [io.BytesIO() for _ in MASKS]
    for content, mask in zip(contents, MASKS, strict=True):
        Image.fromarray(mask).save(content, format="TIFF")
    contents = [content.getvalue() for content in contents]
    assert all(content.isascii() for content in contents)
    assert map_classifier(max_epochs=2).fit(X, contents).loss_curve_ == of_arrays.loss_curve_


def test_bytes_that_are_text_are_labels_still():
    with pytest.raises(TypeError, match="Convert the labels to a string"):
        CNNClassifier().fit(X, np.array([b"cat", b"horse"])[np.arange(24) % 2])


def test_black_and_white_masks_are_0_and_1(tmp_path):
    ones = written(tmp_path, (MASKS == 1).astype(np.uint8) * 255, change=lambda i: i.convert("1"))
    np.testing.assert_array_equal(quick().fit(X, ones).classes_, [0, 1])


def test_masks_in_tiff_files(tmp_path, of_arrays):
    paths = written(tmp_path, MASKS, "{}.tif")
    assert map_classifier(max_epochs=2).fit(X, paths).loss_curve_ == of_arrays.loss_curve_


def test_numbers_in_the_other_order_of_bytes(of_arrays):
    swapped = [
        Image.frombytes("I;16B", mask.shape[::-1], mask.astype(">u2").tobytes()) for mask in MASKS
    ]
    assert map_classifier(max_epochs=2).fit(X, swapped).loss_curve_ == of_arrays.loss_curve_


def test_masks_are_turned_as_their_exif_says(tmp_path, of_arrays):
    paths = [tmp_path / f"{row}.png" for row in range(len(MASKS))]
    upside_down = Image.Exif()
    upside_down[0x0112] = 3
    for path, mask in zip(paths, MASKS, strict=True):
        Image.fromarray(mask[::-1, ::-1].copy()).save(path, exif=upside_down)
    for memory in (None, tmp_path / "cache"):
        turned = map_classifier(max_epochs=2, memory=memory).fit(X, paths)
        assert turned.loss_curve_ == of_arrays.loss_curve_


def tiffs(bits, masks=MASKS, white_is_zero=True):
    return [tiff(mask, bits=bits, white_is_zero=white_is_zero) for mask in masks]


def pngs(bits):
    return [
        png(20, 16, bits, 0, [row.tobytes() for row in packed_bits(mask, bits)]) for mask in MASKS
    ]


def pgms(white):
    deep = MASKS.astype(">u2" if white > 255 else "u1")
    return [b"P5 20 16 %d\n" % white + mask.tobytes() for mask in deep]


def plain_pgms(white):
    return [b"P2 20 16 %d\n" % white + " ".join(map(str, m.flat)).encode() for m in MASKS]


class TestNumbersThatPillowShowsOtherwise:
    """Files whose numbers Pillow scales or inverts."""

    def test_bilevel_tiffs_whose_white_is_zero(self):
        ones = quick().fit(X, tiffs(1, MASKS & 1))
        expected = quick().fit(X, MASKS & 1)
        np.testing.assert_array_equal(ones.classes_, [0, 1])
        assert ones.loss_curve_ == expected.loss_curve_

    @pytest.mark.parametrize(
        ("contents", "extension"),
        [
            pytest.param(tiffs(2), "tif", id="TIFF of 2 bits, inverted"),
            pytest.param(tiffs(4), "tif", id="TIFF of 4 bits, inverted"),
            pytest.param(tiffs(8), "tif", id="TIFF of 8 bits, inverted"),
            pytest.param(tiffs(4, white_is_zero=False), "tif", id="TIFF of 4 bits"),
            pytest.param(pngs(2), "png", id="PNG of 2 bits"),
            pytest.param(pngs(4), "png", id="PNG of 4 bits"),
            pytest.param(pgms(2), "pgm", id="PGM to 2"),
            pytest.param(pgms(254), "pgm", id="PGM to 254"),
            pytest.param(pgms(255), "pgm", id="PGM to 255"),
            pytest.param(pgms(1000), "pgm", id="PGM to 1000"),
            pytest.param(plain_pgms(3), "pgm", id="plain PGM to 3"),
        ],
    )
    def test_few_bits_and_other_whites(self, tmp_path, of_arrays, contents, extension):
        paths = [tmp_path / f"{row}.{extension}" for row in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        for memory in (None, tmp_path / "cache"):
            of_files = map_classifier(max_epochs=2, memory=memory).fit(X, paths)
            np.testing.assert_array_equal(of_files.classes_, [0, 1, 2])
            assert of_files.loss_curve_ == of_arrays.loss_curve_

    def test_depths(self):
        inverted = regressor().fit(X, tiffs(8, MASKS + 1))
        expected = regressor().fit(X, MASKS + 1).predict(X)
        np.testing.assert_allclose(inverted.predict(X), expected, rtol=1e-6)

    @pytest.mark.parametrize("white", [1, 100, 254, 4095])
    def test_every_number_of_a_pgm_comes_back(self, white):
        numbers = np.arange(white + 1).reshape(-1, 1)
        content = b"P5 1 %d %d\n" % (white + 1, white)
        content += numbers.astype(">u2" if white > 255 else "u1").tobytes()
        np.testing.assert_array_equal(read_map(content, MapFormat()), numbers)

    def test_bitmaps_stay_as_they_look(self):
        true = Image.fromarray(MASKS[0] > 0)
        content = io.BytesIO()
        true.save(content, format="PPM")
        np.testing.assert_array_equal(read_map(true, MapFormat()), MASKS[0] > 0)
        np.testing.assert_array_equal(read_map(content.getvalue(), MapFormat()), MASKS[0] > 0)

    def test_images_and_pil_images_are_as_they_look(self):
        looks = 255 - MASKS[0]
        decoded = decode_file(read_header_of(tiffs(8)[0]))
        np.testing.assert_array_equal(decoded[..., 0], looks)
        image = Image.open(io.BytesIO(tiffs(8)[0]))
        for _ in range(2):
            np.testing.assert_array_equal(read_map(image, MapFormat()), looks)


class TestDatasets:
    @pytest.mark.parametrize("in_memory", [True, False])
    @pytest.mark.parametrize(
        "make",
        [
            lambda mask: mask,
            lambda mask: torch.from_numpy(mask)[None].long(),
            lambda mask: tv_tensors.Mask(mask[None]),
            lambda mask: with_palette(Image.fromarray(mask)),
        ],
        ids=["arrays", "tensors", "tv_tensors", "PIL"],
    )
    def test_pairs_of_images_and_masks(self, of_arrays, make, in_memory):
        dataset = Listed([(image, make(mask)) for image, mask in zip(X, MASKS, strict=True)])
        fitted = map_classifier(max_epochs=2, in_memory=in_memory).fit(dataset)
        assert fitted.loss_curve_ == of_arrays.loss_curve_
        np.testing.assert_array_equal(fitted.predict(dataset), of_arrays.predict(X))
        images, masks = unpack_dataset(dataset)
        assert fitted.score(images, masks) == of_arrays.score(X, MASKS)
        assert fitted.score(dataset, masks) == of_arrays.score(X, MASKS)
        with pytest.raises(ValueError, match=r"requires y .*X, y = unpack_dataset\(dataset\)"):
            fitted.score(dataset)

    @pytest.mark.parametrize("channel", [0, 2])
    def test_pairs_of_images_and_depths(self, channel):
        depths = np.where(MASKS == 2, np.nan, DEPTHS).astype(np.float32)
        maps = torch.from_numpy(depths).unsqueeze(1 + channel)
        dataset = TensorDataset(torch.from_numpy(X), maps)
        fitted, expected = regressor().fit(dataset), regressor().fit(X, depths)
        np.testing.assert_array_equal(fitted.predict(dataset), expected.predict(X))
        images, maps = unpack_dataset(dataset)
        assert fitted.score(images, maps) == expected.score(X, depths)
        scores = cross_val_score(regressor(), images, maps, cv=2)
        np.testing.assert_array_equal(scores, cross_val_score(regressor(), X, depths, cv=2))

    def test_images_and_masks_of_several_sizes(self):
        pairs = list(zip(X, MASKS, strict=True))
        pairs[0] = X[0].repeat(2, axis=0), MASKS[0].repeat(2, axis=0)
        fitted = quick(image_shape=(16, 20)).fit(Listed(pairs))
        images, masks = unpack_dataset(Listed(pairs))
        again = quick(image_shape=(16, 20)).fit(images, masks)
        assert fitted.loss_curve_ == again.loss_curve_
        assert fitted.predict_original_size(Listed(pairs))[0].shape == (32, 20)

    def test_of_several_sizes_they_get_the_size_that_learned_weights_recommend(self):
        pairs = list(zip(X, MASKS, strict=True))[:4]
        pairs[1] = X[1].repeat(2, axis=0), MASKS[1].repeat(2, axis=0)
        network = TorchModule(MapNet, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bicubic")
        model = quick(architecture=network)
        fitted = clone(model).fit(Listed(pairs))
        assert fitted.image_shape_ == (224, 224, 1)
        images, masks = unpack_dataset(Listed(pairs))
        assert fitted.loss_curve_ == model.fit(images, masks).loss_curve_
        reader = ImageReader((224, 224), interpolation="bicubic", flatten=False)
        expected = fitted.predict(reader.fit_transform(images))
        np.testing.assert_array_equal(fitted.predict(Listed(pairs)), expected)
        sizes = [maps.shape for maps in fitted.predict_original_size(Listed(pairs))]
        assert sizes == [mask.shape for mask in masks]

    def test_masks_that_change_from_time_to_time_are_refused(self):
        class Flipped(Listed):
            def __getitem__(self, row):
                step = RNG.choice([-1, 1])
                return tuple(part[:, ::step].copy() for part in super().__getitem__(row))

        dataset = Flipped(list(zip(X, MASKS, strict=True)))
        assert quick(in_memory=True).fit(dataset).score(X, MASKS) > 0
        with pytest.raises(ValueError, match=r"another mask or map each time.*in_memory=True"):
            quick(in_memory=False).fit(dataset)

    @pytest.mark.parametrize("kind", ["colours", "labels", "files"])
    def test_masks_that_a_dataset_cannot_hold_are_y(self, masks, kind):
        of_kind = {
            "colours": [Image.fromarray(colours) for colours in COLOURS[MASKS]],
            "labels": list(np.stack([MASKS == 1, MASKS == 2], axis=-1).astype(int)),
            "files": list(masks),
        }
        dataset = Listed(list(zip(X, of_kind[kind], strict=True)))
        for call in (quick(palette=PALETTE).fit, unpack_dataset):
            with pytest.raises(TypeError, match=r"passed as y: X, y = zip\(\*dataset\)"):
                call(dataset)
        images, y = zip(*dataset, strict=True)
        palette = PALETTE if kind == "colours" else None
        assert quick(palette=palette).fit(list(images), list(y)).predict(X).shape[0] == 24

    def test_pairs_of_images_beside_y_are_refused(self, of_arrays):
        pairs = list(zip(X, X, strict=True))
        for items in (pairs, Listed(pairs)):
            with pytest.raises(TypeError, match=r"X holds pairs of images.*leave out y"):
                CNNClassifier(max_epochs=1).fit(items, np.arange(24) % 2)


class TestColours:
    def test_a_palette_says_which_label_each_colour_is(self, tmp_path):
        paths = written(tmp_path, COLOURS[MASKS])
        classifier = map_classifier(max_epochs=2, palette=PALETTE).fit(X, paths)
        by_name = map_classifier(max_epochs=2).fit(X, NAMES[MASKS])
        np.testing.assert_array_equal(classifier.classes_, sorted(PALETTE))
        np.testing.assert_array_equal(classifier.predict(X), by_name.predict(X))
        array = map_classifier(max_epochs=2, palette=PALETTE).fit(X, COLOURS[MASKS])
        np.testing.assert_array_equal(array.predict(X), by_name.predict(X))

    def test_a_colour_may_be_one_that_does_not_count(self, tmp_path):
        paths = written(tmp_path, COLOURS[MASKS])
        fitted = quick(palette=PALETTE, ignore_label="box").fit(X, paths)
        assert fitted.classes_.tolist() == ["disc", "sky"]
        by_name = quick(ignore_label="box").fit(X, NAMES[MASKS])
        assert fitted.loss_curve_ == by_name.loss_curve_

    def test_without_one_colours_are_an_error_that_names_the_file(self, tmp_path):
        paths = written(tmp_path, COLOURS[MASKS])
        with pytest.raises(ValueError, match=r"y\[0\], '.*0.png'.*colour image.*pass palette="):
            quick().fit(X, paths)

    def test_a_colour_that_it_lacks_is_an_error_that_names_the_file(self, tmp_path):
        colours = COLOURS[MASKS]
        colours[2, 3, 4] = (1, 2, 3)
        paths = written(tmp_path, colours)
        with pytest.raises(ValueError, match=r"y\[2\], .*colour \(1, 2, 3\) at row 3, column 4"):
            quick(palette=PALETTE).fit(X, paths)
        with pytest.raises(ValueError, match=r"y\[2\]: .*colour \(1, 2, 3\) at row 3, column 4"):
            quick(palette=PALETTE).fit(X, colours)

    def test_labels_of_several_types_are_refused(self):
        with pytest.raises(ValueError, match="palette must have labels of one type"):
            quick(palette={"a": (0, 0, 0), 1: (1, 1, 1)}).fit(X, MASKS)

    @pytest.mark.parametrize("cached", [False, True])
    def test_masks_of_unknown_colours_are_not_left_out(self, tmp_path, cached):
        colours = COLOURS[MASKS]
        colours[2, 3, 4] = (1, 2, 3)
        paths = written(tmp_path, colours)
        paths[5].write_bytes(b"")
        params = {"handle_broken": "skip", "memory": tmp_path / "cache" if cached else None}
        with pytest.raises(ValueError, match=r"y\[2\], .*colour \(1, 2, 3\) at row 3, column 4"):
            quick(palette=PALETTE, **params).fit(X, paths)
        paths[2:4] = written(tmp_path, MASKS[2:4], "gray{}.png")
        with pytest.raises(ValueError, match=r"y\[\d+\], .*colour image.*pass palette="):
            quick(**params).fit(X, paths)


class TestNumbers:
    def test_deep_files_are_scaled(self, tmp_path):
        paths = written(tmp_path, DEPTHS)
        metres = regressor(target_scale=0.001).fit(X, paths)
        by_array = regressor().fit(X, DEPTHS * 0.001)
        np.testing.assert_allclose(metres.predict(X), by_array.predict(X), rtol=1e-5)
        assert metres.score(X, paths) == pytest.approx(by_array.score(X, DEPTHS * 0.001), abs=1e-5)

    def test_a_scale_that_scales_nothing_warns(self, tmp_path):
        np.save(tmp_path / "0.npy", DEPTHS[0])
        said = r"target_scale=0.1 changes nothing.*Multiply y itself"
        for y in (DEPTHS, list(DEPTHS), [tmp_path / "0.npy"] * 24):
            with pytest.warns(UserWarning, match=said):
                regressor(target_scale=0.1).fit(X, y)
        with pytest.warns(UserWarning, match=said):
            CNNRegressor(target_scale=0.1, max_epochs=1).fit(X, np.arange(24))

    def test_indices_of_a_palette_are_refused(self, images, masks, tmp_path):
        refused = "it has a palette, whose indices stand for classes, .* save the numbers as gray"
        for y in (masks, [Image.open(path) for path in masks]):
            with pytest.raises(ValueError, match=rf"y\[0\].*: {refused}"):
                regressor(handle_broken="skip").fit(images, y)
        quick(memory=tmp_path).fit(images, masks)
        with pytest.raises(ValueError, match=rf"y\[0\], '.*0\.png': {refused}"):
            regressor(memory=tmp_path).fit(images, masks)

    @pytest.mark.parametrize("in_memory", [True, False])
    @pytest.mark.parametrize("suffix", ["npy", "tif"])
    def test_floats_keep_what_is_missing(self, images, tmp_path, suffix, in_memory):
        maps = np.where(MASKS == 2, np.nan, DEPTHS).astype(np.float32)
        paths = [tmp_path / f"{row}.{suffix}" for row in range(len(maps))]
        for path, values in zip(paths, maps, strict=True):
            if suffix == "npy":
                np.save(path, values)
            else:
                Image.fromarray(values).save(path)
        of_files = regressor(in_memory=in_memory).fit(images, paths)
        np.testing.assert_array_equal(of_files.predict(X), regressor().fit(X, maps).predict(X))
        assert of_files.score(images, paths) == of_files.score(X, maps)

    def test_maps_of_several_numbers_in_npy_files(self, tmp_path):
        maps = np.stack([DEPTHS, -1.0 * DEPTHS], axis=-1)
        paths = [tmp_path / f"{row}.npy" for row in range(len(maps))]
        for path, values in zip(paths, maps, strict=True):
            np.save(path, values)
        assert regressor().fit(X, paths).predict(X).shape == (24, 16, 20, 2)


def hollow(paths):
    """Overwrite files with zeros, so that they look the same from outside."""
    for path in paths:
        status = os.stat(path)
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


class TestMemory:
    @pytest.fixture
    def paths(self, masks, tmp_path):
        (tmp_path / "masks").mkdir()
        return [Path(shutil.copy(path, tmp_path / "masks")) for path in masks]

    @pytest.mark.parametrize("in_memory", [True, False])
    def test_masks_are_decoded_once(self, images, paths, of_arrays, tmp_path, in_memory):
        cached = map_classifier(max_epochs=2, memory=tmp_path / "cache", in_memory=in_memory)
        assert cached.fit(images, paths).loss_curve_ == of_arrays.loss_curve_
        hollow(paths)
        assert clone(cached).fit(images, paths).loss_curve_ == of_arrays.loss_curve_
        assert cached.score(images, paths) == of_arrays.score(X, MASKS)

    def test_a_changed_mask_is_read_anew(self, images, paths, tmp_path):
        quick(memory=tmp_path / "cache").fit(images, paths)
        hollow([*paths[:3], *paths[4:]])
        Image.fromarray(np.zeros_like(MASKS[3])).save(paths[3])
        changed = MASKS.copy()
        changed[3] = 0
        again = quick(memory=tmp_path / "cache").fit(images, paths)
        assert again.loss_curve_ == quick().fit(X, changed).loss_curve_

    @pytest.mark.parametrize("extension", ["images", "index"])
    def test_a_damaged_cache_is_computed_anew(self, images, paths, tmp_path, extension):
        cached = quick(memory=tmp_path / "cache").fit(images, paths)
        (entry,) = (tmp_path / "cache").rglob(f"maps-*/*.{extension}")
        content = bytearray(entry.read_bytes())
        content[-9] ^= 1
        entry.write_bytes(content)
        with pytest.warns(UserWarning, match="cannot be read or is damaged: .* decoded again"):
            again = clone(cached).fit(images, paths)
        assert again.loss_curve_ == cached.loss_curve_

    def test_broken_masks_are_named(self, images, paths, tmp_path):
        paths[3].write_bytes(paths[3].read_bytes()[:-40])
        with pytest.raises(ValueError, match=r"y\[3\], '.*3.png': it cannot be decoded"):
            quick(memory=tmp_path / "cache").fit(images, paths)
        paths[3].unlink()
        with pytest.raises(ValueError, match=r"y\[3\], '.*3.png': no such file"):
            quick(memory=tmp_path / "cache").fit(images, paths)

    def test_a_palette_is_of_its_colours(self, tmp_path):
        paths = written(tmp_path, COLOURS[MASKS])
        memory = tmp_path / "cache"
        quick(palette=PALETTE, memory=memory).fit(X, paths)
        hollow(paths)
        # the cache holds colours, and labels may change
        numbered = dict(enumerate(PALETTE.values()))
        by_number = quick(palette=numbered, memory=memory).fit(X, paths)
        assert by_number.loss_curve_ == quick().fit(X, MASKS).loss_curve_
        with pytest.raises(ValueError, match=r"y\[0\], .*no image of a format"):
            quick(palette={**numbered, 3: (9, 9, 9)}, memory=memory).fit(X, paths)

    @pytest.mark.parametrize(
        ("dtype", "extension"), [("uint16", "png"), ("float32", "tif"), ("int32", "tif")]
    )
    def test_numbers_are_those_of_the_files(self, tmp_path, dtype, extension):
        # neighbours that float32 does not tell apart
        numbers = (2**24 + MASKS.astype(np.int32)) if dtype == "int32" else DEPTHS
        paths = written(tmp_path, numbers.astype(dtype), f"{{}}.{extension}")
        metres = regressor(target_scale=0.5, memory=tmp_path / "cache").fit(X, paths)
        expected = regressor(target_scale=0.5).fit(X, paths)
        hollow(paths)
        assert clone(metres).fit(X, paths).loss_curve_ == expected.loss_curve_
        in_units = regressor(memory=tmp_path / "cache").fit(X, paths)
        np.testing.assert_allclose(in_units.predict(X), 2 * expected.predict(X), rtol=1e-6)

    def test_a_folder_that_cannot_be_made_is_said(self, paths, tmp_path):
        (tmp_path / "file").touch()
        with pytest.warns(UserWarning, match="masks or maps are decoded without a cache"):
            quick(memory=tmp_path / "file" / "cache").fit(X, paths)


class TestSizes:
    @pytest.fixture(scope="class")
    @staticmethod
    def mixed(tmp_path_factory):
        """Files of images and masks, every other one of twice the size."""
        folder = tmp_path_factory.mktemp("mixed")

        def enlarge(values, row):
            return values if row % 2 else values.repeat(2, axis=0).repeat(2, axis=1)

        grown = [[enlarge(v, row) for row, v in enumerate(values)] for values in (X, MASKS)]
        paths = [
            written(folder, values, f"{name}{{}}.png")
            for name, values in zip("xy", grown, strict=True)
        ]
        return *paths, grown[1]

    @pytest.mark.parametrize("resize_mode", ["squash", "pad"])
    def test_predictions_of_the_files_own_sizes(self, mixed, resize_mode):
        images, masks, arrays = mixed
        params = {"image_shape": (20, 20), "resize_mode": resize_mode, "ignore_label": 255}
        classifier = map_classifier(max_epochs=20, **params).fit(images, masks)
        assert classifier.predict(images).shape == (24, 20, 20)
        predicted = classifier.predict_original_size(images)
        assert [p.shape for p in predicted] == [m.shape for m in arrays]
        right = [np.mean(p == m) for p, m in zip(predicted, arrays, strict=True)]
        assert np.mean(right) > 0.8
        assert predicted[0].dtype == np.uint8

    def test_those_of_the_cache(self, mixed, tmp_path):
        images, masks, _ = mixed
        cached = quick(image_shape=(20, 20), memory=tmp_path).fit(images, masks)
        assert cached.loss_curve_ == quick(image_shape=(20, 20)).fit(images, masks).loss_curve_

    def test_numbers_of_the_files_own_sizes(self, mixed):
        images, masks, _ = mixed
        fitted = regressor(image_shape=(16, 20)).fit(images, masks)
        predicted = fitted.predict_original_size(images)
        np.testing.assert_allclose(predicted[1], fitted.predict(images)[1], atol=1e-5)
        assert predicted[0].shape == (32, 40)

    def test_they_are_made_of_batches(self, mixed):
        images, masks, _ = mixed
        classifier, batches = quick(image_shape=(20, 20)).fit(images, masks), []
        classifier.module_.register_forward_pre_hook(lambda *call: batches.append(call))
        classifier.predict_original_size(images)
        assert len(batches) == 1
        with pytest.warns(UserWarning, match="X has pixels from") as said:
            classifier.predict_original_size(X / np.float32(255))
        assert len(said) == 1

    def test_images_that_were_not_resized_have_predictions_as_they_are(self, of_arrays):
        predicted = np.stack(of_arrays.predict_original_size(X))
        np.testing.assert_array_equal(predicted, of_arrays.predict(X))

    def test_refusals(self, mixed):
        images, masks, _ = mixed
        cropped = quick(image_shape=(16, 16), resize_mode="crop").fit(images, masks)
        with pytest.raises(ValueError, match='resize_mode="crop" cuts off pixels'):
            cropped.predict_original_size(images)
        of_images = CNNClassifier(max_epochs=1).fit(X, np.arange(24) % 2)
        with pytest.raises(ValueError, match="values of whole images, which have no size"):
            of_images.predict_original_size(X)


class TestBadFiles:
    @pytest.fixture
    def paths(self, masks, tmp_path):
        return [Path(shutil.copy(path, tmp_path)) for path in masks]

    def test_a_missing_one(self, paths):
        paths[3].unlink()
        with pytest.raises(ValueError, match=r"y\[3\], '.*3.png': no such file"):
            quick().fit(X, paths)

    def test_a_truncated_one(self, paths):
        paths[3].write_bytes(paths[3].read_bytes()[:-40])
        with pytest.raises(ValueError, match=r"y\[3\], '.*3.png': it cannot be decoded"):
            quick().fit(X, paths)

    @pytest.mark.parametrize("cached", [False, True])
    @pytest.mark.parametrize("in_memory", [False, True])
    def test_broken_ones_are_skipped(self, images, paths, tmp_path, in_memory, cached):
        paths[0].unlink()
        paths[3].write_bytes(paths[3].read_bytes()[:-40])
        given, kept = [*paths[:7], None, *paths[8:]], [row not in (0, 3, 7) for row in range(24)]
        params = {"handle_broken": "skip", "in_memory": in_memory, "class_weight": "balanced"}
        skipping = quick(**params, memory=tmp_path / "cache" if cached else None)
        # what is no file keeps all of them out of the cache
        given = [*paths[:7], paths[3], *paths[8:]] if cached else given
        with pytest.warns(UserWarning, match=r"3 of 24 files of y .*left out: y\[0\], '.*0.png'"):
            skipping.fit(images, given, X_val=images, y_val=MASKS)
        assert skipping.skipped_rows_.tolist() == [0, 3, 7]
        expected = quick(class_weight="balanced").fit(X[kept], MASKS[kept])
        assert skipping.loss_curve_ == expected.loss_curve_
        with pytest.warns(UserWarning, match="3 of 24 files of y .*left out"):
            assert skipping.score(images, given) == expected.score(X[kept], MASKS[kept])
        assert find_broken(images) == {}

    def test_broken_images_and_masks_are_skipped(self, images, paths, tmp_path):
        paths[3].unlink()
        skipping, given = quick(handle_broken="skip"), [*images[:-1], tmp_path / "no.png"]
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            skipping.fit(given, paths, X_val=given, y_val=paths)
        named = [str(warning.message).split(" cannot")[0] for warning in said]
        assert named == [f"1 of 24 files of {name}" for name in ("X", "y", "X_val", "y_val")]
        assert skipping.skipped_rows_.tolist() == [3, 23]

    @pytest.mark.parametrize("broken", [b"<html>404", b""])
    @pytest.mark.parametrize("contain", [list, np.array])
    def test_broken_bytes_are_named_and_skipped(self, paths, broken, contain):
        contents = [path.read_bytes() for path in paths]
        contents[5] = broken
        with pytest.raises(
            ValueError, match=r"y\[5\]: it is no image of a format that can be read"
        ):
            quick().fit(X, contain(contents))
        skipping = quick(handle_broken="skip")
        with pytest.warns(UserWarning, match=r"1 of 24 files of y cannot .* y\[5\]: it is no"):
            skipping.fit(X, contain(contents))
        assert skipping.skipped_rows_.tolist() == [5]

    @pytest.mark.parametrize("name", ["mask", "mask.npz", ""])
    def test_paths_of_other_files_are_named(self, paths, name):
        paths[2] = paths[2].parent / name
        with pytest.raises(ValueError, match=r"y\[2\], '.*': it does not end as files of masks"):
            quick().fit(X, paths)

    @pytest.mark.parametrize("contain", [list, np.array, lambda y: pd.DataFrame({"mask": y})])
    @pytest.mark.parametrize(("row", "name"), [(0, "notes.txt"), (19, ""), (23, "mask")])
    def test_text_of_other_files_is_named(self, paths, contain, row, name):
        files = [str(path) for path in paths]
        files[row] = name
        expected = rf"y\[{row}\], '{name}': it does not end as files of masks do"
        with pytest.raises(ValueError, match=expected):
            quick().fit(X, contain(files))

    def test_half_of_the_cells_say_that_they_are_files(self, paths):
        files = [*("notes",) * 12, *map(str, paths[12:])]
        with pytest.raises(ValueError, match=r"y\[0\], 'notes': it does not end as files of masks"):
            quick().fit(X, files)

    def test_text_that_mostly_names_no_files_are_labels(self):
        labels = np.array(["cat.png", "dog.b", "a.b"])[np.arange(24) % 3]
        fitted = CNNClassifier(max_epochs=1).fit(X, labels)
        assert fitted.classes_.tolist() == ["a.b", "cat.png", "dog.b"]

    @pytest.mark.parametrize("cell", [7, float("nan")])
    def test_numbers_among_files_are_named(self, paths, cell):
        given = [*map(str, paths[:19]), cell, *map(str, paths[20:])]
        with pytest.raises(ValueError, match=rf"y\[19\]: there is no mask or map, but {cell}: "):
            quick().fit(X, given)

    @pytest.mark.parametrize("path", ["masks.npy", Path("masks")])
    def test_one_path_is_no_y(self, path):
        with pytest.raises(TypeError, match=r"y is one path or name, 'masks.*': write a list"):
            quick().fit(X, path)

    def test_nothing_but_broken_ones(self, paths):
        for path in paths:
            path.write_bytes(b"")
        with pytest.raises(ValueError, match="None of the 24 files of y can be read"):
            quick(handle_broken="skip").fit(X, paths)

    def test_one_of_another_kind(self, paths):
        Image.fromarray(MASKS[3].astype(np.float32)).save(paths[3].with_suffix(".tif"))
        paths[3] = paths[3].with_suffix(".tif")
        with pytest.raises(ValueError, match=r"3.tif' holds float32 .* bring all to one kind"):
            quick(handle_broken="skip").fit(X, paths)

    @pytest.mark.parametrize("model", [quick, regressor])
    @pytest.mark.parametrize(
        ("flat", "shape"),
        [
            (np.ravel, r"\(320,\)"),
            (np.sum, r"\(\)"),
            (lambda m: m[None, None], r"\(1, 1, 16, 20\)"),
        ],
    )
    def test_arrays_of_no_height_and_width(self, tmp_path, model, flat, shape):
        paths = [tmp_path / f"{row}.npy" for row in range(len(MASKS))]
        for path, mask in zip(paths, MASKS, strict=True):
            np.save(path, flat(mask))
        found = (
            rf"npy' holds an array of shape {shape}: a mask or map has the shape \(height, width"
        )
        with pytest.raises(ValueError, match=rf"y\[0\], '.*0\.{found}"):
            model(handle_broken="skip").fit(X, paths)
        np.save(paths[0], MASKS[0])
        with pytest.raises(ValueError, match=rf"y\[1\], '.*1\.{found}"):
            model().fit(X, paths)

    def test_one_of_another_size(self, paths):
        Image.fromarray(MASKS[3, :, :10]).save(paths[3])
        with pytest.raises(ValueError, match=r"y\[3\], '.*3.png' has 16 x 10.*image has 16 x 20"):
            quick().fit(X, paths)

    def test_one_without_a_pixel_that_counts(self, paths):
        Image.fromarray(np.full_like(MASKS[3], 9)).save(paths[3])
        with pytest.raises(ValueError, match=r"y\[3\], '.*3.png' has no pixel that counts"):
            quick(ignore_label=9).fit(X, paths)

    def test_one_that_is_not_there(self, paths):
        with pytest.raises(ValueError, match=r"y\[3\]: there is no mask or map, but None"):
            quick().fit(X, [*paths[:3], None, *paths[4:]])

    def test_a_label_that_only_validation_has(self, paths):
        Image.fromarray(np.full_like(MASKS[3], 9)).save(paths[3])
        with pytest.raises(ValueError, match=r"y_val\[3\], '.*3.png' holds 9 at row 0, column 0"):
            quick().fit(X, MASKS, X_val=X, y_val=paths)

    def test_floats_for_a_classifier(self, tmp_path):
        paths = written(tmp_path, MASKS.astype(np.float32), "{}.tif")
        with pytest.raises(ValueError, match="y holds float32 for each pixel, but labels are"):
            quick().fit(X, paths)

    def test_another_number_of_masks(self, paths):
        with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[24, 20\]"):
            quick().fit(X, paths[:20])


def test_a_table_of_images_and_masks(images, masks, tmp_path, of_arrays):
    rows = [f"{image},{mask}" for image, mask in zip(images, masks, strict=True)]
    (tmp_path / "table.csv").write_text("\n".join(["image,mask", *rows]))
    table = load_image_table(tmp_path / "table.csv", file="image", target="mask")
    classifier = map_classifier(max_epochs=2).fit(table.data, table.target)
    assert classifier.loss_curve_ == of_arrays.loss_curve_
    scores = cross_val_score(quick(), table.data, table.target, cv=KFold(2))
    assert np.isfinite(scores).all()
    with pytest.raises(ValueError, match="n_splits=2 cannot be greater than the number of members"):
        cross_val_score(quick(), table.data, table.target, cv=2)


def test_jpeg_masks_warn(images, tmp_path):
    paths = written(tmp_path, MASKS * 100, "{}.jpg")
    with pytest.warns(UserWarning, match="JPEG files, whose compression changes"):
        map_classifier().fit(images, paths)

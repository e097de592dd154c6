"""Exports that answer with a value for each pixel."""

import numpy as np
import pytest
import torch
from drawn_pixels import map_classifier, shapes
from PIL import Image
from sklearn.base import clone

from sklearn_cnn import CNNRegressor
from sklearn_cnn.architectures import UNet
from sklearn_cnn.metrics import mean_iou_score

onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime (extra test)")
pytest.importorskip("onnx", reason="needs onnx (extra test)")

X, MASKS = shapes(24)
NAMES = np.array(["floor", "box", "ball"])[MASKS]
SEVERAL = np.stack([MASKS > 0, MASKS == 2], axis=-1).astype(np.uint8)
DEPTHS = X * 100.0
FLOWS = np.stack([X * 100.0, X / 10], axis=-1)
SMALL = {"max_epochs": 1, "random_state": 0}


def answer(path, images):
    """Return what onnxruntime makes of images."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]


@pytest.mark.parametrize("output", ["predict_proba", "predict", "decision_function", "transform"])
@pytest.mark.parametrize("y", [NAMES, MASKS == 1, SEVERAL], ids=["text", "two", "several"])
def test_masks_are_those_of_the_estimator(tmp_path, y, output):
    params = {"augmentation": "flip_crop", "test_time_augmentation": True}
    model = map_classifier(architecture=UNet((4, 8)), **SMALL, **params).fit(X, y)
    path, expected = tmp_path / "m.onnx", getattr(model, output)(X[:5])
    scored = {} if output == "transform" else {"y": y}
    report = model.to_onnx(path, X, **scored, output=output)
    found = answer(path, X[:5])
    assert found.shape == expected.shape
    module = model.export_module(output)(torch.from_numpy(X[:5])).detach().numpy()
    if output == "predict":
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(model.classes_[module] if y is not SEVERAL else module, found)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(module, expected, rtol=1e-4, atol=1e-5)
    if output != "transform":
        assert report.agreement == 1
        assert report.score == report.estimator_score == pytest.approx(model.score(X, y))
        assert "of the pixels of 24 images" in str(report)


@pytest.mark.parametrize("y", [DEPTHS, FLOWS], ids=["one", "two"])
def test_maps_are_in_the_units_of_y(tmp_path, y):
    model = CNNRegressor(UNet((4, 8)), **SMALL).fit(X, y)
    report = model.to_onnx(tmp_path / "m.onnx", X, y)
    found, expected = answer(tmp_path / "m.onnx", X[:5]), model.predict(X[:5])
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3 * y.std())
    assert report.score == pytest.approx(model.score(X, y), abs=1e-6)
    assert report.agreement is None


def test_what_rounding_costs_is_counted_in_pixels(tmp_path):
    model = map_classifier(architecture=UNet((4, 8)), random_state=0).fit(X, MASKS)
    images = np.concatenate([X] * 5)
    truth = np.concatenate([MASKS] * 5)
    report = model.to_onnx(tmp_path / "m.onnx", images, truth, precision="int8")
    labels = answer(tmp_path / "m.onnx", images).argmax(axis=-1)
    assert report.agreement == pytest.approx((labels == model.predict(images)).mean())
    assert report.score == pytest.approx(mean_iou_score(truth, labels))


def test_pixels_that_do_not_count_are_not_scored(tmp_path):
    masks = MASKS.copy()
    masks[:, :4] = 255
    model = map_classifier(architecture=UNet((4, 8)), ignore_label=255, **SMALL).fit(X, masks)
    report = model.to_onnx(tmp_path / "m.onnx", X, masks)
    assert report.score == pytest.approx(model.score(X, masks))


def test_y_is_what_score_takes(tmp_path):
    colours = np.array([(0, 0, 0), (255, 0, 0), (0, 0, 255)], dtype=np.uint8)[MASKS]
    files = {}
    for name, arrays in {"x": X, "indices": MASKS, "mm": MASKS * 10}.items():
        files[name] = [tmp_path / f"{name}{row}.png" for row in range(len(X))]
        for file, array in zip(files[name], arrays, strict=True):
            Image.fromarray(array).save(file)
    model = map_classifier(architecture=UNet((4, 8)), image_shape=(12, 12), **SMALL)
    names = {"floor": (0, 0, 0), "box": (255, 0, 0), "ball": (0, 0, 255)}
    named = clone(model).set_params(palette=names).fit(X, NAMES)
    depths = CNNRegressor(UNet((4, 8)), target_scale=0.1, **SMALL).fit(X, files["mm"])
    for fitted, images, y in (
        (model.fit(X, MASKS), files["x"], files["indices"]),
        (named, X, colours),
        (depths, X, files["mm"]),
    ):
        report = fitted.to_onnx(tmp_path / "m.onnx", images, y)
        expected = pytest.approx(fitted.score(images, y), abs=1e-5)
        assert report.score == expected
        assert report.estimator_score == expected


@pytest.mark.parametrize(
    ("kind", "y", "message"),
    [
        (CNNRegressor, FLOWS, "y has 2 numbers a pixel, expected 1"),
        (CNNRegressor, DEPTHS[:, :1], r"y\[0\] has 1 x 20 pixels .* its image has 16 x 20"),
        (CNNRegressor, DEPTHS[:, :1, :1], r"y\[0\] has 1 x 1 pixels .* its image has 16 x 20"),
        (CNNRegressor, DEPTHS * np.nan, r"y\[0\] has no pixel that counts"),
        (CNNRegressor, DEPTHS[:, 0, 0], "y has a value for each image, but CNNRegressor was"),
        (CNNRegressor, NAMES, "y holds <U5 for each pixel, but CNNRegressor takes numbers"),
        (map_classifier, MASKS[:, :8], r"y\[0\] has 8 x 20 pixels .* its image has 16 x 20"),
        (map_classifier, MASKS[:, 0, 0], "y has a value for each image, but CNNClassifier was"),
        (map_classifier, NAMES, "of another type than the classes of the fit"),
        (map_classifier, MASKS / 2, "y holds float64 for each pixel, but labels are integers"),
        (map_classifier, SEVERAL, "y holds 2 values a pixel, but CNNClassifier takes a class"),
    ],
)
def test_y_that_score_refuses_is_refused_before_the_export(tmp_path, monkeypatch, kind, y, message):
    def refuse(*_args):
        raise AssertionError("the export began")

    monkeypatch.setattr("sklearn_cnn.export._onnx._graph", refuse)
    model = kind(architecture=UNet((4, 8)), **SMALL)
    model.fit(X, DEPTHS if kind is CNNRegressor else MASKS)
    with pytest.raises(ValueError, match=message):
        model.score(X, y)
    with pytest.raises(ValueError, match=message):
        model.to_onnx(tmp_path / "m.onnx", X, y)


def test_a_report_is_of_all_batches(tmp_path):
    model = map_classifier(architecture=UNet((4, 8)), **SMALL).fit(X, MASKS)
    path, expected = tmp_path / "m.onnx", model.decision_function(X)
    for dynamic in True, False:
        params = {"output": "decision_function", "precision": "float16", "dynamic_batch": dynamic}
        report = model.to_onnx(path, X, MASKS, **params)
        found = np.concatenate([answer(path, image) for image in X[:, np.newaxis]])
        labels = found.argmax(axis=-1)
        assert report.n_images == len(X)
        difference = np.abs(found - expected).max() / np.sqrt(np.square(expected).mean())
        assert report.difference == pytest.approx(difference, rel=0.02)
        assert report.agreement == pytest.approx((labels == model.predict(X)).mean(), abs=1e-4)
        assert report.score == pytest.approx(mean_iou_score(MASKS, labels), abs=1e-3)


def test_any_size_is_padded_and_cropped(tmp_path):
    images, masks = shapes(8, size=(13, 21))
    model = map_classifier(architecture=UNet((4, 8), patch_size=2), **SMALL).fit(images, masks)
    model.to_onnx(tmp_path / "m.onnx", images, dynamic_batch=False)
    np.testing.assert_allclose(
        answer(tmp_path / "m.onnx", images[:1]), model.predict_proba(images[:1]), atol=1e-5
    )

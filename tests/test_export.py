"""What leaves: modules of torch and ONNX files that answer as the estimator does."""

import builtins
import functools
import io
import json
import os
import pickle
import re
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from drawn import placed_discs
from image_files import write_images
from learned import lite0
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from small_networks import network
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet, Finetuned, TimmModel, TorchModule
from sklearn_cnn.augmentation import Augmentation

onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime (extra test)")
onnx = pytest.importorskip("onnx", reason="needs onnx (extra test)")

DIGITS = load_digits()
X = (DIGITS.images[:120] * 15).astype(np.uint8)
Y = DIGITS.target[:120]
NAMES = np.array(["even", "odd"])
SEVERAL = np.column_stack([Y % 2, Y > 4])
POINTS = np.column_stack([Y, 7 - Y, Y / 2, 7.0 * Y])
RNG = np.random.default_rng(0)
PHOTOS = RNG.integers(0, 256, (9, 32, 40, 3), dtype=np.uint8)
SMALL = ConvNet((4,), hidden=(8,))
SGD = functools.partial(torch.optim.SGD)


def fit(kind, y, images=X, architecture=SMALL, **params):
    params = {"max_epochs": 1, "random_state": 0, **params}
    return kind(architecture, **params).fit(images, y)


def answer(path, images):
    """Return what onnxruntime makes of images."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [output] = session.run(None, {"images": images})
    return output


def metadata(path):
    return {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}


KINDS = {
    "labels": (CNNClassifier, Y, {}),
    "two labels": (CNNClassifier, NAMES[Y % 2], {}),
    "several labels": (CNNClassifier, SEVERAL, {}),
    "margins": (CNNClassifier, Y, {"loss": "hinge"}),
    "mirrored": (CNNClassifier, Y, {"test_time_augmentation": True}),
    "one number": (CNNRegressor, 1000.0 * Y + 5e4, {}),
    "a column": (CNNRegressor, 1000.0 * Y[:, None] + 5e4, {}),
    "numbers": (CNNRegressor, POINTS, {}),
    "quantiles": (CNNRegressor, Y, {"loss": "quantile", "quantile": (0.05, 0.5, 0.95)}),
    "points": (
        CNNRegressor,
        POINTS,
        {
            "test_time_augmentation": True,
            "augmentation": Augmentation(keypoints=True, flip_index=(1, 0)),
        },
    ),
    "boxes": (
        CNNRegressor,
        POINTS,
        {"test_time_augmentation": True, "augmentation": Augmentation(keypoints="boxes")},
    ),
}
METHODS = ("predict_proba", "predict", "decision_function", "transform")


@pytest.fixture(scope="module")
def fitted():
    """Return a function that returns the fitted estimator of a kind."""
    return functools.cache(lambda kind: fit(KINDS[kind][0], KINDS[kind][1], **KINDS[kind][2]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_module_answers_as_the_estimator(kind, fitted):
    model = fitted(kind)
    for method in METHODS:
        if not hasattr(model, method):
            with pytest.raises(ValueError, match=f"output='{method}' is no method of this CNN"):
                model.export_module(method)
            continue
        expected = getattr(model, method)(X)
        with torch.no_grad():
            found = model.export_module(method)(torch.from_numpy(X)).numpy()
        if method == "predict" and kind not in ("several labels",) and hasattr(model, "classes_"):
            assert found.dtype == np.int64
            np.testing.assert_array_equal(model.classes_[found], expected)
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
            assert found.shape == expected.shape


def test_a_module_takes_what_fit_took(fitted):
    model = fitted("labels")
    module, expected = model.export_module(), model.predict_proba(X)
    pixels = torch.from_numpy(X)
    for images in pixels, pixels[..., None], pixels.flatten(1), pixels.double():
        np.testing.assert_allclose(module(images).detach(), expected, rtol=1e-5, atol=1e-6)
    for wrong in pixels[:, :7], pixels[:, None], pixels[0], pixels.float().flatten(1)[:, 1:]:
        with pytest.raises(ValueError, match=r"expected|images have shape"):
            module(wrong)


@pytest.mark.parametrize("axis", [-1, 1])
def test_channels_are_where_the_estimator_has_them(axis, tmp_path):
    images = PHOTOS if axis == -1 else PHOTOS.transpose(0, 3, 1, 2)
    model = fit(CNNClassifier, [0, 1, 2] * 3, images, channel_axis=axis)
    expected = model.predict_proba(images)
    module = model.export_module()
    with torch.no_grad():
        found = module(torch.from_numpy(images.copy()))
        of_rows = module(torch.from_numpy(images.reshape(9, -1)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of_rows, expected, rtol=1e-5, atol=1e-6)
    other = torch.from_numpy(np.moveaxis(images, axis, -axis).copy())
    with pytest.raises(ValueError, match="a batch of shape"):
        module(other)
    model.to_onnx(tmp_path / "m.onnx", images)
    np.testing.assert_allclose(answer(tmp_path / "m.onnx", images), expected, rtol=1e-4, atol=1e-6)
    about = metadata(tmp_path / "m.onnx")
    assert (about["image_shape"], about["channel_axis"]) == ([32, 40, 3], axis)
    assert about["interpolation"] == "bilinear"


def test_a_module_is_a_copy(fitted):
    model = fitted("two labels")
    module, before = model.export_module(), model.predict_proba(X)
    assert not module.training
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize("method", METHODS)
def test_a_module_passes_through_torchs_own_formats(method, fitted):
    module = fitted("mirrored").export_module(method)
    pixels = torch.from_numpy(X[..., None])
    expected = module(pixels)
    batch = torch.export.Dim("batch")
    program = torch.export.export(module, (pixels[:2],), dynamic_shapes=({0: batch},))
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        torch.export.save(program, file)
    file.seek(0)
    torch.testing.assert_close(torch.export.load(file).module()(pixels), expected)
    torch.testing.assert_close(pickle.loads(pickle.dumps(module))(pixels), expected)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_module_passes_through_torchscript(fitted):
    module, pixels = fitted("points").export_module(), torch.from_numpy(X[..., None])
    traced = torch.jit.trace(module, pixels[:2])
    torch.testing.assert_close(traced(pixels), module(pixels))


def test_a_module_serves_several_threads(fitted):
    model = fitted("labels")
    module, expected = model.export_module("transform"), model.transform(X)
    pixels = torch.from_numpy(X)
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda i: module(pixels[i : i + 1]).detach().numpy(), range(len(X))))
    np.testing.assert_allclose(np.concatenate(rows), expected, rtol=1e-4, atol=1e-5)


def test_gradients_reach_the_pixels(fitted):
    # what attributions are made of
    pixels = torch.from_numpy(X[:3]).float().requires_grad_()
    fitted("labels").export_module()(pixels)[:, 0].sum().backward()
    assert pixels.grad.abs().amax(dim=(1, 2)).min() > 0


def test_a_file_answers_as_the_estimator(fitted, tmp_path):
    path, model = tmp_path / "m.onnx", fitted("labels")
    report = model.to_onnx(path, X, Y)
    assert answer(path, X).dtype == np.float32
    np.testing.assert_allclose(answer(path, X), model.predict_proba(X), rtol=0, atol=1e-5)
    assert (report.precision, report.n_images, report.agreement) == ("float32", 120, 1.0)
    assert report.score == report.estimator_score == model.score(X, Y)
    assert report.n_bytes == path.stat().st_size
    assert 0 <= report.difference < 1e-5
    assert f"score {report.score:.4f}" in str(report)
    about = metadata(path)
    assert about["classes"] == list(range(10))
    assert about["image_shape"] == [8, 8, 1]
    assert (about["estimator"], about["output"]) == ("CNNClassifier", "predict_proba")
    # nothing of the machine that wrote it
    assert os.getcwd().encode() not in path.read_bytes()
    assert b"site-packages" not in path.read_bytes()
    with pytest.raises(Exception, match="images"):
        answer(path, X[:, :7])


def test_a_file_answers_labels_of_text(fitted, tmp_path):
    path, model = tmp_path / "m.onnx", fitted("two labels")
    model.to_onnx(path, X.reshape(120, -1), output="predict")
    np.testing.assert_array_equal(answer(path, X.reshape(120, -1)), model.predict(X))
    assert metadata(path)["classes"] == ["even", "odd"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("two labels", "predict_proba"),
        ("two labels", "decision_function"),
        ("several labels", "predict_proba"),
        ("several labels", "predict"),
        ("margins", "predict"),
        ("margins", "decision_function"),
        ("mirrored", "predict_proba"),
        ("mirrored", "transform"),
        ("one number", "predict"),
        ("a column", "predict"),
        ("points", "predict"),
        ("boxes", "predict"),
    ],
)
def test_a_file_of_each_kind(kind, method, fitted, tmp_path):
    path, model = tmp_path / "m.onnx", fitted(kind)
    model.to_onnx(path, output=method)
    expected, found = getattr(model, method)(X), answer(path, X[..., None].astype(np.float32))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("labels", [[False, True], [-1, 7], [0.0, 2.0]], ids=str)
def test_labels_keep_their_type(labels, tmp_path):
    model = fit(CNNClassifier, np.array(labels)[Y % 2])
    model.to_onnx(tmp_path / "m.onnx", X, output="predict")
    found = answer(tmp_path / "m.onnx", X)
    assert found.dtype == model.classes_.dtype
    np.testing.assert_array_equal(found, model.predict(X))


@pytest.mark.slow
def test_large_numbers_are_not_rounded(tmp_path):
    model = fit(CNNRegressor, 1e9 + Y, max_epochs=3)
    model.to_onnx(tmp_path / "m.onnx", X)
    np.testing.assert_allclose(answer(tmp_path / "m.onnx", X), model.predict(X), rtol=0, atol=1e-3)


@pytest.mark.slow
def test_one_image_at_a_time(fitted, tmp_path):
    path, model = tmp_path / "m.onnx", fitted("labels")
    model.to_onnx(path, X[:3], dynamic_batch=False)
    np.testing.assert_allclose(answer(path, X[:1]), model.predict_proba(X[:1]), atol=1e-5)
    with pytest.raises(Exception, match="Expected: 1"):
        answer(path, X[:2])


@pytest.mark.slow
def test_files_as_images(tmp_path):
    paths = write_images(tmp_path, list(PHOTOS), "png")
    model = fit(CNNClassifier, [0, 1, 2] * 3, paths, image_shape=(16, 12))
    report = model.to_onnx(tmp_path / "m.onnx", paths)
    assert report.n_images == 9
    [given] = onnxruntime.InferenceSession(tmp_path / "m.onnx").get_inputs()
    assert (given.shape, given.type) == (["batch", 16, 12, 3], "tensor(uint8)")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_lower_precision_says_what_it_costs(precision, tmp_path):
    images, y = (DIGITS.images * 15).astype(np.uint8), DIGITS.target
    model = CNNClassifier(max_epochs=5, random_state=0).fit(images[:1000], y[:1000])
    test, path = (images[1000:], y[1000:]), tmp_path / "m.onnx"
    size = model.to_onnx(path, *test).n_bytes
    report = model.to_onnx(path, *test, precision=precision)
    assert metadata(path)["classes"] == list(range(10))
    assert report.n_bytes < size * (0.6 if precision == "float16" else 0.4)
    assert report.estimator_score == model.score(*test)
    assert report.score == np.mean(answer(path, test[0]).argmax(axis=1) == test[1])
    assert report.score > report.estimator_score - 0.01
    assert report.agreement > 0.985
    assert report.difference > 0


@pytest.mark.slow
def test_numbers_beyond_float16(tmp_path):
    path, images, y = tmp_path / "m.onnx", X.astype(np.float32) * 1000, 1e6 * Y + 1e7
    model = fit(CNNRegressor, y, images, max_epochs=5)
    with pytest.raises(ValueError, match="In float16 answers are not finite"):
        model.to_onnx(path, images, y, precision="float16")
    assert not path.exists()
    report = model.to_onnx(path, images, y, precision="int8")
    assert report.difference < 0.5
    assert report.agreement is None


class OtherWhenExported(nn.Module):
    def __init__(self, in_channels, n_outputs):
        super().__init__()
        self.layer = nn.Linear(64 * in_channels, n_outputs)

    def forward(self, images):
        return self.layer(images.flatten(1)) * (2.0 if torch.compiler.is_exporting() else 1.0)


class BranchesOnValues(OtherWhenExported):
    def forward(self, images):
        features = images.flatten(1)
        return self.layer(features if features.mean() > 0 else -features)


def test_what_answers_otherwise_is_not_written(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"what was there")
    model = fit(CNNClassifier, Y, architecture=OtherWhenExported)
    with pytest.raises(ValueError, match=r"otherwise than the estimator: by 0\.\d+ in probability"):
        model.to_onnx(path)
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]
    assert path.read_bytes() == b"what was there"


@pytest.mark.slow
def test_what_cannot_be_exported_says_so(tmp_path, capfd):
    model = fit(CNNClassifier, Y, architecture=BranchesOnValues)
    line = "return self.layer(features if features.mean() > 0 else -features)"
    expected = f"The network cannot be exported to ONNX: .* at `{re.escape(line)}`, line .* branch"
    with pytest.raises(ValueError, match=expected):
        model.to_onnx(tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "int8"}, "int8 is calibrated on images: pass some hundreds"),
        ({"precision": "bf16"}, r"precision must be one of \['float32', 'float16', 'int8'\]"),
        ({"y": Y}, "y are the labels of images"),
        ({"X": X, "y": Y[:5]}, "inconsistent numbers of samples"),
        ({"X": X, "y": "float16"}, "y must hold a label .* got 'float16'.* by name: output=, prec"),
        ({"X": X, "y": Y, "output": "transform"}, "leave y out"),
        ({"output": "predict_log_proba"}, r"write one of \['predict_proba', 'predict', "),
        ({"X": X[:, :5]}, "images of 5 x 8 x 1"),
    ],
    ids=[
        "int8",
        "precision",
        "y alone",
        "lengths",
        "text for y",
        "y of features",
        "method",
        "size",
    ],
)
def test_what_cannot_be_is_refused(arguments, message, fitted, tmp_path):
    with pytest.raises(ValueError, match=message):
        fitted("labels").to_onnx(tmp_path / "m.onnx", **arguments)
    assert not list(tmp_path.iterdir())


def test_what_is_not_fitted_cannot_be_exported(tmp_path):
    for export in CNNClassifier().export_module, lambda: CNNRegressor().to_onnx(tmp_path / "m"):
        with pytest.raises(NotFittedError):
            export()


def test_without_onnx_the_extra_is_named(monkeypatch, fitted, tmp_path):
    usual = builtins.__import__

    def without_onnx(name, *args):
        if name == "onnxscript":
            raise ImportError("No module named 'onnxscript'", name=name)
        return usual(name, *args)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    with pytest.raises(ImportError, match=r'onnxscript: pip install "sklearn-cnn\[onnx\]"'):
        fitted("labels").to_onnx(tmp_path / "m.onnx")


def export(architecture, path, side=32, **params):
    """Fit a network for a step, and compare its file with it."""
    images = RNG.integers(0, 256, (9, side, side, 3), dtype=np.uint8)
    model = fit(
        CNNClassifier, [0, 1, 2] * 3, images, architecture, optimizer=SGD, lr=1e-4, **params
    )
    assert model.to_onnx(path, images).difference <= 1e-4
    return images, model


@pytest.mark.slow
@pytest.mark.parametrize(
    "architecture",
    ["convnet", "resnet", ConvNet((4,), whitening=False, norm=None), "finetuned"],
    ids=repr,
)
def test_our_architectures(architecture, tmp_path):
    if architecture == "finetuned":
        source = fit(CNNClassifier, [0, 1, 2] * 3, PHOTOS[:, :32, :32])
        architecture = Finetuned(FrozenEstimator(source))
    export(architecture, tmp_path / "m.onnx")


# more of them, which take minutes, in benchmarks/onnx_networks.py
@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1"])
def test_torchvisions_networks(name, tmp_path):
    export(name, tmp_path / "m.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["test_vit", "test_convnext"])
def test_timms_networks(name, tmp_path):
    pytest.importorskip("timm", reason="needs timm (extra test)")
    export(TimmModel(name), tmp_path / "m.onnx", 64)


@pytest.mark.slow
def test_a_pretrained_network(tmp_path):
    images, model = export(lite0(freeze=True), tmp_path / "m.onnx", 64)
    report = model.to_onnx(tmp_path / "half.onnx", images, precision="float16")
    assert report.difference < 0.01


class Attention(nn.Module):
    def __init__(self, in_channels, n_outputs):
        super().__init__()
        self.patches = nn.Conv2d(in_channels, 16, 4, stride=4)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 16, batch_first=True)
        self.head = nn.Linear(16, n_outputs)

    def forward(self, images):
        return self.head(self.encoder(self.patches(images).flatten(2).mT).mean(dim=1))


@pytest.mark.slow
def test_a_frozen_transformer(tmp_path):
    # without gradients torch takes another way through attention
    export(TorchModule(Attention, freeze=["patches", "encoder"]), tmp_path / "m.onnx")


def test_a_report_on_several_quantiles_scores_as_the_estimator(tmp_path):
    X, Y = placed_discs(20)
    model = network(CNNRegressor, loss="quantile", quantile=(0.1, 0.9)).fit(X, Y[:, 0])
    report = model.to_onnx(tmp_path / "quantiles.onnx", X, Y[:, 0])
    assert report.estimator_score == model.score(X, Y[:, 0])
    assert report.score == pytest.approx(report.estimator_score, abs=1e-4)
    assert metadata(tmp_path / "quantiles.onnx")["quantile"] == [0.1, 0.9]


def test_labels_are_answered_whatever_the_layers_are_called(tmp_path):
    # pooling of five pixels to four has a node that torch calls "index"
    X = np.random.default_rng(0).integers(0, 256, (6, 40, 40), dtype=np.uint8)
    model = CNNClassifier(ConvNet((2, 2, 2)), max_epochs=1).fit(X, [3, 5] * 3)
    model.to_onnx(tmp_path / "m.onnx", X, output="predict")
    np.testing.assert_array_equal(answer(tmp_path / "m.onnx", X), model.predict(X))


def test_a_file_that_cannot_be_written_is_refused_before_the_export(fitted, tmp_path, monkeypatch):
    def refuse(*_args):
        raise AssertionError("the export began")

    monkeypatch.setattr("sklearn_cnn._saving.write_onnx", refuse)
    with pytest.raises(FileNotFoundError, match=r"There is no folder '.*nowhere'"):
        fitted("labels").to_onnx(tmp_path / "nowhere" / "m.onnx", X)
    with pytest.raises(ValueError, match="no regular file"):
        fitted("labels").to_onnx(tmp_path, X)
    with pytest.raises(ValueError, match="dynamic_batch must be True"):
        fitted("labels").to_onnx(tmp_path / "m.onnx", X, dynamic_batch=4)


def test_what_the_export_cannot_end_with_is_refused_before_it(fitted, tmp_path, monkeypatch):
    def refuse(*_args):
        raise AssertionError("the export began")

    monkeypatch.setattr("sklearn_cnn.export._onnx._graph", refuse)
    path = tmp_path / "m.onnx"
    for y in Y.astype(str), Y / 7, SEVERAL:
        with pytest.raises(ValueError, match=r"Mix of label|can't handle a mix"):
            fitted("labels").to_onnx(path, X, y)
    with pytest.raises(ValueError, match="must hold numbers"):
        fitted("one number").to_onnx(path, X, NAMES[Y % 2])
    days = np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[D]")
    model = fit(CNNClassifier, days[Y % 2])
    with pytest.raises(TypeError, match="An ONNX file holds labels that are numbers or text"):
        model.to_onnx(path, X, output="predict")
    with pytest.raises(AssertionError, match="the export began"):
        fitted("labels").to_onnx(path, X, Y)


@pytest.fixture
def unwritten(monkeypatch):
    """Nothing is written: only what comes before it happens."""
    monkeypatch.setattr("sklearn_cnn._saving.write_onnx", lambda *_args: None)


@pytest.mark.usefixtures("unwritten")
def test_images_on_another_scale_than_in_fit_warn(fitted, tmp_path):
    export = functools.partial(fitted("labels").to_onnx, tmp_path / "m.onnx")
    expected = r"^X has pixels from 0 to 0\.9\d*, but CNNClassifier was fitted on pixels from 0 to"
    for divided in X / 255, list(X / 255), X.reshape(120, -1) / np.float32(255):
        with pytest.warns(UserWarning, match=expected):
            export(divided)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export(X)
        export(X[:1])
        export()


@pytest.mark.usefixtures("unwritten")
def test_a_calibration_that_shows_little_warns(fitted, tmp_path):
    export = functools.partial(fitted("labels").to_onnx, tmp_path / "m.onnx")
    with pytest.warns(UserWarning, match=r"^int8 is calibrated on X, which has 99 images: what"):
        export(X[:99], precision="int8")
    for narrow, high in (np.zeros_like(X), 0), (np.full_like(X, 7), 7), (X // 3, 80):
        expected = rf"^int8 .* has pixels from \d to {high}, where those of fit were from 0 to 240"
        with pytest.warns(UserWarning, match=expected):
            export(narrow, precision="int8")
    with pytest.warns(UserWarning, match=r"which has 5 images and pixels from 0 to 0, where"):
        export(np.zeros_like(X[:5]), precision="int8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export(X[:100], precision="int8")
        export(X[20:], precision="int8")
        export(X // 3, precision="float16")


def test_a_file_names_the_quantiles_of_the_fit(monkeypatch, fitted, tmp_path):
    path, written = tmp_path / "m.onnx", []
    monkeypatch.setattr("sklearn_cnn._saving.write_onnx", lambda *args: written.append(args[-1]))
    clone(fitted("quantiles")).fit(X, Y).set_params(quantile=(0.2, 0.5, 0.8)).to_onnx(path)
    clone(fitted("quantiles")).set_params(quantile=0.9).fit(X, Y).to_onnx(path)
    fitted("one number").to_onnx(path)
    assert [facts.get("quantile") for facts in written] == [[0.05, 0.5, 0.95], 0.9, None]


@pytest.mark.parametrize(
    ("ensemble", "are_positions"),
    [
        (lambda network: VotingClassifier([("network", network)]), True),
        (lambda network: BaggingClassifier(network, 1), True),
        (lambda network: StackingClassifier([("network", network)], cv=2), True),
        (lambda network: AdaBoostClassifier(network, n_estimators=1), False),
        (lambda network: CalibratedClassifierCV(network, cv=2), False),
    ],
    ids=["voting", "bagging", "stacking", "boosting", "calibrated"],
)
def test_whether_members_of_an_ensemble_answer_positions(ensemble, are_positions):
    # as the guide says
    y = NAMES[Y % 2]
    network = CNNClassifier(SMALL, image_shape=(8, 8), max_epochs=1, random_state=0)
    whole = ensemble(network).fit(X.reshape(120, -1), y)
    calibrated = getattr(whole, "calibrated_classifiers_", None)
    member = calibrated[0].estimator if calibrated else whole.estimators_[0]
    known = [0, 1] if are_positions else ["even", "odd"]
    assert member.classes_.tolist() == known
    assert whole.classes_.tolist() == ["even", "odd"]

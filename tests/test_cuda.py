"""What only a CUDA device can show."""

import gc
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from drawn import bars_and_discs
from drawn_pixels import shapes
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import estimator_checks_generator
from skorch.callbacks import Callback
from test_auxiliary_heads import TwoHeads
from test_estimator_contract import STOCHASTIC, run_check
from torch import nn

from sklearn_cnn import Augmentation, CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet, ResNet, TorchModule, UNet
from sklearn_cnn.inspection import attributions
from sklearn_cnn.training import residency

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def classifier(**params):
    params = {"max_epochs": 10, "random_state": 0, "device": "cuda", **params}
    return CNNClassifier(ConvNet((8, 16)), **params)


@pytest.fixture(scope="module")
def images():
    return bars_and_discs(200)


@pytest.fixture(scope="module")
def fitted(images):
    return classifier().fit(*images)


def test_the_gpu_learns_what_the_cpu_learns(images, fitted):
    on_cpu = classifier(device="cpu").fit(*images)
    X, y = bars_and_discs(100, seed=1)
    assert fitted.device_.startswith("cuda")
    assert fitted.score(X, y) == pytest.approx(on_cpu.score(X, y), abs=0.05)


def test_one_module_answers_the_same_on_both(images, fitted):
    X, _ = images
    on_gpu = fitted.predict_proba(X)
    pixels = torch.from_numpy(X).permute(0, 3, 1, 2)
    module = pickle.loads(pickle.dumps(fitted)).module_.cpu()
    with torch.inference_mode():
        on_cpu = torch.softmax(module(pixels), dim=1).numpy()
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-4)


@pytest.mark.parametrize("estimator", [CNNClassifier(), CNNRegressor()], ids=str)
@pytest.mark.filterwarnings("ignore")
def test_the_contract_holds_on_the_gpu(estimator):
    names = []
    for checked, check in estimator_checks_generator(estimator):
        name = getattr(check, "func", check).__name__
        if name not in STOCHASTIC:
            run_check(checked, check)
            names.append(name)
    assert len(names) > 40


def large(n, seed=0):
    """Return images of 36 x 36, larger than those that fill up a batch."""
    X, y = bars_and_discs(n, seed)
    return X.repeat(3, axis=1).repeat(3, axis=2), y


@pytest.mark.parametrize(
    ("architecture", "precision"),
    [(ConvNet(), "bf16"), (ConvNet(), "float32"), (ConvNet((8,)), "auto"), (ResNet(), "auto")],
    ids=str,
)
def test_one_random_state_is_one_network(architecture, precision):
    X, y = large(200)
    params = {"max_epochs": 3, "batch_size": 32, "random_state": 0, "precision": precision}
    assert_same_bits(*(CNNClassifier(architecture, **params).fit(X, y) for _ in range(2)))


@pytest.mark.parametrize("loss", ["log_loss", "dice+log_loss"])
@pytest.mark.parametrize("patch_size", [1, 2, 4])
def test_one_random_state_is_one_network_of_masks(loss, patch_size):
    X, masks = shapes(64, size=(48, 64))
    params = {"max_epochs": 3, "batch_size": 8, "random_state": 0, "loss": loss}
    architecture = UNet((16, 32, 64), patch_size=patch_size)
    assert_same_bits(*(CNNClassifier(architecture, **params).fit(X, masks) for _ in range(2)))


def assert_same_bits(first, second):
    first, second = first.module_.state_dict(), second.module_.state_dict()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_a_search_finds_the_same_with_one_worker_and_two(images):
    grid = {"lr": [1e-3, 1e-2]}
    scores = [
        GridSearchCV(classifier(max_epochs=3, scoring="loss"), grid, cv=2, n_jobs=n_jobs)
        .fit(*images)
        .cv_results_["mean_test_score"]
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*scores)


class Flags(Callback):
    """Keeps what torch's flags are in training."""

    def on_train_begin(self, net, **kwargs):
        self.seen_ = torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32


def test_flags_are_what_they_were(images):
    flags = torch.backends.cudnn
    before = flags.deterministic, flags.allow_tf32
    fitted = classifier(callbacks=[Flags()], max_epochs=1).fit(*images)
    fitted.predict(images[0])
    [callback] = [c for _, c in fitted.net_.callbacks_ if isinstance(c, Flags)]
    assert callback.seen_ == (True, False)
    assert (flags.deterministic, flags.allow_tf32) == before


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", torch.optim.Adagrad])
def test_optimizers_run_on_the_gpu(images, optimizer):
    fitted = classifier(optimizer=optimizer, max_epochs=1).fit(*images)
    assert np.isfinite(fitted.loss_curve_).all()


@pytest.mark.parametrize("batch", [1, 7])
def test_larger_images_agree_whatever_is_beside_them(batch):
    X, y = large(64)
    fitted = CNNClassifier(ResNet(), max_epochs=3, random_state=0, device="cuda").fit(X, y)
    parts = [fitted.predict_proba(X[i : i + batch]) for i in range(0, len(X), batch)]
    np.testing.assert_allclose(np.concatenate(parts), fitted.predict_proba(X), atol=1e-5)


def test_attributions_are_computed_on_the_gpu(images, fitted):
    X = images[0][:20]
    params = {"target": "disc", "baseline": 0}
    found = attributions(fitted, X, method="integrated_gradients", **params)
    change = fitted.decision_function(X) - fitted.decision_function(np.zeros_like(X))
    scale = np.abs(change).max()
    np.testing.assert_allclose(found.sum(axis=(1, 2)), change, atol=0.02 * scale)
    for method in ("hires_cam", "grad_cam"):
        assert attributions(fitted, X, method=method, target="disc").max() > 0
    assert np.abs(attributions(fitted, X, method="occlusion", **params)).max() > 0


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_predictions_do_not_depend_on_how_rows_are_batched(images, fitted, batch):
    X = images[0]
    parts = [fitted.predict_proba(X[i : i + batch]) for i in range(0, len(X), batch)]
    np.testing.assert_allclose(np.concatenate(parts), fitted.predict_proba(X), atol=1e-6)


def test_the_same_random_state_gives_the_same_scores(images, fitted):
    again = classifier().fit(*images)
    assert again.loss_curve_ == fitted.loss_curve_


def test_a_model_of_the_gpu_loads_without_one(images, fitted, tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(fitted))
    np.save(tmp_path / "X.npy", images[0])
    script = f"""
        import pickle, warnings
        import numpy as np
        warnings.simplefilter("ignore")
        model = pickle.load(open({str(path)!r}, "rb"))
        assert model.device_ == "cpu"
        np.save({str(tmp_path / "proba.npy")!r}, model.predict_proba(np.load("X.npy")))
    """
    environment = {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ":".join(sys.path), "PATH": ""}
    code = textwrap.dedent(script)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=tmp_path)
    on_cpu = np.load(tmp_path / "proba.npy")
    np.testing.assert_allclose(on_cpu, fitted.predict_proba(images[0]), atol=1e-4)


def test_memory_goes_back_when_the_estimator_is_deleted(images):
    # what libraries of the device keep once they were used
    classifier(max_epochs=1).fit(*images).predict(images[0])
    gc.collect()
    before = torch.cuda.memory_allocated()
    estimator = classifier(max_epochs=1).fit(*images)
    estimator.predict(images[0])
    assert torch.cuda.memory_allocated() > before
    del estimator
    gc.collect()
    assert torch.cuda.memory_allocated() == before


def test_images_that_do_not_fit_train_from_the_host(images, monkeypatch):
    resident = classifier(precision="float32", max_epochs=2).fit(*images)
    monkeypatch.setattr(residency, "fits", lambda *_: False)
    streamed = classifier(precision="float32", max_epochs=2).fit(*images)
    assert streamed.loss_curve_ == pytest.approx(resident.loss_curve_, rel=1e-3)


class SyncIsAnError(Callback):
    """Let anything that waits for the device fail from the first step to the last of an epoch."""

    def on_batch_begin(self, net, **kwargs):
        torch.cuda.set_sync_debug_mode("error")

    def on_batch_end(self, net, **kwargs):
        self.n_left -= 1
        if self.n_left == 0:
            torch.cuda.set_sync_debug_mode("default")

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        self.n_left = dataset_train.n_steps


def fit_without_waiting(estimator, X, y, **of_fit):
    """Fit for two epochs; a step that waits for the device is an error."""
    estimator.set_params(device="cuda", max_epochs=2, random_state=0, callbacks=[SyncIsAnError()])
    try:
        estimator.fit(X, y, **of_fit)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert estimator.n_iter_ == 2
    assert np.isfinite(estimator.loss_curve_).all()


EVERYTHING = Augmentation(
    flip=True,
    crop=2,
    rotation=20,
    scale=0.2,
    brightness=0.2,
    contrast=0.2,
    erasing=0.5,
)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"augmentation": None},
        {"augmentation": EVERYTHING},
        {"augmentation": Augmentation(mixup=0.2)},
        {"class_weight": "balanced", "label_smoothing": 0.1},
        {"precision": "float32", "optimizer": "sgd", "lr_schedule": "cosine"},
    ],
    ids=["default", "plain", "everything", "mixed", "weights", "float32"],
)
def test_no_step_waits_for_the_device(params):
    # large enough to be shifted by default
    fit_without_waiting(classifier(**params), *large(200))


def test_no_step_of_numbers_waits_for_the_device(images):
    X, _ = images
    numbers = np.random.default_rng(0).normal(size=(len(X), 2))
    numbers[::3, 1] = np.nan
    fit_without_waiting(CNNRegressor(ConvNet((8,))), X, numbers)


@pytest.mark.parametrize("loss", ["log_loss", "dice+log_loss", "focal"])
@pytest.mark.parametrize("augmentation", [None, EVERYTHING], ids=["plain", "augmented"])
def test_no_step_of_masks_waits_for_the_device(loss, augmentation):
    X, masks = shapes(64, size=(32, 32))
    masks[:, 0] = 255
    params = {"loss": loss, "augmentation": augmentation, "ignore_label": 255, "batch_size": 16}
    fit_without_waiting(CNNClassifier(UNet((8, 16)), **params), X, masks)


def test_no_step_of_maps_waits_for_the_device():
    X, masks = shapes(64, size=(32, 32))
    depths = np.array([5.0, 1.5, np.nan], dtype=np.float32)[masks]
    fit_without_waiting(CNNRegressor(UNet((8, 16)), batch_size=16), X, depths)


def test_no_step_of_two_heads_waits_for_the_device():
    X, masks = shapes(64, size=(32, 32))
    fit_without_waiting(CNNClassifier(TwoHeads, batch_size=16), X, masks)


@pytest.mark.parametrize("keypoints", [True, "boxes"])
def test_no_step_of_key_points_waits_for_the_device(images, keypoints):
    X, _ = images
    places = np.random.default_rng(0).uniform(0, 11, size=(len(X), 4))
    augmentation = clone(EVERYTHING).set_params(
        keypoints=keypoints, flip_index=[1, 0] if keypoints is True else None
    )
    fit_without_waiting(CNNRegressor(ConvNet((8,)), augmentation=augmentation), X, places)


def test_no_step_of_images_on_the_host_waits_for_the_device(images, monkeypatch):
    monkeypatch.setattr(residency, "fits", lambda *_: False)
    fit_without_waiting(classifier(), *images)


@pytest.fixture(scope="module")
def of_pixels():
    X, masks = shapes(64, size=(32, 32))
    params = {"max_epochs": 20, "batch_size": 16, "random_state": 0}
    return CNNClassifier(UNet((8, 16)), device="cuda", **params).fit(X, masks)


def test_masks_are_learned_on_the_gpu(of_pixels):
    X, masks = shapes(16, size=(32, 32), seed=1)
    assert of_pixels.score(X, masks) > 0.8
    pixels = torch.from_numpy(X)[:, None]
    module = pickle.loads(pickle.dumps(of_pixels)).module_.cpu()
    with torch.inference_mode():
        on_cpu = torch.softmax(module(pixels), dim=1).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(of_pixels.predict_proba(X), on_cpu, atol=1e-4)


def test_flipped_masks_are_turned_back_on_the_gpu(of_pixels):
    X, _ = shapes(16, size=(32, 32), seed=1)
    of_pixels.set_params(test_time_augmentation=True)
    try:
        averaged = of_pixels.predict_proba(X)
        of_mirrored = of_pixels.predict_proba(np.ascontiguousarray(X[:, :, ::-1]))
    finally:
        of_pixels.set_params(test_time_augmentation=False)
    np.testing.assert_allclose(of_mirrored[:, :, ::-1], averaged, atol=1e-3)


def test_numbers_of_pixels_are_learned_on_the_gpu():
    X, masks = shapes(80, size=(32, 32))
    depths = np.array([5.0, 1.5, 3.0], dtype=np.float32)[masks]
    params = {"max_epochs": 20, "batch_size": 16, "random_state": 0, "device": "cuda"}
    regressor = CNNRegressor(UNet((8, 16)), **params).fit(X[:64], depths[:64])
    assert regressor.score(X[64:], depths[64:]) > 0.8


def test_attributions_of_pixels_are_computed_on_the_gpu(of_pixels):
    X, masks = shapes(4, size=(32, 32), seed=1)
    found = attributions(of_pixels, X, method="integrated_gradients", target=1)
    assert found.shape == X.shape
    assert np.abs(found[masks == 1]).mean() > np.abs(found[masks == 0]).mean()


def test_a_frozen_trunk_gives_its_features_on_the_gpu(images):
    architecture = TorchModule(TwoLayers, head="head", freeze=True)
    params = {"max_epochs": 3, "random_state": 0, "augmentation": None, "precision": "float32"}
    on_gpu, on_cpu = (
        CNNClassifier(architecture, device=device, **params).fit(*images)
        for device in ("cuda", "cpu")
    )
    assert on_gpu.loss_curve_ == pytest.approx(on_cpu.loss_curve_, rel=1e-2)
    features = on_gpu.transform(images[0])
    np.testing.assert_allclose(features, on_cpu.transform(images[0]), atol=1e-4)


class TwoLayers(nn.Module):
    """A trunk of one convolution, and a linear head."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.trunk = nn.Conv2d(in_channels, 8, 3)
        self.head = nn.Linear(8, num_classes)

    def forward(self, images):
        return self.head(torch.relu(self.trunk(images)).mean(dim=(2, 3)))


def test_a_file_of_the_gpu_loads_there_again(images, fitted, tmp_path):
    fitted.save(tmp_path / "model.cnn")
    loaded = CNNClassifier.load(tmp_path / "model.cnn")
    assert loaded.device_.startswith("cuda")
    expected = fitted.predict_proba(images[0])
    np.testing.assert_allclose(loaded.predict_proba(images[0]), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["labels", "masks"])
def test_exports_of_the_gpu_run_without_one(request, kind, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    estimator = request.getfixturevalue({"labels": "fitted", "masks": "of_pixels"}[kind])
    X = bars_and_discs(8)[0] if kind == "labels" else shapes(8, size=(32, 32))[0]
    module = estimator.export_module()
    with torch.inference_mode():
        exported = module(torch.from_numpy(X))
    assert exported.device.type == "cpu"
    np.testing.assert_allclose(exported, estimator.predict_proba(X), atol=1e-4)
    estimator.to_onnx(tmp_path / "model.onnx", X)
    session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    answers = session.run(None, {session.get_inputs()[0].name: X})
    assert any(
        answer.shape == exported.shape and np.abs(answer - exported.numpy()).max() < 2e-3
        for answer in answers
    )


def test_memory_that_ends_halves_the_batch(images):
    X, y = images
    X = np.resize(X, (256, 96, 96, 3))
    y = np.resize(y, 256)
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(1.2e9 / total)
    try:
        with pytest.warns(UserWarning, match="memory"):
            fitted = CNNClassifier(
                ConvNet((32, 64)), batch_size=256, max_epochs=1, device="cuda", random_state=0
            ).fit(X, y)
        assert fitted.predict(X).shape == (256,)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)

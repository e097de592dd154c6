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
from skorch.callbacks import Callback

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import ConvNet
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
    np.testing.assert_allclose(on_gpu, on_cpu, atol=2e-3)


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
    assert again.loss_curve_ == pytest.approx(fitted.loss_curve_, rel=1e-2)


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
    np.testing.assert_allclose(on_cpu, fitted.predict_proba(images[0]), atol=2e-3)


def test_memory_goes_back_when_the_estimator_is_deleted(images):
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


def test_no_step_waits_for_the_device(images):
    try:
        fitted = classifier(max_epochs=2, callbacks=[SyncIsAnError()]).fit(*images)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert fitted.n_iter_ == 2

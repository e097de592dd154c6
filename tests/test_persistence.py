"""A saved estimator comes back the same, and reading its file runs no code."""

import errno
import functools
import inspect
import os
import pickle
import signal
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from drawn import bars_and_discs, placed_discs, several_shapes
from image_files import noise
from PIL import Image
from safetensors.torch import save_file
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import Callback
from torch import nn

from sklearn_cnn import Augmentation, CNNClassifier, CNNRegressor, ImageReader, plots
from sklearn_cnn.architectures import (
    Architecture,
    ConvNet,
    Finetuned,
    ResNet,
    TorchModule,
    TorchvisionModel,
    _registry,
    register_architecture,
)
from sklearn_cnn.persistence import dumps, loads
from sklearn_cnn.persistence._container import pack, unpack

X, Y = bars_and_discs(40)
# torch's, but those that `fit` refuses, and Muon, which takes matrices only.
OTHER_OPTIMIZERS = [
    kind
    for kind in vars(torch.optim).values()
    if inspect.isclass(kind) and kind.__name__ not in ("Optimizer", "LBFGS", "SparseAdam", "Muon")
]


class Net(nn.Sequential):
    def __init__(self, in_channels, num_classes, width=2):
        super().__init__(nn.Conv2d(in_channels, width, 3), nn.Flatten(), nn.LazyLinear(num_classes))


class Own(Architecture):
    def __init__(self, width=2):
        self.width = width

    def build(self, in_channels, image_size, n_outputs):
        return Net(in_channels, n_outputs, self.width)


class OwnLoss(nn.Module):
    def forward(self, logits, target):
        return nn.functional.cross_entropy(logits, target)


class OwnClassifier(CNNClassifier):
    pass


def classifier(**params):
    settings = {"architecture": ConvNet((4,)), "max_epochs": 2, "random_state": 0}
    return CNNClassifier(**{**settings, **params})


def saved_and_loaded(model, tmp_path, architecture=None):
    model.save(tmp_path / "model.safetensors")
    return type(model).load(tmp_path / "model.safetensors", architecture)


def assert_same(loaded, model, images=X):
    if isinstance(model, CNNClassifier):
        np.testing.assert_array_equal(
            loaded.decision_function(images), model.decision_function(images)
        )
    np.testing.assert_array_equal(loaded.predict(images), model.predict(images))
    assert loaded.predict(images).dtype == model.predict(images).dtype


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"architecture": "convnet"},
        {"architecture": ResNet((4,), depth=(1,))},
        {"architecture": "squeezenet1_1", "image_shape": (17, 17)},
        {
            "architecture": TorchvisionModel("mnasnet0_5", freeze=("layers.0",)),
            "precision": "float32",
        },
        {"early_stopping": True, "validation_fraction": 0.3},
        {"loss": "hinge"},
        {"label_smoothing": 0.1},
        {"loss": nn.MultiMarginLoss(margin=0.5)},
        {"optimizer": "sgd"},
        {"optimizer": torch.optim.RMSprop},
        {"optimizer": functools.partial(torch.optim.AdamW, betas=(0.8, 0.95))},
        {"class_weight": {"bar": 1.0, "disc": 2.0}},
        {"class_weight": "balanced", "device": "cpu", "precision": "float32"},
        {"lr": 0.01, "max_epochs": 1, "image_shape": [12, 12]},
    ],
    ids=lambda params: "-".join(params) or "defaults",
)
def test_predictions_attributes_and_parameters_come_back(params, tmp_path):
    model = classifier(**params).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = saved_and_loaded(model, tmp_path)
    assert_same(loaded, model)
    assert repr(loaded) == repr(model)
    assert hasattr(loaded, "predict_proba") == hasattr(model, "predict_proba")
    for name in (
        "n_outputs_",
        "n_features_in_",
        "image_shape_",
        "n_iter_",
        "n_steps_",
        "batch_size_",
        "loss_curve_",
        "best_loss_",
        "validation_scores_",
        "best_validation_score_",
        "best_epoch_",
        "history_",
        "device_",
        "precision_",
    ):
        assert getattr(loaded, name) == getattr(model, name), name
    assert loaded.score(X, Y) == model.score(X, Y)
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    with pytest.warns(UserWarning, match="neither is scaled to the other"):
        loaded.predict(X / np.float32(255) if X.max() > 1 else X * 255)


def test_parameters_of_numpys_types_come_back_as_pythons(tmp_path):
    model = classifier(lr=np.float64(0.01), max_epochs=np.int64(1)).fit(X, Y)
    loaded = saved_and_loaded(model, tmp_path)
    assert (loaded.lr, loaded.max_epochs) == (0.01, 1)
    assert (type(loaded.lr), type(loaded.max_epochs)) == (float, int)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["a", "long label"]),
        np.array(["ä", "z"], dtype="<U9"),
        np.array(["a", "long label"], dtype=object),
        np.array([3, -7]),
        np.array([3, 7], dtype=np.uint8),
        np.array([2**40, 1]),
        np.array([False, True]),
        np.array([1.0, 2.0], dtype=np.float32),
    ],
    ids=lambda labels: f"{labels.dtype}",
)
def test_labels_of_every_type_come_back_exactly(labels, tmp_path):
    y = labels[np.arange(40) % 2]
    model = classifier(max_epochs=1).fit(X, y)
    loaded = saved_and_loaded(model, tmp_path)
    assert loaded.classes_.dtype == model.classes_.dtype
    np.testing.assert_array_equal(loaded.classes_, model.classes_)
    assert [type(label) for label in loaded.classes_] == [type(label) for label in model.classes_]
    assert_same(loaded, model)


def test_several_labels_an_image(tmp_path):
    images, y = several_shapes(40)
    model = classifier().fit(images, y)
    loaded = saved_and_loaded(model, tmp_path)
    assert_same(loaded, model, images)
    np.testing.assert_array_equal(loaded.predict_proba(images), model.predict_proba(images))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("columns", [slice(0, 2), 0])
def test_numbers_in_their_units_and_shape(columns, dtype, tmp_path):
    images, y = placed_discs(40)
    y = (1e6 + 10 * y[:, columns]).astype(dtype)
    model = CNNRegressor(ConvNet((4,)), max_epochs=1, random_state=0).fit(images, y)
    assert_same(saved_and_loaded(model, tmp_path), model, images)


def test_names_of_columns_come_back(tmp_path):
    frame = pd.DataFrame(X[..., 0].reshape(40, -1)).rename(columns="p{}".format)
    model = classifier(image_shape=(12, 12)).fit(frame, Y)
    loaded = saved_and_loaded(model, tmp_path)
    content, tensors = unpack(dumps(model))
    # of a file that an older version wrote
    del content["images"]["parameters"]
    for one in loaded, loads(pack(content, tensors), CNNClassifier):
        np.testing.assert_array_equal(one.feature_names_in_, model.feature_names_in_)
        np.testing.assert_array_equal(one.predict(frame), model.predict(frame))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", *OTHER_OPTIMIZERS])
def test_training_goes_on_as_it_would_have(optimizer, tmp_path):
    model = classifier(optimizer=optimizer, class_weight="balanced").fit(X, Y)
    loaded = saved_and_loaded(model, tmp_path)
    for one in model, loaded:
        one.partial_fit(X[:20], Y[:20])
        one.set_params(warm_start=True).fit(X, Y)
    assert_same(loaded, model)
    assert loaded.loss_curve_ == model.loss_curve_


def test_fine_tuning_goes_on_as_it_would_have(tmp_path):
    classifier().fit(X, Y).save(tmp_path / "source.safetensors")
    tuned = Finetuned(str(tmp_path / "source.safetensors"), freeze=True, unfreeze_after=2)
    for n_epochs in 1, 2, 3:
        model = classifier(architecture=tuned, max_epochs=n_epochs).fit(X, Y)
        loaded = saved_and_loaded(model, tmp_path)
        assert repr(loaded) == repr(model)
        for one in model, loaded:
            one.partial_fit(X, Y).partial_fit(X, Y)
        assert_same(loaded, model)


def test_a_frozen_source_does_not_come_back(tmp_path):
    source = FrozenEstimator(classifier().fit(X, Y))
    model = classifier(architecture=Finetuned(source)).fit(X, Y)
    with pytest.warns(UserWarning, match="did not come back: architecture=Finetuned"):
        loaded = saved_and_loaded(model, tmp_path)
    assert_same(loaded, model)
    assert repr(loaded.architecture) == repr(ConvNet((4,)))


def test_what_is_code_does_not_come_back_and_is_named(tmp_path):
    model = classifier(callbacks=[Callback()], augmentation=lambda images: images, loss=OwnLoss())
    model.fit(X, Y)
    with pytest.warns(UserWarning, match="callbacks=.*set them again") as caught:
        loaded = saved_and_loaded(model, tmp_path)
    assert caught[0].filename == __file__
    for name in "callbacks", "augmentation", "loss":
        assert f"{name}=" in str(caught[0].message)
    assert (loaded.callbacks, loaded.augmentation, loaded.loss) == (None, "auto", "auto")
    assert_same(loaded, model)


@pytest.mark.parametrize(
    ("given", "again"),
    [
        (Net, Net),
        (TorchModule(Net, width=5), Net),
        (TorchModule(Net, width=5), TorchModule(Net)),
        (functools.partial(Net, width=5), functools.partial(Net, width=5)),
        (Own(width=5), Own(width=5)),
        (nn.Sequential(nn.Flatten(), nn.Linear(432, 2)),) * 2,
    ],
    ids=["class", "parameters", "object", "partial", "architecture", "instance"],
)
def test_networks_of_ones_own_are_passed_again(given, again, tmp_path):
    model = classifier(architecture=given).fit(X, Y)
    model.save(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"a network of your own.*load\(path, architecture="):
        CNNClassifier.load(tmp_path / "model.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = CNNClassifier.load(tmp_path / "model.safetensors", architecture=again)
    assert_same(loaded, model)
    loaded.partial_fit(X, Y)
    assert_same(loaded, model.partial_fit(X, Y))


def test_a_name_of_ones_own_need_not_be_known_where_the_file_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(_registry, "_registry", dict(_registry._registry))
    register_architecture("mine", ConvNet((4,)))
    model = classifier(architecture="mine").fit(X, Y)
    model.save(tmp_path / "model.safetensors")
    monkeypatch.delitem(_registry._registry, "mine")
    loaded = CNNClassifier.load(tmp_path / "model.safetensors")
    assert_same(loaded, model)
    assert loaded.architecture == "mine"


def test_another_network_than_the_saved_one_is_refused(tmp_path):
    classifier(architecture=Net).fit(X, Y).save(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="are not those of the architecture"):
        CNNClassifier.load(tmp_path / "model.safetensors", architecture=ConvNet((4,)))


def test_the_kind_of_estimator_must_agree(tmp_path):
    classifier().fit(X, Y).save(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"holds a CNNClassifier: load it with CNNClassifier\.l"):
        CNNRegressor.load(tmp_path / "model.safetensors")


def test_a_class_of_ones_own_loads_itself(tmp_path):
    model = OwnClassifier(ConvNet((4,)), max_epochs=1).fit(X, Y)
    assert type(saved_and_loaded(model, tmp_path)) is OwnClassifier
    with pytest.raises(ValueError, match=r"holds a OwnClassifier: load it with OwnClassifier\.lo"):
        CNNClassifier.load(tmp_path / "model.safetensors")


def test_only_a_fitted_estimator_is_saved(tmp_path):
    with pytest.raises(NotFittedError):
        classifier().save(tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file():
    with pytest.raises(FileNotFoundError):
        CNNClassifier.load("nowhere.pt")


@pytest.mark.parametrize("content", [{"weight": torch.ones(2)}, [1, 2], torch.ones(2)])
def test_an_archive_of_torchs_is_refused_unread(content, tmp_path):
    torch.save(content, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"archive as torch\.save writes.*fit and save those anew"):
        CNNClassifier.load(tmp_path / "model.safetensors")


def test_weights_alone_are_no_estimator(tmp_path):
    save_file({"weight": torch.ones(2)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="holds no estimator of sklearn_cnn"):
        CNNClassifier.load(tmp_path / "model.safetensors")


def test_a_failing_save_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    model = classifier(max_epochs=1).fit(X, Y)
    model.save(path)
    before = path.read_bytes()

    def full_disk(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match=r"No room left for the .* MiB of .*as it was") as caught:
        model.save(path)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_save_left_is_removed_by_the_next(tmp_path):
    path = tmp_path / "model.safetensors"
    classifier(max_epochs=1).fit(X, Y).save(path)
    script = (
        "import os, signal, sys\n"
        "from sklearn_cnn import CNNClassifier\n"
        "model = CNNClassifier.load(sys.argv[1])\n"
        "os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)\n"
        "model.save(sys.argv[1])\n"
    )
    process = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert process.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    CNNClassifier.load(path).save(path)
    assert list(tmp_path.iterdir()) == [path]


def test_saves_of_one_name_in_several_threads_leave_a_whole_file(tmp_path):
    path = tmp_path / "model.safetensors"
    models = [classifier(max_epochs=1, random_state=seed).fit(X, Y) for seed in range(2)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: models[i % 2].save(path), range(40)))
    predictions = CNNClassifier.load(path).decision_function(X)
    assert any(np.array_equal(predictions, model.decision_function(X)) for model in models)
    assert list(tmp_path.iterdir()) == [path]


def test_saves_of_one_name_in_several_processes_do_not_remove_each_others_parts(tmp_path):
    script = (
        "import sys\n"
        "from sklearn_cnn.runtime.replaced_files import replace_file\n"
        "for _ in range(1000):\n"
        "    replace_file(sys.argv[1], b'content')\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "file")]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert os.listdir(tmp_path) == ["file"]


def test_the_longest_name(tmp_path):
    path = tmp_path / ("x" * os.pathconf(tmp_path, "PC_NAME_MAX"))
    model = classifier(max_epochs=1).fit(X, Y)
    model.save(path)
    assert_same(CNNClassifier.load(path), model)


def test_mode_of_the_file_and_links_to_it_stay(tmp_path):
    path, link = tmp_path / "model.safetensors", tmp_path / "link"
    model = classifier(max_epochs=1).fit(X, Y)
    model.save(path)
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    path.chmod(0o640)
    link.symlink_to(path)
    model.save(link)
    assert path.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert_same(CNNClassifier.load(link), model)


def test_a_file_is_not_put_in_the_place_of_something_else(tmp_path):
    model = classifier(max_epochs=1).fit(X, Y)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path in tmp_path, tmp_path / "pipe", tmp_path / "loop":
        with pytest.raises(ValueError, match="is there already and no regular file"):
            model.save(path)


def test_parameters_set_after_fit_do_not_change_what_was_fitted(tmp_path):
    images, y = placed_discs(40)
    model = CNNRegressor(ConvNet((4,)), max_epochs=2, early_stopping=True, random_state=0)
    model.fit(images, y[:, 0]).set_params(loss="quantile", lr=0.03)
    loaded = saved_and_loaded(model, tmp_path)
    for one in model, loaded:
        assert plots.TrainingCurveDisplay.from_estimator(one).score_name == "R²"
        # training goes on with what is set
        one.partial_fit(images, y[:, 0])
    assert_same(loaded, model, images)


def test_a_folder_of_the_writers_machine_does_not_come_back(tmp_path):
    model = classifier(memory=str(tmp_path / "cache")).fit(X, Y)
    with pytest.warns(UserWarning, match=r"did not come back: memory='.*cache'"):
        assert saved_and_loaded(model, tmp_path).memory is None


def test_a_class_weight_of_any_key(tmp_path):
    y = np.where(Y == "bar", "__kind__", "dict")
    model = classifier(class_weight={"__kind__": 2.0, "dict": 1.0}).fit(X, y)
    assert saved_and_loaded(model, tmp_path).class_weight == model.class_weight


def test_a_missing_device_is_named(tmp_path, monkeypatch):
    model = classifier(max_epochs=1).fit(X, Y).set_params(device="cuda:7")
    model.save(tmp_path / "model.safetensors")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.warns(UserWarning, match="device='cuda:7', which this machine does not"):
        loaded = CNNClassifier.load(tmp_path / "model.safetensors")
    assert loaded.device_ == "cpu"
    assert_same(loaded, model)


def test_loading_in_inference_mode(tmp_path):
    model = classifier(max_epochs=1).fit(X, Y)
    model.save(tmp_path / "model.safetensors")
    with torch.inference_mode():
        loaded = CNNClassifier.load(tmp_path / "model.safetensors")
    assert_same(loaded.partial_fit(X, Y), model.partial_fit(X, Y))


def test_loading_leaves_global_generators_alone(tmp_path):
    classifier(max_epochs=1).fit(X, Y).save(tmp_path / "model.safetensors")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    CNNClassifier.load(tmp_path / "model.safetensors")
    assert torch.equal(torch.rand(3), expected)


def test_another_process_predicts_the_same(tmp_path):
    model = classifier().fit(X, Y)
    model.save(tmp_path / "model.safetensors")
    np.save(tmp_path / "X.npy", X)
    script = (
        "import sys, numpy as np\n"
        "from sklearn_cnn import CNNClassifier\n"
        "model = CNNClassifier.load(sys.argv[1] + '/model.safetensors')\n"
        "outputs = model.decision_function(np.load(sys.argv[1] + '/X.npy'))\n"
        "np.save(sys.argv[1] + '/outputs.npy', outputs)\n"
    )
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=True, env={**os.environ, **threads}
    )
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy"), model.decision_function(X))


def test_an_augmentation_comes_back_with_what_prediction_needs_of_it(tmp_path):
    X, y = placed_discs(16)
    points = Augmentation(flip=True, keypoints=True, flip_index=range(1))
    model = CNNRegressor(
        max_epochs=1, augmentation=points, test_time_augmentation=True, random_state=0
    )
    model.fit(X, y).save(tmp_path / "model.safetensors")
    loaded = CNNRegressor.load(tmp_path / "model.safetensors")
    assert loaded.augmentation.get_params() == {**points.get_params(), "flip_index": [0]}
    assert np.array_equal(loaded.predict(X), model.predict(X))


def test_images_are_resized_as_before(tmp_path):
    images = [Image.fromarray(noise(12, 16, seed=seed)) for seed in range(8)]
    labels = np.arange(8) % 2
    architecture = TorchModule(Net, interpolation="bicubic")
    model = classifier(architecture=architecture, image_shape=(9, 7)).fit(images, labels)
    # the network that is passed says nothing of it
    loaded = saved_and_loaded(model, tmp_path, Net)
    assert_same(loaded, model, images)
    for source in model, loaded:
        tuned = Finetuned(FrozenEstimator(source)).resolve()
        assert tuned.recommended_interpolation() == "bicubic"
    # nor does it where training goes on
    pixels = ImageReader((9, 7), interpolation="bicubic", flatten=False).fit_transform(images)
    assert_same(loaded.partial_fit(images, labels), model.partial_fit(pixels, labels), images)

    content, tensors = unpack(dumps(model))
    # of a file that an older version wrote
    assert content["images"].pop("interpolation") == "bicubic"
    assert content["images"].pop("parameters")["image_shape"] == [9, 7]
    older = loads(pack(content, tensors), CNNClassifier, Net)
    pixels = ImageReader((9, 7), flatten=False).fit_transform(images)
    expected = model.decision_function(pixels)
    np.testing.assert_array_equal(older.decision_function(images), expected)


def test_images_are_prepared_as_before_whatever_was_set_since(tmp_path):
    images = [Image.fromarray(noise(12, 16, seed=seed)) for seed in range(8)]
    model = classifier(image_shape=(9, 7), resize_mode="pad").fit(images, np.arange(8) % 2)
    model.set_params(image_shape=(5, 5), resize_mode="crop", channel_axis=1)
    for loaded in saved_and_loaded(model, tmp_path), pickle.loads(pickle.dumps(model)):
        assert repr(loaded) == repr(model)
        assert_same(loaded, model, images)
    # a file that an older version wrote says it by the parameters alone
    model.set_params(image_shape=(9, 7), resize_mode="pad", channel_axis=-1)
    content, tensors = unpack(dumps(model))
    assert content["images"].pop("parameters") == {
        "image_shape": [9, 7],
        "channel_axis": -1,
        "resize_mode": "pad",
    }
    older = loads(pack(content, tensors), CNNClassifier)
    assert not hasattr(older, "feature_names_in_")
    assert_same(older, model, images)
    assert_same(older.set_params(resize_mode="squash"), model, images)
    # in which another shape is damage
    content["parameters"]["image_shape"] = [5, 5]
    with pytest.raises(ValueError, match="image_shape cannot change"):
        loads(pack(content, tensors), CNNClassifier)

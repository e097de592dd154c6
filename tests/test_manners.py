"""An estimator leaves alone what is not its own, and does the same thing twice."""

import copy
import functools
import gc
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from contextlib import contextmanager, nullcontext

import numpy as np
import psutil
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from skorch.callbacks import Callback
from torch import nn

from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet, Finetuned, summary


@pytest.fixture(autouse=True)
def ctrl_c():
    """Let Ctrl-C interrupt: in a job in the background a process ignores it from its start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


Y = np.arange(40) % 2
X = np.random.default_rng(0).integers(0, 100, (40, 8, 8), dtype=np.uint8)
X[Y == 1, 2:5, 2:5] += 120
NUMBERS = X.mean(axis=(1, 2))
WITH_DROPOUT = ConvNet((8, 16), hidden=(8,), dropout=0.3)


def classifier(**params):
    return CNNClassifier(
        **{"architecture": ConvNet((8, 16)), "max_epochs": 3, "random_state": 0, **params}
    )


def regressor(**params):
    return CNNRegressor(
        **{"architecture": ConvNet((8, 16)), "max_epochs": 3, "random_state": 0, **params}
    )


def weights_of(model):
    return {name: tensor.clone() for name, tensor in model.module_.state_dict().items()}


def same_weights(model, other):
    ours, theirs = weights_of(model), weights_of(other)
    assert ours.keys() == theirs.keys()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


# ---------------------------------------------------------------------------- random numbers


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"architecture": WITH_DROPOUT},
        {"early_stopping": True},
        {"augmentation": lambda images: images.roll(int(torch.randint(3, ())), dims=3)},
        {"augmentation": lambda images: images.roll(np.random.randint(3), dims=3)},  # noqa: NPY002
        {"augmentation": lambda images: images.roll(random.randrange(3), dims=3)},
    ],
    ids=["plain", "dropout", "early stopping", "torch draws", "NumPy draws", "Python draws"],
)
def test_the_same_random_state_gives_the_same_weights(params):
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    model = classifier(**params).fit(X, Y)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    random.seed(2)
    assert same_weights(model, classifier(**params).fit(X, Y))
    assert same_weights(model, clone(model).fit(X, Y))
    before = weights_of(model)
    after = weights_of(model.fit(X, Y))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not same_weights(model, classifier(**{**params, "random_state": 1}).fit(X, Y))


def test_random_state_instances_of_one_seed_give_the_same_weights():
    models = [
        classifier(architecture=WITH_DROPOUT, random_state=np.random.RandomState(3)).fit(X, Y)
        for _ in range(2)
    ]
    assert same_weights(*models)
    # an instance moves on, as everywhere in scikit-learn
    before = weights_of(models[0])
    after = weights_of(models[0].fit(X, Y))
    assert not all(torch.equal(before[name], after[name]) for name in before)


def test_without_random_state_every_fit_is_another():
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    first = regressor(random_state=None).fit(X, NUMBERS)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    assert not same_weights(first, regressor(random_state=None).fit(X, NUMBERS))


def test_partial_fit_is_as_repeatable_as_fit():
    models = [classifier(architecture=WITH_DROPOUT) for _ in range(2)]
    for model in models:
        for half in (slice(20), slice(20, 40)):
            model.partial_fit(X[half], Y[half], classes=[0, 1])
    assert same_weights(*models)


def test_what_is_done_in_between_does_not_matter():
    plain, busy = classifier(), classifier()
    plain.partial_fit(X, Y, classes=[0, 1])
    busy.partial_fit(X, Y, classes=[0, 1])
    busy.predict(X)
    busy.transform(X)
    classifier(random_state=5).fit(X, Y)
    assert same_weights(plain.partial_fit(X, Y), busy.partial_fit(X, Y))


# ------------------------------------------------------------------------------- global state


def world():
    """Return whatever a well-behaved library leaves to the user."""
    cudnn, mkldnn = torch.backends.cudnn, torch.backends.mkldnn
    name, keys, *numbers = np.random.get_state()  # noqa: NPY002
    return {
        "torch generator": torch.get_rng_state().tolist(),
        "CUDA generators": [
            state.tolist()
            for state in (torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])
        ],
        "NumPy generator": (name, keys.tolist(), *numbers),
        "Python generator": random.getstate(),
        "threads": torch.get_num_threads(),
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "mkldnn": mkldnn.enabled,
        "cudnn": (cudnn.enabled, cudnn.benchmark, cudnn.deterministic),
        "matmul": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "NumPy errors": np.geterr(),
        "warnings": list(warnings.filters),
        "interrupts": signal.getsignal(signal.SIGINT),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "Python threads": threading.active_count(),
    }


@contextmanager
def unusual_world():
    """Change settings to what they are not by default, and put them back."""
    cudnn, mkldnn = torch.backends.cudnn, torch.backends.mkldnn
    matmul = torch.get_float32_matmul_precision()
    flags = mkldnn.enabled, cudnn.benchmark, cudnn.deterministic
    torch.set_float32_matmul_precision("high" if matmul != "high" else "medium")
    mkldnn.enabled, cudnn.benchmark, cudnn.deterministic = (not flag for flag in flags)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad(), np.errstate(all="ignore"):
            yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        mkldnn.enabled, cudnn.benchmark, cudnn.deterministic = flags
        torch.use_deterministic_algorithms(False)
        torch.set_default_dtype(torch.float32)


@contextmanager
def usual_world():
    yield


@pytest.mark.parametrize("circumstances", [usual_world, unusual_world])
@pytest.mark.parametrize("random_state", [0, None, np.random.RandomState(0)])
def test_global_state_is_untouched(circumstances, random_state):
    params = {"random_state": random_state, "architecture": WITH_DROPOUT}
    with circumstances():
        # what torch and tqdm set up once in a process may be set up now
        classifier(verbose=1, **params).fit(X, Y)
        before = world()
        model = classifier(**params).fit(X, Y)
        assert world() == before
        for method in (model.predict, model.predict_proba, model.transform):
            method(X)
            assert world() == before
        model.partial_fit(X, Y)
        assert world() == before
        classifier(early_stopping=True, verbose=1, **params).fit(X, Y)
        assert world() == before
        regressor(**params).fit(X, NUMBERS, X_val=X, y_val=NUMBERS)
        assert world() == before


def test_the_number_of_threads_is_untouched():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(n_threads + 1)
    try:
        model = classifier(max_epochs=1).fit(X[:8], Y[:8])
        assert torch.get_num_threads() == n_threads + 1
        model.predict(X[:8])
        assert torch.get_num_threads() == n_threads + 1
        model.partial_fit(X[:8], Y[:8])
        assert torch.get_num_threads() == n_threads + 1
    finally:
        torch.set_num_threads(n_threads)


class Interrupt(Callback):
    """Presses Ctrl-C at a certain point of a certain epoch."""

    def __init__(self, point="on_epoch_begin", epoch=2, press=None):
        self.point = point
        self.epoch = epoch
        self.press = press
        self.epochs_begun_ = 0

    def on_train_begin(self, net, **kwargs):
        self._reached("on_train_begin")

    def on_epoch_begin(self, net, **kwargs):
        self.epochs_begun_ += 1
        self._reached("on_epoch_begin")

    def on_batch_end(self, net, **kwargs):
        self._reached("on_batch_end")

    def on_epoch_end(self, net, **kwargs):
        self._reached("on_epoch_end")

    def on_train_end(self, net, **kwargs):
        self._reached("on_train_end")

    def _reached(self, point):
        if point == self.point and self.epochs_begun_ == self.epoch:
            (self.press or press_ctrl_c)()


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


def raise_interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("circumstances", [usual_world, unusual_world])
def test_a_fit_that_fails_leaves_global_state_untouched(circumstances):
    with circumstances():
        before = world()
        with pytest.raises(ValueError, match="loss became"):
            classifier(lr=1e30, optimizer="sgd").fit(X, Y)
        assert world() == before
        with pytest.raises(KeyboardInterrupt):
            classifier(callbacks=[Interrupt()]).fit(X, Y)
        assert world() == before


def test_gradients_that_the_user_has_turned_off_do_not_matter():
    expected = classifier().fit(X, Y)
    with torch.no_grad():
        model = classifier().fit(X, Y)
        assert same_weights(model, expected)
        assert same_weights(model.partial_fit(X, Y), expected.partial_fit(X, Y))
        np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


def under_default(dtype, function):
    """Call a function under another default dtype of torch."""
    torch.set_default_dtype(dtype)
    try:
        result = function()
        assert torch.get_default_dtype() == dtype
        return result
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("dtype", "params"),
    [
        (torch.bfloat16, {}),
        (torch.float16, {"augmentation": "flip_crop", "test_time_augmentation": True}),
        (torch.float64, {"early_stopping": True, "class_weight": {0: 1, 1: 3}}),
    ],
    ids=str,
)
def test_another_default_dtype_does_not_matter(dtype, params, tmp_path):
    path = tmp_path / "model.pt"

    def results():
        model = classifier(**params).fit(X, Y).partial_fit(X, Y)
        model.save(path)
        loaded = CNNClassifier.load(path)
        outputs = [m.decision_function(X) for m in (model, loaded, loaded.partial_fit(X, Y))]
        return [*outputs, model.transform(X)], list(weights_of(loaded).values())

    (expected, weights), (found, unusual) = results(), under_default(dtype, results)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    for one, other in zip(unusual, weights, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


def test_another_default_dtype_does_not_matter_to_numbers():
    def predicted():
        return regressor().fit(X, NUMBERS).predict(X)

    np.testing.assert_array_equal(under_default(torch.float64, predicted), predicted())


def test_another_default_dtype_does_not_matter_to_a_source(tmp_path):
    classifier().fit(X, Y).save(tmp_path / "source.pt")

    def outputs():
        model = classifier(architecture=Finetuned(str(tmp_path / "source.pt")))
        return model.fit(X, Y).decision_function(X)

    np.testing.assert_array_equal(under_default(torch.float64, outputs), outputs())


def test_other_defaults_do_not_matter_to_a_summary():
    pytest.importorskip("torchinfo")
    model = classifier().fit(X, Y)
    for summarize in (lambda: summary(model), lambda: model.architecture.summary((8, 8, 1))):
        expected = str(summarize())
        assert str(under_default(torch.float64, summarize)) == expected
        with torch.device("meta"):
            assert str(summarize()) == expected


def test_another_default_device_does_not_matter(tmp_path):
    model = classifier(early_stopping=True, augmentation="flip_crop")
    expected = model.fit(X, Y).partial_fit(X, Y).predict_proba(X)
    # a tensor on "meta" has no content
    with torch.device("meta"):
        found = model.fit(X, Y).partial_fit(X, Y).predict_proba(X)
        assert model.transform(X).shape == (len(X), len(model.get_feature_names_out()))
        model.save(tmp_path / "model.pt")
        loaded = CNNClassifier.load(tmp_path / "model.pt")
        assert torch.get_default_device().type == "meta"
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(loaded.predict_proba(X), expected)


def test_an_autocast_of_the_user_does_not_matter():
    expected = classifier(precision="float32").fit(X, Y)
    outputs = expected.decision_function(X)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(expected.decision_function(X), outputs)
        model = classifier(precision="float32").fit(X, Y)
    assert same_weights(model, expected)


# a part held out that is large enough to say something
@pytest.mark.parametrize(
    "model", [classifier(), classifier(early_stopping=True, validation_fraction=0.25)]
)
def test_nothing_is_printed_warned_or_written(model, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clone(model).fit(X, Y, X_val=X, y_val=Y).predict(X)
        clone(model).fit(X, Y).partial_fit(X, Y).predict_proba(X)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_nobody_asks_for_cuda_before_fit():
    # a forked worker could not use CUDA any more
    script = """
import torch

def asked(*args, **kwargs):
    raise AssertionError("CUDA was asked for")

for name in ("_cuda_init", "_cuda_getDeviceCount"):
    if hasattr(torch._C, name):
        setattr(torch._C, name, asked)
for name in ("is_available", "device_count", "current_device", "get_device_capability", "init"):
    setattr(torch.cuda, name, asked)

import pickle
from sklearn.base import clone
from sklearn_cnn import CNNClassifier, CNNRegressor
from sklearn_cnn.architectures import ConvNet, Finetuned, summary

for cls in (CNNClassifier, CNNRegressor):
    model = clone(cls(ConvNet((8, 16)), device="cuda"))
    model.set_params(device="auto", architecture__widths=(4,))
    pickle.loads(pickle.dumps(model)), repr(model), model._repr_html_()
    try:
        model.predict([[0.0]])
    except Exception as error:
        assert type(error).__name__ == "NotFittedError", error
assert not torch.cuda.is_initialized()
try:
    model.fit([[0.0]] * 4, [0, 1, 2, 3])
except AssertionError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "CUDA was asked for\n"  # by fit, so this test can see it


# ----------------------------------------------------------------------- what the user passes


def dim(images):
    """An augmentation that works in place."""
    return images.mul_(0 if images.dtype == torch.uint8 else 0.5)


class WorksInPlace(nn.Module):
    """A network that overwrites its input."""

    def __init__(self, image_shape, num_classes):
        super().__init__()
        self.linear = nn.Linear(int(np.prod(image_shape)), num_classes)

    def forward(self, x):
        return self.linear(x.mul_(2).flatten(1))


@pytest.mark.parametrize("shape", [(40, 8, 8), (40, 64), (40, 4, 4, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, bool])
def test_x_and_y_are_not_changed(dtype, shape):
    images = X.astype(dtype).reshape(shape)
    y, weight = NUMBERS.copy(), np.arange(40) / 40
    copies = images.copy(), y.copy(), weight.copy()
    model = regressor(augmentation=dim, architecture=WorksInPlace)
    model.fit(images, y, weight, X_val=images, y_val=y).partial_fit(images, y, weight)
    model.predict(images)
    model.transform(images)
    for array, original in zip((images, y, weight), copies, strict=True):
        np.testing.assert_array_equal(array, original)
        assert array.flags.writeable


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_tensors_are_not_changed(dtype):
    images, labels = torch.tensor(X).to(dtype), torch.tensor(Y)
    original = images.clone()
    model = classifier(augmentation=dim, architecture=WorksInPlace).fit(images, labels)
    model.predict(images)
    assert torch.equal(images, original)
    assert torch.equal(labels, torch.tensor(Y))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_read_only_arrays_and_memmaps_will_do(dtype, tmp_path):
    np.save(tmp_path / "X.npy", X.astype(dtype))
    written = (tmp_path / "X.npy").read_bytes()
    read_only, y = X.astype(dtype), Y.copy()
    read_only.flags.writeable = y.flags.writeable = False
    expected = classifier().fit(X.astype(dtype), Y).decision_function(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for mode in ("r", "r+", "c"):
            images = np.load(tmp_path / "X.npy", mmap_mode=mode)
            model = classifier().fit(images, y)
            np.testing.assert_array_equal(model.decision_function(images), expected)
        model = classifier().fit(read_only, y)
        np.testing.assert_array_equal(model.decision_function(read_only), expected)
    del images
    assert (tmp_path / "X.npy").read_bytes() == written


class Counting(Callback):
    """A callback with a memory of one training, as skorch has it."""

    def initialize(self):
        self.epochs_ = []
        return self

    def on_epoch_end(self, net, **kwargs):
        self.epochs_.append(len(self.epochs_))


def test_parameters_are_not_changed():
    class_weight = {0: 1.0, 1: 2.0}
    optimizer = functools.partial(torch.optim.SGD, momentum=0.5)
    callback = Counting()
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]))
    shape = [8, 8]
    params = {
        "architecture": WITH_DROPOUT,
        "callbacks": [callback],
        "class_weight": class_weight,
        "image_shape": shape,
        "loss": loss,
        "optimizer": optimizer,
    }
    before = pickle.dumps(WITH_DROPOUT)
    model = classifier(**params).fit(X, Y).partial_fit(X, Y)
    model.predict(X)
    assert all(getattr(model, name) is value for name, value in params.items())
    assert pickle.dumps(WITH_DROPOUT) == before
    assert model.callbacks == [callback]
    assert vars(callback) == {}
    # each training has copies of its own
    assert [c.epochs_ for _, c in model.net_.callbacks_] == [[0]]
    assert class_weight == {0: 1.0, 1: 2.0}
    assert shape == [8, 8]
    assert loss.reduction == "mean"
    assert loss.training
    assert torch.equal(loss.weight, torch.tensor([1.0, 2.0]))
    assert optimizer.keywords == {"momentum": 0.5}
    assert optimizer.args == ()


def test_a_name_stays_a_name():
    params = {"architecture": "convnet", "optimizer": "sgd", "batch_size": "auto"}
    model = CNNClassifier(**params, max_epochs=1, image_shape=(8, 8)).fit(X, Y)
    assert {name: model.get_params()[name] for name in params} == params
    assert model.device == model.precision == model.loss == "auto"


LEARN = {
    "fit": lambda model, X, y: model.fit(X, y),
    "with validation": lambda model, X, y: model.fit(X, y, X_val=X, y_val=y),
    "early stopping": lambda model, X, y: model.set_params(early_stopping=True).fit(X, y),
    "partial_fit": lambda model, X, y: model.partial_fit(X, y, classes=[0, 1]),
}


@pytest.mark.parametrize("learn", LEARN.values(), ids=LEARN.keys())
def test_a_fitted_model_does_not_keep_the_images(learn):
    images = X.astype(np.float32)
    of_images = weakref.ref(images)
    model = learn(classifier(), images, Y)
    model.predict(images)
    del images
    gc.collect()
    assert of_images() is None
    assert model.predict(X).shape == (40,)


@pytest.mark.parametrize("learn", LEARN.values(), ids=LEARN.keys())
def test_the_size_of_a_model_does_not_depend_on_the_number_of_images(learn):
    sizes = [
        len(pickle.dumps(learn(classifier(max_epochs=1), np.repeat(X, n, axis=0), np.repeat(Y, n))))
        for n in (1, 10)
    ]
    assert abs(sizes[1] - sizes[0]) < X.nbytes / 2


# --------------------------------------------------------------------------------- predictions

GRAY = np.random.default_rng(1).integers(0, 256, (150, 8, 8), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (150, 12, 10, 3), dtype=np.uint8)


@pytest.mark.parametrize("images", [GRAY, GRAY.reshape(150, 64) / 255, COLOUR])
@pytest.mark.parametrize("architecture", [ConvNet((8, 16)), "convnet"], ids=["small", "default"])
def test_predictions_do_not_depend_on_the_batch(images, architecture):
    numbers = images.reshape(150, -1).mean(axis=1)
    labels = np.arange(150) % 3
    params = {"architecture": architecture, "max_epochs": 1}
    first, second = classifier(**params), regressor(**params)
    first.fit(images[:40], labels[:40])
    second.fit(images[:40], numbers[:40])
    order = np.random.default_rng(0).permutation(150)
    for method in (first.decision_function, first.predict_proba, first.transform, second.predict):
        whole = method(images)
        assert len(np.unique(whole, axis=0)) > 100
        one_by_one = [method(images[i : i + 1]) for i in order[:50]]
        np.testing.assert_array_equal(np.concatenate(one_by_one), whole[order[:50]])
        in_chunks = [method(images[i : i + 7]) for i in range(0, 150, 7)]
        np.testing.assert_array_equal(np.concatenate(in_chunks), whole)
        np.testing.assert_array_equal(method(images[order]), whole[order])
        np.testing.assert_array_equal(method(images), whole)


@pytest.mark.parametrize(
    "copied", [lambda model: pickle.loads(pickle.dumps(model)), copy.deepcopy, copy.copy]
)
def test_a_copy_predicts_and_learns_the_same(copied):
    model = classifier(architecture=WITH_DROPOUT, callbacks=[Counting()]).fit(X, Y)
    twin = copied(model)
    assert vars(twin).keys() == vars(model).keys()
    assert same_weights(model, twin)
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
    before = weights_of(model)
    twin.partial_fit(X, Y)
    assert all(torch.equal(tensor, before[n]) for n, tensor in weights_of(model).items())
    assert same_weights(model.partial_fit(X, Y), twin)
    assert not torch.equal(model.module_.state_dict()["standardize.mean"], torch.zeros(1))
    assert same_weights(clone(model).fit(X, Y), clone(twin).fit(X, Y))


def test_an_unpickled_model_is_the_same_in_another_process(tmp_path):
    model = classifier().fit(X, Y)
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    np.save(tmp_path / "X.npy", X)
    script = (
        "import pickle, sys, numpy as np, pathlib, torch\n"
        f"torch.set_num_threads({torch.get_num_threads()})\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "model = pickle.loads((folder / 'model.pickle').read_bytes())\n"
        "X = np.load(folder / 'X.npy')\n"
        "np.save(folder / 'outputs.npy', model.decision_function(X))\n"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy"), model.decision_function(X))


# -------------------------------------------------------------------------------------- memory


def test_many_fits_do_not_fill_the_memory():
    process = psutil.Process()

    def memory_after_fits(n):
        for seed in range(n):
            model = classifier(max_epochs=1, random_state=seed, batch_size=40).fit(X, Y)
            model.partial_fit(X, Y)
            model.predict(X)
        del model
        gc.collect()
        return process.memory_info().rss

    memory_after_fits(20)
    # a leak is growth in every round; that of a single one is the allocator's
    growth = np.diff([memory_after_fits(25) for _ in range(9)])
    assert np.median(growth) < 25 * 10e3


def test_a_net_that_is_no_longer_needed_goes():
    model = classifier(callbacks=[Counting()])
    nets = []
    for _ in range(3):
        model.fit(X, Y)
        nets.append(weakref.ref(model.net_))
        model.partial_fit(X, Y)
        nets.append(weakref.ref(model.net_))
    gc.collect()
    assert [net() is not None for net in nets] == [False] * 5 + [True]


# -------------------------------------------------------------------------------------- Ctrl-C


@pytest.mark.parametrize("is_a_stop", [False, True], ids=["Ctrl-C", "a callback that stops"])
@pytest.mark.parametrize("point", ["on_epoch_begin", "on_batch_end", "on_epoch_end"])
def test_an_interrupt_leaves_a_usable_model(point, is_a_stop):
    press = raise_interrupt if is_a_stop else press_ctrl_c
    model = classifier(callbacks=[Interrupt(point, epoch=2, press=press)])
    with nullcontext() if is_a_stop else pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    whole_epochs = 2 if point == "on_epoch_end" else 1
    assert model.n_iter_ == len(model.loss_curve_) == len(model.history_) == whole_epochs
    assert list(model.classes_) == [0, 1]
    outputs = model.decision_function(X)
    assert outputs.shape == (40,)
    np.testing.assert_array_equal(model.decision_function(X[:3]), outputs[:3])  # no training mode
    assert not model.module_.training
    assert set(vars(model)) == set(vars(classifier().fit(X, Y)))
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(model.set_params(callbacks=None))).decision_function(X), outputs
    )
    assert same_weights(model.fit(X, Y), classifier().fit(X, Y))  # as if nothing had been


def test_ctrl_c_keeps_what_was_learned_until_then():
    interrupted = classifier(lr_schedule="constant", callbacks=[Interrupt(epoch=3)])
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(X, Y)
    assert same_weights(interrupted, classifier(lr_schedule="constant", max_epochs=2).fit(X, Y))
    regression = regressor(lr_schedule="constant", callbacks=[Interrupt(epoch=3)])
    with pytest.raises(KeyboardInterrupt):
        regression.fit(X, NUMBERS)
    assert same_weights(regression, regressor(lr_schedule="constant", max_epochs=2).fit(X, NUMBERS))


def test_ctrl_c_with_early_stopping_keeps_the_best_weights():
    model = classifier(max_epochs=30, early_stopping=True, callbacks=[Interrupt(epoch=4)])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[:30], Y[:30])
    assert len(model.validation_scores_) == 3
    # the rate was high, and the last weights are not those to keep
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.validation_scores_[model.best_epoch_ - 1] == model.best_validation_score_
    assert model.predict(X).shape == (40,)


def test_training_goes_on_after_ctrl_c():
    model = classifier(callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    for _ in range(5):
        model.partial_fit(X, Y)
    assert model.n_iter_ == 6
    assert model.score(X, Y) > 0.9


class InterruptedWhileBuilt(ConvNet):
    """An architecture during whose construction Ctrl-C is pressed."""

    def build(self, in_channels, image_size, n_outputs):
        press_ctrl_c()


BEFORE_TRAINING = {
    "while the network is built": {"architecture": InterruptedWhileBuilt()},
    "when training begins": {"callbacks": [Interrupt("on_train_begin", epoch=0)]},
}


@pytest.mark.parametrize("params", BEFORE_TRAINING.values(), ids=BEFORE_TRAINING.keys())
def test_ctrl_c_before_training_leaves_the_earlier_model(params):
    model = classifier().fit(X, Y)
    outputs, attributes = model.decision_function(X), dict(vars(model), **params)
    model.set_params(**params)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert vars(model).keys() == attributes.keys()
    assert all(vars(model)[name] is value for name, value in attributes.items())
    np.testing.assert_array_equal(model.decision_function(X), outputs)


@pytest.mark.parametrize("params", BEFORE_TRAINING.values(), ids=BEFORE_TRAINING.keys())
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_ctrl_c_before_any_training_leaves_nothing(params, method):
    model = classifier(**params)
    before = dict(vars(model))
    arguments = {"classes": [0, 1]} if method == "partial_fit" else {}
    with pytest.raises(KeyboardInterrupt):
        getattr(model, method)(X, Y, **arguments)
    assert vars(model) == before
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_ctrl_c_in_partial_fit_leaves_a_usable_model():
    model = classifier().partial_fit(X, Y, classes=[0, 1])
    before = weights_of(model)
    model.set_params(callbacks=[Interrupt("on_batch_end", epoch=1)])
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(X, Y)
    assert model.n_iter_ == 1
    after = weights_of(model)
    assert not all(torch.equal(before[name], after[name]) for name in before)  # a step was made
    assert model.predict(X).shape == (40,)
    assert not model.module_.training


def test_ctrl_c_ends_a_search_too():
    model = classifier(callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        cross_val_score(model, X, Y, cv=2)
    with pytest.raises(KeyboardInterrupt):
        GridSearchCV(model, {"lr": [0.01, 0.001]}, cv=2, error_score=0.0).fit(X, Y)


@pytest.mark.parametrize("point", ["on_train_begin", "on_train_end"])
def test_a_callback_may_stop_before_and_after_the_epochs(point):
    model = classifier(callbacks=[Interrupt(point, 0 if point == "on_train_begin" else 5, stop)])
    model.set_params(max_epochs=5).fit(X, Y)
    assert model.n_iter_ == (0 if point == "on_train_begin" else 5)
    assert model.predict(X).shape == (40,)


def stop():
    try:
        raise ValueError("something else went wrong")
    except ValueError as error:
        raise KeyboardInterrupt from error


def test_a_callback_that_stops_ends_one_training_of_a_search():
    model = classifier(callbacks=[Interrupt(press=stop)])
    assert (cross_val_score(model, X, Y, cv=2) >= 0).all()
    search = GridSearchCV(model, {"lr": [0.01, 0.001]}, cv=2).fit(X, Y)
    assert search.best_estimator_.n_iter_ == 1


def interrupt_a_wait():
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    time.sleep(10)


def interrupt_a_loop():
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    while True:
        pass


def interrupt_and_clean_up():
    try:
        press_ctrl_c()
    except KeyboardInterrupt:
        raise


@pytest.mark.parametrize("press", [interrupt_a_wait, interrupt_a_loop, interrupt_and_clean_up])
def test_ctrl_c_within_a_callback_reaches_the_user(press):
    for point in "on_epoch_begin", "on_batch_end":
        with pytest.raises(KeyboardInterrupt):
            classifier(callbacks=[Interrupt(point, press=press)]).fit(X, Y)

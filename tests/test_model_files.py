"""A model file from a stranger can do nothing: it is refused in one error, or predicts."""

import json
import os
import pickle
import re
import signal
import struct
from pathlib import Path

import fuzz_model_files as fuzz
import numpy as np
import pytest
import torch
from torch import nn

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import Finetuned, TorchvisionModel
from sklearn_cnn.persistence import dumps, loads
from sklearn_cnn.persistence._container import pack, pack_text, unpack

FUNCTIONS = ["__setattr__", "__delattr__", "__getattribute__", "__class__", "Module", "eval"]


@pytest.fixture(autouse=True)
def time_limit():
    """A file that hangs fails its test."""

    def stop(*_):
        raise AssertionError("The file hangs.")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def classifier():
    """Return the content and the tensors of a small classifier's file."""
    return unpack(fuzz.models()[0])


def refused(content, tensors, match):
    """Check that a file with a right checksum is refused, and changes nothing."""
    before = fuzz.snapshot()
    with pytest.raises(ValueError, match=f"^the model cannot be loaded: .*{match}"):
        loads(pack(content, tensors), CNNClassifier)
    assert fuzz.snapshot() == before


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    "value",
    [
        lambda name: {"loss": [name, {"dict": [["name", "GELU"], ["value", 1]]}]},
        lambda name: {"loss_class": name},
        lambda name: {"optimizer": name},
        lambda name: {"partial": [{"optimizer": name}, {"dict": []}]},
        lambda name: {"partial": [{"optimizer": "SGD"}, {"dict": [[name, 1]]}]},
        lambda name: {"weights": name},
        lambda name: {name: ["GELU", "Tanh"]},
        lambda name: {"ConvNet": {name: 1}},
    ],
    ids=["loss", "loss class", "optimizer", "partial", "argument", "weights", "kind", "parameter"],
)
def test_no_name_is_looked_up_but_in_a_table(value, name):
    content, tensors = classifier()
    content["parameters"]["loss"] = value(name)
    refused(content, tensors, "parameters")


@pytest.mark.parametrize("name", ["__class__", "predict", "net_", "_target", "classes_"])
@pytest.mark.parametrize("room", ["parameters", "not_saved", "images", "target", "training", None])
def test_no_attribute_is_set_but_those_of_a_list(room, name):
    content, tensors = classifier()
    (content if room is None else content[room])[name] = "text"
    refused(content, tensors, name)


@pytest.mark.parametrize(
    "architecture",
    [
        {"Finetuned": {"source": "pipe"}},
        {"TorchvisionModel": {"name": "resnet18", "weights": "DEFAULT"}},
        {"TorchvisionModel": {"name": "resnet18", "weights": "pipe"}},
        {"TorchvisionModel": {"name": "resnet18", "weights": ""}},
        {"Augmentation": {}},
        "resnet18",
        None,
    ],
    ids=str,
)
def test_layers_come_of_nothing_but_the_file(architecture, tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    content, tensors = classifier()
    refused({**content, "architecture": architecture}, tensors, "none that builds layers")


@pytest.mark.parametrize(
    ("saved", "expected"),
    [
        ({"Finetuned": {"source": "pipe"}}, Finetuned("pipe")),
        (
            {"TorchvisionModel": {"name": "resnet18", "weights": "pipe"}},
            TorchvisionModel("resnet18", weights="pipe"),
        ),
        (
            {"TorchvisionModel": {"name": "resnet18", "weights": "DEFAULT"}},
            TorchvisionModel("resnet18", weights="DEFAULT"),
        ),
    ],
    ids=["Finetuned", "path", "name"],
)
def test_paths_and_names_of_weights_stay_text(saved, expected, tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)

    def download(*_, **__):
        raise AssertionError("A host was asked for weights.")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", download)
    content, tensors = classifier()
    content["parameters"]["architecture"] = saved
    loaded = loads(pack(content, tensors), CNNClassifier)
    assert repr(loaded.architecture) == repr(expected)
    np.testing.assert_array_equal(
        loaded.decision_function(fuzz.X),
        loads(fuzz.models()[0], CNNClassifier).decision_function(fuzz.X),
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda content, text: content.update(estimator=text),
        lambda content, text: content.update(architecture={"own": text, "parameters": {}}),
        lambda content, text: content["parameters"].update(lr={text: 1}),
        lambda content, text: content.update({text: 1}),
    ],
)
def test_an_error_is_a_line_whatever_a_file_holds(change):
    content, tensors = classifier()
    change(content, "\x1b[2J\n" + "x" * 10**6)
    with pytest.raises(ValueError, match="the model cannot be loaded") as caught:
        loads(pack(content, tensors), CNNClassifier)
    assert len(str(caught.value)) < 2500
    assert str(caught.value).isprintable()


def test_a_warning_is_a_line_whatever_a_file_holds():
    content, tensors = classifier()
    content["not_saved"] = {"callbacks": "\x1b[2J\n" + "x" * 10**6}
    with pytest.warns(UserWarning, match="these parameters did not come back") as said:
        loads(pack(content, tensors), CNNClassifier)
    assert len(str(said[0].message)) < 2500
    assert str(said[0].message).isprintable()


@pytest.mark.parametrize("name", ["other", "optimizer.network.2.weight.exp_avg"])
def test_tensors_that_nothing_reads(name):
    content, tensors = classifier()
    content["optimizer"] = None
    tensors = {n: t for n, t in tensors.items() if n.startswith("module.")}
    refused(content, {**tensors, name: torch.ones(1)}, "unknown tensors")


@pytest.mark.parametrize("name", ["model", "folder"])
def test_what_is_no_regular_file_is_refused_at_once(name, tmp_path):
    os.mkfifo(tmp_path / "model")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=f"{name}' cannot be loaded: it is no regular file"):
        CNNClassifier.load(tmp_path / name)


@pytest.mark.skipif(not os.path.exists("/proc/self/pagemap"), reason="needs Linux")
def test_a_file_without_end_is_refused_at_once(tmp_path):
    (tmp_path / "model").symlink_to("/proc/self/pagemap")
    with pytest.raises(ValueError, match="it is no safetensors file"):
        CNNClassifier.load(tmp_path / "model")


def test_pickle_is_not_reached(tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.write_bytes(fuzz.models()[0])

    def unpickle(*_, **__):
        raise AssertionError("Something was unpickled.")

    for module, name in (torch, "load"), (pickle, "load"), (pickle, "loads"), (np, "load"):
        monkeypatch.setattr(module, name, unpickle)
    assert len(CNNClassifier.load(path).predict(fuzz.X)) == len(fuzz.X)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("module.network.2.weight", np.nan, "not finite"),
        ("module.network.3.running_mean", np.inf, "not finite"),
        ("module.network.3.running_var", -1.0, "negative variances"),
        ("module.standardize.std", 0.0, "not positive"),
        ("optimizer.network.2.weight.exp_avg", np.nan, "not finite"),
    ],
)
def test_numbers_that_no_network_has(name, value, match):
    content, tensors = classifier()
    refused(content, {**tensors, name: torch.full_like(tensors[name], value)}, match)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("image_shape", 2, "image_shape must be"),
        ("image_shape", [{"tensor": ["<f4", [2], [1.0, 1.0]]}], "image_shape must be"),
        ("optimizer", {"betas": {"tuple": [None, 0.9]}}, "is no Adam "),
        ("optimizer", {"fused": True, "foreach": True}, "is no Adam .*cannot be"),
    ],
)
def test_parameters_that_torch_refuses(name, value, match):
    content, tensors = classifier()
    if name == "optimizer":
        value = {"partial": [{"optimizer": "Adam"}, {"dict": [list(p) for p in value.items()]}]}
    content["parameters"][name] = value
    refused(content, tensors, match)


def test_no_folder_is_written_into(tmp_path):
    content, tensors = classifier()
    content["parameters"]["memory"] = str(tmp_path / "cache")
    refused(content, tensors, "memory names a folder")
    assert list(tmp_path.iterdir()) == []


def test_the_state_of_another_optimizer():
    content, tensors = classifier()
    content["parameters"]["optimizer"] = "adam"
    without_steps = {name: t for name, t in tensors.items() if not name.endswith(".step")}
    refused(content, without_steps, "its optimizer has the states")


@pytest.mark.parametrize(("key", "shape"), [("exp_avg", ()), ("exp_avg_sq", ()), ("step", (4,))])
def test_a_state_that_a_fused_step_would_read_beyond(key, shape):
    content, tensors = classifier()
    changed = {
        name: torch.ones(shape) if name.endswith(f".{key}") else tensor
        for name, tensor in tensors.items()
    }
    refused(content, changed, f"its optimizer has a state .*{key} of another shape")


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["images"].update(shape=[2**20, 2**20, 3]),
        lambda content: content["images"].update(shape=[8, 8, 2**20]),
        lambda content: content["images"]["parameters"].update(image_shape=[2**20] * 2),
        lambda content: content.update(architecture={"ConvNet": {"widths": [10**6, 10**6]}}),
        lambda content: content.update(architecture={"ConvNet": {"convs_per_stage": 10**9}}),
        lambda content: content.update(architecture={"ConvNet": {"hidden": [2] * 10**4}}),
        lambda content: content.update(architecture={"ResNet": {"depth": 10**9}}),
        lambda content: content.update(architecture={"TorchvisionModel": {"name": "vit_h_14"}}),
        lambda content: content["target"].update(classes={"array": ["<U9999999", [1], ["a"]]}),
        lambda content: content["target"].update(classes={"array": ["<f8", [10**9], [1.0]]}),
        lambda content: content.update(target={"kind": "indicator", "n_labels": 2**24}),
        lambda content: content["parameters"].update(
            callbacks=[{"array": ["<U4000000", [1], ["a"]]}] * 10
        ),
    ],
)
def test_memory_is_not_asked_for_before_shapes_agree(change):
    content, tensors = classifier()
    change(content)
    used = fuzz.peak_memory()
    refused(content, tensors, "")
    assert fuzz.peak_memory() - used < fuzz.ALLOWANCE


@pytest.mark.parametrize(
    "pixels",
    [
        {"low": 2.0, "high": 1.0, "mean": 1.5},
        {"low": 0, "high": "1", "mean": 0},
        {"low": 0, "high": 1},
        {"low": 0, "high": 1, "mean": 0, "sample": 1},
    ],
    ids=str,
)
def test_a_range_of_pixels_is_three_numbers(pixels):
    content, tensors = classifier()
    refused({**content, "pixels": pixels}, tensors, "pixels")


@pytest.mark.parametrize("name", ["nearest", 3, None, ["bicubic"]])
def test_images_are_resized_in_a_known_way(name):
    content, tensors = classifier()
    content["images"]["interpolation"] = name
    refused(content, tensors, r"images\.interpolation is ")


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("image_shape", [9, 8], "does not agree with the images"),
        ("image_shape", [8], "does not agree with the images"),
        ("image_shape", [8, 8, 1, 1], "does not agree with the images"),
        ("image_shape", [2**30, 8], "is 1073741824, and not from 1"),
        ("channel_axis", 0, "is 0, and not -1 or 1"),
        ("channel_axis", True, "is True, and not a whole number"),
        ("resize_mode", "stretch", "does not know"),
        ("other", 1, "unknown entries"),
    ],
)
def test_images_are_prepared_in_a_known_way(name, value, match):
    content, tensors = classifier()
    content["images"]["parameters"][name] = value
    refused(content, tensors, rf"images\.parameters.*{match}")


def test_every_kind_of_damage():
    # python tests/fuzz_model_files.py runs many more
    counts = fuzz.run(n_structures=300, n_flips=100, n_truncations=20)
    assert {kind for kind, end in counts if end == "loaded"} <= {"structures", "tensors"}
    assert counts["flips", "refused"] == 100
    assert counts["structures", "refused"] > 100


def test_the_layout_is_what_the_guide_says():
    data = fuzz.models()[0]
    (length,) = struct.unpack("<Q", data[:8])
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    content = json.loads(metadata["content"])
    header, rows = guide_to("Header"), guide_to("Content")
    assert metadata.keys() == header.keys()
    assert f'"{metadata["version"]}"' in header["version"]
    assert content.keys() == rows.keys()
    for key in "images", "pixels", "training":
        assert content[key].keys() == set(re.findall(r"`(\w+)`", rows[key]))


def guide_to(section):
    """Return the rows of a table in the guide, by what their first cells hold."""
    guide = Path(__file__).parents[1] / "docs" / "file_format.md"
    text = guide.read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))


def test_a_newer_version_is_named():
    data = fuzz.models()[0].replace(b'"version":"5"', b'"version":"6"')
    with pytest.raises(ValueError, match=r"version '6' of the file format.*reads version 5"):
        loads(data, CNNClassifier)


def test_only_whole_json_is_read():
    content, tensors = classifier()
    text = json.dumps(content)
    for changed in text[:-1], text + "1", "[]", text.replace(": 0.005", ": NaN"):
        with pytest.raises(ValueError, match="its content is no JSON"):
            loads(pack_text(changed, tensors), CNNClassifier)


def test_json_takes_no_more_time_than_its_length():
    content, tensors = classifier()
    text = json.dumps(content)
    keys = ",".join(f'"{i}":0' for i in range(10**6))
    twice = text.replace("{", f'{{{keys},"0":0,', 1)
    with pytest.raises(ValueError, match="duplicate key '0'"):
        loads(pack_text(twice, tensors), CNNClassifier)
    # of equal hashes
    content["parameters"]["class_weight"] = {"dict": [[i * (2**61 - 1), 1] for i in range(10**5)]}
    refused(content, tensors, "more than 64 bits")


def test_values_take_no_more_time_than_their_number():
    content, tensors = classifier()
    weights = [{"weights": "ResNet18_Weights.IMAGENET1K_V1"}] * 10**5
    content["parameters"].update(callbacks=weights, memory="cache")
    refused(content, tensors, "memory names a folder")


@pytest.mark.parametrize(
    "labels",
    [
        ["<i8", [10], [*range(9, -1, -1)]],
        ["<i8", [10], [0, *range(9)]],
        ["|O", [10], ["a", *range(9)]],
    ],
)
def test_labels_that_no_fit_makes(labels):
    content, tensors = classifier()
    content["target"]["classes"] = {"array": labels}
    refused(content, tensors, "not distinct labels in their order")


def test_metadata_may_be_null():
    header = b'{"__metadata__":null}'
    with pytest.raises(ValueError, match="holds no estimator"):
        loads(len(header).to_bytes(8, "little") + header, CNNClassifier)


def test_a_model_with_weights_that_are_not_finite_is_not_saved():
    model = loads(fuzz.models()[0], CNNClassifier)
    nn.init.constant_(model.module_.network[2].weight, float("nan"))
    with pytest.raises(ValueError, match=r"network\.2\.weight holds numbers that are not finite"):
        dumps(model)

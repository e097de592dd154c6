"""Files of weights, and how they reach a network."""

import re

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sklearn_cnn.architectures import TorchvisionModel
from sklearn_cnn.architectures._weights import load_into, read_weights_file


class Code:
    """What no file of weights may hold."""


def network():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_a_file_gives_back_the_state(tmp_path, suffix):
    path, state = tmp_path / f"w{suffix}", network().state_dict()
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    read = read_weights_file(path)
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], state[name]) for name in state)


def test_a_missing_file():
    with pytest.raises(FileNotFoundError, match=r"no file of weights at 'nowhere\.pth'"):
        read_weights_file("nowhere.pth")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "resnet18"])
def test_a_folder(tmp_path, name):
    (tmp_path / name).mkdir()
    expected = rf"{name}' is a folder\. Weights are one file: \.safetensors, or what torch\.save\("
    with pytest.raises(IsADirectoryError, match=expected):
        read_weights_file(tmp_path / name)
    with pytest.raises(IsADirectoryError, match=expected):
        TorchvisionModel("resnet18", weights=tmp_path / name).build(3, (32, 32), 2)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"\x80\x02junk", b"text" * 100])
def test_a_broken_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="or a broken one"):
        read_weights_file(tmp_path / name)


def test_a_truncated_file(tmp_path):
    torch.save(network().state_dict(), tmp_path / "w.pth")
    whole = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="or a broken one"):
        read_weights_file(tmp_path / "w.pth")


def test_code_in_a_file_is_not_run(tmp_path):
    torch.save(network(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match="weights_only=True") as caught:
        read_weights_file(tmp_path / "w.pth")
    # torch's own advice, to load it all the same, is not passed on
    assert "Unsupported global" in str(caught.value)
    assert "weights_only=False" not in str(caught.value).replace("`", "")
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "found"), [({"model": {"a": 1}, "epoch": 3}, "'model', 'epoch'"), ([1], "list")]
)
def test_a_checkpoint_is_no_state_dict(tmp_path, content, found):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=f"must hold a state dict.*{found}"):
        read_weights_file(tmp_path / "w.pth")


def test_the_state_dict_in_a_checkpoint_is_named(tmp_path):
    torch.save({"epoch": 3, "model": network().state_dict()}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r'torch\.load\(path\)\["model"\]'):
        read_weights_file(tmp_path / "w.pth")


@pytest.mark.parametrize("version", ["2.4.0", "2.9.1+cu128"])
def test_a_torch_that_is_not_safe_reads_safetensors_alone(tmp_path, monkeypatch, version):
    state = network().state_dict()
    torch.save(state, tmp_path / "w.pth")
    save_file(state, tmp_path / "w.safetensors")
    monkeypatch.setattr(torch, "__version__", version)
    assert read_weights_file(tmp_path / "w.safetensors").keys() == state.keys()
    message = re.escape(f"torch {version} is not safe") + r".*w\.pth'.*Upgrade torch to 2\.10 "
    with pytest.raises(ValueError, match=message):
        read_weights_file(tmp_path / "w.pth")


@pytest.mark.parametrize("version", ["2.10.0", "2.10.0a0+git12", "2.14.1+cpu", "3.0.0"])
def test_a_torch_that_is_safe_reads_what_it_wrote(tmp_path, monkeypatch, version):
    state = network().state_dict()
    torch.save(state, tmp_path / "w.pth")
    monkeypatch.setattr(torch, "__version__", version)
    assert read_weights_file(tmp_path / "w.pth").keys() == state.keys()


def test_old_names_of_densenet(tmp_path):
    old = {"features.denseblock1.denselayer2.norm.1.weight": torch.ones(2)}
    torch.save(old, tmp_path / "w.pth")
    assert list(read_weights_file(tmp_path / "w.pth")) == [
        "features.denseblock1.denselayer2.norm1.weight"
    ]


def test_weights_that_fit_are_loaded():
    target, source = network(), network()
    load_into(target, source.state_dict(), "3", "weights")
    assert all(map(torch.equal, target.state_dict().values(), source.state_dict().values()))


def test_a_head_of_another_size_stays_as_it_is():
    target, state = network(), network().state_dict()
    state["3.weight"], state["3.bias"] = torch.ones(5, 2), torch.ones(5)
    head = target[3].weight.clone()
    load_into(target, state, "3", "weights")
    assert torch.equal(target[3].weight, head)
    assert torch.equal(target[0].weight, state["0.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("0.weight"), r"lack 0\.weight"),
        (lambda state: state.update(extra=torch.ones(1)), "have in excess extra"),
        (lambda state: state.update({"0.bias": torch.ones(9)}), r"have in other shapes 0\.bias"),
    ],
)
def test_weights_of_another_network_are_refused_and_nothing_is_loaded(change, message):
    target, state = network(), network().state_dict()
    change(state)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(ValueError, match=f"these are not weights of Sequential: they {message}"):
        load_into(target, state, "3", "these")
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())


def test_a_prefix_of_all_names_is_named():
    state = nn.DataParallel(network()).state_dict()
    message = r'Each name begins with "module\.": save \{name\.removeprefix\("module\."\)'
    with pytest.raises(ValueError, match=message):
        load_into(network(), state, "3", "these")
    other = {f"layer.{i}": torch.ones(1) for i in range(9)}
    with pytest.raises(ValueError, match="are not weights") as caught:
        load_into(network(), other, "3", "these")
    assert "Each name" not in str(caught.value)


def test_long_lists_of_names_are_cut():
    state = {f"layer{i}": torch.ones(1) for i in range(9)}
    with pytest.raises(ValueError, match="layer0, layer1, layer2 and 6 more"):
        load_into(network(), state, "3", "these")

"""U-Nets: shapes, and what they learn of pixels."""

import copy
import pickle

import numpy as np
import pytest
import torch
from drawn_pixels import shapes
from learned import lite0, lite0_file
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from sklearn_cnn import CNNClassifier
from sklearn_cnn.architectures import (
    ConvNet,
    ResNet,
    TorchModule,
    TorchvisionModel,
    UNet,
    as_architecture,
)

SMALL = {"widths": (4, 8, 8)}


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (16, 16), (33, 18), (130, 45)])
@pytest.mark.parametrize("params", [{}, {"patch_size": 3}, {"residual": False, "depth": 2}])
def test_logits_have_the_size_of_the_image(size, params):
    network = UNet(**SMALL, **params).build(2, size, 3).train()
    assert network(torch.rand(2, 2, *size)).shape == (2, 3, *size)


def test_a_network_takes_images_of_other_sizes_than_it_was_built_for():
    network = UNet(**SMALL).build(1, (200, 200), 2)
    assert network(torch.rand(2, 1, 61, 40)).shape == (2, 2, 61, 40)


def test_the_default_is_small_and_known_by_name():
    network = as_architecture("unet").build(3, (180, 240), 11)
    assert sum(parameter.numel() for parameter in network.parameters()) < 2_000_000
    assert as_architecture("unet").output == "map"


@pytest.mark.parametrize(("size", "n_channels"), [((127, 100), 3), ((100, 128), 12)])
def test_large_images_are_seen_in_patches(size, n_channels):
    network = UNet(**SMALL).build(3, size, 2)
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    assert first.in_channels == n_channels


@pytest.mark.parametrize("patch_size", [1, 2])
def test_edges_are_learned_to_the_pixel(patch_size):
    """The class of a pixel is known from itself, in images whose sides are odd."""
    torch.manual_seed(0)
    patches = (torch.rand(16, 1, 13, 11) < 0.5).float()
    images = patches.repeat_interleave(patch_size, dim=2).repeat_interleave(patch_size, dim=3)
    images = images[..., :-1, :]
    network = UNet((8, 8), patch_size=patch_size).build(1, images.shape[2:], 2).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), images[:, 0].long())
        loss.backward()
        optimizer.step()
    found = network(images).argmax(dim=1)
    assert (found == images[:, 0]).float().mean() > 0.99


def test_parameters_are_searchable_and_build_the_same_network_twice():
    unet = clone(UNet()).set_params(widths=(4, 8), dropout=0.5)
    torch.manual_seed(0)
    first = unet.build(1, (8, 8), 2)
    torch.manual_seed(0)
    second = unet.build(1, (8, 8), 2)
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )
    assert any(isinstance(layer, nn.Dropout2d) for layer in first.modules())
    copied = copy.deepcopy(first).eval()
    assert torch.equal(copied(torch.ones(1, 1, 8, 8)), first.eval()(torch.ones(1, 1, 8, 8)))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"widths": ()}, "at least one stage"),
        ({"widths": (4, 0)}, "positive integers"),
        ({"depth": 0}, "'depth' parameter of UNet"),
        ({"patch_size": 0}, "'patch_size' parameter of UNet"),
        ({"dropout": 1.0}, "'dropout' parameter of UNet"),
    ],
)
def test_bad_parameters_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        UNet(**params).resolve()


def test_the_summary_of_the_layers():
    pytest.importorskip("torchinfo")
    assert UNet(**SMALL).summary((16, 16, 1), n_outputs=2).total_params > 0


ENCODERS = {
    "resnet": ResNet((4, 8, 16), stem="large"),
    "torchvision": TorchvisionModel("mnasnet0_5"),
    "convnet": ConvNet((4, 8), whitening=False),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_networks_for_classification_are_encoders(name):
    unet = UNet(encoder=ENCODERS[name])
    network = unet.build(2, (70, 50), 3).train()
    assert network(torch.rand(2, 2, 70, 50)).shape == (2, 3, 70, 50)
    # as one that is pickled, or sent to another thread
    copied = copy.deepcopy(network).eval()
    image = torch.rand(1, 2, 70, 50)
    assert torch.equal(copied(image), network.eval()(image))


def test_the_maps_of_an_encoder_are_those_of_its_stages():
    encoder = UNet(encoder=TorchvisionModel("resnet18")).build(3, (64, 96), 2).encoder
    assert (encoder.patch_size, encoder.channels) == (2, [64, 64, 128, 256, 512])
    maps = encoder(torch.rand(1, 3, 64, 96))
    trunk = encoder.trunk
    assert [tuple(m.shape[2:]) for m in maps] == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    assert torch.equal(maps[4], trunk.layer4(maps[3]))
    assert not any(isinstance(layer, nn.Linear) for layer in trunk.modules())


@pytest.mark.parametrize("patch_size", [2, 3])
def test_logits_of_training_are_those_of_prediction(patch_size):
    network = UNet((4, 8), patch_size=patch_size).build(1, (12, 15), 3).eval()
    images = torch.randn(2, 1, 12, 15)
    expected = network(images)
    # in training logits are enlarged in another way; batch norm stays as in prediction
    network.training = True
    torch.testing.assert_close(network(images), expected)


def test_parameters_of_the_encoder_hold():
    frozen = TorchvisionModel("mnasnet0_5", freeze=True, head_lr_ratio=5, unfreeze_after=3)
    unet = UNet(encoder=frozen).set_params(encoder__head_lr_ratio=4)
    network = unet.build(3, (32, 32), 2)
    learning = [name for name, p in network.named_parameters() if p.requires_grad]
    assert {name.partition(".")[0] for name in learning} == {"decoder", "head"}
    plan = unet.fine_tuning(network)
    assert plan.unfreeze_after == 3
    assert set(plan.lr_ratios.values()) == {0.25}
    assert all(name.startswith("encoder.") for name in plan.lr_ratios)


def test_an_encoder_may_be_what_an_architecture_may_be():
    named = UNet(encoder="mnasnet0_5")
    expected = UNet(encoder=TorchvisionModel("mnasnet0_5")).build(3, (32, 32), 2).state_dict()
    assert named.build(3, (32, 32), 2).state_dict().keys() == expected.keys()
    assert (named.has_learned_weights, named.recommended_size()) == (False, None)
    assert named.without_weights().get_params()["encoder__name"] == "mnasnet0_5"

    searched = CNNClassifier("unet").set_params(architecture__encoder="mnasnet0_5")
    assert searched.get_params()["architecture__encoder"] == "mnasnet0_5"
    searched.set_params(architecture__encoder__freeze=True)
    assert searched.get_params()["architecture__encoder__freeze"] is True
    searched.set_params(architecture__encoder="mnasnet0_75", architecture__encoder__freeze=False)
    assert searched.get_params()["architecture__encoder__name"] == "mnasnet0_75"

    with pytest.raises(ValueError, match=r"no architecture named 'mnasnet0_6'\. Did you mean"):
        UNet(encoder="mnasnet0_6").resolve()
    with pytest.raises(TypeError, match=r"^encoder must be a name, an Architecture"):
        UNet(encoder=5).resolve()
    with pytest.raises(TypeError, match=r"^encoder got the class ResNet"):
        UNet(encoder=ResNet).resolve()


def test_estimators_with_a_named_encoder_are_fitted_and_saved(tmp_path):
    X, masks = shapes(8)
    unet = UNet((4, 8, 8, 8), encoder="mnasnet0_5")
    classifier = CNNClassifier(unet, max_epochs=1, batch_size=4, random_state=0).fit(X, masks)
    assert classifier.architecture.encoder == "mnasnet0_5"
    classifier.save(tmp_path / "model.safetensors")
    loaded = CNNClassifier.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict(X), classifier.predict(X))


def test_learned_weights_of_an_encoder():
    unet = UNet(encoder=lite0()).resolve()
    assert unet.has_learned_weights
    assert unet.recipe().keeps_statistics
    network = unet.build(3, (64, 64), 2)
    weights = torch.load(lite0_file(), weights_only=True)
    assert torch.equal(network.encoder.trunk._conv_stem.weight, weights["_conv_stem.weight"])
    assert len(network.encoder.channels) == 5


def test_encoders_without_maps_of_several_sizes_are_refused():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2))
    with pytest.raises(ValueError, match=r"half as large as the one before\. It has none"):
        UNet(encoder=TorchModule(flat)).build(3, (32, 32), 2)
    with pytest.raises(ValueError, match="It has one alone, with sides of 1/2 of the image: two"):
        UNet(encoder=ResNet((4, 8))).build(3, (32, 32), 2)
    with pytest.raises(ValueError, match=r"encoder of a U-Net: it has no nn\.Linear at its end"):
        UNet(encoder=TorchModule(nn.Conv2d(3, 4, 3))).build(3, (32, 32), 2)
    with pytest.raises(ValueError, match="returns maps already"):
        UNet(encoder=UNet()).resolve()
    with pytest.raises(ValueError, match="must hold 4 numbers"):
        UNet((4, 8), encoder=TorchvisionModel("mnasnet0_5")).build(3, (32, 32), 2)


@pytest.mark.parametrize(
    "unet",
    [UNet((4, 8)), UNet((4, 8, 8, 8), encoder=ResNet((4, 8, 8), stem="large"))],
    ids=["own encoder", "encoder"],
)
def test_estimators_of_masks_are_saved_with_their_network(unet, tmp_path):
    X, masks = shapes(8)
    classifier = CNNClassifier(unet, max_epochs=2, batch_size=4, random_state=0).fit(X, masks)
    classifier.save(tmp_path / "model.safetensors")
    loaded = CNNClassifier.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    assert repr(loaded.architecture) == repr(unet)
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict(X), classifier.predict(X))
    assert clone(classifier).fit(X, masks).loss_curve_ == classifier.loss_curve_


def test_widths_are_searched():
    X, masks = shapes(8)
    grid = {"architecture__widths": [(4,), (4, 8)]}
    search = GridSearchCV(CNNClassifier("unet", max_epochs=1, random_state=0), grid, cv=2)
    assert search.fit(X, masks).best_params_["architecture__widths"] in [(4,), (4, 8)]

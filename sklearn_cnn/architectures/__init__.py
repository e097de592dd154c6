"""Networks to choose from, and to search over."""

from sklearn_cnn.architectures._base import Architecture
from sklearn_cnn.architectures._convnet import ConvNet
from sklearn_cnn.architectures._finetuned import Finetuned
from sklearn_cnn.architectures._registry import (
    as_architecture,
    available_architectures,
    register_architecture,
)
from sklearn_cnn.architectures._resnet import ResNet
from sklearn_cnn.architectures._summary import summary
from sklearn_cnn.architectures._timm import TimmModel
from sklearn_cnn.architectures._torch_module import TorchModule
from sklearn_cnn.architectures._torchvision import TorchvisionModel
from sklearn_cnn.architectures._unet import UNet

__all__ = [
    "Architecture",
    "ConvNet",
    "Finetuned",
    "ResNet",
    "TimmModel",
    "TorchModule",
    "TorchvisionModel",
    "UNet",
    "as_architecture",
    "available_architectures",
    "register_architecture",
    "summary",
]

"""The first layer of every module: pixels to numbers around zero."""

import torch
from torch import nn


class Standardize(nn.Module):
    """Subtracts a mean and divides by a standard deviation, a channel.

    It is part of the module, so that predictions, saved models and exports preprocess as
    training did.

    Parameters
    ----------
    mean, std : Tensor of shape (C,)
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", mean.reshape(1, -1, 1, 1))
        self.register_buffer("std", std.reshape(1, -1, 1, 1))

    def forward(self, images):
        """Standardize images of shape (b, C, H, W), of any dtype, to float32."""
        # The same arithmetic for bytes and floats, so that they give the same predictions. Bytes
        # turn to float32 on the way: a pass of its own for that took as long again.
        return (images - self.mean) / self.std

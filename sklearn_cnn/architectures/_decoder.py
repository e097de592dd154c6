"""From maps of several sizes to logits of each pixel."""

import torch
from torch import nn
from torch.nn import functional

from sklearn_cnn.architectures._resnet import convolution


class UNetModule(nn.Module):
    """An encoder, a decoder, and a layer that makes logits of what it returns.

    Parameters
    ----------
    encoder : nn.Module
        Maps images to maps of several sizes, the largest first, each half as large as the one
        before, rounded up.
    decoder : Decoder
    n_outputs : int
    dropout : float
    """

    def __init__(self, encoder, decoder, n_outputs, dropout):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.dropout = nn.Dropout2d(dropout) if dropout else nn.Identity()
        self.head = nn.Conv2d(decoder.out_channels, n_outputs, 1)

    def forward(self, images):
        """Return the logits of each pixel."""
        height, width = images.shape[-2:]
        logits = self.head(self.dropout(self.decoder(self.encoder(images))))
        scale = self.encoder.patch_size
        if scale > 1:
            logits = _enlarge(logits, float(scale), with_gradient=self.training)
        return logits[..., :height, :width]


def _enlarge(maps, scale, with_gradient):
    """Return maps with sides that are `scale` times as long, interpolated linearly.

    As products of matrices, whose gradient takes half as long on a CPU, and is the same each time
    on a GPU, where that of `interpolate` adds in any order. Without one, `interpolate` is faster.
    """
    if not with_gradient:
        return functional.interpolate(maps, scale_factor=scale, mode="bilinear")
    down, along = (
        functional.interpolate(
            torch.eye(side, dtype=maps.dtype, device=maps.device)[None],
            scale_factor=scale,
            mode="linear",
        )[0]
        for side in maps.shape[-2:]
    )
    return down.T @ (maps @ along)


class Decoder(nn.Module):
    """Stages that double maps and join them to those of the encoder.

    Parameters
    ----------
    in_channels : sequence of int
        Channels of the encoder's maps, the largest maps first.
    widths : sequence of int
        Channels of what the stages return; one fewer.
    """

    def __init__(self, in_channels, widths):
        super().__init__()
        self.narrow, self.join = nn.ModuleList(), nn.ModuleList()
        channels = in_channels[-1]
        for skipped, width in zip(in_channels[-2::-1], widths[::-1], strict=True):
            # before the maps are doubled, where it costs a quarter
            self.narrow.append(rectified(channels, width, 1))
            self.join.append(rectified(width + skipped, width, 3))
            channels = width
        self.out_channels = channels

    def forward(self, maps):
        """Return maps of the size of the encoder's largest ones."""
        result = maps[-1]
        for narrow, join, skipped in zip(self.narrow, self.join, maps[-2::-1], strict=True):
            height, width = skipped.shape[-2:]
            doubled = functional.interpolate(narrow(result), scale_factor=2.0, mode="nearest")
            result = join(torch.cat([doubled[..., :height, :width], skipped], dim=1))
        return result


def pad_to_multiples(images, step):
    """Return images whose sides are multiples of a step: their last pixels are repeated."""
    height, width = images.shape[-2:]
    if height % step == 0 and width % step == 0:
        return images
    return functional.pad(images, (0, -width % step, 0, -height % step), mode="replicate")


def rectified(in_channels, out_channels, kernel_size):
    """Return a convolution, its normalization and a ReLU."""
    layers = convolution(in_channels, out_channels, kernel_size)
    return nn.Sequential(*layers, nn.ReLU(inplace=True))

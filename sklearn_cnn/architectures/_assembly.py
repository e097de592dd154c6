"""The whole module that is trained: standardization of the pixels, then the network."""

from collections import OrderedDict
from contextlib import contextmanager

import torch
from torch import nn

# Images whose statistics are summed up at a time, to bound the memory of their float64 copy.
_CHUNK = 512

_ON_PROBABILITIES = (nn.Softmax, nn.LogSoftmax, nn.Sigmoid, nn.LogSigmoid)


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

    @classmethod
    def of(cls, images, rows):
        """Return the standardization of some of the images.

        Parameters
        ----------
        images : Tensor of shape (n, H, W, C)
        rows : Tensor of int64
            Which images count.
        """
        total = torch.zeros(images.shape[3], dtype=torch.float64)
        squares = torch.zeros_like(total)
        sums = _sums_of_bytes if images.dtype == torch.uint8 else _sums
        for chunk in rows.split(_CHUNK):
            for so_far, more in zip((total, squares), sums(images[chunk]), strict=True):
                so_far += more
        n_pixels = len(rows) * images.shape[1] * images.shape[2]
        mean = total / n_pixels
        variance = squares / n_pixels - mean.square()
        # a channel without variance, up to rounding, is only centred
        constant = variance <= 1e-12 * mean.square()
        std = torch.where(constant, torch.ones_like(variance), variance).sqrt()
        return cls(mean.float(), std.float())

    def forward(self, images):
        """Standardize images of shape (b, C, H, W), of any dtype, to float32."""
        # the same arithmetic for bytes and floats, so that they give the same predictions
        return (images.float() - self.mean).div_(self.std)


def _sums(images):
    """Return the sums of the pixels and of their squares, a channel."""
    pixels = images.double()
    return pixels.sum(dim=(0, 1, 2)), pixels.square().sum(dim=(0, 1, 2))


def _sums_of_bytes(images):
    """Return the same by way of a histogram, which needs no copy in float64."""
    channels = images.flatten(0, 2).unbind(1)
    counts = torch.stack([torch.bincount(pixels, minlength=256) for pixels in channels]).double()
    values = torch.arange(256, dtype=torch.float64)
    return counts @ values, counts @ values.square()


def assemble(architecture, images, rows, n_outputs):
    """Build the module that maps raw images to logits.

    Parameters
    ----------
    architecture : Architecture
    images : Tensor of shape (n, H, W, C)
        The training images.
    rows : Tensor of int64
        Which of them the statistics of the pixels are taken from.
    n_outputs : int

    Returns
    -------
    nn.Sequential
        Of `standardize` and `network`, in evaluation mode.

    Raises
    ------
    ValueError
        If the network cannot take the images, returns another shape, or probabilities.
    """
    height, width, channels = images.shape[1:]
    network = architecture.build(channels, (height, width), n_outputs)
    parts = OrderedDict(standardize=Standardize.of(images, rows), network=network)
    # float32 whatever torch's default dtype is now
    module = nn.Sequential(parts).float().eval()
    # lazy layers get their shape, and so can be laid out, in this first pass
    _check_output(module, architecture, images[:1], n_outputs)
    return module.float().to(memory_format=torch.channels_last)


@contextmanager
def penultimate(module):
    """Make a callable that maps images to the input of the module's last Linear.

    Parameters
    ----------
    module : nn.Module

    Yields
    ------
    callable
        Maps images of shape (b, C, H, W) to features of shape (b, n_features).
    """
    seen = []
    handle = last_linear(module).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    def features(images):
        seen.clear()
        module(images)
        return seen[-1].flatten(1)

    try:
        yield features
    finally:
        handle.remove()


def last_linear(module):
    """Return the last Linear of a module.

    Raises
    ------
    ValueError
        If it has none.
    """
    linears = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    if not linears:
        raise ValueError(
            "transform returns the input of the network's last nn.Linear, but this network has "
            "none. Use an architecture that ends in one."
        )
    return linears[-1]


def _check_output(module, architecture, image, n_outputs):
    """Send one image through the module, before any work is done."""
    shape = tuple(image.shape[1:])
    try:
        outputs, last = _traced(module, image.permute(0, 3, 1, 2))
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"{architecture!r} cannot take images of {shape[0]} x {shape[1]} x {shape[2]}: {error}"
        ) from error
    if last is not None:
        raise ValueError(
            f"{architecture!r} ends in {last}. A network must return logits, since the loss and "
            "predict_proba apply it themselves. Leave that layer out."
        )
    if tuple(getattr(outputs, "shape", ())) != (1, n_outputs):
        raise ValueError(
            f"{architecture!r} must map one image to logits of shape (1, {n_outputs}), got "
            f"{tuple(getattr(outputs, 'shape', ())) or type(outputs).__name__}. A constructor "
            "that names num_classes or n_outputs is passed the number."
        )


def _traced(module, image):
    """Return the outputs, and the name of the layer if they are probabilities out of one."""
    results = []
    handles = [
        layer.register_forward_hook(lambda layer, _, result: results.append((layer, result)))
        for layer in module.modules()
        if isinstance(layer, _ON_PROBABILITIES)
    ]
    try:
        with torch.no_grad():
            outputs = module(image)
    finally:
        for handle in handles:
            handle.remove()
    names = [type(layer).__name__ for layer, result in results if result is outputs]
    if not names and _are_probabilities(outputs):
        names = ["a softmax"]
    return outputs, names[0] if names else None


def _are_probabilities(outputs):
    if getattr(outputs, "ndim", 0) != 2 or outputs.shape[1] < 2 or (outputs < 0).any():
        return False
    return torch.allclose(outputs.sum(dim=1), outputs.new_ones(len(outputs)), atol=1e-4)

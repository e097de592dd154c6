"""The trunk of a network for classification as an encoder: its maps of several sizes."""

from collections import Counter
from threading import get_ident

import torch
from torch import nn

from sklearn_cnn.architectures._decoder import pad_to_multiples

# Networks halve an image five times at most; sides that this divides halve without a rest.
_LARGEST_STEP = 32


class Backbone(nn.Module):
    """A network for classification without its last layers, which returns maps of several sizes.

    Of the layers whose maps have a size, those are looked at that lie least deep in the hierarchy
    of its modules, and the last of them is taken: what a stage returns as a whole.

    Parameters
    ----------
    architecture : Architecture
    in_channels : int
    image_size : tuple of (int, int)

    Attributes
    ----------
    patch_size : int
        How many times as large as the largest maps the image is.
    channels : list of int
        Of the maps, the largest ones first.

    Raises
    ------
    ValueError
        If it has no last layer as networks for classification have, or no maps of two sizes at
        least, smaller than the image, each half as large as the one before.
    """

    def __init__(self, architecture, in_channels, image_size):
        super().__init__()
        image = pad_to_multiples(torch.zeros((1, in_channels, *image_size)), _LARGEST_STEP)
        self.trunk = architecture.build(in_channels, tuple(image.shape[2:]), 1)
        for head in _head_names(architecture, self.trunk):
            self.trunk.set_submodule(head, nn.Identity())
        stages = _stages(self.trunk.eval(), image)
        if len(stages) < 2:
            found = "none"
            if stages:
                found = (
                    f"one alone, with sides of 1/{min(stages)} of the image: two or more are needed"
                )
            raise ValueError(
                f"{architecture} cannot be the encoder of a U-Net, which joins maps smaller than "
                f"the image, each half as large as the one before. It has {found}. Use a network "
                "with more stages that halve the image, such as ResNet((16, 32, 64)) or "
                'TorchvisionModel("resnet18").'
            )
        self.patch_size = min(stages)
        self.channels = [channels for _, channels in stages.values()]
        self._seen = [_Seen() for _ in stages]
        for (name, _), seen in zip(stages.values(), self._seen, strict=True):
            self.trunk.get_submodule(name).register_forward_hook(seen)

    def forward(self, images):
        """Return maps of several sizes, the largest first."""
        self.trunk(pad_to_multiples(images, _LARGEST_STEP))
        return [seen.pop(get_ident()) for seen in self._seen]


class _Seen(dict):
    """A hook that keeps what a layer returns, a thread: several may predict at a time."""

    def __call__(self, _layer, _inputs, output):
        self[get_ident()] = output


def _head_names(architecture, network):
    """Return the last layers of a network for classification; a ValueError says if it is none."""
    try:
        return architecture.head_names(network)
    except ValueError as error:
        raise ValueError(
            f"{architecture} cannot be the encoder of a U-Net: it has no nn.Linear at its end, as "
            "networks for classification have, whose place the decoder takes. Use one of these, "
            'such as TorchvisionModel("resnet18"), or a network of your own that returns maps as '
            "the architecture itself, without UNet."
        ) from error


def _stages(network, image):
    """Return name and channels of the layers whose maps halve, by how much smaller they are."""
    calls = _calls(network, image)
    # the hook on a layer that is called twice would see its last output alone
    n_calls = Counter(name for name, _ in calls)
    found: dict[int, tuple[str, int]] = {}
    for name, (channels, height, width) in calls:
        step = image.shape[2] // height
        is_whole = (height * step, width * step) == tuple(image.shape[2:])
        if n_calls[name] == 1 and is_whole and step > 1:
            before = found.get(step)
            if before is None or name.count(".") <= before[0].count("."):
                found[step] = (name, channels)
    stages, step = {}, min(found, default=0)
    while step in found and step <= _LARGEST_STEP:
        stages[step] = found[step]
        step *= 2
    return stages


def _calls(network, image):
    """Return the layers that return maps, with the shape of these, in the order of their calls."""
    calls = []

    def hook(name):
        def keep(_layer, _inputs, output):
            if isinstance(output, torch.Tensor) and output.ndim == 4:
                calls.append((name, tuple(output.shape[1:])))

        return keep

    handles = [
        layer.register_forward_hook(hook(name)) for name, layer in network.named_modules() if name
    ]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for handle in handles:
            handle.remove()
    return calls

"""A first layer that whitens: neighbouring pixels, much alike, become uncorrelated numbers."""

import torch
from torch import nn
from torch.nn import functional

# Added to the variance of each component, in the unit of standardized pixels: where images
# hardly vary, noise and rounding are not blown up to the size of the rest.
_LEAST_VARIANCE = 5e-4
# Of more channels a patch would have too many components: there each is a single pixel.
_MOST_CHANNELS = 8
# Numbers of images whose patches lie in memory at a time, unless one image has more.
_CHUNK = 2**18


class PatchWhitening(nn.Module):
    """A convolution whose outputs are uncorrelated, known before training and not changed by it.

    Its filters are the principal components of 2 x 2 patches (of single pixels, if these have
    more than 8 channels), scaled so that each output varies by one. Pixels beside each other are
    much alike, and most of what tells images apart is in their small differences: a network
    that first has to learn to see these learns slowly [1]_. Each filter is there with either
    sign, so that a rectifier behind it loses nothing [2]_.

    Until `learn` is called, each filter passes on one of the pixels.

    Parameters
    ----------
    in_channels : int
        Number of channels of an image.

    References
    ----------
    .. [1] A. Coates, A. Ng, H. Lee, "An analysis of single-layer networks in unsupervised
       feature learning", AISTATS 2011.
    .. [2] K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024.
    """

    weight: torch.Tensor

    def __init__(self, in_channels):
        super().__init__()
        self.in_channels = in_channels
        self.side = 2 if in_channels <= _MOST_CHANNELS else 1
        n_components = in_channels * self.side**2
        self.out_channels = 2 * n_components
        # a buffer: no optimizer and no unfreezing reaches it, and it is saved with the weights
        self.register_buffer("weight", self._filters(torch.eye(n_components)))

    def _filters(self, components):
        """Return the filters of components of shape (n_components, n_components), a row each."""
        filters = components.reshape(-1, self.in_channels, self.side, self.side)
        return torch.cat([filters, -filters])

    @torch.no_grad()
    def learn(self, images):
        """Take the components from images.

        Parameters
        ----------
        images : Tensor of shape (n, C, H, W), float32
            Standardized images.
        """
        moments, n_patches = torch.zeros((), dtype=torch.float64), 0
        for chunk in images.split(max(1, _CHUNK // images[0].numel())):
            # float64, which autocast leaves alone
            patches = functional.unfold(self._padded(chunk), self.side).double()
            moments = moments + (patches @ patches.transpose(1, 2)).sum(dim=0)
            n_patches += len(patches) * patches.shape[2]
        variances, components = torch.linalg.eigh(moments / n_patches)
        components = components / (variances.clamp(min=0) + _LEAST_VARIANCE).sqrt()
        self.weight.copy_(self._filters(components.T))

    def forward(self, images):
        """Whiten images of shape (b, C, H, W); the size stays."""
        return functional.conv2d(self._padded(images), self.weight)

    def _padded(self, images):
        # a row and a column of zeros, which is the mean, below and to the right
        return functional.pad(images, (0, self.side - 1, 0, self.side - 1))

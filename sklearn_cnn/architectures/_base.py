"""What every architecture is: a small object that builds a network for given images."""

from abc import abstractmethod

import torch
from sklearn.base import BaseEstimator

from sklearn_cnn.architectures._fine_tuning import FineTuning, Recipe
from sklearn_cnn.architectures._heads import last_linear_name
from sklearn_cnn.architectures._standardize import Standardize
from sklearn_cnn.architectures._summary import table_of_layers
from sklearn_cnn.runtime.device import new_tensors_on_cpu
from sklearn_cnn.runtime.seeds import float32_by_default, seeded


class Architecture(BaseEstimator):
    """Base class of architectures.

    A subclass declares its parameters in `__init__`, which only stores them, and builds a
    fresh network in `build`. `get_params`, `set_params`, `clone` and `repr` then work by
    scikit-learn's own machinery, and with them `architecture__widths` in a grid. `initialize` is
    for networks that take something from the images before training, the other methods for
    those that start from learned weights.

    Attributes
    ----------
    output : {"vector", "map"} or None
        What `build` returns for an image, of the class: a vector of logits, which most networks do
        and the default; or a map, logits for each of its pixels, as y with a value for each pixel
        asks for. None: only a built network tells.
    """

    output: str | None = "vector"

    @property
    def _needs_head(self):
        """Whether the network is of no use if its last layer takes no part in predictions."""
        return self.has_learned_weights

    @property
    def _remark(self):
        """What an error adds where the network does not fit the images."""
        return ""

    @abstractmethod
    def build(self, in_channels, image_size, n_outputs):
        """Build a network with fresh weights.

        Parameters
        ----------
        in_channels : int
            Number of channels of an image.
        image_size : tuple of (int, int)
            Height and width in pixels.
        n_outputs : int
            Number of outputs.

        Returns
        -------
        torch.nn.Module
            Maps float32 images of shape (n, in_channels, height, width) to logits of shape
            (n, n_outputs), or of maps (n, n_outputs, height, width); there is no softmax at the
            end.
        """

    def resolve(self):
        """Check parameters, and read what the network starts from, before any image is opened.

        Returns
        -------
        Architecture
            Ready to build; by default this object itself.
        """
        return self

    def standardization(self, pixels):
        """Return the layer that brings pixels to the scale that the network expects.

        Parameters
        ----------
        pixels : PixelStatistics
            Of the training images: `mean` and `std` of each channel, torch.Tensors of shape
            (C,), `low` and `high`, and a `sample` of the images of shape (n, H, W, C), uint8 or
            float32.

        Returns
        -------
        torch.nn.Module
            Maps images of shape (b, C, H, W) to float32 images of that shape. By default
            those that count get mean 0 and standard deviation 1 in each channel.
        """
        return Standardize(pixels.mean, pixels.std)

    def initialize(self, network, sample):
        """Set what the network takes from the images before training, without labels.

        By default it stays as `build` made it. Called once a fit, not by `partial_fit` or
        `warm_start` that go on.

        Parameters
        ----------
        network : torch.nn.Module
            What `build` returned, in evaluation mode; changed in place.
        sample : callable
            `sample()` returns some of the training images, standardized: a torch.Tensor of
            shape (n, in_channels, height, width), float32, of up to a thousand images,
            fewer if they are large.
        """

    def fine_tuning(self, network):
        """Return how the parts of a network differ in learning.

        Parameters
        ----------
        network : torch.nn.Module
            What `build` returned.

        Returns
        -------
        FineTuning
            Names of its parameters to ratios of the learning rate, and when frozen parts
            begin to learn. By default all parts learn alike.
        """
        return FineTuning()

    def recipe(self):
        """Return how the network is best trained.

        Returns
        -------
        Recipe
            `lr`, `weight_decay` (of AdamW) and `max_epochs`, which take the place of "auto" in the
            estimator, and `keeps_statistics`: whether batch normalizations keep the statistics that
            they come with. By default 0.005, 0.5, 20 and False.
        """
        return Recipe()

    @property
    def has_learned_weights(self):
        """Whether it starts from learned weights, and not from random ones."""
        return False

    def recommended_size(self):
        """Return the size of images that the learned weights are for.

        Files and images of several sizes are resized to it where `image_shape=None`.

        Returns
        -------
        tuple of (int, int) or None
            Height and width; None, the default, without learned weights.
        """
        return

    def recommended_interpolation(self):
        """Return how images are resized that are not of the network's size.

        Returns
        -------
        {"bilinear", "bicubic"}
            "bilinear", the default, or what learned weights were trained with.
        """
        return "bilinear"

    def head_names(self, network):
        """Return which layers of a network are its last ones.

        The others are its trunk; `transform` returns the input of the last of them.

        Parameters
        ----------
        network : torch.nn.Module
            What `build` returned.

        Returns
        -------
        tuple of str
            Names of submodules. By default the last Linear.

        Raises
        ------
        ValueError
            If there is no such layer.
        """
        return (last_linear_name(network),)

    def _as_built(self, network):
        """Return an architecture that builds the layers of a network for images of any size."""
        return self

    @new_tensors_on_cpu()
    def summary(self, image_shape, n_outputs=1):
        """Return a table of the layers of the network for images of a shape.

        Parameters
        ----------
        image_shape : tuple of (int, int, int)
            Height, width and channels.
        n_outputs : int, default=1
            Number of outputs.

        Returns
        -------
        torchinfo.ModelStatistics
            It prints as a table of layers, the shapes of their outputs, their parameters and
            their multiply-adds, for one image; the totals are its attributes
            `total_params`, `trainable_params` and `total_mult_adds`. Layers without parameters,
            the whitening of `ConvNet` among them, count none.

        Raises
        ------
        ImportError
            If torchinfo is not installed.
        ValueError
            If the network cannot take the images.
        """
        height, width, channels = image_shape
        # the weights do not matter, and the user's generators must not notice
        with seeded(0, torch.device("cpu")), float32_by_default(), torch.no_grad():
            network = self.without_weights().build(channels, (height, width), n_outputs).eval()
            # lazy layers get their shape in a first pass
            network(torch.zeros((1, channels, height, width)))
            return table_of_layers(network, image_shape)

    def without_weights(self):
        """Return an architecture that builds the same layers with random weights.

        A saved estimator is rebuilt by it, and so needs nothing but its own file.

        Returns
        -------
        Architecture
            By default this object itself.
        """
        return self

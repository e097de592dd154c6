"""What every architecture is: a small object that builds a network for given images."""

from abc import abstractmethod

from sklearn.base import BaseEstimator


class Architecture(BaseEstimator):
    """Base class of architectures.

    A subclass declares its parameters in `__init__`, which only stores them, and builds a
    fresh network in `build`. `get_params`, `set_params`, `clone` and `repr` then work by
    scikit-learn's own machinery, and with them `architecture__widths` in a grid.
    """

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
            (n, n_outputs); there is no softmax at the end.
        """

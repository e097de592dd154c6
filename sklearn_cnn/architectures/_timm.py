"""timm's networks, with fresh or learned weights."""

import os

from torch import nn

from sklearn_cnn._compat import validate_parameter_constraints
from sklearn_cnn.architectures._heads import freeze_parts, last_linear_name
from sklearn_cnn.architectures._learned import (
    FINE_TUNING_CONSTRAINTS,
    ModelByName,
    check_unfreezing,
    learned_standardization,
)
from sklearn_cnn.architectures._weights import downloading, read_weights_file, refuse_misfits

# What timm raises where weights are not those of a network; which depends on the network.
_MISFITS = (RuntimeError, LookupError, ValueError, TypeError, AttributeError, AssertionError)


def timm_module():
    """Return the module `timm`."""
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            'TimmModel needs the package timm: pip install "sklearn-cnn[timm]".'
        ) from error
    return timm


class TimmModel(ModelByName):
    """One of timm's networks for classification, from scratch or pretrained.

    timm makes the first convolution for the images' channels and the last layer for the outputs;
    vision transformers and the like are made for the size of the images.

    Parameters
    ----------
    name : str
        A name out of `timm.list_models()`, "efficientnet_lite0" for example.
    weights : bool, str or path, default=None
        Learned weights to start from. True: timm's own for this network. A tag of them, as
        `timm.list_pretrained(name)` lists them behind the dot: "ra_in1k". Both are downloaded
        once and kept in the cache of Hugging Face or torch. A file holds a `state_dict` of this
        network: `.safetensors`, or what `torch.save` wrote, read with `weights_only=True`.
        None or False: random weights.
    freeze : bool, sequence of str or "auto", default="auto"
        What does not learn: with True all but the last layer, else the parts of the network
        of these names, such as `("stem", "stages.0")`. Frozen parts compute in training what
        they do in prediction: normalizations keep their statistics.
        "auto": all but the last layer with `weights`, else nothing.
    head_lr_ratio : float or "auto", default="auto"
        How many times as fast as the rest of the network the last layer learns: it learns
        at `lr`, the rest at `lr / head_lr_ratio`. "auto": 10 with `weights`, else 1.
    unfreeze_after : int, "auto" or None, default="auto"
        Epochs after which the frozen parts learn too. None: never. "auto": never what `freeze`
        names; with `freeze="auto"` after two thirds of them, so that the last layer learns first.

    Notes
    -----
    With weights, pixels are brought to [0, 1] and standardized by the mean and standard
    deviation that timm names for them (those of its default weights, if they come out of a
    file), not by those of the images. So they have to be of dtype uint8, 0 to 255, float in
    [0, 1], or bool; uint8 that are all 0 or 1 in `fit` are black and white too. Without weights
    they may be of any scale.

    A last layer of another number of outputs than in `weights` starts at random.

    Examples
    --------
    >>> from sklearn_cnn.architectures import TimmModel
    >>> network = TimmModel("test_vit").build(1, (32, 32), 5)  # doctest: +SKIP
    >>> network.head.out_features  # doctest: +SKIP
    5
    """

    _parameter_constraints: dict = {
        "name": [str],
        "weights": ["boolean", str, os.PathLike, None],
        **FINE_TUNING_CONSTRAINTS,
    }

    def resolve(self):
        """Check parameters and read the weights, before any image is opened.

        Returns
        -------
        TimmModel
            A copy that holds the weights.

        Raises
        ------
        ImportError
            If timm is not installed.
        ValueError
            If a parameter is out of its range, or timm has no such network or weights.
        FileNotFoundError
            If `weights` is a path without a file.
        IsADirectoryError
            If it is the path of a folder.
        OSError
            If the weights cannot be downloaded.
        """
        validate_parameter_constraints(
            self._parameter_constraints, self.get_params(deep=False), type(self).__name__
        )
        # other names would be fetched from a hub
        names = {*timm_module().list_models(), *self._tagged_names()}
        if self.name not in names:
            raise ValueError(
                f"timm has no model named {self.name!r}. Its names are timm.list_models(), with "
                f"weights timm.list_pretrained(){self._similar_names()}."
            )
        check_unfreezing(self._frozen, self.unfreeze_after)
        resolved = type(self)(**self.get_params(deep=False))
        resolved._state = self._read_weights() if self.weights else None
        return resolved

    def build(self, in_channels, image_size, n_outputs):
        """Build the network, and load its weights.

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
            Maps images of shape (n, in_channels, height, width) to logits of shape
            (n, n_outputs).

        Raises
        ------
        ImportError
            If timm is not installed.
        ValueError
            If timm has no such network or weights, it cannot be made for the images, or the
            weights are those of another network.
        FileNotFoundError
            If `weights` is a path without a file.
        IsADirectoryError
            If it is the path of a folder.
        OSError
            If the weights cannot be downloaded.
        """
        state = self._state if hasattr(self, "_state") else self.resolve()._state
        if state is None:
            network = self._make(in_channels, image_size, n_outputs)
        else:
            network = self._load(state, in_channels, image_size)
            if network.num_classes != n_outputs:
                network.reset_classifier(n_outputs)
        freeze_parts(network, self._frozen, self.head_names(network))
        return network

    def standardization(self, pixels):
        """Return the layer that brings pixels to the scale that the network expects.

        Parameters
        ----------
        pixels : PixelStatistics
            Of the training images.

        Returns
        -------
        torch.nn.Module
            Maps images of shape (b, C, H, W) to float32 images of that shape.

        Raises
        ------
        ValueError
            If the network has learned weights and the pixels are floats outside of [0, 1].

        Warns
        -----
        UserWarning
            If the network has learned weights and the pixels are uint8 whose largest is 2 to 31.
        """
        if not self.weights:
            return super().standardization(pixels)
        learned = self._configuration()
        return learned_standardization(
            pixels, learned.mean, learned.std, f"weights={self.weights!r}"
        )

    @property
    def has_learned_weights(self):
        """Whether it starts from learned weights, and not from random ones."""
        return bool(self.weights)

    def recommended_size(self):
        """Return the size of images that the learned weights are for.

        Returns
        -------
        tuple of (int, int) or None
            Height and width that timm names for the weights; None without weights.
        """
        return tuple(self._configuration().input_size[1:]) if self.weights else None

    def recommended_interpolation(self):
        """Return how images are resized.

        Returns
        -------
        {"bilinear", "bicubic"}
            What timm names for the weights; "bilinear" without weights.
        """
        return self._configuration().interpolation if self.weights else "bilinear"

    def head_names(self, network):
        """Return which layers of a network are its last ones.

        Parameters
        ----------
        network : torch.nn.Module
            What `build` returned.

        Returns
        -------
        tuple of str
            What timm calls the classifier: one layer, or two of distilled networks.
        """
        found = network.get_classifier()
        heads = found if isinstance(found, tuple) else (found,)
        names = {id(layer): name for name, layer in network.named_modules()}
        # the first one is what predictions go by, and so the last here
        return tuple(_learning_layer(names[id(head)], head) for head in reversed(heads))

    def without_weights(self):
        """Return an architecture that builds the same layers with random weights.

        Returns
        -------
        TimmModel
            One with `weights=None`.
        """
        return TimmModel(self.name, freeze=self.freeze)

    def _tagged_names(self):
        return timm_module().list_pretrained(f"{self.name.partition('.')[0]}.*")

    def _similar_names(self):
        names = timm_module().list_models(f"*{self.name.partition('.')[0].partition('_')[0]}*")
        return f"; similar ones are {names[:10]}" if names else ""

    def _configuration(self):
        """Return what timm knows of the weights: mean, size, number of classes."""
        return timm_module().models.get_pretrained_cfg(self._timm_name())

    def _timm_name(self):
        """Return timm's name of the network, and behind a dot that of its weights."""
        return f"{self.name.partition('.')[0]}.{self.weights}" if self._is_tag() else self.name

    def _is_tag(self):
        weights = self.weights
        return isinstance(weights, str) and "." not in weights and not os.path.isfile(weights)

    def _read_weights(self):
        """Return the state dict that `weights` stands for."""
        if not (self.weights is True or self._is_tag()):
            return read_weights_file(self.weights)
        if self._is_tag() and self._timm_name() not in self._tagged_names():
            raise ValueError(
                f"weights={self.weights!r} is neither a file nor a tag of weights of {self.name}, "
                f"which timm names {self._tagged_names()}."
            )
        learned = self._configuration()
        if learned is None or not learned.has_weights:
            raise ValueError(f"timm has no learned weights of {self.name}. Pass a file of them.")
        url = f"https://huggingface.co/{learned.hf_hub_id}/resolve/main/model.safetensors"
        with downloading(f"weights={self.weights!r}", url if learned.hf_hub_id else learned.url):
            return timm_module().create_model(self._timm_name(), pretrained=True).state_dict()

    def _make(self, in_channels, image_size, n_outputs, **arguments):
        learned = self._configuration()
        if learned is not None and learned.fixed_input_size:
            arguments["img_size"] = tuple(image_size)
        try:
            return timm_module().create_model(
                self.name, in_chans=in_channels, num_classes=n_outputs, **arguments
            )
        except AssertionError as error:
            height, width = image_size
            raise ValueError(
                f"{self.name} cannot be made for images of {height} x {width}: {error}. Write "
                f"image_shape={learned.input_size[1:]} to have images resized."
            ) from error

    def _load(self, state, in_channels, image_size):
        """Return the network with learned weights, and with as many outputs as they have."""
        n_classes = self._n_classes(state)
        # timm checks all names and shapes only where the outputs are those of the weights
        learned = {"state_dict": state, "num_classes": n_classes, "label_offset": 0}
        try:
            return self._make(
                in_channels, image_size, n_classes, pretrained=True, pretrained_cfg_overlay=learned
            )
        except _MISFITS as error:
            expected = self._make(3, image_size, n_classes).state_dict()
            what = f"weights={self.weights!r} are not weights of {self.name}"
            refuse_misfits(state, expected, (), what)
            raise ValueError(f"{what}: {error}") from error

    def _n_classes(self, state):
        """Return how many outputs learned weights have."""
        learned = self._configuration()
        names = learned.classifier
        first = names if isinstance(names, str) or not names else names[0]
        weight = state.get(f"{first}.weight")
        return learned.num_classes if weight is None else len(weight)


def _learning_layer(name, head):
    """Return the name of the layer with weights, which some networks wrap."""
    if isinstance(head, (nn.Linear, nn.Conv2d)):
        return name
    return f"{name}.{last_linear_name(head)}"

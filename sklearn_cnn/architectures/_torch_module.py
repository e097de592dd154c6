"""The user's own `nn.Module`, its class or a factory as an architecture."""

import copy
import inspect
import os

from sklearn.base import clone
from torch import nn

from sklearn_cnn._compat import StrOptions, validate_parameter_constraints
from sklearn_cnn.architectures._base import Architecture
from sklearn_cnn.architectures._constructors import (
    arguments_of,
    check_arguments,
    construct,
    defaults_of,
    name_of,
    named_arguments,
    what_is_passed,
)
from sklearn_cnn.architectures._heads import (
    adapt_stem,
    auto_head_name,
    check_head_name,
    freeze_parts,
    last_layer_name,
    n_outputs_of_head,
    replace_head,
    with_stem_of,
)
from sklearn_cnn.architectures._learned import (
    FINE_TUNING_CONSTRAINTS,
    LearnedArchitecture,
    check_statistics,
    check_unfreezing,
    learned_standardization,
)
from sklearn_cnn.architectures._weights import load_into, read_weights_file
from sklearn_cnn.images import INTERPOLATIONS

# Parameters of a `TorchModule` itself; all others are arguments of the constructor.
_OWN = ("weights", "mean", "std", "interpolation", "head", *FINE_TUNING_CONSTRAINTS)
# What `head` is by default: None would be what nobody can ask for beside weights.
_WITH_WEIGHTS = "with_weights"
# Height and width of images that most networks learned on ImageNet with.
_USUAL_SIZE = (224, 224)


class TorchModule(LearnedArchitecture):
    """The user's own torch module as an architecture: its class, a function, or an instance.

    A constructor is passed whichever of `in_channels` (or `in_chans`), `num_classes` (or
    `n_outputs`), `image_size` (height, width) and `image_shape` (height, width, channels) it
    names, and `params`; `**kwargs` name none of them, but those of functions of timm and
    torchvision, which are passed the channels (timm's) and classes that they take. Its output must
    be logits of shape (n, n_outputs).

    An instance is copied in each fit and never trained itself: each fit starts from the
    weights that it has, and parts whose parameters have `requires_grad` off do not learn.

    With `weights` or `head`, a network of any library becomes a backbone: its last layer is made
    for y, unless `head=None`, and its first convolution for the channels of the images.

    Parameters
    ----------
    module : type, callable or torch.nn.Module
        A subclass of `torch.nn.Module`, a function or a `functools.partial` that returns a
        module, or a module.
    weights : str or path, default=None
        File of learned weights to start from, a `state_dict` of this network: `.safetensors`, or
        what `torch.save` wrote, read with `weights_only=True`. A last layer of another number
        of outputs than in the file is replaced.
    mean, std : sequence of float, default=None
        What standardizes each channel of pixels in [0, 1], as torchvision gives them; pixels of
        dtype uint8 are divided by 255 first, unless those of `fit` are all 0 or 1, and floats
        outside of [0, 1] are refused. None: pixels of any scale are standardized by mean and
        standard deviation of the training images.
    interpolation : {"bilinear", "bicubic"}, default="bilinear"
        How images are resized: as those were that the weights learned from.
    head : str or None, default="with_weights"
        The layer that is made to fit y where it has another number of outputs: "auto", the last
        `nn.Linear`, or the name of an `nn.Linear` or of a convolution of 1 x 1. None: no layer is
        replaced; the network is used with all its weights, and its outputs have to fit y.
        "with_weights": "auto" with `weights`, else None.
    freeze : bool, sequence of str or "auto", default="auto"
        What does not learn: with True all but the last layer, else the parts of the network
        of these names. Frozen parts compute in training what they do in prediction:
        normalizations keep their statistics.
        "auto": all but the last layer with `weights`, else nothing; nothing with `head=None`.
    head_lr_ratio : float or "auto", default="auto"
        How many times as fast as the rest of the network the last layer learns: it learns
        at `lr`, the rest at `lr / head_lr_ratio`. "auto": 10 with `weights`, else 1; 1 with
        `head=None` too, where `lr="auto"` of the estimator comes to a tenth.
    unfreeze_after : int, "auto" or None, default="auto"
        Epochs after which the frozen parts learn too. None: never. "auto": never what `freeze`
        names; with `freeze="auto"` after two thirds of them, so that the last layer learns first.
    **params : dict
        Arguments of the constructor; an instance has none. They are parameters of this
        object, so that `architecture__<name>` works in a search.

    Notes
    -----
    An argument of the constructor that is named as a parameter above is set by a
    `functools.partial`, `TorchModule(partial(Net, head="mlp"))`, or gets another name in a
    function, by which it can be searched over:
    `lambda num_classes, kind="mlp": Net(num_classes, head=kind)`.

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_cnn.architectures import TorchModule
    >>> class Net(nn.Sequential):
    ...     def __init__(self, in_channels, num_classes, width=8):
    ...         super().__init__(
    ...             nn.Conv2d(in_channels, width, 3), nn.AdaptiveAvgPool2d(1),
    ...             nn.Flatten(), nn.Linear(width, num_classes))
    >>> print(TorchModule(Net, width=4).set_params(width=16))
    TorchModule(Net, width=16)
    """

    _parameter_constraints: dict = {
        "weights": [str, os.PathLike, None],
        "mean": [tuple, list, None],
        "std": [tuple, list, None],
        "interpolation": [StrOptions(set(INTERPOLATIONS))],
        "head": [str, None],
        **FINE_TUNING_CONSTRAINTS,
    }

    output = None

    def __init__(
        self,
        module,
        /,
        *,
        weights=None,
        mean=None,
        std=None,
        interpolation="bilinear",
        head=_WITH_WEIGHTS,
        freeze="auto",
        head_lr_ratio="auto",
        unfreeze_after="auto",
        **params,
    ):
        self.module = module
        self.weights = weights
        self.mean = mean
        self.std = std
        self.interpolation = interpolation
        self.head = head
        self.freeze = freeze
        self.head_lr_ratio = head_lr_ratio
        self.unfreeze_after = unfreeze_after
        self.params = params

    def get_params(self, deep=True):
        """Get the parameters, and the arguments of the module's constructor.

        Parameters
        ----------
        deep : bool, default=True
            Whether to return the arguments one by one, which is what can be searched over.
            Otherwise what this object was made of, its `module` and `params` among it, which is
            what `repr` of an estimator shows; an argument may itself be named so.

        Returns
        -------
        dict
            Name to value; of the arguments, the constructor's own defaults included.
        """
        if not deep:
            return {"module": self.module, **self._own(), "params": self.params}
        return {**defaults_of(self.module), **self.params, **self._own()}

    def set_params(self, **params):
        """Set parameters, and arguments of the module's constructor.

        Parameters
        ----------
        **params : dict
            Name to value.

        Returns
        -------
        TorchModule
            This object.

        Raises
        ------
        ValueError
            If there is no such parameter, and the constructor has no such argument.
        """
        arguments = {name: value for name, value in params.items() if name not in _OWN}
        for name in arguments:
            self._check_name(name)
        self.params = {**self.params, **arguments}
        for name in params.keys() - arguments.keys():
            setattr(self, name, params[name])
        return self

    def resolve(self):
        """Check parameters and read the weights, before any image is opened.

        Returns
        -------
        TorchModule
            A copy that holds the weights.

        Raises
        ------
        ValueError
            If a parameter is out of its range, or the constructor has no such argument as
            `params` names.
        TypeError
            If the module is none, or its constructor needs what it is not passed.
        FileNotFoundError
            If `weights` is a path without a file.
        IsADirectoryError
            If it is the path of a folder.
        """
        self._check_module()
        for name in self.params:
            self._check_name(name)
        check_arguments(self.module, self.params)
        validate_parameter_constraints(
            self._parameter_constraints, self._own(), type(self).__name__
        )
        check_statistics(self.mean, self.std)
        check_unfreezing(self._frozen or _has_frozen_parts(self.module), self.unfreeze_after)
        resolved = copy.copy(self)
        resolved._state = None if self.weights is None else read_weights_file(self.weights)
        return resolved

    def build(self, in_channels, image_size, n_outputs):
        """Call the constructor with what it asks for, or copy the instance; load the weights.

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
        ValueError
            If a parameter is out of its range, the weights are those of another network, or there
            is no last layer where one is to be replaced or to learn alone.
        TypeError
            If the constructor needs what it is not passed, or does not return an `nn.Module`.
        FileNotFoundError
            If `weights` is a path without a file.
        IsADirectoryError
            If it is the path of a folder.
        """
        state = self._state if hasattr(self, "_state") else self.resolve()._state
        network = self._make(in_channels, image_size, n_outputs)
        head = None if self._head is None else self.head_names(network)[0]
        if state is not None:
            load_into(network, with_stem_of(network, state), head, f"weights={self.weights!r}")
        if head is not None and n_outputs_of_head(network.get_submodule(head)) != n_outputs:
            replace_head(network, n_outputs, head)
        if state is not None or head is not None:
            adapt_stem(network, in_channels)
        if self._frozen:
            # the names of parts may be all that such a network has
            heads = self.head_names(network) if self._frozen is True else ()
            freeze_parts(network, self._frozen, heads)
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
            If there is a `mean` and the pixels are floats outside of [0, 1].

        Warns
        -----
        UserWarning
            If there is a `mean` and the pixels are uint8 whose largest is 2 to 31.
        """
        if self.mean is None:
            return super().standardization(pixels)
        what = "The weights" if self.weights is None else f"weights={self.weights!r}"
        return learned_standardization(pixels, self.mean, self.std, what)

    @property
    def has_learned_weights(self):
        """Whether it starts from learned weights, and not from random ones."""
        return self.weights is not None or isinstance(self.module, nn.Module)

    def recommended_size(self):
        """Return the size of images that the learned weights are for.

        Returns
        -------
        tuple of (int, int) or None
            224 x 224, what most weights are for, with `weights` or `mean`; else None.
        """
        is_learned = self.weights is not None or self.mean is not None
        return _USUAL_SIZE if is_learned else None

    def recommended_interpolation(self):
        """Return how images are resized.

        Returns
        -------
        {"bilinear", "bicubic"}
            The parameter `interpolation`.
        """
        return self.interpolation

    def head_names(self, network):
        """Return which layer of a network is its last one.

        Parameters
        ----------
        network : torch.nn.Module
            What `build` returned.

        Returns
        -------
        tuple of str
            The one that `head` names, or the last Linear; with no `head` and in a network that has
            no Linear, a convolution of 1 x 1 that is the last layer with weights.

        Raises
        ------
        ValueError
            If there is no such layer; those that there are are named.
        """
        if self._head is None:
            return (last_layer_name(network),)
        if self._head == "auto":
            return (auto_head_name(network),)
        check_head_name(network, self._head)
        return (self._head,)

    def without_weights(self):
        """Return an architecture that builds the same layers with random weights.

        Returns
        -------
        TorchModule
            One with `weights=None`, and a head that is replaced all the same.
        """
        return TorchModule(self.module, head=self._head, **clone(self.params, safe=False))

    @property
    def _is_pretrained(self):
        # nobody knows what an instance has learned
        return self.weights is not None

    @property
    def _has_new_head(self):
        return self._is_pretrained and self._head is not None

    @property
    def _needs_head(self):
        return self._head is not None or self._frozen is True or self._lr_ratio != 1

    @property
    def _head(self):
        if self.head == _WITH_WEIGHTS:
            return None if self.weights is None else "auto"
        return self.head

    @property
    def _remark(self):
        is_made = not isinstance(self.module, nn.Module)
        return f". {what_is_passed(self.module)}" if is_made else ""

    def _own(self):
        return {name: getattr(self, name) for name in _OWN}

    def _make(self, in_channels, image_size, n_outputs):
        """Return the network as the constructor makes it, or a copy of the instance."""
        if isinstance(self.module, nn.Module):
            # the images of the first check are on the CPU
            return copy.deepcopy(self.module).cpu()
        facts = {
            "in_channels": in_channels,
            "n_outputs": n_outputs,
            "image_size": tuple(image_size),
            "image_shape": (*image_size, in_channels),
        }
        module = construct(self.module, facts, self.params)
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"architecture={self} must build a torch.nn.Module, got {type(module).__name__}."
            )
        return module

    def _check_module(self):
        if isinstance(self.module, nn.Module) or callable(self.module):
            return
        is_spec = isinstance(self.module, (str, Architecture))
        advice = f" Write architecture={self.module!r} instead." if is_spec else ""
        raise TypeError(
            "TorchModule takes an nn.Module, its class or a function that returns one, got "
            f"{self.module!r}.{advice}"
        )

    def _check_name(self, name):
        names = named_arguments(self.module)
        takes_any = any(p.kind is p.VAR_KEYWORD for p in arguments_of(self.module))
        if name not in names and not takes_any:
            raise ValueError(
                f"Invalid parameter {name!r} for {name_of(self.module)}. "
                f"Valid parameters are: {sorted({*names, *_OWN})!r}."
            )

    def __sklearn_clone__(self):
        return TorchModule(self.module, **clone({**self._own(), **self.params}, safe=False))

    # not __repr__: where lines are full, the printer of scikit-learn takes one that is shorter than
    # its own for that of the pair (name, value), and an estimator shows the pair
    def __str__(self):
        defaults = inspect.signature(type(self)).parameters
        own = {n: v for n, v in self._own().items() if v is not defaults[n].default}
        shown = {**own, **self.params}
        arguments = "".join(f", {name}={value!r}" for name, value in shown.items())
        return f"{type(self).__name__}({name_of(self.module)}{arguments})"


def _has_frozen_parts(module):
    is_instance = isinstance(module, nn.Module)
    return is_instance and not all(p.requires_grad for p in module.parameters())

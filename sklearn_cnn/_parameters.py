"""What the parameters of both estimators may be, and how they are set, got and cloned."""

import copy
import os
from numbers import Integral, Real

import torch

from sklearn_cnn._compat import HasMethods, Interval, Options, StrOptions
from sklearn_cnn.architectures import Architecture, as_architecture
from sklearn_cnn.augmentation import Augmentation, with_parameters
from sklearn_cnn.images import RESIZE_MODES
from sklearn_cnn.runtime.html_display import NestedDefaultsMixin
from sklearn_cnn.runtime.suggestions import parameter_meant
from sklearn_cnn.training.optimizers import OPTIMIZERS, SCHEDULES

# Parameters with parameters of their own, and what replaces a name by its object.
_OBJECTS_OF_NAMES = {"architecture": as_architecture, "augmentation": with_parameters}


class ParametersMixin(NestedDefaultsMixin):
    """The parameters that a classifier and a regressor of images share."""

    callbacks: list | tuple | None

    _parameter_constraints: dict = {
        "architecture": [str, Architecture, callable],
        "image_shape": [tuple, list, Integral, None],  # a number is told that it takes two
        "channel_axis": [Options(Integral, {-1, 1})],
        "resize_mode": [StrOptions(set(RESIZE_MODES))],
        "augmentation": [str, Augmentation, callable, None],
        "test_time_augmentation": ["boolean"],
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "lr": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "weight_decay": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "lr_schedule": [StrOptions(set(SCHEDULES))],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "time_limit": [Interval(Real, 0, None, closed="neither"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "scoring": [str, callable, None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "device": [str, torch.device],
        "precision": [StrOptions({"auto", "bf16", "float32"})],
        "compile": ["boolean"],
        "callbacks": [list, tuple, None],
        "memory": [str, os.PathLike, HasMethods(["cache"]), None],
        "in_memory": ["boolean", StrOptions({"auto"})],
        "handle_broken": [StrOptions({"error", "skip"})],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def set_params(self, **params):
        """Set the parameters of this estimator.

        `architecture__<parameter>` and `augmentation__<parameter>` work where these are
        given by name, or the architecture as an `nn.Module` class, too: what the name stands
        for takes its place first.

        Parameters
        ----------
        **params : dict
            Name to value.

        Returns
        -------
        self : object
            This estimator.

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        for owner, as_object in _OBJECTS_OF_NAMES.items():
            if any(name.startswith(f"{owner}__") for name in params):
                spec = params.get(owner, getattr(self, owner))
                params = {**params, owner: as_object(spec)}
        known = self.get_params(deep=False)
        for name in [name for name in params if "__" not in name and name not in known]:
            meant = parameter_meant(name, known)
            question = "" if meant is None else f" Did you mean {meant}?"
            raise ValueError(
                f"Invalid parameter {name!r} for estimator {self}.{question} Valid parameters are: "
                f"{list(known)!r}."
            )
        return super().set_params(**params)

    def get_params(self, deep=True):
        """Get the parameters of this estimator.

        Parameters
        ----------
        deep : bool, default=True
            Whether to return the parameters of an architecture and an augmentation too.

        Returns
        -------
        dict
            Name to value.
        """
        parameters = super().get_params(deep=False)
        for name, value in list(parameters.items()) if deep else ():
            if _looks_like_estimator(value) and hasattr(value, "set_params"):
                nested = value.get_params().items()
                parameters.update({f"{name}__{own}": of_own for own, of_own in nested})
        return parameters

    def _all_parameters(self):
        """Return all parameters by name: the constructor of a subclass may name but some."""
        return {name: getattr(self, name) for name in self._parameter_constraints}

    def __sklearn_clone__(self):
        """Clone the parameters, but for those that have `get_params` and are no estimators.

        Clones share what skorch's callbacks hold: `fit` copies callbacks, and no constructor of
        theirs is sure to take what `get_params` returns.
        """
        apart = {
            name: copy.deepcopy(value)
            for name, value in self.get_params(deep=False).items()
            if _looks_like_estimator(value) and not hasattr(value, "set_params")
        }
        apart["callbacks"] = copy.copy(self.callbacks)
        without = object.__new__(type(self))
        without.__dict__.update({**vars(self), **dict.fromkeys(apart)})
        cloned = super(ParametersMixin, without).__sklearn_clone__()
        cloned.__dict__.update(apart)
        return cloned


def _looks_like_estimator(value):
    """Say whether scikit-learn would ask a value for its parameters.

    It is none of its estimators without `set_params`: `get_params` of torchvision's transforms is
    static, and draws random numbers.
    """
    return hasattr(value, "get_params") and not isinstance(value, type)

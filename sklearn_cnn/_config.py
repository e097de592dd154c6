"""Parameters → one resolved, immutable configuration, before an image is opened."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import skip_init

from sklearn_cnn.architectures import Architecture, as_architecture
from sklearn_cnn.architectures._fine_tuning import Recipe
from sklearn_cnn.augmentation import as_augmentation, check_kind_of_y, why_not_resized
from sklearn_cnn.images import INTERPOLATIONS, ReadOptions, check_image_shape, check_palette
from sklearn_cnn.losses import (
    NUMBERS,
    check_label_smoothing,
    check_loss,
    check_quantile,
    has_probabilities,
)
from sklearn_cnn.metrics._validation import check_scoring
from sklearn_cnn.runtime.device import resolve_device
from sklearn_cnn.targets import check_class_weight
from sklearn_cnn.training.callbacks import check_callbacks, copy_callbacks
from sklearn_cnn.training.course import TimeLimit
from sklearn_cnn.training.optimizers import make_optimizer, resolve_weight_decay


@dataclass(frozen=True)
class Config:
    """What the parameters of an estimator come to.

    Parameters
    ----------
    architecture : Architecture
        Ready to build, its parameters checked and its learned weights read, unless training goes
        on.
    read : ReadOptions
    recipe : Recipe
        What takes the place of "auto".
    lr_schedule : str
    max_epochs : int
    time_limit : TimeLimit
        Whose time passes.
    batch_size : int or "auto"
    patience : int or None
        Epochs without a gain after which training stops; None without early stopping.
    tol, validation_fraction : float
    device : torch.device
    precision : {"auto", "bf16", "float32"}
    compile : bool
    callbacks : list
        Copies of the user's.
    test_time_augmentation : bool
    verbose : bool
    """

    architecture: Architecture
    read: ReadOptions
    recipe: Recipe
    lr_schedule: str
    max_epochs: int
    time_limit: TimeLimit
    batch_size: int | str
    patience: int | None
    tol: float
    validation_fraction: float
    device: torch.device
    precision: str
    compile: bool
    callbacks: list
    test_time_augmentation: bool
    verbose: bool


def resolve(parameters, estimator_name, holds, recipe=None, interpolation=None):
    """Return the configuration of an estimator.

    Parameters
    ----------
    parameters : dict
        All of the estimator's, by name; of types and ranges that scikit-learn has checked.
    estimator_name : str
        What errors and the progress bar call the estimator.
    holds : collection of str
        What y may hold; see `losses`.
    recipe : Recipe, default=None
        That of the last fit where training goes on from its network: nothing that the architecture
        starts from is read then.
    interpolation : str, default=None
        That of the last fit where training goes on; None: what the architecture recommends.

    Returns
    -------
    Config

    Raises
    ------
    ValueError
        If a parameter cannot be used, here or beside the others.
    TypeError
        If one is of another kind.
    """
    p = parameters
    check_loss(p["loss"], holds)
    check_label_smoothing(p.get("label_smoothing", 0.0), p["loss"])
    check_quantile(p.get("quantile", 0.5), p["loss"])
    check_scoring(p["scoring"], _responses(p["loss"], holds), of_numbers=NUMBERS in holds)
    check_kind_of_y(as_augmentation(p["augmentation"]), holds)
    check_class_weight(p.get("class_weight"))
    check_palette(p.get("palette"))
    check_callbacks(p["callbacks"] or [], p["lr_schedule"])
    architecture = as_architecture(p["architecture"])
    if recipe is None:
        architecture = architecture.resolve()
        recipe = architecture.recipe()
    # an optimizer says by itself what it does not take; layers with weights would draw numbers
    make_optimizer(p["optimizer"], skip_init(nn.Linear, 1, 1), *lr_and_weight_decay(p, recipe))
    return Config(
        architecture=architecture,
        read=read_options(p, estimator_name, architecture, interpolation),
        lr_schedule=p["lr_schedule"],
        recipe=recipe,
        max_epochs=resolve_auto(p["max_epochs"], recipe.max_epochs),
        time_limit=TimeLimit(p["time_limit"]),
        batch_size=p["batch_size"],
        patience=p["n_iter_no_change"] if p["early_stopping"] else None,
        tol=p["tol"],
        validation_fraction=p["validation_fraction"],
        device=resolve_device(p["device"]),
        precision=p["precision"],
        compile=p["compile"],
        callbacks=copy_callbacks(p["callbacks"] or []),
        test_time_augmentation=p["test_time_augmentation"],
        verbose=bool(p["verbose"]),
    )


def _responses(loss, holds):
    """Return the methods by which an estimator answers a scorer."""
    if NUMBERS in holds:
        return ("predict",)
    of_loss = ("predict_proba",) if has_probabilities(loss) else ()
    return ("predict", "decision_function", *of_loss)


def resolve_auto(value, recommended):
    """Return the value of a parameter, or what is recommended in place of "auto"."""
    return recommended if value == "auto" else value


def lr_and_weight_decay(parameters, recipe):
    """Return the learning rate and the weight decay that the parameters of an estimator come to."""
    p = parameters
    decay = resolve_weight_decay(p["weight_decay"], p["optimizer"], recipe.weight_decay)
    return resolve_auto(p["lr"], recipe.lr), decay


def read_options(parameters, estimator_name, architecture, interpolation=None):
    """Return how an estimator of these parameters reads X in `fit`; see `resolve`."""
    p, why_not = parameters, why_not_resized(parameters["augmentation"])
    check_image_shape(p["image_shape"])
    return ReadOptions(
        image_shape=p["image_shape"],
        channel_axis=p["channel_axis"],
        resize_mode=p["resize_mode"],
        memory=p["memory"],
        in_memory=p["in_memory"],
        handle_broken=p["handle_broken"],
        estimator_name=estimator_name,
        verbose=bool(p["verbose"]),
        why_not_resized=why_not,
        recommended_size=None if why_not else architecture.recommended_size(),
        interpolation=interpolation or _interpolation(architecture),
    )


def _interpolation(architecture):
    """Return how an architecture recommends to resize images, which may be one of the user's."""
    found = architecture.recommended_interpolation()
    if found not in INTERPOLATIONS:
        names = " or ".join(map(repr, INTERPOLATIONS))
        raise ValueError(
            f"recommended_interpolation of {architecture} must return {names}, got {found!r}."
        )
    return found


def prediction_options(parameters, estimator_name, architecture, preparation, handle_broken):
    """Return how an estimator reads X in prediction: prepared as in the last fit.

    Parameters
    ----------
    parameters : dict
        Those that may have been set since.
    estimator_name : str
    architecture : Architecture
        What it was fitted with.
    preparation : Preparation
        That of the last fit.
    handle_broken : {"error", "skip"}

    Returns
    -------
    ReadOptions
    """
    p = {**parameters, **preparation._asdict(), "handle_broken": handle_broken}
    return read_options(p, estimator_name, architecture, preparation.interpolation)

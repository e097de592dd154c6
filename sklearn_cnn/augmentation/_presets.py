"""Names for augmentations, and what may stand for one in `augmentation=`."""

from sklearn.base import clone

from sklearn_cnn.augmentation._augmentation import Augmentation, check_parameters
from sklearn_cnn.runtime.suggestions import did_you_mean
from sklearn_cnn.targets import Continuous

# How they were chosen: benchmarks/results/augmentation.md
_PRESETS = {
    "flip_crop": Augmentation(flip=True, crop=0.125),
    "photos": Augmentation(flip=True, crop=0.125, brightness=0.3, contrast=0.3),
    "symbols": Augmentation(crop=0.08, rotation=10, scale=0.1, fill="edge"),
}

# What "auto" does to images of labels, and the side below which it does nothing: the shift would
# be less than a pixel, and strips, one pixel high, are often no pictures. How it was chosen:
# benchmarks/results/augmentation.md
_AUTOMATIC = Augmentation(crop=0.0625)
_SMALLEST_SIDE = 16


def available_augmentations():
    """List the names that `augmentation=` takes.

    "flip_crop" mirrors and shifts, the usual choice for small photos; "photos" changes
    brightness and contrast too; "symbols" shifts, turns and scales a little and never mirrors,
    for digits, letters and signs.

    Returns
    -------
    dict of str to Augmentation
        A copy of what each name stands for, in alphabetical order of the names.

    Examples
    --------
    >>> from sklearn_cnn import available_augmentations
    >>> list(available_augmentations())
    ['flip_crop', 'photos', 'symbols']
    """
    return {name: clone(_PRESETS[name]) for name in sorted(_PRESETS)}


def as_augmentation(spec):
    """Return what a value of `augmentation=` stands for: a name is replaced by its object.

    "auto" stays: see `resolve_automatic`.

    Raises
    ------
    ValueError
        If no augmentation has that name, a parameter of it is out of its range, or it is a class.
    """
    augmentation = _named(spec)
    if isinstance(augmentation, type):
        name = augmentation.__name__
        raise ValueError(f"augmentation got the class {name}. Pass an object: {name}(...).")
    if isinstance(augmentation, Augmentation):
        check_parameters(augmentation)
    return augmentation


def resolve_automatic(spec, target, size, *, from_scratch):
    """Return a value of `augmentation=`, or what stands for it where it is "auto".

    Labels stay what they are when an image is shifted a little; numbers may be places or sizes.

    Parameters
    ----------
    spec : None, str, Augmentation or callable
    target : SingleLabel, MultiLabel or Continuous
    size : tuple of (int, int)
        Height and width of an image.
    from_scratch : bool
        Whether all of the network learns, from random weights: learned ones have seen enough, and
        what a frozen trunk makes of images that stay as they are is computed once.
    """
    if not (isinstance(spec, str) and spec == "auto"):
        return spec
    has_labels = not target.is_map and not isinstance(target, Continuous)
    if from_scratch and has_labels and min(size) >= _SMALLEST_SIDE:
        return clone(_AUTOMATIC)
    return None


def with_parameters(spec):
    """Return the object whose parameters `augmentation__<parameter>` sets.

    Raises
    ------
    ValueError
        If there is none, or no augmentation has that name.
    """
    augmentation = _named(spec)
    if not hasattr(augmentation, "set_params"):
        raise ValueError(
            f"augmentation={augmentation!r} has no parameters to set. Write "
            "augmentation=Augmentation() or the name of a preset, one of "
            f"{sorted(_PRESETS)}, beside augmentation__<parameter>."
        )
    return augmentation


def _named(spec):
    if not isinstance(spec, str) or spec == "auto":
        return spec
    if spec not in _PRESETS:
        raise ValueError(
            f"There is no augmentation named {spec!r}.{did_you_mean(spec, _PRESETS)} "
            f"The names are {sorted(_PRESETS)}, and 'auto'."
        )
    return clone(_PRESETS[spec])

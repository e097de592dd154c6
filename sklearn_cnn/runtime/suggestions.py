"""What was meant by a word that is unknown: the nearest of the known ones, or another library's."""

import difflib
import functools
import inspect

# What Keras, fastai, Lightning, skorch, XGBoost and scikit-learn's own networks call it.
_ELSEWHERE = {
    "architecture": "arch backbone base_model model module net network",
    "augmentation": "augment batch_tfms data_augmentation item_tfms tfms transform transforms",
    "batch_size": "bs mini_batch_size train_bs",
    "callbacks": "cbs",
    "early_stopping": "early_stop",
    "image_shape": "image_size img_size input_shape input_size target_size",
    "loss": "criterion loss_fn loss_func",
    "lr": "eta0 learning_rate learning_rate_init lr_max",
    "lr_schedule": "lr_scheduler scheduler",
    "max_epochs": "epochs max_iter n_epoch n_epochs num_epochs",
    "n_iter_no_change": "early_stopping_rounds patience",
    "optimizer": "opt opt_func solver",
    "precision": "amp dtype mixed_precision",
    "random_state": "random_seed seed",
    "scoring": "metric metrics",
    "tol": "min_delta",
    "validation_fraction": "valid_pct validation_split",
    "weight_decay": "wd",
    "X_val": "eval_set validation_data X_valid X_test",
    "y_val": "y_valid y_test",
}
_OURS = {word: ours for ours, words in _ELSEWHERE.items() for word in words.split()}


def did_you_mean(name, names, show=repr):
    """Return a question to add to an error, after a space, or nothing.

    Parameters
    ----------
    name : str
        What was written.
    names : iterable of str
        What is known.
    show : callable, default=repr
        Maps one of the names to how it is written.

    Returns
    -------
    str
    """
    alike = _closest(name, names)
    return "" if alike is None else f" Did you mean {show(alike)}?"


def parameter_meant(name, names):
    """Return the parameter, out of some, that another library calls `name`, or that is like it."""
    return _OURS[name] if _OURS.get(name) in names else _closest(name, names)


def _closest(name, names):
    by_small_letters, given = {known.lower(): known for known in names}, str(name).lower()
    # what is cut short, before what is misspelt
    longer = [known for known in by_small_letters if known.startswith(given) and len(given) > 2]
    alike = sorted(longer, key=len) or difflib.get_close_matches(given, by_small_letters, 1)
    return by_small_letters[alike[0]] if alike else None


def explains_keywords(method):
    """Decorate a method: the TypeError of a keyword that it does not know says what is meant.

    That may be a parameter of the estimator.
    """
    known = inspect.signature(method).parameters

    @functools.wraps(method)
    def explained(self, *args, **kwargs):
        for name in kwargs.keys() - known.keys():
            raise TypeError(_unknown(type(self), method.__name__, name, list(known)[1:]))
        return method(self, *args, **kwargs)

    return explained


def _unknown(kind, method, name, known):
    """Return what to say of a keyword that a method of a class does not know."""
    meant = parameter_meant(name, [*known, *inspect.signature(kind).parameters])
    question = ""
    if meant is not None:
        question = f" Did you mean {meant if meant in known else f'{kind.__name__}({meant}=...)'}?"
    return f"{kind.__name__}.{method}() got an unexpected keyword argument {name!r}.{question}"

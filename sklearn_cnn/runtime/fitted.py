"""What `fit` learns of an estimator: dropped when the next one begins, restored when that fails."""

import functools

from sklearn.utils.validation import validate_data


def reset_fitted(estimator):
    """Drop what an earlier fit learned."""
    for name in [n for n in vars(estimator) if n.endswith("_") and not n.startswith("_")]:
        delattr(estimator, name)


def rollback_on_failure(method):
    """Decorate a method that fits: if it raises, the estimator stays as it was.

    An interrupt by Ctrl-C during training is no failure: what was learned until then is kept.
    """

    @functools.wraps(method)
    def guarded(self, *args, **kwargs):
        before = dict(vars(self))
        try:
            return method(self, *args, **kwargs)
        except BaseException as error:
            has_learned = vars(self).get("net_") not in (None, before.get("net_"))
            if not (isinstance(error, KeyboardInterrupt) and has_learned):
                vars(self).clear()
                vars(self).update(before)
            raise

    return guarded


def check_features(estimator, reset, table, holds_images=False):
    """Set, or check, scikit-learn's `n_features_in_` and `feature_names_in_`.

    Parameters
    ----------
    estimator : estimator
    reset : bool
        Whether this is `fit`.
    table : frame or array of shape (n, n_features)
    holds_images : bool, default=False
        Whether it is a column of images, one feature.
    """
    # files may be predicted after a fit on numbers, which has as many features as pixels
    if holds_images and not reset and getattr(estimator, "n_features_in_", 1) != 1:
        return
    validate_data(estimator, table, skip_check_array=True, reset=reset)


def is_network_estimator(estimator):
    """Say whether an estimator is one of ours, whose classes are in a room above all others."""
    return isinstance(getattr(type(estimator), "module_", None), property)

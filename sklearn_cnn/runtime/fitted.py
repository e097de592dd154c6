"""What `fit` learns of an estimator: in place at once when it is done, or not at all.

A fit works on an estimator of its own, which others do not see, and a prediction on what was in
place when it began: threads that predict while another fits see the old model or the new one.
"""

import functools

from sklearn.utils.validation import validate_data


def reset_fitted(estimator):
    """Drop what an earlier fit learned."""
    for name in [n for n in vars(estimator) if n.endswith("_") and not n.startswith("_")]:
        delattr(estimator, name)


def fits_aside(method):
    """Decorate a method that fits: what it sets is in place when it returns.

    If it raises, the estimator stays as it was. An interrupt by Ctrl-C during training is no
    failure: what was learned until then is kept.
    """

    @functools.wraps(method)
    def fit_aside(self, *args, **kwargs):
        before = vars(self)
        draft = _with_attributes(type(self), dict(before))
        try:
            result = method(draft, *args, **kwargs)
        except KeyboardInterrupt:
            if vars(draft).get("net_") not in (None, before.get("net_")):
                self.__dict__ = vars(draft)
            raise
        self.__dict__ = vars(draft)
        return self if result is draft else result

    return fit_aside


def reads_one_fit(method):
    """Decorate a method that uses what was learned: a fit that ends meanwhile is not seen."""

    @functools.wraps(method)
    def read_one_fit(self, *args, **kwargs):
        # fits replace these attributes and do not change them
        return method(_with_attributes(type(self), vars(self)), *args, **kwargs)

    return read_one_fit


def _with_attributes(kind, attributes):
    estimator = object.__new__(kind)
    estimator.__dict__ = attributes
    return estimator


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

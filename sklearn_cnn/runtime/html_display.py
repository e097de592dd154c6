"""How an estimator shows itself in a notebook, where scikit-learn's way suits no network."""

import copy

from sklearn.base import BaseEstimator
from sklearn.utils import estimator_html_repr


class NestedDefaultsMixin(BaseEstimator):
    """Marks a parameter of a nested object as set only if it is not that object's default.

    scikit-learn marks all of them, `architecture__kernel_size` of `ConvNet()` too.
    """

    def _get_params_html(self, *args, **kwargs):
        shown = super()._get_params_html(*args, **kwargs)
        is_set = [name for name in shown.non_default if _is_set(name, shown)]
        # those that are set come first
        default = [name for name in shown if name not in is_set]
        shown.data = {name: shown[name] for name in is_set + default}
        shown.non_default = tuple(is_set)
        return shown


def _is_set(name, parameters):
    """Say whether a parameter that is not its estimator's default is not its owner's either."""
    owner, _, own_name = name.rpartition("__")
    if not owner:
        return True
    of_owner = getattr(parameters.get(owner), "_get_params_html", None)
    return of_owner is None or own_name in of_owner(deep=False).non_default


def html_without_features(estimator):
    """Return scikit-learn's HTML of a transformer, but for the list of its output features."""
    shown = copy.copy(estimator)
    shown.get_feature_names_out = list
    return estimator_html_repr(shown)

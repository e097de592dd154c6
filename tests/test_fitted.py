"""What a fit learns is dropped by the next one, and comes back when that one fails."""

import pytest
from sklearn.base import BaseEstimator

from sklearn_cnn.runtime.fitted import reset_fitted, rollback_on_failure


class Estimator(BaseEstimator):
    """Does in `fit` what a test asks for, and then raises what it asks for."""

    def __init__(self, size=1):
        self.size = size

    @rollback_on_failure
    def fit(self, learned, error=None):
        """Set attributes, and fail."""
        reset_fitted(self)
        vars(self).update(learned)
        if error is not None:
            raise error
        return self


FIRST, SECOND = {"net_": object(), "classes_": [0, 1]}, {"net_": object(), "_target": "new"}


def test_what_was_learned_is_forgotten_and_parameters_are_not():
    estimator = Estimator(size=3).fit({**FIRST, "_seed": 7})
    reset_fitted(estimator)
    assert vars(estimator) == {"size": 3, "_seed": 7}
    reset_fitted(estimator)
    assert vars(estimator) == {"size": 3, "_seed": 7}


def test_a_fit_returns_what_it_returned():
    estimator = Estimator()
    assert estimator.fit(FIRST) is estimator
    assert vars(estimator) == {"size": 1, **FIRST}


@pytest.mark.parametrize("error", [ValueError("x"), MemoryError(), SystemExit(1)], ids=repr)
@pytest.mark.parametrize("before", [{}, FIRST], ids=["unfitted", "fitted"])
def test_a_failure_restores_all_there_was(before, error):
    estimator = Estimator().fit(before)
    with pytest.raises(type(error)) as caught:
        estimator.fit(SECOND, error)
    assert caught.value is error
    assert vars(estimator) == {"size": 1, **before}


@pytest.mark.parametrize("before", [{}, FIRST], ids=["unfitted", "fitted"])
def test_ctrl_c_in_training_keeps_what_was_learned(before):
    estimator = Estimator().fit(before)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(SECOND, KeyboardInterrupt())
    assert vars(estimator) == {"size": 1, **SECOND}


@pytest.mark.parametrize("before", [{}, FIRST], ids=["unfitted", "fitted"])
def test_ctrl_c_before_training_restores_all_there_was(before):
    estimator = Estimator().fit(before)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit({"image_shape_": (8, 8, 1)}, KeyboardInterrupt())
    assert vars(estimator) == {"size": 1, **before}

"""The network inside a fitted estimator: at the end of a Pipeline, the best of a search."""

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_cnn.runtime.fitted import is_network_estimator

# Where scikit-learn's meta-estimators keep the one estimator that they fitted.
_FITTED = ("best_estimator_", "estimator_", "regressor_")


def find_network(estimator):
    """Return the fitted `CNNClassifier` or `CNNRegressor` that an estimator predicts with.

    Parameters
    ----------
    estimator : estimator
        The network itself, or what `find_innermost` finds it in.

    Returns
    -------
    CNNClassifier, CNNRegressor or None
        None if there is no network, or none by itself.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    """
    innermost = find_innermost(estimator)
    return innermost if is_network_estimator(innermost) else None


def scores_of(estimator, X):
    """Return the classes of a classifier, and its probabilities or else its decision.

    Parameters
    ----------
    estimator : classifier
        A fitted one.
    X : array-like
        Images, as `predict` takes them.

    Returns
    -------
    dict
        "classes", and "y_proba" or "decision" where there is one that compares the classes.
    """
    classes = getattr(estimator, "classes_", None)
    if hasattr(estimator, "predict_proba"):
        y_proba = estimator.predict_proba(X)
        # scikit-learn's multi-output estimators give a table a label
        return {"classes": classes, "y_proba": None if isinstance(y_proba, list) else y_proba}
    if hasattr(estimator, "decision_function"):
        decision = estimator.decision_function(X)
        # of three classes there are as many pairs as classes: the shape does not tell them apart
        by_pair = getattr(find_innermost(estimator), "decision_function_shape", None) == "ovo"
        if decision.ndim == 1 or not by_pair:
            return {"classes": classes, "decision": decision}
    return {"classes": classes}


def find_innermost(estimator):
    """Return the fitted estimator that another one predicts with.

    Parameters
    ----------
    estimator : estimator
        A Pipeline, a FrozenEstimator, or a search or other meta-estimator that holds one fitted
        estimator. Any other, an ensemble too, is itself the innermost.

    Returns
    -------
    estimator
        The one inside, which holds none itself.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    """
    *_, innermost = from_the_outside(estimator)
    return innermost


def as_network_sees(estimator, X):
    """Return X as it comes to the network inside an estimator: through the steps before it.

    Parameters
    ----------
    estimator : estimator
        A fitted one, in which `find_network` finds a network.
    X : array-like
        Images, as its `predict` takes them.

    Returns
    -------
    array-like
    """
    for outer in from_the_outside(estimator):
        if isinstance(outer, Pipeline):
            # "passthrough" and samplers, which act in fit alone, have no transform
            for _, step in outer.steps[:-1]:
                X = step.transform(X) if hasattr(step, "transform") else X
    return X


def from_the_outside(estimator):
    """Yield a fitted estimator, the one inside it that it predicts with, the one inside that."""
    while estimator is not None:
        check_is_fitted(estimator)
        yield estimator
        estimator = _inside(estimator)


def _inside(estimator):
    """Return the one fitted estimator that an estimator holds, or None."""
    if is_network_estimator(estimator):
        return None
    if isinstance(estimator, Pipeline):
        return estimator[-1]
    if isinstance(estimator, FrozenEstimator):
        return estimator.estimator
    if hasattr(estimator, "estimators_"):
        # an ensemble has no single one; what bagging calls `estimator_` is not fitted
        return None
    held = (getattr(estimator, name) for name in _FITTED if hasattr(estimator, name))
    return next(held, None)

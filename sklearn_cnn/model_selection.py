"""What makes searches over networks bearable: fits that are done are not done again."""

import pickle
import platform

import cloudpickle
import sklearn
import torch
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_cnn._version import __version__
from sklearn_cnn.architectures._registry import own_architectures
from sklearn_cnn.runtime.cache_folder import cache_folder
from sklearn_cnn.runtime.digest import NoKeyError, value_key
from sklearn_cnn.runtime.sealed_files import read_sealed, write_sealed
from sklearn_cnn.runtime.warnings import warn

__all__ = ["CachedEstimator"]

_UNUSABLE = "The cache of fits in {} cannot be used ({}): fits are done but not kept."


def _estimator_has(name):
    """Make a check of whether the estimator inside has a method."""

    def check(self):
        getattr(vars(self).get("estimator_", self.estimator), name)
        return True

    return check


class CachedEstimator(MetaEstimatorMixin, BaseEstimator):
    """An estimator whose fits are kept on disk, so that none is done twice.

    Around the estimator of a search, it lets a search that was interrupted go on where it
    stopped: run the same program again. `fit` computes a key of the estimator's class and
    parameters, the data, the arguments of `fit`, `version`, scikit-learn's configuration, and the
    versions of Python, torch, scikit-learn and sklearn_cnn; if `memory` holds a fit of that key,
    the fitted estimator is loaded, else the fit is done and stored. Each fold of each candidate
    has a key of its own. Equal arrays, tensors and modules have equal keys; a path counts with
    the size and the time of change of its file; a registered architecture's name with what it
    stands for; a class or function with its name and the `__version__` of its package.

    Your own code counts by these names alone: after an edit of it, change `version`, or the old
    fits are loaded.

    It works in every search of scikit-learn's, in `cross_val_score`, in parallel workers, and
    around any estimator, a Pipeline too. Entries are written whole or not at all, and a fit that
    fails is not stored. A warning is given, and the fit done without the cache, if an entry is
    damaged, the folder is full or cannot be written to, or there can be no key: of a lambda, of
    a class or function inside another, and of what cannot be pickled, such as an open file.

    Parameters
    ----------
    estimator : estimator
        What is fitted: a clone of it each time. Its parameters are
        `estimator__<parameter>` in a grid. With metadata routing, it is the one that requests:
        `CachedEstimator(classifier.set_fit_request(sample_weight=True), memory)`.
    memory : str, path, joblib.Memory or None
        The folder, or the `joblib.Memory` in it, which can be emptied (`clear`) or kept small
        (`reduce_size`). None fits each time, without a cache. Entries are pickles: share
        the folder only with people you trust. Each script has a folder of its own, lest
        `__main__.Net` of one pass for that of another.
    version : object, default=None
        Part of the key: a number or text, say, of the state of your own code.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator. What it learned, such as `classes_`, is an attribute of this one
        too.

    See Also
    --------
    sklearn.pipeline.Pipeline : Its `memory` keeps fitted transformers, but not the last step.

    Notes
    -----
    What a fit does besides learning, warnings, logs and files of callbacks, is not repeated
    when it is loaded, and `fit_time` of a search is then the time of loading. The device and
    the number of threads are not part of the key, though they change the last digits of
    what is learned: keep them, or the folder, to yourself if those digits matter.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_cnn import CNNClassifier
    >>> from sklearn_cnn.model_selection import CachedEstimator
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> folder = tempfile.mkdtemp()
    >>> cached = CachedEstimator(CNNClassifier(max_epochs=2, random_state=0), memory=folder)
    >>> search = GridSearchCV(cached, {"estimator__lr": [0.001, 0.005]}, cv=2).fit(X, y)
    >>> again = GridSearchCV(cached, {"estimator__lr": [0.001, 0.005]}, cv=2).fit(X, y)
    >>> bool(again.best_score_ == search.best_score_)
    True
    """

    def __init__(self, estimator, memory, version=None):
        self.estimator = estimator
        self.memory = memory
        self.version = version

    def fit(self, X, y=None, **params):
        """Fit a clone of the estimator, or load it if the same fit was done before.

        Parameters
        ----------
        X : array-like
            The data, as the estimator takes it.
        y : array-like, default=None
            The targets.
        **params : dict
            Further arguments of the estimator's `fit`.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a `random_state` inside is None: such a fit is a new draw each time, and loading
            an old one would pass for another.
        """
        estimator = clone(self.estimator)
        path = self._path(estimator, X, y, params)
        fitted = None if path is None else _load(path)
        if fitted is None:
            fitted = estimator.fit(X, y, **params)
            if path is not None:
                _store(path, fitted)
        self.estimator_ = fitted
        return self

    def _path(self, estimator, X, y, params):
        """Return the file of a fit; None if it is to be done without the cache."""
        try:
            folder = cache_folder(self.memory, "fits")
            if folder is None:
                return None
            self._check_repeatable()
            key = _key([estimator, X, y, params, self.version])
        except NoKeyError as error:
            warn(
                f"CachedEstimator cannot tell whether this fit was done before ({error}): it is "
                "done without the cache."
            )
            return None
        except OSError as error:
            warn(_UNUSABLE.format(self.memory, error))
            return None
        # named so that joblib.Memory.reduce_size counts it, and knows when it was last used
        return folder / key / "output.pkl"

    def _check_repeatable(self):
        unset = [
            name
            for name, value in self.get_params().items()
            if name.rpartition("__")[2] == "random_state" and value is None
        ]
        if unset:
            raise ValueError(
                "CachedEstimator keeps fits that can be repeated, but with random_state=None each "
                f"fit is a new draw. Set {', '.join(f'{name}=0' for name in unset)}, or another "
                "integer, or memory=None to fit without a cache."
            )

    @available_if(_estimator_has("predict"))
    def predict(self, X, **params):
        """Predict with the fitted estimator.

        Parameters
        ----------
        X : array-like
            The data.
        **params : dict
            Further arguments of the estimator's method.

        Returns
        -------
        ndarray
            What the estimator's `predict` returns.
        """
        check_is_fitted(self)
        return self.estimator_.predict(X, **params)

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X, **params):
        """Predict probabilities with the fitted estimator.

        Parameters
        ----------
        X : array-like
            The data.
        **params : dict
            Further arguments of the estimator's method.

        Returns
        -------
        ndarray
            What the estimator's `predict_proba` returns.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X, **params)

    @available_if(_estimator_has("predict_log_proba"))
    def predict_log_proba(self, X, **params):
        """Predict logarithms of probabilities with the fitted estimator.

        Parameters
        ----------
        X : array-like
            The data.
        **params : dict
            Further arguments of the estimator's method.

        Returns
        -------
        ndarray
            What the estimator's `predict_log_proba` returns.
        """
        check_is_fitted(self)
        return self.estimator_.predict_log_proba(X, **params)

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X, **params):
        """Compute the decision function of the fitted estimator.

        Parameters
        ----------
        X : array-like
            The data.
        **params : dict
            Further arguments of the estimator's method.

        Returns
        -------
        ndarray
            What the estimator's `decision_function` returns.
        """
        check_is_fitted(self)
        return self.estimator_.decision_function(X, **params)

    @available_if(_estimator_has("transform"))
    def transform(self, X, **params):
        """Transform with the fitted estimator.

        Parameters
        ----------
        X : array-like
            The data.
        **params : dict
            Further arguments of the estimator's method.

        Returns
        -------
        ndarray
            What the estimator's `transform` returns.
        """
        check_is_fitted(self)
        return self.estimator_.transform(X, **params)

    @available_if(_estimator_has("score"))
    def score(self, X, y=None, **params):
        """Score the fitted estimator.

        Parameters
        ----------
        X : array-like
            The data.
        y : array-like, default=None
            The targets.
        **params : dict
            Further arguments of the estimator's `score`.

        Returns
        -------
        float
            What the estimator's `score` returns.
        """
        check_is_fitted(self)
        return self.estimator_.score(X, y, **params)

    @available_if(_estimator_has("transform"))
    def fit_transform(self, X, y=None, **params):
        """Fit as `fit` does, then transform the same data.

        Parameters
        ----------
        X : array-like
            The data.
        y : array-like, default=None
            The targets.
        **params : dict
            Further arguments of the estimator's `fit`.

        Returns
        -------
        ndarray
            What the estimator's `transform` returns.
        """
        return self.fit(X, y, **params).transform(X)

    @available_if(_estimator_has("set_output"))
    def set_output(self, *, transform=None):
        """Set the container that `transform` of the estimator returns.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            "default" leaves it to the estimator; None changes nothing.

        Returns
        -------
        self : object
            This estimator.
        """
        self.estimator.set_output(transform=transform)
        if "estimator_" in vars(self):
            self.estimator_.set_output(transform=transform)
        return self

    @available_if(_estimator_has("get_feature_names_out"))
    def get_feature_names_out(self, input_features=None):
        """Get the names of the features that `transform` returns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the features that go in.

        Returns
        -------
        ndarray of str
            What the estimator's `get_feature_names_out` returns.
        """
        check_is_fitted(self)
        return self.estimator_.get_feature_names_out(input_features)

    def get_metadata_routing(self):
        """Get the metadata routing of the estimator: its requests are this one's.

        Returns
        -------
        MetadataRequest or MetadataRouter
            What the estimator's `get_metadata_routing` returns.
        """
        return get_routing_for_object(self.estimator)

    def __getattr__(self, name):
        # what the estimator inside has learned
        if name.endswith("_") and not name.startswith("_") and "estimator_" in vars(self):
            return getattr(self.estimator_, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __sklearn_tags__(self):
        return get_tags(self.estimator)


def _key(value):
    """Return what names a fit."""
    versions = [__version__, sklearn.__version__, torch.__version__]
    python = platform.python_version_tuple()[:2]
    # the next run may register something else by a name, which grids inside may hold too
    return value_key([value, versions, python, sklearn.get_config()], own_architectures())


def _load(path):
    """Return a fitted estimator; None if there is none, or it is damaged, which is said."""
    try:
        return pickle.loads(read_sealed(path)) if path.exists() else None
    except Exception as error:  # pickles raise whatever the classes raise that they name
        warn(f"The fit in {path} cannot be loaded ({error!r}): it is done anew.")
        return None


def _store(path, fitted):
    """Keep a fitted estimator, with the classes that its script defines."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_sealed(path, cloudpickle.dumps(fitted))
    except OSError as error:
        warn(_UNUSABLE.format(path.parent, error))
    except (TypeError, AttributeError, RuntimeError, pickle.PicklingError) as error:
        warn(f"A fit is not kept in the cache, because it cannot be pickled ({error}).")

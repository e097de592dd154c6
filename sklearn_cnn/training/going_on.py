"""Training that goes on: which parts of a net stay as they are, and which start anew."""

# Parts of a net that gather something in training, and the parameters that they are made of.
_PARTS = {
    "criterion": ("loss", "quantile"),
    "optimizer": ("optimizer", "weight_decay"),
    "callbacks": ("callbacks",),
}


def ingredients(estimator):
    """Return the parameters, as they are now, that parts of an estimator's net are made of.

    Parameters
    ----------
    estimator : CNNClassifier or CNNRegressor

    Returns
    -------
    dict
        Name to value.
    """
    parameters = estimator.get_params(deep=False)
    made_of = {name: parameters.get(name) for names in _PARTS.values() for name in names}
    # the list may be appended to
    return {**made_of, "callbacks": list(made_of["callbacks"] or [])}


def parts_to_renew(before, now, lost=()):
    """Return the parts that were made of other parameters than there are now.

    Objects, a loss say, are the same only if they are one: what was changed inside of them is
    not looked for.

    Parameters
    ----------
    before, now : dict
        `ingredients` when the net was made, and now.
    lost : iterable of str, default=()
        Names of parameters that will be others.

    Returns
    -------
    set of {"criterion", "optimizer", "callbacks"}
    """
    changed = {name for name, value in now.items() if value != before[name]}.union(lost)
    return {part for part, names in _PARTS.items() if changed.intersection(names)}

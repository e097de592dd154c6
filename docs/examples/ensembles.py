"""
Ensembles
=========

Several networks as one estimator: what they predict is averaged.
"""

from sklearn.base import clone, is_classifier
from sklearn.ensemble import VotingClassifier, VotingRegressor


def mean_of(network, n_networks, random_state=0):
    """Return the mean of networks that differ in their random numbers alone.

    They start from other weights and see the images in another order, so each makes errors of
    its own, which the mean of their probabilities, or numbers, does not make.

    Parameters
    ----------
    network : CNNClassifier or CNNRegressor
    n_networks : int
    random_state : int, default=0
        Another one makes all networks other ones.

    Returns
    -------
    VotingClassifier or VotingRegressor
    """
    members = [
        (f"network_{number}", clone(network).set_params(random_state=1000 * random_state + number))
        for number in range(n_networks)
    ]
    if is_classifier(network):
        return VotingClassifier(members, voting="soft")
    return VotingRegressor(members)

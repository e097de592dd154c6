"""How fast and how long networks learn; of learned weights which parts do, and when."""

from dataclasses import dataclass, field

from sklearn_cnn._compat import BatchNorm


@dataclass(frozen=True)
class Recipe:
    """What suits an architecture where a parameter of the estimator is "auto".

    Parameters
    ----------
    lr : float
        Largest learning rate.
    weight_decay : float
        Of AdamW.
    max_epochs : int
    keeps_statistics : bool
        Whether batch normalization goes by the statistics that came with the weights. Those of a
        few small batches of other images are worse.
    """

    lr: float = 0.005
    weight_decay: float = 0.5
    max_epochs: int = 20
    keeps_statistics: bool = False


@dataclass(frozen=True)
class FineTuning:
    """How the parts of a network differ in learning.

    A part that does not learn at first is one whose parameters have `requires_grad` off.

    Parameters
    ----------
    lr_ratios : dict of str to float
        What the learning rate is multiplied by for the parameters of these names; 1 for the
        others.
    unfreeze_after : int, float or None
        Epochs after which every part learns; a float is a share of those of a fit. None: what is
        frozen stays so.
    """

    lr_ratios: dict[str, float] = field(default_factory=dict)
    unfreeze_after: int | float | None = None

    def epochs_frozen(self, n_epochs):
        """Return the epochs after which every part learns, of so many; None for never."""
        share = self.unfreeze_after
        return max(round(share * n_epochs), 1) if isinstance(share, float) else share


def to_train_mode(module, keeps_statistics=False):
    """Put a module into training mode, but for its frozen parts.

    A part none of whose parameters learn computes what it does in prediction: its batch
    normalizations keep their statistics, and it drops nothing.

    Parameters
    ----------
    module : nn.Module
    keeps_statistics : bool, default=False
        Whether the batch normalizations of the other parts keep theirs too.
    """
    module.train()
    for part in module.modules():
        parameters = list(part.parameters())
        is_frozen = parameters and not any(parameter.requires_grad for parameter in parameters)
        if is_frozen or (keeps_statistics and isinstance(part, BatchNorm)):
            part.eval()

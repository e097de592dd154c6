"""Networks that start from learned weights: which parts learn, when, and how fast."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class FineTuning:
    """How the parts of a network differ in learning.

    A part that does not learn at first is one whose parameters have `requires_grad` off.

    Parameters
    ----------
    lr_ratios : dict of str to float
        What the learning rate is multiplied by for the parameters of these names; 1 for the
        others.
    unfreeze_after : int or None
        Epochs after which every part learns. None: what is frozen stays so.
    """

    lr_ratios: dict[str, float] = field(default_factory=dict)
    unfreeze_after: int | None = None


def to_train_mode(module):
    """Put a module into training mode, but for its frozen parts.

    A part none of whose parameters learn computes what it does in prediction: its batch
    normalizations keep their statistics, and it drops nothing.
    """
    module.train()
    for part in module.modules():
        parameters = list(part.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            part.eval()

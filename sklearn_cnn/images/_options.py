"""How X is read: the parameters of an estimator that concern its images."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from sklearn_cnn.runtime.memory import fits, free_memory


class Preparation(NamedTuple):
    """How images reach the network: what prediction repeats, whatever is set after `fit`.

    Parameters
    ----------
    image_shape, channel_axis, resize_mode, interpolation
        As those of `ReadOptions`.
    """

    image_shape: tuple[int, ...] | None
    channel_axis: int
    resize_mode: str
    interpolation: str


@dataclass(frozen=True)
class ReadOptions:
    """How X is read.

    Parameters
    ----------
    image_shape, channel_axis, resize_mode, memory, in_memory, handle_broken
        As the estimators' parameters of these names.
    estimator_name : str
        What errors and the progress bar call the estimator.
    verbose : bool
        Whether a progress bar is shown.
    why_not_resized : str or None
        Why images of another size than `image_shape` are refused.
    recommended_size : tuple of (int, int) or None
        Height and width that images of several sizes are resized to without `image_shape`.
    interpolation : {"bilinear", "bicubic"}
        How pixels are computed where images are resized.
    """

    image_shape: tuple[int, ...] | None = None
    channel_axis: int = -1
    resize_mode: str = "squash"
    memory: Any = None
    in_memory: bool | str = True
    handle_broken: str = "error"
    estimator_name: str = "Estimator"
    verbose: bool = False
    why_not_resized: str | None = None
    recommended_size: tuple[int, int] | None = None
    interpolation: str = "bilinear"

    @property
    def preparation(self):
        """What prediction repeats."""
        return Preparation(*(getattr(self, name) for name in Preparation._fields))


def keeps_in_memory(options, n_bytes):
    """Say whether images that take so much are kept in memory or read anew each time."""
    if options.in_memory == "auto":
        return fits(n_bytes, free_memory())
    return options.in_memory

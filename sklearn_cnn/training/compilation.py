"""Training through `torch.compile`, of one network after another."""

from contextlib import nullcontext

# More networks than a process trains.
_UNLIMITED = 1_000_000
# What torch has called its limits: of a function, and of all together.
_LIMITS = (
    ("recompile_limit", "accumulated_recompile_limit"),
    ("cache_size_limit", "accumulated_cache_size_limit"),
)


def compilations_unlimited(is_compiled):
    """Return a context in which torch compiles every network that it is given.

    torch gives up on a function that it has compiled eight times, and runs it as it is from then
    on; networks share the function `forward` of `nn.Sequential`, so that the ninth architecture of
    a search, or the fifth if the last batch is smaller, was trained uncompiled.

    Parameters
    ----------
    is_compiled : bool
        Whether training is compiled. Otherwise nothing is imported, nor changed.

    Returns
    -------
    context manager
    """
    if not is_compiled:
        return nullcontext()
    from torch._dynamo import config

    names = next(names for names in _LIMITS if hasattr(config, names[0]))
    return config.patch(dict.fromkeys(names, _UNLIMITED))

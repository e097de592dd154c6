"""What a fit learns: dropped when the next one begins, and restored when that fails."""

import functools


def forget(estimator):
    """Drop what an earlier fit learned."""
    for name in [n for n in vars(estimator) if n.endswith("_") and not n.startswith("_")]:
        delattr(estimator, name)


def restored_on_failure(method):
    """Decorate a method that fits: if it raises, the estimator stays as it was.

    An interrupt by Ctrl-C during training is no failure: what was learned until then is kept.
    """

    @functools.wraps(method)
    def guarded(self, *args, **kwargs):
        before = dict(vars(self))
        try:
            return method(self, *args, **kwargs)
        except BaseException as error:
            has_learned = vars(self).get("net_") not in (None, before.get("net_"))
            if not (isinstance(error, KeyboardInterrupt) and has_learned):
                vars(self).clear()
                vars(self).update(before)
            raise

    return guarded

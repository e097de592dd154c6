"""Linear layers whose output for a row does not depend on the row's place in the batch."""

from contextlib import nullcontext

from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# In multiples of as many rows and inputs, the matrix product of a CPU sums the products of each row
# in the same order.
_BLOCK = 16


def batch_invariant(module, batch_size, device_type):
    """Return a context in which the outputs of a module for an image are always the same.

    A float32 sum depends on its order, and the matrix product of a CPU takes another one in some
    rows than in others where their number, or that of the inputs, does not fill its blocks: an
    image had other outputs, by a few units in the last place, in the first row of a batch than in
    the second. Here the rows and inputs of such layers are filled up with zeros.

    Parameters
    ----------
    module : nn.Module
    batch_size : int
        Images that go through the module at once.
    device_type : {"cpu", "cuda", "mps"}

    Returns
    -------
    context manager
    """
    if device_type != "cpu" or batch_size == 1:
        return nullcontext()
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    if all(_is_steady(batch_size, layer.in_features) for layer in layers):
        return nullcontext()
    return _FilledLinear()


class _FilledLinear(TorchFunctionMode):
    """Sends each linear layer of this thread through `_filled_linear`."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is functional.linear:
            function = _filled_linear
        return function(*args, **(kwargs or {}))


def _filled_linear(input, weight, bias=None):
    n_inputs = input.shape[-1]
    rows = input.reshape(-1, n_inputs)
    if _is_steady(len(rows), n_inputs):
        return functional.linear(input, weight, bias)
    more = -n_inputs % _BLOCK
    filled = functional.pad(rows, (0, more, 0, -len(rows) % _BLOCK))
    output = functional.linear(filled, functional.pad(weight, (0, more)), bias)
    return output[: len(rows)].reshape(*input.shape[:-1], len(weight))


def _is_steady(n_rows, n_inputs):
    return n_rows % _BLOCK == 0 and n_inputs % _BLOCK == 0

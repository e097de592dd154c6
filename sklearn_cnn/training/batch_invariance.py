"""Linear layers whose output for a row does not depend on the row's place in the batch."""

from contextlib import nullcontext

from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# From this many rows and outputs on, and in multiples of as many rows or inputs, the matrix
# product of a CPU sums the products of each row in the same order.
_BLOCK = 16


def batch_invariant(module, batch_size, device_type):
    """Return a context in which the outputs of a module for an image are always the same.

    A float32 sum depends on its order, and the matrix product of a CPU takes another one in the
    rows and columns that do not fill a block of its kernel: an image had other outputs, by a few
    units in the last place, in the first row of a batch than in the second. Here such layers
    are filled up with zeros. Convolutions do not need it.

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
    if all(_is_steady(batch_size, layer.weight) for layer in layers):
        return nullcontext()
    return _FilledLinear()


class _FilledLinear(TorchFunctionMode):
    """Sends each linear layer of this thread through `_filled_linear`."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is functional.linear:
            function = _filled_linear
        return function(*args, **(kwargs or {}))


def _filled_linear(input, weight, bias=None):
    rows = input.reshape(-1, input.shape[-1])
    if _is_steady(len(rows), weight):
        return functional.linear(input, weight, bias)
    n_rows, n_outputs = len(rows), len(weight)
    more = max(_BLOCK - n_outputs, 0)
    rows = functional.pad(rows, (0, 0, 0, -n_rows % _BLOCK))
    filled = functional.linear(rows, functional.pad(weight, (0, 0, 0, more)))
    output = filled[:n_rows, :n_outputs].reshape(*input.shape[:-1], n_outputs)
    return output if bias is None else output + bias


def _is_steady(n_rows, weight):
    n_outputs, n_inputs = weight.shape
    return n_rows % _BLOCK == 0 and (n_outputs >= _BLOCK or n_inputs % _BLOCK == 0)

"""The skorch net inside the estimators: it carries module, loss, optimizer, history, callbacks."""

import copy
import functools

import numpy as np
import torch
from skorch import NeuralNet
from torch import nn

from sklearn_cnn.runtime.device import has_device
from sklearn_cnn.runtime.warnings import warn
from sklearn_cnn.training.callbacks import copy_callbacks, stops_told_from_ctrl_c
from sklearn_cnn.training.optimizers import OPTIMIZERS, make_optimizer

# Attributes that hold tensors on the device, where they are set; the optimizer comes last.
_ON_DEVICE = ("module_", "criterion_", "optimizer_")


class Net(NeuralNet):
    """A `skorch.NeuralNet` whose optimizer takes parameters in groups.

    skorch's own loop would ask a Dataset for each sample, wait for the device after each batch to
    read the loss, and write two rows of history a batch. `sklearn_cnn.training.loop.train` trains
    it instead, and calls its callbacks. Whatever else a skorch net can do, this one can:
    `predict_proba`, `save_params`, `partial_fit` with skorch's loop on float32 images of shape
    (n, C, H, W) and encoded targets.

    Parameters
    ----------
    module : nn.Module
        Maps images of shape (b, C, H, W) to logits. Trained in place.
    criterion : WeightedLoss
        Maps logits, targets and weights to a loss.
    optimizer : str, class or functools.partial, default="adamw"
        See `make_optimizer`.
    weight_decay : float, default=0.0
        Of the weights of layers.
    lr_ratios : dict of str to float, default=None
        What the learning rate is multiplied by for the parameters of these names.
    with_frozen : bool, default=False
        Whether the optimizer holds frozen parameters too, which will be unfrozen.
    **kwargs
        As `skorch.NeuralNet` takes them.
    """

    device: str

    def __init__(
        self,
        module,
        criterion,
        *,
        optimizer="adamw",
        weight_decay=0.0,
        lr_ratios=None,
        with_frozen=False,
        train_split=None,
        verbose=0,
        **kwargs,
    ):
        super().__init__(
            module,
            criterion,
            optimizer=optimizer,
            train_split=train_split,
            verbose=verbose,
            **kwargs,
        )
        self.weight_decay = weight_decay
        self.lr_ratios = lr_ratios
        self.with_frozen = with_frozen

    def get_default_callbacks(self):
        """Return none: our history has no batch rows for them to average."""
        return []

    def notify(self, method_name, **cb_kwargs):
        """Tell all callbacks of an event; a stop by one of them is told from Ctrl-C."""
        with stops_told_from_ctrl_c():
            super().notify(method_name, **cb_kwargs)

    def set_params(self, **kwargs):
        """Set parameters, as skorch does."""
        if "callbacks" in kwargs:
            # skorch cannot exchange the callbacks of a net that has none
            self.callbacks = kwargs.pop("callbacks")
        return super().set_params(**kwargs)

    def initialize_optimizer(self, triggered_directly=None):
        """Make the optimizer of the module's parameters; `optimizer__<argument>` goes to it."""
        arguments = self.get_params_for("optimizer")
        lr = arguments.pop("lr", self.lr)
        weight_decay = arguments.pop("weight_decay", self.weight_decay)
        optimizer = self.optimizer
        if arguments:
            kind = OPTIMIZERS[optimizer] if isinstance(optimizer, str) else optimizer
            optimizer = functools.partial(kind, **arguments)
        self.optimizer_ = make_optimizer(
            optimizer, self.module_, lr, weight_decay, self.lr_ratios, with_frozen=self.with_frozen
        )
        return self

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Run an epoch of skorch's loop; its rate and mean loss are recorded as ours are."""
        if training:
            self.history_.record("lr", self.optimizer_.param_groups[0]["lr"])
        super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        rows = [row for row in self.history_[-1]["batches"] if f"{prefix}_loss" in row]
        if rows:
            losses = [row[f"{prefix}_loss"] for row in rows]
            sizes = [row[f"{prefix}_batch_size"] for row in rows]
            self.history_.record(f"{prefix}_loss", float(np.average(losses, weights=sizes)))

    def __deepcopy__(self, memo):
        """Copy the net; what its callbacks hold open is shared."""
        state = self.__getstate__()
        lists = [n for n in ("callbacks", "callbacks_") if isinstance(state.get(n), list)]
        held = {name: copy_callbacks(state.pop(name)) for name in lists}
        copied = memo[id(self)] = type(self).__new__(type(self))
        copied.__setstate__({**copy.deepcopy(state, memo), **held})
        return copied

    def __getstate__(self):
        # skorch's own state is a plain pickle inside, which classes of a notebook do not pass
        state = vars(self).copy()
        if torch.device(self.device).type != "cpu":
            on_device = copy.deepcopy({name: state[name] for name in _ON_DEVICE if name in state})
            _move(on_device.values(), "cpu")
            state.update(on_device)
            if "module_" in on_device:
                state["module"], state["criterion"] = state["module_"], state["criterion_"]
        return state

    def __setstate__(self, state):
        self.__dict__.update(state)
        if torch.device(self.device).type == "cpu":
            return
        if not has_device(self.device):
            warn(
                f"The net was trained on {self.device}, which this machine does not have: it is "
                "on the CPU now.",
            )
            self.device = "cpu"
            return
        _move([state[name] for name in _ON_DEVICE if name in state], self.device)


def _move(parts, device):
    """Move modules, and then the state of an optimizer, to a device, in place."""
    for part in parts:
        if isinstance(part, nn.Module):
            part.to(device)
        elif part is not None:
            # the optimizer moves its state to where its parameters are
            part.load_state_dict(part.state_dict())

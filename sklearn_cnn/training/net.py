"""The skorch net inside the estimators: skorch's names and callbacks, our own inner loop."""

import copy
import math

import torch
from skorch import NeuralNet

from sklearn_cnn._warnings import warn
from sklearn_cnn.runtime.memory import freed_memory_kept
from sklearn_cnn.training.batches import prediction_batches
from sklearn_cnn.training.callbacks import BatchHooks, check_callbacks, copy_callbacks
from sklearn_cnn.training.compilation import compilations_unlimited
from sklearn_cnn.training.device import has_device, prediction_batch_size, prediction_multiple
from sklearn_cnn.training.finetuning import FineTuning, to_train_mode
from sklearn_cnn.training.logits import check_logits
from sklearn_cnn.training.microbatches import MicroBatches
from sklearn_cnn.training.normalization import batches_of_one_explained, update_batch_norm
from sklearn_cnn.training.optim import SCHEDULES, make_optimizer

# Attributes that hold tensors on the device.
_LEARNED = ("module_", "criterion_", "optimizer_")
# Batches from which on a prediction gives the memory back that it took.
_MANY_BATCHES = 64


class Net(NeuralNet):
    """A `skorch.NeuralNet` that trains on batches which lie on the device.

    skorch's loop asks a Dataset for each sample, waits for the device after each batch to
    read the loss, and writes two rows of history a batch. This one slices whole batches out
    of resident tensors, sums the loss on the device and transfers it once an epoch. Epoch
    callbacks work as in skorch; batch callbacks are called where one is defined.

    Parameters
    ----------
    module : nn.Module
        Maps images of shape (b, C, H, W) to logits. Trained in place.
    criterion : WeightedLoss
        Maps logits, targets and weights to a loss.
    n_outputs : int
        Logits of an image.
    optimizer : str, class or functools.partial
        See `make_optimizer`.
    lr, weight_decay : float
        Largest learning rate and weight decay.
    lr_schedule : str
        A key of `SCHEDULES`.
    max_epochs : int
        Epochs of one `fit_loop`.
    device : torch.device
    precision : {"bf16", "float32"}
        Of forward passes in training.
    prediction_precision : {"bf16", "float32"}
        Of forward passes in prediction.
    image_size : tuple of (int, int)
        Height and width of an image, which fix how many go through the module at once in
        prediction.
    compile : bool
        Whether training runs through `torch.compile`.
    callbacks : list of skorch callbacks
    fine_tuning : FineTuning or None
        Rates of parts of the module, and when frozen ones begin to learn.
    """

    device: str

    def __init__(
        self,
        module,
        criterion,
        *,
        n_outputs,
        optimizer="adamw",
        lr=0.003,
        weight_decay=0.01,
        lr_schedule="one_cycle",
        max_epochs=10,
        device="cpu",
        precision="float32",
        prediction_precision="float32",
        image_size=(64, 64),
        compile=False,
        callbacks=None,
        fine_tuning=None,
    ):
        self.n_outputs = n_outputs
        self.weight_decay = weight_decay
        # skorch's own `compile` would leave a wrapped module_ behind
        self.compile_training = compile
        self.lr_schedule = lr_schedule
        self.precision = precision
        self.prediction_precision = prediction_precision
        self.image_size = image_size
        self.fine_tuning = fine_tuning or FineTuning()
        super().__init__(
            module,
            criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            device=device,
            callbacks=list(callbacks or []),
            train_split=None,
            verbose=0,
        )

    def get_default_callbacks(self):
        """Return none: our history has no batch rows for them to average."""
        return []

    def initialize_callbacks(self):
        """Initialize the user's callbacks, but for those that would have no effect."""
        check_callbacks(self.callbacks or [], self.lr_schedule)
        return super().initialize_callbacks()

    def initialize_optimizer(self, triggered_directly=None):
        """Make the optimizer of the module's parameters."""
        self.optimizer_ = make_optimizer(
            self.optimizer,
            self.module_,
            self.lr,
            self.weight_decay,
            self.fine_tuning.lr_ratios,
            with_frozen=self.fine_tuning.unfreeze_after is not None,
        )
        return self

    def reconfigure(
        self, renewed, *, criterion, optimizer, weight_decay, callbacks, compile, **settings
    ):
        """Take other settings before training goes on.

        Parameters
        ----------
        renewed : set of {"criterion", "optimizer", "callbacks"}
            Which of these are replaced and start anew; the others keep what they have gathered.
        criterion, optimizer, weight_decay, callbacks, compile
            As in the constructor.
        **settings
            `lr`, `lr_schedule`, `precision` and `prediction_precision`.
        """
        self.compile_training = compile
        starts_anew = settings["lr"] != self.lr or "callbacks" in renewed
        for name, value in settings.items():
            setattr(self, name, value)
        if "criterion" in renewed:
            self.criterion = self.criterion_ = criterion.to(self.device)
        if "optimizer" in renewed:
            self.optimizer, self.weight_decay = optimizer, weight_decay
            self.initialize_optimizer()
        elif starts_anew:
            # else skorch's LRScheduler goes on from the rate that it has come to
            self._set_first_lr()
        if "callbacks" in renewed:
            self.callbacks = callbacks
            self.initialize_callbacks()
        # the schedule may have changed under those that stay
        check_callbacks(self.callbacks, self.lr_schedule)

    def fit(self, batches, validation=None, epochs=None, watchers=(), is_whole=True):
        """Train the initialized net, and tell callbacks of begin and end.

        Unlike skorch's, a Ctrl-C reaches the caller; the net is then what it was after the
        last step, and its history ends with the last whole epoch. See `fit_loop`.
        """
        self.has_stepped_ = False
        self.micro_batches_ = MicroBatches()
        self.notify("on_train_begin", X=batches, y=None)
        try:
            # whatever autocast the caller is in, ours is the one that counts
            no_autocast = torch.autocast(self._device_type, enabled=False)
            unlimited = compilations_unlimited(self.compile_training)
            with no_autocast, unlimited, freed_memory_kept(), batches_of_one_explained():
                self.fit_loop(batches, validation, epochs, watchers=watchers, is_whole=is_whole)
        finally:
            # an epoch that did not end has no loss
            while self.history_ and "train_loss" not in self.history_[-1]:
                self.history_.pop()
            self.notify("on_train_end", X=batches, y=None)
        return self

    @torch.enable_grad()
    def fit_loop(self, batches, validation=None, epochs=None, *, watchers=(), is_whole=True):
        """Train for some epochs.

        Parameters
        ----------
        batches : TrainingBatches
            What to train on.
        validation : Validation or None
            What to score after each epoch. Where it keeps the best weights, they are the
            module's in the end.
        epochs : int or None
            How many; None takes `max_epochs`.
        watchers : sequence of Watcher
            Told of each epoch; one that says so ends the training.
        is_whole : bool
            Whether the images are all there are, so that the statistics of batch normalization
            can be taken over them while steps are few.

        Returns
        -------
        Net

        Raises
        ------
        ValueError
            If the loss is no longer a finite number.
        """
        epochs = self.max_epochs if epochs is None else epochs
        module = torch.compile(self.module_) if self.compile_training else self.module_
        n_steps = epochs * batches.n_steps
        try:
            for epoch in range(epochs):
                if self.fine_tuning.unfreeze_after == len(self.history_):
                    self.module_.requires_grad_(True)
                for watcher in watchers:
                    watcher.epoch_begins(self)
                self.notify("on_epoch_begin", dataset_train=batches, dataset_valid=validation)
                self.run_single_epoch(batches, module, epoch * batches.n_steps, n_steps)
                if is_whole:
                    n_done = (epoch + 1) * batches.n_steps
                    autocast = self._autocast(self.prediction_precision)
                    update_batch_norm(self.module_, batches, n_done, autocast)
                if self._end_epoch(batches, validation, watchers):
                    break
            # the last step comes after the last loss: one image shows what it did
            samples = batches.samples
            first = samples.images[samples.rows[:1].to(samples.images.device)]
            output = self.raw_predict(first, batch_size=1)
            _finite(output.abs().max().item(), len(self.history_), "The network's output")
        finally:
            self.module_.eval()
            if SCHEDULES[self.lr_schedule] is not None:
                # the schedule ends with the training
                self._set_first_lr()
            if validation is not None and validation.best_weights is not None:
                self.module_.load_state_dict(validation.best_weights)
        return self

    def _end_epoch(self, batches, validation, watchers):
        """Score the network, and tell of the epoch; return whether training is to end."""
        if validation is not None:
            self.validate(validation)
        self.notify("on_epoch_end", dataset_train=batches, dataset_valid=validation)
        # each watcher is told, whatever the others say
        answers = [watcher.epoch_ends(self, validation) for watcher in watchers]
        return any(answers) or (validation is not None and validation.should_stop)

    def run_single_epoch(self, batches, module, step, n_steps):
        """Train on each batch once, and record the mean loss over the samples.

        Parameters
        ----------
        batches : TrainingBatches
        module : callable
            `module_`, or what it was compiled to.
        step : int
            Steps done so far, of `n_steps`.
        n_steps : int
            Steps of the whole schedule.
        """
        schedule = SCHEDULES[self.lr_schedule]
        hooks = BatchHooks(self)
        to_train_mode(self.module_)
        total = torch.zeros((), dtype=torch.float32, device=self.device)
        for batch in batches:
            if schedule is not None:
                self._set_lr(self.lr * schedule(step / n_steps))
            hooks.batch_begins(batch)
            loss = self.train_step(batch, module, hooks)
            hooks.batch_ends(batch, loss)
            total += loss * len(batch[0])
            step += 1
        self.module_.eval()
        hooks.epoch_ends()
        self.history_.record("lr", self.optimizer_.param_groups[0]["lr"])
        # The one transfer of an epoch: until here the device need not be waited for. The loss
        # comes last: a row that has it is whole, whenever Ctrl-C comes.
        self._record("train_loss", _finite(total.item() / len(batches), len(self.history_)))

    def train_step(self, batch, module, hooks):
        """Learn from one batch; return its loss, detached, on the device."""

        def compute_loss(images, targets, weights):
            with self._autocast(self.precision):
                logits = module(images)
            check_logits(logits, len(images), self.n_outputs)
            return self.criterion_(logits.float(), targets, weights)

        loss = self.micro_batches_.backward(compute_loss, self.optimizer_.zero_grad, batch)
        hooks.gradients_are_computed(batch)
        self.optimizer_.step()
        self.has_stepped_ = True
        return loss

    def validate(self, validation):
        """Record score and loss on a validation set, and keep the best weights."""
        samples = validation.samples
        outputs = self.raw_predict(samples.images)
        score = float(validation.score(outputs.numpy()))
        with torch.no_grad():
            logits = outputs.to(self.device)
            loss = self.criterion_(logits, samples.targets, samples.weights).item()
        self._record("valid_loss", loss)
        self._record("valid_score", score, better=max)
        validation.record(len(self.history_), score, loss, self.module_)

    @torch.inference_mode()
    def raw_predict(self, images, module=None, batch_size=None):
        """Return the outputs of the module for images, on the CPU.

        Parameters
        ----------
        images : Tensor or LazyImages of shape (n, H, W, C)
        module : callable or None
            What to run instead of `module_`.
        batch_size : int or None
            Images that go through the module at once, if not `prediction_batch_size`.

        Returns
        -------
        Tensor of shape (n, n_outputs), float32
        """
        are_logits = module is None
        module = self.module_ if module is None else module
        batch_size = self.prediction_batch_size if batch_size is None else batch_size
        # giving memory back has a price: the next call's pages are new ones
        is_long = len(images) > _MANY_BATCHES * batch_size
        memory_kept = freed_memory_kept(give_back=is_long)
        outputs, n_done = torch.empty(0, dtype=torch.float32), 0
        multiple = prediction_multiple(self.image_size, self._device_type)
        with self._autocast(self.prediction_precision), memory_kept:
            device = torch.device(self.device)
            for batch, n_real in prediction_batches(images, batch_size, multiple, device):
                rows = module(batch)
                if are_logits:
                    check_logits(rows, len(batch), self.n_outputs)
                rows = rows[:n_real]
                if n_done == 0:
                    # one block: small ones in between would split the memory that batches reuse
                    outputs = rows.new_empty((len(images), *rows.shape[1:]), dtype=torch.float32)
                outputs[n_done : n_done + n_real] = rows
                n_done += n_real
        # one transfer, when all batches are under way
        return outputs.cpu()

    def _autocast(self, precision):
        # A cache of cast weights lives until the outermost autocast ends, and so would outlive
        # a step that changes the weights. Each is cast once a pass anyway.
        use_bf16 = precision == "bf16"
        return torch.autocast(
            self._device_type, torch.bfloat16, enabled=use_bf16, cache_enabled=False
        )

    def _record(self, name, value, better=min):
        """Record a figure of an epoch and, as skorch's callbacks expect, whether it is the best."""
        self.history_.record(name, value)
        figures = [row[name] for row in self.history_ if name in row]
        self.history_.record(f"{name}_best", value == better(figures))

    def __deepcopy__(self, memo):
        """Copy the net; what its callbacks hold open is shared."""
        state = self.__getstate__()
        held = {name: copy_callbacks(state.pop(name)) for name in ("callbacks", "callbacks_")}
        copied = memo[id(self)] = type(self).__new__(type(self))
        copied.__setstate__({**copy.deepcopy(state, memo), **held})
        return copied

    def __getstate__(self):
        # skorch's own state is a plain pickle inside, which classes of a notebook do not pass
        state = vars(self).copy()
        if self._device_type != "cpu":
            learned = copy.deepcopy({name: state[name] for name in _LEARNED})
            _move(**learned, device="cpu")
            state.update(learned)
            state["module"], state["criterion"] = state["module_"], state["criterion_"]
        return state

    def __setstate__(self, state):
        self.__dict__.update(state)
        if self._device_type == "cpu":
            return
        if not has_device(self.device):
            warn(
                f"The net was trained on {self.device}, which this machine does not have: it is "
                "on the CPU now.",
            )
            self.device = "cpu"
            return
        _move(self.module_, self.criterion_, self.optimizer_, self.device)

    def _set_lr(self, lr):
        for group in self.optimizer_.param_groups:
            group["lr"] = lr * group["lr_ratio"]

    def _set_first_lr(self):
        """Set the rate that more training begins with."""
        self._set_lr(self.lr)
        # what a scheduler of torch's multiplies, where it begins after other epochs
        for group in self.optimizer_.param_groups:
            group["initial_lr"] = group["lr"]

    @property
    def prediction_batch_size(self):
        """Images that go through the module at once in prediction."""
        return prediction_batch_size(self.image_size, self._device_type)

    @property
    def _device_type(self):
        return torch.device(self.device).type


def _move(module_, criterion_, optimizer_, device):
    """Move module, criterion and the state of the optimizer to a device, in place."""
    module_.to(device)
    criterion_.to(device)
    # the optimizer moves its state to where its parameters are
    optimizer_.load_state_dict(optimizer_.state_dict())


def _finite(value, epoch, name="The training loss"):
    if not math.isfinite(value):
        raise ValueError(
            f"{name} became {value} in epoch {epoch}. Lower lr (by a factor of ten, "
            'say); if that does not help, write precision="float32" or look for extreme values '
            "in X or y."
        )
    return value

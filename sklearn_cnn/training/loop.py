"""The training loop: epochs, and in each of them steps. Everything around a step is seen here."""

import math
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning

from sklearn_cnn._compat import compilations_unlimited
from sklearn_cnn.architectures._assembly import is_frozen_except
from sklearn_cnn.architectures._fine_tuning import to_train_mode
from sklearn_cnn.architectures._logits import checked_outputs
from sklearn_cnn.runtime.device import autocast, exact_convolutions
from sklearn_cnn.runtime.memory import freed_memory_kept
from sklearn_cnn.runtime.warnings import warn
from sklearn_cnn.training.batch_norm import (
    batches_of_one_explained,
    restore_buffers,
    update_batch_norm,
)
from sklearn_cnn.training.callbacks import BatchHooks, TrainingStop
from sklearn_cnn.training.course import Course, TimeLimit
from sklearn_cnn.training.frozen import Learner, behind_trunk
from sklearn_cnn.training.gradient_accumulation import GradientAccumulation
from sklearn_cnn.training.optimizers import SCHEDULES, set_first_lr, set_lr
from sklearn_cnn.training.prediction import predict_outputs
from sklearn_cnn.training.residency import send

# Early stopping under a schedule: share of it before patience counts, and epochs that the rest of
# it takes, as a share of those done.
PATIENCE_BEGINS, COOL_DOWN = 0.5, 0.25


@dataclass(frozen=True)
class TrainingPlan:
    """How a net is trained.

    Parameters
    ----------
    n_epochs : int
    lr_schedule : str
        A key of `SCHEDULES`.
    precision : {"bf16", "float32"}
        Of forward passes in training.
    prediction_precision : {"bf16", "float32"}
        Of forward passes on validation images.
    shape : tuple of int
        Of the logits of an image: (n_outputs,), or (n_outputs, H, W) of maps.
    compile : bool, default=False
        Whether training runs through `torch.compile`.
    unfreeze_after : int, default=None
        Epochs of the net's history after which every part learns.
    head : str, default=None
        Name of the last layer. If it alone learns, what comes before it sees each image once; None:
        anew in each epoch.
    memory : str, path, joblib.Memory or None, default=None
        Where that is kept for other fits; see `feature_cache`.
    verbose : bool, default=False
        Whether a bar shows that.
    keeps_statistics : bool, default=False
        Whether batch normalization goes by the statistics that it came with.
    is_whole : bool, default=True
        Whether the images are all there are, so that the statistics of batch normalization can
        be taken over them while steps are few.
    limit : TimeLimit, default=TimeLimit(None)
        When training ends at the latest.
    """

    n_epochs: int
    lr_schedule: str
    precision: str
    prediction_precision: str
    shape: tuple[int, ...]
    compile: bool = False
    unfreeze_after: int | None = None
    head: str | None = None
    memory: Any = None
    verbose: bool = False
    keeps_statistics: bool = False
    is_whole: bool = True
    limit: TimeLimit = field(default_factory=lambda: TimeLimit(None))


def train(net, batches, plan, validation=None, listeners=()):
    """Train an initialized net, and tell callbacks and listeners.

    A Ctrl-C reaches the caller, a callback's own KeyboardInterrupt ends the training alone; the
    net is then what it was after the last step, and its history ends with the last whole epoch.

    Parameters
    ----------
    net : Net
    batches : TrainingBatches
        What to train on.
    plan : TrainingPlan
    validation : Validation or None
        What to score after each epoch. Where it keeps the best weights, they are the module's in
        the end, unless the learning rate has come to its own.
    listeners : sequence of EpochListener
        Told of each epoch; one that says so ends the training.

    Raises
    ------
    ValueError
        If the loss is no longer a finite number.
    """
    # of this training: whether there is something that a Ctrl-C must not lose
    net.n_steps_ = 0
    # whatever autocast the caller is in, ours is the one that counts
    no_autocast = torch.autocast(torch.device(net.device).type, enabled=False)
    unlimited = compilations_unlimited(plan.compile)
    try:
        with (
            no_autocast,
            unlimited,
            exact_convolutions(net.device),
            freed_memory_kept(),
            batches_of_one_explained(),
        ):
            net.notify("on_train_begin", X=batches, y=None)
            _train_epochs(net, batches, plan, validation, listeners)
    except KeyboardInterrupt as interrupt:
        # what was learned until then is kept, and is to predict
        if net.n_steps_ > 0:
            _update_statistics(net, batches, plan)
        if not isinstance(interrupt, TrainingStop):
            raise
    finally:
        net.module_.eval()
        if SCHEDULES[plan.lr_schedule] is not None:
            # the schedule ends with the training
            set_first_lr(net)
        if validation is not None and validation.best_weights is not None:
            net.module_.load_state_dict(validation.best_weights)
        # an epoch that did not end has no loss
        while net.history_ and "train_loss" not in net.history_[-1]:
            net.history_.pop()
        with suppress(TrainingStop):
            net.notify("on_train_end", X=batches, y=None)


@torch.enable_grad()
def _train_epochs(net, batches, plan, validation, listeners):
    compiled = torch.compile(net.module_) if plan.compile else net.module_
    whole = Learner(net.module_, batches, None if validation is None else validation.samples)
    behind = None
    accumulation = GradientAccumulation()
    course = Course(batches.n_steps, _cycles(plan, len(net.history_)), plan.limit)
    while not course.is_over:
        if course.turns() or plan.unfreeze_after == len(net.history_):
            net.module_.requires_grad_(True)
        for listener in listeners:
            listener.epoch_begins(net)
        net.notify("on_epoch_begin", dataset_train=batches, dataset_valid=validation)
        if net.n_steps_ == 0:
            # not before callbacks have set weights
            behind = behind_trunk(net, whole, plan)
        # the plan, or a callback, lets the trunk learn at any time
        learner, module = whole, compiled
        if behind is not None and is_frozen_except(net.module_, [behind.module]):
            learner, module = behind, behind.module
        n_before = net.n_steps_
        loss = train_epoch(net, module, learner.batches, plan, course, accumulation, listeners)
        net.history_.record("lr", net.optimizer_.param_groups[0]["lr"])
        net.history_.record("batch_size", batches.batch_size)
        net.history_.record("train_batch_count", net.n_steps_ - n_before)
        # The one transfer of an epoch: until here the device need not be waited for. The loss
        # comes last: a row that has it is whole, whenever Ctrl-C comes.
        _record(net, "train_loss", _finite(loss.item(), len(net.history_)))
        before, is_looked_at = {}, _is_looked_at(net, validation, listeners)
        # a pass over the images, which an epoch that nobody looks at need not pay for
        if is_looked_at or course.is_over:
            before = _update_statistics(net, batches, plan)
        is_stopped = _end_epoch(net, learner, batches, plan, course, validation, listeners)
        if is_looked_at:
            course.epoch_ends()
        if is_stopped or course.is_over:
            break
        restore_buffers(net.module_, before)
    if validation is not None and course.is_over and SCHEDULES[plan.lr_schedule] is not None:
        validation.keep_last(len(net.history_))
    _warn_of_too_little_time(net, batches, plan)
    # the last step comes after the last loss: one image shows what it did
    output = predict_outputs(
        net.module_, batches.first_image(), torch.device(net.device), shape=plan.shape
    )
    _finite(output.abs().max().item(), len(net.history_), "The network's output")


def _cycles(plan, n_before):
    """Return the epochs of each cycle of the learning rate.

    Parts that begin to learn late have a cycle of their own: the end of the first one would leave
    them next to no rate.
    """
    turn = 0 if plan.unfreeze_after is None else plan.unfreeze_after - n_before
    return [turn, plan.n_epochs - turn] if 0 < turn < plan.n_epochs else [plan.n_epochs]


def _warn_of_too_little_time(net, batches, plan):
    if plan.limit.seconds is not None and net.n_steps_ < batches.n_steps:
        warn(
            f"time_limit={plan.limit.seconds} seconds were up after {net.n_steps_} of the "
            f"{batches.n_steps} steps of the first epoch. Give more time, or use a smaller "
            "architecture or image_shape.",
            ConvergenceWarning,
        )


def _update_statistics(net, batches, plan):
    """Compute the statistics of batch normalization anew; see `update_batch_norm`."""
    if plan.keeps_statistics or not plan.is_whole:
        return {}
    in_prediction = autocast(net.device, plan.prediction_precision)
    return update_batch_norm(net.module_, batches, net.n_steps_, in_prediction)


def _is_looked_at(net, validation, listeners):
    """Say whether somebody looks at the network when an epoch ends."""
    looks = any(listener.looks_at_net for listener in listeners)
    return looks or validation is not None or len(net.callbacks_) > 0


def _end_epoch(net, learner, batches, plan, course, validation, listeners):
    """Score the network, and tell of the epoch; return whether training is to end at once."""
    if validation is not None:
        validate(net, learner, validation, plan, counts=_patience_counts(plan, course))
    net.notify("on_epoch_end", dataset_train=batches, dataset_valid=validation)
    # each listener is told, whatever the others say
    answers = [listener.epoch_ends(net, validation) for listener in listeners]
    if validation is not None and validation.should_stop:
        course.end_in(_cool_down(plan, course))
    return any(answers)


def _patience_counts(plan, course):
    """Say whether patience counts an epoch.

    It does not before every part learns, nor in the first half of a schedule, where scores stand
    still while the network gains.
    """
    has_begun = SCHEDULES[plan.lr_schedule] is None or course.progress >= PATIENCE_BEGINS
    return course.is_in_last_cycle and has_begun


def _cool_down(plan, course):
    """Return in how many epochs a training that stops early comes to its end.

    Much is gained where the rate is low: a schedule is hurried through and not cut off.
    """
    is_constant = SCHEDULES[plan.lr_schedule] is None
    return 0 if is_constant else math.ceil(COOL_DOWN * course.n_epochs_done)


def train_epoch(net, module, batches, plan, course, accumulation, listeners=()):
    """Train on each batch once, or as many as there is time for.

    Return the mean loss over the samples, on the device.
    """
    schedule, hooks = SCHEDULES[plan.lr_schedule], BatchHooks(net)
    to_train_mode(net.module_, plan.keeps_statistics)
    total, n_images = torch.zeros((), dtype=torch.float32, device=net.device), 0
    for batch in batches:
        if schedule is not None:
            set_lr(net, net.lr * schedule(course.progress))
        hooks.batch_begins(batch)
        loss = train_step(net, module, batch, plan, accumulation, hooks)
        hooks.batch_ends(batch, loss)
        total += loss * len(batch[0])
        n_images += len(batch[0])
        course.step_ends(loss)
        for listener in listeners:
            listener.step_ends()
        if course.cycle_is_over:
            break
    net.module_.eval()
    hooks.epoch_ends()
    return total / n_images


def train_step(net, module, batch, plan, accumulation, hooks):
    """Learn from one batch; return its loss, detached, on the device."""
    total = None
    while total is None:
        net.optimizer_.zero_grad()
        try:
            for (images, targets, weights), share in accumulation.parts(batch):
                with autocast(net.device, plan.precision):
                    outputs = module(images)
                outputs = checked_outputs(outputs, len(images), plan.shape)
                loss = net.criterion_(outputs, targets, weights)
                loss = loss if share == 1 else loss * share
                loss.backward()
                total = loss.detach() if total is None else total + loss.detach()
        except torch.cuda.OutOfMemoryError:
            total = None
        if total is None:
            # outside of the `except`, which holds on to the tensors of the step that failed
            accumulation.double(len(batch[0]))
    hooks.gradients_are_computed(batch)
    net.optimizer_.step()
    net.n_steps_ += 1
    return total


def validate(net, learner, validation, plan, *, counts):
    """Record score and loss on a validation set, and keep the best weights."""
    samples, device = learner.held_out, torch.device(net.device)
    losses = []

    def keep(logits, rows):
        weights = None if samples.weights is None else samples.weights[rows]
        loss = net.criterion_(logits, send(samples.targets[rows], device), weights)
        losses.append(loss * len(logits))
        return validation.keep(logits)

    outputs = predict_outputs(
        learner.module,
        samples.images,
        device,
        plan.prediction_precision,
        plan.shape,
        keep=None if validation.keep is None else keep,
    )
    if validation.keep is None:
        with torch.no_grad():
            loss = net.criterion_(outputs.to(device), samples.targets, samples.weights).item()
    else:
        loss = torch.stack(losses).sum().item() / len(samples)
    score = -loss if validation.score is None else float(validation.score(outputs.numpy()))
    _record(net, "valid_loss", loss)
    _record(net, "valid_score", score, better=max)
    validation.record(len(net.history_), score, loss, net.module_, counts=counts)


def _record(net, name, value, better=min):
    """Record a figure of an epoch and, as skorch's callbacks expect, whether it is the best."""
    net.history_.record(name, value)
    figures = [row[name] for row in net.history_ if name in row]
    net.history_.record(f"{name}_best", value == better(figures))


def _finite(value, epoch, name="The training loss"):
    if not math.isfinite(value):
        raise ValueError(
            f"{name} became {value} in epoch {epoch}. Lower lr (by a factor of ten, "
            'say); if that does not help, write precision="float32" or look for extreme values '
            "in X or y."
        )
    return value

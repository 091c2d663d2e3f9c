"""Go on from a checkpoint as if the training had never stopped."""

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch import distributed
from torch.optim.lr_scheduler import LambdaLR

from qa_lightning.errors import InputError
from qa_lightning.resuming.beginning import settings_of, tell_if_nothing_is_left
from qa_lightning.resuming.loading import at_place
from qa_lightning.resuming.places import Place
from qa_lightning.resuming.random_states import RandomState, random_state, restore_random_state
from qa_lightning.resuming.settings import KEY, is_within_epoch, rhythm_of, rhythm_problems
from qa_lightning.resuming.trust import check_place, check_training

_MID_EVALUATION, _NOT_RESTARTED = "restarted_mid_evaluation", "none"


class Border(NamedTuple):
    """Hold what a process has to remember of the end of an optimizer step."""

    place: Place
    random: RandomState


class ExactResume(Callback):
    """Save what Lightning leaves out, and put a training back to where it stood.

    A checkpoint gets the place in the training, the states of all processes' generators of random
    numbers, and the figures that were logged last. Every checkpoint says the end of an optimizer
    step: one that a validation saves while gradients are accumulated says the last such end, from
    which those batches come again. The place in the data is the loader's (``ResumableLoader``).
    """

    def __init__(self) -> None:
        self._border: Border | None = None
        self._validated = False
        self._found: dict[str, Any] | None = None
        self._max_steps: int | None = None
        self._groups: list[list[dict[str, Any]]] = []

    # Saving. These hooks are called before those of the checkpoints'.

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Begin a step."""
        self._validated = False

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Remember the end of a step, if checkpoints may be asked for before the next."""
        if trainer.accumulate_grad_batches > 1 and not trainer.fit_loop._should_accumulate():
            self._border = Border(self._place(trainer), random_state())

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that this validation is over: a training that goes on from here has it behind."""
        self._validated = not trainer.sanity_checking

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the place, the random states and the figures."""
        border = self._border_to_save(trainer)
        fit_loop = checkpoint["loops"]["fit_loop"]
        border.place.write_into(fit_loop)
        loaders = fit_loop["state_dict"].pop("combined_loader", None)
        if loaders and border.place.batch:
            fit_loop["state_dict"]["combined_loader"] = at_place(
                loaders, epoch=border.place.epoch, batches=border.place.batch
            )
        figures = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if value.numel() == 1
        }
        checkpoint[KEY] = {
            "place": border.place.state_dict(),
            "random": _of_all_ranks(trainer, border.random),
            "figures": figures,
            "due_row": _row_that_is_due(trainer),
            "data": _data_of(trainer),
            "rhythm": _rhythm_of(trainer),
        }

    def _border_to_save(self, trainer: Trainer) -> Border:
        loop = trainer.fit_loop.epoch_loop
        if not loop._should_accumulate():
            return Border(self._place(trainer), random_state())
        border = self._border
        assert border is not None  # set when training starts
        place = replace(border.place, validated=True, stopping=bool(trainer.should_stop))
        if place.epoch != trainer.current_epoch:  # it is the last of the epoch before
            place = replace(place, epoch=trainer.current_epoch, batch=0)
        return Border(place, border.random)

    def _place(self, trainer: Trainer) -> Place:
        fit, loop = trainer.fit_loop, trainer.fit_loop.epoch_loop
        epochs: Any = fit.epoch_progress.current
        batches = loop.batch_progress
        is_left = epochs.processed == epochs.started  # the loop of the epoch
        # Lightning's finders of rates and sizes save before the first epoch.
        is_between = is_left and (loop._num_ready_batches_reached() or not epochs.started)
        return Place(
            epoch=epochs.started if is_between else epochs.started - 1,
            batch=0 if is_between else batches.current.ready,
            batches=batches.total.ready,
            validated=self._validated or is_left,
            steps_logged=loop._batches_that_stepped + (not is_left),
            stopping=bool(trainer.should_stop),
        )

    # Going on.

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take what was added."""
        if trainer.state.fn != "fit" or KEY not in checkpoint:
            return
        check_place(checkpoint, trainer.ckpt_path)
        self._found = {**checkpoint[KEY], "step": checkpoint["global_step"]}
        _check_data(trainer, checkpoint)
        if trainer.optimizers:  # a strategy that reads checkpoints after its setup
            self._let_training_start(trainer)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the rates of this run, and let Lightning begin what is not over."""
        check_training(trainer)
        self._groups = [settings_of(optimizer) for optimizer in trainer.optimizers]
        self._let_training_start(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stand where the training stood; all iterators have been made by now."""
        if self._found is None:
            place = Place(trainer.current_epoch, 0, 0, True, 0, False)
        else:
            place = Place.from_state_dict(self._found["place"])
            self._return_to(trainer, place)
            _apply_rates(trainer, self._groups)
            _log_again(trainer, self._found, place)
            states = self._found["random"]
            # On another number of processes nothing is as it was; they go on from some state.
            restore_random_state(states[trainer.global_rank % len(states)])
        self._found = None
        self._border = Border(place, random_state())

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the steps that are left as the user did again."""
        self._count_steps_as_before(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the next epoch as any: Lightning forgets that it restarts only after a batch."""
        trainer.fit_loop.epoch_loop.restarting = False

    def _let_training_start(self, trainer: Trainer) -> None:
        """Stop a training that was to stop; begin one whose last step lacks its validation."""
        if self._found is None:
            return
        place = Place.from_state_dict(self._found["place"])
        trainer.should_stop = place.stopping
        loop = trainer.fit_loop.epoch_loop
        step, most = self._found["step"], trainer.fit_loop.max_epochs or -1
        is_due = step == loop.max_steps and place.batch and not place.validated
        if is_due and self._max_steps is None:
            # Lightning begins nothing when all steps are done.
            self._max_steps = loop.max_steps
            loop.max_steps = step + 1
        elif self._max_steps is None:
            ends = {"step": (step, loop.max_steps), "epoch": (place.epoch, most)}
            tell_if_nothing_is_left(ends, tells=trainer.is_global_zero)

    def _count_steps_as_before(self, trainer: Trainer) -> None:
        if self._max_steps is not None:
            trainer.fit_loop.epoch_loop.max_steps = self._max_steps
            self._max_steps = None

    def _return_to(self, trainer: Trainer, place: Place) -> None:
        fit, loop = trainer.fit_loop, trainer.fit_loop.epoch_loop
        if not place.batch:  # as one epoch follows another
            fit._restarting = fit._resuming_from_checkpoint = False
            loop.restarting = False
            self._count_steps_as_before(trainer)
            return
        assert fit._data_fetcher is not None
        assert fit._combined_loader is not None
        if fit._combined_loader_states_to_load:
            # Lightning would not: it made loaders and iterators when the schedule asked it for
            # the number of steps, which was before it knew that it restarts.
            fit._combined_loader._load_state_dicts(fit._combined_loader_states_to_load)
            fit._combined_loader_states_to_load = []
            iter(fit._data_fetcher)
        is_due = loop._should_check_val_fx(fit._data_fetcher)
        is_next = is_due and not place.validated
        loop.val_loop._restart_stage = _MID_EVALUATION if is_next else _NOT_RESTARTED
        if not is_next:
            self._count_steps_as_before(trainer)
        if loop._num_ready_batches_reached() and not is_next:
            loop.val_loop._has_run = True  # the epoch is over but for its end
        elif is_due:
            loop._batches_that_stepped -= 1  # which passing by the validation makes up for
        self._validated = place.validated


def _apply_rates(trainer: Trainer, settings: list[list[dict[str, Any]]]) -> None:
    """Train with this run's rates and decay: restoring put the checkpoint's in their place."""
    for optimizer, groups in zip(trainer.optimizers, settings, strict=True):
        for group, values in zip(optimizer.param_groups, groups, strict=True):
            group.update(values)
    for config in trainer.lr_scheduler_configs:
        schedule = config.scheduler
        if isinstance(schedule, LambdaLR):
            groups = schedule.optimizer.param_groups
            schedule.base_lrs = [group["initial_lr"] for group in groups]
            rates = [
                rate * share(schedule.last_epoch)
                for rate, share in zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)
            ]
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = rate
            schedule._last_lr = rates


def _data_of(trainer: Trainer) -> dict[str, Any]:
    """Return what decides which windows a process sees in an epoch."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    fingerprint = None
    if hasattr(data, "split"):  # seeds may share a split, and draw its windows in another order
        fingerprint = f"{data.split('train').fingerprint} {data.hparams.get('seed') or 0}"
    return {"fingerprint": fingerprint, "processes": trainer.world_size}


def _rhythm_of(trainer: Trainer) -> dict[str, Any]:
    """Return which batches of an epoch make steps; nothing where a callback decides anew."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    if any(isinstance(each, GradientAccumulationScheduler) for each in callbacks):
        return {}
    return rhythm_of(vars(trainer) | {"accumulate_grad_batches": trainer.accumulate_grad_batches})


def _check_data(trainer: Trainer, checkpoint: dict[str, Any]) -> None:
    """Refuse other data, batches or another number of processes in the middle of an epoch."""
    if not is_within_epoch(checkpoint):
        return
    if rhythm := _rhythm_of(trainer):
        for problem in rhythm_problems(checkpoint, rhythm):
            raise InputError(problem)
    before, now = checkpoint[KEY]["data"], _data_of(trainer)
    if before["processes"] != now["processes"]:
        raise InputError(
            f"Expected {before['processes']} processes, with which the epoch began that the "
            f"checkpoint stands in; got {now['processes']}. Set `trainer.devices` and "
            "`trainer.num_nodes` as they were, or begin a new run from the exported weights."
        )
    if before["fingerprint"] != now["fingerprint"]:
        raise InputError(
            "Expected the training data, and the settings that cut and label windows, as they were "
            "when the epoch began that the checkpoint stands in; they are others. Put them back "
            "(`config.yaml` of the run has the settings), or begin a new run from the exported "
            "weights."
        )


def _of_all_ranks(trainer: Trainer, state: RandomState) -> list[RandomState]:
    if trainer.world_size == 1:
        return [state]
    states: list[Any] = [None] * trainer.world_size
    distributed.all_gather_object(states, state)
    return states


def _row_that_is_due(trainer: Trainer) -> dict[str, float]:
    """Return the figures of this step that loggers get only after the checkpoint."""
    connector = trainer._logger_connector
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    is_in_step = trainer.training and batches.completed < batches.processed
    if not is_in_step or not connector.should_update_logs:
        return {}
    return {name: float(value) for name, value in connector.metrics["log"].items()}


def _log_again(trainer: Trainer, found: dict[str, Any], place: Place) -> None:
    """Give loggers what the process that saved may not have given them any more."""
    connector = trainer._logger_connector
    figures = {name: torch.tensor(value) for name, value in found["figures"].items()}
    connector._callback_metrics.update(figures)
    if found["due_row"]:
        row = {**found["due_row"], "epoch": place.epoch}
        connector.log_metrics(row, step=place.steps_logged - 1)

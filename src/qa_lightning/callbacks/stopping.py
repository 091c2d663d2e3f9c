"""Stop a run that was told to: at the end of a step, its state saved, all processes together."""

import logging
import os
import subprocess
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed

from qa_lightning.callbacks.checkpoints import LastCheckpoint
from qa_lightning.resuming import Interrupted, SignalWatch

log = logging.getLogger(__name__)


class GracefulStop(Callback):
    """End ``fit`` after a signal, or save in between, where an optimizer step has ended.

    All processes decide together, by one small number each: a signal to one of them stops all, and
    rank zero's clock says when ``last.ckpt`` is due (``LastCheckpoint.is_late``). A validation is
    left where it is: the run that goes on begins it anew. Lightning's own handlers are put aside:
    they wait for the other processes inside a signal handler, and end with status 0.

    Args:
        watch: takes the signals; the command line's begins before data are read. None is a new
            one, for the time of the training.
    """

    def __init__(self, watch: SignalWatch | None = None) -> None:
        self._watch = watch or SignalWatch()
        self._is_ours = watch is None
        self._group: Any = None
        self._validation_batches = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Keep Lightning from taking the signals, and from asking rank zero about them."""
        trainer._signal_connector.register_signal_handlers = _leave_to_us  # type: ignore[method-assign]
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _leave_to_us  # type: ignore[method-assign]
        if self._is_ours:
            self._watch.__enter__()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep signals until the end of a step from here on."""
        if trainer.world_size > 1 and self._group is None:
            # On the CPU: no step waits for a GPU.
            self._group = distributed.new_group(backend="gloo")
        self._watch.defer(True)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save, and stop, if it is time, where no gradients are being accumulated."""
        if not trainer.fit_loop._should_accumulate():
            self._decide(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find out how many batches all processes have: there they can decide together."""
        if not trainer.sanity_checking:
            self._validation_batches = -self._highest(-float(sum(trainer.num_val_batches)))

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop within a validation of ``fit``, which may be long."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        if dataloader_idx == 0 and batch_idx < self._validation_batches:
            self._decide(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop if a signal came after the last step: what comes after ``fit`` is not to run."""
        if self._watch.received:
            self._stop(trainer, self._watch.received)
        self._watch.defer(False)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Let signals stop the process at once again, unless one of them does already."""
        if not isinstance(exception, Interrupted):
            self._watch.defer(False)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the signals back."""
        if self._is_ours:
            self._watch.__exit__()

    def _decide(self, trainer: Trainer) -> None:
        last = _last_of(trainer)
        is_late = last is not None and trainer.is_global_zero and last.is_late()
        # One number for both: a signal's is above 0, and means saving too.
        decision = int(self._highest(self._watch.received + is_late / 2) * 2)
        if last is not None and decision:
            last.save(trainer)
        if decision > 1:
            self._stop(trainer, decision // 2)

    def _highest(self, number: float) -> float:
        """Return the highest of all processes' numbers."""
        if self._group is None:
            return number
        numbers = torch.tensor(number, dtype=torch.float64)
        distributed.all_reduce(numbers, distributed.ReduceOp.MAX, group=self._group)
        return float(numbers)

    def _stop(self, trainer: Trainer, number: int) -> None:
        last = _last_of(trainer)
        saved = None if last is None else last.saved_path
        stop = Interrupted(number, checkpoint=saved, step=trainer.global_step)
        environment = trainer._accelerator_connector.cluster_environment
        if trainer.is_global_zero and saved is not None:
            requeue_job(number, environment)
        if isinstance(environment, LightningEnvironment) and environment.local_rank() > 0:
            stop.code = 0  # Lightning kills its first process when another one ends otherwise
        raise stop


def requeue_job(number: int, environment: Any) -> None:
    """Ask SLURM to run its job again, if the signal is the one it sends before a job's time is up.

    Args:
        number: of the signal.
        environment: where the trainer runs; a ``SLURMEnvironment`` may name another signal, or
            forbid it.
    """
    known = isinstance(environment, SLURMEnvironment)
    wanted = environment.requeue_signal if known else "SIGUSR1"
    name = Interrupted(number).name
    if "SLURM_JOB_ID" not in os.environ or name != getattr(wanted, "name", wanted):
        return
    if known and not environment.auto_requeue:
        return
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]
    try:
        subprocess.run(["scontrol", "requeue", job], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        log.warning("SLURM did not requeue job %s (%s): submit it again yourself", job, error)
    else:
        log.warning("SLURM runs job %s again: it goes on from the checkpoint", job)


def _last_of(trainer: Trainer) -> LastCheckpoint | None:
    callbacks = trainer.checkpoint_callbacks
    return next((each for each in callbacks if isinstance(each, LastCheckpoint)), None)


def _leave_to_us() -> None:
    """Do nothing."""

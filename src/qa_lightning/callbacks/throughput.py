"""How fast training runs, and how much of it is padding."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class Throughput(Callback):
    """Log ``train/windows_per_second``, summed over ranks, and ``train/padding_share``.

    Both are of the steps since they were last logged; validation, and what is saved and drawn after
    it, are left out of the time. Every rank draws the same number of windows, so that no collective
    is needed for the sum (of whole documents, about the same: there it is an estimate).
    """

    def __init__(self) -> None:
        self._windows = 0
        self._tokens = 0
        self._padding = 0
        self._seconds = 0.0
        self._mark = 0.0
        self._is_stopped = False
        self._logged_step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock: no epoch starts where a training goes on within one."""
        self._mark = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._mark = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock: checkpoints, tables and charts come next."""
        self._is_stopped = True

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock again after a validation."""
        if self._is_stopped:
            self._is_stopped, self._mark = False, time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count, and log at the steps that loggers take and at the end of an epoch."""
        now = time.perf_counter()
        self._seconds += now - self._mark
        self._mark = now
        mask_bl = batch["attention_mask"]
        self._windows += len(mask_bl)
        self._tokens += mask_bl.numel()
        # A tensor on the device until it is logged: no step waits for the device.
        self._padding = self._padding + (mask_bl == 0).sum()
        if trainer.is_last_batch or self._is_logged(trainer):
            self._log(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Return the counts since they were last logged."""
        return {
            "windows": self._windows,
            "tokens": self._tokens,
            "padding": int(self._padding),
            "seconds": self._seconds,
            "logged_step": self._logged_step,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self._windows = state_dict["windows"]
        self._tokens = state_dict["tokens"]
        self._padding = state_dict["padding"]
        self._seconds = state_dict["seconds"]
        self._logged_step = state_dict["logged_step"]

    def _is_logged(self, trainer: Trainer) -> bool:
        """Say whether loggers take this batch: by optimizer steps, which go on over epochs."""
        step, every = trainer.global_step, trainer.log_every_n_steps  # type: ignore[attr-defined]
        if not every or step % every or step == self._logged_step:
            return False
        self._logged_step = step
        return True

    def _log(self, trainer: Trainer, pl_module: LightningModule) -> None:
        speed = self._windows * trainer.world_size / max(self._seconds, 1e-9)
        pl_module.log("train/windows_per_second", speed, prog_bar=True)
        pl_module.log("train/padding_share", float(self._padding) / max(self._tokens, 1))
        self._windows = self._tokens = self._padding = 0
        self._seconds = 0.0

"""The two checkpoint callbacks of a run: the best by a score, and the true last."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, Self

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from qa_lightning.callbacks.tracked_run import is_dry
from qa_lightning.errors import InputError
from qa_lightning.folders import locked_folder, room_problems
from qa_lightning.ranges import Rule, check, flag, number, one_of, text, whole
from qa_lightning.saved import checkpoints_need

FOLDER = "checkpoints"
WHOLE = "val/f1"
"""A key that every whole validation logs, and no partial one."""

RULES: dict[str, Rule] = {
    "monitor": text(optional=False, remedy="Name a key that is logged, such as val/f1."),
    "mode": one_of(("max", "min")),
    "dirpath": text(),
    "every_n_train_steps": whole(
        1, optional=True, remedy="null is for each epoch and each validation alone."
    ),
    "every_n_minutes": number(above=0, optional=True, remedy="null is for never."),
    "save_weights_only": flag(),
}


class RunCheckpoint(ModelCheckpoint):
    """Keep checkpoints in the run's folder, and look at them after every validation."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put the folder into the run's folder, whatever the logger."""
        if self.dirpath is None:
            self.dirpath = str(Path(trainer.default_root_dir) / FOLDER)
        super().setup(trainer, pl_module, stage)

    def _should_save_on_train_epoch_end(self, trainer: Trainer) -> bool:
        # Lightning takes a validation after each batch, 1, for one an epoch, 1.0.
        each_batch = type(trainer.val_check_interval) is int
        return not each_batch and super()._should_save_on_train_epoch_end(trainer)


class BestCheckpoint(RunCheckpoint):
    """Keep the best checkpoint by a validation score in ``checkpoints/best.ckpt``.

    A save is passed over while the score is absent, as after a partial pass (Lightning raises).

    Args:
        monitor: logged key that decides.
        mode: ``max`` or ``min``.
        dirpath: folder of both checkpoints; None is ``checkpoints`` in the run's folder.
        every_n_train_steps: also keep ``last.ckpt`` every so many optimizer steps.
        every_n_minutes: and as soon as it is so many minutes old, at the end of an optimizer step:
            a run that is killed loses no more than these. None is never.
        save_weights_only: leave out the optimizer's state (the run cannot be resumed from it).

    Raises:
        InputError: validation does not log ``monitor``.
    """

    def __init__(
        self,
        *,
        monitor: str = "val/f1",
        mode: Literal["max", "min"] = "max",
        dirpath: str | None = None,
        every_n_train_steps: int | None = None,
        every_n_minutes: float | None = 10.0,
        save_weights_only: bool = False,
    ) -> None:
        check(RULES, locals(), prefix="checkpoint.")
        super().__init__(
            dirpath=dirpath,
            filename="best",
            monitor=monitor,
            mode=mode,
            save_weights_only=save_weights_only,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )
        self.last_every_n_train_steps = every_n_train_steps
        self.last_every_n_minutes = every_n_minutes
        self._found: dict[str, Any] | None = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a score that a whole validation does not log: there would never be a best."""
        logged = trainer.callback_metrics
        fitting = trainer.state.fn == TrainerFn.FITTING
        if fitting and WHOLE in logged and self.monitor not in logged:
            known = ", ".join(sorted(key for key in logged if key.startswith("val/")))
            raise InputError(
                f"Expected `checkpoint.monitor` to be a key that validation logs; got "
                f"{self.monitor!r}. Name one of {known}."
            )
        super().on_validation_end(trainer, pl_module)

    def _save_topk_checkpoint(
        self, trainer: Trainer, monitor_candidates: dict[str, Tensor]
    ) -> None:
        if self.monitor in monitor_candidates:
            super()._save_topk_checkpoint(trainer, monitor_candidates)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best score there was, if its checkpoint is here.

        Lightning goes by the folder's name: a run whose folder was moved would overwrite its best,
        and a run that goes on from another one's checkpoint would wait to beat a best it has not.
        What is here is known when training starts: by then another run's results have been moved.
        """
        self._found = state_dict

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over what was loaded."""
        super().on_train_start(trainer, pl_module)
        state_dict, self._found = self._found, None
        path = Path(self.dirpath or ".") / f"{self.filename}.ckpt"
        if state_dict is not None and path.exists() and state_dict["best_k_models"]:
            here: dict[str, Any] = dict.fromkeys(
                ("best_model_path", "kth_best_model_path"), str(path)
            )
            here["best_k_models"] = {str(path): state_dict["best_model_score"]}
            super().load_state_dict({**state_dict, **here, "dirpath": self.dirpath})


class LastCheckpoint(RunCheckpoint):
    """Keep the newest state in ``checkpoints/last.ckpt``.

    It is written after each epoch, each validation within an epoch, the end of training, every
    ``last_every_n_train_steps`` optimizer steps, and whenever `GracefulStop` asks: as it does
    when the file is ``last_every_n_minutes`` old. (Since Lightning 2.6 ``save_last`` of a
    monitored ``ModelCheckpoint`` is written only when a best is.)

    Attributes:
        saved_path: the file, once this run has written it.
        is_held: its folder is held for this run already, as the command line does.
    """

    def __init__(
        self,
        *,
        dirpath: str | None = None,
        last_every_n_train_steps: int | None = None,
        last_every_n_minutes: float | None = None,
    ) -> None:
        super().__init__(
            dirpath=dirpath,
            filename="last",
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )
        self.last_every_n_train_steps = last_every_n_train_steps
        self.last_every_n_minutes = last_every_n_minutes
        self.saved_path: str | None = None
        self._saved_at = time.monotonic()
        self.is_held = False
        self._held = ExitStack()

    @classmethod
    def beside(cls, best: BestCheckpoint) -> Self:
        """Return the last checkpoint's callback for the folder of the best."""
        return cls(
            dirpath=None if best.dirpath is None else str(best.dirpath),
            last_every_n_train_steps=best.last_every_n_train_steps,
            last_every_n_minutes=best.last_every_n_minutes,
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Hold the folder, whoever made the trainer: another run would write over this one's.

        Raises:
            InputError: another run is writing there.
        """
        root = [] if self.dirpath else [Path(trainer.default_root_dir)]
        super().setup(trainer, pl_module, stage)
        places = [*root, Path(self.dirpath or ".")]
        wanted = stage == "fit" and trainer.is_global_zero and not is_dry(trainer)
        if wanted and not self.is_held:
            option = "default_root_dir` or `dirpath"
            with ExitStack() as held:  # both or none
                for place in places:
                    held.enter_context(locked_folder(place, option))
                self._held = held.pop_all()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let go of the folder."""
        self._held.close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Let go of the folder."""
        self._held.close()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over nothing: the last checkpoint is in one place whatever was before."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See that the disk has room for the run's checkpoints.

        Raises:
            InputError: it has not.
        """
        if trainer.is_global_zero and not is_dry(trainer):
            size = checkpoint_size(pl_module)
            for problem in room_problems([checkpoints_need(Path(self.dirpath or "."), size)]):
                raise InputError(problem)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._saved_at = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save every so many optimizer steps, never while gradients are being accumulated."""
        every = self.last_every_n_train_steps
        if every and trainer.global_step % every == 0 and not trainer.fit_loop._should_accumulate():
            self.save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the state that training ended with."""
        self.save(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what a validation has changed, though not the weights: the best, the decision."""
        self._last_global_step_saved = -1
        super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save that the epoch is over, though its last step may be saved already."""
        self._last_global_step_saved = -1
        self.save(trainer)

    def is_late(self) -> bool:
        """Return whether the last save was so long ago that the next is due, by this clock."""
        minutes = self.last_every_n_minutes
        return minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes

    def save(self, trainer: Trainer) -> None:
        """Save now, on all processes, unless this step's state is saved already."""
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        super()._save_checkpoint(trainer, filepath)
        self.saved_path = filepath
        self._saved_at = time.monotonic()


def checkpoint_size(module: LightningModule) -> int:
    """Return about how many bytes a checkpoint will have: weights, and AdamW's two moments."""
    copies = {True: 3, False: 1}
    return sum(
        parameter.numel() * parameter.element_size() * copies[parameter.requires_grad]
        for parameter in module.parameters()
    )

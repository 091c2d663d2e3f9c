"""A place in the training, and Lightning's counters that say the same."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

PHASES = ("ready", "started", "processed", "completed")


@dataclass(frozen=True)
class Place:
    """Say where a training stands: after an optimizer step, or before an epoch.

    Attributes:
        epoch: number of the epoch.
        batch: batches of the epoch that are done; 0: it has not begun.
        batches: batches that are done in all epochs.
        validated: a validation that is due after this batch is over.
        steps_logged: Lightning's count of steps for loggers, this one included.
        stopping: the training is to end, as ``EarlyStopping`` decided.
    """

    epoch: int
    batch: int
    batches: int
    validated: bool
    steps_logged: int
    stopping: bool

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> Self:
        """Return the place of plain values."""
        return cls(**state)

    def write_into(self, fit_loop: dict[str, Any]) -> None:
        """Make the saved state of Lightning's loops say this place.

        Lightning's counters stand differently in each hook that saves, and it guesses from them
        where it was; its guess drops a validation at an epoch's end, and with `max_steps` counts
        an epoch twice. They are put as they stand between two batches.

        Args:
            fit_loop: state of Lightning's fit loop, which is changed.
        """
        begun = int(self.batch > 0)
        for counts in fit_loop["epoch_progress"].values():
            counts.update(dict.fromkeys(PHASES[:2], self.epoch + begun))
            counts.update(dict.fromkeys(PHASES[2:], self.epoch))
        progress = fit_loop["epoch_loop.batch_progress"]
        progress["total"].update(dict.fromkeys(PHASES, self.batches))
        progress["current"].update(dict.fromkeys(PHASES, self.batch))
        progress["is_last_batch"] = progress["is_last_batch"] and begun == 1
        validation = fit_loop["epoch_loop.val_loop.batch_progress"]
        for counts in (validation["total"], validation["current"]):
            counts.update(dict.fromkeys(PHASES, 0))
        validation["is_last_batch"] = False
        fit_loop["epoch_loop.state_dict"]["_batches_that_stepped"] = self.steps_logged

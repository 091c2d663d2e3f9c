"""Where a run's configuration and findings go: files in its folder, W&B, TensorBoard."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from qa_lightning.saved import read_saved
from qa_lightning.trackers.files import FileTracker
from qa_lightning.trackers.interface import Config, Report, Tracker
from qa_lightning.trackers.provenance import git_commit, machine, peak_memory_gib, versions
from qa_lightning.trackers.tensorboard import TensorBoardTracker
from qa_lightning.trackers.wandb import SteadyWandbLogger, WandbTracker

__all__ = [
    "Config",
    "FileTracker",
    "Report",
    "SteadyWandbLogger",
    "TensorBoardTracker",
    "Tracker",
    "WandbTracker",
    "close_loggers",
    "git_commit",
    "machine",
    "peak_memory_gib",
    "saved_identities",
    "steady_loggers",
    "trackers_of",
    "versions",
]

TRACKERS: dict[type[Logger], type[Any]] = {
    WandbLogger: WandbTracker,
    TensorBoardLogger: TensorBoardTracker,
}
"""A logger's tracker; another kind of logger has none."""

IDENTITIES = "tracker_identities"
"""Key of the identities in a callback's state."""


def trackers_of(loggers: Sequence[Logger], folder: Path) -> dict[str, Tracker]:
    """Return the loggers' trackers by name, and the one that writes the run's own files.

    Call it on rank zero only, after the setup of the run: the loggers' runs are begun.
    """
    found: dict[str, Tracker] = {
        kind.__name__: tracker(logger)
        for logger in loggers
        for kind, tracker in TRACKERS.items()
        if isinstance(logger, kind)
    }
    return found | {FileTracker.__name__: FileTracker(folder)}


def steady_loggers(
    loggers: Sequence[Logger], *, folder: Path, checkpoint: str | None = None
) -> list[Logger]:
    """Return the loggers, W&B's made steady: see `SteadyWandbLogger`.

    Args:
        loggers: a trainer's, before it runs.
        folder: the run's, where W&B's files go if the user named no place.
        checkpoint: the one to resume from, whose W&B run is continued.
    """
    saved = saved_identities(checkpoint).get(WandbLogger.__name__)
    return [
        SteadyWandbLogger.in_place_of(logger, folder=folder, saved=saved)
        if isinstance(logger, WandbLogger) and type(logger) is WandbLogger
        else logger
        for logger in loggers
    ]


def close_loggers(loggers: Sequence[Logger], *, failed: bool) -> None:
    """End the runs that would otherwise last as long as the process."""
    for logger in loggers:
        if isinstance(logger, SteadyWandbLogger):
            logger.close(failed=failed)


def saved_identities(checkpoint: str | None) -> Mapping[str, Mapping[str, str]]:
    """Return the identities of the trackers' runs that a checkpoint on disk belongs to."""
    if checkpoint is None or not Path(checkpoint).is_file():
        return {}
    states = (read_saved(checkpoint).get("callbacks") or {}).values()
    found = (
        state[IDENTITIES] for state in states if isinstance(state, dict) and IDENTITIES in state
    )
    return next(found, {})

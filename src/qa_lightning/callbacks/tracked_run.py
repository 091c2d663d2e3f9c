"""What trackers are told of a trainer: its splits, its step, what its results depend on."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import datasets
from lightning.pytorch import Trainer

from qa_lightning.alignment import AlignmentAudit
from qa_lightning.trackers import git_commit, machine, versions

_SPLITS = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}


class Split(Protocol):
    """What the callback reads of a prepared split."""

    @property
    def examples(self) -> datasets.Dataset:
        """Return the examples."""

    @property
    def features(self) -> datasets.Dataset:
        """Return the windows."""

    @property
    def audit(self) -> AlignmentAudit | None:
        """Return what alignment did."""

    @property
    def fingerprint(self) -> str:
        """Return the hash of all that the split was made from."""

    @property
    def content(self) -> str:
        """Return that hash without the draw of windows, which differs between seeds."""


def provenance(trainer: Trainer) -> dict[str, Any]:
    """Return what a run's results depend on beside its configuration."""
    splits = splits_of(trainer)
    train = splits.get("train")
    return {
        "command": trainer.state.fn.value if trainer.state.fn else None,
        "git_commit": git_commit(),
        "versions": versions(),
        "data_fingerprint": {name: split.fingerprint for name, split in splits.items()},
        "data_content": {name: split.content for name, split in splits.items()},
        "label_audit": train.audit.to_dict() if train is not None and train.audit else None,
        "splits": {
            name: {"questions": len(split.examples), "windows": len(split.features)}
            for name, split in splits.items()
        },
        "machine": machine(),
        "processes": trainer.world_size,
    }


def hyper_parameters(trainer: Trainer) -> dict[str, Any]:
    """Return what the module and the datamodule were made with, as plain values."""
    parts = {"model": trainer.lightning_module, "data": trainer.datamodule}  # type: ignore[attr-defined]
    given = {name: dict(part.hparams) for name, part in parts.items() if part is not None}
    plain: dict[str, Any] = json.loads(json.dumps(given, default=str))
    return plain


def shareable(config: Any, root: Path) -> Any:
    """Return a configuration in which no path names a person, to send to a server.

    Paths below the run's folder are told from there, those below the home folder from ``~``.

    Args:
        config: plain values.
        root: the run's folder.
    """
    if isinstance(config, Mapping):
        return {key: shareable(value, root) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [shareable(value, root) for value in config]
    if not isinstance(config, str) or "/" not in config:
        return config
    text = config.replace(f"{root.absolute()}/", "")
    home = str(Path.home())
    if home != "/":
        text = re.sub(rf"{re.escape(home)}(?=/|$)", "~", text)
    return text


def last_step(trainer: Trainer) -> int:
    """Return the number of the last optimizer step, from 0: where Lightning logs a validation."""
    if trainer.state.fn == "fit":
        return max(0, trainer.global_step - 1)
    return trainer.fit_loop.epoch_loop._batches_that_stepped


def logging_interval(steps: float) -> int:
    """Return how many steps there are between two points of a training's curves.

    >>> logging_interval(60), logging_interval(2_500), logging_interval(float("inf"))
    (1, 25, 50)
    """
    return int(max(1, min(50, steps // 100)))


def splits_of(trainer: Trainer) -> dict[str, Split]:
    """Return the splits that the trainer's command prepared, by name."""
    command = trainer.state.fn
    names = _SPLITS.get(command.value, ()) if command else ()
    data = trainer.datamodule  # type: ignore[attr-defined]
    return {name: data.split(name) for name in names} if data is not None else {}


def is_in_memory(trainer: Trainer) -> bool:
    """Tell whether the data was given in memory: its texts are for this run's files alone."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    return bool(getattr(data, "hparams", {}).get("in_memory"))


def is_dry(trainer: Trainer) -> bool:
    """Tell whether a run is to leave nothing behind."""
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]

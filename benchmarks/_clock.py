"""Time the training of a run that is started by the command line."""

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from _runs import CLOCK_FILE, Stopwatch


class TrainingClock(pl.Callback):
    """Write the seconds of the training loop, validation left out, and the windows it saw.

    ``clock.json`` in the run's folder holds them. In a YAML file: ``class_path:
    _clock.TrainingClock``, with this folder in ``PYTHONPATH``.
    """

    def __init__(self) -> None:
        self._watch = Stopwatch()
        self._windows = 0

    def on_train_start(self, *_: Any) -> None:
        self._watch.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        self._windows += len(batch["input_ids"])

    def on_validation_start(self, *_: Any) -> None:
        self._watch.stop()

    def on_validation_end(self, *_: Any) -> None:
        self._watch.start()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._watch.stop()
        record = {**self._watch.record(), "windows": self._windows}
        path = Path(trainer.default_root_dir) / CLOCK_FILE
        path.write_text(json.dumps(record), encoding="utf-8")

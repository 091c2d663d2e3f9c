"""Tell the trackers of a run: its configuration once, a report after each whole evaluation."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from qa_lightning.callbacks.assessment import Assessment
from qa_lightning.callbacks.evaluation import AnswerEvaluation
from qa_lightning.callbacks.run_page import write_page
from qa_lightning.callbacks.tracked_run import (
    hyper_parameters,
    is_dry,
    is_in_memory,
    last_step,
    logging_interval,
    provenance,
    shareable,
    splits_of,
)
from qa_lightning.callbacks.tracking_report import (
    Watched,
    answers_worth_a_look,
    in_shards,
    label_figures,
    report_of,
    watched_tensors,
    without_texts,
)
from qa_lightning.ranges import SEEDS, Rule, check, flag, one_of, whole
from qa_lightning.reports.tables import MAX_ROWS
from qa_lightning.saved import read_saved
from qa_lightning.trackers import (
    IDENTITIES,
    FileTracker,
    Report,
    Tracker,
    peak_memory_gib,
    trackers_of,
)

FOLDER = "reports"
RULES: dict[str, Rule] = {
    "table_rows": whole(1, MAX_ROWS),
    "upload_checkpoint": flag(),
    "watch": one_of(get_args(Watched), optional=True),
    "watch_every": whole(1),
    "seed": whole(0, SEEDS),
}


class RunTracking(Callback):
    """Send configuration, answer tables, slices and curves to W&B, TensorBoard or files.

    Files are written into ``reports`` in the run's folder, whatever the logger: they are what is
    read of a run later. All of it is done on rank zero, and nothing waits for another process.
    Partial passes are left out.

    Args:
        table_rows: the most answers in the table of an evaluation.
        upload_checkpoint: keep the best checkpoint as an artifact when ``fit`` has ended.
        watch: distributions to follow in training: ``gradients``, ``parameters`` or ``all``.
        watch_every: optimizer steps between two looks.
        seed: of the random part of the answer table.

    Attributes:
        config: the resolved configuration, plain values; the command line sets it. Empty: what
            module and datamodule were made with is sent in its place.
        scores: of each whole validation, by the optimizer steps before it; a resumed run has those
            of the run before.
        chooses_steps: log a hundred points of a short training, and of a long one every fifty
            steps; the command line sets it where `trainer.log_every_n_steps` is left out.

    Raises:
        InputError: a value out of range.
    """

    def __init__(
        self,
        *,
        table_rows: int = MAX_ROWS,
        upload_checkpoint: bool = False,
        watch: Watched | None = None,
        watch_every: int = 100,
        seed: int = 0,
    ) -> None:
        self.table_rows = table_rows
        self.upload_checkpoint = upload_checkpoint
        self.watch = watch
        self.watch_every = watch_every
        self.seed = seed
        check(RULES, vars(self), prefix="tracking.")
        self.config: Mapping[str, Any] = {}
        self.chooses_steps = False
        self.scores: dict[int, dict[str, float]] = {}
        self._trackers: dict[str, Tracker] = {}
        self._has_begun = self._in_memory = False
        self._seen: Assessment | None = None
        self._previous: dict[str, dict[str, str]] = {}
        self._began_at = 0.0
        self._fit_began_at = 0.0
        self._trained_steps: int | None = None
        self._kept_step = 0

    # The first of these hooks that is called finds all that `setup` prepares.

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock; nothing is written before a checkpoint to go on from has been read."""
        self._fit_began_at = time.perf_counter()
        if self.chooses_steps:
            trainer.log_every_n_steps = 1  # type: ignore[attr-defined]  # until it is known

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the configuration if nothing has yet, and the figures of the labels.

        They stand at the step that a resumed run goes on from.
        """
        self._begin(trainer)
        self._kept_step = trainer.global_step
        if self.chooses_steps:
            steps = float(trainer.estimated_stepping_batches)
            trainer.log_every_n_steps = logging_interval(steps)  # type: ignore[attr-defined]
        train = splits_of(trainer).get("train")
        if self._trackers and train is not None and train.audit is not None:
            report = Report("train", last_step(trainer), *label_figures(train.audit))
            for tracker in self._trackers.values():
                tracker.log_report(report)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Number what ``validate`` and ``test`` log by the checkpoint; Lightning would say 0."""
        if trainer.state.fn != "fit":
            loop = trainer.fit_loop.epoch_loop
            self._trained_steps = loop._batches_that_stepped
            loop._batches_that_stepped = max(0, checkpoint["global_step"] - 1)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the trainer its own count back: it may train next."""
        if self._trained_steps is not None:
            trainer.fit_loop.epoch_loop._batches_that_stepped = self._trained_steps
            self._trained_steps = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the configuration if nothing has yet, and start the clock."""
        self._begin(trainer)
        self._began_at = time.perf_counter()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the configuration, and start the clock."""
        self._begin(trainer)
        self._began_at = time.perf_counter()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the configuration."""
        self._begin(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the report of the validation."""
        self._report(trainer, "val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send the report of the test, and write the run's page."""
        self._report(trainer, "test")
        self._write_page(trainer, "test")

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Send distributions, every so many steps."""
        if not self.watch or trainer.global_step % self.watch_every:
            return
        if self._trackers or in_shards(pl_module):  # shards come from all processes
            values = dict(watched_tensors(pl_module, self.watch))
            for tracker in self._trackers.values():
                tracker.log_histograms(values, step=trainer.global_step)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Keep the figures of training in the run's own files; loggers have them already."""
        step, every = trainer.global_step, trainer.log_every_n_steps  # type: ignore[attr-defined]
        files = self._trackers.get(FileTracker.__name__)
        if files is None or not every or step % every or step == self._kept_step:
            return
        self._kept_step = step
        logged = trainer.callback_metrics.items()
        figures = {name: float(value) for name, value in logged if name.startswith("train/")}
        files.log_report(Report("train", last_step(trainer), scores=figures))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the run's page, and send the best checkpoint."""
        self._write_page(trainer, "val")
        best = trainer.checkpoint_callback
        if not (self.upload_checkpoint and self._trackers and isinstance(best, ModelCheckpoint)):
            return
        path = Path(best.best_model_path)
        if path.is_file():
            for tracker in self._trackers.values():
                tracker.log_checkpoint(path, scores=self._scores_of(path, best))

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let nothing be lost that a run which goes on from here does not send again."""
        for tracker in self._trackers.values():
            tracker.settle()

    def state_dict(self) -> dict[str, Any]:
        """Return what a later process needs to continue the trackers' runs, and to compare."""
        known = {name: entry.identity() for name, entry in self._trackers.items()}
        return {
            IDENTITIES: {name: identity for name, identity in known.items() if identity},
            "scores": self.scores,
            "previous": {} if self._in_memory else self._previous,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the scores and answers to compare with."""
        self.scores = dict(state_dict.get("scores", {}))
        self._previous = dict(state_dict.get("previous", {}))

    def _begin(self, trainer: Trainer) -> None:
        if self._has_begun or not trainer.is_global_zero or is_dry(trainer):
            return
        self._has_begun, self._in_memory = True, is_in_memory(trainer)
        root = Path(trainer.default_root_dir)
        self._trackers = trackers_of(trainer.loggers, root / FOLDER)
        config = self.config or hyper_parameters(trainer)
        config = shareable({**config, "provenance": provenance(trainer)}, root)
        for tracker in self._trackers.values():
            tracker.log_config(config)

    def _report(self, trainer: Trainer, stage: str) -> None:
        assessment = _latest(trainer)
        if not self._trackers or assessment is None or assessment is self._seen:
            return
        self._seen = assessment
        split = splits_of(trainer)[stage]
        report = report_of(
            assessment,
            split,
            stage=stage,
            step=last_step(trainer),
            answers=answers_worth_a_look(
                assessment,
                split,
                previous=self._previous.get(stage, {}),
                limit=self.table_rows,
                seed=self.seed,
            ),
            figures=self._speed(stage, len(split.features)),
        )
        self._previous[stage] = {answer.id: answer.text for answer in assessment.answers}
        if stage == "val":
            self.scores[trainer.global_step] = {k: float(v) for k, v in assessment.scores.items()}
        shared = without_texts(report) if self._in_memory else report
        for tracker in self._trackers.values():
            tracker.log_report(report if isinstance(tracker, FileTracker) else shared)

    def _write_page(self, trainer: Trainer, stage: str) -> None:
        """Write the page of the run, with the best scores in reach."""
        if not self._trackers:
            return
        figures = {"speed/peak_memory_gib": peak_memory_gib()}
        if stage == "val":
            figures["speed/fit_seconds"] = time.perf_counter() - self._fit_began_at
        for tracker in self._trackers.values():
            tracker.log_report(Report("train", last_step(trainer), facts=figures))
        write_page(trainer, stage)

    def _speed(self, stage: str, windows: int) -> dict[str, float]:
        seconds = time.perf_counter() - self._began_at
        return {
            f"speed/{stage}_seconds": seconds,
            f"speed/{stage}_windows_per_second": windows / max(seconds, 1e-9),
        }

    def _scores_of(self, path: Path, best: ModelCheckpoint) -> dict[str, float]:
        """Return the scores of a checkpoint."""
        step = int(read_saved(path)["global_step"])
        scores = self.scores.get(step, {})
        if best.monitor and best.best_model_score is not None:
            scores = {**scores, best.monitor: float(best.best_model_score)}
        return {**scores, "global_step": float(step)}


def _latest(trainer: Trainer) -> Assessment | None:
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    found = (each.latest for each in callbacks if isinstance(each, AnswerEvaluation))
    return next(found, None)

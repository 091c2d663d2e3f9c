"""Weights & Biases: the tracker, and a logger that goes on offline and continues its run."""

import logging
import os
import time
from collections.abc import Mapping, Set
from functools import partial
from pathlib import Path
from typing import Any, Self

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from qa_lightning.errors import InputError
from qa_lightning.reports.drawing import Bars, Chart, Line
from qa_lightning.reports.tables import Table
from qa_lightning.trackers.interface import Config, Report, Tracker, without_nulls

_log = logging.getLogger(__name__)

STEP = "trainer/global_step"
_FLUSHING = "x_transaction_log_flush_interval"
_FLUSHED_EVERY = 0.1
"""Seconds after which W&B's own process has written rows to its file: at 15, a kill loses more."""
_MAXIMA = (
    *("exact_match", "f1", "best_exact", "best_f1"),
    *("HasAns_exact", "HasAns_f1", "NoAns_exact", "NoAns_f1"),
)


class SteadyWandbLogger(WandbLogger):
    """A `WandbLogger` that does not stop a run, and continues one.

    Where W&B refuses to begin (no key and no terminal to ask for one, or no network) it says so
    in one line and goes on offline; ``wandb sync`` uploads the run later.
    """

    @classmethod
    def in_place_of(
        cls, logger: WandbLogger, *, folder: Path | None = None, saved: Mapping[str, str] | None
    ) -> Self:
        """Return a steady logger with another's settings, which has not begun its run.

        Args:
            logger: the one given by the user.
            folder: where its files go, if the user named no place.
            saved: identity of the run to continue (`Tracker.identity`). It is not looked at if
                the user named a run, or if the run is another project's.
        """
        steady = cls.__new__(cls)
        steady.__dict__.update(vars(logger))
        steady._wandb_init = dict(steady._wandb_init)
        if steady._wandb_init.get("anonymous") is None:
            steady._wandb_init.pop("anonymous", None)  # W&B warns of the name alone
        if folder is not None and steady._save_dir in (None, "."):
            steady._save_dir = steady._wandb_init["dir"] = str(folder)
        named = steady._id or os.environ.get("WANDB_RUN_ID")
        if saved and not named and saved.get("project") == steady._project:
            steady._id = steady._wandb_init["id"] = saved["id"]
        return steady

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Return W&B's run, begun at first use; a dummy on other ranks."""
        if self._experiment is None:
            self._begin()
        return super().experiment

    def close(self, *, failed: bool = False) -> None:
        """End W&B's run, if one was begun here: its file is whole, another run may begin."""
        import wandb

        if self._experiment is None:
            return
        self._experiment.finish(exit_code=int(failed))
        self._experiment = None
        if wandb.run is None:
            wandb.teardown()  # `finish` does not wait for the last block of an offline file

    def _begin(self) -> None:
        from wandb import Settings
        from wandb.errors import CommError, UsageError

        # W&B would send the command line and the program's path as they are, with the user's name.
        if self._wandb_init.get("settings") is None:
            ours: dict[str, Any] = {
                "x_disable_meta": True,
                "disable_git": True,
            }  # we send the commit
            if _FLUSHING in Settings.model_fields:  # since 0.31
                ours[_FLUSHING] = _FLUSHED_EVERY
            self._wandb_init["settings"] = Settings(**ours)
        # wandb would write to a temporary folder in place of one that does not exist.
        Path(self._save_dir or ".").mkdir(parents=True, exist_ok=True)
        try:
            _ = super().experiment
        except (UsageError, CommError) as error:
            self._begin_offline(str(error).splitlines()[0].rstrip("."))

    def _begin_offline(self, reason: str) -> None:
        from wandb.errors import UsageError

        self._wandb_init["mode"] = "offline"
        try:
            _ = super().experiment
        except UsageError as error:  # of the arguments, which it was the first time too
            raise InputError(
                f"Expected arguments of the logger that W&B takes; it says: {error}"
            ) from error
        _log.warning(
            "W&B could not begin a run (%s): this one goes on offline, and `wandb sync` uploads "
            "it later from %s",
            reason,
            self._save_dir or ".",
        )


class WandbTracker(Tracker):
    """Send configuration, tables and charts to a W&B run.

    Nothing is logged with W&B's own ``step``, which only ever increases and belongs to Lightning's
    logger: every row names ``trainer/global_step``.
    """

    def __init__(self, logger: WandbLogger) -> None:
        self._run = logger.experiment
        self._project = str(logger.name)

    def log_config(self, config: Config) -> None:
        """Send the configuration, nested; a continued run takes the newer values."""
        told = (config.get(key, {}).get("language") for key in ("data", "evaluation"))
        self._define_metrics({language for language in told if language is not None})
        self._run.config.update(without_nulls(config), allow_val_change=True)

    def _define_metrics(self, languages: Set[str]) -> None:
        # By full names: which of two patterns counts is left to chance, and Lightning defines `*`.
        define = partial(self._run.define_metric, step_metric=STEP, step_sync=True)
        suffixes = ["_repaired", *(f"_{language}" for language in sorted(languages))]
        further = [f"{name}{suffix}" for name in ("exact_match", "f1") for suffix in suffixes]
        for stage in ("val", "test"):
            for name in (*_MAXIMA, *further):
                define(f"{stage}/{name}", summary="max,last")
        for stage in ("train", "val", "test"):
            define(f"{stage}/loss", summary="min,last")

    def log_report(self, report: Report) -> None:
        """Send a report as one row, with new immutable tables; facts to the summary alone."""
        self._run.summary.update(dict(report.facts))
        row: dict[str, Any] = {STEP: report.step, **report.scalars}
        row |= {key: _table(table) for key, table in report.tables.items()}
        row |= {key: _plot(chart) for key, chart in report.charts.items()}
        if len(row) > 1:
            self._run.log(row)

    def log_histograms(self, values: Mapping[str, Tensor], *, step: int) -> None:
        """Send distributions."""
        import wandb

        row = {key: wandb.Histogram(value.numpy()) for key, value in values.items()}
        self._run.log({STEP: step, **row})

    def log_checkpoint(self, path: Path, *, scores: Mapping[str, float]) -> None:
        """Send the checkpoint as the newest version of the run's model artifact."""
        import wandb

        artifact = wandb.Artifact(f"model-{self._run.id}", type="model", metadata=dict(scores))
        artifact.add_file(str(path), name=path.name)
        self._run.log_artifact(artifact, aliases=["best", "latest"])

    def settle(self) -> None:
        """Wait until W&B's own process, which dies with a killed one, has written all rows."""
        if self._run.offline:
            time.sleep(3 * _FLUSHED_EVERY)

    def identity(self) -> dict[str, str]:
        """Return the run's id and project."""
        return {"id": str(self._run.id), "project": self._project}


def _table(table: Table) -> Any:
    import wandb

    return wandb.Table(columns=list(table.columns), data=[list(row) for row in table.rows])


def _plot(chart: Chart) -> Any:
    import wandb

    if isinstance(chart, Bars):
        bars = Table(("part", chart.value_label), chart.bars)
        return wandb.plot.bar(_table(bars), "part", chart.value_label, title=chart.title)
    columns = (chart.x_label, chart.y_label, "line")
    diagonal = (Line("x = y", ((0.0, 0.0), (1.0, 1.0))),) if chart.diagonal else ()
    lines = (*chart.lines, *diagonal)
    rows = tuple((x, y, line.name) for line in lines for x, y in line.points)
    return wandb.plot.line(
        _table(Table(columns, rows)),
        chart.x_label,
        chart.y_label,
        stroke="line",
        title=chart.title,
    )

"""The tracker that every run has, whatever its logger: files in the run's folder."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from qa_lightning.reports.drawing import draw, to_svg
from qa_lightning.reports.tables import to_csv
from qa_lightning.reports.writing import replace_file
from qa_lightning.trackers.interface import Config, Report, Tracker


class FileTracker(Tracker):
    """Write CSV tables and SVG charts into ``<folder>/<stage>/``, the latest evaluation's.

    ``history.csv`` beside them grows by the figures of each evaluation, in ``train`` by those of
    the labels and of training. The configuration of each command stands in
    ``<folder>/<command>.json``.

    Args:
        folder: made with its parents at the first write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def log_config(self, config: Config) -> None:
        """Write the configuration of the command."""
        text = json.dumps(config, indent=2, ensure_ascii=False, default=str)
        command = config.get("provenance", {}).get("command", "run")
        _replace(self.folder / f"{command}.json", text + "\n")

    def log_report(self, report: Report) -> None:
        """Write the tables and charts in place of the evaluation's before; add to the history."""
        folder = self.folder / report.stage
        for key, table in report.tables.items():
            _replace(folder / f"{_last_part(key)}.csv", to_csv(table))
        for key, chart in report.charts.items():
            _replace(folder / f"{_last_part(key)}.svg", to_svg(draw(chart)))
        self._extend(folder / "history.csv", {**report.scores, **report.scalars}, report.step)

    def log_histograms(self, values: Mapping[str, Tensor], *, step: int) -> None:
        """Add the tensors' norms to ``histograms.csv``: a file has no place for distributions."""
        norms = {f"norm/{key}": float(value.norm()) for key, value in values.items()}
        self._extend(self.folder / "histograms.csv", norms, step)

    def log_checkpoint(self, path: Path, *, scores: Mapping[str, float]) -> None:
        """Do nothing: the checkpoint is in the run's folder."""

    def _extend(self, path: Path, figures: Mapping[str, float], step: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if is_new:
                writer.writerow(("step", "name", "value"))
            writer.writerows((step, name, value) for name, value in figures.items())


def _last_part(key: str) -> str:
    return key.rsplit("/", 1)[-1]


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, (text,))

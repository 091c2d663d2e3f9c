"""The tracker that every run has, whatever its logger: files in the run's folder."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from qa_lightning.reports.drawing import draw, to_svg
from qa_lightning.reports.tables import to_csv
from qa_lightning.reports.writing import replace_file
from qa_lightning.trackers.interface import Config, Report, Tracker

_COLUMNS = ["step", "name", "value"]


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
        self._newest: dict[Path, int] = {}

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
        self._extend(
            folder / "history.csv", {**report.scores, **report.scalars, **report.facts}, report.step
        )

    def log_histograms(self, values: Mapping[str, Tensor], *, step: int) -> None:
        """Add the tensors' norms to ``histograms.csv``: a file has no place for distributions."""
        norms = {f"norm/{key}": float(value.norm()) for key, value in values.items()}
        self._extend(self.folder / "histograms.csv", norms, step)

    def log_checkpoint(self, path: Path, *, scores: Mapping[str, float]) -> None:
        """Do nothing: the checkpoint is in the run's folder."""

    def _extend(self, path: Path, figures: Mapping[str, float], step: int) -> None:
        """Add rows; those that a run which goes on from an earlier step replays are replaced."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path not in self._newest:
            self._newest[path] = max((int(row[0]) for row in _rows_of(path)), default=-1)
        if step <= self._newest[path] or not path.exists():
            kept = [row for row in _rows_of(path) if int(row[0]) != step or row[1] not in figures]
            kept += [[str(step), name, str(value)] for name, value in figures.items()]
            kept.sort(key=lambda row: int(row[0]))
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([_COLUMNS, *kept])
            _replace(path, text.getvalue())
        else:
            with path.open("a", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerows((step, name, value) for name, value in figures.items())
        self._newest[path] = max(self._newest[path], step)


def _rows_of(path: Path) -> list[list[str]]:
    """Return the whole rows of a history: a kill may have cut the last."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    return [row for row in rows if len(row) == len(_COLUMNS) and row[0].lstrip("-").isdigit()]


def _last_part(key: str) -> str:
    return key.rsplit("/", 1)[-1]


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, (text,))

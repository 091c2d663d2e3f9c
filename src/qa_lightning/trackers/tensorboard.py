"""TensorBoard: tables as text, charts as images, the configuration as text and hparams."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from qa_lightning.reports.drawing import Box, Chart, Label, draw
from qa_lightning.reports.tables import to_markdown
from qa_lightning.trackers.interface import Config, Report, Tracker, without_nulls

_SCORES = ("val/f1", "val/exact_match", "val/loss")
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


class TensorBoardTracker(Tracker):
    """Write configuration, tables and charts into the event file of a TensorBoard logger."""

    def __init__(self, logger: TensorBoardLogger) -> None:
        self._writer = logger.experiment

    def log_config(self, config: Config) -> None:
        """Write the configuration as text, and flat as hparams with the main scores."""
        from torch.utils.tensorboard.summary import hparams

        config = without_nulls(config)
        text = json.dumps(config, indent=2, ensure_ascii=False, default=str)
        self._writer.add_text("config", f"```json\n{text}\n```")
        # The writer's own `add_hparams` opens a second run, and makes up a value of each score.
        scores = dict.fromkeys(_SCORES, 0.0)
        made = {key: value for key, value in config.items() if key != "provenance"}
        for summary in hparams(dict(_flat(made)), scores):  # type: ignore[no-untyped-call]
            self._writer._get_file_writer().add_summary(summary)

    def log_report(self, report: Report) -> None:
        """Write figures, tables and charts."""
        for key, value in {**report.scalars, **report.facts}.items():
            self._writer.add_scalar(key, value, report.step)
        for key, table in report.tables.items():
            self._writer.add_text(key, to_markdown(table), report.step)
        for key, chart in report.charts.items():
            self._writer.add_image(key, _image(chart), report.step, dataformats="HWC")
        self._writer.flush()

    def log_histograms(self, values: Mapping[str, Tensor], *, step: int) -> None:
        """Write distributions."""
        for key, value in values.items():
            self._writer.add_histogram(key, value, step)

    def log_checkpoint(self, path: Path, *, scores: Mapping[str, float]) -> None:
        """Do nothing: TensorBoard stores no files."""


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}/")
        else:
            yield name, value if isinstance(value, bool | int | float | str) else str(value)


def _image(chart: Chart) -> npt.NDArray[np.uint8]:
    """Return a chart's pixels; TensorBoard, which brings Pillow, shows no SVG."""
    from PIL import Image, ImageDraw

    drawing = draw(chart)
    image = Image.new("RGB", (drawing.width, drawing.height), "white")
    pen = ImageDraw.Draw(image)
    for shape in drawing.shapes:
        if isinstance(shape, Label):
            place = (shape.x, shape.y)
            pen.text(place, shape.text, fill=shape.color, anchor=_ANCHORS[shape.anchor])
        elif isinstance(shape, Box):
            corner = (shape.left + shape.width, shape.top + shape.height)
            pen.rectangle(((shape.left, shape.top), corner), fill=shape.color)
        else:
            pen.line(list(shape.points), fill=shape.color, width=max(1, round(shape.width)))
    return np.asarray(image)

"""What a callback tells a tracker, whichever it is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from qa_lightning.reports.drawing import Chart
from qa_lightning.reports.tables import Table

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Report:
    """Hold what is shown of one whole evaluation, beside the scores that Lightning logs.

    Keys group panels by their first part: ``val/``, ``test/``, ``label/``, ``speed/``,
    ``calibration/``.

    Attributes:
        stage: ``val`` or ``test``.
        step: number of the last optimizer step from 0, as Lightning numbers what it logs.
        scalars: further figures, which make curves.
        facts: figures that a run has once: a curve of one point would be a panel for nothing.
        scores: what Lightning logs of it; for trackers without a logger.
        tables: tables of plain values.
        charts: curves and bars.
    """

    stage: str
    step: int
    scalars: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    charts: Mapping[str, Chart] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)


class Tracker(ABC):
    """Keep a run's configuration and findings where people look at them.

    Everything is called on rank zero only, once the logger's run exists.
    """

    @abstractmethod
    def log_config(self, config: Config) -> None:
        """Keep the run's whole configuration, nested; called once a run."""

    @abstractmethod
    def log_report(self, report: Report) -> None:
        """Keep the report of an evaluation."""

    @abstractmethod
    def log_histograms(self, values: Mapping[str, Tensor], *, step: int) -> None:
        """Keep the distributions of some tensors."""

    @abstractmethod
    def log_checkpoint(self, path: Path, *, scores: Mapping[str, float]) -> None:
        """Keep the best checkpoint with its scores, where the tracker stores files elsewhere."""

    def settle(self) -> None:  # noqa: B027  # most have nothing to wait for
        """Return when all that was told so far outlives this process."""

    def identity(self) -> dict[str, str]:
        """Return what a later process needs to continue this run, as plain values."""
        return {}


def without_nulls(config: Config) -> dict[str, Any]:
    """Return a configuration without what is null or empty: whoever reads it looks for values.

    >>> without_nulls({"a": None, "b": {"c": None}, "d": {"e": 0, "f": None}})
    {'d': {'e': 0}}
    """
    kept = {
        key: without_nulls(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
    }
    return {key: value for key, value in kept.items() if value is not None and value != {}}

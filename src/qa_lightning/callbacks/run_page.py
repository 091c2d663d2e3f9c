"""Write the page of a run when it has ended."""

import logging
from collections.abc import Iterator
from pathlib import Path

from datasets import Dataset
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import RichProgressBar

from qa_lightning.alignment import answer_ceiling
from qa_lightning.bars import Bars, Progress
from qa_lightning.callbacks.tracked_run import splits_of
from qa_lightning.errors import InputError
from qa_lightning.reports.audit.files import write_json
from qa_lightning.reports.run import REPORT, run_page
from qa_lightning.reports.writing import write_whole

_MOST_LOOKED_AT = 1_000  # questions, for the best scores in reach: seconds, not minutes
_log = logging.getLogger(__name__)


def write_page(trainer: Trainer, stage: str) -> None:
    """Write the page of a run, and the best scores that any span can reach on its labels.

    A page that cannot be written is told of, and the run goes on: its results are there.

    Args:
        trainer: of the run.
        stage: ``val`` or ``test``.
    """
    folder, split = Path(trainer.default_root_dir), splits_of(trainer).get(stage)
    bar = trainer.progress_bar_callback
    if isinstance(bar, RichProgressBar):
        bar._stop_progress()  # of what has ended; one bar at a time
    try:
        with Bars(shown=None if bar is not None else False) as bars:
            if split is not None and (folder / "answers" / stage / "questions.json").is_file():
                _write_ceiling(folder / "reports" / stage / "ceiling.json", split.examples, bars)
            bars("the run's page", 0)
            write_whole(folder / REPORT, (run_page(folder, stage=_shown(folder, stage)),))
    except (InputError, OSError, KeyError, TypeError, ValueError) as error:
        _log.warning("The run's page is not written (%s): `qa-lightning report` does it.", error)


def _shown(folder: Path, stage: str) -> str | None:
    """Return the stage if it was evaluated: the page is of what has just ended."""
    return stage if (folder / "answers" / stage / "questions.json").is_file() else None


def _write_ceiling(path: Path, examples: Dataset, progress: Progress) -> None:
    step = max(1, -(-len(examples) // _MOST_LOOKED_AT))
    columns = examples.select_columns(["context", "answers"])
    looked_at = columns.select(range(0, len(examples), step))

    def rows() -> Iterator[tuple[str, list[str]]]:
        for row in looked_at:
            progress("the best scores in reach", 1, len(looked_at))
            yield row["context"], list(row["answers"]["text"])

    write_json(path, answer_ceiling(rows())._asdict())

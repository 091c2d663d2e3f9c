"""Write the page of a run when it has ended."""

import logging
from pathlib import Path

from qa_lightning.alignment import answer_ceiling
from qa_lightning.callbacks.tracked_run import Split
from qa_lightning.errors import InputError
from qa_lightning.reports.audit.files import write_json
from qa_lightning.reports.run import REPORT, run_page
from qa_lightning.reports.writing import write_whole

_MOST_LOOKED_AT = 1_000  # questions, for the best scores in reach: seconds, not minutes
_log = logging.getLogger(__name__)


def write_page(folder: Path, split: Split | None, stage: str) -> None:
    """Write the page of a run, and the best scores that any span can reach on its labels.

    A page that cannot be written is told of, and the run goes on: its results are there.

    Args:
        folder: the run's.
        split: that was evaluated; None if none was.
        stage: ``val`` or ``test``.
    """
    try:
        if split is not None and (folder / "answers" / stage / "questions.json").is_file():
            _write_ceiling(folder / "reports" / stage / "ceiling.json", split)
        write_whole(folder / REPORT, (run_page(folder, stage=_shown(folder, stage)),))
    except (InputError, OSError, KeyError, TypeError, ValueError) as error:
        _log.warning("The run's page is not written (%s): `qa-lightning report` does it.", error)


def _shown(folder: Path, stage: str) -> str | None:
    """Return the stage if it was evaluated: the page is of what has just ended."""
    return stage if (folder / "answers" / stage / "questions.json").is_file() else None


def _write_ceiling(path: Path, split: Split) -> None:
    step = max(1, -(-len(split.examples) // _MOST_LOOKED_AT))
    columns = split.examples.select_columns(["context", "answers"])
    looked_at = columns.select(range(0, len(split.examples), step))
    rows = ((row["context"], list(row["answers"]["text"])) for row in looked_at)
    write_json(path, answer_ceiling(rows)._asdict())

"""A run's folder → what it answered, how it was made; the files alone, no data and no network."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import yaml

from qa_lightning.bounds import check_yaml
from qa_lightning.errors import InputError

Json = dict[str, Any]

STAGES: Final = ("test", "val")
_COMMANDS: Final = ("fit", "validate", "test", "predict")
_NEEDED: Final = ("question", "context", "golds", "confidence", "parts")


@dataclass(frozen=True)
class EvaluatedRun:
    """Hold what a run answered to the questions of a split.

    Attributes:
        folder: the run's.
        stage: ``val`` or ``test``.
        answers: folder of the evaluation's files.
        questions: id → what is kept of a question (`reports.questions.question_records`).
        predictions: id → text, ``""`` for no answer.
        scores: of ``scores.json``.
        config: of ``config.yaml``; empty where there is none.
        made: of ``reports/<command>.json``: configuration and what else the results depend on.
    """

    folder: Path
    stage: str
    answers: Path
    questions: Mapping[str, Json] = field(repr=False)
    predictions: Mapping[str, str] = field(repr=False)
    scores: Json = field(repr=False)
    config: Json = field(repr=False)
    made: Json = field(repr=False)

    @cached_property
    def n_best(self) -> dict[str, list[Json]]:
        """Return the n best spans of each question."""
        return read_object(self.answers / "nbest_predictions.json")

    @cached_property
    def null_odds(self) -> dict[str, float]:
        """Return the null odds of each question."""
        return read_object(self.answers / "null_odds.json")


def read_runs(folders: Sequence[Path], *, stage: str | None = None) -> list[EvaluatedRun]:
    """Read what several runs answered.

    Args:
        folders: run folders, or the folders of single evaluations (``RUN/answers/val``).
        stage: ``val`` or ``test``; None is ``test`` where all runs have it, else ``val``.

    Raises:
        InputError: a folder is no run's, or has no whole evaluation.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(
                f"Expected a run's folder; there is no folder {folder}. Name what "
                "`trainer.default_root_dir` was."
            )
    stages = [stage] if stage else list(STAGES)
    common = [each for each in stages if all(_answers(folder, each) for folder in folders)]
    if not common:
        missing = next(folder for folder in folders if not _answers(folder, stages[-1]))
        raise InputError(
            f"Expected a whole evaluation ({' or '.join(f'answers/{each}' for each in stages)}, "
            f"with questions.json) of each run; {missing} has none. Run `lightning validate` or "
            "`lightning test` with `--ckpt_path best` there (runs of earlier versions have none)."
        )
    return [_read(folder, common[0]) for folder in folders]


def _answers(folder: Path, stage: str) -> Path | None:
    """Return the folder of a run's evaluation, if it is there."""
    places = [folder / "answers" / stage] + ([folder] if folder.name == stage else [])
    return next((place for place in places if (place / "questions.json").is_file()), None)


def _read(folder: Path, stage: str) -> EvaluatedRun:
    answers = _answers(folder, stage)
    assert answers is not None
    root = folder if answers != folder else folder.parent.parent
    questions = read_object(answers / "questions.json")
    predictions = read_object(answers / "predictions.json")
    for name, record in questions.items():
        if not isinstance(record, dict) or any(key not in record for key in _NEEDED):
            raise InputError(
                f"Expected {', '.join(_NEEDED)} of each question in {answers / 'questions.json'}; "
                f"id {name!r} has not all of them. Evaluate the run again."
            )
        if not isinstance(predictions.get(name), str):
            raise InputError(
                f"Expected a text for each question in {answers / 'predictions.json'}; id "
                f"{name!r} has none. Evaluate the run again."
            )
    return EvaluatedRun(
        folder=root,
        stage=stage,
        answers=answers,
        questions=questions,
        predictions=predictions,
        scores=read_object(answers / "scores.json"),
        config=read_config(root / "config.yaml"),
        made=_made(root),
    )


def _made(root: Path) -> Json:
    """Return the record of the command that trained, or else of the one that evaluated."""
    for command in _COMMANDS:
        path = root / "reports" / f"{command}.json"
        if path.is_file():
            return read_object(path)
    return {}


def read_object(path: Path) -> Json:
    """Read a JSON object.

    Raises:
        InputError: it cannot be read, or is none.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"Expected a run's file at {path}; it cannot be read: {error}. Evaluate the run again."
        ) from None
    if not isinstance(value, dict):
        raise InputError(
            f"Expected a JSON object in {path}; got a {type(value).__name__}. Evaluate the run "
            "again."
        )
    return value


def read_config(path: Path) -> Json:
    """Read a run's configuration; empty where there is none.

    Raises:
        InputError: it is no YAML.
    """
    if not path.is_file():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        check_yaml(text)
        value = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"Expected a run's configuration at {path}; {error}. Mend it.") from None
    return value if isinstance(value, dict) else {}

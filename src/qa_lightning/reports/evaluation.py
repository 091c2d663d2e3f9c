"""The result files of an evaluation: whole or not at all, the latest in place of the one before."""

import json
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from qa_lightning.answers import QuestionAnswers

FILES = (
    *("predictions.json", "nbest_predictions.json", "null_odds.json", "scores.json"),
    "questions.json",
)
_NO_SPAN_ODDS = 3.4028234663852886e38  # float32's largest: JSON has no word for infinity

JsonObject = dict[str, Any]
Entries = Iterable[tuple[str, Any]]
"""The names and values of a JSON object, one after the other."""


def write_evaluation(
    folder: str | Path,
    *,
    answers: Sequence[QuestionAnswers],
    scores: Mapping[str, Any],
    no_answer: bool = False,
    questions: Entries = (),
) -> Path:
    """Write an evaluation's JSON files into a folder, in place of what it held.

    The first three have the shapes that transformers' ``run_qa.py`` writes, and are what the
    official SQuAD scripts read:

    - ``predictions.json``: id to text, ``""`` for no answer;
    - ``nbest_predictions.json``: id to a list, best first, of ``text``, ``probability``, ``score``
      (under the window scoring), ``start_char`` and ``end_char``. run_qa's ``start_logit`` and
      ``end_logit`` are left out: only their sum is kept of a window. With ``no_answer`` the list
      holds the no-answer in the place of its score, last if that is beyond the n best, with the
      text ``""`` and null positions;
    - ``null_odds.json``: id to null score less the best span's; float32's largest number where a
      question has no span;
    - ``scores.json``: the scores as given, NaN and infinity as null;
    - ``questions.json``: id to what is kept of each question (`question_records`).

    Args:
        folder: made with its parents if need be; it belongs to this function alone.
        answers: one record a question.
        scores: anything JSON can hold.
        no_answer: whether questions may have no answer (SQuAD 2).
        questions: id and record of each.

    Returns:
        The folder.
    """
    contents = _answer_files(answers, no_answer) | {
        "null_odds.json": ((answer.id, min(answer.null_odds, _NO_SPAN_ODDS)) for answer in answers),
        "scores.json": _finite(dict(scores)).items(),
        "questions.json": ((name, _finite(record)) for name, record in questions),
    }
    return _replace_folder(Path(folder), contents)


def write_predictions(
    folder: str | Path, *, answers: Sequence[QuestionAnswers], no_answer: bool = False
) -> Path:
    """Write ``predictions.json`` and ``nbest_predictions.json`` where there is no gold to score by.

    Arguments and shapes as in :func:`write_evaluation`.
    """
    return _replace_folder(Path(folder), _answer_files(answers, no_answer))


def _answer_files(answers: Sequence[QuestionAnswers], no_answer: bool) -> dict[str, Entries]:
    return {
        "predictions.json": ((answer.id, answer.text) for answer in answers),
        "nbest_predictions.json": ((answer.id, _n_best(answer, no_answer)) for answer in answers),
    }


def _n_best(answers: QuestionAnswers, no_answer: bool) -> list[JsonObject]:
    entries: list[JsonObject] = [
        {
            "text": answer.text,
            "probability": answer.confidence,
            "score": answer.score,
            "start_char": answer.start_char,
            "end_char": answer.end_char,
        }
        for answer in answers.answers
    ]
    if no_answer:
        place = sum(score >= answers.null_score for score in answers.scores)
        entries.insert(place, _null_entry(answers))
    return entries


def _null_entry(answers: QuestionAnswers) -> JsonObject:
    return {
        "text": "",
        "probability": answers.no_answer_probability,
        "score": answers.null_score,
        "start_char": None,
        "end_char": None,
    }


def _finite(value: Any) -> Any:
    """Return JSON data: records as objects, null where a number is none that JSON knows."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    elif isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value


def _replace_folder(folder: Path, contents: Mapping[str, Entries]) -> Path:
    """Write into a new folder beside the old one, then change places."""
    fresh, old = (folder.with_name(f".{folder.name}.{state}") for state in ("new", "old"))
    shutil.rmtree(fresh, ignore_errors=True)  # of a run that was killed
    fresh.mkdir(parents=True)
    try:
        for name, entries in contents.items():
            _write_object(fresh / name, entries)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if old.exists() and not folder.exists():
            old.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return folder


def _write_object(path: Path, entries: Entries) -> None:
    """Write a JSON object entry by entry: n-best lists as one text take twenty times the answers.

    The file is what ``json.dump`` with an indent of 2 writes of the whole.
    """
    # A lone surrogate has no UTF-8 form; its backslash form is what JSON writes.
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        separator, end = "{\n", "{}\n"
        for name, value in entries:
            text = json.dumps({name: value}, indent=2, ensure_ascii=False, allow_nan=False)
            file.write(separator + text.removeprefix("{\n").removesuffix("\n}"))
            separator, end = ",\n", "\n}\n"
        file.write(end)

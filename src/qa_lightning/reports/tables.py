"""Tables that people read: answers worth looking at, and the scores of parts of the data."""

import csv
import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt

from qa_lightning.answers import QuestionAnswers
from qa_lightning.scores import example_scores

MAX_ROWS = 200
WORST, CHANGED, RANDOM = "worst", "changed", "random"
_SHOWN_SPANS = 5
_CONTEXT_CHARACTERS = 160

Cell = str | float | int | None
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """Hold a table of plain values.

    Attributes:
        columns: their names.
        rows: one value for each column.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """Hold what is shown of one answered question.

    Attributes:
        why: ``worst``, ``changed`` (since the last evaluation) or ``random``.
        id: the example's id.
        question: its question.
        context: the text around the prediction, which stands in ⟦ ⟧.
        prediction: the text given, ``""`` for no answer.
        previous: the text given in the last evaluation if it was another, else None.
        gold: the gold texts.
        exact_match: 0 or 100, by the official rules.
        f1: 0 to 100, by the official rules.
        confidence: of what is given, 0 to 1.
        n_best: the best spans and their confidences.
        windows: how many windows the document took.
        alignment: status of the gold answer, ``no answer`` where there is none.
    """

    why: str
    id: str
    question: str
    context: str
    prediction: str
    previous: str | None
    gold: str
    exact_match: float
    f1: float
    confidence: float
    n_best: str
    windows: int
    alignment: str


def answer_rows(
    answers: Sequence[QuestionAnswers],
    examples: datasets.Dataset,
    *,
    window_count_e: npt.ArrayLike,
    previous: Mapping[str, str] | None = None,
    limit: int = MAX_ROWS,
    seed: int = 0,
) -> list[AnswerRow]:
    """Choose answers worth looking at, and look up what to show of them.

    Up to half the rows are the worst answers (lowest F1, the surest of them first), up to a
    quarter are others that changed since the last evaluation (again the worst first), and the rest
    are drawn at random by seed and id, so that the same questions come back from one evaluation to
    the next.

    Args:
        answers: one record a question.
        examples: the split's examples, which ``example_index`` counts.
        window_count_e: windows of each of the split's examples.
        previous: by id, the texts given in the last evaluation.
        limit: the most rows to choose.
        seed: of the random part.
    """
    if not answers:
        return []
    answers = list(answers)  # each is looked at several times
    scores = example_scores(
        {answer.id: answer.text for answer in answers}, _references(answers, examples)
    )
    chosen = _choose(answers, scores.f1_e.tolist(), previous or {}, limit, seed)
    rows = [answers[place].example_index for place, _ in chosen]
    counts = np.asarray(window_count_e)[rows].tolist()
    return [
        AnswerRow(
            why=why,
            exact_match=float(scores.exact_e[place]),
            f1=float(scores.f1_e[place]),
            windows=windows,
            **_shown(answers[place], example, previous or {}),
        )
        for (place, why), example, windows in zip(
            chosen, examples.with_format(None).select(rows), counts, strict=True
        )
    ]


def answer_table(rows: Sequence[AnswerRow]) -> Table:
    """Return chosen answers as a table."""
    columns = tuple(entry.name for entry in fields(AnswerRow))
    return Table(columns, tuple(tuple(asdict(row).values()) for row in rows))


def slice_table(slices: Sequence[Row]) -> Table:
    """Return the scores of parts of the data as a table.

    Args:
        slices: entries with ``name``, ``value``, ``count``, ``exact_match`` and ``f1``.
    """
    columns = ("name", "value", "count", "exact_match", "f1")
    return Table(columns, tuple(tuple(part[column] for column in columns) for part in slices))


def interval_table(scores: Mapping[str, float]) -> Table:
    """Return the scores that have a 95 % interval, as a table.

    >>> interval_table({"f1": 50.0, "f1_low": 40.0, "f1_high": 60.0, "total": 3.0}).rows
    (('f1', 50.0, 40.0, 60.0),)
    """
    rows = (
        (name, value, scores[f"{name}_low"], scores[f"{name}_high"])
        for name, value in scores.items()
        if f"{name}_low" in scores and f"{name}_high" in scores
    )
    return Table(("score", "value", "low", "high"), tuple(rows))


def to_csv(table: Table) -> str:
    r"""Return a table as CSV, its header first.

    >>> to_csv(Table(("question", "f1"), (("Who, where?", 50.0),)))
    'question,f1\n"Who, where?",50.0\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([table.columns, *table.rows])
    return text.getvalue()


def to_markdown(table: Table) -> str:
    r"""Return a table in Markdown; bars in its cells are escaped, lines joined.

    >>> print(to_markdown(Table(("question", "f1"), (("a|b", 66.666),))))
    | question | f1 |
    | --- | --- |
    | a\|b | 66.67 |
    """
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "\n".join(f"| {' | '.join(map(_markdown_cell, line))} |" for line in lines)


def _markdown_cell(value: Cell) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(text.split()).replace("|", "\\|")


def _references(
    answers: Sequence[QuestionAnswers], examples: datasets.Dataset
) -> dict[str, list[str]]:
    column = examples.select_columns(["answers"]).with_format(None)
    golds = column[[answer.example_index for answer in answers]]["answers"]
    return {answer.id: list(gold["text"]) for answer, gold in zip(answers, golds, strict=True)}


def _choose(
    answers: Sequence[QuestionAnswers],
    f1_e: Sequence[float],
    previous: Mapping[str, str],
    limit: int,
    seed: int,
) -> list[tuple[int, str]]:
    """Return places among the answers, each with the reason for it, in the table's order."""
    by_fault = sorted(range(len(answers)), key=lambda e: (f1_e[e], -answers[e].confidence))
    worst = [place for place in by_fault if f1_e[place] < 100][: limit // 2]
    taken = set(worst)
    changed = [
        place
        for place in by_fault
        if place not in taken
        and previous.get(answers[place].id, answers[place].text) != answers[place].text
    ][: limit // 4]
    taken.update(changed)
    drawn = sorted(
        (place for place in range(len(answers)) if place not in taken),
        key=lambda place: zlib.crc32(f"{seed}/{answers[place].id}".encode(errors="replace")),
    )[: limit - len(taken)]
    reasons = ((worst, WORST), (changed, CHANGED), (drawn, RANDOM))
    return [(place, why) for places, why in reasons for place in places]


def _shown(answered: QuestionAnswers, example: Row, previous: Mapping[str, str]) -> dict[str, Any]:
    before = previous.get(answered.id, answered.text)
    return {
        "id": answered.id,
        "question": example["question"],
        "context": _excerpt(answered, example),
        "prediction": answered.text,
        "previous": None if before == answered.text else before,
        "gold": " | ".join(dict.fromkeys(example["answers"]["text"])),
        "confidence": answered.confidence,
        "n_best": "\n".join(
            f"{span.confidence:.3f} {span.text}" for span in answered.answers[:_SHOWN_SPANS]
        ),
        "alignment": _alignment(example),
    }


def _excerpt(answered: QuestionAnswers, example: Row) -> str:
    """Return the context around the prediction, marked; around the gold span if there is none."""
    context, answer = example["context"], answered.answer
    if answer is not None:
        before, after = context[: answer.start_char], context[answer.end_char :]
        marked = f"⟦{answer.text}⟧"
    else:
        starts = [start for start in _spans(example)["start_char"] if start is not None]
        middle = starts[0] if starts else 0
        before, marked, after = context[:middle], "", context[middle:]
    opening = "…" if len(before) > _CONTEXT_CHARACTERS else ""
    ending = "…" if len(after) > _CONTEXT_CHARACTERS else ""
    return f"{opening}{before[-_CONTEXT_CHARACTERS:]}{marked}{after[:_CONTEXT_CHARACTERS]}{ending}"


def _alignment(example: Row) -> str:
    """Return the status of the first trusted gold answer, else of the first."""
    if not example["answers"]["text"]:
        return "no answer"
    spans = _spans(example)
    trusted = [place for place, start in enumerate(spans["start_char"]) if start is not None]
    statuses = spans["status"]
    return str(statuses[trusted[0] if trusted else 0]) if statuses else "not checked"


def _spans(example: Row) -> Row:
    return example.get("spans") or {"start_char": [], "status": []}

"""Labels and feedback of Haystack 1.x (``Label.to_dict``, ``GET /feedback``) → rows."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from qa_lightning.examples.rows import first_of
from qa_lightning.examples.schema import ColumnNames, LeftOut, Row, Unreadable

_MARK: Final = "is_correct_answer"
_TEXTS: Final = ("content", "text", "context")  # of a document, by version
_WRONG: Final = "answers that somebody called wrong, which does not say what is right"


def is_haystack(entry: Mapping[str, Any]) -> bool:
    """Tell whether an entry is a label, or several of one question."""
    if _MARK in entry:
        return True
    labels = entry.get("labels")
    return isinstance(labels, list) and any(
        isinstance(one, dict) and _MARK in one for one in labels
    )


def haystack_rows(entry: Mapping[str, Any], columns: ColumnNames, answers: str) -> Iterator[Row]:
    """Yield the row of each label.

    Args:
        entry: a label, or an object with a list of them.
        columns: the names that questions and contexts may have.
        answers: the name of the answers' column.
    """
    if _MARK not in entry:
        for label in entry["labels"]:
            yield from haystack_rows(label, columns, answers)
        return
    given = entry.get("document")
    document: Mapping[str, Any] = given if isinstance(given, dict) else {}
    row = {
        columns.id[0]: entry.get("id"),
        columns.title[0]: _title(document),
        columns.context[0]: first_of(document, _TEXTS),
        columns.question[0]: first_of(entry, (*columns.question, "query")),
    }
    row = {name: value for name, value in row.items() if value is not None}
    if not isinstance(row.get(columns.context[0]), str):
        yield Unreadable("is a Haystack label without the text of its document")
    elif not entry[_MARK]:
        yield LeftOut(_WRONG, row)
    else:
        yield row | {answers: [] if entry.get("no_answer") else _answers(entry.get("answer"))}


def _title(document: Mapping[str, Any]) -> str | None:
    meta = document.get("meta")
    name = first_of(meta, ("name", "title")) if isinstance(meta, dict) else None
    return name if isinstance(name, str) else None


def _answers(answer: Any) -> list[dict[str, Any]]:
    """Return a label's answer with its place; a label without one says that there is none."""
    text = answer.get("answer") if isinstance(answer, dict) else answer
    if not text:
        return []
    places = answer.get("offsets_in_document") if isinstance(answer, dict) else None
    first = places[0] if isinstance(places, list) and places else None
    start = first.get("start") if isinstance(first, dict) else None
    return [{"text": text} if start is None else {"text": text, "answer_start": start}]

"""One JSON document → rows: nested SQuAD 1.1 and 2.0, ``{"data": rows}``, a list of rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qa_lightning.errors import InputError
from qa_lightning.examples.rows import lookup
from qa_lightning.examples.schema import ColumnNames, Row, Unreadable

KeyedRow = tuple[tuple[int, str], Row]


def document_rows(document: Any, path: Path | str, columns: ColumnNames) -> Iterator[KeyedRow]:
    """Yield a document's rows, each with its number from 1 and its place in the document.

    Raises:
        InputError: the document has none of the known shapes.
    """
    place, entries = _entries(document, path, columns)
    number = 0
    for index, entry in enumerate(entries):
        where = f"{place}[{index}]"
        for inner, row in _entry_rows(entry, columns):
            number += 1
            yield (number, where + inner), row


def _entries(document: Any, path: Path | str, columns: ColumnNames) -> tuple[str, list[Any]]:
    found = f"a single {type(document).__name__}"
    if isinstance(document, list):
        return "", document
    if isinstance(document, dict):
        if isinstance(document.get("data"), list):
            return "data", document["data"]
        if "paragraphs" in document or lookup(document, columns.question) is not None:
            return "", [document]
        found = f"an object with {', '.join(map(repr, list(document)[:8]))}"
    raise InputError(
        f'Expected {{"data": [...]}} (SQuAD) or a list of rows in {path}; got {found}. A table '
        "that pandas wrote needs `orient='records'`."
    )


def _entry_rows(entry: Any, columns: ColumnNames) -> Iterator[tuple[str, Row]]:
    if not isinstance(entry, dict):
        yield "", Unreadable("is no object {...}")
    elif "paragraphs" in entry:
        yield from _article_rows(entry, columns)
    else:
        yield "", entry


def _article_rows(article: dict[str, Any], columns: ColumnNames) -> Iterator[tuple[str, Row]]:
    paragraphs = article["paragraphs"]
    if not isinstance(paragraphs, list):
        yield "", Unreadable("has `paragraphs` that are no list")
        return
    title = {columns.title: article.get(columns.title)}
    for index, paragraph in enumerate(paragraphs):
        for inner, row in _paragraph_rows(paragraph, columns, title):
            yield f".paragraphs[{index}]{inner}", row


def _paragraph_rows(
    paragraph: Any, columns: ColumnNames, title: dict[str, Any]
) -> Iterator[tuple[str, Row]]:
    if not isinstance(paragraph, dict) or not isinstance(paragraph.get("qas"), list):
        yield "", Unreadable("is no paragraph {context, qas: [...]}")
        return
    shared = {**title, columns.context: paragraph.get(columns.context)}
    for index, question in enumerate(paragraph["qas"]):
        is_row = isinstance(question, dict)
        yield (
            f".qas[{index}]",
            # What a question says of itself goes before what it shares.
            {**shared, **question}
            if is_row
            else Unreadable("is no object {id, question, answers}"),
        )

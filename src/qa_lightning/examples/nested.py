"""JSON of any depth → rows: what has a question is a row, wherever it stands.

One walk reads SQuAD 1.1 and 2.0, paragraphs outside articles, a paragraph a line, MRQA, KorQuAD 2,
CMRC, flat lists of rows and what else keeps ``qas`` beside a context: a question takes context and
title of whatever it stands in. What leads to no question is told by its shape.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qa_lightning.errors import InputError
from qa_lightning.examples.annotation import annotated_rows
from qa_lightning.examples.rows import first_of
from qa_lightning.examples.schema import CONTAINERS, ColumnNames, Row, Unreadable

KeyedRow = tuple[tuple[int, str], Row]

_SPLITS = frozenset({"train", "validation", "dev", "test", "valid", "val"})
_DEPTH = 5  # of a shape that is told
_TOLD = 30  # keys of a level that are told


def document_rows(document: Any, path: Path | str, columns: ColumnNames) -> Iterator[KeyedRow]:
    """Yield a document's rows, each with its number from 1 and its place in the document.

    Raises:
        InputError: the document holds no list of questions, or several.
    """
    place, entries = _entries(document, path, columns)
    number = 0
    for index, entry in enumerate(entries):
        where = f"{place}[{index}]"
        for inner, row in nested_rows(entry, columns):
            number += 1
            yield (number, where + inner), row


def nested_rows(entry: Any, columns: ColumnNames) -> Iterator[tuple[str, Row]]:
    """Yield the rows in an entry, with their places in it; a flat entry is its own only row."""
    if not isinstance(entry, dict):
        yield "", Unreadable("is no object {...}")
    elif (annotated := annotated_rows(entry, columns)) is not None:
        yield from (("", row) for row in annotated)
    elif columns.has_question(row := columns.in_row(entry)) or not _parts(entry, columns):
        yield "", row
    else:
        yield from _inner_rows(entry, columns, {})


def shape_of(value: Any, depth: int = _DEPTH) -> str:
    """Tell the keys of nested objects, of lists those of the first object; nothing of the values.

    >>> shape_of({"data": [{"title": "t", "faq": [{"q": "?"}, {"q": "!"}]}]})
    '{data: [{title, faq: [{q}, ...]}]}'
    """
    if isinstance(value, Mapping):
        if depth == 0:
            return "{...}"
        told = [_keyed_shape(key, item, depth) for key, item in list(value.items())[:_TOLD]]
        return "{" + ", ".join([*told, "..."] if len(value) > _TOLD else told) + "}"
    if not isinstance(value, list | tuple):
        return ""
    inner = next((item for item in value if isinstance(item, Mapping)), None)
    rest = ", ..." if len(value) > 1 else ""
    return f"[{shape_of(inner, depth - 1)}{rest}]" if inner is not None else "[...]"


def _keyed_shape(key: object, value: Any, depth: int) -> str:
    shape = shape_of(value, depth - 1)
    return f"{key}: {shape}" if shape else str(key)


def _entries(document: Any, path: Path | str, columns: ColumnNames) -> tuple[str, list[Any]]:
    """Return the list at the top of a document, and its name."""
    if isinstance(document, list):
        return "", document
    found = f"a single {type(document).__name__}"
    if isinstance(document, dict):
        if annotated_rows(document, columns) is not None:
            return "", [document]
        rows = _table_rows(document, columns)
        if rows is not None:
            return "", rows
        parts = _parts(document, columns)
        if len(splits := sorted(_SPLITS.intersection(parts))) > 1:
            raise InputError(
                f"Expected the questions of one split in {path}; found {', '.join(splits)}. Write "
                "each to a file of its own, and name them by `data_files`."
            )
        if list(parts) == ["data"] and isinstance(document["data"], list):
            return "data", document["data"]
        if parts or columns.has_question(document):
            return "", [document]
        keys = ", ".join(map(repr, list(document)[:8])) or "no key"
        found = f"an object with {keys}, of the shape {shape_of(document)}"
    raise InputError(
        f'Expected {{"data": [...]}} (SQuAD), a list of rows or `qas` beside a context in {path}; '
        f"got {found}. Bring it to {{context, question, answers: {{text, answer_start}}}} a "
        "question, or name its keys with `columns`."
    )


def _table_rows(document: dict[str, Any], columns: ColumnNames) -> list[Any] | None:
    """Return the rows of a table by columns: dicts as pandas writes them, lists, or "split"."""
    names, cells = document.get("columns"), document.get("data")
    if isinstance(names, list) and isinstance(cells, list):
        return [
            dict(zip(names, row, strict=False)) if isinstance(row, list) else row for row in cells
        ]
    if not columns.has_question(document):
        return None
    values = list(document.values())
    if all(isinstance(value, dict) for value in values):
        return [{name: value.get(key) for name, value in document.items()} for key in values[0]]
    first = next((value for value in values if isinstance(value, list)), None)
    if first is None or isinstance(first_of(document, columns.question), str):
        return None
    return [{name: _item(value, n) for name, value in document.items()} for n in range(len(first))]


def _item(column: Any, number: int) -> Any:
    """Return one row's part of a column; of structures, which are columns of their own, too."""
    if isinstance(column, dict):
        return {name: _item(inner, number) for name, inner in column.items()}
    is_there = isinstance(column, list) and number < len(column)
    return column[number] if is_there else None


def _parts(entry: Mapping[str, Any], columns: ColumnNames) -> dict[str, Any]:
    """Return what of an object leads to questions: the usual keys, else whatever does."""
    usual = {key: entry[key] for key in CONTAINERS if isinstance(entry.get(key), list | dict)}
    if usual or "paragraphs" in entry:
        return usual or {"paragraphs": entry["paragraphs"]}
    return {key: value for key, value in entry.items() if _leads_to_question(value, columns)}


def _leads_to_question(value: Any, columns: ColumnNames) -> bool:
    if isinstance(value, dict):
        return columns.has_question(value) or any(
            _leads_to_question(inner, columns) for inner in value.values()
        )
    return isinstance(value, list) and any(
        _leads_to_question(item, columns) for item in value if isinstance(item, dict)
    )


def _inner_rows(
    entry: dict[str, Any], columns: ColumnNames, outer: Mapping[str, Any]
) -> Iterator[tuple[str, Row]]:
    """Yield the rows of an object that is none itself; its context and title are theirs."""
    own = {names[0]: first_of(entry, names) for names in (columns.title, columns.context)}
    shared = {**outer, **{name: value for name, value in own.items() if value is not None}}
    for key, value in _parts(entry, columns).items():
        if not isinstance(value, list | dict):
            yield "", Unreadable(f"has `{key}` that are no list")
            continue
        for index, item in enumerate(value) if isinstance(value, list) else [("", value)]:
            place = f".{key}[{index}]" if isinstance(value, list) else f".{key}"
            for inner, row in _item_rows(item, key, columns, shared):
                yield place + inner, row


def _item_rows(
    item: Any, key: str, columns: ColumnNames, shared: Mapping[str, Any]
) -> Iterator[tuple[str, Row]]:
    is_question = key in ("qas", "questions")
    if isinstance(item, dict) and (is_question or columns.has_question(item)):
        yield "", {**shared, **item}  # what a question says of itself goes before what it shares
    elif isinstance(item, dict) and _parts(item, columns):
        yield from _inner_rows(item, columns, shared)
    elif is_question:
        yield "", Unreadable("is no object {id, question, answers}")
    else:
        shape = f", but {shape_of(item)}" if isinstance(item, dict) else ""
        yield "", Unreadable(f"is no paragraph {{context, qas: [...]}}{shape}")

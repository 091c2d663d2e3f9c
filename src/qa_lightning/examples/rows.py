"""Raw rows → examples, one by one: the reference for what a row may look like."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from qa_lightning.examples.gold import (
    FaultError,
    Gold,
    read_answers,
    read_flag,
    read_pair,
    read_text,
)
from qa_lightning.examples.schema import CANONICAL_SCHEMA, ColumnNames, Row, Unreadable


class _Example(NamedTuple):
    """Hold one row's canonical values; ``id`` is None where the row has none."""

    id: str | None
    title: str
    context: str
    question: str
    gold: Gold


_BLANK = _Example("", "", "", "", ([], []))


class RowsTable(NamedTuple):
    """Hold canonical columns (ids may be null) and the faults found: row in the table, what."""

    table: pa.Table
    faults: list[tuple[int, str]]


def rows_table(rows: Sequence[Row], columns: ColumnNames, *, answers_required: bool) -> RowsTable:
    """Read raw rows; a row with a fault keeps its place, so that row numbers stay true."""
    examples, faults = [], []
    for index, row in enumerate(rows):
        if isinstance(row, Unreadable):
            example, found = _BLANK, [row.fault]
        else:
            example, found = _read_row(row, columns, answers_required)
        examples.append(example)
        if found:
            faults.append((index, "; ".join(found)))
    return RowsTable(_to_table(examples), faults)


def lookup(row: Mapping[str, Any], name: str) -> Any:
    """Return a row's value by name, stepping into structures at dots; None where there is none.

    >>> lookup({"doc": {"body": "Texto"}}, "doc.body")
    'Texto'
    """
    if name in row:
        return row[name]
    head, dot, rest = name.partition(".")
    inner = row.get(head) if dot else None
    return lookup(inner, rest) if isinstance(inner, dict) else None


def _read_row(
    row: Mapping[str, Any], columns: ColumnNames, answers_required: bool
) -> tuple[_Example, list[str]]:
    faults: list[str] = []
    take = partial(_take, faults)
    impossible = take(columns.is_impossible, read_flag, lookup(row, columns.is_impossible), False)
    read_gold = partial(_read_gold, columns, answers_required and not impossible)
    gold = take("answers", read_gold, {} if impossible else row, ([], []))
    example = _Example(
        take(columns.id, _read_id, lookup(row, columns.id), ""),
        take(columns.title, _read_title, lookup(row, columns.title), ""),
        take(columns.context, _read_needed, lookup(row, columns.context), ""),
        take(columns.question, _read_needed, lookup(row, columns.question), ""),
        gold,
    )
    return example, faults


def _take(faults: list[str], name: str, read: Callable[[Any], Any], value: Any, blank: Any) -> Any:
    try:
        return read(value)
    except FaultError as fault:
        faults.append(f"`{name}` {fault}")
        return blank


def _read_id(value: Any) -> str | None:
    """Read an id; whether rows without one are a fault is decided when all rows are known."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return read_text(value) or None if value is not None else None


def _read_title(value: Any) -> str:
    return "" if value is None else read_text(value)


def _read_needed(value: Any) -> str:
    if value is None:
        raise FaultError("is missing")
    return read_text(value)


def _read_gold(columns: ColumnNames, required: bool, row: Mapping[str, Any]) -> Gold:
    for form in columns.answer_forms:
        values = [lookup(row, name) for name in form]
        if any(value is not None for value in values):
            return read_answers(values[0]) if len(form) == 1 else read_pair(*values)
    is_pair = any(
        all(name in row for name in form) for form in columns.answer_forms if len(form) > 1
    )
    if required and not is_pair:
        raise FaultError("is missing (write empty lists for a question without an answer)")
    return [], []


def _to_table(examples: Sequence[_Example]) -> pa.Table:
    schema = CANONICAL_SCHEMA
    texts = [example.gold[0] for example in examples]
    starts = [example.gold[1] for example in examples]
    answers = schema.field("answers").type
    gold = pa.StructArray.from_arrays(
        [
            pa.array(texts, answers.field("text").type),
            pa.array(starts, answers.field("answer_start").type),
        ],
        fields=[answers.field("text"), answers.field("answer_start")],
    )
    plain = [
        pa.array([getattr(example, name) for example in examples], pa.string())
        for name in ("id", "title", "context", "question")
    ]
    arrays = dict(
        zip(("id", "title", "context", "question", "answers"), [*plain, gold], strict=True)
    )
    return pa.table([arrays[name] for name in schema.names], schema=schema)

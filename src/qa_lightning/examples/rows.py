"""Raw rows → examples, one by one: the reference for what a row may look like."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from qa_lightning.examples.cells import FaultError, is_absent, read_flag, read_text, whole_number
from qa_lightning.examples.gold import Gold, read_gold, read_ranges
from qa_lightning.examples.schema import CANONICAL_SCHEMA, ColumnNames, Row


class _Example(NamedTuple):
    """Hold one row's canonical values; ``id`` is None where the row has none."""

    id: str | None
    title: str
    context: str
    question: str
    gold: Gold


_BLANK = _Example("", "", "", "", Gold([], []))
_NULL = Gold([], [])  # of a row with a null where answers belong


class RowsTable(NamedTuple):
    """Hold canonical columns (ids may be null) and what was found in reading them.

    Attributes:
        table: the columns.
        faults: row in the table, what.
        doubts: how many answers came without a place ("unplaced") and how many rows with a null
            where answers belong ("null"), which is read as no answer.
    """

    table: pa.Table
    faults: list[tuple[int, str]]
    doubts: Counter[str]


def rows_table(rows: Sequence[Row], columns: ColumnNames, *, answers_required: bool) -> RowsTable:
    """Read raw rows; a row with a fault keeps its place, so that row numbers stay true."""
    examples, faults = [], []
    for index, row in enumerate(rows):
        if isinstance(row, Mapping):
            example, found = _read_row(row, columns, answers_required)
        else:
            example, found = _BLANK, [row[0]]
        examples.append(example)
        if found:
            faults.append((index, "; ".join(found)))
    doubts = Counter(
        unplaced=sum(example.gold.unplaced for example in examples),
        null=sum(example.gold is _NULL for example in examples),
    )
    return RowsTable(_to_table(examples), faults, doubts)


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


def first_of(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the first value that a row has under some names; None where all are absent.

    >>> first_of({"context": None, "passage": "Texto"}, ("context", "passage"))
    'Texto'
    """
    values = (lookup(row, name) for name in names)
    return next((value for value in values if not is_absent(value)), None)


def _read_row(
    row: Mapping[str, Any], columns: ColumnNames, answers_required: bool
) -> tuple[_Example, list[str]]:
    faults: list[str] = []

    def take(name: str, read: Callable[[Any], Any], blank: Any) -> Any:
        names = getattr(columns, name)
        shown = next((column for column in names if lookup(row, column) is not None), names[0])
        return _take(faults, shown, read, first_of(row, names), blank)

    impossible = take("is_impossible", read_flag, False)
    context = take("context", _read_needed, "")
    read_gold = partial(_read_gold, columns, answers_required and not impossible, context)
    gold = _take(faults, "answers", read_gold, {} if impossible else row, _BLANK.gold)
    example = _Example(
        take("id", _read_id, ""),
        take("title", _read_title, ""),
        context,
        take("question", _read_needed, ""),
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
    number = whole_number(value)
    if number is not None and not isinstance(value, str):
        return str(number)
    return read_text(value) or None if value is not None else None


def _read_title(value: Any) -> str:
    return "" if value is None else read_text(value)


def _read_needed(value: Any) -> str:
    if value is None:
        raise FaultError("is missing")
    return read_text(value)


def _read_gold(columns: ColumnNames, required: bool, context: str, row: Mapping[str, Any]) -> Gold:
    forms = [(form, [lookup(row, name) for name in form]) for form in columns.answer_forms]
    told = [one for one in forms if _is_told(*one)]
    # A start goes with the texts that the row has: of `answer` beside `answer_start` there is no
    # `answer_text`.
    told.sort(key=lambda one: is_absent(one[1][0]))
    if told:
        form, values = told[0]
        beside = values[1] if len(form) > 1 else lookup(row, columns.beside)
        return _read_form(form, values[0], beside, context)
    # A null is no answer, but for a question of which the row says that it has one.
    is_answered = first_of(row, columns.is_impossible) is not None
    nullable = [form for form in columns.answer_forms if len(form) > 1 or not is_answered]
    if required and not any(form[0] in row for form in nullable):
        raise FaultError("is missing (write empty lists for a question without an answer)")
    return _NULL if required else Gold([], [])


def _is_told(form: Sequence[str], values: Sequence[Any]) -> bool:
    """Tell whether a row has answers in a form; a number as consensus is no answer's place."""
    if form == ("consensus",):
        return isinstance(values[0], dict)
    return not all(map(is_absent, values))


def _read_form(form: Sequence[str], value: Any, beside: Any, context: str) -> Gold:
    if form[0].endswith("_ranges"):
        return read_ranges(value, context, of_tokens="token" in form[0])
    return read_gold(value, beside, context)


def _to_table(examples: Sequence[_Example]) -> pa.Table:
    schema = CANONICAL_SCHEMA
    texts = [example.gold.texts for example in examples]
    starts = [example.gold.starts for example in examples]
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

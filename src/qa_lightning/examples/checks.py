"""What is checked over all rows of a split, and how faults are told: all at once, with places."""

import logging
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from qa_lightning.errors import InputError
from qa_lightning.examples.nested import shape_of
from qa_lightning.examples.rows import lookup
from qa_lightning.examples.schema import CANONICAL_SCHEMA, ColumnNames, RawBatch
from qa_lightning.examples.splits import Slice
from qa_lightning.examples.tables import has_column, row_dicts

_logger = logging.getLogger(__name__)
_TOLD = 8  # faults told one by one; the rest is a number


class Places:
    """Know where each row of a split stands in its files."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._batches: list[RawBatch] = []
        self.num_rows = 0

    def add(self, batch: RawBatch) -> None:
        """Append a batch's rows; of the batch only the places are kept."""
        self._starts.append(self.num_rows)
        self._batches.append(batch._replace(rows=[]))
        self.num_rows += len(batch.keys)

    def __getitem__(self, index: int) -> str:
        number = bisect_right(self._starts, index) - 1
        batch = self._batches[number]
        key = batch.keys[index - self._starts[number]]
        if isinstance(key, int):
            return f"{batch.origin}, {batch.unit} {key}"
        return f"{batch.origin}, {batch.unit} {key[0]} ({key[1]})"


class SplitRows(NamedTuple):
    """Hold one split's canonical columns, the faults in it (row, what) and its places."""

    table: pa.Table
    faults: list[tuple[int, str]]
    places: Places


def check_columns(batch: RawBatch, columns: ColumnNames, *, answers: bool) -> None:
    """Check that a file has the columns it needs, before every single row is blamed.

    Raises:
        InputError: a column is in none of the batch's rows.
    """
    missing = [
        (name, forms)
        for name, forms in columns.required(answers=answers)
        if not any(all(_has(batch, column) for column in form) for form in forms)
    ]
    found = _shape(batch)
    if missing and found:
        where = f", in a file of the shape {batch.shape}" if batch.shape else ""
        wanted = "; ".join(f"{name} ({_either(_usual(forms))})" for name, forms in missing)
        raise InputError(
            f"Expected in {batch.origin} a column for each of: {wanted}. Found {found}{where}. "
            "Name the file's own with `columns`, dots step into structures: "
            f"{{{', '.join(f'{name}: ITS NAME IN THE FILE' for name, _ in missing)}}}."
        )


def _usual(forms: Sequence[tuple[str, ...]]) -> Sequence[tuple[str, ...]]:
    """Leave out names that a single public data set has: they help nobody whose file lacks them."""
    usual = [form for form in forms if form[0] in ("answers", "answer_text")]
    return usual or forms[:1]


def _either(forms: Sequence[Sequence[str]]) -> str:
    return " or ".join(" + ".join(form) for form in forms)


def _has(batch: RawBatch, name: str) -> bool:
    if isinstance(batch.rows, pa.Table):
        return has_column(batch.rows.schema, name)
    rows = (row for row in batch.rows if isinstance(row, Mapping))
    return any(name in row or lookup(row, name) is not None for row in rows)


def _shape(batch: RawBatch) -> str:
    """Tell a batch's columns, with what is inside them where the file nests."""
    given = row_dicts(batch.rows.slice(0, 1)) if isinstance(batch.rows, pa.Table) else batch.rows
    rows = [row for row in given if isinstance(row, Mapping)]
    keys = dict.fromkeys(name for row in rows for name in row)
    first = {
        name: next((row[name] for row in rows if row.get(name) is not None), None) for name in keys
    }
    told = shape_of({**dict.fromkeys(batch.names), **first})
    return f"the columns {told[1:-1]}" if told != "{}" else ""


def complete_ids(rows: SplitRows, columns: ColumnNames, prefix: str | None) -> SplitRows:
    """Number the rows where none has an id; where only some have, the others are faults.

    Args:
        rows: of a split.
        columns: for the message.
        prefix: what made-up ids begin with; None makes none: rows without are faults.
    """
    ids = rows.table.column("id")
    missing = pc.is_null(ids)
    unread = pc.sum(pc.equal(ids, "")).as_py() or 0
    if ids.null_count == 0:
        return rows
    if prefix is not None and ids.null_count + unread == len(ids):
        made = pa.array((f"{prefix}row-{number}" for number in range(len(ids))), pa.string())
        position = CANONICAL_SCHEMA.get_field_index("id")
        field = CANONICAL_SCHEMA.field("id")
        return rows._replace(table=rows.table.set_column(position, field, made))
    lost = pc.indices_nonzero(missing).to_pylist()
    faults = dict(rows.faults)
    beside = "" if ids.null_count == len(ids) else ", which other rows have"
    for row in lost:
        told = f"; {faults[row]}" if row in faults else ""
        faults[row] = f"`{columns.id[0]}` is missing{beside}{told}"
    return rows._replace(faults=sorted(faults.items()))


def check_faults(parts: Sequence[tuple[Slice, SplitRows]], *, answers: bool) -> None:
    """Tell the faults in the selected rows all at once.

    Args:
        parts: the selected rows.
        answers: whether rows need answers, for the message.

    Raises:
        InputError: there are any.
    """
    lines: list[str] = []
    count = 0
    for part, rows in parts:
        selected = [fault for fault in rows.faults if part.start <= fault[0] < part.stop]
        count += len(selected)
        lines += [_fault_line(rows, *fault) for fault in selected[: max(0, _TOLD - len(lines))]]
    if count:
        total = sum(part.stop - part.start for part, _ in parts)
        asked = ", question and answers {text, answer_start}" if answers else " and question"
        rest = f"\n  and {count - len(lines)} more" if count > len(lines) else ""
        told = "\n  ".join(lines)
        raise InputError(
            f"Expected rows with id, context{asked}; {count} of {total} cannot be read:\n  {told}"
            f"{rest}\nMend or remove them; name columns that are called otherwise with `columns`."
        )


def _fault_line(rows: SplitRows, index: int, what: str) -> str:
    name = rows.table.column("id")[index].as_py()
    return f"{rows.places[index]}{f', id {name!r}' if name else ''}: {what}"


def check_unique(
    ids: pa.ChunkedArray, parts: Sequence[tuple[Slice, SplitRows]], *, label: str, is_needed: bool
) -> None:
    """Check that every selected id occurs once: predictions and scores are joined by it.

    Args:
        ids: the selected ids.
        parts: where they come from.
        label: name of the data, for the log.
        is_needed: refuse repeated ids; otherwise they are logged.

    Raises:
        InputError: an id occurs twice, and that is refused.
    """
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    counts = pc.value_counts(ids)
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    places = [_where(ids, name, parts) for name in repeated[:_TOLD].to_pylist()]
    more = f"\n  and {len(repeated) - len(places)} more" if len(repeated) > len(places) else ""
    told = f"{len(repeated)} occur more than once:\n  " + "\n  ".join(places) + more
    if not is_needed:
        _logger.warning("%s: training refuses repeated ids, and %s", label, told)
        return
    raise InputError(
        f"Expected every id once: predictions are written by id. {told}\n"
        "Give each question an id of its own, or leave out the file or slice that repeats them."
    )


def _where(ids: pa.ChunkedArray, name: str, parts: Sequence[tuple[Slice, SplitRows]]) -> str:
    found = pc.indices_nonzero(pc.equal(ids, name)).to_pylist()
    places = [_place(row, parts) for row in found[:3]]
    return f"{name!r}: " + "; ".join(places) + ("; ..." if len(found) > len(places) else "")


def _place(row: int, parts: Iterable[tuple[Slice, SplitRows]]) -> str:
    for part, rows in parts:
        length = part.stop - part.start
        if row < length:
            return rows.places[part.start + row]
        row -= length
    raise IndexError(row)


_DOUBTS = {
    "unplaced": "answers have a text and no place; where it stands once in its context, that is "
    "taken, else 0: `data.alignment: repair` looks for these",
    "null": "rows have a null where answers belong, and are read as questions without an answer; "
    "leave them out if their answers are only not known",
}


def warn_of_doubts(doubts: Mapping[str, int], label: str) -> None:
    """Log what was read in one of several ways that it could be meant, a line for each kind."""
    for kind, told in _DOUBTS.items():
        if count := doubts.get(kind):
            _logger.warning("%s: %d %s", label, count, told)


def warn_of_left_out(left: Mapping[str, int], kept: int, label: str) -> None:
    """Log what was left out because nobody can learn from it.

    Raises:
        InputError: nothing else is there.
    """
    if not left:
        return
    told = "; ".join(f"{count} {kind}" for kind, count in left.items())
    if not kept:
        raise InputError(f"Expected examples in {label}; there are none, but {told}.")
    _logger.warning("%s: left out %s", label, told)


def warn_of_empty_texts(table: pa.Table, label: str) -> None:
    """Log how many contexts and questions are empty: translation leaves some, nobody means them."""
    for name in ("context", "question"):
        if count := pc.sum(pc.equal(table.column(name), "")).as_py():
            _logger.warning("%s: %d of %d have an empty %s", label, count, table.num_rows, name)

"""Arrow tables → canonical columns without a Python loop, wherever nothing is in doubt.

Whatever is in doubt (a null, a rare type, unequal lengths) goes to ``rows``, which decides and
explains; a test holds the two ways equal on random tables.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from qa_lightning.examples.schema import CANONICAL_SCHEMA, ColumnNames

_TEXT = CANONICAL_SCHEMA.field("context").type
_GOLD = CANONICAL_SCHEMA.field("answers").type
# What `str.strip` takes away: RE2's own class is ASCII alone.
_WIDE = r"\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
_BLANK = rf"^[\s\x0b\x1c-\x1f{_WIDE}]*$"


class _InDoubtError(Exception):
    """Leave this table to ``rows``."""


def canonical_table(
    table: pa.Table, columns: ColumnNames, *, answers_required: bool
) -> pa.Table | None:
    """Return a table's canonical columns (ids may be null), or None when rows must be looked at."""
    try:
        arrays = {
            "id": _ids(_only(table, columns.id), table.num_rows),
            "title": _titles(_only(table, columns.title), table.num_rows),
            "context": _texts(_only(table, columns.context)),
            "question": _texts(_only(table, columns.question)),
            "answers": _answers(table, columns, answers_required),
        }
        ordered = [arrays[name] for name in CANONICAL_SCHEMA.names]
        result = pa.table(ordered, schema=CANONICAL_SCHEMA)
        result.validate(full=True)  # also finds bytes that are no UTF-8
    except (_InDoubtError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return result


def has_column(schema: pa.Schema, name: str) -> bool:
    """Tell whether a schema has a column, stepping into structures at dots."""
    if name in schema.names:
        return True
    head, dot, rest = name.partition(".")
    if not dot or head not in schema.names:
        return False
    inner = schema.field(head).type
    return pa.types.is_struct(inner) and has_column(pa.schema(list(inner)), rest)


def row_dicts(table: pa.Table) -> list[dict[str, object]]:
    """Return a table's rows as dicts; texts stay bytes when some of them are no UTF-8."""
    try:
        return list(table.to_pylist())
    except UnicodeDecodeError:
        fields = [field.with_type(_as_bytes(field.type)) for field in table.schema]
        return list(table.cast(pa.schema(fields)).to_pylist())


def _as_bytes(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.large_binary()
    if pa.types.is_list(kind):
        return pa.list_(_as_bytes(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_as_bytes(field.type)) for field in kind])
    return kind


def _find(table: pa.Table, name: str) -> pa.ChunkedArray | None:
    if name in table.column_names:
        _demand(table.column_names.count(name) == 1)
        return table.column(name)
    if not has_column(table.schema, name):
        return None
    head, _, rest = name.partition(".")
    return pc.struct_field(table.column(head), rest.split("."))


def _only(table: pa.Table, names: Sequence[str]) -> pa.ChunkedArray | None:
    """Find a column under its best name; `rows` take the next one where that is null."""
    found = [name for name in names if has_column(table.schema, name)]
    column = _find(table, found[0]) if found else None
    _demand(len(found) < 2 or (column is not None and not column.null_count))
    return column


def _demand(condition: bool) -> None:
    if not condition:
        raise _InDoubtError


def _texts(column: pa.ChunkedArray | None) -> pa.ChunkedArray:
    if column is None or column.null_count or not _is_text(column.type):
        raise _InDoubtError
    return column.cast(_TEXT)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _ids(column: pa.ChunkedArray | None, num_rows: int) -> pa.ChunkedArray | pa.Array:
    if column is None or pa.types.is_null(column.type):
        return pa.nulls(num_rows, _TEXT)
    _demand(_is_text(column.type) or pa.types.is_integer(column.type))
    texts = column.cast(_TEXT)
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, _TEXT), texts)


def _titles(column: pa.ChunkedArray | None, num_rows: int) -> pa.ChunkedArray | pa.Array:
    if column is None or pa.types.is_null(column.type):
        return pa.repeat(pa.scalar("", _TEXT), num_rows)
    _demand(_is_text(column.type))
    return column.cast(_TEXT).fill_null("")


def _answers(table: pa.Table, columns: ColumnNames, required: bool) -> pa.ChunkedArray | pa.Array:
    flags = _only(table, columns.is_impossible)
    if flags is not None and not pa.types.is_null(flags.type):
        _demand(pa.types.is_boolean(flags.type) and not pc.any(flags).as_py())
    present = [
        form
        for form in columns.answer_forms
        if any(has_column(table.schema, name) for name in form)
    ]
    if not present and not required:
        return pa.array([{"text": [], "answer_start": []}] * table.num_rows, _GOLD)
    _demand(bool(present) and len(present[0]) == 1)
    return _structs(_find(table, present[0][0]))


def _structs(column: pa.ChunkedArray | None) -> pa.ChunkedArray:
    """Check ``{text: list of texts, answer_start: list of integers}`` and cast it."""
    if column is None or column.null_count or not pa.types.is_struct(column.type):
        raise _InDoubtError
    _demand({"text", "answer_start"} <= {field.name for field in column.type})
    text, start = pc.struct_field(column, "text"), pc.struct_field(column, "answer_start")
    _demand(_is_list(text.type) and _is_list(start.type))
    _demand(_is_text(text.type.value_type) and pa.types.is_integer(start.type.value_type))
    _demand(text.null_count == 0 and start.null_count == 0)
    _check_values(text, start)
    text, start = text.cast(_GOLD.field("text").type), start.cast(_GOLD.field("answer_start").type)
    fields = [_GOLD.field("text"), _GOLD.field("answer_start")]
    chunks = [
        pa.StructArray.from_arrays(list(pair), fields=fields)
        for pair in zip(text.chunks, start.chunks, strict=True)
    ]
    return pa.chunked_array(chunks, type=_GOLD)


def _check_values(text: pa.ChunkedArray, start: pa.ChunkedArray) -> None:
    lengths = pc.equal(pc.list_value_length(text), pc.list_value_length(start))
    _demand(pc.all(lengths).as_py() is not False)
    starts = pc.list_flatten(start)
    texts = pc.list_flatten(text)
    _demand(texts.null_count == 0 and starts.null_count == 0)
    # A blank text may mean that there is no answer.
    _demand(not pc.any(pc.match_substring_regex(texts, _BLANK)).as_py())
    smallest = pc.min(starts).as_py()
    _demand(smallest is None or smallest >= 0)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))

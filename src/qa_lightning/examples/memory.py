"""Data in memory → a source: a data set, a frame, an Arrow table, or rows in lists and dicts.

Every shape that a file may have is read, by the same readers and with the same messages.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from os import PathLike
from typing import Any, Final, TypeGuard

import datasets
import pyarrow as pa

from qa_lightning.errors import InputError
from qa_lightning.examples.nested import document_rows
from qa_lightning.examples.readers import dataset_batch, table_batch
from qa_lightning.examples.schema import ColumnNames, RawBatch
from qa_lightning.examples.sources import FileSource, file_source

_HASHED_ROWS: Final = 5_000  # of a table at a time: bounds the copies that hashing makes
_FRAMES: Final = {
    ("pandas", "DataFrame"),
    ("polars", "DataFrame"),
    ("polars", "LazyFrame"),
}
_LISTINGS: Final = ("tolist", "to_pylist", "to_list")  # numpy's and pandas', Arrow's, polars'
_UNFIT: Final = (
    *(pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError),
    *(OverflowError, UnicodeEncodeError),  # numbers of more than 64 bits, halves of characters
)
_SHAPES: Final = (
    "a `datasets.Dataset`, a pandas or polars frame, an Arrow table, a list of dicts, what "
    "`json.load` gives of a SQuAD file, or the path of a file"
)

Columns = Mapping[str, Any]


class MemorySource:
    """Read splits out of objects; its identity is the hash of what they hold now.

    Args:
        splits: split name to data in any of the shapes of this module, or to paths.

    Raises:
        InputError: data of none of these shapes.
    """

    label = "the data in memory"

    def __init__(self, splits: Mapping[str, object]) -> None:
        self._splits: dict[str, FileSource | pa.Table | datasets.Dataset | list[Any] | Columns] = {
            name: _readable(data, name) for name, data in splits.items()
        }

    def splits(self) -> tuple[str, ...]:
        """Return the splits that were given."""
        return tuple(self._splits)

    def batches(self, split: str, columns: ColumnNames) -> Iterator[RawBatch]:
        """Yield the rows of a split; rows count from 1."""
        data, origin = self._splits[split], f"`{split}` in memory"
        if isinstance(data, FileSource):
            yield from data.batches(split, columns)
        elif isinstance(data, datasets.Dataset):
            yield dataset_batch(data, columns, origin)
        elif isinstance(data, pa.Table):
            table = data.select(columns.wanted(data.column_names, origin))
            yield table_batch(table, origin, data.column_names, columns)
        else:
            pairs = list(document_rows(data, origin, columns))
            yield RawBatch([row for _, row in pairs], origin, "row", [key for key, _ in pairs])

    def hashes(self) -> dict[str, str]:
        """Return a short hash of each split's content, by its name."""
        return {name: _short(self.identity([name])) for name in self._splits}

    def identity(self, splits: Sequence[str]) -> object:
        """Return the hash of each split's content, computed anew: objects can be changed."""
        return [[name, _digest(name, self._splits[name])] for name in splits]


def _readable(
    data: object, name: str
) -> FileSource | pa.Table | datasets.Dataset | list[Any] | Columns:
    """Return data in one of the forms that ``MemorySource`` reads."""
    if _are_paths(data):
        return file_source({name: data})  # type: ignore[dict-item]
    if isinstance(data, datasets.Dataset | pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    library = type(data).__module__.partition(".")[0]
    if (library, type(data).__name__) in _FRAMES:
        return _frame_table(data, library, name)
    if isinstance(data, Mapping) and not isinstance(data, dict):
        data = dict(data)
    if isinstance(data, dict) and not _holds_splits(data):
        return _columns_table(_plain(data), name) if _are_columns(data) else _plain(data)
    rows = [_row(each) for each in data] if _are_rows(data) else []
    if rows and all(row is not None for row in rows):
        return [_plain(row) for row in rows]
    raise InputError(f"Expected `{name}` to be {_SHAPES}; got {_described(data)}")


def _are_paths(data: object) -> bool:
    listed = data if isinstance(data, list | tuple) else [data]
    return bool(listed) and all(isinstance(path, str | PathLike) for path in listed)


def _holds_splits(data: Mapping[str, object]) -> bool:
    return any(isinstance(value, datasets.Dataset | pa.Table) for value in data.values())


def _are_columns(data: Mapping[str, object]) -> bool:
    """Tell columns, ``{name: values}`` as slices of data sets are, from a SQuAD document."""
    sized = [v for v in data.values() if isinstance(v, list | tuple) or _listing(v)]
    has_rows = isinstance(data.get("data"), list) or "paragraphs" in data or "qas" in data
    return bool(data) and not has_rows and len(sized) == len(data)


def _are_rows(data: object) -> TypeGuard[Collection[Any]]:
    """Tell what may hold rows and can be read again, as an iterator cannot."""
    one = str | bytes | bytearray | Mapping | datasets.IterableDataset
    return isinstance(data, Collection) and not isinstance(data, one)


def _row(row: Any) -> Mapping[str, Any] | None:
    """Return a row as a mapping: of a named tuple, a data class or a frame's row too."""
    if isinstance(row, Mapping):
        return row
    if is_dataclass(row) and not isinstance(row, type):
        return asdict(row)
    for name in ("_asdict", "to_dict"):
        if callable(getattr(row, name, None)) and not isinstance(row, type):
            made = getattr(row, name)()
            return made if isinstance(made, Mapping) else None
    return None


def _columns_table(data: Mapping[str, list[Any]], name: str) -> pa.Table | list[Any]:
    """Return columns as an Arrow table, or as rows where a column holds what Arrow cannot."""
    lengths = {column: len(values) for column, values in data.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{column} {length}" for column, length in lengths.items())
        raise InputError(f"Expected columns of one length in `{name}`; got {told} values.")
    try:
        return pa.table(data)
    except _UNFIT:
        return [dict(zip(data, row, strict=True)) for row in zip(*data.values(), strict=True)]


def _frame_table(frame: Any, library: str, name: str) -> pa.Table | list[Any]:
    """Return a frame as an Arrow table, or as rows where a column mixes what Arrow cannot."""
    if library == "polars":
        return frame.collect().to_arrow() if hasattr(frame, "collect") else frame.to_arrow()
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise InputError(
            f"Expected each column of `{name}` once; {twice!r} stands there more often. Rename or "
            "drop the others."
        )
    named = [level for level in frame.index.names if level is not None and level not in frame]
    if named:  # an `id` is mostly there
        frame = frame.reset_index(level=named)
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except _UNFIT:
        return [_plain(row) for row in frame.to_dict("records")]


def _listing(value: Any) -> Any:
    """Return the method that gives the values of an array or a series, if it has one."""
    return next((getattr(value, name) for name in _LISTINGS if hasattr(value, name)), None)


def _plain(value: Any) -> Any:
    """Return plain Python values in place of numpy's, all the way down."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    listing = _listing(value)
    return _plain(listing()) if listing else value


def _described(data: object) -> str:
    kind = f"{type(data).__module__}.{type(data).__qualname__}".removeprefix("builtins.")
    if isinstance(data, Mapping):
        names = ", ".join(map(str, list(data)[:4]))
        return f"{article(kind)} with {names}. Give one split of it, such as `train=data['train']`."
    if _are_rows(data):
        odd = next((row for row in data if _row(row) is None), None)
        found = "an empty one" if odd is None else f"one that holds {article(type(odd).__name__)}"
        return f"{article(kind)}, {found}."
    if isinstance(data, Iterator | datasets.IterableDataset):
        return f"{article(kind)}, which can be read once only. Make a list of it: `list(data)`."
    return f"{article(kind)}."


def article(kind: str) -> str:
    """Return the name of a type with its article.

    >>> article("int"), article("list")
    ('an int', 'a list')
    """
    return f"a{'n' if kind[:1].lower() in 'aeiou' else ''} {kind}"


def _digest(name: str, data: object) -> object:
    if isinstance(data, FileSource):
        return data.identity([name])
    digest = hashlib.sha256()
    if isinstance(data, datasets.Dataset):
        for start in range(0, len(data), _HASHED_ROWS):
            part = data.with_format("arrow")[start : start + _HASHED_ROWS]
            _hash_table(digest, part)
    elif isinstance(data, pa.Table):
        for start in range(0, data.num_rows, _HASHED_ROWS):
            _hash_table(digest, data.slice(start, _HASHED_ROWS))
    else:
        digest.update(json.dumps(data, sort_keys=True, default=repr).encode())
    return digest.hexdigest()


def _short(identity: object) -> str:
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]


def _hash_table(digest: Any, table: pa.Table) -> None:
    """Add a table's names, types and values to a digest, whatever its chunks and metadata."""
    table = table.combine_chunks().replace_schema_metadata(None)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    digest.update(sink.getvalue())

"""Files → raw batches, one reader a kind of file; what cannot be parsed at all is told here."""

import contextlib
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from qa_lightning.encodings import open_text
from qa_lightning.errors import InputError
from qa_lightning.examples.json_texts import parse_json
from qa_lightning.examples.nested import document_rows, nested_rows, shape_of
from qa_lightning.examples.schema import CONTAINERS, ColumnNames, RawBatch, Row, Unreadable
from qa_lightning.examples.spreadsheets import csv_rows
from qa_lightning.examples.tables import row_dicts
from qa_lightning.examples.unfolding import check_unfolded, is_packed, open_unpacked
from qa_lightning.examples.webanno import WEBANNO, webanno_cas

_BATCH_ROWS = 5_000  # bounds the Python objects alive at a time
_JSON_LINES = (".jsonl", ".ndjson")
_CONVERT = "Convert it, or give it the ending of what it is."
_HINTS = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "Save the sheet as CSV."),
    ".xmi": "Export from INCEpTION as UIMA CAS JSON or as WebAnno TSV 3.3.",
    ".zip": "Unpack it, and name the files in it.",
}

KeyedRow = tuple[int | tuple[int, str], Row]
Reader = Callable[[Path, ColumnNames], Iterator[RawBatch]]


def read_file(path: Path, columns: ColumnNames) -> Iterator[RawBatch]:
    """Read a file or a `save_to_disk` folder of one data set, by its kind.

    Raises:
        InputError: the kind is unknown, or the file is damaged, no such file at all or in no
            encoding that is known.
    """
    reader = _READERS.get(kind_of(path))
    if reader is None:
        known = ", ".join(kind for kind in _READERS if kind != "saved")
        raise InputError(
            f"Expected a file of the kind {known} (each also with .gz) or a `save_to_disk` folder; "
            f"got {path}. {_HINTS.get(kind_of(path), _CONVERT)}"
        )
    try:
        yield from reader(path, columns)
    except RecursionError:
        raise InputError(
            f"Expected rows, articles or paragraphs in {path}; it nests deeper than any data does."
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"Expected a whole gzip file; {path} is damaged: {error}.") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"Expected a readable {kind_of(path)} source; {path}: {error}") from None


def kind_of(path: Path) -> str:
    """Name the kind of a source: its ending without ``.gz``, or ``saved`` for a folder.

    >>> kind_of(Path("train.JSON.gz"))
    '.json'
    """
    if path.is_dir():
        return "saved" if (path / "state.json").is_file() else "folder"
    name = Path(path.name.lower())
    return Path(name.stem).suffix if name.suffix == ".gz" else name.suffix


def is_data_file(path: Path) -> bool:
    """Tell whether a file's name says that it holds examples."""
    return kind_of(path) in _READERS and path.is_file()


def _read_json(path: Path, columns: ColumnNames) -> Iterator[RawBatch]:
    """Read one JSON document; several on lines of their own are JSON Lines by another name."""
    with open_text(lambda: open_unpacked(path), path) as stream:
        text = stream.read()
    try:
        document = parse_json(text)
    except json.JSONDecodeError as error:
        if _starts_with_whole_line(text):
            lines = io.StringIO(text, newline="\n")
            yield from _batches(_line_rows(lines, columns), path, "line")
            return
        raise InputError(
            f"Expected JSON in {path}; it breaks at line {error.lineno}, column {error.colno}: "
            f"{error.msg}. Mend it there, or name a file of JSON Lines `.jsonl`."
        ) from None
    yield from _document_batches(document, path, columns)


def _document_batches(document: Any, path: Path, columns: ColumnNames) -> Iterator[RawBatch]:
    shape = shape_of(document) if isinstance(document, dict) or _nests(document) else ""
    yield from _batches(document_rows(document, path, columns), path, "row", shape)


def _nests(document: Any) -> bool:
    """Tell whether the objects of a list are more than rows."""
    first = document[0] if isinstance(document, list) and document else None
    return isinstance(first, dict) and any(shape_of(value) for value in first.values())


def _starts_with_whole_line(text: str) -> bool:
    try:
        first = parse_json(text.lstrip().partition("\n")[0])
    except json.JSONDecodeError:
        return False
    return isinstance(first, dict)


def _read_json_lines(path: Path, columns: ColumnNames) -> Iterator[RawBatch]:
    """Read an object a line; one JSON document under such a name is read as what it is."""
    with open_text(lambda: open_unpacked(path), path) as stream:
        head: list[str] = []
        while not "".join(head[-1:]).strip() and (line := stream.readline()):
            head.append(line)
        lines: Iterable[str] = chain(head, stream)
        if not _starts_with_whole_line("".join(head)):
            text = "".join(lines)
            with contextlib.suppress(json.JSONDecodeError):
                yield from _document_batches(parse_json(text), path, columns)
                return
            lines = io.StringIO(text, newline="\n")
        yield from _batches(_line_rows(lines, columns), path, "line")


def _line_rows(stream: Iterable[str], columns: ColumnNames) -> Iterator[KeyedRow]:
    """Yield the rows of each line: itself, or the questions of the paragraph that it holds."""
    for number, line in enumerate(stream, start=1):
        if not (text := line.strip(" \t\r\n")):
            continue
        row = _parse_line(text)
        if not isinstance(row, dict):
            yield number, row
        elif number > 1 or set(row) != {"header"}:  # MRQA tells its name there
            for place, inner in nested_rows(row, columns):
                yield (number, place.lstrip(".")) if place else number, inner


def _parse_line(text: str) -> Row:
    try:
        row = parse_json(text)
    except json.JSONDecodeError as error:
        return Unreadable(f"is no JSON: {error.msg} at column {error.colno}")
    return row if isinstance(row, dict) else Unreadable("is JSON, but no object {...}")


def _read_table(path: Path, columns: ColumnNames) -> Iterator[RawBatch]:
    with open_text(lambda: open_unpacked(path), path, newline="") as text:
        first = text.readline()
        lines = chain((first,), text)  # an unpacked stream cannot go back
        if first.startswith(WEBANNO):
            document = webanno_cas(lines, path)
            yield from _batches(document_rows(document, path, columns), path, "question")
        else:
            yield from _batches(csv_rows(lines, path, columns), path, "line")


def _read_parquet(path: Path, columns: ColumnNames) -> Iterator[RawBatch]:
    source: Any = path
    if is_packed(path):
        with open_unpacked(path) as stream:
            source = pa.BufferReader(stream.read())
    file = pq.ParquetFile(source)
    names = columns.wanted(file.schema_arrow.names, path)
    check_unfolded(file, names, path)
    table = file.read(columns=names)
    yield table_batch(table, str(path), file.schema_arrow.names, columns)


def _read_saved(path: Path, columns: ColumnNames) -> Iterator[RawBatch]:
    try:
        dataset = datasets.load_from_disk(str(path))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"Expected a `save_to_disk` folder; {path}: {error}") from None
    yield dataset_batch(dataset, columns, str(path))


def dataset_batch(dataset: datasets.Dataset, columns: ColumnNames, origin: str) -> RawBatch:
    """Return a data set's columns as one batch, without copying what is mapped from disk."""
    names = columns.wanted(dataset.column_names, origin)
    table = dataset.select_columns(names).with_format("arrow")[:]
    return table_batch(table, origin, dataset.column_names, columns)


def table_batch(
    table: pa.Table, origin: str, names: Sequence[str], columns: ColumnNames
) -> RawBatch:
    """Return a table as one batch whose rows count from 1; rows may hold many questions."""
    table = table.rename_columns(columns.spelled(table.column_names))
    names = columns.spelled(names)
    if columns.has_question(names) or set(CONTAINERS).isdisjoint(names):
        return RawBatch(table, origin, "row", range(1, table.num_rows + 1), tuple(names))
    pairs = [
        ((number, place.lstrip(".")), inner)
        for number, row in enumerate(row_dicts(table), start=1)
        for place, inner in nested_rows(row, columns)
    ]
    return RawBatch([row for _, row in pairs], origin, "row", [key for key, _ in pairs])


def _batches(
    rows: Iterator[KeyedRow], path: Path, unit: str, shape: str = ""
) -> Iterator[RawBatch]:
    while pairs := list(islice(rows, _BATCH_ROWS)):
        keys = [key for key, _ in pairs]
        yield RawBatch([row for _, row in pairs], str(path), unit, _compact(keys), (), shape)


def _compact(keys: Sequence[int | tuple[int, str]]) -> Sequence[int | tuple[int, str]]:
    """Keep consecutive numbers as a range: they are held for every row of a split."""
    numbers = [key for key in keys if isinstance(key, int)]
    if len(numbers) == len(keys) == numbers[-1] - numbers[0] + 1:
        return range(numbers[0], numbers[-1] + 1)
    return keys


_READERS: dict[str, Reader] = {
    ".json": _read_json,
    **dict.fromkeys(_JSON_LINES, _read_json_lines),
    ".csv": _read_table,
    ".tsv": _read_table,
    ".parquet": _read_parquet,
    "saved": _read_saved,
}

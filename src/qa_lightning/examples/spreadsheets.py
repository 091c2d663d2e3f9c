"""CSV as pandas, spreadsheets and people write it → rows."""

import csv
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from qa_lightning.errors import InputError
from qa_lightning.examples.cells import NO_VALUES
from qa_lightning.examples.schema import ColumnNames, Row, Unreadable

_DELIMITERS = ",;\t|"  # spreadsheets in many languages write semicolons
_NAMED_DELIMITER = re.compile(r"sep=(.)\s*")  # a first line that Excel writes, and hides
_LONGEST_CELL = 2**31 - 1  # the module's limit of 131,072 characters is shorter than documents


def csv_rows(text: Iterator[str], path: Path, columns: ColumnNames) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a table with a header, each with the number of its first line.

    Raises:
        InputError: it breaks, or a column that is read stands there twice.
    """
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    first_line = next(text, "")
    named = _NAMED_DELIMITER.fullmatch(first_line)
    delimiter = named[1] if named else _delimiter(first_line)
    rest = text if named else chain((first_line,), text)
    reader = csv.reader(rest, delimiter=delimiter, strict=True)
    try:
        for line, row in _cell_rows(reader, path, columns):
            yield line + bool(named), row
    except csv.Error as error:
        raise InputError(
            f"Expected CSV in {path}; it breaks near line {reader.line_num}: {error}. Texts "
            'with separators, quotes or line breaks stand in "...", quotes in them doubled.'
        ) from None


def _delimiter(header: str) -> str:
    """Choose what parts most columns."""
    return max(
        _DELIMITERS, key=lambda delimiter: len(next(csv.reader([header], delimiter=delimiter), []))
    )


def _cell_rows(reader: Any, path: Path, columns: ColumnNames) -> Iterator[tuple[int, Row]]:
    """Yield a mapping a record; an empty cell is an absent value, an empty record none.

    So is what pandas reads as absent, ``NaN`` or ``None``, unless it stands in the row's context.
    """
    header = columns.spelled(next(reader, []))
    columns.wanted(header, path)
    texts = {*columns.id, *columns.context, *columns.question}
    line = reader.line_num + 1
    for cells in reader:
        if any(cells) and len(cells) != len(header):
            yield line, Unreadable(f"has {len(cells)} cells where the header has {len(header)}")
        elif any(cells):
            # Both cells of an answer pair stay, so that "both empty" is seen as: no answer.
            row = {name: cell or None for name, cell in zip(header, cells, strict=True)}
            context = max(cells, key=len)
            blank = {
                name for name, cell in row.items() if cell in NO_VALUES and cell not in context
            }
            yield line, row | dict.fromkeys(blank - texts)
        line = reader.line_num + 1

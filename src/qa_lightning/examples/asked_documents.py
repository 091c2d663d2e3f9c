"""Questions without a context, beside documents → every question of every document."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from os.path import commonpath, relpath
from pathlib import Path
from typing import Any

import pyarrow as pa

from qa_lightning.documents import SUFFIXES, DocumentError, read_document
from qa_lightning.errors import InputError
from qa_lightning.examples.rows import first_of
from qa_lightning.examples.schema import ColumnNames, RawBatch, Row
from qa_lightning.examples.tables import row_dicts

log = logging.getLogger(__name__)

_TOLD = 50  # documents that are refused by name


def is_document(path: Path) -> bool:
    """Tell whether a file's name says that it is a document, and not rows of data."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


class AskedDocuments:
    """Cross questions with documents, one document at a time.

    Args:
        documents: files of text, Markdown, HTML, DOCX or PDF.
        skip: whether those that cannot be read are left out, and told; else they are refused.
    """

    def __init__(self, documents: Sequence[Path], *, skip: bool = False) -> None:
        self._skip = skip
        folder = commonpath([path.absolute().parent for path in documents])
        self._documents = {relpath(path.absolute(), folder): path for path in documents}

    def asked(self, batches: Iterator[RawBatch], columns: ColumnNames) -> Iterator[RawBatch]:
        """Yield rows with a context as they are; the others with the text of each document.

        Raises:
            InputError: documents cannot be read: all of them, when all were tried.
        """
        questions: list[tuple[str, Row]] = []
        for batch in batches:
            rows = _without_context(batch, columns)
            if rows is None:
                yield batch
            questions += rows or ()
        faults: list[str] = []
        for name, path in self._documents.items() if questions else ():
            try:
                document = read_document(path)
            except DocumentError as error:
                faults.append(str(error))
                continue
            for note in document.notes:
                log.warning("%s: %s", path, note)
            yield RawBatch(
                list(self._rows(questions, name, document.text, columns)),
                str(path),
                "question",
                range(1, len(questions) + 1),
            )

        if faults:
            self._tell(faults)

    def _tell(self, faults: Sequence[str]) -> None:
        found, every = len(faults), len(self._documents)
        if self._skip and found < every:
            reasons = "\n  ".join(faults)
            told = "left out %d of %d documents, which cannot be read:\n  %s"
            log.warning(told, found, every, reasons)
            return
        more = [f"and {found - _TOLD:,} more"] * (found > _TOLD)
        reasons = "\n  ".join([*faults[:_TOLD], *more])
        raise InputError(
            f"Expected documents with text; {found:,} of {every:,} documents cannot be read:\n  "
            f"{reasons}\nMend or remove them, or leave them out by `data.skip_unreadable: true`."
        )

    def _rows(
        self, questions: Sequence[tuple[str, Row]], name: str, text: str, columns: ColumnNames
    ) -> Iterator[Row]:
        for key, row in questions:
            if not isinstance(row, Mapping):
                yield row
                continue
            own = first_of(row, columns.id)
            added: dict[str, Any] = {
                columns.id[0]: f"{name}#{key if own is None else own}",
                columns.title[0]: name,
                columns.context[0]: text,
            }
            yield {**row, **added}


def _without_context(batch: RawBatch, columns: ColumnNames) -> list[tuple[str, Row]] | None:
    """Return a batch's rows, each with its number, if none of them has a context."""
    given = row_dicts(batch.rows) if isinstance(batch.rows, pa.Table) else batch.rows
    readable = [row for row in given if isinstance(row, Mapping)]
    if not readable or any(first_of(row, columns.context) is not None for row in readable):
        return None
    return [(str(key), row) for key, row in zip(batch.keys, given, strict=True)]


def refuse_no_questions(documents: Sequence[Path]) -> None:
    """Refuse documents without a file of questions.

    Raises:
        InputError: always.
    """
    shown = ", ".join(path.name for path in documents[:3])
    raise InputError(
        "Expected a file of the kind .json, .jsonl, .csv or .parquet; found documents alone "
        f"({shown}{', …' if len(documents) > 3 else ''}). To ask documents, name beside them a "
        "file of rows with a `question` and no context, such as questions.csv."
    )

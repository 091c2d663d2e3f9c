"""DOCX → a document: paragraphs and tables in their order."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from qa_lightning.documents.assembling import Assembler
from qa_lightning.documents.records import Document
from qa_lightning.errors import InputError

_LARGEST: Final = 1 << 30  # bytes that its parts may unpack to
_OLD_OR_ENCRYPTED: Final = b"\xd0\xcf\x11\xe0"


def docx_document(path: Path) -> Document:
    """Read a DOCX file: the text of its body; headers, footers and notes are left out.

    Raises:
        InputError: it is damaged, encrypted, or unpacks to more than a gigabyte.
    """
    import docx

    _check(path)
    try:
        body = docx.Document(str(path))
        made = Assembler()
        for kind, text in _blocks(body):
            made.add(text, kind)
    except Exception as error:  # lxml's, zlib's and python-docx's own have no common type
        raise InputError(
            f"Expected a Word document in {path}; it is damaged ({type(error).__name__}: "
            f"{error}). Open and save it in Word or LibreOffice."
        ) from error
    return made.document(path.name)


def _check(path: Path) -> None:
    with path.open("rb") as stream:
        start = stream.read(4)
    if start == _OLD_OR_ENCRYPTED:
        raise InputError(
            f"Expected a DOCX file without a password in {path}; it is encrypted, or of Word 97 to "
            "2003. Save it as DOCX without a password."
        )
    if not zipfile.is_zipfile(path):
        raise InputError(f"Expected a DOCX file in {path}; it is none, or cut off.")
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _LARGEST:
        raise InputError(
            f"Expected a DOCX file of at most {_LARGEST >> 20:,} MB unpacked in {path}; it says "
            f"{size >> 20:,}."
        )


def _blocks(container: Any) -> Iterator[tuple[str, str]]:
    from docx.text.paragraph import Paragraph

    for block in container.iter_inner_content():
        if isinstance(block, Paragraph):
            style = (block.style.name or "") if block.style is not None else ""
            is_heading = style.startswith(("Heading", "Title"))
            yield "heading" if is_heading else "paragraph", block.text.strip()
        else:
            for row in block.rows:
                yield "row", "\t".join(_cell_texts(row))


def _cell_texts(row: Any) -> Iterator[str]:
    """Yield the text of each cell once: merged ones come up for every column they cover."""
    seen: set[int] = set()
    for cell in row.cells:
        if id(cell._tc) not in seen:
            seen.add(id(cell._tc))
            yield " ".join(text for _, text in _blocks(cell) if text)

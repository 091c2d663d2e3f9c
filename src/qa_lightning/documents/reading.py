"""A path → a document, by the kind of file that stands there."""

import io
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Final

from qa_lightning.documents.markup import html_document, markdown_document
from qa_lightning.documents.pdf import pdf_document
from qa_lightning.documents.records import Document, Element
from qa_lightning.documents.word import docx_document
from qa_lightning.encodings import open_text
from qa_lightning.errors import InputError

SUFFIXES: Final = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
}
_LARGEST: Final = 500 << 20  # bytes of a file
_PICTURES: Final = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"II*\0": "TIFF"}


def read_document(path: str | PathLike[str], *, password: str | None = None) -> Document:
    """Read a file as a document; the kind is what its first bytes and its name say.

    Args:
        path: text, Markdown, HTML, DOCX or PDF.
        password: of an encrypted PDF; None is that of the environment's
            ``QA_LIGHTNING_PDF_PASSWORD``.

    Raises:
        InputError: there is none, it is of another kind, encrypted, damaged or without text, or a
            package that reads it is missing.
    """
    file = Path(path).expanduser()
    kind = _kind(file)
    try:
        document = _READERS[kind](file, password)
    except ModuleNotFoundError as error:
        raise InputError(
            f"Expected the package that reads {kind.upper()} files ({error.name}) for {file}; it "
            "is not installed. pip install 'qa-lightning[documents]'"
        ) from error
    if not document.text.strip():
        raise InputError(f"Expected text in {file}; there is none.")
    return document


def _kind(file: Path) -> str:
    if not file.exists():
        raise InputError(f"Expected a document at {file}; found nothing there.")
    if not file.is_file():
        raise InputError(f"Expected a document at {file}; it is no regular file.")
    if (size := file.stat().st_size) > _LARGEST:
        raise InputError(
            f"Expected a document of at most {_LARGEST >> 20} MB; {file} has {size >> 20:,} MB. "
            "Cut it into parts."
        )
    try:
        with file.open("rb") as stream:
            start = stream.read(1024)
    except OSError as error:
        raise InputError(
            f"Expected a document at {file}; it could not be read: {error.strerror}."
        ) from error
    if b"%PDF-" in start:
        return "pdf"
    for mark, name in _PICTURES.items():
        if start.startswith(mark):
            raise InputError(
                f"Expected text in {file}; it is a picture ({name}). Recognise its text (OCR)."
            )
    named = SUFFIXES.get(file.suffix.lower(), "text")
    if named in ("pdf", "text") and start.startswith(b"PK\x03\x04"):
        return "docx"
    if named == "text" and start.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "html"
    return named


def _text(file: Path) -> str:
    with open_text(lambda: file.open("rb"), file, newline="") as stream:
        return stream.read()


def text_document(text: str, name: str) -> Document:
    """Return plain text as a document of lines: line ends too are characters that places count."""
    elements, start = [], 0
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        elements.append(Element(start, start + len(line), "line", number))
        start += len(line)
    return Document(text, name, elements)


_READERS: Final[dict[str, Callable[[Path, str | None], Document]]] = {
    "pdf": lambda file, password: pdf_document(file, password=password),
    "docx": lambda file, _: docx_document(file),
    "html": lambda file, _: html_document(_text(file), file.name),
    "markdown": lambda file, _: markdown_document(_text(file), file.name),
    "text": lambda file, _: text_document(_text(file), file.name),
}

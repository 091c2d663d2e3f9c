"""A path → a document, by the kind of file that stands there."""

import io
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Final

from qa_lightning.documents.bounding import Allowance, check_file
from qa_lightning.documents.markup import html_document, markdown_document
from qa_lightning.documents.pdf import pdf_document
from qa_lightning.documents.records import Document, Element
from qa_lightning.documents.refusals import DocumentError
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
_SHOWN: Final = 200  # characters of a path
_OLD_OR_ENCRYPTED: Final = b"\xd0\xcf\x11\xe0"  # Office 97 to 2003, or a password's wrapping
_ARCHIVE: Final = b"PK\x03\x04"
_PICTURES: Final = {
    **{b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"BM": "BMP"},
    **{b"II*\0": "TIFF", b"MM\0*": "TIFF", b"RIFF": "WebP", b"\0\0\0\x18ftyphei": "HEIC"},
}
_ARCHIVES: Final = {b"\x1f\x8b": "gzip", b"7z\xbc\xaf": "7z", b"Rar!": "RAR", b"BZh": "bzip2"}


def read_document(path: str | PathLike[str], *, password: str | None = None) -> Document:
    """Read a file as a document; the kind is what its first bytes and its name say.

    Args:
        path: text, Markdown, HTML, DOCX or PDF.
        password: of an encrypted PDF; None is that of the environment's
            ``QA_LIGHTNING_PDF_PASSWORD``.

    Raises:
        DocumentError: there is none, it is of another kind, encrypted, damaged, too large or
            without text, or a package that reads it is missing.
    """
    file = Path(path).expanduser()
    kind = _kind(file)
    try:
        document = _READERS[kind](file, password)
    except ModuleNotFoundError as error:
        found = {"kind": kind.upper(), "package": error.name}
        raise DocumentError("package", name=file, **found) from error
    if not document.text.strip():
        raise DocumentError("no_text", name=file)
    return document


def _kind(file: Path) -> str:
    try:
        if not file.exists():
            raise DocumentError("absent", name=file)
        if not file.is_file():
            raise DocumentError("no_file", name=file)
        check_file(file)
        with file.open("rb") as stream:
            start = stream.read(1024)
    except OSError as error:  # a text in place of a file's name may be too long for one
        name = str(file) if len(str(file)) < _SHOWN else f"{str(file)[:_SHOWN]} …"
        raise DocumentError("unreadable", name=name, why=error.strerror) from error
    if b"%PDF-" in start:
        return "pdf"
    _refuse_others(file, start)
    named = SUFFIXES.get(file.suffix.lower(), "text")
    if named in ("pdf", "text") and start.startswith(_ARCHIVE):
        return "docx"
    if named == "text" and start.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "html"
    return named


def _refuse_others(file: Path, start: bytes) -> None:
    """Refuse what is known by its first bytes, and no document that is read here."""
    for mark, kind in _PICTURES.items():
        # The short ones may also begin a text: a picture has zeros near them.
        if start.startswith(mark) and (len(mark) > 2 or b"\0" in start[:32]):
            raise DocumentError("picture", name=file, kind=kind)
    for mark, kind in _ARCHIVES.items():
        if start.startswith(mark):
            raise DocumentError("archive", name=file, kind=kind)
    if start.startswith(_OLD_OR_ENCRYPTED):
        raise DocumentError("old_word", name=file)
    if start.startswith(b"{\\rtf"):
        raise DocumentError("other_kind", name=file, kind="rich text (RTF)")


def _text(file: Path) -> str:
    try:
        with open_text(lambda: file.open("rb"), file, newline="") as stream:
            return stream.read()
    except InputError as error:
        raise DocumentError("encoding", name=file, why=str(error)) from error


def text_document(text: str, name: str) -> Document:
    """Return plain text as a document of lines: line ends too are characters that places count."""
    allowance = Allowance(name, len(text))
    allowance.check(len(text), text.count("\n"))
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

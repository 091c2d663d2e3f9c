"""DOCX → a document: paragraphs and tables in their order."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from qa_lightning.documents.assembling import Assembler
from qa_lightning.documents.bounding import Allowance, check_archive
from qa_lightning.documents.records import Document
from qa_lightning.documents.refusals import DocumentError

_KIND: Final = "mimetype"  # the part in which OpenDocument and EPUB say what they are
_OFFICE: Final = {
    "application/vnd.oasis.opendocument.text": "an OpenDocument text (ODT)",
    "application/vnd.oasis.opendocument.spreadsheet": "a spreadsheet (ODS)",
    "application/vnd.oasis.opendocument": "of OpenDocument",
    "application/epub": "a book (EPUB)",
}
_PARTS: Final = {
    "xl/workbook.xml": "a spreadsheet (XLSX)",
    "ppt/presentation.xml": "a presentation (PPTX)",
}
_W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_PARAGRAPH, _TABLE, _ROW, _CELL = (f"{_W}{name}" for name in ("p", "tbl", "tr", "tc"))
# What stands in the place of text, and what holds text that is not read: what was moved away, and
# the form of a text box that programs older than 2010 show.
_SIGNS: Final = {
    f"{_W}tab": "\t",
    f"{_W}br": "\n",
    f"{_W}cr": "\n",
    f"{_W}noBreakHyphen": "-",
}
_UNREAD: Final = (
    f"{_W}moveFrom",
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
)
_WIDEST: Final = 63  # columns of a table: Word's own limit


def docx_document(path: Path) -> Document:
    """Read a DOCX file: the text of its body; headers, footers and notes are left out.

    Raises:
        DocumentError: it is of another kind, damaged, or unpacks to more than any document.
    """
    import docx

    made = Assembler(path.name, Allowance(path, path.stat().st_size))
    try:
        _check(path)
        file = docx.Document(str(path))
        headings = _headings(file.styles.element)
        for kind, text in _blocks(file.element.body, headings):
            made.add(text, kind)
    except DocumentError:
        raise
    except Exception as error:  # lxml's, zlib's and python-docx's own have no common type
        why = f"{type(error).__name__}: {error}"
        raise DocumentError("damaged_word", name=path, why=why) from error
    return made.document()


def _check(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        raise DocumentError("no_word", name=path)
    check_archive(path)
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        kind = archive.read(_KIND)[:100].decode("ascii", "replace") if _KIND in names else ""
    known = (told for mark, told in _OFFICE.items() if kind.startswith(mark))
    parts = (told for part, told in _PARTS.items() if part in names)
    if other := next(iter((*known, *parts)), None):
        raise DocumentError("other_kind", name=path, kind=other)
    if "[Content_Types].xml" not in names:
        raise DocumentError("archive", name=path, kind="ZIP")


def _headings(styles: Any) -> frozenset[str]:
    """Return the ids of the styles of headings: their names are English in any Word."""
    names = {
        style.get(f"{_W}styleId"): style.find(f"{_W}name").get(f"{_W}val", "").lower()
        for style in styles.iterfind(f"{_W}style[{_W}name]")
    }
    return frozenset(key for key, name in names.items() if name.startswith(("heading", "title")))


def _blocks(container: Any, headings: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield kind and text of paragraphs and rows, also of those in fields, forms and revisions."""
    for node in container:
        if node.tag == _PARAGRAPH:
            style = node.find(f"{_W}pPr/{_W}pStyle")
            is_heading = style is not None and style.get(f"{_W}val") in headings
            yield "heading" if is_heading else "paragraph", _text(node).strip()
            for box in _boxes(node):
                yield from _blocks(box, headings)
        elif node.tag == _TABLE:
            yield from (("row", text) for text in _rows(node, headings))
        elif isinstance(node.tag, str) and node.tag not in _UNREAD:
            yield from _blocks(node, headings)


def _text(paragraph: Any) -> str:
    """Return a paragraph's own text, without that of boxes which are anchored in it."""
    parts: list[str] = []
    for node in paragraph:
        if node.tag == f"{_W}t":
            parts.append(node.text or "")
        elif node.tag in _SIGNS:
            parts.append(_SIGNS[node.tag])
        elif len(node) and node.tag not in (*_UNREAD, f"{_W}txbxContent", f"{_W}pPr", f"{_W}rPr"):
            parts.append(_text(node))
    return "".join(parts)


def _boxes(paragraph: Any) -> Iterator[Any]:
    for node in paragraph:
        if node.tag == f"{_W}txbxContent":
            yield node
        elif len(node) and node.tag not in _UNREAD:
            yield from _boxes(node)


def _rows(table: Any, headings: frozenset[str]) -> Iterator[str]:
    """Yield the rows' texts; a cell that spans several rows stands in each, as in none a gap."""
    above: dict[int, str] = {}
    for row in _inner(table, _ROW):
        column, texts = 0, []
        for cell in _inner(row, _CELL):
            merged = cell.find(f"{_W}tcPr/{_W}vMerge")
            goes_on = merged is not None and merged.get(f"{_W}val", "continue") != "restart"
            own = " ".join(text for _, text in _blocks(cell, headings) if text)
            text = above.get(column, "") if goes_on and not own else own
            above[column] = text
            texts.append(text)
            column += _width(cell)
        yield "\t".join(texts)


def _inner(container: Any, tag: str) -> Iterator[Any]:
    """Yield rows or cells, also those in forms and revisions."""
    for node in container:
        if node.tag == tag:
            yield node
        elif isinstance(node.tag, str) and node.tag not in _UNREAD and node.tag != _TABLE:
            yield from _inner(node, tag)


def _width(cell: Any) -> int:
    span = cell.find(f"{_W}tcPr/{_W}gridSpan")
    told = "1" if span is None else span.get(f"{_W}val", "1")
    return min(int(told), _WIDEST) if told.isdecimal() else 1

"""How much a document may hold: every kind of file is bounded here before a reader takes it up.

What a few bytes can stand for has no end: archives of zeros, pages that stand in a file once and
count a million times, tables of endless columns. Readers tell what they find, and stop where no
document of people ends.
"""

import zipfile
from pathlib import Path
from typing import Final

from qa_lightning.documents.refusals import DocumentError

_BYTES: Final = 500 << 20  # of a file, packed and unpacked
_TAGS: Final = 4_000_000  # of HTML, or of all parts of a DOCX: some 2,000 pages
_PAGES: Final = 20_000
_CHARACTERS: Final = 100_000_000  # a hundred long books
_ELEMENTS: Final = 5_000_000  # paragraphs, rows, lines
_UNFOLDED: Final = 20  # characters a byte; texts that are packed well have some five
_SMALL: Final = 1_000_000  # characters that a file of any size may have
_CHUNK: Final = 1 << 20


def check_file(path: Path) -> None:
    """Refuse a file that is too large to be read as a document.

    Raises:
        DocumentError: it is.
    """
    size = path.stat().st_size
    if size > _BYTES:
        raise DocumentError("too_large", name=path, most=_BYTES >> 20, found=size >> 20)


def check_markup(text: str, name: object) -> None:
    """Refuse HTML of too many tags.

    Raises:
        DocumentError: it has.
    """
    _check(text.count("<"), _TAGS, "tags", name)


def check_archive(path: Path) -> None:
    """Refuse an archive that unpacks too far, without holding what it unpacks to.

    Raises:
        DocumentError: it does.
        zipfile.BadZipFile: it is damaged.
    """
    size = tags = 0
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            _check(size + part.file_size, _BYTES, "bytes unpacked", path)
            with archive.open(part) as stream:
                while chunk := stream.read(_CHUNK):
                    size += len(chunk)
                    tags += chunk.count(b"<")
                    _check(tags, _TAGS, "tags", path)


def check_pages(count: int, name: object) -> None:
    """Refuse a document of too many pages.

    Raises:
        DocumentError: it has.
    """
    _check(count, _PAGES, "pages", name)


class Allowance:
    """Bound the text that a file gives, while it is put together.

    Args:
        name: of the file.
        size: of the file, in bytes.
    """

    def __init__(self, name: object, size: int) -> None:
        self._name = name
        self._most = min(_CHARACTERS, max(_SMALL, _UNFOLDED * size))

    def check(self, characters: int, elements: int = 0) -> None:
        """Refuse a text that is too long already.

        Raises:
            DocumentError: it is.
        """
        _check(characters, self._most, "characters", self._name)
        _check(elements, _ELEMENTS, "paragraphs, rows or lines", self._name)


def _check(found: int, most: int, what: str, name: object) -> None:
    if found > most:
        raise DocumentError("too_much", name=name, most=most, what=what)

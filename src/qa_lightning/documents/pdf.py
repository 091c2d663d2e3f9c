"""PDF → a document: the text of its pages, and the box of every character.

PDFium reads the characters in their order; lines are joined to paragraphs, words that a line end
parted are joined again, and the columns of tables are kept apart.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from qa_lightning.documents.assembling import Assembler
from qa_lightning.documents.bounding import Allowance, check_pages
from qa_lightning.documents.records import Boxes, Document
from qa_lightning.documents.refusals import PASSWORD, DocumentError, LockedError

_PARTED: Final = frozenset("\x02\ufffe")  # what PDFium gives for a hyphen at a line's end
_LINE_ENDS: Final = frozenset("\r\n") | _PARTED
_HYPHENS: Final = frozenset("-\u00ad\u2010\u2011") | _PARTED
_NEW_PARAGRAPH: Final = 1.35  # of the usual distance between lines
_CLOSEST: Final = 0.2  # the share of distances up to the usual one: some paragraphs have one line
_OTHER_SIZE: Final = 1.2  # between the heights of text and a heading
_COLUMN_GAP: Final = 1.0  # of a line's height: wider than any blank between words
_COMPOUND: Final = re.compile(r"\w+-\w+")
_WORD: Final = re.compile(r"\w+$")
_NO_BOX: Final = np.full((1, 4), np.nan, np.float32)


class _Line(NamedTuple):
    """Hold one line of a page; ``boxes`` is ``[len(text), 4]``, see ``Document``."""

    text: str
    boxes: Boxes

    @property
    def top(self) -> float:
        return float(np.nanmin(self.boxes[:, 1]))

    @property
    def bottom(self) -> float:
        return float(np.nanmax(self.boxes[:, 3]))

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def is_row(self) -> bool:
        return "\t" in self.text


def pdf_document(path: Path, *, password: str | None = None) -> Document:
    """Read a PDF file.

    Args:
        path: the file.
        password: of an encrypted one; None is the environment's.

    Raises:
        DocumentError: it is encrypted, damaged, has no text at all (scanned pages), or more pages
            or text than any document.
    """
    allowance = Allowance(path, path.stat().st_size)
    file = _opened(path, password)
    try:
        check_pages(len(file), path)
        pages = list(_pages(file, allowance))
    finally:
        file.close()
    empty = [number for number, lines in enumerate(pages, start=1) if not lines]
    if len(empty) == len(pages):
        raise DocumentError("scan", name=path, pages=len(pages))
    joiner, usual = _Joiner(pages), _usual_step(pages)
    made = Assembler(path.name, allowance)
    for number, lines in enumerate(pages, start=1):
        for paragraph in _paragraphs(lines, usual):
            text, boxes = joiner.joined(paragraph)
            made.add(text, "row" if paragraph[0].is_row else "paragraph", page=number, boxes=boxes)
    return made.document(drawn=True, blank_pages=tuple(empty))


def _opened(path: Path, password: str | None) -> Any:
    import pypdfium2

    given = os.environ.get(PASSWORD) if password is None else password
    try:
        return pypdfium2.PdfDocument(path, password=given)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            reason = "locked" if given is None else "wrong_password"
            raise LockedError(reason, name=path) from error
        raise DocumentError("damaged_pdf", name=path, why=error) from error


def _pages(file: Any, allowance: Allowance) -> Iterator[list[_Line]]:
    count = 0
    for number in range(len(file)):
        lines = _lines(file, number, allowance, count)
        count += sum(len(line.text) for line in lines)
        yield lines


def _lines(file: Any, number: int, allowance: Allowance, before: int) -> list[_Line]:
    """Return the lines of a page that hold text; ``before`` are the characters of those before."""
    import pypdfium2
    from pypdfium2 import raw

    try:
        page = file[number]
    except pypdfium2.PdfiumError:  # a page that cannot be drawn either
        return []
    try:
        text_page = page.get_textpage()
        try:
            allowance.check(before + max(0, text_page.count_chars()))
            return list(_split(*_characters(text_page.raw, raw), page.get_height()))
        finally:
            text_page.close()
    finally:
        page.close()


def _characters(text_page: Any, raw: Any) -> tuple[str, Boxes]:
    """Return a page's characters and their boxes, in PDF's own coordinates."""
    count = raw.FPDFText_CountChars(text_page)
    units = [raw.FPDFText_GetUnicode(text_page, index) for index in range(count)]
    boxes = np.full((max(count, 0), 4), np.nan, np.float32)
    box = raw.FS_RECTF()  # as high as the line, whatever the letter
    for index in range(count):
        is_made_up = raw.FPDFText_IsGenerated(text_page, index)
        if not is_made_up and raw.FPDFText_GetLooseCharBox(text_page, index, box):
            boxes[index] = box.left, box.top, box.right, box.bottom
    # Above U+FFFF the two halves of UTF-16 come one by one.
    whole = [_is_low(units, index) for index in range(len(units))]
    text = "".join(_character(units, index) for index in range(len(units)) if not whole[index])
    return text, boxes[[index for index in range(len(units)) if not whole[index]]]


def _is_low(units: Sequence[int], index: int) -> bool:
    return 0xDC00 <= units[index] < 0xE000 and index > 0 and 0xD800 <= units[index - 1] < 0xDC00


def _character(units: Sequence[int], index: int) -> str:
    unit = units[index]
    if 0xD800 <= unit < 0xDC00 and index + 1 < len(units) and _is_low(units, index + 1):
        return chr(0x10000 + ((unit - 0xD800) << 10) + (units[index + 1] - 0xDC00))
    return "\ufffd" if unit == 0 or 0xD800 <= unit < 0xE000 else chr(unit)


def _split(text: str, boxes: Boxes, page_height: float) -> Iterator[_Line]:
    """Yield lines, with places from the page's upper left corner, and tabs between columns."""
    boxes[:, [1, 3]] = page_height - boxes[:, [1, 3]]
    start = 0
    ends = [place + (one in _PARTED) for place, one in enumerate(text) if one in _LINE_ENDS]
    for end in [*ends, len(text)]:
        line, drawn = text[start:end].strip("\r\n"), boxes[start:end]
        drawn = drawn[len(text[start:end]) - len(text[start:end].lstrip("\r\n")) :][: len(line)]
        kept = [place for place, one in enumerate(line) if one >= " " or one in _PARTED]
        line, drawn = "".join(line[place] for place in kept), drawn[kept]
        visible = [place for place, one in enumerate(line) if not one.isspace()]
        if visible and not np.isnan(drawn[visible, 1]).all():
            cut = slice(visible[0], visible[-1] + 1)
            yield _with_columns(line[cut], drawn[cut])
        start = end


def _with_columns(text: str, boxes: Boxes) -> _Line:
    """Return a line whose wide gaps are tabs."""
    visible = [place for place, one in enumerate(text) if not one.isspace()]
    height = float(np.nanmedian(boxes[visible, 3] - boxes[visible, 1])) or 1.0
    characters = list(text)
    for before, after in pairwise(visible):
        gap = float(boxes[after, 0] - boxes[before, 2])
        if after - before > 1 and gap > _COLUMN_GAP * height:
            characters[before + 1 : after] = ["\t"] * (after - before - 1)
    plain = "".join(characters)
    keep = [n for n, one in enumerate(plain) if not (one.isspace() and plain[n - 1].isspace())]
    return _Line("".join(plain[n] for n in keep), boxes[keep])


def _usual_step(pages: Sequence[Sequence[_Line]]) -> float:
    """Return the distance between lines of a paragraph, in heights of a line: the least common."""
    steps = [
        (after.top - before.top) / before.height
        for lines in pages
        for before, after in pairwise(lines)
        if after.top > before.top and before.height > 0
    ]
    return float(np.quantile(steps, _CLOSEST)) if steps else 1.0


def _paragraphs(lines: Sequence[_Line], usual: float) -> Iterator[list[_Line]]:
    """Yield the lines that belong together: by their distance, their size, and as rows."""
    paragraph: list[_Line] = []
    for line in lines:
        if paragraph and _begins(paragraph[-1], line, usual):
            yield paragraph
            paragraph = []
        paragraph.append(line)
    if paragraph:
        yield paragraph


def _begins(before: _Line, line: _Line, usual: float) -> bool:
    """Tell whether a line begins a paragraph."""
    step = line.top - before.top
    sizes = sorted((before.height, line.height))
    return (
        before.is_row
        or line.is_row
        or step <= 0  # another column
        or step > _NEW_PARAGRAPH * usual * before.height
        or (sizes[1] > _OTHER_SIZE * sizes[0] and step > 1.1 * sizes[1])
    )


class _Joiner:
    """Join a paragraph's lines, and the words that line ends parted."""

    def __init__(self, pages: Sequence[Sequence[_Line]]) -> None:
        self._compounds = Counter(
            word.lower()
            for lines in pages
            for line in lines
            for word in _COMPOUND.findall(line.text[:-1])
        )

    def joined(self, lines: Sequence[_Line]) -> tuple[str, Boxes]:
        """Return a paragraph's text and its boxes."""
        texts, boxes = [], []
        for line, after in zip(lines, [*lines[1:], None], strict=True):
            text, drawn = line
            if after is None:
                text = _with_hyphen(text)
            elif text[-1] in _HYPHENS and text[-2:-1].isalnum():
                text = _with_hyphen(text) if self._keeps_hyphen(text, after.text) else text[:-1]
            else:
                text += " "
            texts.append(text)
            boxes.append(np.concatenate([drawn, _NO_BOX])[: len(text)])
        return "".join(texts), np.concatenate(boxes)

    def _keeps_hyphen(self, text: str, following: str) -> bool:
        """Tell a compound from a word that was parted: ``well-/known`` from ``exam-/ple``."""
        left, right = _WORD.search(text[:-1]), re.match(r"\w+", following)
        if left is None or right is None:
            return True
        if not (left[0][-1].isalpha() and right[0][0].islower()):
            return True
        return self._compounds[f"{left[0]}-{right[0]}".lower()] > 0


def _with_hyphen(text: str) -> str:
    """Return a line whose last sign is a hyphen as text has it."""
    return text[:-1] + "-" if text[-1] in _PARTED | {"\u00ad"} else text

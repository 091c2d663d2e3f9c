"""A document as text, with the way back from its characters to pages, elements and boxes."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float32]


class Element(NamedTuple):
    """Hold one piece of a document: a paragraph, a heading, a row of a table, a line.

    Attributes:
        start_char: first character in the document's text.
        end_char: one past the last.
        kind: ``paragraph``, ``heading``, ``row`` or ``line``.
        number: which of the document's elements of this kind it is, from 1.
        page: the page it stands on, from 1; None in files without pages.
    """

    start_char: int
    end_char: int
    kind: str
    number: int
    page: int | None = None


class Rectangle(NamedTuple):
    """Hold where some characters are drawn: one rectangle a line.

    Attributes:
        page: the page, from 1.
        left: in points (1/72 inch) from the page's left edge.
        top: in points from the page's upper edge.
        right: as ``left``.
        bottom: as ``top``.
    """

    page: int
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, eq=False)
class Document:
    """Hold a file's text, and where each of its characters stands in the file.

    Answers are spans of ``text``; what stands between two elements is a line break, or two.

    Attributes:
        text: all of the text, in reading order.
        name: of the file.
        elements: its pieces, in the order of the text.
        boxes: float32 ``[len(text), 4]``: left, top, right, bottom of each character in points from
            the upper left corner of its page, NaN for what is not drawn; None in files without.
        blank_pages: the pages without text.
    """

    text: str = field(repr=False)
    name: str
    elements: Sequence[Element] = field(repr=False)
    boxes: Boxes | None = field(default=None, repr=False)
    blank_pages: tuple[int, ...] = ()
    _starts: Sequence[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_starts", [element.start_char for element in self.elements])

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know, in words."""
        return (f"no text on page {ranges(self.blank_pages)} (pictures?)",) * bool(self.blank_pages)

    def elements_of(self, start_char: int, end_char: int) -> Sequence[Element]:
        """Return the elements that a span touches."""
        first = max(0, bisect_right(self._starts, start_char) - 1)
        last = bisect_right(self._starts, max(start_char, end_char - 1))
        return self.elements[first:last]

    def pages_of(self, start_char: int, end_char: int) -> tuple[int, ...]:
        """Return the pages of a span, from 1; none in files without pages."""
        pages = (element.page for element in self.elements_of(start_char, end_char))
        return tuple(dict.fromkeys(page for page in pages if page is not None))

    def place(self, start_char: int, end_char: int) -> str:
        """Say in words where a span stands: its page, or its paragraph, row or line.

        >>> Document("a b", "x.txt", [Element(0, 3, "line", 1)]).place(0, 1)
        'line 1'
        """
        pages = self.pages_of(start_char, end_char)
        if pages:
            return f"page {pages[0]}" if len(pages) == 1 else f"pages {pages[0]}-{pages[-1]}"
        touched = self.elements_of(start_char, end_char)
        return f"{touched[0].kind} {touched[0].number}" if touched else "nowhere"

    def rectangles(self, start_char: int, end_char: int) -> list[Rectangle]:
        """Return where a span is drawn, a rectangle for each line of it; none without boxes."""
        return list(self._rectangles(start_char, end_char)) if self.boxes is not None else []

    def _rectangles(self, start_char: int, end_char: int) -> Iterator[Rectangle]:
        assert self.boxes is not None
        for element in self.elements_of(start_char, end_char):
            start, end = max(start_char, element.start_char), min(end_char, element.end_char)
            boxes = self.boxes[start:end]
            boxes = boxes[~np.isnan(boxes[:, 0])]
            if not len(boxes) or element.page is None:
                continue
            # A line ends where the next character has little of its height beside the one before.
            shared = np.minimum(boxes[1:, 3], boxes[:-1, 3]) - np.maximum(
                boxes[1:, 1], boxes[:-1, 1]
            )
            height = np.minimum(boxes[1:, 3] - boxes[1:, 1], boxes[:-1, 3] - boxes[:-1, 1])
            for line in np.split(boxes, np.flatnonzero(shared < height / 2) + 1):
                left, top = line[:, :2].min(axis=0)
                right, bottom = line[:, 2:].max(axis=0)
                yield Rectangle(element.page, *map(float, (left, top, right, bottom)))


def ranges(numbers: Sequence[int]) -> str:
    """Write page numbers shortly.

    >>> ranges([1, 3, 4, 5])
    '1, 3-5'
    """
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)

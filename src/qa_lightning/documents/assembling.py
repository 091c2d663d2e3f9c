"""Pieces of text, in reading order → one document."""

from collections import Counter

import numpy as np

from qa_lightning.documents.bounding import Allowance
from qa_lightning.documents.records import Boxes, Document, Element


class Assembler:
    """Put pieces one after the other, and remember where each stands.

    Args:
        name: of the file.
        allowance: how much it may hold.
    """

    def __init__(self, name: str, allowance: Allowance) -> None:
        self._name, self._allowance = name, allowance
        self._texts: list[str] = []
        self._boxes: list[Boxes | int] = []  # a number of characters that are not drawn
        self._elements: list[Element] = []
        self._numbers: Counter[str] = Counter()
        self._length = 0

    def add(
        self,
        text: str,
        kind: str = "paragraph",
        *,
        page: int | None = None,
        boxes: Boxes | None = None,
    ) -> None:
        """Append a piece, unless it is blank.

        Args:
            text: its characters.
            kind: see ``Element``.
            page: the page it stands on.
            boxes: ``[len(text), 4]``, see ``Document``.

        Raises:
            DocumentError: the document is too long.
        """
        if not text.strip():
            return
        if self._elements:
            # Rows stay close, so that a table reads as one.
            together = kind == self._elements[-1].kind and kind in ("row", "line")
            self._append("\n" if together else "\n\n", None)
        self._allowance.check(self._length + len(text), len(self._elements))
        self._numbers[kind] += 1
        end = self._length + len(text)
        self._elements.append(Element(self._length, end, kind, self._numbers[kind], page))
        self._append(text, boxes)

    def _append(self, text: str, boxes: Boxes | None) -> None:
        self._texts.append(text)
        self._length += len(text)
        self._boxes.append(boxes if boxes is not None else len(text))

    def document(self, *, drawn: bool = False, blank_pages: tuple[int, ...] = ()) -> Document:
        """Return what was put together.

        Args:
            drawn: whether its characters have boxes.
            blank_pages: those without text.
        """
        boxes = np.concatenate(list(map(_filled, self._boxes))) if drawn and self._boxes else None
        return Document("".join(self._texts), self._name, self._elements, boxes, blank_pages)


def _filled(boxes: Boxes | int) -> Boxes:
    return np.full((boxes, 4), np.nan, np.float32) if isinstance(boxes, int) else boxes

"""Pieces of text, in reading order → one document."""

from collections import Counter

import numpy as np

from qa_lightning.documents.records import Boxes, Document, Element


class Assembler:
    """Put pieces one after the other, and remember where each stands."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._boxes: list[Boxes] = []
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
        """
        if not text.strip():
            return
        if self._elements:
            # Rows stay close, so that a table reads as one.
            together = kind == self._elements[-1].kind and kind in ("row", "line")
            self._append("\n" if together else "\n\n", None)
        self._numbers[kind] += 1
        end = self._length + len(text)
        self._elements.append(Element(self._length, end, kind, self._numbers[kind], page))
        self._append(text, boxes)

    def _append(self, text: str, boxes: Boxes | None) -> None:
        self._texts.append(text)
        self._length += len(text)
        if boxes is None:
            boxes = np.full((len(text), 4), np.nan, np.float32)
        self._boxes.append(boxes)

    def document(self, name: str, *, drawn: bool = False, notes: tuple[str, ...] = ()) -> Document:
        """Return what was put together.

        Args:
            name: of the file.
            drawn: whether its characters have boxes.
            notes: what a reader should know.
        """
        boxes = np.concatenate(self._boxes) if drawn and self._boxes else None
        return Document("".join(self._texts), name, self._elements, boxes, notes)

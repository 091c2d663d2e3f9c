"""Which windows of a question's documents are read, and which are left out."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from qa_lightning.ranges import MANY, Rule, whole
from qa_lightning.screening.places import Ints, WordPlaces
from qa_lightning.screening.ranking import best, bm25
from qa_lightning.screening.words import asked_words

Screen = int | Literal["auto", "all"]
"""How many windows are read: so many, as many as serve (``auto``), or ``all``."""

AUTO_READ: Final = 32  # windows that ``auto`` reads (benchmarks/screening.md)
AUTO_FROM: Final = 64  # the most windows of which it reads all: of fewer there is little to gain
DEFAULT_SCREEN: Final = "all"

SCREEN_RULE: Final = Rule(
    "to be `all`, `auto` or a whole number of at least 1",
    "It counts the windows that are read of a document.",
    lambda value: value in ("auto", "all") or whole(1, MANY).allows(value),
)


class Searchable(Protocol):
    """A document whose words are found, if they are wanted."""

    @property
    def places(self) -> WordPlaces:
        """Return where its words stand among its tokens."""


class Stretch(NamedTuple):
    """Hold windows of one document, by their tokens, ends exclusive."""

    document: Searchable
    start_w: Ints
    end_w: Ints


def worth_reading(
    question: str, stretches: Sequence[Stretch], *, screen: Screen, language: str | None
) -> NDArray[np.bool_]:
    """Mark the windows to read for a question, of one document or of several together.

    Windows are ranked by BM25 over the words that begin in them. ``auto`` reads all where none of
    the question's words is found: nothing tells one window from another then.

    Args:
        question: any text.
        stretches: the windows; equal ranks keep their order.
        screen: how many.
        language: ISO code; its common words do not count.
    """
    count = sum(len(stretch.start_w) for stretch in stretches)
    limit = limit_of(screen, count)
    if limit >= count:
        return np.ones(count, np.bool_)
    words = asked_words(question, language)
    found = [(stretch.document.places, stretch.start_w, stretch.end_w) for stretch in stretches]
    score_w = bm25(
        np.concatenate([places.counts(words, *windows) for places, *windows in found], axis=1),
        np.concatenate([places.lengths(*windows) for places, *windows in found]),
    )
    if screen == "auto" and not score_w.any():
        return np.ones(count, np.bool_)
    return best(score_w, limit)


def limit_of(screen: Screen, windows: int) -> int:
    """Return how many of some windows are read at most.

    >>> limit_of("auto", AUTO_FROM), limit_of("auto", 1_000), limit_of(16, 1_000)
    (64, 32, 16)
    """
    if isinstance(screen, int):
        return screen
    return AUTO_READ if screen == "auto" and windows > AUTO_FROM else windows

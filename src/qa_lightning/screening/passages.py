"""A text → the passages that an index of many documents is made of."""

from collections.abc import Iterator
from typing import Final

LENGTH: Final = 1_200  # characters, some 200 words: what is ranked, and read, as one
OVERLAP: Final = 300  # longer than an answer: one at a seam stands whole in one of two passages
_LONGEST_WORD: Final = 100  # characters; of longer ones the end is not looked for


def passages_of(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the passages of a text begin and end, cut between words; none where it is blank.

    >>> list(passages_of("word " * 400))
    [(0, 1199), (899, 1999)]
    """
    start, stop = 0, len(text.rstrip())
    while start < stop:
        end = stop if start + LENGTH >= stop else _between_words(text, start + LENGTH)
        if not text[start:end].isspace():
            yield start, end
        start = stop if end == stop else _between_words(text, end - OVERLAP)


def _between_words(text: str, place: int) -> int:
    """Return the last blank at a place or before it; the place itself within an endless word."""
    blanks = (at for at in range(place, place - _LONGEST_WORD, -1) if text[at].isspace())
    return next(blanks, place)

"""Where the words of a document stand among its tokens, and how often in any stretch of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qa_lightning.screening.words import words_of

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WordPlaces:
    """Hold the tokens that a document's words begin with, by word.

    Windows depend on the length of the question. So words are not counted by window: their places
    are kept, and tell the count in windows of any length and overlap.

    Attributes:
        number_of: each distinct word's number (v).
        bounds_v: where its places begin in ``places_n``; one more than words.
        places_n: tokens, ascending within each word.
        all_n: tokens of all words, ascending.
    """

    number_of: dict[str, int] = field(repr=False)
    bounds_v: Ints = field(repr=False)
    places_n: NDArray[np.int32] = field(repr=False)
    all_n: NDArray[np.int32] = field(repr=False)

    @classmethod
    def of(cls, text: str, offsets_n2: NDArray[np.int32]) -> "WordPlaces":
        """Find the words of a text.

        Args:
            text: the document's.
            offsets_n2: characters of its tokens, half-open, ascending.
        """
        folded, start_char_n = words_of(text)
        all_n = np.searchsorted(offsets_n2[:, 0], start_char_n, side="right") - 1
        number_of: dict[str, int] = {}
        numbers = (number_of.setdefault(word, len(number_of)) for word in folded)
        number_n = np.fromiter(numbers, np.int64, len(folded))
        order_n = np.argsort(number_n, kind="stable")
        count_v = np.bincount(number_n, minlength=len(number_of))
        return cls(
            number_of,
            np.concatenate([np.zeros(1, np.int64), np.cumsum(count_v)]),
            all_n[order_n].astype(np.int32),
            all_n.astype(np.int32),
        )

    def counts(self, words: Sequence[str], start_w: Ints, end_w: Ints) -> Ints:
        """Return how often each of some words begins in each window: [words, windows].

        Args:
            words: folded.
            start_w: each window's first token.
            end_w: its end, exclusive.
        """
        counts = np.zeros((len(words), len(start_w)), np.int64)
        for row, word in zip(counts, words, strict=True):
            if (number := self.number_of.get(word)) is not None:
                places = self.places_n[self.bounds_v[number] : self.bounds_v[number + 1]]
                row[:] = _within(places, start_w, end_w)
        return counts

    def lengths(self, start_w: Ints, end_w: Ints) -> Ints:
        """Return how many words begin in each window."""
        return _within(self.all_n, start_w, end_w)


def _within(places_n: NDArray[np.int32], start_w: Ints, end_w: Ints) -> Ints:
    found: Ints = np.searchsorted(places_n, end_w) - np.searchsorted(places_n, start_w)
    return found

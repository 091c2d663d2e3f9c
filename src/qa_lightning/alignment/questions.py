"""How near the words of a question stand to a place in its context."""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np

from qa_lightning.alignment.contexts import Context, Numbers, Places
from qa_lightning.alignment.words import Word, words_of

_REACH: Final = 12.0  # words, over which nearness falls to 1/e
_SENTENCE_APART: Final = 10.0  # words that a sentence boundary counts for
_STEP: Final = 2  # words between the places tried for the best support
_SAME_WORD: Final = 0.85  # likeness from which two words are one


class QuestionEvidence:
    """Measure how well places of one context fit one question.

    Args:
        question: raw text of the question.
        context: where its answer stands.
    """

    def __init__(self, question: str, context: Context) -> None:
        self._context = context
        self._sentence_of = context.measures.sentence_of
        words = {word.key: word for word in words_of(question, context.lexicon)}
        content = [word for word in words.values() if word.weight >= 1.0]
        places = [self._places(word) for word in content]
        # A word that stands everywhere tells little about any one place.
        self._weighted = [
            (1.0 / (1.0 + math.log(len(found))), np.asarray(found)) for found in places if found
        ]
        # Words that the context lacks are evidence missing, wherever the answer is.
        self._whole = sum(weight for weight, _ in self._weighted) + 0.3 * places.count([])

    def _places(self, word: Word) -> list[int]:
        return sorted(
            place
            for key, similarity in self._context.index.alike(word).items()
            if similarity >= _SAME_WORD
            for place in self._context.by_key[key]
        )

    def supports(
        self, start_words: Sequence[int] | Places, end_words: Sequence[int] | Places
    ) -> Numbers:
        """Return the shares, 0 to 1, of the question that stand near windows, outside them."""
        starts, ends = (
            np.asarray(start_words, dtype=np.int64),
            np.asarray(end_words, dtype=np.int64),
        )
        near = np.zeros(len(starts))
        for weight, places in self._weighted if self._whole else ():
            near += weight * np.exp(-self._distances(places, starts, ends) / _REACH)
        return near / (self._whole or 1.0)

    @cached_property
    def best_place(self) -> tuple[float, int]:
        """Return the best support of any place in the context, and its sentence."""
        places = np.arange(0, len(self._sentence_of), _STEP)
        if not len(places):
            return 0.0, 0
        supports = self.supports(places, places + 1)
        best = int(supports.argmax())  # the first of equals
        return float(supports[best]), int(self._sentence_of[places[best]])

    def _distances(self, places: Places, starts: Places, ends: Places) -> Numbers:
        """Return the distances to the nearest place before or after each window."""
        bounded = np.concatenate(([-1], places, [-1]))
        before = bounded[np.searchsorted(places, starts)]
        after = bounded[np.searchsorted(places, ends) + 1]
        to_before = self._apart(before, starts, starts - before)
        return np.minimum(to_before, self._apart(after, starts, after - ends + 1))

    def _apart(self, places: Places, starts: Places, words: Places) -> Numbers:
        sentences = np.abs(self._sentence_of[places] - self._sentence_of[starts])
        return np.where(places < 0, np.inf, words + _SENTENCE_APART * sentences)

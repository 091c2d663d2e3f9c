"""How near the words of a question stand to a place in its context."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from typing import Final

from qa_lightning.alignment.contexts import Context
from qa_lightning.alignment.similarity import word_similarity
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
        words = {word.key: word for word in words_of(question, context.lexicon)}
        content = [word for word in words.values() if word.weight >= 1.0]
        places = [self._places(word) for word in content]
        # A word that stands everywhere tells little about any one place.
        self._weighted = [(1.0 / (1.0 + math.log(len(found))), found) for found in places if found]
        # Words that the context lacks are evidence missing, wherever the answer is.
        self._whole = sum(weight for weight, _ in self._weighted) + 0.3 * places.count([])

    def _places(self, word: Word) -> list[int]:
        words = self._context.words
        return sorted(
            place
            for found in self._context.by_key.values()
            if word_similarity(word, words[found[0]], self._context.lexicon) >= _SAME_WORD
            for place in found
        )

    def support(self, start_word: int, end_word: int) -> float:
        """Return the share, 0 to 1, of the question that stands near a window, outside it."""
        if not self._whole:
            return 0.0
        near = sum(
            weight * math.exp(-self._distance(places, start_word, end_word) / _REACH)
            for weight, places in self._weighted
        )
        return near / self._whole

    @cached_property
    def best_place(self) -> tuple[float, int]:
        """Return the best support of any place in the context, and its sentence."""
        sentence_of = self._context.sentence_of
        return max(
            (
                (self.support(place, place + 1), sentence_of[place])
                for place in range(0, len(sentence_of), _STEP)
            ),
            default=(0.0, 0),
            key=lambda found: (found[0], -found[1]),
        )

    def _distance(self, places: Sequence[int], start_word: int, end_word: int) -> float:
        """Return the distance to the nearest place before or after a window."""
        before = bisect_left(places, start_word)
        after = bisect_left(places, end_word)
        nearest = [*places[max(before - 1, 0) : before], *places[after : after + 1]]
        return min(
            (self._apart(place, start_word, end_word) for place in nearest), default=math.inf
        )

    def _apart(self, place: int, start_word: int, end_word: int) -> float:
        words = start_word - place if place < start_word else place - end_word + 1
        sentence_of = self._context.sentence_of
        sentences = abs(sentence_of[place] - sentence_of[start_word])
        return words + _SENTENCE_APART * sentences

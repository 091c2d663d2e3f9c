"""Candidate places of an answer: windows of context words that say what the answer says."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from qa_lightning.alignment.compounds import renders_compound
from qa_lightning.alignment.contexts import Context
from qa_lightning.alignment.similarity import word_similarity
from qa_lightning.alignment.words import FUNCTION_WEIGHT, Word

_LEAST_SCORE: Final = 0.4
# A window may be this much longer than the answer: a translation adds articles and particles.
_LONGEST_FACTOR: Final = 2
_LONGEST_EXTRA: Final = 4
# A word that stands where the answer has an unmatched one counts as half its rendering.
_SUBSTITUTE: Final = 0.5
_SENTENCE_PENALTY: Final = 0.15
_COMMA_PENALTY: Final = 0.04
_INVERSION_PENALTY: Final = 0.01
_COMPOUND: Final = 0.88


class Match(NamedTuple):
    """Hold one answer word's counterpart in the context.

    Attributes:
        answer_word: index among the answer's words.
        context_word: index among the context's words.
        similarity: likeness of the two, 0 to 1.
    """

    answer_word: int
    context_word: int
    similarity: float


class Candidate(NamedTuple):
    """Hold one place where the answer may stand.

    Attributes:
        start_word: first context word.
        end_word: one past the last context word.
        score: soft Dice coefficient of the answer's and the window's words, by weight.
        matches: counterparts of the answer's words inside the window, in the answer's order.
    """

    start_word: int
    end_word: int
    score: float
    matches: tuple[Match, ...]


class Matcher:
    """Find and score windows of one context for one answer.

    Args:
        answer: words of the answer, at least one.
        context: where to look.
    """

    def __init__(self, answer: Sequence[Word], context: Context) -> None:
        self.answer = answer
        self.context = context
        only_form = all(word.is_function for word in answer)
        self.weights = [1.0 if only_form else word.weight for word in answer]
        self._commas = sum("," in word.gap for word in answer)
        self._sentences = sum(word.opens_sentence for word in answer)
        self._similar = [self._places(word) for word in answer]

    def _places(self, word: Word) -> dict[int, float]:
        """Return the context places alike one answer word, with their likeness."""
        words, lexicon = self.context.words, self.context.lexicon
        found: dict[int, float] = {}
        for places in self.context.by_key.values():
            similarity = word_similarity(word, words[places[0]], lexicon)
            if similarity > 0:
                found.update(dict.fromkeys(places, similarity))
        return found

    def candidates(self) -> list[Candidate]:
        """Return the scored windows that begin and end with a matched word of meaning."""
        anchors = sorted(
            {
                place
                for similar, weight in zip(self._similar, self.weights, strict=True)
                if weight > FUNCTION_WEIGHT
                for place in similar
            }
        )
        scored = [self._scored(first, last + 1) for first, last in self._windows(anchors)]
        return [one for one in scored if one.score >= _LEAST_SCORE] + list(self._compounds())

    def _windows(self, anchors: Sequence[int]) -> Iterator[tuple[int, int]]:
        longest = _LONGEST_FACTOR * len(self.answer) + _LONGEST_EXTRA
        for index, first in enumerate(anchors):
            for last in anchors[index:]:
                if last - first >= longest:
                    break
                yield first, last

    def _compounds(self) -> Iterator[Candidate]:
        content = [index for index, word in enumerate(self.answer) if word.weight >= 1.0]
        for places in self.context.by_key.values():
            if renders_compound(self.answer, self.context.words[places[0]], self.context.lexicon):
                # A third content word is more than the compound says.
                for place in places:
                    matches = tuple(Match(index, place, _COMPOUND) for index in content)
                    score = _COMPOUND - 0.04 * (len(content) - 2)
                    yield Candidate(place, place + 1, score, matches)

    def _scored(self, start_word: int, end_word: int) -> Candidate:
        matches = self._assign(start_word, end_word)
        words = self.context.words[start_word:end_word]
        gained = sum(map(self._gain, matches))
        substituted = min(
            sum(weight >= 1.0 for weight in self.weights)
            - sum(self.weights[match.answer_word] >= 1.0 for match in matches),
            sum(word.weight >= 1.0 for word in words)
            - sum(self.context.words[match.context_word].weight >= 1.0 for match in matches),
        )
        gained += _SUBSTITUTE * max(substituted, 0)
        whole = sum(self.weights) + sum(word.weight for word in words)
        sentence_of = self.context.sentence_of
        crossed = sentence_of[end_word - 1] - sentence_of[start_word]
        sentences = max(crossed - self._sentences, 0)
        commas = sum("," in word.gap for word in words[1:])
        surplus = max(commas - self._commas, 0)
        order = [match.context_word for match in matches]
        inversions = sum(one > other for one, other in pairwise(order))
        score = (
            2 * gained / whole
            - _SENTENCE_PENALTY * sentences
            - _COMMA_PENALTY * surplus
            - _INVERSION_PENALTY * inversions
        )
        return Candidate(start_word, end_word, min(score, 1.0), matches)

    def _gain(self, match: Match) -> float:
        weight = self.context.words[match.context_word].weight
        return match.similarity * min(self.weights[match.answer_word], weight)

    def _assign(self, start_word: int, end_word: int) -> tuple[Match, ...]:
        """Pair answer and window words one to one, the most alike first, then the nearest."""
        pairs = [
            Match(index, place, similarity)
            for index, similar in enumerate(self._similar)
            for place in range(start_word, end_word)
            if (similarity := similar.get(place)) is not None
        ]
        pairs.sort(
            key=lambda pair: (
                -self._gain(pair),
                abs(pair.context_word - start_word - pair.answer_word),
            )
        )
        chosen: list[Match] = []
        taken: set[int] = set()
        paired: set[int] = set()
        for pair in pairs:
            if pair.context_word not in taken and pair.answer_word not in paired:
                taken.add(pair.context_word)
                paired.add(pair.answer_word)
                chosen.append(pair)
        return tuple(sorted(chosen))

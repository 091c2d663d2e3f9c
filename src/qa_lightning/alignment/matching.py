"""Candidate places of an answer: windows of context words that say what the answer says."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Final, NamedTuple

import numpy as np

from qa_lightning.alignment.compounds import renders_compound
from qa_lightning.alignment.contexts import Context, Numbers, Places, summed
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
# Candidates so far behind the best score are out, whatever the question says.
CONTENDERS: Final = 0.2
# Answers of many words: windows that begin at one word, windows scored, and rivals of the best.
_LEAST_ENDS: Final = 2
_MOST_ENDS: Final = 600
_LEAST_SCORED: Final = 48
_MOST_COMPARED: Final = 20_000
_RIVALS: Final = 8
_MANY_WORDS: Final = 15  # of which a comma more or less tells little
_MOST_COUNTERPARTS: Final = 16
_BLOCK: Final = 1_024  # beginnings whose windows are bounded at once
_ROUNDING: Final = 1e-9


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
        self._ease = max(1.0, len(answer) / _MANY_WORDS)
        self._commas = sum("," in word.gap for word in answer)
        self._sentences = sum(word.opens_sentence for word in answer)
        self._similar = [self._places(word) for word in answer]
        self._sorted = [sorted(similar) for similar in self._similar]

    def _places(self, word: Word) -> dict[int, float]:
        """Return the context places alike one answer word, with their likeness."""
        found: dict[int, float] = {}
        for key, similarity in self.context.index.alike(word).items():
            found.update(dict.fromkeys(self.context.by_key[key], similarity))
        return found

    def candidates(self) -> list[Candidate]:
        """Return the scored windows that begin and end with a matched word of meaning.

        Those that cannot come near the best are left out, and of an answer of many words most of
        those that differ from a better one by a word at the edge.
        """
        bounds = self._bounded_windows()
        most = max(_LEAST_SCORED, _MOST_COMPARED // len(self.answer))
        scored: list[Candidate] = []
        best = _LEAST_SCORE + CONTENDERS
        for bound, start_word, end_word in bounds[:most]:
            if bound < best - CONTENDERS:
                break
            scored.append(self._scored(start_word, end_word))
            best = max(best, scored[-1].score)
        if len(bounds) > most:
            scored.extend(self._rivals(scored, bounds[most:]))
        found = sorted(one for one in scored if one.score >= _LEAST_SCORE)
        return found + list(self._compounds())

    def _rivals(
        self, scored: Sequence[Candidate], bounds: Sequence[tuple[float, int, int]]
    ) -> Iterator[Candidate]:
        """Yield the most promising windows of the rest that have no word of the best one."""
        best = max(scored, key=lambda one: one.score)
        apart = (one for one in bounds if one[2] <= best.start_word or one[1] >= best.end_word)
        for _, start_word, end_word in islice(apart, _RIVALS):
            yield self._scored(start_word, end_word)

    def _bounded_windows(self) -> list[tuple[float, int, int]]:
        """Return windows ``(bound, start_word, end_word)``, none of which scores above its bound.

        The best first, and of those that begin at one word the best few. A matched word gains no
        more than its best counterpart, any other of meaning what a substitute does.
        """
        anchors = np.asarray(self._anchors(), dtype=np.int64)
        longest = _LONGEST_FACTOR * len(self.answer) + _LONGEST_EXTRA
        counts = np.searchsorted(anchors, anchors + longest) - np.arange(len(anchors))
        potential = self._potential()
        found: list[tuple[float, int, int]] = []
        for first in range(0, len(anchors), _BLOCK):
            own = counts[first : first + _BLOCK]
            begun = np.repeat(np.arange(len(own)), own)
            nth = np.arange(len(begun)) - np.repeat(np.cumsum(own) - own, own)
            starts, ends = anchors[first + begun], anchors[first + begun + nth] + 1
            bounds = self._bounds(starts, ends, potential)
            kept = self._best_ends(begun, bounds)
            windows = (bounds[kept].tolist(), starts[kept].tolist(), ends[kept].tolist())
            found.extend(zip(*windows, strict=True))
        return sorted(found, key=lambda one: -one[0])

    def _potential(self) -> Numbers:
        """Return the most that the context words before each one gain an answer."""
        weights = self.context.measures.weights
        most: Numbers = np.where(weights >= 1.0, _SUBSTITUTE, 0.0)
        for weight, similar in zip(self.weights, self._similar, strict=True):
            places = np.fromiter(similar, dtype=np.int64, count=len(similar))
            likeness = np.fromiter(similar.values(), dtype=np.float64, count=len(similar))
            gains = likeness * np.minimum(weight, weights[places])
            most[places] = np.maximum(most[places], gains)
        return summed(most)

    def _bounds(self, starts: Places, ends: Places, potential: Numbers) -> Numbers:
        """Return the most that windows may score."""
        measures, sentences = self.context.measures, self.context.measures.sentence_of
        weights, commas = measures.weights_before, measures.commas_before
        most = sum(
            max(max(similar.values(), default=0.0) * weight, _SUBSTITUTE * (weight >= 1.0))
            for weight, similar in zip(self.weights, self._similar, strict=True)
        )
        gained = np.minimum(potential[ends] - potential[starts], most)
        whole = sum(self.weights) + weights[ends] - weights[starts]
        crossed = np.maximum(sentences[ends - 1] - sentences[starts] - self._sentences, 0)
        surplus = np.maximum(commas[ends] - commas[starts + 1] - self._commas, 0)
        bounds: Numbers = (
            2 * gained / whole
            - (_SENTENCE_PENALTY * crossed + _COMMA_PENALTY * surplus) / self._ease
        )
        return np.asarray(np.minimum(bounds + _ROUNDING, 1.0), dtype=np.float64)

    def _best_ends(self, begun: Places, bounds: Numbers) -> Places:
        """Return the windows that may be good enough, the best few of those with one beginning."""
        kept = np.flatnonzero(bounds >= _LEAST_SCORE)
        most = max(_LEAST_ENDS, _MOST_ENDS // len(self.answer))
        order = kept[np.lexsort((-bounds[kept], begun[kept]))]
        firsts = np.searchsorted(begun[order], begun[order])
        return np.sort(order[np.arange(len(order)) - firsts < most])

    def _anchors(self) -> list[int]:
        """Return the context words that are alike one of meaning in the answer."""
        return sorted(
            {
                place
                for similar, weight in zip(self._similar, self.weights, strict=True)
                if weight > FUNCTION_WEIGHT
                for place in similar
            }
        )

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
        penalties = (
            _SENTENCE_PENALTY * sentences
            + _COMMA_PENALTY * surplus
            + _INVERSION_PENALTY * inversions
        )
        score = 2 * gained / whole - penalties / self._ease
        return Candidate(start_word, end_word, min(score, 1.0), matches)

    def _gain(self, match: Match) -> float:
        weight = self.context.words[match.context_word].weight
        return match.similarity * min(self.weights[match.answer_word], weight)

    def _assign(self, start_word: int, end_word: int) -> tuple[Match, ...]:
        """Pair answer and window words one to one, the most alike first, then the nearest."""
        pairs = [
            Match(index, place, similar[place])
            for index, (similar, places) in enumerate(zip(self._similar, self._sorted, strict=True))
            for place in _between(places, start_word, end_word, start_word + index)
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


def _between(places: Sequence[int], start: int, end: int, nearest: int) -> Sequence[int]:
    """Return sorted places in a range; of many the nearest to one of them."""
    first, stop = bisect_left(places, start), bisect_left(places, end)
    if stop - first > _MOST_COUNTERPARTS:
        middle = bisect_left(places, nearest) - _MOST_COUNTERPARTS // 2
        first = min(max(first, middle), stop - _MOST_COUNTERPARTS)
        stop = first + _MOST_COUNTERPARTS
    return places[first:stop]

"""Other places of an answer that stands in its context, and what the question says of them."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

from qa_lightning.alignment.occurrences import Occurrence, Wanted, is_whole
from qa_lightning.alignment.questions import QuestionEvidence

# Evidence for another occurrence is clear from here on: measured on XQuAD, whose places people
# marked, and on squad_v1_pt, whose places are the first `str.find` hits.
_CLEAR_LEAD: Final = 0.25
_CLEAR_SUPPORT: Final = 0.35


class Place(NamedTuple):
    """Hold one occurrence of an answer with what speaks for it.

    Attributes:
        where: the occurrence.
        support: how well the question fits it, 0 to 1.
    """

    where: Occurrence
    support: float


def supported(found: Sequence[Occurrence], wanted: Wanted, question: str) -> list[Place]:
    """Return occurrences with their support from the question; none where no words are known."""
    read = wanted.context
    if not read.lexicon.has_words:
        return [Place(one, 0.0) for one in found]
    evidence = QuestionEvidence(question, read)
    word_starts = [word.start_char for word in read.words]
    firsts = [max(bisect_right(word_starts, one.start_char) - 1, 0) for one in found]
    ends = [
        max(bisect_left(word_starts, one.end_char), first + 1)
        for one, first in zip(found, firsts, strict=True)
    ]
    supports = evidence.supports(firsts, ends).tolist()
    return [Place(one, support) for one, support in zip(found, supports, strict=True)]


def best_rival(wanted: Wanted, question: str, given: Occurrence) -> tuple[Place, Place | None]:
    """Return an exact answer's place, and the best of the others that are whole words, apart."""
    places = supported(_equal(wanted), wanted, question)
    here = next(place for place in places if place.where.start_char == given.start_char)
    apart = [one for one in places if _is_whole_and_apart(one.where, given)]
    best = max(apart, key=lambda one: (one.support, -one.where.start_char), default=None)
    return here, best


def is_clearly_better(rival: Place, here: Place) -> bool:
    """Tell whether the question's words clearly stand around another place."""
    lead = rival.support - here.support
    return lead >= _CLEAR_LEAD and rival.support >= _CLEAR_SUPPORT


def _equal(wanted: Wanted) -> list[Occurrence]:
    """Return the occurrences that are the text letter for letter."""
    context, text = wanted.context.text, wanted.answer
    starts = []
    start = context.find(text)
    while start >= 0:
        starts.append(start)
        start = context.find(text, start + 1)
    ends = [start + len(text) for start in starts]
    return [
        Occurrence(start, end, is_whole(context, start, end))
        for start, end in zip(starts, ends, strict=True)
    ]


def _is_whole_and_apart(one: Occurrence, given: Occurrence) -> bool:
    is_apart = one.end_char <= given.start_char or given.end_char <= one.start_char
    return one.is_whole and is_apart

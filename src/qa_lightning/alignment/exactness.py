"""Answers that stand in their context as they are: at which of their places."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

from qa_lightning.alignment.forms import fold
from qa_lightning.alignment.graphemes import cuts_grapheme
from qa_lightning.alignment.lexicon import Lexicon
from qa_lightning.alignment.occurrences import Occurrence, Wanted, is_whole
from qa_lightning.alignment.offsets import Offsets
from qa_lightning.alignment.questions import QuestionEvidence
from qa_lightning.alignment.records import AlignedSpan

SURE: Final = 0.99
DRIFTED: Final = 0.97
_ONE_OF_SEVERAL: Final = 0.97
_CHANGED: Final = 0.95
_DOUBTFUL: Final = 0.93
AMBIGUOUS: Final = 0.5
INSIDE_WORD: Final = 0.2
# Evidence for another occurrence is clear from here on: measured on XQuAD, whose places people
# marked, and on squad_v1_pt, whose places are the first `str.find` hits.
_CLEAR_LEAD: Final = 0.25
_CLEAR_SUPPORT: Final = 0.35
_SLIGHT_LEAD: Final = 0.05
_LONGEST_INFLECTION: Final = 2
# A text of so many letters is not found inside other words by chance; where the words of the
# language are known, what a shorter one means is looked for first.
_SHORTEST_INSIDE: Final = 4
_FARTHEST_DRIFT: Final = 64
_MUCH_NEARER: Final = 4
_SHORTEST_INSIDE_KNOWN: Final = 24


class _Place(NamedTuple):
    """Hold one occurrence of an answer with what speaks for it.

    Attributes:
        where: the occurrence.
        support: how well the question fits it, 0 to 1.
    """

    where: Occurrence
    support: float


def found_at(
    one: Occurrence,
    wanted: Wanted,
    confidence: float,
    *,
    drifted: bool = False,
    occurrence_changed: bool = False,
) -> AlignedSpan:
    """Return the span of an occurrence that is not the one stated."""
    is_same = wanted.context.text[one.start_char : one.end_char] == wanted.answer
    status = "moved" if is_same else "surface"
    return AlignedSpan(
        one.start_char,
        one.end_char,
        "ambiguous" if confidence <= AMBIGUOUS else status,
        confidence,
        occurrence_changed=occurrence_changed,
        drifted=drifted,
    )


def _is_inflected(context: str, start_char: int, end_char: int) -> bool:
    """Tell whether a span is a word but for a short ending: ``urso`` in ``ursos``."""
    rest = context[end_char : end_char + _LONGEST_INFLECTION + 1]
    splits_number = context[end_char - 1].isdigit() and rest[:1].isdigit()
    if not is_whole(context, start_char, start_char) or splits_number:
        return False
    ending = next((n for n, letter in enumerate(rest) if not letter.isalnum()), len(rest))
    return ending <= _LONGEST_INFLECTION


def _opens_in_contraction(context: str, start_char: int, end_char: int, lexicon: Lexicon) -> bool:
    """Tell whether a span begins with the article of a contraction: ``o século`` in ``do século``.

    The text stands there by right: only the way of writing joins article and preposition.
    """
    if is_whole(context, start_char, start_char) or not is_whole(context, end_char, end_char):
        return False
    article = re.match(r"[^\W\d_]+", context[start_char:end_char])
    before = re.search(r"[^\W\d_]+$", context[:start_char][-_LONGEST_CONTRACTED:])
    if article is None or before is None or fold(article[0]) not in lexicon.articles:
        return False
    return fold(before[0] + article[0]) in lexicon.function_words


_LONGEST_CONTRACTED: Final = 16


def _supported(found: Sequence[Occurrence], wanted: Wanted, question: str) -> list[_Place]:
    """Return occurrences with their support from the question; none where no words are known."""
    read = wanted.context
    if not read.lexicon.has_words:
        return [_Place(one, 0.0) for one in found]
    evidence = QuestionEvidence(question, read)
    word_starts = [word.start_char for word in read.words]
    firsts = [max(bisect_right(word_starts, one.start_char) - 1, 0) for one in found]
    ends = [
        max(bisect_left(word_starts, one.end_char), first + 1)
        for one, first in zip(found, firsts, strict=True)
    ]
    supports = evidence.supports(firsts, ends).tolist()
    return [_Place(one, support) for one, support in zip(found, supports, strict=True)]


def check_exact(wanted: Wanted, question: str, start_char: int, offsets: Offsets) -> AlignedSpan:
    """Return the span of an answer that stands at its ``answer_start``, or at a better place.

    It stays there. Another occurrence is taken only where the words of the language are known, the
    place given is the first hit of a search, and either it is inside a word, or nobody chose the
    places of this data set; and only where the question's words clearly stand around the other.
    """
    context, text = wanted.context.text, wanted.answer
    end_char = start_char + len(text)
    given = Occurrence(start_char, end_char, is_whole(context, start_char, end_char))
    stays = AlignedSpan(
        start_char,
        end_char,
        "exact",
        SURE if given.is_whole else _ONE_OF_SEVERAL,
        inside_word=not given.is_whole,
        inside_letter=cuts_grapheme(context, start_char) or cuts_grapheme(context, end_char),
    )
    lexicon = wanted.context.lexicon
    is_open = offsets.are_searched or not given.is_whole
    if not lexicon.has_words or not is_open or context.find(text) != start_char:
        return stays
    if _opens_in_contraction(context, start_char, end_char, lexicon):
        return stays._replace(inside_word=False)
    places = _supported(_equal(wanted), wanted, question)
    here = next(place for place in places if place.where.start_char == start_char)
    apart = [one for one in places if _is_better_kind(one.where, given)]
    best = max(apart, key=lambda one: (one.support, -one.where.start_char), default=here)
    if _is_clearly_better(best, here, wanted, offsets):
        return found_at(best.where, wanted, _CHANGED, occurrence_changed=True)
    return _kept(stays, here, best, context) if offsets.are_searched else stays


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


def _is_better_kind(one: Occurrence, given: Occurrence) -> bool:
    """Tell whether an occurrence is whole, and has nothing of the one given."""
    is_apart = one.end_char <= given.start_char or given.end_char <= one.start_char
    return one.is_whole and is_apart


def _is_clearly_better(best: _Place, here: _Place, wanted: Wanted, offsets: Offsets) -> bool:
    """Tell whether another place is to be taken; an inflected form is one that may be meant."""
    if best is here:
        return False
    lead = best.support - here.support
    if not offsets.are_searched or here.where.is_whole:
        return lead >= _CLEAR_LEAD and best.support >= _CLEAR_SUPPORT
    return not _is_inflected(wanted.context.text, *here.where[:2]) or lead >= 0.0


def _kept(stays: AlignedSpan, here: _Place, best: _Place, context: str) -> AlignedSpan:
    """Return an exact span that a search may have put at the wrong place."""
    is_sure = here.where.is_whole or _is_inflected(context, *here.where[:2])
    is_best = best.support - here.support < _SLIGHT_LEAD
    confidence = INSIDE_WORD if not is_sure else _ONE_OF_SEVERAL if is_best else _DOUBTFUL
    return stays._replace(confidence=min(confidence, stays.confidence))


def find_elsewhere(
    wanted: Wanted, question: str, start: int, offsets: Offsets
) -> AlignedSpan | None:
    """Return the span of an answer whose text stands elsewhere than its offset says.

    None where it stands nowhere as whole words.
    """
    is_known = wanted.context.lexicon.has_words
    for find, sure, shortest in (
        (wanted.in_blanks, SURE, _SHORTEST_INSIDE_KNOWN if is_known else _SHORTEST_INSIDE),
        (wanted.in_folded, _ONE_OF_SEVERAL, None if is_known else _SHORTEST_INSIDE),
    ):
        found = find()
        whole = [one for one in found if one.is_whole] or _inside(found, wanted, shortest)
        if not whole:
            continue
        places = _supported(whole, wanted, question) if len(whole) > 1 else []
        if not places:
            return found_at(whole[0], wanted, sure)
        if (nearest := _much_nearer(whole, start, offsets)) is not None:
            return found_at(nearest, wanted, _DOUBTFUL, drifted=True)
        best, second, *_ = sorted(places, key=lambda one: (-one.support, one.where.start_char))
        is_clear = best.support - second.support >= _SLIGHT_LEAD
        return found_at(best.where, wanted, _CHANGED if is_clear else AMBIGUOUS)
    return None


def _much_nearer(found: Sequence[Occurrence], start: int, offsets: Offsets) -> Occurrence | None:
    """Return the occurrence that a widely drifting offset is much nearer to than to any other."""
    if not offsets.say_something(start):
        return None
    first, second, *_ = sorted(found, key=lambda one: abs(one.start_char - start))
    apart, other = abs(first.start_char - start), abs(second.start_char - start)
    return first if apart <= _FARTHEST_DRIFT and _MUCH_NEARER * apart <= other else None


def _inside(found: list[Occurrence], wanted: Wanted, shortest: int | None) -> list[Occurrence]:
    """Return the only occurrence that cuts a word, where the answer is too long for chance.

    ``ağırlık`` in ``ağırlıktır``: most languages write endings onto a name, and some a beginning.
    """
    is_long = shortest is not None and len(wanted.answer) >= shortest
    return found if len(found) == 1 and is_long else []

"""Answers that stand in their context letter for letter: at which of their places."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

from qa_lightning.alignment.contexts import read_context
from qa_lightning.alignment.forms import fold
from qa_lightning.alignment.lexicon import Lexicon, lexicon_of
from qa_lightning.alignment.questions import QuestionEvidence
from qa_lightning.alignment.records import AlignedSpan

_SURE: Final = 0.99
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
_ORDINAL_MARKS: Final = "ºª"
# Thai to Burmese, Khmer, kana, Han: scripts that write no space between words.
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)


class _Place(NamedTuple):
    """Hold one occurrence of an answer's text.

    Attributes:
        start_char: its first character.
        is_whole: it does not begin or end inside a word or number.
        support: how well the question fits it, 0 to 1.
    """

    start_char: int
    is_whole: bool
    support: float


def _starts(context: str, text: str) -> Iterator[int]:
    start = context.find(text)
    while start >= 0:
        yield start
        start = context.find(text, start + 1)


def _cuts(context: str, place: int) -> bool:
    """Tell whether a position lies inside a word or number, as far as spaces tell."""
    if not 0 < place < len(context) or context[place] in _ORDINAL_MARKS:
        return False
    if _UNSPACED.search(context, place - 1, place + 1):
        return False
    return context[place - 1].isalnum() and context[place].isalnum()


def is_whole(context: str, start_char: int, end_char: int) -> bool:
    """Tell whether a span begins and ends at the edges of words.

    >>> is_whole("em 1996", 3, 4), is_whole("em 1996", 3, 7)
    (False, True)
    """
    return not _cuts(context, start_char) and not _cuts(context, end_char)


def _is_inflected(context: str, start_char: int, end_char: int) -> bool:
    """Tell whether a span is a word but for a short ending: ``urso`` in ``ursos``."""
    rest = context[end_char : end_char + _LONGEST_INFLECTION + 1]
    splits_number = context[end_char - 1].isdigit() and rest[:1].isdigit()
    if _cuts(context, start_char) or splits_number:
        return False
    ending = next((n for n, letter in enumerate(rest) if not letter.isalnum()), len(rest))
    return ending <= _LONGEST_INFLECTION


def _opens_in_contraction(context: str, start_char: int, end_char: int, lexicon: Lexicon) -> bool:
    """Tell whether a span begins with the article of a contraction: ``o século`` in ``do século``.

    The text stands there by right: only the way of writing joins article and preposition.
    """
    if not _cuts(context, start_char) or _cuts(context, end_char):
        return False
    article = re.match(r"[^\W\d_]+", context[start_char:end_char])
    before = re.search(r"[^\W\d_]+$", context[:start_char])
    if article is None or before is None or fold(article[0]) not in lexicon.articles:
        return False
    return fold(before[0] + article[0]) in lexicon.function_words


def _places(context: str, question: str, text: str, language: str) -> list[_Place]:
    """Return the occurrences of a text with their support from the question."""
    read = read_context(context, language)
    evidence = QuestionEvidence(question, read)
    word_starts = [word.start_char for word in read.words]

    def support(start: int) -> float:
        first = max(bisect_right(word_starts, start) - 1, 0)
        last = max(bisect_left(word_starts, start + len(text)), first + 1)
        return evidence.support(first, last)

    return [
        _Place(start, is_whole(context, start, start + len(text)), support(start))
        for start in _starts(context, text)
    ]


def check_exact(
    context: str, question: str, text: str, start_char: int, *, language: str
) -> AlignedSpan:
    """Return the span of an answer that stands at its ``answer_start``, or at a better place.

    Another occurrence is taken only where whole words speak for it, or where the place given is
    the first hit of a search and the question's words clearly stand around another.
    """
    first = context.find(text)
    end_char = start_char + len(text)
    if _opens_in_contraction(context, start_char, end_char, lexicon_of(language)):
        return AlignedSpan(start_char, end_char, "exact", _ONE_OF_SEVERAL)
    given_is_whole = is_whole(context, start_char, end_char)
    is_only = context.find(text, first + 1) < 0
    if first != start_char:  # no search's first hit: somebody chose this place
        confidence = _ONE_OF_SEVERAL if given_is_whole else _DOUBTFUL
        return AlignedSpan(
            start_char, end_char, "exact", confidence, inside_word=not given_is_whole
        )
    if given_is_whole and is_only:
        return AlignedSpan(start_char, end_char, "exact", _SURE)
    places = _places(context, question, text, language)
    given = next(place for place in places if place.start_char == start_char)
    whole = [place for place in places if place.is_whole]
    best = max(whole or [given], key=lambda place: (place.support, -place.start_char))
    is_inflected = _is_inflected(context, start_char, end_char)
    if _is_clearly_better(best, given, is_inflected=is_inflected):
        end_char = best.start_char + len(text)
        return AlignedSpan(best.start_char, end_char, "moved", _CHANGED, occurrence_changed=True)
    return _kept(context, text, given, best)


def _is_clearly_better(best: _Place, given: _Place, *, is_inflected: bool) -> bool:
    """Tell whether another place is to be taken; an inflected form is one that may be meant."""
    if best.start_char == given.start_char:
        return False
    lead = best.support - given.support
    if given.is_whole:
        return lead >= _CLEAR_LEAD and best.support >= _CLEAR_SUPPORT
    return not is_inflected or lead >= 0.0


def _kept(context: str, text: str, given: _Place, best: _Place) -> AlignedSpan:
    end_char = given.start_char + len(text)
    is_sure = given.is_whole or _is_inflected(context, given.start_char, end_char)
    is_best = best.support - given.support < _SLIGHT_LEAD
    confidence = INSIDE_WORD if not is_sure else _ONE_OF_SEVERAL if is_best else _DOUBTFUL
    return AlignedSpan(
        given.start_char, end_char, "exact", confidence, inside_word=not given.is_whole
    )


def find_moved(context: str, question: str, text: str, *, language: str) -> AlignedSpan | None:
    """Return the span of an answer whose text stands elsewhere than at ``answer_start``.

    None where it stands nowhere as whole words.
    """
    places = [place for place in _places(context, question, text, language) if place.is_whole]
    if not places:
        return None
    best, *others = sorted(places, key=lambda place: (-place.support, place.start_char))
    lead = best.support - others[0].support if others else 1.0
    end_char = best.start_char + len(text)
    if lead < _SLIGHT_LEAD:
        return AlignedSpan(best.start_char, end_char, "ambiguous", AMBIGUOUS)
    return AlignedSpan(best.start_char, end_char, "moved", _CHANGED if others else _SURE)

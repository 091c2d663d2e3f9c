"""Answers that stand in their context as they are: at which of their places."""

import math
import re
from collections.abc import Sequence
from typing import Final

from qa_lightning.alignment.forms import fold
from qa_lightning.alignment.graphemes import cuts_grapheme
from qa_lightning.alignment.lexicon import Lexicon
from qa_lightning.alignment.occurrences import Occurrence, Wanted, is_whole
from qa_lightning.alignment.offsets import Offsets
from qa_lightning.alignment.records import AlignedSpan
from qa_lightning.alignment.rivals import Place, best_rival, is_clearly_better, supported

SURE: Final = 0.99
DRIFTED: Final = 0.97
_ONE_OF_SEVERAL: Final = 0.97
_CHANGED: Final = 0.95
_DOUBTFUL: Final = 0.93
AMBIGUOUS: Final = 0.5
INSIDE_WORD: Final = 0.2
_SLIGHT_LEAD: Final = 0.05
# How often the place with the question's words around it is right, by its lead: fitted to the 121
# repeated answers of XQuAD in English (56 % at .07, 72 % at .15, 87 % at .25).
_EQUAL: Final = 0.4
_STEEPNESS: Final = 9.0
_REWRITTEN: Final = 0.86  # of squad_v1_pt, whose texts are written otherwise: 11 of 13 by a reader
_LONGEST_INFLECTION: Final = 2
# A text of so many letters is not found inside other words by chance; where the words of the
# language are known, what a shorter one means is looked for first.
_SHORTEST_INSIDE: Final = 4
_FARTHEST_DRIFT: Final = 64
_MUCH_NEARER: Final = 4
_SHORTEST_INSIDE_KNOWN: Final = 24


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


def check_exact(wanted: Wanted, question: str, start_char: int, offsets: Offsets) -> AlignedSpan:
    """Return the span of an answer that stands at its ``answer_start``, or at a better place.

    It stays there. Another occurrence is taken only where the words of the language are known, the
    place given is the first of the text's places, and either it is inside a word, or the questions
    of the data set prove that a search chose; and only where this question clearly fits the other.
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
    here, rival = best_rival(wanted, question, given)
    if rival is not None and _is_meant(rival, here, wanted, offsets):
        return found_at(rival.where, wanted, _CHANGED, occurrence_changed=True)
    return _kept(stays, here, rival, context) if offsets.are_searched else stays


def _is_meant(rival: Place, here: Place, wanted: Wanted, offsets: Offsets) -> bool:
    """Tell whether another place is to be taken; an inflected form is one that may be meant."""
    if not offsets.are_searched or here.where.is_whole:
        return is_clearly_better(rival, here)
    is_form = _is_inflected(wanted.context.text, *here.where[:2])
    return not is_form or rival.support >= here.support


def _kept(stays: AlignedSpan, here: Place, rival: Place | None, context: str) -> AlignedSpan:
    """Return an exact span that a search may have put at the wrong place."""
    is_sure = here.where.is_whole or _is_inflected(context, *here.where[:2])
    is_best = rival is None or rival.support - here.support < _SLIGHT_LEAD
    confidence = INSIDE_WORD if not is_sure else _ONE_OF_SEVERAL if is_best else _DOUBTFUL
    return stays._replace(confidence=min(confidence, stays.confidence))


def find_elsewhere(
    wanted: Wanted, question: str, place: int | None, *, by_chance: bool
) -> AlignedSpan | None:
    """Return the span of an answer whose text stands elsewhere than its offset says.

    None where it stands nowhere as whole words.

    Args:
        wanted: the answer.
        question: whose words tell apart equally good places.
        place: the character at which the offset points; None where it says nothing.
        by_chance: where the same text stands far from its offset, it does so by chance.
    """
    is_known = wanted.context.lexicon.has_words
    same = AMBIGUOUS if by_chance else SURE
    for find, most, shortest in (
        (wanted.in_blanks, same, _SHORTEST_INSIDE_KNOWN if is_known else _SHORTEST_INSIDE),
        (wanted.in_folded, _ONE_OF_SEVERAL, None if is_known else _SHORTEST_INSIDE),
    ):
        found = find()
        whole = [one for one in found if one.is_whole] or _inside(found, wanted, shortest)
        if not whole:
            continue
        places = supported(whole, wanted, question) if len(whole) > 1 else []
        if not places:
            return found_at(whole[0], wanted, most)
        if (nearest := _much_nearer(whole, place)) is not None:
            return found_at(nearest, wanted, _DOUBTFUL, drifted=True)
        best, second, *_ = sorted(places, key=lambda one: (-one.support, one.where.start_char))
        confidence = _confidence_of(best.support - second.support, is_same=most == same)
        return found_at(best.where, wanted, min(confidence, most))
    return None


def _confidence_of(lead: float, *, is_same: bool) -> float:
    """Return how likely the place is right that the question fits better than all others."""
    right = 1.0 / (1.0 + math.exp(_EQUAL - _STEEPNESS * lead))
    if lead >= _SLIGHT_LEAD and not is_same:
        right = max(right, _REWRITTEN)
    return min(right, _CHANGED)


def _much_nearer(found: Sequence[Occurrence], place: int | None) -> Occurrence | None:
    """Return the occurrence that a widely drifting offset is much nearer to than to any other."""
    if place is None:
        return None
    first, second, *_ = sorted(found, key=lambda one: abs(one.start_char - place))
    apart, other = abs(first.start_char - place), abs(second.start_char - place)
    return first if apart <= _FARTHEST_DRIFT and _MUCH_NEARER * apart <= other else None


def _inside(found: list[Occurrence], wanted: Wanted, shortest: int | None) -> list[Occurrence]:
    """Return the only occurrence that cuts a word, where the answer is too long for chance.

    ``ağırlık`` in ``ağırlıktır``: most languages write endings onto a name, and some a beginning.
    """
    is_long = shortest is not None and len(wanted.answer) >= shortest
    return found if len(found) == 1 and is_long else []

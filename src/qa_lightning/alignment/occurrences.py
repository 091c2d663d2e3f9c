"""Places of a context at which an answer's text stands, in one of the forms of comparison."""

import html
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from itertools import takewhile
from typing import Final, NamedTuple

import regex

from qa_lightning.alignment.contexts import Context
from qa_lightning.alignment.edges import closed_end
from qa_lightning.alignment.graphemes import cuts_grapheme, whole_graphemes
from qa_lightning.alignment.surfaces import UNSPACED, Surface, folded, without_blanks

NEAR: Final = 16  # characters: real files drift by up to 13
_ORDINAL_MARKS: Final = "ºª"
_UNSPACED: Final = regex.compile(f"[{UNSPACED}]")
_SHORTEST_FOLDED: Final = 3  # "a" in another case is another word
_QUOTES: Final = frozenset("\"'`\u00ab\u00bb\u2018\u2019\u201a\u201c\u201d\u201e")
_SIGN_BEFORE: Final = regex.compile(r"(?:&#?[A-Za-z0-9]+;|.)$", regex.DOTALL)
_SIGN_AFTER: Final = regex.compile(r"&#?[A-Za-z0-9]+;|.", regex.DOTALL)
_LONGEST_SIGN: Final = 9  # as an entity


class Occurrence(NamedTuple):
    """Hold one place of an answer.

    Attributes:
        start_char: its first character.
        end_char: one past its last.
        is_whole: it does not begin or end inside a word, number or letter.
    """

    start_char: int
    end_char: int
    is_whole: bool


def _is_of_word(letter: str) -> bool:
    return letter.isalnum() or unicodedata.category(letter)[0] == "M"


def _cuts(context: str, place: int) -> bool:
    """Tell whether a position lies inside a word or number, as far as spaces tell."""
    if not 0 < place < len(context) or context[place] in _ORDINAL_MARKS:
        return False
    if _UNSPACED.search(context, place - 1, place + 1):
        return cuts_grapheme(context, place)
    return _is_of_word(context[place - 1]) and _is_of_word(context[place])


def is_whole(context: str, start_char: int, end_char: int) -> bool:
    """Tell whether a span begins and ends at the edges of words.

    >>> is_whole("em 1996", 3, 4), is_whole("em 1996", 3, 7)
    (False, True)
    """
    return not _cuts(context, start_char) and not _cuts(context, end_char)


def _signs(answer: str) -> str:
    """Return the punctuation marks that an answer begins with."""
    return "".join(takewhile(lambda letter: unicodedata.category(letter)[0] == "P", answer))


def _are_alike(sign: str, written: str) -> bool:
    """Tell whether a mark is another as written: as an entity, or as some quotation mark."""
    plain = html.unescape(written)
    return sign == plain or (sign in _QUOTES and plain in _QUOTES)


def _overlaps(one: Occurrence, others: list[Occurrence]) -> bool:
    """Tell whether a place has characters in common with others, which are in their order."""
    before = bisect_left(others, one.end_char, key=lambda other: other.start_char)
    return before > 0 and others[before - 1].end_char > one.start_char


class Wanted:
    """Find the places of one answer in one context.

    Args:
        answer: gold text, not blank.
        context: where to look.
    """

    def __init__(self, answer: str, context: Context) -> None:
        self.answer = answer
        self.context = context

    def in_blanks(self, first: int = 0, end: int | None = None) -> list[Occurrence]:
        """Return the places between two characters at which the same is written, but for blanks.

        What stands verbatim keeps its edges: to the form, a hyphen is part of a word or none.
        """
        return self._anywhere if first == 0 and end is None else self._in_blanks(first, end)

    @cached_property
    def _anywhere(self) -> list[Occurrence]:
        """Return all places, which several ask for."""
        return self._in_blanks(0, None)

    def _in_blanks(self, first: int, end: int | None) -> list[Occurrence]:
        form = without_blanks(self.answer.strip()).text.strip()
        if not form:
            return []
        found = list(self._places(self.context.blanks, form, first, end))
        if self.context.blanks.starts is None:  # the form is the text
            return found
        raw = Surface(self.context.text, None, None)
        verbatim = list(self._places(raw, self.answer.strip(), first, end))
        return sorted([*verbatim, *(one for one in found if not _overlaps(one, verbatim))])

    def in_folded(self, first: int = 0, end: int | None = None) -> list[Occurrence]:
        """Return the places at which the same is written, but for case and punctuation."""
        form = folded(self.answer).text
        if len(form) < _SHORTEST_FOLDED and not form.isdigit():
            return []
        found = (
            self._with_quotes(one) for one in self._places(self.context.folded, form, first, end)
        )
        return [one._replace(end_char=closed_end(self.context, *one[:2])) for one in found]

    def _with_quotes(self, place: Occurrence) -> Occurrence:
        """Return a place with the quotation marks around it that the answer has too.

        No mark makes a difference in where it stands, but the quoted keeps its own. Where the
        answer has one on either side, one alone is another sign: the apostrophe of ``Rollo's``.
        """
        text, answer = self.context.text, html.unescape(self.answer.strip())
        before, after = _signs(answer), _signs(answer[::-1])
        start, end = quoted_start, quoted_end = place[:2]
        for sign in reversed(before):
            found = _SIGN_BEFORE.search(text, max(start - _LONGEST_SIGN, 0), start)
            if found is None or not _are_alike(sign, found.group()):
                break
            start = found.start()
            quoted_start = start if sign in _QUOTES else quoted_start
        for sign in reversed(after):
            found = _SIGN_AFTER.match(text, end)
            if found is None or not _are_alike(sign, found.group()):
                break
            end = found.end()
            quoted_end = end if sign in _QUOTES else quoted_end
        is_lone = (quoted_start == place.start_char) != (quoted_end == place.end_char)
        if is_lone and not _QUOTES.isdisjoint(before) and not _QUOTES.isdisjoint(after):
            return place
        return place._replace(start_char=quoted_start, end_char=quoted_end)

    def at(self, start_char: int) -> Occurrence | None:
        """Return the place that begins at a character, None where the answer does not stand there.

        The same but for blanks is the answer: lines of the context may have been broken anew.
        """
        text = self.context.text
        end_char = start_char + len(self.answer)
        if text.startswith(self.answer, start_char):
            return Occurrence(start_char, end_char, is_whole(text, start_char, end_char))
        here = self.in_blanks(start_char, start_char + 1)
        return next((one for one in here if one.start_char == start_char), None)

    def _places(
        self, surface: Surface, form: str, first: int, end: int | None
    ) -> Iterator[Occurrence]:
        """Yield the places that begin between two raw characters."""
        text = self.context.text
        begin = surface.position(first)
        last = len(surface.text) if end is None else surface.position(end) + len(form) - 1
        for place in surface.places(form, begin, last):
            start_char, end_char = surface.span(place, place + len(form))
            widened = whole_graphemes(text, start_char, end_char)
            whole = widened == (start_char, end_char) and is_whole(text, start_char, end_char)
            yield Occurrence(*widened, whole)

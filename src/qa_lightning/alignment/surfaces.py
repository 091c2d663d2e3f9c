"""Forms in which texts are compared, each with the way back to the raw text.

Two forms: one to which white space is no difference, and one to which case, punctuation and the
writing of numbers are none either. A span found in a form is a span of the raw text.
"""

import html
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Final, NamedTuple

import regex

from qa_lightning.alignment.forms import number_key

# Thai to Burmese, Khmer, CJK signs, kana, Han, full width: written without blanks.
UNSPACED: Final = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef"
    r"\U00020000-\U0003ffff"
)
_BLANK: Final = r"[\s\p{Z}\p{Cf}]"
_HYPHEN: Final = r"(?<=\p{L}\p{M}*)[-\u2010\u2011\u00ad](?:[^\S\n\r]*\R\s*)?(?=\p{L})"
# What NFC changes: marks after a letter, jamo, and the letters that are only another's spelling.
_SPELLED: Final = (
    r"\P{M}\p{M}+|[\u1100-\u115f][\u1160-\u11a7][\u11a8-\u11ff]?|[\uac00-\ud7a3][\u11a8-\u11ff]"
    r"|[\u0340-\u0387\u0958-\u095f\u09dc-\u09df\u0a33-\u0a5e\u0b5c\u0b5d\u0f43-\u0fb9\u1f71-\u1ffd"
    r"\u2000\u2001\u2126-\u212b\u2329\u232a\uf900-\ufaff\ufb1d-\ufb4e\U0002f800-\U0002fa1d]"
)
_IS_UNSPACED: Final = regex.compile(f"[{UNSPACED}]")
_FOLDED_AS_ONE: Final = regex.compile(
    r"(?P<plain>[A-Za-z]+)|(?P<number>\d+(?:[.,]\d+)+)"
    r"|(?P<entity>&(?:\#\d+|\#x[0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]+);)|.",
    regex.DOTALL,
)
_HYPHENS: Final = "-\u2010\u2011\u00ad"
_KEPT_SIGNS: Final = frozenset("%&@#")
_ACCENTS: Final = regex.compile(r"[\u0300-\u036f]")
# I is the capital of two letters, and tools that know of one write it for both: no difference of
# case tells them apart. A dot that is left of a small \u0130 goes with it.
_TURKISH: Final = {"\u0130": "i", "\u0131": "i", "\u0307": ""}
# Marks that many writers leave out: Hebrew and Arabic vowels, the Arabic stroke between letters.
_OPTIONAL: Final = regex.compile(r"[\u0591-\u05c7\u0640\u064b-\u065f\u0670]")


class Surface(NamedTuple):
    """Hold a text in a form to compare it by.

    Attributes:
        text: the form.
        starts: first raw character of each character of the form; None where all are the raw ones.
        ends: one past the last.
    """

    text: str
    starts: "array[int] | None"
    ends: "array[int] | None"

    def span(self, first: int, end: int) -> tuple[int, int]:
        """Return the raw characters of a range of the form."""
        if self.starts is None or self.ends is None:
            return first, end
        return self.starts[first], self.ends[end - 1]

    def of(self, plain: "Surface") -> "Surface":
        """Return the form of a form with the raw characters of the first."""
        if self.starts is None or self.ends is None:
            return plain
        if plain.starts is None or plain.ends is None:
            return self
        starts = array("i", [plain.starts[place] for place in self.starts])
        return Surface(self.text, starts, array("i", [plain.ends[end - 1] for end in self.ends]))

    def position(self, place: int) -> int:
        """Return the first character of the form at or after a raw position."""
        return place if self.starts is None else bisect_left(self.starts, place)

    def places(self, form: str, first: int = 0, end: int | None = None) -> Iterator[int]:
        """Yield where a form stands in this one, between two of its positions."""
        end = len(self.text) if end is None else end
        found = self.text.find(form, first, end)
        while found >= 0:
            yield found
            found = self.text.find(form, found + 1, end)


class _Writer:
    """Collect a form piece by piece, with the raw characters that each comes from."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.pieces: list[str] = []
        self.starts = array("i")
        self.ends = array("i")

    def copy(self, start: int, end: int) -> None:
        if start < end:
            self.pieces.append(self._text[start:end])
            self.starts.extend(range(start, end))
            self.ends.extend(range(start + 1, end + 1))

    def put(self, piece: str, start: int, end: int) -> None:
        """Write what stands for some raw characters; letter by letter where as many are."""
        self.pieces.append(piece)
        if len(piece) == end - start:
            self.starts.extend(range(start, end))
            self.ends.extend(range(start + 1, end + 1))
        else:
            self.starts.extend([start] * len(piece))
            self.ends.extend([end] * len(piece))

    def drop(self) -> None:
        """Take back the last piece, of one character."""
        self.pieces.pop()
        self.starts.pop()
        self.ends.pop()

    def surface(self) -> Surface:
        return Surface("".join(self.pieces), self.starts, self.ends)


@cache
def _irregular(is_unspaced: bool, is_composed: bool) -> regex.Pattern[str]:
    """Return the pattern of all that is not in the form already.

    A single blank is, but for a text with letters that are written without.
    """
    blanks = f"{_BLANK}+"
    if not is_unspaced:
        blanks = rf"(?:[ ](?={_BLANK})|[^\S ]|(?![ ])[\p{{Z}}\p{{Cf}}]){_BLANK}*"
    return regex.compile(
        "|".join((_HYPHEN, blanks) if is_composed else (_HYPHEN, blanks, _SPELLED))
    )


def _blank_form(piece: str, before: str, after: str) -> str:
    """Return what white space is in the form: one blank, or nothing where none is written."""
    if not any(map(str.isspace, piece)):
        return ""
    return "" if _IS_UNSPACED.match(before) or _IS_UNSPACED.match(after) else " "


@lru_cache(maxsize=64)
def without_blanks(text: str) -> Surface:
    r"""Return the form to which white space is no difference.

    A run of blanks is one blank, and none between letters that are written without; what has no
    width is gone, and so are hyphens inside words, with the line break that follows one. Letters
    are composed (NFC).

    >>> without_blanks("an  exam-\n ple\tof\u00a0it").text
    'an example of it'
    """
    irregular = _irregular(
        _IS_UNSPACED.search(text) is not None, unicodedata.is_normalized("NFC", text)
    )
    if not irregular.search(text):
        return Surface(text, None, None)
    writer = _Writer(text)
    end = 0
    for match in irregular.finditer(text):
        start, piece = match.start(), match.group()
        writer.copy(end, start)
        end = match.end()
        if piece[0].isspace() or unicodedata.category(piece[0])[0] in "ZC":
            blank = _blank_form(piece, text[max(start - 1, 0) : start], text[end : end + 1])
            writer.put(blank, start, end)
        elif piece[0] not in _HYPHENS:
            writer.put(unicodedata.normalize("NFC", piece), start, end)
    writer.copy(end, len(text))
    return writer.surface()


@lru_cache(maxsize=8192)
def _folded(letter: str) -> str:
    """Return the form of one character: a blank for punctuation, nothing for optional marks."""
    if letter in _KEPT_SIGNS:
        return letter
    if letter in _TURKISH:
        return _TURKISH[letter]
    category = unicodedata.category(letter)
    if letter.isspace() or category[0] in "PZC":
        return " "
    if category == "Nd":
        return str(unicodedata.decimal(letter))
    plain = unicodedata.normalize("NFKD", letter.casefold())
    if unicodedata.name(plain[:1], "").startswith("GREEK"):  # capitals are written without
        plain = _ACCENTS.sub("", plain)
    plain = _OPTIONAL.sub("", plain)
    return unicodedata.normalize("NFC", plain).replace("\u0451", "\u0435")


@lru_cache(maxsize=64)
def folded(text: str) -> Surface:
    r"""Return the form to which case, punctuation and grouping marks are no difference.

    Words may be written together or apart; only numbers that follow each other stay two.

    >>> folded("The \u201cCaf\u00e9\u201d (1,250 seats, 3 - 5)").text
    'thecafé1250seats3 5'
    """
    plain = without_blanks(text)
    writer = _Writer(plain.text)
    for match in _FOLDED_AS_ONE.finditer(plain.text):
        piece, kind = match.group(), match.lastgroup
        if kind == "plain":
            form = piece.lower()
        elif kind == "number":
            form = number_key("".join(one if one in ".," else _folded(one) for one in piece))
        else:
            form = "".join(map(_folded, html.unescape(piece) if kind else piece))
        _put(form, match.start(), match.end(), writer)
    if writer.pieces and writer.pieces[-1] == " ":
        writer.drop()
    return writer.surface().of(plain)


def _put(form: str, start: int, end: int, writer: _Writer) -> None:
    """Write a form; a blank only where it parts two numbers, and is followed by the second."""
    pieces = writer.pieces
    if form.isspace():
        if pieces and pieces[-1][-1:].isdigit():
            writer.put(" ", start, end)
        return
    if pieces and pieces[-1] == " " and not form[:1].isdigit():
        writer.drop()
    if form:
        writer.put(form, start, end)

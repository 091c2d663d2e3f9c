r"""What annotation tools count in place of characters, and where their offsets point.

A tool that counts UTF-16 units, bytes, graphemes, ``\r\n`` for ``\n`` or the text before its HTML
entities were decoded gives offsets that drift on and on. Each way of counting is a number of units
for each character of the context; the offset is undone by looking up which character begins there.
"""

import html
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Final, NamedTuple

import numpy as np
import regex
from numpy.typing import NDArray

from qa_lightning.alignment.graphemes import MAY_CONTINUE

Counts = NDArray[np.int32]

_ENTITY: Final = regex.compile(r"&(?:#\d+|#x[0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]+);")
_CLUSTER: Final = regex.compile(r"\X")
_MARKED: Final = regex.compile(r"\P{M}\p{M}+|[\u1100-\u115f][\u1160-\u11a7][\u11a8-\u11ff]?")
_BLANKS: Final = regex.compile(r"[\s\p{Z}]+")
_LINE_BREAKS: Final = regex.compile(r"[\r\n]+")
_NO_WIDTH: Final = regex.compile(r"\p{Cf}+")
_ESCAPES: Final = (
    {"&": 5, "<": 4, ">": 4},
    {"&": 5, "<": 4, ">": 4, '"': 6},
    {"&": 5, "<": 4, ">": 4, '"': 6, "'": 6},
    {"&": 5, "<": 4, ">": 4, '"': 6, "'": 5},
    {"&": 5, "<": 4, ">": 4, '"': 5, "'": 5},
)


class _Reading:
    """Hold a context with the code of each of its characters.

    Args:
        text: the raw context.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)

    def ones(self) -> Counts:
        """Return one unit for each character."""
        return np.ones(len(self.codes), dtype=np.int32)

    def merged(self, pattern: "regex.Pattern[str]", kept: int) -> Counts:
        """Return counts in which only so many characters of each match are counted."""
        counts = self.ones()
        for match in pattern.finditer(self.text):
            counts[match.start() + kept : match.end()] = 0
        return counts


def _utf16(read: _Reading) -> Counts:
    counts = read.ones()
    counts += read.codes > 0xFFFF
    return counts


def _utf8(read: _Reading) -> Counts:
    counts = read.ones()
    for limit in (0x7F, 0x7FF, 0xFFFF):
        counts += read.codes > limit
    return counts


def _two_for_line_break(read: _Reading) -> Counts:
    is_lone = read.codes == 10
    is_lone[1:] &= read.codes[:-1] != 13
    counts = read.ones()
    counts += is_lone
    return counts


def _one_for_line_break(read: _Reading) -> Counts:
    counts = read.ones()
    counts[:-1] -= (read.codes[:-1] == 13) & (read.codes[1:] == 10)
    return counts


def _escaped(read: _Reading, lengths: dict[str, int]) -> Counts:
    counts = read.ones()
    for sign, length in lengths.items():
        counts[read.codes == ord(sign)] = length
    return counts


def _entities_as_one(read: _Reading) -> Counts:
    counts = read.ones()
    for match in _ENTITY.finditer(read.text):
        decoded = len(html.unescape(match.group()))
        if decoded < match.end() - match.start():
            counts[match.start() + decoded : match.end()] = 0
    return counts


def _decomposed(read: _Reading) -> Counts:
    codes, where = np.unique(read.codes, return_inverse=True)
    lengths = [len(unicodedata.normalize("NFD", chr(code))) for code in codes.tolist()]
    return np.asarray(lengths, dtype=np.int32)[where]


def _composed(read: _Reading) -> Counts:
    counts = read.ones()
    for match in _MARKED.finditer(read.text):
        composed = len(unicodedata.normalize("NFC", match.group()))
        counts[match.start() + composed : match.end()] = 0
    return counts


def _stripped(read: _Reading) -> Counts:
    counts = read.ones()
    counts[: len(read.text) - len(read.text.lstrip())] = 0
    return counts


def _collapsed(read: _Reading) -> Counts:
    """Return counts of a text split and joined by single blanks."""
    return np.minimum(read.merged(_BLANKS, 1), _stripped(read))


class _Unit(NamedTuple):
    """Hold a way of counting.

    Attributes:
        counts_of: the units of each character.
        where: texts without this have one unit for each character.
    """

    counts_of: Callable[[_Reading], Counts]
    where: "regex.Pattern[str]"


def _unit(count: Callable[[_Reading], Counts], *where: str) -> _Unit:
    return _Unit(count, regex.compile("".join(rf"(?=[\s\S]*?(?:{one}))" for one in where)))


_ASTRAL: Final = r"[\U00010000-\U0010ffff]"
_FOREIGN: Final = r"[^\x00-\x7f]"
_CRLF: Final = r"\r\n"
_LF: Final = r"(?<!\r)\n"
# What is counted, in the words of the audit, most likely first.
UNITS: Final[dict[str, _Unit]] = {
    "UTF-16 units": _unit(_utf16, _ASTRAL),
    r"line breaks as \r\n": _unit(_two_for_line_break, _LF),
    r"\r\n as one character": _unit(_one_for_line_break, _CRLF),
    "UTF-8 bytes": _unit(_utf8, _FOREIGN),
    r"UTF-16 units, line breaks as \r\n": _unit(
        lambda read: _utf16(read) + _two_for_line_break(read) - 1, _ASTRAL, _LF
    ),
    r"UTF-16 units, \r\n as one": _unit(
        lambda read: _utf16(read) + _one_for_line_break(read) - 1, _ASTRAL, _CRLF
    ),
    r"UTF-8 bytes, line breaks as \r\n": _unit(
        lambda read: _utf8(read) + _two_for_line_break(read) - 1, _FOREIGN, _LF
    ),
    r"UTF-8 bytes, \r\n as one": _unit(
        lambda read: _utf8(read) + _one_for_line_break(read) - 1, _FOREIGN, _CRLF
    ),
    "a text without blanks at its start": _unit(_stripped, r"^\s"),
    "a text with single blanks": _unit(_collapsed, r"^\s|\s\s"),
    "a text without line breaks": _unit(lambda read: read.merged(_LINE_BREAKS, 0), r"[\r\n]"),
    "a text without characters of no width": _unit(
        lambda read: read.merged(_NO_WIDTH, 0), r"\p{Cf}"
    ),
    "decomposed letters (NFD)": _unit(_decomposed, _FOREIGN),
    "composed letters (NFC)": _unit(_composed, r"\p{M}|[\u1160-\u11ff]"),
    "graphemes": _unit(lambda read: read.merged(_CLUSTER, 1), rf"{MAY_CONTINUE}|{_CRLF}"),
    "HTML entities as one character": _unit(_entities_as_one, _ENTITY.pattern),
    **{
        f"signs as HTML entities ({' '.join(lengths)}: {', '.join(map(str, lengths.values()))})": (
            _unit(partial(_escaped, lengths=lengths), f"[{''.join(lengths)}]")
        )
        for lengths in _ESCAPES
    },
}


@lru_cache(maxsize=4)
def _begins(text: str) -> dict[str, Counts]:
    """Return, for each unit that differs from characters in a text, where characters begin."""
    read = _Reading(text)
    found: dict[str, Counts] = {}
    for name, unit in UNITS.items():
        if not unit.where.match(text):
            continue
        counts = unit.counts_of(read)
        if (counts != 1).any():
            found[name] = np.concatenate(([0], np.cumsum(counts, dtype=np.int32)))
    return found


def place_in(text: str, unit: str, offset: int) -> int:
    """Return the character at which an offset points that was counted in a unit.

    The one that it points into, where none begins there; of several (some are not counted) the
    last.

    >>> place_in("🚲🚲 The museum", "UTF-16 units", 5)
    3
    """
    begins = _begins(text).get(unit)
    if begins is None:
        return offset
    return max(int(np.searchsorted(begins, offset, side="right")) - 1, 0)


def drifted_places(text: str, offset: int, *, rounded: bool = False) -> Iterator[tuple[str, int]]:
    """Yield the units under which an offset points at another character, and that character.

    Args:
        text: the context.
        offset: what the data set says.
        rounded: take the character that it points into, where none begins there.
    """
    for unit, begins in _begins(text).items():
        place = place_in(text, unit, offset)
        is_there = rounded or (place < len(text) and begins[place] == offset)
        if is_there and place != offset:
            yield unit, place

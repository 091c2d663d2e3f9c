"""Where a text may be cut: never inside what a reader sees as one letter."""

from typing import Final

import regex

# Marks, joiners, emoji parts and jamo: nothing else but the end of a line break continues a letter.
MAY_CONTINUE: Final = (
    r"[\p{M}\p{Grapheme_Extend}\p{Cf}\p{Emoji_Modifier}\p{Regional_Indicator}"
    r"\p{Hangul_Syllable_Type=L}\p{Hangul_Syllable_Type=V}\p{Hangul_Syllable_Type=T}]"
)
_MAY_CONTINUE: Final = regex.compile(
    rf"{MAY_CONTINUE}|(?<=\r)\n|(?<=\u200d)\p{{Extended_Pictographic}}|[\uac00-\ud7a3]"
)
_GRAPHEME: Final = regex.compile(r"\X")
# No cluster of a living script is longer; joined families of emoji have eleven.
_LONGEST: Final = 32


def _cluster_at(text: str, place: int) -> tuple[int, int]:
    """Return where the cluster that holds a position begins and ends."""
    first = max(place - _LONGEST, 0)
    for match in _GRAPHEME.finditer(text, first, min(place + _LONGEST, len(text))):
        if match.end() > place:
            return match.start(), match.end()
    return place, place


def cuts_grapheme(text: str, place: int) -> bool:
    r"""Tell whether a position lies inside a grapheme cluster.

    >>> cuts_grapheme("cafe\u0301", 4), cuts_grapheme("cafe", 3)
    (True, False)
    """
    if not 0 < place < len(text) or not _MAY_CONTINUE.match(text, place):
        return False
    return _cluster_at(text, place)[0] != place


def whole_graphemes(text: str, start_char: int, end_char: int) -> tuple[int, int]:
    r"""Return a span widened to the graphemes that it cuts.

    >>> whole_graphemes("cafe\u0301 cedo", 0, 4)
    (0, 5)
    """
    if cuts_grapheme(text, start_char):
        start_char = _cluster_at(text, start_char)[0]
    if cuts_grapheme(text, end_char):
        end_char = _cluster_at(text, end_char)[1]
    return start_char, end_char

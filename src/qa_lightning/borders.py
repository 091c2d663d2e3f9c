"""Where words end: the places of a text at which an answer may begin or end."""

import unicodedata
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Kinds = npt.NDArray[np.uint8]

_OTHER, _LETTER, _DIGIT, _POINT, _UNSPACED, _MARK = range(6)  # kinds of characters
_TABLE_END: Final = 0x10000  # rarer characters are looked up one by one

# Scripts that write no blanks between words: any two of their letters may be two words.
_UNSPACED_SCRIPTS: Final = (
    (0x0E00, 0x109F),  # Thai, Lao, Tibetan, Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19FF),  # Tai Le, New Tai Lue, Khmer signs
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0x2E80, 0x312F),  # CJK radicals, Kana, Bopomofo
    (0x31A0, 0x9FFF),  # Bopomofo, Kana, Han
    (0xA000, 0xA4CF),  # Yi
    (0xA980, 0xA9FF),  # Javanese, Myanmar
    (0xAA60, 0xAADF),  # Myanmar, Tai Viet
    (0xF900, 0xFAFF),  # Han
    (0xFF66, 0xFF9F),  # Kana of half the width
    (0x1B000, 0x1B16F),  # Kana
    (0x20000, 0x3FFFF),  # Han
)
_INVISIBLE: Final = "\u00ad\u200c\u200d\u2060\ufeff"  # soft hyphen and joiners, within words


def word_borders(text: str) -> Bools:
    """Say of each place before, between and behind a text's characters if words begin or end there.

    None does between two letters, within a number (``8,25``), and in front of a combining mark.
    At all else people's answers do: at blanks and punctuation, apostrophes (``l'homme``,
    ``Ankara'nın``) and hyphens among it, and between a number and what is written onto it
    (``17º``, ``5km``). In scripts without blanks it may be anywhere.

    Returns:
        One more than characters, true at borders.

    >>> [place for place, is_border in enumerate(word_borders("d'Or, 8.5%")) if is_border]
    [0, 1, 2, 4, 5, 6, 9, 10]
    """
    kind_c = _kinds(text)
    border_c = np.ones(len(kind_c) + 1, np.bool_)
    if len(kind_c) < 2:
        return border_c
    is_mark = kind_c == _MARK
    if is_mark.any():  # a mark is of the kind of what it stands on
        base_c = np.maximum.accumulate(np.where(is_mark, 0, np.arange(len(kind_c))))
        kind_c = kind_c[base_c]
    is_joined = (kind_c[:-1] == kind_c[1:]) & ((kind_c[1:] == _LETTER) | (kind_c[1:] == _DIGIT))
    border_c[1:-1] = ~is_joined & ~is_mark[1:]
    is_digit = kind_c == _DIGIT
    within = is_digit[:-2] & (kind_c[1:-1] == _POINT) & is_digit[2:]
    border_c[1:-2] &= ~within
    border_c[2:-1] &= ~within
    return border_c


def _kinds(text: str) -> Kinds:
    try:
        codes = np.frombuffer(text.encode("latin-1"), np.uint8)
    except UnicodeEncodeError:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    kinds: Kinds = _table().take(codes, mode="clip")
    rare_c = np.flatnonzero(codes >= _TABLE_END)
    if len(rare_c):
        kinds[rare_c] = [_kind(code) for code in codes[rare_c].tolist()]
    return kinds


@lru_cache(maxsize=1)
def _table() -> Kinds:
    return np.array([_kind(code) for code in range(_TABLE_END)], np.uint8)


@lru_cache(maxsize=4_096)
def _kind(code: int) -> int:
    letter = chr(code)
    if letter in ".,":
        return _POINT
    if letter in _INVISIBLE:
        return _MARK
    category = unicodedata.category(letter)[0]
    if category == "M":
        return _MARK
    if category not in "LN":
        return _OTHER
    if letter.isdecimal():
        return _DIGIT
    return _UNSPACED if any(low <= code <= high for low, high in _UNSPACED_SCRIPTS) else _LETTER

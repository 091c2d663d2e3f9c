"""Comparable forms of single words: case, accents, entities, number writing."""

import html
import re
import unicodedata
from functools import lru_cache
from typing import Final

from qa_lightning.languages import LANGUAGES

# Of all languages: after a digit they are nothing else.
ORDINAL_SUFFIX: Final = "(?:{})".format(
    "|".join(suffix for language in LANGUAGES.values() for suffix in language.ordinal_suffixes)
)
_GROUPED: Final = re.compile(r"\d{1,3}(?:[.,]\d{3})+")
_ORDINAL_MARK: Final = re.compile(rf"(?:[ºª°]|{ORDINAL_SUFFIX})$")
_NOT_WORD: Final = re.compile(r"[\W_]+")
_ROMAN: Final = re.compile(
    r"(?=[MDCLXVI])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
)
_ROMAN_DIGITS: Final = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
# One-letter numerals that are not a letter of the alphabet more often than a number.
_LONE_ROMAN: Final = frozenset("VX")


@lru_cache(maxsize=65_536)
def fold(text: str) -> str:
    """Return a word without case, accents, entities, punctuation and compatibility forms.

    >>> fold("Ação"), fold("D&#39;Ávila")
    ('acao', 'davila')
    """
    decomposed = unicodedata.normalize("NFKD", html.unescape(text).casefold())
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return _NOT_WORD.sub("", plain)


def number_key(text: str) -> str:
    """Return a number in digits, without grouping marks and with a decimal point.

    >>> number_key("310.000"), number_key("89,4"), number_key("4ª")
    ('310000', '89.4', '4')
    """
    digits = _ORDINAL_MARK.sub("", text)
    if _GROUPED.fullmatch(digits):
        return re.sub(r"[.,]", "", digits)
    return digits.replace(",", ".")


def roman_value(text: str) -> int | None:
    """Return the value of an upper-case Roman numeral, None for other words.

    >>> roman_value("XIX"), roman_value("Mix")
    (19, None)
    """
    if not _ROMAN.fullmatch(text) or (len(text) == 1 and text not in _LONE_ROMAN):
        return None
    digits = [_ROMAN_DIGITS[letter] for letter in text]
    following = [*digits[1:], 0]
    return sum(
        -digit if digit < after else digit for digit, after in zip(digits, following, strict=True)
    )


def digits_value(key: str) -> float | None:
    """Return the value of a number key, None for words and for several points (``1.2.3``)."""
    try:
        return float(key) if key[0].isdigit() else None
    except ValueError:
        return None

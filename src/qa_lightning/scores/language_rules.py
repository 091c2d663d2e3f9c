"""How answers are compared under the rules of a language, beside the official English ones.

The MLQA languages follow ``mlqa_evaluation_v1.py`` (Lewis et al., 2020) to the letter, so that
figures compare with published ones. Other languages (Portuguese) follow rules of our own.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import cache, partial
from string import punctuation
from typing import Final

from qa_lightning.languages import LANGUAGES, Language, language_of

_MLQA_CODES: Final = frozenset({"en", "es", "de", "ar", "hi", "vi", "zh"})
_ATTACHED_ARTICLES: Final = frozenset({"ar"})  # written as one word with the noun
_UNSPACED: Final = frozenset({"zh"})
_IDEOGRAPH: Final = re.compile("([\u4e00-\u9fa5])")  # the range of MLQA's script
_THOUSANDS: Final = re.compile(
    r"""(?<![\d.,])[1-9]\d{0,2}(?P<mark>[., ])\d{3}(?:(?P=mark)\d{3})*(?!\d|[.,]\d{3})"""
)
_DECIMAL: Final = re.compile(r"(?<=\d)[.,](?=\d)")
_DECIMAL_MARK: Final = "\ue000"  # private use: no punctuation, and in nobody's text


class _CharacterTable(dict[int, str]):
    """Look up what a character becomes, computed at its first use."""

    def __init__(self, *, dash: str) -> None:
        self._dash = dash

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if category == "Pd":
            character = self._dash
        elif category.startswith("P") or character in punctuation:
            character = ""
        self[code] = character
        return character


_WITHOUT_PUNCTUATION: Final = _CharacterTable(dash="")
_WITH_PARTED_DASHES: Final = _CharacterTable(dash=" ")


def normalizer_of(language: str) -> Callable[[str], str]:
    """Return the function that brings texts of a language to the form in which they compare.

    Raises:
        InputError: the language is not in the table.

    >>> normalizer_of("pt")("«Os 1.000 dias» do Brasil – 1914–1918")
    '1000 dias de brasil 1914 1918'
    >>> normalizer_of("es")("¡El río!")
    'río'
    """
    entry = language_of(language)
    return partial(_mlqa if entry.code in _MLQA_CODES else _spelled_out, entry)


def _mlqa(language: Language, text: str) -> str:
    text = text.lower().translate(_WITHOUT_PUNCTUATION)
    if language.articles:
        text = _articles(language.code).sub(" ", text)
    if language.code in _UNSPACED:
        text = _IDEOGRAPH.sub(r" \1 ", text)
    return " ".join(text.split())


def _spelled_out(language: Language, text: str) -> str:
    """Compare words: contractions are opened, then articles leave; numbers have one spelling.

    ``1.000``, ``1 000`` and ``1,000`` are ``1000`` and ``3,5`` is ``3.5``; a dash parts two words
    as a blank does. A text that is nothing but articles is kept (a letter may be the answer).
    """
    text = unicodedata.normalize("NFKC", text).lower()
    text = _THOUSANDS.sub(lambda number: re.sub(r"\D", "", number[0]), text)
    text = _DECIMAL.sub(_DECIMAL_MARK, text)
    words = text.translate(_WITH_PARTED_DASHES).split()
    opened = " ".join(language.contractions.get(word, word) for word in words).split()
    kept = [word for word in opened if word not in language.articles] or opened
    return " ".join(kept).replace(_DECIMAL_MARK, ".")


@cache
def _articles(code: str) -> re.Pattern[str]:
    words = "|".join(sorted(map(re.escape, LANGUAGES[code].articles)))
    return re.compile(words if code in _ATTACHED_ARTICLES else rf"\b({words})\b")

"""Texts → words that can be compared: without accents, case and endings, whatever the script."""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import regex
from numpy.typing import NDArray

from qa_lightning.languages import LANGUAGES, Language

LETTERS: Final = 6  # of a word that count: what inflection changes comes later

# Scripts that write no blanks between words: pairs of neighbours stand for their words.
_UNSPACED: Final = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}ー々"
)
_INVISIBLE: Final = "\u00ad\u200c\u200d"  # a soft hyphen and joiners stand within words
_WORDS: Final = regex.compile(
    rf"(?V1)(?P<run>[{_UNSPACED}]+)|[[\p{{L}}\p{{M}}\p{{N}}{_INVISIBLE}]--[{_UNSPACED}]]+"
)
_SPACED_WORDS: Final = regex.compile(rf"[\p{{L}}\p{{M}}\p{{N}}{_INVISIBLE}]+")
_ANY_UNSPACED: Final = regex.compile(rf"[{_UNSPACED}]")
# What Arabic writes onto words, where as much is left as a word has.
_ATTACHED: Final = regex.compile(
    rf"^(?:{'|'.join(each for known in LANGUAGES.values() for each in known.attached)})(?=.{{3}})"
)
# Letters that are others with a stroke, which decomposition leaves alone, and a soft hyphen.
_STROKES: Final = str.maketrans("øđłıħŧ", "odliht", _INVISIBLE)


class Words(NamedTuple):
    """Hold the words (n) of a text in their order.

    Attributes:
        folded: each as it is compared.
        start_char_n: where each begins in the text.
    """

    folded: list[str]
    start_char_n: NDArray[np.int64]


def words_of(text: str) -> Words:
    """Return a text's words, folded; of scripts without blanks, its pairs of neighbouring letters.

    >>> words_of("Às Universidades, 東京都")
    Words(folded=['as', 'univer', '東京', '京都'], start_char_n=array([ 0,  3, 18, 19]))
    """
    if text.isascii() or _ANY_UNSPACED.search(text) is None:
        pairs = [(fold(found[0]), found.start()) for found in _SPACED_WORDS.finditer(text)]
    else:
        pairs = list(_mixed_words(text))
    return Words(
        [word for word, _ in pairs],
        np.fromiter((start for _, start in pairs), np.int64, len(pairs)),
    )


def asked_words(question: str, language: str | None) -> list[str]:
    """Return the distinct words by which a question's windows are found.

    Words that any text of the language has are left out, unless there are no others.

    >>> asked_words("Onde fica a sede da empresa?", "pt")
    ['fica', 'sede', 'empres']
    """
    words = list(dict.fromkeys(words_of(question).folded))
    common = _common_words((language or "").lower().split("-")[0].split("_")[0])
    return [word for word in words if word not in common] or words


@lru_cache(maxsize=1 << 16)
def fold(word: str) -> str:
    """Return a word without accents and case, cut where endings begin.

    >>> fold("Ärztinnen"), fold("1.234")
    ('arztin', '1.234')
    """
    plain = unicodedata.normalize("NFKD", word).casefold()
    if not plain.isascii():
        kept = (letter for letter in plain if unicodedata.category(letter) != "Mn")
        plain = _ATTACHED.sub("", "".join(kept).translate(_STROKES))
    return plain[:LETTERS]


def _mixed_words(text: str) -> Iterator[tuple[str, int]]:
    for found in _WORDS.finditer(text):
        run = found["run"]
        if run is None:
            yield fold(found[0]), found.start()
            continue
        for place in range(max(1, len(run) - 1)):
            yield fold(run[place : place + 2]), found.start() + place


@lru_cache(maxsize=32)
def _common_words(code: str) -> frozenset[str]:
    if code not in LANGUAGES:
        return frozenset()
    language: Language = LANGUAGES[code]
    openings = [word for phrases in language.question_words.values() for word in phrases]
    groups = (language.articles, language.contractions, language.function_words, openings)
    phrases = (phrase for group in groups for phrase in group)
    # Of a phrase (`in what year`) only its own first word is common for certain.
    return frozenset(fold(phrase) for phrase in phrases if " " not in phrase)

"""Texts as words that know their place: comparable forms with character offsets.

The words of a raw text keep the offsets of the raw text, HTML entities and combining marks
included, so that a span found among the words is a substring of the context.
"""

import html
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from qa_lightning.alignment.forms import (
    ORDINAL_SUFFIX,
    digits_value,
    fold,
    number_key,
    roman_value,
)
from qa_lightning.alignment.lexicon import Lexicon

_LETTER: Final = (
    r"(?:[^\W\d_]|[\u0300-\u036f]"
    r"|&[A-Za-z]{1,2}(?:acute|grave|circ|tilde|uml|cedil|ring|slash|lig);)"
)
_APOSTROPHE: Final = r"(?:['’ʼ]|&\#0?39;|&apos;|&rsquo;)"
_WORD: Final = re.compile(
    rf"""(?P<money>\b(?:US|R|A|C)?\s?\$)
    |(?P<number>\d+(?:[.,]\d+)*(?:[ºª°]|{ORDINAL_SUFFIX}\b)?)
    |(?P<letters>(?:(?<!\w){_LETTER}{_APOSTROPHE}(?={_LETTER}{{2}}))?{_LETTER}+)
    |(?P<entity>&(?:\#\d+|\#x[0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]+);)
    |(?P<symbol>[%€£¥&$])""",
    re.VERBOSE,
)
FUNCTION_WEIGHT: Final = 0.2
_LIGHT_WEIGHT: Final = 0.5
_POSSESSIVE_MARKS: Final = ("'", "’", "ʼ")
SYMBOLS: Final = frozenset("%€£¥&$")
_SENTENCE_END: Final = re.compile(r"[!?;…]\W*\s|\n")
_FULL_STOP: Final = re.compile(r"\.\W*\s")
_LONGEST_ABBREVIATION: Final = 3


class Word(NamedTuple):
    """Hold one word of a text.

    Attributes:
        start_char: first character in the raw text.
        end_char: one past the last character.
        key: comparable form: lower case, no accents, plain digits.
        value: the number the word stands for; None for other words.
        weight: how much the word means: 1 for content, less for words of form.
        is_capitalized: the word begins with a capital letter.
        gap: what stands between the word before and this one, entities decoded.
        opens_sentence: a sentence ends between the word before and this one.
    """

    start_char: int
    end_char: int
    key: str
    value: float | None
    weight: float
    is_capitalized: bool
    gap: str
    opens_sentence: bool

    @property
    def is_function(self) -> bool:
        """Tell whether the word is an article, a preposition or the like."""
        return self.weight <= FUNCTION_WEIGHT


def _key(match: re.Match[str]) -> str:
    """Return the comparable form of a match, empty where it is no word."""
    text = match.group()
    if match.lastgroup == "number":
        return number_key(text)
    if match.lastgroup == "letters":
        return fold(text)
    if match.lastgroup == "money":
        return "$"
    plain = html.unescape(text)
    return plain if plain in SYMBOLS else ""


def _value(raw: str, key: str, lexicon: Lexicon) -> float | None:
    if key in lexicon.values:
        return float(lexicon.values[key])
    roman = roman_value(raw)
    return digits_value(key) if roman is None else float(roman)


def _weight(key: str, gap: str, lexicon: Lexicon) -> float:
    if key in lexicon.possessives and gap in _POSSESSIVE_MARKS:
        return FUNCTION_WEIGHT
    if key in lexicon.light_words:
        return _LIGHT_WEIGHT
    return FUNCTION_WEIGHT if key in lexicon.function_words else 1.0


def _opens_sentence(gap: str, before: Word | None, is_capitalized: bool) -> bool:
    """Tell a sentence's end from the full stop of ``Op. 3`` or ``F. Chopin``."""
    if before is None or _SENTENCE_END.search(gap):
        return before is not None
    if not is_capitalized or not _FULL_STOP.search(gap):
        return False
    return len(before.key) > _LONGEST_ABBREVIATION or not before.is_capitalized


def _is_spelled(word: Word, text: str, lexicon: Lexicon) -> bool:
    """Tell whether a word is a number in words, one that was joined included."""
    return word.key in lexicon.values or (word.key.isdigit() and text[word.start_char].isalpha())


def _multiplied(word: Word, words: Sequence[Word], lexicon: Lexicon) -> Word | None:
    """Return one number for ``40 mil`` and ``um milhão``, None where two words stay two."""
    factor = lexicon.multipliers.get(word.key)
    if factor is None or not words or word.gap.strip():
        return None
    before = words[-1]
    is_number = before.key[0].isdigit() or before.key in lexicon.values
    value = 1.0 if before.key in lexicon.ones else before.value if is_number else None
    return None if value is None else _number(before, word, value * factor)


def _summed(word: Word, words: Sequence[Word], text: str, lexicon: Lexicon) -> Word | None:
    """Return one number for ``vinte cinco``, None where two words stay two.

    A part comes after one whose last digits it fills: ``cento`` and ``vinte``, not the reverse.
    """
    if not words or word.value is None or word.key not in lexicon.values:
        return None
    before = words[-1]
    if word.gap.strip(" -") or before.value is None or not _is_spelled(before, text, lexicon):
        return None
    place = 10 ** len(f"{word.value:.0f}")
    fits = before.value > word.value and before.value >= 20 and before.value % place == 0
    return _number(before, word, before.value + word.value) if fits else None


def _number(first: Word, last: Word, value: float) -> Word:
    return first._replace(end_char=last.end_char, key=f"{value:.12g}", value=value, weight=1.0)


def _append(word: Word, words: list[Word], text: str, lexicon: Lexicon) -> None:
    """Append a word, or make one number of it and those before it."""
    has_joiner = len(words) > 1 and words[-1].key in lexicon.number_joiners
    is_joined = has_joiner and words[-1].gap.isspace()
    number = _multiplied(word, words, lexicon) or _summed(word, words, text, lexicon)
    if number is not None:
        words[-1:] = [number]
    elif is_joined and (number := _summed(word, words[-2:-1], text, lexicon)) is not None:
        words[-2:] = [number]
    else:
        words.append(_with_century(word, words[-1] if words else None))


def _with_century(word: Word, before: Word | None) -> Word:
    """Return the second year of ``1952–87`` in full."""
    is_short = len(word.key) == 2 and word.key.isdigit() and word.gap in ("-", "–", "—", "/")
    if not is_short or before is None or len(before.key) != 4 or not before.key.isdigit():
        return word
    key = before.key[:2] + word.key
    return word._replace(key=key, value=float(key))


def words_of(text: str, lexicon: Lexicon) -> tuple[Word, ...]:
    """Split a raw text into words with offsets.

    >>> from qa_lightning.alignment.lexicon import lexicon_of
    >>> [word.key for word in words_of("89,4% &quot;D&#39;Ávila&quot;", lexicon_of("pt"))]
    ['89.4', '%', 'davila']
    """
    words: list[Word] = []
    end_of_last = 0
    for match in _WORD.finditer(text):
        key, raw = _key(match), match.group()
        if not key:
            continue
        before = words[-1] if words else None
        gap = html.unescape(text[end_of_last : match.start()])
        is_capitalized = raw[:1].isupper()
        word = Word(
            start_char=match.start(),
            end_char=match.end(),
            key=key,
            value=_value(raw, key, lexicon),
            weight=_weight(key, gap, lexicon),
            is_capitalized=is_capitalized,
            gap=gap,
            opens_sentence=_opens_sentence(gap, before, is_capitalized),
        )
        end_of_last = match.end()
        _append(word, words, text, lexicon)
    return tuple(words)

"""What kind of thing a question asks for, by its question word."""

import re
from functools import cache

from qa_lightning.languages import language_of

_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")
# Devanagari's vowel signs are no word characters to Python, so that \b would cut words.
_INSIDE_A_WORD = r"[\w\u0900-\u0963]"


def question_word(question: str, language: str) -> str:
    """Return the class of a question's first question word, ``other`` where it has none.

    Of words that begin at one place the longest counts.

    Raises:
        InputError: the language is not in the table.

    >>> question_word("Em que ano nasceu Rui?", "pt"), question_word("Rui nasceu?", "pt")
    ('when', 'other')
    """
    code = language_of(language).code
    match = _pattern(code).search(question.lower())
    return _classes(code)[match[0]] if match else "other"


@cache
def _classes(code: str) -> dict[str, str]:
    words = language_of(code).question_words
    return {phrase: name for name, phrases in words.items() for phrase in phrases}


@cache
def _pattern(code: str) -> re.Pattern[str]:
    phrases = sorted(_classes(code), key=len, reverse=True)
    return re.compile("|".join(map(_phrase_pattern, phrases)) or "(?!)")


def _phrase_pattern(phrase: str) -> str:
    if _UNSPACED.search(phrase):
        return re.escape(phrase)
    return f"(?<!{_INSIDE_A_WORD}){re.escape(phrase)}(?!{_INSIDE_A_WORD})"

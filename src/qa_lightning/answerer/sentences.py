"""The sentence that a span stands in."""

from typing import Final

import regex

_FAR: Final = 600  # characters on either side in which its ends are looked for
# A full stop ends a sentence if no small letter and no number follows (`n. 5`), and what stands
# before it is neither an initial (`S. Paulo`) nor a title (`Dr.`, `Sra.`, `Mrs.`).
_END: Final = regex.compile(
    r"(?:(?<!\b\p{Lu})(?<!\b\p{Lu}\p{Ll})(?<!\b[BCDFGHJKLMNPQRSTVXZ][^aeiou\W]{1,2}a?)\.(?!\s*\p{Ll})(?!\s*\p{N})|[!?…؟।]+|\.{3})"
    r"[\"'”’»)\]]*(?=\s)|[。！？]+[」』”]*|\n\s*\n|\n(?=\s*(?:[-*•#]|\p{Lu}))"
)


def sentence_around(text: str, start_char: int, end_char: int) -> tuple[int, int]:
    """Return where the sentence of a span begins and ends; of several sentences all.

    Very long ones are cut at a blank, some hundred characters away.

    >>> text = "Um fim. O Dr. S. Reis nasceu em 1898. Outro."
    >>> start, end = sentence_around(text, 33, 37)
    >>> text[start:end]
    'O Dr. S. Reis nasceu em 1898.'
    """
    low, high = max(0, start_char - _FAR), min(len(text), end_char + _FAR)
    ends = [found.end() for found in _END.finditer(text, low, high)]
    start = max((end for end in ends if end <= start_char), default=_blank_after(text, low))
    end = min((end for end in ends if end >= end_char), default=_blank_before(text, high))
    end = max(end, end_char)
    start = min(start, start_char)
    while start < start_char and text[start].isspace():
        start += 1
    while end > end_char and text[end - 1].isspace():
        end -= 1
    return start, end


def _blank_after(text: str, place: int) -> int:
    if place == 0:
        return 0
    blank = regex.compile(r"\s").search(text, place)
    return blank.start() if blank else place


def _blank_before(text: str, place: int) -> int:
    if place == len(text):
        return place
    return max((place - at for at in range(100) if text[place - at - 1].isspace()), default=place)

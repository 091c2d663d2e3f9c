"""Find the sentence of a document that holds a span of characters."""

import re

# A sentence ends at a line's end, or at its closing mark before white space.
_END = re.compile(r"[.!?…][\"'”’»)\]]*(?=\s)|\n+")


def sentence_around(context: str, start_char: int, end_char: int) -> str:
    """Return the sentence that holds a span; several where the span runs over their ends.

    Args:
        context: the document.
        start_char: where the span starts.
        end_char: where it ends, exclusive.

    >>> sentence_around("Rui nasceu em Arcense. Deixou 1.204 cartas. Casou-se.", 30, 35)
    'Deixou 1.204 cartas.'
    """
    ends = [match.end() for match in _END.finditer(context)]
    before = max((end for end in ends if end <= start_char), default=0)
    after = min((end for end in ends if end >= end_char), default=len(context))
    return context[before:after].strip()

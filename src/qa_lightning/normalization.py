"""The official answer normalisation, shared by alignment and scores."""

import re
import string
from typing import Final

_ARTICLES: Final = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_WITHOUT_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)


def normalize_squad(text: str) -> str:
    """Return a text as the official SQuAD 1.1 script compares it.

    Lower case, then no ASCII punctuation, then no English articles, then single spaces: the order
    of ``normalize_answer`` in ``evaluate-v1.1.py`` (Rajpurkar et al., 2016).

    >>> normalize_squad("The  Grotto, a Marian place!")
    'grotto marian place'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split())

"""A text as the official scores see it, and what spans with cut tokens are of it."""

import re
import string
from bisect import bisect_left, bisect_right
from collections import defaultdict
from functools import cached_property
from itertools import accumulate
from typing import Final, NamedTuple

from qa_lightning.normalization import normalize_squad

_ARTICLE: Final = r"\b(?:a|an|the)\b"
_BETWEEN: Final = re.compile(rf"(?:\s|{_ARTICLE})+")
_LONG_ARTICLES: Final = re.compile(r"\b(?:an|the)\b")
_FIRST_ARTICLE: Final = re.compile(r"(?:a|an|the)\b")
_LAST_ARTICLE: Final = re.compile(r"\b(?:a|an|the)\Z")
PUNCTUATION: Final = frozenset(string.punctuation)
_WITHOUT_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)


class Start(NamedTuple):
    """Hold a place where spans begin.

    Attributes:
        until: place in the flat text from which on all tokens are whole.
        token: number of the first of these tokens.
        head: the token that stands before them, cut; "" where there is none.
        unit: number of the unit that begins there.
    """

    until: int
    token: int
    head: str
    unit: int = 0


class End(NamedTuple):
    """Hold a place where spans end.

    Attributes:
        since: place in the flat text up to which all tokens are whole.
        token: number of the last of these tokens; -1 where there is none.
        tail: the token that stands behind them, cut; "" where there is none.
        unit: number of the unit that ends there.
    """

    since: int
    token: int
    tail: str
    unit: int = 0


class FlatText:
    """Hold a text as the official scores see it: lower case, no punctuation, no articles.

    Args:
        context: the raw text.
    """

    def __init__(self, context: str) -> None:
        self.context = context
        lowered = context.lower()
        # A final sigma alone is lowered by its neighbours: at a cut beside one this may err.
        lengths = [1] * len(context)
        if len(lowered) != len(context):
            lengths = [len(char.lower()) for char in context]
        self.flat = lowered.translate(_WITHOUT_PUNCTUATION)
        kept = (0 if c in PUNCTUATION else n for c, n in zip(context, lengths, strict=True))
        self.flat_at = list(accumulate(kept, initial=0))
        """Place in the flat text of every place in the raw one."""
        gaps = [match.span() for match in _BETWEEN.finditer(self.flat)]
        begins, finishes = [0, *(end for _, end in gaps)], [*(s for s, _ in gaps), len(self.flat)]
        spans = [span for span in zip(begins, finishes, strict=True) if span[0] < span[1]]
        self.starts = [start for start, _ in spans]
        self.ends = [end for _, end in spans]
        self.tokens = [self.flat[start:end] for start, end in spans]
        self.places: dict[str, list[int]] = defaultdict(list)
        for place, token in enumerate(self.tokens):
            self.places[token].append(place)

    @cached_property
    def within_articles(self) -> dict[int, tuple[int, int]]:
        """Return the places strictly within an article, with its bounds."""
        runs = [match.span() for match in _LONG_ARTICLES.finditer(self.flat)]
        return {place: (a, b) for a, b in runs for place in range(a + 1, b)}

    @cached_property
    def vocabulary(self) -> str:
        """Return the distinct tokens, a line each."""
        return "\n".join(["", *self.places, ""])

    def start(self, place: int, unit: int = 0) -> Start:
        """Return what a span is that begins at a place in the flat text."""
        token = bisect_right(self.ends, place)
        begins = self.starts[token] if token < len(self.tokens) else -1
        until = place
        if 0 <= begins < place:
            until, token = self.ends[token], token + 1
        elif place in self.within_articles:
            until = self.within_articles[place][1]
            if begins == until:  # no blank between: what is left of the article is part of it
                until, token = self.ends[token], token + 1
        head = self.flat[place:until]
        article = _FIRST_ARTICLE.match(head)
        return Start(until, token, head[article.end() :] if article else head, unit)

    def end(self, place: int, unit: int = 0) -> End:
        """Return what a span is that ends at a place in the flat text."""
        token = bisect_left(self.starts, place) - 1
        ends = self.ends[token] if token >= 0 else -1
        since = place
        if ends > place:
            since, token = self.starts[token], token - 1
        elif place in self.within_articles:
            since = self.within_articles[place][0]
            if ends == since:
                since, token = self.starts[token], token - 1
        tail = self.flat[since:place]
        article = _LAST_ARTICLE.search(tail)
        return End(since, token, tail[: article.start()] if article else tail, unit)


def tokens_of(text: str) -> list[str]:
    """Return the tokens that the official scores compare."""
    return normalize_squad(text).split()

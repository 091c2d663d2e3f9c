"""A context read once for all its questions."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple

from qa_lightning.alignment.lexicon import Lexicon, lexicon_of
from qa_lightning.alignment.words import Word, words_of


class Context(NamedTuple):
    """Hold the words of one context and where they stand.

    Attributes:
        text: the raw text.
        words: its words.
        by_key: each distinct form to its places among the words.
        sentence_of: number of the sentence of each word.
        joined: two neighbouring forms written as one, to the two.
        lexicon: the language.
    """

    text: str
    words: tuple[Word, ...]
    by_key: Mapping[str, Sequence[int]]
    sentence_of: Sequence[int]
    joined: Mapping[str, tuple[str, str]]
    lexicon: Lexicon

    def slice(self, start_word: int, end_word: int) -> tuple[int, int]:
        """Return the characters ``(start_char, end_char)`` of a range of words."""
        return self.words[start_word].start_char, self.words[end_word - 1].end_char


def _places(words: Iterable[Word]) -> dict[str, list[int]]:
    found: defaultdict[str, list[int]] = defaultdict(list)
    for index, word in enumerate(words):
        found[word.key].append(index)
    return dict(found)


@lru_cache(maxsize=32)  # the questions of one context follow each other
def read_context(text: str, language: str) -> Context:
    """Return the words of a context, from a small cache."""
    lexicon = lexicon_of(language)
    words = words_of(text, lexicon)
    return Context(
        text=text,
        words=words,
        by_key=_places(words),
        sentence_of=list(accumulate(int(word.opens_sentence) for word in words)),
        joined={one.key + other.key: (one.key, other.key) for one, other in pairwise(words)},
        lexicon=lexicon,
    )

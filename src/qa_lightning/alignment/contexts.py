"""A context read once for all its questions, and no further than they ask."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qa_lightning.alignment.lexicon import Lexicon, lexicon_of
from qa_lightning.alignment.similarity import WordIndex
from qa_lightning.alignment.surfaces import Surface, folded, without_blanks
from qa_lightning.alignment.words import Word, words_of

Places = NDArray[np.int64]
Numbers = NDArray[np.float64]


class Measures(NamedTuple):
    """Hold what windows of words are measured by.

    Attributes:
        weights: how much each word means.
        weights_before: what the words before each one mean together.
        commas_before: commas before the words before each one.
        sentence_of: number of the sentence of each word.
    """

    weights: Numbers
    weights_before: Numbers
    commas_before: Numbers
    sentence_of: Places


def summed(numbers: Numbers) -> Numbers:
    """Return the sum before each number, and the sum of all."""
    return np.concatenate(([0.0], np.cumsum(numbers)))


@dataclass(frozen=True, eq=False)
class Context:
    """Hold one context, its forms and its words, each made when it is first asked for.

    Attributes:
        text: the raw text.
        lexicon: the language.
    """

    text: str
    lexicon: Lexicon

    @cached_property
    def blanks(self) -> Surface:
        """Return the form to which white space is no difference."""
        return without_blanks(self.text)

    @cached_property
    def folded(self) -> Surface:
        """Return the form to which case and punctuation are none either."""
        return folded(self.text)

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """Return the words of the text and where they stand."""
        return words_of(self.text, self.lexicon)

    @cached_property
    def by_key(self) -> Mapping[str, Sequence[int]]:
        """Return each distinct form with its places among the words."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for index, word in enumerate(self.words):
            found[word.key].append(index)
        return dict(found)

    @cached_property
    def index(self) -> WordIndex:
        """Return the distinct words of the text by what makes others alike."""
        words = {key: self.words[places[0]] for key, places in self.by_key.items()}
        return WordIndex(words, self.lexicon)

    @cached_property
    def sentence_of(self) -> Sequence[int]:
        """Return the number of the sentence of each word."""
        return list(accumulate(int(word.opens_sentence) for word in self.words))

    @cached_property
    def measures(self) -> Measures:
        """Return the words as numbers."""
        weights = np.asarray([word.weight for word in self.words], dtype=np.float64)
        commas = np.asarray(["," in word.gap for word in self.words], dtype=np.float64)
        sentence_of = np.asarray(self.sentence_of, dtype=np.int64)
        return Measures(weights, summed(weights), summed(commas), sentence_of)

    @cached_property
    def joined(self) -> Mapping[str, tuple[str, str]]:
        """Return two neighbouring forms written as one, with the two."""
        return {one.key + other.key: (one.key, other.key) for one, other in pairwise(self.words)}

    def slice(self, start_word: int, end_word: int) -> tuple[int, int]:
        """Return the characters ``(start_char, end_char)`` of a range of words."""
        return self.words[start_word].start_char, self.words[end_word - 1].end_char


@lru_cache(maxsize=8)  # the questions of one context follow each other; contexts may be books
def read_context(text: str, language: str | None) -> Context:
    """Return a context, from a small cache."""
    return Context(text, lexicon_of(language))

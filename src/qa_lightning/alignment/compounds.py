"""Words written together in one text and apart in the other."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import permutations
from typing import Final

from qa_lightning.alignment.contexts import Context
from qa_lightning.alignment.lexicon import Lexicon
from qa_lightning.alignment.similarity import forms_of
from qa_lightning.alignment.words import Word

_SHORTEST_PART: Final = 3
_SHORTEST_COMPOUND: Final = 6
_MOST_RENDERED: Final = 3


def fitted_words(answer: Sequence[Word], context: Context) -> list[Word]:
    """Return an answer's words, joined and split as the context writes them.

    ``Game Cube`` becomes one word where the context has ``GameCube``, and the other way round.
    """
    fitted: list[Word] = []
    for word in answer:
        before = fitted[-1] if fitted else None
        if before is not None and _is_written_joined(before, word, context):
            joined = before._replace(key=before.key + word.key, end_char=word.end_char, weight=1.0)
            fitted[-1] = joined
        elif word.key in context.joined and word.key not in context.by_key:
            fitted.extend(_split(word, context))
        else:
            fitted.append(word)
    return fitted


def _is_written_joined(one: Word, other: Word, context: Context) -> bool:
    joined = one.key + other.key
    return (
        joined in context.by_key
        and joined.isalpha()
        and len(joined) >= _SHORTEST_COMPOUND
        and not (one.key in context.by_key and other.key in context.by_key)
    )


def _split(word: Word, context: Context) -> Iterator[Word]:
    """Yield the context's own words that a word is written from, in its order."""
    for key in context.joined[word.key]:
        place = context.words[context.by_key[key][0]]
        yield word._replace(key=key, value=place.value, weight=place.weight)


@lru_cache(maxsize=65_536)
def _parts(key: str, lexicon: Lexicon) -> tuple[tuple[frozenset[int], frozenset[int]], ...]:
    """Return the senses of the two glossary words that a form may be compounded of."""
    cuts = range(_SHORTEST_PART, len(key) - _SHORTEST_PART + 1) if key.isalpha() else ()
    halves = ((lexicon.senses.get(key[:cut]), lexicon.senses.get(key[cut:])) for cut in cuts)
    return tuple((head, tail) for head, tail in halves if head and tail)


def renders_compound(answer: Sequence[Word], compound: Word, lexicon: Lexicon) -> bool:
    """Tell whether a word is an English compound of what an answer's content words translate.

    ``cabeça de rádio`` for ``Radiohead``, ``jogo frio`` for ``Coldplay``, ``tela sensível ao
    toque`` for ``touchscreen``.
    """
    content = [word for word in answer if word.weight >= 1.0]
    if not 2 <= len(content) <= _MOST_RENDERED:
        return False
    senses = [forms_of(word.key, lexicon).senses for word in content]
    return any(
        head & one and tail & other
        for head, tail in _parts(compound.key, lexicon)
        for one, other in permutations(senses, 2)
    )

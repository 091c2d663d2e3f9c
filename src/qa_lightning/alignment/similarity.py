"""How alike two words are, as renderings of the same word of the original text."""

from functools import lru_cache
from typing import Final, NamedTuple

from rapidfuzz.distance import Levenshtein

from qa_lightning.alignment.lexicon import Lexicon
from qa_lightning.alignment.words import Word

_SAME_NUMBER: Final = 0.97
_SAME_STEM: Final = 0.92
_SAME_SENSE: Final = 0.9
_OTHER_SENSE: Final = 0.65
_COGNATE: Final = 0.9
# Letters alone are weaker evidence than any of the above, however many agree.
_LETTERS: Final = 0.95
_LEAST_LETTERS: Final = 0.7
_SHORTEST_BY_LETTERS: Final = 4
_SHORTEST_BY_STEM: Final = 3
_SPELLINGS: Final = (("ph", "f"), ("th", "t"), ("y", "i"), ("ck", "c"), ("k", "c"), ("w", "v"))


class Forms(NamedTuple):
    """Hold what one folded word is compared by.

    Attributes:
        stem: without inflection.
        senses: glossary lines it stands in.
        skeleton: spelling in which Portuguese and English cognates agree.
        english: skeletons of the English words that its ending may belong to.
    """

    stem: str
    senses: frozenset[int]
    skeleton: str
    english: frozenset[str]


def _skeleton(key: str) -> str:
    """Return a spelling in which cognates agree.

    >>> _skeleton("photograph"), _skeleton("fotograf")
    ('fotograf', 'fotograf')
    """
    for written, plain in _SPELLINGS:
        key = key.replace(written, plain)
    return "".join(
        letter for index, letter in enumerate(key) if index == 0 or letter != key[index - 1]
    )


def _senses(key: str, stem: str, lexicon: Lexicon) -> frozenset[int]:
    """Return the glossary lines of a word, of its singular, or else of its stem."""
    found = lexicon.senses.get(key, frozenset())
    if key.endswith("s"):
        found |= lexicon.senses.get(key[:-1], frozenset())
    return found or lexicon.senses.get("~" + stem, frozenset())


@lru_cache(maxsize=131_072)
def forms_of(key: str, lexicon: Lexicon) -> Forms:
    """Return the forms that a folded word is compared by."""
    stem = lexicon.stem(key)
    english = frozenset(
        _skeleton(key[: len(key) - len(ending)] + other)
        for ending, other in lexicon.english_endings
        if key.endswith(ending) and len(key) >= _SHORTEST_BY_LETTERS
    )
    return Forms(
        stem=stem,
        senses=_senses(key, stem, lexicon),
        skeleton=_skeleton(key),
        english=english,
    )


@lru_cache(maxsize=262_144)
def _key_similarity(one_key: str, other_key: str, lexicon: Lexicon) -> float:
    one, other = forms_of(one_key, lexicon), forms_of(other_key, lexicon)
    if not one.senses.isdisjoint(other.senses):
        return _SAME_SENSE
    shortest = min(len(one_key), len(other_key))
    if shortest < _SHORTEST_BY_STEM:
        return 0.0
    if one.stem == other.stem:
        # Two words of the glossary without a line in common are two words: maior, maioria.
        are_known = one_key in lexicon.senses and other_key in lexicon.senses
        return _OTHER_SENSE if are_known else _SAME_STEM
    if shortest < _SHORTEST_BY_LETTERS:
        return 0.0
    if other.skeleton in one.english or one.skeleton in other.english:
        return _COGNATE
    letters = Levenshtein.normalized_similarity(
        one.skeleton, other.skeleton, score_cutoff=_LEAST_LETTERS
    )
    return letters * _LETTERS


def have_same_sense(one: Word, other: Word, lexicon: Lexicon) -> bool:
    """Tell whether two words stand in one glossary line, as they are written."""
    senses = lexicon.senses.get(one.key)
    return senses is not None and not senses.isdisjoint(lexicon.senses.get(other.key, ()))


def word_similarity(one: Word, other: Word, lexicon: Lexicon) -> float:
    """Return the likeness of two words, 0 to 1.

    Equal forms, equal numbers in any writing, a common glossary line, a common stem, cognates by
    their endings, and at last the letters. Numbers are never alike by their letters, nor function
    words.
    """
    if one.key == other.key:
        return 1.0
    if one.value is not None and other.value is not None:
        return _SAME_NUMBER if one.value == other.value else 0.0
    if one.is_function or other.is_function:
        return _SAME_SENSE if have_same_sense(one, other, lexicon) else 0.0
    if one.key[0].isdigit() or other.key[0].isdigit():
        return 0.0
    return _key_similarity(one.key, other.key, lexicon)

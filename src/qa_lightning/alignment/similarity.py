"""How alike two words are, as renderings of the same word of the original text."""

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import extract_iter

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


class Forms(NamedTuple):
    """Hold what one folded word is compared by.

    Attributes:
        stem: without inflection.
        singulars: itself, and what it may be the plural of.
        senses: English words that it renders.
        skeleton: spelling in which Portuguese and English cognates agree.
        english: skeletons of the English words that its ending may belong to.
        traits: what it has in common with every form that is alike, but for the letters.
    """

    stem: str
    singulars: frozenset[str]
    senses: frozenset[int]
    skeleton: str
    english: frozenset[str]
    traits: tuple[str | int, ...]


def _skeleton(key: str, lexicon: Lexicon) -> str:
    """Return a spelling in which cognates agree.

    >>> from qa_lightning.alignment.lexicon import lexicon_of
    >>> _skeleton("photograph", lexicon_of("pt")), _skeleton("fotograf", lexicon_of("pt"))
    ('fotograf', 'fotograf')
    """
    for written, plain in lexicon.english_spellings:
        key = key.replace(written, plain)
    return "".join(
        letter for index, letter in enumerate(key) if index == 0 or letter != key[index - 1]
    )


def _senses(singulars: frozenset[str], stem: str, lexicon: Lexicon) -> frozenset[int]:
    """Return the senses of a word and of its singular, or else of its stem."""
    found = frozenset().union(*(lexicon.senses.get(word, ()) for word in singulars))
    return found or lexicon.senses.get("~" + stem, frozenset())


@lru_cache(maxsize=131_072)
def forms_of(key: str, lexicon: Lexicon) -> Forms:
    """Return the forms that a folded word is compared by."""
    stem, singulars = lexicon.stem(key), lexicon.singulars(key)
    english = frozenset(
        _skeleton(key[: len(key) - len(ending)] + other, lexicon)
        for ending, other in lexicon.english_endings
        if key.endswith(ending) and len(key) >= _SHORTEST_BY_LETTERS
    )
    senses, skeleton = _senses(singulars, stem, lexicon), _skeleton(key, lexicon)
    return Forms(
        stem=stem,
        singulars=singulars,
        senses=senses,
        skeleton=skeleton,
        english=english,
        traits=(
            *senses,
            "~" + stem,
            *("=" + singular for singular in singulars),
            *("^" + spelling for spelling in {skeleton, *english}),
        ),
    )


@lru_cache(maxsize=262_144)
def _key_similarity(one_key: str, other_key: str, lexicon: Lexicon) -> float:
    one, other = forms_of(one_key, lexicon), forms_of(other_key, lexicon)
    if not one.senses.isdisjoint(other.senses):
        return _SAME_SENSE
    shortest = min(len(one_key), len(other_key))
    if shortest < _SHORTEST_BY_STEM:
        return 0.0
    if one.stem == other.stem or not one.singulars.isdisjoint(other.singulars):
        # Two words of the glossary without one in common are two words: maior, maioria.
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
    """Tell whether two words render one English word, as they are written."""
    senses = lexicon.senses.get(one.key)
    return senses is not None and not senses.isdisjoint(lexicon.senses.get(other.key, ()))


def _is_number(word: Word, lexicon: Lexicon) -> bool:
    return word.key[0].isdigit() or word.key in lexicon.values


def word_similarity(one: Word, other: Word, lexicon: Lexicon) -> float:
    """Return the likeness of two words, 0 to 1.

    Equal forms, equal numbers in any writing, a common English rendering, a common stem, cognates
    by their endings, and at last the letters. Numbers are never alike by their letters (``nove``,
    ``novo``), nor function words.
    """
    if one.key == other.key:
        return 1.0
    if one.value is not None and other.value is not None:
        return _SAME_NUMBER if one.value == other.value else 0.0
    if one.is_function or other.is_function:
        return _SAME_SENSE if have_same_sense(one, other, lexicon) else 0.0
    if _is_number(one, lexicon) or _is_number(other, lexicon):
        return _SAME_SENSE if have_same_sense(one, other, lexicon) else 0.0
    return _key_similarity(one.key, other.key, lexicon)


class WordIndex:
    """Find the words of a text that are alike one word, without a look at all the others.

    Args:
        words: one word of each form.
        lexicon: their language.
    """

    def __init__(self, words: Mapping[str, Word], lexicon: Lexicon) -> None:
        self._words = words
        self._lexicon = lexicon
        self._by_trait: defaultdict[str | int, list[str]] = defaultdict(list)
        self._by_value: defaultdict[float, list[str]] = defaultdict(list)
        self._skeletons: dict[str, str] = {}
        for key, word in words.items():
            forms = forms_of(key, lexicon)
            for trait in forms.traits:
                self._by_trait[trait].append(key)
            if word.value is not None:
                self._by_value[word.value].append(key)
            if _is_spelled_alike(word):
                self._skeletons[key] = forms.skeleton
        self._found: dict[tuple[str, float | None, bool], dict[str, float]] = {}

    def alike(self, word: Word) -> Mapping[str, float]:
        """Return the forms alike a word, with their likeness, in the order of the text."""
        kind = (word.key, word.value, word.is_function)
        if kind not in self._found:
            self._found[kind] = self._alike(word)
        return self._found[kind]

    def _alike(self, word: Word) -> dict[str, float]:
        forms = forms_of(word.key, self._lexicon)
        keys = {key for trait in forms.traits for key in self._by_trait.get(trait, ())}
        if word.value is not None:
            keys.update(self._by_value.get(word.value, ()))
        if _is_spelled_alike(word):
            near = extract_iter(
                forms.skeleton,
                self._skeletons,
                processor=None,
                scorer=Levenshtein.normalized_similarity,
                score_cutoff=_LEAST_LETTERS,
            )
            keys.update(key for _, _, key in near)
        likeness = {key: word_similarity(word, self._words[key], self._lexicon) for key in keys}
        return {key: likeness[key] for key in sorted(keys) if likeness[key] > 0}


def _is_spelled_alike(word: Word) -> bool:
    """Tell whether a word may be alike another by its letters."""
    return len(word.key) >= _SHORTEST_BY_LETTERS and not word.is_function

"""What alignment knows about a language's words, in comparable form.

English is known beside the language of the texts: answers are found that the translation left in
English, and contexts with names that it did not translate. Of a language that is not known nothing
is.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Final

from qa_lightning.alignment.forms import fold
from qa_lightning.languages import LANGUAGES, Language, language_of

_SHORTEST_STEM: Final = 3
_LONGEST_INFLECTION: Final = 9
_DETECTION_WORDS: Final = 20_000
# Measured: Portuguese has 38 % and 6 %, Spanish 26 % and 0; Galician some 40 % and 0; English 35 %
# and 20 %, Afrikaans 17 % and 1 %.
_LEAST_COVERED: Final = 0.2
_LEAST_TELLING: Final = 0.02


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Hold the words of one language, and of English, by their folded forms.

    Attributes:
        articles: definite and indefinite articles.
        function_words: articles, prepositions, conjunctions, pronouns, auxiliaries, contractions.
        contracted: prepositions joined with an article, as written (``à``).
        light_words: possessives, negation, words of degree: less than content, more than form.
        values: number words and ordinals to their values.
        multipliers: words that multiply the number before them (``mil``, ``million``).
        ones: articles that are the number one before such a word.
        number_joiners: words between the parts of a number in words.
        senses: a word, or its stem, to the numbers of the English words it renders.
        inflections: endings to take off.
        plurals: a plural's ending and the singular's.
        english_endings: an ending and its English cognate's.
        english_spellings: letters of English cognates and the language's own.
        possessives: letters that mark a possessor after an apostrophe.
        has_words: the language's words of form are known, so that those that mean something are
            told from them. Without, answers are compared by their writing alone.
    """

    articles: frozenset[str] = frozenset()
    function_words: frozenset[str] = frozenset()
    contracted: frozenset[str] = frozenset()
    light_words: frozenset[str] = frozenset()
    values: Mapping[str, int] = field(default_factory=dict)
    multipliers: Mapping[str, int] = field(default_factory=dict)
    ones: frozenset[str] = frozenset()
    number_joiners: frozenset[str] = frozenset()
    senses: Mapping[str, frozenset[int]] = field(default_factory=dict)
    inflections: frozenset[str] = frozenset()
    plurals: tuple[tuple[str, str], ...] = ()
    english_endings: tuple[tuple[str, str], ...] = ()
    english_spellings: tuple[tuple[str, str], ...] = ()
    possessives: frozenset[str] = frozenset()
    has_words: bool = False

    def stem(self, key: str) -> str:
        """Return a folded word without its inflection."""
        longest = min(_LONGEST_INFLECTION, len(key) - _SHORTEST_STEM)
        for length in range(longest, 0, -1):
            if key[-length:] in self.inflections:
                return key[:-length]
        return key

    def singulars(self, key: str) -> frozenset[str]:
        """Return a folded word and what it may be the plural of, real words or not."""
        return frozenset(
            (
                key,
                *(
                    key[: len(key) - len(plural)] + singular
                    for plural, singular in self.plurals
                    if key.endswith(plural) and len(key) > len(plural) + 1
                ),
            )
        )


def _folded(words: Iterable[str]) -> frozenset[str]:
    return frozenset(fold(word) for word in words)


def _senses(glossary: str | None, stem: "Lexicon") -> dict[str, frozenset[int]]:
    """Read a glossary: lines that begin with one English word are its renderings."""
    if glossary is None:
        return {}
    lines = (resources.files(__package__) / "glossaries" / glossary).read_text(encoding="utf-8")
    senses: defaultdict[str, set[int]] = defaultdict(set)
    numbers: dict[str, int] = {}
    for line in lines.splitlines():
        words = [] if line.startswith("#") else line.split()
        number = numbers.setdefault(words[0], len(numbers)) if words else 0
        for word in words:
            key = fold(word) or word  # symbols stay as they are
            senses[key].add(number)
            if len(stem.stem(key)) > _SHORTEST_STEM:
                senses["~" + stem.stem(key)].add(number)
    return {key: frozenset(found) for key, found in senses.items()}


@lru_cache(maxsize=16)
def lexicon_of(code: str | None) -> Lexicon:
    """Return the lexicon of a language code of the table, with English beside it.

    An empty one for None, the language that is not known.

    Raises:
        InputError: the code is not in the table.
    """
    if code is None:
        return Lexicon()
    language, english = language_of(code), language_of("en")
    both: tuple[Language, ...] = (english, language)
    endings = {*language.inflections, *english.inflections}
    lexicon = Lexicon(
        articles=_folded(word for one in both for word in one.articles),
        function_words=_folded(
            word for one in both for word in (*one.articles, *one.function_words, *one.contractions)
        ),
        contracted=frozenset(word for one in both for word in one.contractions),
        light_words=_folded(word for one in both for word in one.light_words),
        multipliers={fold(word): value for one in both for word, value in one.multipliers.items()},
        ones=_folded(word for one in both for word in one.ones),
        number_joiners=_folded(word for one in both for word in one.number_joiners),
        values={
            fold(word): value
            for one in both
            for word, value in (*one.cardinals.items(), *one.ordinals.items())
        },
        senses={},
        inflections=_folded(endings),
        plurals=tuple((fold(end), fold(other)) for one in both for end, other in one.plurals),
        english_endings=tuple((fold(own), fold(other)) for own, other in language.english_endings),
        english_spellings=language.english_spellings,
        possessives=frozenset(one.possessive for one in both if one.possessive),
        has_words=bool(language.function_words),
    )
    return Lexicon(**{**vars(lexicon), "senses": _senses(language.glossary, lexicon)})


def detect_language(texts: Iterable[str]) -> str | None:
    """Return the code of the language that some texts are clearly in, None where none is.

    Its words of form must make up a fifth of the texts, and those that its neighbours do not write
    must be among them: Galician and Spanish share many with Portuguese, and are not it.

    >>> detect_language(["O filme foi um sucesso de público e de crítica em todo o país."])
    'pt'
    >>> detect_language(["Il film è stato un successo di pubblico e di critica."]) is None
    True
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.casefold().split())
        if counts.total() > _DETECTION_WORDS:
            break
    for code, language in LANGUAGES.items():
        covered = sum(counts[word] for word in language.function_words | language.articles)
        telling = sum(counts[word] for word in language.telling_words)
        if covered > _LEAST_COVERED * counts.total() and telling > _LEAST_TELLING * counts.total():
            return code
    return None

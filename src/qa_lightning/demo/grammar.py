"""Portuguese nouns with gender and article, their contractions, and the split of words by hash."""

import zlib
from dataclasses import dataclass

SPLITS = ("train", "validation", "test")

_SHARES = {"train": range(14), "validation": range(14, 17), "test": range(17, 20)}  # of 20

_ARTICLES = {"m": "o", "f": "a"}


@dataclass(frozen=True)
class Noun:
    """Hold a noun phrase as it appears in a sentence.

    Attributes:
        text: the words without article (``Ponte Vidal``).
        gender: ``m`` or ``f``.
        article: whether Portuguese puts the definite article before it; people go without.
    """

    text: str
    gender: str = "m"
    article: bool = True

    def forms(self) -> dict[str, str]:
        """Return the noun after each preposition, contracted with its article.

        >>> Noun("Ponte Vidal", "f").forms()["do"]
        'da Ponte Vidal'
        >>> Noun("Rui Vidal", "m", article=False).forms()["do"]
        'de Rui Vidal'
        """
        if not self.article:
            heads = {"o": "", "do": "de ", "no": "em ", "pelo": "por "}
        else:
            letter = _ARTICLES[self.gender]
            heads = {"o": f"{letter} ", "do": f"d{letter} ", "no": f"n{letter} "}
            heads["pelo"] = f"pel{letter} "
        forms = {form: head + self.text for form, head in heads.items()}
        forms["O"] = forms["o"][0].upper() + forms["o"][1:]
        forms["g"] = _ARTICLES[self.gender]
        return forms


def may_use(word: str, split: str) -> bool:
    """Tell whether the documents of a split may use a word: each has its share of a hash's values.

    The seed has no part in it: a validation document of any seed is new to a model that was
    trained on documents of any other.
    """
    return zlib.crc32(word.encode()) % 20 in _SHARES[split]

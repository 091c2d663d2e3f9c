"""Portuguese nouns with gender and article, their contractions, and the split of words by hash."""

import zlib
from dataclasses import dataclass

SPLITS = ("train", "validation", "test")

# The tokenizer learns from words of a part of the training words. Were it to learn from all, every
# name would be one token in training and several in validation, and a model that never had to
# find where a name of several tokens ends cuts those short (it cost 20 points of exact match).
TOKENIZER_SPLIT = "tokenizer"
_SHARES = {
    "train": range(14),
    "validation": range(14, 17),
    "test": range(17, 20),
    TOKENIZER_SPLIT: range(4),
}

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
    # The salt leaves at least five words of every list of `words` to each split.
    return zlib.crc32(f"pt:{word}".encode()) % 20 in _SHARES[split]

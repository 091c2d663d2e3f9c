"""How sure a found span is: a logistic model of a few measurable reasons.

The coefficients were fitted to spans judged by eye on misaligned squad_v1_pt questions that are
not in the development set, together with the same questions after their span was cut out of the
context, where every find is wrong; ``benchmarks/alignment.py`` shows how well they hold.
"""

import math
from typing import Final, NamedTuple


class Evidence(NamedTuple):
    """Hold what speaks for one candidate span.

    Attributes:
        score: soft Dice coefficient of the answer's and the span's words, 0 to 1.
        support: share of the question that stands near the span, 0 to 1.
        support_gap: share of the best support in the context that this place lacks, 0 to 1.
        fits_sentence: the place that the question fits best is in the span's sentence.
        margin: how far the next best place is behind, in units of the score.
        content_words: number of content words in the answer.
        is_incomplete: a content word of the answer has no counterpart.
        substituted: content words taken in for one that has none.
        same_case: share of the content words that agree in capitalisation, 0 to 1.
    """

    score: float
    support: float
    support_gap: float
    fits_sentence: bool
    margin: float
    content_words: int
    is_incomplete: bool
    substituted: int
    same_case: float


_INTERCEPT: Final = -2.65
_COEFFICIENTS: Final = {
    "score": 3.15,
    "support": 1.15,
    "support_gap": -2.05,
    "fits_sentence": 0.9,
    "margin": 1.5,
    "content_words": 1.15,
    "is_incomplete": -3.7,
    "substituted": -1.45,
    "same_case": 0.4,
}
_WIDE_MARGIN: Final = 0.15
_MANY_WORDS: Final = 6


def scaled(evidence: Evidence) -> dict[str, float]:
    """Return evidence as the model reads it: numbers, of which margin and length saturate."""
    numbers = {name: float(value) for name, value in evidence._asdict().items()}
    numbers["margin"] = min(numbers["margin"] / _WIDE_MARGIN, 1.0)
    numbers["content_words"] = math.log1p(min(evidence.content_words, _MANY_WORDS))
    return numbers


def confidence_of(evidence: Evidence) -> float:
    """Return the estimated probability that a span is the right one."""
    terms = (_COEFFICIENTS[name] * value for name, value in scaled(evidence).items())
    return 1.0 / (1.0 + math.exp(-_INTERCEPT - math.fsum(terms)))

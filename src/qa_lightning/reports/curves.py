"""The charts of an evaluation: confidence, abstention, the no-answer score, and the slices.

Axis: ``e`` examples.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from qa_lightning.reports.drawing import Bars, Curves, Line, Point
from qa_lightning.reports.tables import Row

_MOST_POINTS = 200


def reliability_chart(points: Iterable[Point]) -> Curves:
    """Return the share of right answers over their mean confidence, one point a bin."""
    lines = (Line("answers", tuple(points)),)
    return Curves("Reliability", "mean confidence", "share right", lines, diagonal=True)


def risk_coverage_chart(points: Iterable[Point]) -> Curves:
    """Return the share of wrong answers over the share of questions answered, surest first."""
    lines = (Line("answers", tuple(points)),)
    return Curves("Risk and coverage", "share answered", "share wrong", lines)


def no_answer_chart(
    null_odds_e: npt.ArrayLike, has_answer_e: npt.ArrayLike, exact_e: npt.ArrayLike
) -> Curves:
    """Return precision over recall for every threshold of the null odds.

    Two lines of the SQuAD 2.0 script: ``oracle`` counts every answered question that has an answer
    as right, so that it shows the no-answer score alone; ``exact`` counts exact matches.

    Args:
        null_odds_e: of each question; the lower, the sooner it is answered.
        has_answer_e: whether the question has an answer.
        exact_e: 0 to 100, of the best span, whatever was decided.
    """
    has_answer = np.asarray(has_answer_e, np.float64)
    exact = np.asarray(exact_e, np.float64) / 100
    lines = (
        Line("oracle", precision_recall(null_odds_e, has_answer, has_answer)),
        Line("exact", precision_recall(null_odds_e, exact * has_answer, has_answer)),
    )
    return Curves("Answering or not", "recall", "precision", lines)


def precision_recall(
    null_odds_e: npt.ArrayLike, value_e: npt.ArrayLike, has_answer_e: npt.ArrayLike
) -> tuple[Point, ...]:
    """Return ``(recall, precision)`` for every threshold, the most cautious first.

    As ``make_precision_recall_eval`` of the SQuAD 2.0 script: questions are answered in the order
    of their null odds, equal odds together. Of a longer curve some 200 points are kept.

    Args:
        null_odds_e: of each question.
        value_e: what answering it is worth, 0 to 1.
        has_answer_e: whether the question has an answer.

    >>> precision_recall([-3, -1, 2], [1, 0, 1], [1, 0, 1])
    ((0.5, 1.0), (0.5, 0.5), (1.0, 0.6666666666666666))
    """
    odds, positives = np.asarray(null_odds_e, np.float64), float(np.sum(has_answer_e))
    if not odds.size or not positives:
        return ()
    order_e = np.argsort(odds, kind="stable")
    right = np.cumsum(np.asarray(value_e, np.float64)[order_e])
    sorted_odds = odds[order_e]
    lasts = np.flatnonzero(np.append(sorted_odds[1:] != sorted_odds[:-1], True))
    kept = np.unique(np.linspace(0, len(lasts) - 1, min(_MOST_POINTS, len(lasts))).astype(int))
    return tuple(
        (float(right[last] / positives), float(right[last] / (last + 1)))
        for last in lasts[kept].tolist()
    )


def slice_chart(slices: Sequence[Row]) -> Bars:
    """Return the F1 of each part of the data as bars."""
    bars = tuple(
        (f"{part['name']} {part['value']} ({part['count']})", float(part["f1"])) for part in slices
    )
    return Bars("Parts of the data", "F1", bars)

"""From the candidates of all windows of a question to its answers.

Axes: ``w`` windows, ``f`` features of the data set, ``e`` examples, ``a`` answers of an example,
``c`` all candidates of a block of examples.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import datasets
import numpy as np
import numpy.typing as npt

from qa_lightning.answers.merging import (
    WINDOW_SCORINGS,
    Floats,
    Ints,
    Spans,
    best_distinct,
    cut,
    minima,
    probabilities,
    score_windows,
    trim,
)
from qa_lightning.answers.records import (
    Answer,
    AnswerBlock,
    AnswerColumns,
    AnsweredQuestions,
    QuestionAnswers,
    SpanTexts,
)
from qa_lightning.candidates import WindowCandidates
from qa_lightning.errors import InputError

__all__ = [
    "DEFAULT_WINDOW_SCORING",
    "WINDOW_SCORINGS",
    "Answer",
    "AnsweredQuestions",
    "QuestionAnswers",
    "complete_examples",
    "select_answers",
]

DEFAULT_WINDOW_SCORING = "relative"
_EXAMPLES_AT_ONCE = 512  # bounds the contexts held: 33 MB for documents of 16,000 characters
_CHARS_A_SPAN = 200  # a text is cut and stripped in the time in which these are copied
_CHARS_COPIED = 2_000_000  # at most, four bytes each

Rows = Sequence[int] | npt.NDArray[np.integer[Any]]


class _Decision(NamedTuple):
    """Hold how answers are chosen; see :func:`select_answers`."""

    n_best: int
    temperature: float
    threshold: float


def select_answers(
    windows: WindowCandidates,
    *,
    example_index_w: npt.ArrayLike,
    examples: datasets.Dataset,
    example_indices: Rows | None = None,
    n_best: int = 20,
    window_scoring: str = DEFAULT_WINDOW_SCORING,
    null_score_threshold: float | None = None,
    temperature: float = 1.0,
    no_answer: bool = False,
) -> AnsweredQuestions:
    """Merge the windows of each question into its n-best answers and decide.

    Spans are trimmed of blanks and merged by their characters: a span that several windows saw
    counts once, with its best score. The null score is the minimum over the windows, as in BERT's
    ``run_squad.py`` and transformers' ``run_qa.py``. Equal scores are ordered by start, then end.

    Args:
        windows: candidates in characters, of all windows of the questions.
        example_index_w: each window's row in ``examples``.
        examples: with the columns ``id`` and ``context``.
        example_indices: rows to answer; default: those with a window. A row without windows (an
            empty context) gets no answer.
        n_best: answers to keep.
        window_scoring: what makes windows comparable, for a span with start and end logits ``s``
            and ``e``: ``raw``: ``s + e``, as run_qa; ``relative``: ``s + e`` less that of its own
            window's CLS token; ``log_probability``: ``s + e`` less the log-sum-exp of the window's
            start logits and that of its end logits. (Clark and Gardner, 2018, "Simple and Effective
            Multi-Paragraph Reading Comprehension", on what makes scores of paragraphs comparable;
            ``relative`` is ``score_diff`` of BERT's ``run_squad.py``, taken in each window.)
        null_score_threshold: no answer where the null odds are greater; default 0, as run_qa.
        temperature: divides the scores in the softmax of the confidences.
        no_answer: whether questions may have none (SQuAD 2). If not, the best span is the answer,
            always, and the threshold has no effect.

    Returns:
        One record for each row of ``example_indices``, in that order: a sequence that makes its
        records when they are asked for, as often as they are.

    Raises:
        InputError: an unknown scoring, a number out of its range, or a row that is not there.
    """
    if n_best < 1:
        raise InputError(f"Expected `n_best` to be at least 1; got {n_best}.")
    if not 0 < temperature < math.inf:
        raise InputError(f"Expected a positive `temperature`; got {temperature}.")
    threshold = (null_score_threshold or 0.0) if no_answer else math.inf
    decision = _Decision(n_best, temperature, threshold)
    score_wn, null_w = score_windows(windows, window_scoring)
    order_w = np.argsort(np.asarray(example_index_w, np.int64), kind="stable")
    sorted_w = np.asarray(example_index_w, np.int64)[order_w]
    if example_indices is None:
        rows = sorted_w[np.append(True, np.diff(sorted_w) > 0)[: len(sorted_w)]]
    else:
        rows = np.asarray(example_indices, np.int64)
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(examples):
        raise InputError(
            f"Expected rows of the {len(examples)} examples; got {rows.min()} to {rows.max()}."
        )
    columns = examples.select_columns(["id", "context"]).with_format(None)
    cutter = SpanTexts(columns)
    result: list[AnswerBlock] = []
    for begin in range(0, len(rows), _EXAMPLES_AT_ONCE):
        row_e = rows[begin : begin + _EXAMPLES_AT_ONCE]
        chosen = _as_slice(row_e)
        rows_e = columns[chosen]
        which_w, example_w = _windows_of(row_e, sorted_w)
        which_w = order_w[which_w]
        spans = _spans(windows, score_wn, which_w, example_w)
        spans = _best_spans(spans, rows_e["context"], n_best)
        first_e = np.searchsorted(spans.example_c, np.arange(len(row_e) + 1))
        null_e = minima(null_w[which_w], example_w, len(row_e))
        confidence_c, numbers = _decide(spans, first_e, null_e, decision)
        result.append(
            AnswerBlock(
                rows_e["id"],
                row_e.tolist(),
                _first_texts(spans, first_e, rows_e["context"]),
                AnswerColumns(spans, confidence_c, chosen, cutter),
                first_e.tolist(),
                *numbers,
            )
        )
    return AnsweredQuestions(result)


def complete_examples(feature_index_w: npt.ArrayLike, example_index_f: npt.ArrayLike) -> Ints:
    """Return the examples all of whose windows are there, ascending.

    Args:
        feature_index_w: the windows that are there, distinct.
        example_index_f: the example of each window of the data set.

    >>> complete_examples([0, 2, 3], example_index_f=[0, 0, 1, 1])
    array([1])
    """
    example_f = np.asarray(example_index_f, dtype=np.int64)
    total = np.bincount(example_f)
    there = np.bincount(example_f[np.asarray(feature_index_w, np.int64)], minlength=len(total))
    return np.flatnonzero((there == total) & (total > 0))


def _as_slice(row_e: Ints) -> slice | list[int]:
    """Return rows in the form that datasets reads fastest."""
    if (np.diff(row_e) == 1).all():
        return slice(int(row_e[0]), int(row_e[-1]) + 1)
    rows: list[int] = row_e.tolist()
    return rows


def _windows_of(row_e: Ints, sorted_w: Ints) -> tuple[Ints, Ints]:
    """Return the places in ``sorted_w`` of these examples' windows, and each one's example."""
    first_e = np.searchsorted(sorted_w, row_e)
    count_e = np.searchsorted(sorted_w, row_e, side="right") - first_e
    example_w = np.repeat(np.arange(len(row_e)), count_e)
    place_w = np.arange(len(example_w)) - np.repeat(np.cumsum(count_e) - count_e, count_e)
    return first_e[example_w] + place_w, example_w


def _spans(windows: WindowCandidates, score_wn: Floats, which_w: Ints, example_w: Ints) -> Spans:
    """Return the spans of some windows as one flat list, fillers left out."""
    scores = score_wn[which_w]
    found = scores > -np.inf
    return Spans(
        np.broadcast_to(example_w[:, None], found.shape)[found],
        windows.start_char_wn[which_w][found].astype(np.int64),
        windows.end_char_wn[which_w][found].astype(np.int64),
        scores[found],
    )


def _best_spans(spans: Spans, contexts: list[str], n_best: int) -> Spans:
    """Return the n best distinct spans of each example, trimmed of blanks.

    Few tokenizers let a span begin or end with a blank. To look at characters by their places costs
    a copy of the contexts; where these are long, it is looked for in the spans' texts.
    """
    if sum(map(len, contexts)) <= min(_CHARS_A_SPAN * len(spans.score_c), _CHARS_COPIED):
        return best_distinct(trim(spans, contexts), n_best)
    best = best_distinct(spans, n_best)
    texts = cut(best, contexts)
    if all(texts) and texts == list(map(str.strip, texts)):
        return best
    return best_distinct(trim(spans, contexts), n_best)


def _first_texts(spans: Spans, first_e: Ints, contexts: list[str]) -> list[str]:
    """Return the text of each example's first span, ``""`` where it has none."""
    has_e = np.diff(first_e) > 0
    texts = np.full(len(contexts), "", object)
    texts[has_e] = cut(spans.take(first_e[:-1][has_e]), contexts)
    found: list[str] = texts.tolist()
    return found


def _decide(
    spans: Spans, first_e: Ints, null_e: Floats, decision: _Decision
) -> tuple[Floats, tuple[list[Any], ...]]:
    """Return the spans' confidences, and each example's null score, odds, … as lists."""
    rank_c = np.arange(len(spans.example_c)) - first_e[spans.example_c]
    scores_ea = np.full((len(null_e), decision.n_best), -np.inf)
    scores_ea[spans.example_c, rank_c] = spans.score_c
    confidence_ea, no_answer_e = probabilities(scores_ea, null_e, decision.temperature)
    odds_e = null_e - scores_ea[:, 0]
    given_e = (scores_ea[:, 0] > -np.inf) & ~(odds_e > decision.threshold)
    numbers = tuple(array.tolist() for array in (null_e, odds_e, no_answer_e, given_e))
    return confidence_ea[spans.example_c, rank_c], numbers

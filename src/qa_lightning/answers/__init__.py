"""From the candidates of all windows of a question to its answers.

Axes: ``w`` windows, ``f`` features of the data set, ``e`` examples, ``a`` answers of an example,
``c`` all candidates of a block of examples.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
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
from qa_lightning.answers.records import Answer, AnswerColumns, AnswerList, QuestionAnswers
from qa_lightning.candidates import WindowCandidates
from qa_lightning.errors import InputError

__all__ = [
    "DEFAULT_WINDOW_SCORING",
    "WINDOW_SCORINGS",
    "Answer",
    "QuestionAnswers",
    "complete_examples",
    "select_answers",
]

DEFAULT_WINDOW_SCORING = "relative"
_EXAMPLES_AT_ONCE = 256  # bounds the contexts held: 17 MB for documents of 16,000 characters

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
) -> list[QuestionAnswers]:
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
        One record for each row of ``example_indices``, in that order.

    Raises:
        InputError: an unknown scoring, or a number out of its range.
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
    rows = np.unique(sorted_w) if example_indices is None else np.asarray(example_indices, np.int64)
    columns = examples.select_columns(["id", "context"]).with_format(None)
    result: list[QuestionAnswers] = []
    for block in range(0, len(rows), _EXAMPLES_AT_ONCE):
        row_e = rows[block : block + _EXAMPLES_AT_ONCE]
        rows_e = columns[_as_slice(row_e)]
        which_w, example_w = _windows_of(row_e, sorted_w)
        which_w = order_w[which_w]
        spans = _spans(windows, score_wn, which_w, example_w)
        spans, texts = _best_texts(spans, rows_e["context"], n_best)
        null_e = minima(null_w[which_w], example_w, len(row_e))
        result.extend(_records(spans, texts, null_e, row_e, rows_e["id"], decision))
    return result


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


def _best_texts(spans: Spans, contexts: list[str], n_best: int) -> tuple[Spans, list[str]]:
    """Return the n best distinct spans of each example, trimmed of blanks, and their texts.

    Few tokenizers let a span begin or end with a blank, so that is looked at afterwards.
    """
    best = best_distinct(spans, n_best)
    texts = cut(best, contexts)
    if not all(texts) or texts != list(map(str.strip, texts)):
        best = best_distinct(trim(spans, contexts), n_best)
        texts = cut(best, contexts)
    return best, texts


def _records(
    spans: Spans,
    texts: list[str],
    null_e: Floats,
    row_e: Ints,
    names: list[str],
    decision: _Decision,
) -> Iterator[QuestionAnswers]:
    """Return the record of each example of a block."""
    first_e = np.searchsorted(spans.example_c, np.arange(len(row_e) + 1))
    rank_c = np.arange(len(spans.example_c)) - first_e[spans.example_c]
    scores_ea = np.full((len(row_e), decision.n_best), -np.inf)
    scores_ea[spans.example_c, rank_c] = spans.score_c
    confidence_ea, no_answer_e = probabilities(scores_ea, null_e, decision.temperature)
    confidence_c = confidence_ea[spans.example_c, rank_c]
    odds_e = null_e - scores_ea[:, 0]
    given_e = (scores_ea[:, 0] > -np.inf) & ~(odds_e > decision.threshold)
    bounds = first_e.tolist()
    answers = AnswerColumns(spans.start_c, spans.end_c, spans.score_c, confidence_c)
    texts_e = map(texts.__getitem__, map(slice, bounds[:-1], bounds[1:]))
    found_e = map(AnswerList, texts_e, itertools.repeat(answers), bounds[:-1])
    numbers = (array.tolist() for array in (null_e, odds_e, no_answer_e, given_e))
    return map(QuestionAnswers, names, row_e.tolist(), found_e, *numbers)

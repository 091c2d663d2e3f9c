"""Candidates of rows in memory → their answers, a bounded number of characters at a time.

Axes: ``w`` windows.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qa_lightning.answerer.cutting import Document
from qa_lightning.answerer.loading import DecisionSettings
from qa_lightning.answers import QuestionAnswers, select_answers
from qa_lightning.candidates import WindowCandidates
from qa_lightning.errors import InputError

ROWS_AT_ONCE = 1_024
CHARS_AT_ONCE = 2_000_000  # of the contexts of rows whose windows are in memory together
_CHARS_DECIDED = 4_000_000  # the decision copies the contexts, four bytes a character

DIVERGED = (
    "Expected numbers from the network; it gives NaN, as after a training that diverged: every "
    "answer would be an accident. Take an earlier checkpoint, or train with a lower rate."
)

ContextT = TypeVar("ContextT", str, "str | Document")


@dataclass(frozen=True)
class _Texts:
    """Hold contexts in memory: as much of ``datasets.Dataset`` as ``select_answers`` reads."""

    contexts: Sequence[str]

    def __len__(self) -> int:
        return len(self.contexts)

    def select_columns(self, names: object) -> "_Texts":
        return self

    def with_format(self, kind: None) -> "_Texts":
        return self

    def __getitem__(self, rows: slice | Sequence[int]) -> dict[str, list[str]]:
        chosen = range(len(self.contexts))[rows] if isinstance(rows, slice) else rows
        return {
            "id": [str(row) for row in chosen],
            "context": [self.contexts[row] for row in chosen],
        }


def portions(rows: Iterable[tuple[str, ContextT]]) -> Iterator[list[tuple[str, ContextT]]]:
    """Yield rows of question and context in portions of bounded number and length."""
    portion: list[tuple[str, ContextT]] = []
    chars = 0
    for row in rows:
        portion.append(row)
        chars += len(row[1].text if isinstance(row[1], Document) else row[1])
        if chars >= CHARS_AT_ONCE or len(portion) >= ROWS_AT_ONCE:
            yield portion
            portion, chars = [], 0
    if portion:
        yield portion


def join_candidates(parts: Sequence[WindowCandidates]) -> WindowCandidates:
    """Join the candidates of several portions of windows."""
    arrays: list[Any] = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    return WindowCandidates(*arrays)


def decide(
    candidates: WindowCandidates,
    row_w: NDArray[np.int64],
    contexts: Sequence[str],
    *,
    decision: DecisionSettings,
    n_best: int,
) -> Iterator[QuestionAnswers]:
    """Yield the answers of each row; their ``id`` means nothing.

    Args:
        candidates: of all windows of the rows.
        row_w: each window's row.
        contexts: each row's document.
        decision: how answers are chosen.
        n_best: answers to keep.

    Raises:
        InputError: the network gave no finite number for any window.
    """
    if len(row_w) and not np.isfinite(candidates.log_normalizer_w).any():
        raise InputError(DIVERGED)
    for start, end in pairwise(_group_bounds([len(context) for context in contexts])):
        ours_w = (row_w >= start) & (row_w < end)
        theirs: list[Any] = [array[ours_w] for array in candidates]
        yield from select_answers(
            WindowCandidates(*theirs),
            example_index_w=row_w[ours_w] - start,
            examples=_Texts(contexts[start:end]),
            example_indices=range(end - start),
            n_best=n_best,
            window_scoring=decision.window_scoring,
            null_score_threshold=decision.null_score_threshold,
            temperature=decision.temperature,
            no_answer=decision.no_answer,
        )


def _group_bounds(lengths: Sequence[int]) -> list[int]:
    """Return where groups of rows begin, and the end: as many as bound the copied characters."""
    bounds, chars = [0], 0
    for row, length in enumerate(lengths):
        if chars + length > _CHARS_DECIDED and row > bounds[-1]:
            bounds.append(row)
            chars = 0
        chars += length
    return [*bounds, len(lengths)]

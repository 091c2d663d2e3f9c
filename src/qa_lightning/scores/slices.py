"""Exact match and F1 of parts of the data: where a model is good and where it is not."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt

from qa_lightning.errors import InputError
from qa_lightning.scores.questions import question_word
from qa_lightning.scores.squad import ExampleScores

_WINDOWS = (1, 2, 3, 5, 9, 17, 65)
_CONTEXT_CHARACTERS = (0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 64_000)
_ANSWER_WORDS = (0, 1, 2, 3, 6, 11, 31)
_POSITIONS = ("first quarter", "second quarter", "third quarter", "last quarter")
_NO_ANSWER = "no answer"
_ROWS_AT_ONCE = 256

Row = dict[str, Any]
Bucket = tuple[int, str]  # place among the buckets, name
Parts = dict[str, Bucket]
"""The part that an example belongs to, of each kind."""


@dataclass(frozen=True, slots=True)
class SliceScore:
    """Hold the scores of one part of the data.

    Attributes:
        name: what the data is parted by: ``windows`` (of the question), ``context_characters``,
            ``answer_words``, ``answer_position`` (in the document), ``question_word``,
            ``alignment`` (status of the gold answer).
        value: the part.
        count: examples in it.
        exact_match: 0 to 100.
        f1: 0 to 100.
    """

    name: str
    value: str
    count: int
    exact_match: float
    f1: float


def slices(
    scores: ExampleScores,
    examples: datasets.Dataset,
    *,
    window_count_e: npt.ArrayLike | None = None,
    language: str | None = None,
) -> list[SliceScore]:
    """Return the scores of each part of the data, the parts of a kind in their natural order.

    Length and position are those of the first trusted span where alignment's column ``spans`` is
    there and has one, else those of the first gold answer as it stands in the file.

    Args:
        scores: one entry an example.
        examples: the same examples in the same order, with the canonical columns.
        window_count_e: each example's windows; without it that kind is left out.
        language: of the questions; without it, ``question_word`` is left out.

    Raises:
        InputError: scores and examples are not the same number.
    """
    if len(scores.ids) != len(examples):
        raise InputError(
            f"Expected as many examples as scores ({len(scores.ids)}); got {len(examples)}."
        )
    parts: dict[str, dict[Bucket, list[int]]] = {}
    buckets_e = example_parts(examples, window_count_e=window_count_e, language=language)
    for place, buckets in enumerate(buckets_e):
        for name, bucket in buckets.items():
            parts.setdefault(name, {}).setdefault(bucket, []).append(place)
    return [
        SliceScore(
            name,
            bucket[1],
            len(places),
            float(scores.exact_e[places].mean()),
            float(scores.f1_e[places].mean()),
        )
        for name, members in parts.items()
        for bucket, places in sorted(members.items())
    ]


def example_parts(
    examples: datasets.Dataset,
    *,
    window_count_e: npt.ArrayLike | None = None,
    language: str | None = None,
) -> Iterator[Parts]:
    """Yield the parts that each example belongs to; arguments as in :func:`slices`."""
    counts = None if window_count_e is None else np.asarray(window_count_e).tolist()
    for place, row in enumerate(_rows(examples)):
        buckets = _buckets(row, language)
        if counts is not None:
            buckets = {"windows": _range_bucket(counts[place], _WINDOWS)} | buckets
        yield buckets


def _rows(examples: datasets.Dataset) -> Iterator[Row]:
    """Yield the rows with the columns that slices look at, without holding all contexts."""
    wanted = ("context", "question", "answers", "spans")
    columns = [name for name in wanted if name in examples.column_names]
    batches = examples.select_columns(columns).with_format(None).iter(batch_size=_ROWS_AT_ONCE)
    for batch in batches:
        for values in zip(*batch.values(), strict=True):
            yield dict(zip(batch, values, strict=True))


def _buckets(row: Row, language: str | None) -> Parts:
    """Return the parts of an example that its own columns tell."""
    context, golds, spans = row["context"], row["answers"], row.get("spans")
    buckets = {"context_characters": _range_bucket(len(context), _CONTEXT_CHARACTERS)}
    if golds["text"]:
        start_char, text = _gold(context, golds, spans)
        buckets["answer_words"] = _range_bucket(len(text.split()), _ANSWER_WORDS)
        quarter = min(3, 4 * start_char // max(1, len(context)))
        buckets["answer_position"] = (quarter, _POSITIONS[quarter])
    else:
        buckets["answer_words"] = buckets["answer_position"] = (-1, _NO_ANSWER)
    if language is not None:
        buckets["question_word"] = (0, question_word(row["question"], language))
    if spans is not None:
        status = spans["status"][_trusted(spans)] if spans["status"] else _NO_ANSWER
        buckets["alignment"] = (0, status)
    return buckets


def _gold(context: str, golds: Row, spans: Row | None) -> tuple[int, str]:
    """Return where the gold answer starts, and its text."""
    if spans is not None and spans["status"]:
        first = _trusted(spans)
        start_char, end_char = spans["start_char"][first], spans["end_char"][first]
        if start_char is not None:
            return start_char, context[start_char:end_char]
    return golds["answer_start"][0], golds["text"][0]


def _trusted(spans: Row) -> int:
    """Return the first answer that has a trusted span, else the first."""
    trusted = (place for place, start in enumerate(spans["start_char"]) if start is not None)
    return next(trusted, 0)


def _range_bucket(number: int, edges: tuple[int, ...]) -> Bucket:
    """Return the range that a number falls into.

    >>> _range_bucket(4, (1, 2, 3, 5)), _range_bucket(2, (1, 2, 3, 5)), _range_bucket(9, (1, 2))
    ((2, '3-4'), (1, '2'), (1, '2+'))
    """
    place = max(0, bisect_right(edges, number) - 1)
    low = edges[place]
    if place == len(edges) - 1:
        return place, f"{low}+"
    high = edges[place + 1] - 1
    return place, str(low) if low == high else f"{low}-{high}"

"""Checked answer spans in characters → gold tokens of every window."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from qa_lightning.features.tokens import TokenTable
from qa_lightning.features.windows import Ints, WindowPlaces, WindowPlan

IGNORED = -100  # the label that transformers and torch leave out of a loss


@dataclass(frozen=True)
class AnswerSpans:
    """Hold all answers (s) of all examples (r), one behind the other.

    Attributes:
        count_r: number of answers of each example; 0 for unanswerable ones.
        start_char_s: first character in the context, -1 where no span is trusted.
        end_char_s: half-open end, -1 likewise.
        weight_s: 1 where the answer stands exactly, else alignment's confidence in the span.
    """

    count_r: Ints
    start_char_s: Ints
    end_char_s: Ints
    weight_s: NDArray[np.float32]


@dataclass(frozen=True)
class WindowLabels:
    """Hold the gold tokens of each window (w): places in the unpadded window, both inclusive.

    Attributes:
        start_token_w: first token of the example's first trusted span; the no-answer token where
            this window does not hold the span; -100 where nothing is known.
        last_token_w: its last token, likewise.
        gold_count_w: number of different trusted spans that this window holds.
        gold_start_token_g: their first tokens, windows in order.
        gold_last_token_g: their last tokens.
        weight_w: weight of the example's first trusted span; 1 for examples without one, which
            have no answer, or are labelled so because the user asked for it. Windows without the
            span have it too: that they hold no answer is as sure as the span is.
    """

    start_token_w: Ints
    last_token_w: Ints
    gold_count_w: Ints
    gold_start_token_g: Ints
    gold_last_token_g: Ints
    weight_w: NDArray[np.float32]


def read_spans(column: pa.ChunkedArray) -> AnswerSpans:
    """Read the column ``spans`` that alignment wrote, without a Python list."""
    start_lists = pc.struct_field(column, "start_char")
    end_lists = pc.struct_field(column, "end_char")
    confidences = pc.list_flatten(pc.struct_field(column, "confidence"))
    exact = pc.equal(pc.list_flatten(pc.struct_field(column, "status")), "exact")
    return AnswerSpans(
        count_r=_filled(pc.list_value_length(start_lists), 0),
        start_char_s=_filled(pc.list_flatten(start_lists), -1),
        end_char_s=_filled(pc.list_flatten(end_lists), -1),
        weight_s=pc.if_else(exact, 1.0, confidences).cast(pa.float32()).to_numpy(),
    )


def _filled(values: pa.ChunkedArray, null: int) -> Ints:
    filled: Ints = pc.fill_null(values.cast(pa.int64()), null).to_numpy()
    return filled


def find_span_tokens(spans: AnswerSpans, contexts: TokenTable) -> tuple[Ints, Ints]:
    """Find the smallest run of context tokens around each span.

    As run_qa.py walks: the first is the last token that begins at or before the first character,
    the last is the first token that ends at or behind the last one. Only where one character is
    several tokens and the whole answer does that walk end before it starts: there both are taken.

    Returns:
        First and last token (inclusive) in the contexts' flat tokens; -1 for spans that are not
        trusted or that no run of tokens covers.
    """
    example_s = np.repeat(np.arange(len(spans.count_r)), spans.count_r)
    text_s = contexts.text_r[example_s]
    lengths_t = np.diff(contexts.bounds_t)
    text_n = np.repeat(np.arange(len(lengths_t)), lengths_t)
    # One search for all contexts: a context's number in front of the character orders them all.
    base = 2 + max(_largest(contexts.offsets_n2), _largest(spans.end_char_s))
    start_key_n = np.maximum.accumulate(text_n * base + contexts.offsets_n2[:, 0])
    end_key_n = (text_n * base + contexts.offsets_n2[:, 1])[::-1]
    end_key_n = np.minimum.accumulate(end_key_n)[::-1]
    first_s = np.searchsorted(start_key_n, text_s * base + spans.start_char_s, side="right") - 1
    last_s = np.searchsorted(end_key_n, text_s * base + spans.end_char_s, side="left")
    found = (
        (spans.start_char_s >= 0)
        & (first_s >= contexts.bounds_t[text_s])
        & (last_s < contexts.bounds_t[text_s + 1])
    )
    start_s, end_s = np.minimum(first_s, last_s), np.maximum(first_s, last_s)
    return np.where(found, start_s, -1), np.where(found, end_s, -1)


def _largest(values: NDArray[np.int32] | Ints) -> int:
    return int(values.max(initial=0))


def label_windows(
    plan: WindowPlan,
    places: WindowPlaces,
    spans: AnswerSpans,
    contexts: TokenTable,
    *,
    unaligned_is_no_answer: bool,
) -> WindowLabels:
    """Label each window with the answers whose tokens it holds wholly.

    Args:
        plan: the windows.
        places: their parts.
        spans: the examples' answers.
        contexts: the tokens that the plan refers to.
        unaligned_is_no_answer: label examples without a trusted span as unanswerable instead of
            leaving them out of the loss.
    """
    first_s, last_s = find_span_tokens(spans, contexts)
    begin_r = np.cumsum(spans.count_r) - spans.count_r
    trusted_r = _first_trusted(spans)
    pair_w, span_p = _window_span_pairs(plan, spans.count_r, begin_r)
    start_p = first_s[span_p] - plan.context_source_w[pair_w]
    last_p = last_s[span_p] - plan.context_source_w[pair_w]
    held = (first_s[span_p] >= 0) & (start_p >= 0) & (last_p < plan.context_length_w[pair_w])
    pair_w, span_p = pair_w[held], span_p[held]
    start_p = start_p[held] + places.context_start_token_w[pair_w]
    last_p = last_p[held] + places.context_start_token_w[pair_w]

    start_w = places.cls_token_w.copy()
    last_w = places.cls_token_w.copy()
    is_first = span_p == trusted_r[plan.example_w[pair_w]]
    start_w[pair_w[is_first]] = start_p[is_first]
    last_w[pair_w[is_first]] = last_p[is_first]
    if not unaligned_is_no_answer:
        unknown = ((trusted_r < 0) & (spans.count_r > 0))[plan.example_w]
        start_w[unknown] = last_w[unknown] = IGNORED
    gold_g3 = np.unique(np.column_stack([pair_w, start_p, last_p]), axis=0)
    return WindowLabels(
        start_token_w=start_w,
        last_token_w=last_w,
        gold_count_w=np.bincount(gold_g3[:, 0], minlength=len(plan)),
        gold_start_token_g=gold_g3[:, 1],
        gold_last_token_g=gold_g3[:, 2],
        weight_w=_weights(spans, trusted_r)[plan.example_w],
    )


def _weights(spans: AnswerSpans, trusted_r: Ints) -> NDArray[np.float32]:
    """Return the weight of each example's first trusted span, 1 where it has none."""
    weight_r = np.ones(len(trusted_r), np.float32)
    trusted = trusted_r >= 0
    weight_r[trusted] = spans.weight_s[trusted_r[trusted]]
    return weight_r


def _first_trusted(spans: AnswerSpans) -> Ints:
    """Return the index of each example's first trusted span, -1 where it has none."""
    example_s = np.repeat(np.arange(len(spans.count_r)), spans.count_r)
    trusted_s = np.flatnonzero(spans.start_char_s >= 0)
    first_r = np.full(len(spans.count_r), -1, np.int64)
    first_r[example_s[trusted_s][::-1]] = trusted_s[::-1]  # the earliest is written last
    return first_r


def _window_span_pairs(plan: WindowPlan, count_r: Ints, begin_r: Ints) -> tuple[Ints, Ints]:
    """Return every window with every answer of its example, as two parallel arrays."""
    count_w = count_r[plan.example_w]
    pair_w = np.repeat(np.arange(len(plan)), count_w)
    within_p = np.arange(len(pair_w)) - np.repeat(np.cumsum(count_w) - count_w, count_w)
    return pair_w, begin_r[plan.example_w[pair_w]] + within_p

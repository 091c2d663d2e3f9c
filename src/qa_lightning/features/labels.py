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
        start_token_w: first token of the example's first trusted span that any window holds; the
            no-answer token where this window does not hold the span; -100 where nothing is known,
            and where no window holds a span (see ``label_windows``).
        last_token_w: its last token, likewise.
        gold_count_w: number of different trusted spans that this window holds.
        gold_start_token_g: their first tokens, windows in order.
        gold_last_token_g: their last tokens.
        weight_w: weight of that span; 1 for examples without one, which have no answer, or are
            labelled so because the user asked for it. Windows without the span have it too: that
            they hold no answer is as sure as the span is.
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


@dataclass(frozen=True)
class HeldSpans:
    """Hold which windows (w) hold which answers (s), as pairs (p), windows in order.

    Attributes:
        window_p: the window.
        span_p: the answer that it holds wholly.
        start_p: the answer's first token, counted from the window's first context token.
        last_p: its last token, likewise.
        touched_w: windows that hold a part of a trusted answer, or all of it.
        label_r: each example's (r) first trusted answer that any window holds; else its first
            trusted answer; -1 where none is trusted.
        unheld_r: examples with trusted answers, none of which any window holds.
    """

    window_p: Ints
    span_p: Ints
    start_p: Ints
    last_p: Ints
    touched_w: NDArray[np.bool_]
    label_r: Ints
    unheld_r: NDArray[np.bool_]


def find_held(plan: WindowPlan, spans: AnswerSpans, contexts: TokenTable) -> HeldSpans:
    """Find the answers that windows hold wholly, and the examples whose answers none holds."""
    first_s, last_s = find_span_tokens(spans, contexts)
    window_p, span_p = _window_span_pairs(plan, spans.count_r)
    start_p = first_s[span_p] - plan.context_source_w[window_p]
    last_p = last_s[span_p] - plan.context_source_w[window_p]
    length_p = plan.context_length_w[window_p]
    has_tokens = first_s[span_p] >= 0
    held = has_tokens & (start_p >= 0) & (last_p < length_p)
    touched_w = np.zeros(len(plan), np.bool_)
    touched_w[window_p[has_tokens & (start_p < length_p) & (last_p >= 0)]] = True
    trusted_s = spans.start_char_s >= 0
    held_s = np.zeros(len(trusted_s), np.bool_)
    held_s[span_p[held]] = True
    held_r, trusted_r = _first_of(spans, held_s), _first_of(spans, trusted_s)
    return HeldSpans(
        window_p=window_p[held],
        span_p=span_p[held],
        start_p=start_p[held],
        last_p=last_p[held],
        touched_w=touched_w,
        label_r=np.where(held_r < 0, trusted_r, held_r),
        unheld_r=(trusted_r >= 0) & (held_r < 0),
    )


def label_windows(
    plan: WindowPlan,
    places: WindowPlaces,
    spans: AnswerSpans,
    contexts: TokenTable,
    *,
    unaligned_is_no_answer: bool,
) -> WindowLabels:
    """Label each window with the answers whose tokens it holds wholly.

    An answer may be longer than the windows' overlap, and stand wholly in none. Where all questions
    have an answer, no window of such a question is learnt: all would teach that there is none.
    Where questions without an answer are to be learnt, its windows that hold no part of the answer
    are: they are as true as theirs. Those that hold a part are not.

    Args:
        plan: the windows.
        places: their parts.
        spans: the examples' answers.
        contexts: the tokens that the plan refers to.
        unaligned_is_no_answer: label examples without a trusted span as unanswerable instead of
            leaving them out of the loss.
    """
    held = find_held(plan, spans, contexts)
    start_p = held.start_p + places.context_start_token_w[held.window_p]
    last_p = held.last_p + places.context_start_token_w[held.window_p]
    start_w = places.cls_token_w.copy()
    last_w = places.cls_token_w.copy()
    is_label = held.span_p == held.label_r[plan.example_w[held.window_p]]
    start_w[held.window_p[is_label]] = start_p[is_label]
    last_w[held.window_p[is_label]] = last_p[is_label]
    unknown_w = _unknown(plan, spans, held, unaligned_is_no_answer=unaligned_is_no_answer)
    start_w[unknown_w] = last_w[unknown_w] = IGNORED
    gold_g3 = np.unique(np.column_stack([held.window_p, start_p, last_p]), axis=0)
    return WindowLabels(
        start_token_w=start_w,
        last_token_w=last_w,
        gold_count_w=np.bincount(gold_g3[:, 0], minlength=len(plan)),
        gold_start_token_g=gold_g3[:, 1],
        gold_last_token_g=gold_g3[:, 2],
        weight_w=_weights(spans, held.label_r)[plan.example_w],
    )


def _unknown(
    plan: WindowPlan, spans: AnswerSpans, held: HeldSpans, *, unaligned_is_no_answer: bool
) -> NDArray[np.bool_]:
    """Return the windows of which it is not known, or not true, that they hold no answer."""
    untrusted_r = (held.label_r < 0) & (spans.count_r > 0)
    learns_no_answer = bool((spans.count_r == 0).any())
    unheld_w = held.unheld_r[plan.example_w]
    if unaligned_is_no_answer:
        learns_no_answer |= bool(untrusted_r.any())
        untrusted_r = np.zeros_like(untrusted_r)
    if learns_no_answer:
        unheld_w &= held.touched_w
    unknown_w: NDArray[np.bool_] = untrusted_r[plan.example_w] | unheld_w
    return unknown_w


def _weights(spans: AnswerSpans, label_r: Ints) -> NDArray[np.float32]:
    """Return the weight of each example's label, 1 where it has none."""
    weight_r = np.ones(len(label_r), np.float32)
    trusted = label_r >= 0
    weight_r[trusted] = spans.weight_s[label_r[trusted]]
    return weight_r


def _first_of(spans: AnswerSpans, chosen_s: NDArray[np.bool_]) -> Ints:
    """Return the index of each example's first chosen span, -1 where it has none."""
    example_s = np.repeat(np.arange(len(spans.count_r)), spans.count_r)
    index_s = np.flatnonzero(chosen_s)
    first_r = np.full(len(spans.count_r), -1, np.int64)
    first_r[example_s[index_s][::-1]] = index_s[::-1]  # the earliest is written last
    return first_r


def _window_span_pairs(plan: WindowPlan, count_r: Ints) -> tuple[Ints, Ints]:
    """Return every window with every answer of its example, as two parallel arrays."""
    begin_r = np.cumsum(count_r) - count_r
    count_w = count_r[plan.example_w]
    pair_w = np.repeat(np.arange(len(plan)), count_w)
    within_p = np.arange(len(pair_w)) - np.repeat(np.cumsum(count_w) - count_w, count_w)
    return pair_w, begin_r[plan.example_w[pair_w]] + within_p

"""Tokens → plan of windows → flat rows, with numpy alone."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from qa_lightning.errors import InputError
from qa_lightning.features.layout import PairLayout
from qa_lightning.features.settings import WindowSettings
from qa_lightning.features.tokens import TokenTable

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class WindowPlan:
    """Say for each window (w) which tokens of which texts it holds.

    Attributes:
        example_w: row of the examples.
        window_w: number of the window within its example, from 0.
        question_source_w: first question token in the questions' flat tokens.
        question_length_w: question tokens, after the cut.
        context_source_w: first context token in the contexts' flat tokens.
        context_length_w: context tokens in this window.
    """

    example_w: Ints
    window_w: Ints
    question_source_w: Ints
    question_length_w: Ints
    context_source_w: Ints
    context_length_w: Ints

    def __len__(self) -> int:
        return len(self.example_w)

    def take(self, selection: NDArray[np.bool_] | slice) -> "WindowPlan":
        """Return the plan of the selected windows."""
        return WindowPlan(*(getattr(self, field.name)[selection] for field in fields(self)))


@dataclass(frozen=True)
class WindowPlaces:
    """Say where in each unpadded window (w) its parts stand: token positions, ends half-open."""

    question_start_token_w: Ints
    question_end_token_w: Ints
    context_start_token_w: Ints
    context_end_token_w: Ints
    cls_token_w: Ints
    length_w: Ints


def check_room(
    question_length_r: Ints, example_ids: list[str], settings: WindowSettings, layout: PairLayout
) -> None:
    """Refuse settings under which the longest question leaves no room to move through a context.

    Raises:
        InputError: with the example's id.
    """
    if len(question_length_r) == 0:
        return
    longest = int(question_length_r.argmax())
    length = int(question_length_r[longest])
    if settings.max_length - layout.special_tokens - length > settings.doc_stride:
        return
    raise InputError(
        f"`max_length` must exceed `doc_stride` plus the question and {layout.special_tokens} "
        f"special tokens. Got max_length={settings.max_length}, doc_stride={settings.doc_stride}, "
        f"{length} question tokens (example {example_ids[longest]!r}). Raise `data.max_length`, or "
        "lower `data.doc_stride` or `data.max_question_length`."
    )


def plan_windows(
    questions: TokenTable,
    contexts: TokenTable,
    settings: WindowSettings,
    layout: PairLayout,
    *,
    from_the_end: bool = False,
) -> WindowPlan:
    """Lay windows over every context as the tokenizer's truncation with overlap does.

    Args:
        questions: tokens of each row's question.
        contexts: tokens of each row's context.
        settings: window length, overlap and question cut.
        layout: the special tokens.
        from_the_end: begin at the context's end (tokenizers with ``truncation_side`` left).
    """
    question_length_r = np.minimum(questions.length_r, settings.max_question_length)
    context_length_r = contexts.length_r
    room_r = settings.max_length - layout.special_tokens - question_length_r
    step_r = room_r - settings.doc_stride
    beyond_r = np.maximum(context_length_r - room_r, 0)
    count_r = 1 + -(-beyond_r // step_r)  # an empty context still has its one window

    example_w = np.repeat(np.arange(len(count_r)), count_r)
    window_w = _count_up(count_r)
    start_w = window_w * step_r[example_w]
    end_w = np.minimum(start_w + room_r[example_w], context_length_r[example_w])
    if from_the_end:
        length_w = context_length_r[example_w]
        start_w, end_w = length_w - end_w, length_w - start_w
    return WindowPlan(
        example_w=example_w,
        window_w=window_w,
        question_source_w=questions.start_r[example_w],
        question_length_w=question_length_r[example_w],
        context_source_w=contexts.start_r[example_w] + start_w,
        context_length_w=end_w - start_w,
    )


def place_parts(plan: WindowPlan, layout: PairLayout) -> WindowPlaces:
    """Compute where question, context and the no-answer token stand in each window."""
    pairs = plan.question_length_w, plan.context_length_w
    first_length_w, second_length_w = pairs if layout.question_first else pairs[::-1]
    first_start_w = np.full_like(first_length_w, len(layout.before))
    second_start_w = first_start_w + first_length_w + len(layout.between)
    starts = first_start_w, second_start_w
    question_start_w, context_start_w = starts if layout.question_first else starts[::-1]
    return WindowPlaces(
        question_start_token_w=question_start_w,
        question_end_token_w=question_start_w + plan.question_length_w,
        context_start_token_w=context_start_w,
        context_end_token_w=context_start_w + plan.context_length_w,
        cls_token_w=layout.cls_token_w(first_length_w, second_length_w),
        length_w=first_length_w + second_length_w + layout.special_tokens,
    )


class WindowAssembler:
    """Gather the ids and offsets of planned windows from the flat tokens.

    Args:
        questions: their flat tokens.
        contexts: theirs.
        layout: the special tokens.
        first_offsets_n2: offsets of the contexts' tokens where they begin a window.
    """

    def __init__(
        self,
        questions: TokenTable,
        contexts: TokenTable,
        layout: PairLayout,
        *,
        first_offsets_n2: NDArray[np.int32],
    ) -> None:
        specials = (*layout.before, *layout.between, *layout.after)
        self._source_n = np.concatenate(
            [np.array(specials, np.int32), questions.ids_n, contexts.ids_n]
        )
        self._questions_at = len(specials)
        self._contexts_at = len(specials) + len(questions.ids_n)
        self._offsets_n2 = contexts.offsets_n2
        self._borders_n = contexts.borders_n
        self._first_offsets_n2 = first_offsets_n2
        self._layout = layout

    def ids(self, plan: WindowPlan) -> NDArray[np.int32]:
        """Return the ids of the windows one behind the other."""
        before, between, after = map(
            len, (self._layout.before, self._layout.between, self._layout.after)
        )
        question = (self._questions_at + plan.question_source_w, plan.question_length_w)
        context = (self._contexts_at + plan.context_source_w, plan.context_length_w)
        first, second = (question, context) if self._layout.question_first else (context, question)
        same_w = np.ones(len(plan), np.int64)
        starts = [0 * same_w, first[0], before * same_w, second[0], (before + between) * same_w]
        lengths = [before * same_w, first[1], between * same_w, second[1], after * same_w]
        ranges_n = _ranges(np.stack(starts, axis=1).ravel(), np.stack(lengths, axis=1).ravel())
        return self._source_n[ranges_n]

    def context_offsets(self, plan: WindowPlan) -> NDArray[np.int32]:
        """Return start and end of every context token of the windows: [tokens, 2]."""
        offsets_n2 = self._offsets_n2[_ranges(plan.context_source_w, plan.context_length_w)]
        begin_w = np.cumsum(plan.context_length_w) - plan.context_length_w
        filled = plan.context_length_w > 0
        offsets_n2[begin_w[filled]] = self._first_offsets_n2[plan.context_source_w[filled]]
        return offsets_n2

    def context_borders(self, plan: WindowPlan) -> NDArray[np.uint8]:
        """Return where words begin and end among the context tokens of the windows: [tokens]."""
        return self._borders_n[_ranges(plan.context_source_w, plan.context_length_w)]


def _count_up(count_r: Ints) -> Ints:
    """Return 0, 1, … for each count: [2, 3] → [0, 1, 0, 1, 2]."""
    return _ranges(np.zeros_like(count_r), count_r)


def _ranges(start_k: Ints, length_k: Ints) -> Ints:
    """Return the integers of many ranges one behind the other, without a loop."""
    begin_k = np.cumsum(length_k) - length_k
    return np.repeat(start_k - begin_k, length_k) + np.arange(int(length_k.sum()))

"""The search for spans against brute force, and what is kept of a window."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_lightning.candidates import (
    BestSpans,
    TokenCandidates,
    band,
    best_spans,
    top_k_spans,
    window_candidates,
)
from qa_lightning.candidates import windows as windows_module
from qa_lightning.candidates.search import search_on_device
from qa_lightning.errors import InputError

NEVER = float("-inf")


def brute_force(start_l, end_l, context_l, n_best, max_answer_length, ends_l=None):
    spans = [
        (float(np.float32(start_l[first]) + np.float32(end_l[last])), first, last)
        for first in range(len(start_l))
        for last in range(first, min(first + max_answer_length, len(start_l)))
        if context_l[first] and (ends_l or context_l)[last]
    ]
    return sorted(spans, key=lambda span: (-span[0], span[1], span[2]))[:n_best]


def classic(start_l, end_l, context_l, n_best, max_answer_length, top_k):
    """Return the spans of run_qa's double loop; the logits must differ from one another."""
    starts = np.argsort(start_l)[-1 : -top_k - 1 : -1].tolist()
    lasts = np.argsort(end_l)[-1 : -top_k - 1 : -1].tolist()
    spans = []
    for first in starts:
        for last in lasts:
            if not context_l[first] or not context_l[last]:
                continue
            if last < first or last - first + 1 > max_answer_length:
                continue
            spans.append((float(start_l[first] + end_l[last]), first, last))
    return sorted(spans, key=lambda span: -span[0])[:n_best]


def found(spans, row):
    return [
        (score, first, last)
        for first, last, score in zip(*(part[row].tolist() for part in spans), strict=True)
        if score > NEVER
    ]


@st.composite
def searches(draw):
    rows, length = draw(st.integers(1, 3)), draw(st.integers(1, 24))
    # Few different values: ties everywhere.
    logit = draw(st.sampled_from([st.integers(-2, 2), st.floats(-9, 9, width=32)]))
    matrix = st.lists(
        st.lists(logit, min_size=length, max_size=length), min_size=rows, max_size=rows
    )
    mask = st.lists(
        st.lists(st.booleans(), min_size=length, max_size=length), min_size=rows, max_size=rows
    )
    return (
        draw(matrix),
        draw(matrix),
        draw(mask),
        draw(st.none() | mask),
        draw(st.integers(1, 30)),
        draw(st.integers(1, 30)),
    )


@given(searches())
@settings(max_examples=100, deadline=None)
def test_equals_brute_force_ties_included(search):
    start, end, mask, ends, n_best, max_answer_length = search
    end_mask_bl = torch.tensor(mask if ends is None else ends)
    start_logits_bl, end_logits_bl = torch.tensor(start).float(), torch.tensor(end).float()
    spans = best_spans(
        start_logits_bl,
        end_logits_bl,
        torch.tensor(mask),
        n_best=n_best,
        max_answer_length=max_answer_length,
        end_mask_bl=None if ends is None else end_mask_bl,
    )
    assert spans.score_bn.shape == (len(start), n_best)
    on_device = search_on_device(
        torch.stack((start_logits_bl, end_logits_bl)),
        (torch.tensor(mask), end_mask_bl),
        n_best=n_best,
        n_lengths=min(max_answer_length, len(start[0])),
    )
    for row in range(len(start)):
        ends_l = None if ends is None else ends[row]
        expected = brute_force(start[row], end[row], mask[row], n_best, max_answer_length, ends_l)
        assert found(spans, row) == expected
        assert found(on_device, row) == expected


@pytest.mark.parametrize("key_bits", [31, 0])
@pytest.mark.parametrize("values", [1, 2, 5, 1_000])
def test_equal_scores_of_long_windows_come_by_their_places(values, key_bits, monkeypatch):
    # An untrained network's: whole windows of equal scores. And a batch too large for one number.
    monkeypatch.setattr(band, "_KEY_BITS", key_bits)
    generator = torch.Generator().manual_seed(values)
    start, end = torch.randint(-values, values, (2, 4, 300), generator=generator) / 4
    context = torch.rand(4, 300, generator=generator) < torch.tensor([[1.0], [0.7], [0.05], [0.0]])
    spans = best_spans(start, end, context, n_best=6, max_answer_length=9)
    for row in range(4):
        whole = (start[row].tolist(), end[row].tolist(), context[row].tolist())
        assert found(spans, row) == brute_force(*whole, 6, 9)


def test_long_window_equals_brute_force():
    generator = torch.Generator().manual_seed(0)
    start, end = torch.randn(2, 1, 4096, generator=generator)
    context = torch.ones(1, 4096, dtype=torch.bool)
    context[:, :70] = False
    spans = best_spans(start, end, context, n_best=20, max_answer_length=30)
    expected = brute_force(start[0].tolist(), end[0].tolist(), context[0].tolist(), 20, 30)
    assert found(spans, 0) == expected


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_adds_in_float32_whatever_the_logits(dtype):
    start = torch.tensor([[100.0, 1.0]], dtype=dtype)
    end = torch.tensor([[0.25, 0.5]], dtype=dtype)
    context = torch.ones(1, 2, dtype=torch.bool)
    spans = best_spans(start, end, context, n_best=2, max_answer_length=2)
    assert spans.score_bn.dtype == torch.float32
    assert spans.start_token_bn.dtype == spans.last_token_bn.dtype == torch.int64
    assert spans.score_bn.tolist() == [[100.5, 100.25]]  # in bfloat16 the two would be equal


def test_question_and_padding_cannot_fill_the_places():
    # Peers take the 20 largest logits of all tokens and are left with no answer at all.
    start = torch.full((1, 60), 50.0)
    start[0, 40:45] = torch.arange(5.0)
    context = torch.zeros(1, 60, dtype=torch.bool)
    context[0, 40:45] = True
    ours = best_spans(start, start, context, n_best=3, max_answer_length=30)
    assert found(ours, 0) == [(8.0, 44, 44), (7.0, 43, 44), (6.0, 42, 44)]
    theirs = top_k_spans(start, start, context, n_best=3, max_answer_length=30)
    assert found(theirs, 0) == []


def test_no_context_gives_fillers_only():
    logits = torch.zeros(2, 4)
    context = torch.tensor([[False] * 4, [True] * 4])
    spans = best_spans(logits, logits, context, n_best=2, max_answer_length=4)
    assert found(spans, 0) == []
    assert found(spans, 1) == [(0.0, 0, 0), (0.0, 0, 1)]
    for size in ((0, 4), (2, 0)):
        empty = torch.zeros(size)
        spans = best_spans(empty, empty, empty.bool(), n_best=3, max_answer_length=4)
        assert [part.shape for part in spans] == [(size[0], 3)] * 3


def test_nan_is_never_an_answer():
    start = torch.tensor([[float("nan"), 1.0, float("inf")]])
    end = torch.tensor([[1.0, float("nan"), 0.0]])
    context = torch.ones(1, 3, dtype=torch.bool)
    spans = best_spans(start, end, context, n_best=5, max_answer_length=3)
    assert [span[1:] for span in found(spans, 0)] == [(2, 2), (1, 2)]


@pytest.mark.parametrize("length", [12, 50, 384])
def test_top_k_search_equals_the_classic_loop(length):
    generator = np.random.default_rng(length)
    start, end = generator.normal(size=(2, 3, length)).astype(np.float32)
    context = np.zeros((3, length), dtype=bool)
    context[:, 5:] = True
    spans = top_k_spans(
        torch.tensor(start), torch.tensor(end), torch.tensor(context), n_best=20,
        max_answer_length=9,
    )  # fmt: skip
    for row in range(3):
        assert found(spans, row) == classic(start[row], end[row], context[row], 20, 9, 20)


def windows(*, dtype=torch.float32, **changes):
    """Return two windows of the same six tokens, padded left and right."""
    tokens = torch.tensor([0.5, 9.0, 0.0, 1.0, 2.0, 0.25])  # cls, question, then the context
    start_logits_bl = torch.full((2, 9), 30.0)
    start_logits_bl[0, :6], start_logits_bl[1, 3:] = tokens, tokens
    start_logits_bl = start_logits_bl.to(dtype)
    attention_mask_bl = torch.zeros(2, 9, dtype=torch.long)
    attention_mask_bl[0, :6], attention_mask_bl[1, 3:] = 1, 1
    context_mask_bl = torch.zeros(2, 9, dtype=torch.bool)
    context_mask_bl[0, 2:6], context_mask_bl[1, 5:9] = True, True
    arguments = {
        "context_mask_bl": context_mask_bl,
        "attention_mask_bl": attention_mask_bl,
        "cls_positions_b": torch.tensor([0, 3]),
        "feature_index_b": torch.tensor([7, 4]),
        "n_best": 20,
        "max_answer_length": 3,
    }
    return window_candidates(start_logits_bl, start_logits_bl, **(arguments | changes))


def test_cpu_and_device_reduce_alike(monkeypatch):
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.undo()
        ours = windows(dtype=dtype)
        monkeypatch.setattr(windows_module, "_reduce_on_cpu", windows_module._reduce)
        for one, other in zip(ours, windows(dtype=dtype), strict=True):
            assert one.dtype == other.dtype
            assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("search", ["exact", "top_k"])
def test_positions_count_from_the_context_whatever_the_padding(search):
    kept = windows(search=search)
    assert kept.start_token_bn[0, :3].tolist() == kept.start_token_bn[1, :3].tolist() == [2, 1, 2]
    assert kept.last_token_bn[0, :3].tolist() == kept.last_token_bn[1, :3].tolist() == [2, 2, 3]
    assert kept.score_bn[0, :3].tolist() == [4.0, 3.0, 2.25]
    for part in kept[1:]:
        assert torch.equal(part[0], part[1])


def test_null_score_and_normalizer():
    kept = windows()
    tokens = torch.tensor([0.5, 9.0, 0.0, 1.0, 2.0, 0.25])
    assert kept.null_score_b.tolist() == [1.0, 1.0]
    assert torch.allclose(kept.log_normalizer_b, 2 * tokens.logsumexp(0))
    probability = (kept.score_bn[0, 0] - kept.log_normalizer_b[0]).exp()
    assert probability == pytest.approx(float(tokens.softmax(0)[4] ** 2))


@pytest.mark.filterwarnings("ignore:overflow")  # of two infinite logits
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [float("nan"), NEVER, float("inf")])
def test_windows_of_a_diverged_network_leave_the_others_alone(value, monkeypatch):
    start_bl = torch.tensor([[value] * 6, [0.5, 9.0, 0.0, 1.0, 2.0, 0.25]])
    arguments = {
        "context_mask_bl": torch.tensor([[False, False, True, True, True, True]] * 2),
        "attention_mask_bl": torch.ones(2, 6, dtype=torch.long),
        "cls_positions_b": torch.zeros(2, dtype=torch.long),
        "feature_index_b": torch.arange(2),
        "n_best": 3,
        "max_answer_length": 3,
    }
    ours = window_candidates(start_bl, start_bl, **arguments)
    for part, expected in zip(ours[1:], windows()[1:], strict=True):
        assert torch.allclose(part[1], expected[0, :3] if part.ndim == 2 else expected[0])
        assert not part.isnan().any()
    assert len(found(BestSpans(*ours[1:4]), 0)) == (3 if value > 0 else 0)
    monkeypatch.setattr(windows_module, "_reduce_on_cpu", windows_module._reduce)
    for part, expected in zip(
        window_candidates(start_bl, start_bl, **arguments), ours, strict=True
    ):
        assert torch.allclose(part, expected)


def test_a_window_is_a_few_hundred_bytes_typed_even_when_there_is_none():
    kept = windows()
    empty = TokenCandidates.empty(20)
    for part, nothing in zip(kept, empty, strict=True):
        assert part.dtype == nothing.dtype
        assert part.shape[1:] == nothing.shape[1:]
        assert len(nothing) == 0
    assert sum(part[:1].numel() * part.element_size() for part in kept) == 12 * 20 + 16
    joined = TokenCandidates.concatenate([empty, kept, kept, empty])
    assert joined.feature_index_b.tolist() == [7, 4, 7, 4]
    assert torch.equal(joined.score_bn[2:], kept.score_bn)
    no_rows = torch.zeros(0, 9)
    assert len(windows_of_no_rows(no_rows).feature_index_b) == 0


def windows_of_no_rows(no_rows):
    return window_candidates(
        no_rows,
        no_rows,
        context_mask_bl=no_rows.bool(),
        attention_mask_bl=no_rows.long(),
        cls_positions_b=torch.zeros(0, dtype=torch.long),
        feature_index_b=torch.zeros(0, dtype=torch.long),
        n_best=20,
        max_answer_length=30,
    )


def test_user_mistakes_are_told():
    with pytest.raises(InputError, match=r"`search` out of exact, top_k; got 'beam'"):
        windows(search="beam")
    with pytest.raises(InputError, match=r"`max_answer_length` to be at least 1; got 0"):
        windows(max_answer_length=0)
    with pytest.raises(InputError, match=r"`n_best` to be at least 1; got -1"):
        windows(n_best=-1)

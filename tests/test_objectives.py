"""Objectives against transformers' own loss and arithmetic by hand."""

import math

import pytest
import torch
from transformers import LongformerConfig, LongformerForQuestionAnswering

from qa_lightning.errors import InputError
from qa_lightning.objectives import (
    IGNORE_POSITION,
    OBJECTIVES,
    first_answer_loss,
    labelled_mean,
    mask_padding,
    window_loss,
)


def logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_without_padding_it_is_the_loss_of_transformers() -> None:
    torch.manual_seed(0)
    config = LongformerConfig(
        vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, attention_window=8, max_position_embeddings=40,
    )  # fmt: skip
    model = LongformerForQuestionAnswering(config).eval()
    ids = torch.randint(4, 50, (3, 16))
    starts, ends = torch.tensor([2, 5, 0]), torch.tensor([4, 5, 0])
    global_mask = torch.zeros_like(ids)
    global_mask[:, :4] = 1
    out = model(ids, global_attention_mask=global_mask, start_positions=starts, end_positions=ends)
    ours = first_answer_loss(
        out.start_logits, out.end_logits, starts, ends, torch.ones(3, 16, dtype=torch.long)
    )
    torch.testing.assert_close(ours.mean(), out.loss)


def test_each_window_by_hand() -> None:
    start_bl, end_bl = logits(2, 5), logits(2, 5, seed=1)
    mask = torch.tensor([[1, 1, 1, 1, 1], [2, 1, 1, 0, 0]])  # 2: a global token is text as well
    losses = first_answer_loss(start_bl, end_bl, torch.tensor([1, 0]), torch.tensor([3, 2]), mask)
    for row, (start, end, length) in enumerate([(1, 3, 5), (0, 2, 3)]):
        parts = []
        for values, gold in ((start_bl[row, :length], start), (end_bl[row, :length], end)):
            total = sum(math.exp(value) for value in values.tolist())
            parts.append(-math.log(math.exp(values[gold]) / total))
        assert float(losses[row]) == pytest.approx(sum(parts) / 2, rel=1e-5)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_padding_changes_nothing(name: str) -> None:
    loss = window_loss(name)
    start_bl, end_bl = logits(3, 7), logits(3, 7, seed=1)
    golds = torch.tensor([1, 6, IGNORE_POSITION]), torch.tensor([2, 6, IGNORE_POSITION])
    mask = torch.ones(3, 7, dtype=torch.long)
    alone = loss(start_bl, end_bl, *golds, mask)

    def padded(values: torch.Tensor, filler: float) -> torch.Tensor:
        return torch.nn.functional.pad(values, (0, 4), value=filler)

    wide = loss(padded(start_bl, 50.0), padded(end_bl, float("nan")), *golds, padded(mask, 0))
    torch.testing.assert_close(alone, wide)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_ignored_windows_cost_and_teach_nothing(name: str) -> None:
    start_bl = logits(2, 6).requires_grad_()
    end_bl = logits(2, 6, seed=1).requires_grad_()
    starts, ends = torch.tensor([1, IGNORE_POSITION]), torch.tensor([2, IGNORE_POSITION])
    losses = window_loss(name)(start_bl, end_bl, starts, ends, torch.ones(2, 6, dtype=torch.long))
    assert losses.shape == (2,)
    assert losses[1] == 0
    labelled_mean(losses, starts).backward()
    assert not start_bl.grad[1].any()
    assert start_bl.grad[0].any()


def test_half_precision_logits_are_reckoned_in_float32() -> None:
    start_bl = logits(2, 6).bfloat16()
    mask = torch.ones(2, 6, dtype=torch.long)
    golds = torch.tensor([1, 2])
    losses = first_answer_loss(start_bl, start_bl, golds, golds, mask)
    assert losses.dtype == torch.float32
    exact = first_answer_loss(start_bl.float(), start_bl.float(), golds, golds, mask)
    assert losses.equal(exact)
    assert mask_padding(start_bl, mask).dtype == torch.float32


def test_the_mean_is_over_labelled_windows() -> None:
    losses = torch.tensor([1.0, 3.0, 0.0])
    assert labelled_mean(losses, torch.tensor([0, 4, IGNORE_POSITION])) == 2
    nothing = torch.zeros(2, requires_grad=True)
    mean = labelled_mean(nothing, torch.full((2,), IGNORE_POSITION))
    assert mean == 0
    mean.backward()  # a batch without labels still takes part in a step of all ranks


def test_an_unknown_objective_is_told() -> None:
    with pytest.raises(InputError, match=r"model\.objective.*first_answer.*'guess'"):
        window_loss("guess")

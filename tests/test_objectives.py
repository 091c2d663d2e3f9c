"""Objectives against transformers' own loss and the plain formulas, in Python's own arithmetic."""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LongformerConfig, LongformerForQuestionAnswering

from qa_lightning.errors import InputError
from qa_lightning.objectives import (
    IGNORE_POSITION,
    OBJECTIVES,
    Objective,
    any_answer_loss,
    document_loss,
    first_answer_loss,
    mask_padding,
    mean_over_processes,
    objective_problems,
)

Batch = dict[str, Tensor]
CLS = 0


def logits(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch_of(
    gold: list[list[tuple[int, int]] | None],
    *,
    lengths: list[int],
    documents: list[int] | None = None,
    weights: list[float] | None = None,
) -> Batch:
    """Return the labels of windows with these gold spans; None is a window without a label."""
    most = max(1, *(len(spans or []) for spans in gold))
    width = max(lengths)

    def places(part: int) -> Tensor:
        rows = [[span[part] for span in spans or []] for spans in gold]
        return torch.tensor([row + [IGNORE_POSITION] * (most - len(row)) for row in rows])

    labels = [IGNORE_POSITION if spans is None else CLS for spans in gold]
    firsts = [
        spans[0] if spans else (label, label) for spans, label in zip(gold, labels, strict=True)
    ]
    return {
        "attention_mask": torch.tensor([[1] * n + [0] * (width - n) for n in lengths]),
        "start_positions": torch.tensor([first[0] for first in firsts]),
        "end_positions": torch.tensor([first[1] for first in firsts]),
        "gold_start_positions": places(0),
        "gold_end_positions": places(1),
        "document_index": torch.tensor(documents or list(range(len(gold)))),
        "label_weights": torch.tensor(weights or [1.0] * len(gold)),
    }


# Two documents of three windows and one of one; the last window has no label.
GOLD: list[list[tuple[int, int]] | None] = [
    [(2, 3), (2, 5), (4, 5)],  # one start twice, one end twice
    [],
    [(1, 1)],
    [],
    [],
    [],
    None,
]
LENGTHS = [7, 5, 6, 7, 4, 3, 6]
DOCUMENTS = [0, 0, 0, 1, 1, 1, 2]
WEIGHTS = [0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 0.7]
BATCH = batch_of(GOLD, lengths=LENGTHS, documents=DOCUMENTS, weights=WEIGHTS)


def minus_log_share(chosen: list[float], everything: list[float]) -> float:
    """Return ``-log(sum(exp(chosen)) / sum(exp(everything)))``."""
    return -math.log(sum(map(math.exp, chosen)) / sum(map(math.exp, everything)))


def plain_group(start_bl: Tensor, end_bl: Tensor, windows: list[int]) -> float:
    """Return the loss of windows that share one softmax, by loops."""
    sides = []
    for part, values_bl in enumerate((start_bl.tolist(), end_bl.tolist())):
        everything, chosen, no_answer = [], [], []
        for window in windows:
            for token in range(LENGTHS[window]):
                everything.append(values_bl[window][token])
                if token in {span[part] for span in GOLD[window] or []}:
                    chosen.append(values_bl[window][token])
            no_answer.append(values_bl[window][CLS])
        sides.append(minus_log_share(chosen or no_answer, everything))
    return sum(sides) / 2


def numeric_gradient(
    loss: Callable[[Tensor, Tensor], float], start_bl: Tensor, end_bl: Tensor
) -> Tensor:
    """Return the derivatives by the start logits, from differences of the plain formula."""
    gradient_bl = torch.zeros_like(start_bl, dtype=torch.float64)
    step = 1e-5
    for place in range(start_bl.numel()):
        moved = []
        for sign in (step, -step):
            shifted = start_bl.double().clone()
            shifted.view(-1)[place] += sign
            moved.append(loss(shifted, end_bl.double()))
        gradient_bl.view(-1)[place] = (moved[0] - moved[1]) / (2 * step)
    return gradient_bl


def plain_training_loss(name: str, start_bl: Tensor, end_bl: Tensor, *, weighted: bool) -> float:
    """Return the weighted mean over labelled windows or documents, by loops."""
    groups = [[window] for window in range(6)] if name != "document" else [[0, 1, 2], [3, 4, 5]]
    total = norm = 0.0
    for windows in groups:
        if name == "first_answer":
            (window,) = windows
            first = (GOLD[window] or [(CLS, CLS)])[0]
            sides = [
                minus_log_share([values[first[part]]], values[: LENGTHS[window]])
                for part, values in enumerate((start_bl[window].tolist(), end_bl[window].tolist()))
            ]
            loss = sum(sides) / 2
        else:
            loss = plain_group(start_bl, end_bl, windows)
        weight = WEIGHTS[windows[0]] if weighted else 1.0
        total += weight * loss
        norm += weight
    return total / norm


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
        parts = [
            minus_log_share([float(values[gold])], values[:length].tolist())
            for values, gold in ((start_bl[row], start), (end_bl[row], end))
        ]
        assert float(losses[row]) == pytest.approx(sum(parts) / 2, rel=1e-5)


def test_any_answer_of_each_window_by_hand() -> None:
    start_bl, end_bl = logits(7, 7, scale=3), logits(7, 7, seed=1, scale=3)
    losses = any_answer_loss(start_bl, end_bl, BATCH)
    expected = [plain_group(start_bl, end_bl, [window]) for window in range(6)]
    assert losses.tolist() == pytest.approx([*expected, 0.0], rel=1e-5)
    assert losses[6] == 0
    # With one gold span, or none, it is the first answer's.
    first = first_answer_loss(
        start_bl,
        end_bl,
        BATCH["start_positions"],
        BATCH["end_positions"],
        BATCH["attention_mask"],
    )
    torch.testing.assert_close(losses[1:], first[1:])
    assert losses[0] < first[0]


def test_documents_by_hand() -> None:
    start_bl, end_bl = logits(7, 7, scale=3), logits(7, 7, seed=1, scale=3)
    losses = document_loss(start_bl, end_bl, BATCH)
    expected = [plain_group(start_bl, end_bl, windows) for windows in ([0, 1, 2], [3, 4, 5])]
    assert losses.tolist() == pytest.approx([*expected, 0, 0, 0, 0, 0], rel=1e-5)
    # Windows compete: what a window without the answer scores is the document's loss.
    louder = start_bl.clone()
    louder[1, 3] += 5
    assert document_loss(louder, end_bl, BATCH)[0] > losses[0]
    assert any_answer_loss(louder, end_bl, BATCH)[0] == any_answer_loss(start_bl, end_bl, BATCH)[0]


def test_documents_of_one_window_are_windows() -> None:
    start_bl, end_bl = logits(7, 7), logits(7, 7, seed=1)
    alone = BATCH | {"document_index": torch.arange(7)}
    assert document_loss(start_bl, end_bl, alone).equal(any_answer_loss(start_bl, end_bl, alone))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_mean_and_its_gradients_by_hand(name: str, weighted: bool) -> None:
    start_bl, end_bl = logits(7, 7, scale=2), logits(7, 7, seed=1, scale=2)
    objective = Objective(name=name, confidence_weighting=weighted)

    def plain(starts: Tensor, ends: Tensor) -> float:
        return plain_training_loss(name, starts, ends, weighted=weighted)

    for first, second, swapped in ((start_bl, end_bl, False), (end_bl, start_bl, True)):
        # Starts, then ends: the formula is the same for both but for the gold places.
        leaf = first.clone().requires_grad_()
        pair = (second, leaf) if swapped else (leaf, second)
        loss = objective.training_loss(BATCH, *pair)
        assert loss.item() == pytest.approx(plain(*pair), rel=1e-5)
        loss.backward()
        expected = numeric_gradient(
            (lambda ends, starts: plain(starts, ends)) if swapped else plain, first, second
        )
        torch.testing.assert_close(leaf.grad.double(), expected, rtol=1e-3, atol=1e-5)


def test_label_smoothing_by_hand() -> None:
    start_bl, end_bl = logits(7, 7), logits(7, 7, seed=1)
    objective = Objective(label_smoothing=0.2)

    def plain(starts: Tensor, ends: Tensor) -> float:
        total = 0.0
        for window in range(6):
            first = (GOLD[window] or [(CLS, CLS)])[0]
            for part, values_bl in enumerate((starts, ends)):
                values = values_bl[window, : LENGTHS[window]].tolist()
                for token, value in enumerate(values):
                    target = 0.2 / len(values) + 0.8 * (token == first[part])
                    total += target * minus_log_share([value], values)
        return total / 2 / 6

    leaf = start_bl.clone().requires_grad_()
    loss = objective.training_loss(BATCH, leaf, end_bl)
    assert loss.item() == pytest.approx(plain(start_bl, end_bl), rel=1e-5)
    loss.backward()
    expected = numeric_gradient(plain, start_bl, end_bl)
    torch.testing.assert_close(leaf.grad.double(), expected, rtol=1e-3, atol=1e-5)
    # Without padding it is torch's; evaluation does not smooth.
    golds = torch.tensor([1, 2]), torch.tensor([3, 3])
    whole = torch.ones(2, 7, dtype=torch.long)
    ours = first_answer_loss(start_bl[:2], end_bl[:2], *golds, whole, label_smoothing=0.2)
    theirs = [
        torch.nn.functional.cross_entropy(values, gold, label_smoothing=0.2, reduction="none")
        for values, gold in zip((start_bl[:2], end_bl[:2]), golds, strict=True)
    ]
    torch.testing.assert_close(ours, (theirs[0] + theirs[1]) / 2)
    plainly = Objective().window_losses(BATCH, start_bl, end_bl)
    assert objective.window_losses(BATCH, start_bl, end_bl).equal(plainly)


CHOICES = [{"name": name} for name in OBJECTIVES] + [{"label_smoothing": 0.1}]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_padding_changes_nothing(choice: dict[str, Any]) -> None:
    objective = Objective(**choice)
    start_bl, end_bl = logits(7, 7), logits(7, 7, seed=1)

    def padded(values: Tensor, filler: float) -> Tensor:
        return torch.nn.functional.pad(values, (0, 4), value=filler)

    wide = BATCH | {"attention_mask": padded(BATCH["attention_mask"], 0)}
    wide_start = padded(start_bl, 50.0).requires_grad_()
    filled = wide_start, padded(end_bl, float("nan"))
    alone = objective.window_losses(BATCH, start_bl, end_bl)
    torch.testing.assert_close(alone, objective.window_losses(wide, *filled))
    loss = objective.training_loss(wide, *filled)
    torch.testing.assert_close(loss, objective.training_loss(BATCH, start_bl, end_bl))
    loss.backward()
    assert wide_start.grad.isfinite().all()
    assert not wide_start.grad[:, 7:].any()


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_ignored_windows_cost_and_teach_nothing(choice: dict[str, Any]) -> None:
    objective = Objective(**choice)
    start_bl = logits(7, 7).requires_grad_()
    end_bl = logits(7, 7, seed=1).requires_grad_()
    assert objective.window_losses(BATCH, start_bl, end_bl)[6] == 0
    loss = objective.training_loss(BATCH, start_bl, end_bl)
    loss.backward()
    for leaf in (start_bl, end_bl):
        assert leaf.grad.isfinite().all()
        assert not leaf.grad[6].any()
        assert leaf.grad[:6].any(1).all()
    without = {name: values[:6] for name, values in BATCH.items()}
    torch.testing.assert_close(loss, objective.training_loss(without, start_bl[:6], end_bl[:6]))


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_a_batch_without_labels_still_takes_part_in_a_step(choice: dict[str, Any]) -> None:
    batch = batch_of([None, None], lengths=[5, 4])
    start_bl, end_bl = logits(2, 5).requires_grad_(), logits(2, 5)
    loss = Objective(**choice).training_loss(batch, start_bl, end_bl)
    assert loss == 0
    loss.backward()
    assert not start_bl.grad.any()


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_far_apart_logits_stay_finite(choice: dict[str, Any]) -> None:
    # In half precision, and with a gold place whose probability is nothing in float32.
    start_bl = torch.zeros(7, 7, dtype=torch.bfloat16)
    start_bl[:, 6] = 300.0
    start_bl.requires_grad_()
    loss = Objective(**choice).training_loss(BATCH, start_bl, start_bl)
    assert loss.dtype == torch.float32
    assert 10 < loss.item() < 400
    loss.backward()
    assert start_bl.grad.isfinite().all()


def test_half_precision_logits_are_reckoned_in_float32() -> None:
    start_bl = logits(7, 7).bfloat16()
    for name in OBJECTIVES:
        losses = Objective(name=name).window_losses(BATCH, start_bl, start_bl)
        assert losses.dtype == torch.float32
        exact = Objective(name=name).window_losses(BATCH, start_bl.float(), start_bl.float())
        assert losses.equal(exact)
    assert mask_padding(start_bl, BATCH["attention_mask"]).dtype == torch.float32


def test_the_mean_is_by_weight() -> None:
    losses = torch.tensor([1.0, 3.0, 7.0])
    assert mean_over_processes(losses, torch.tensor([1.0, 1.0, 0.0])) == 2
    assert mean_over_processes(losses, torch.tensor([0.1, 0.3, 0.0])) == pytest.approx(2.5)


@pytest.mark.parametrize("name", ["any_answer", "document"])
def test_evaluation_takes_each_window_alone(name: str) -> None:
    bare = {key: values for key, values in BATCH.items() if key != "document_index"}
    start_bl, end_bl = logits(7, 7), logits(7, 7, seed=1)
    losses = Objective(name=name, confidence_weighting=True).window_losses(bare, start_bl, end_bl)
    assert losses.equal(any_answer_loss(start_bl, end_bl, BATCH))


@pytest.mark.parametrize(
    ("settings", "key", "told"),
    [
        ({"name": "any_answer"}, "gold_start_positions", "all_gold_spans=True"),
        ({"name": "document"}, "gold_end_positions", "all_gold_spans=True"),
        ({"name": "document"}, "document_index", "group_by_document=True"),
        ({"confidence_weighting": True}, "label_weights", "confidence_weighting"),
    ],
)
def test_a_batch_that_lacks_something_is_told(
    settings: dict[str, Any], key: str, told: str
) -> None:
    bare = {name: values for name, values in BATCH.items() if name != key}
    with pytest.raises(InputError, match=rf"`{key}`.*{told}"):
        Objective(**settings).training_loss(bare, logits(7, 7), logits(7, 7))


@pytest.mark.parametrize(
    ("name", "smoothing", "told"),
    [
        ("guess", 0.0, r"model\.objective.*first_answer.*'guess'"),
        ("first_answer", 1.0, r"model\.label_smoothing.*below 1; got 1\.0"),
        ("any_answer", -0.1, r"model\.label_smoothing"),
        ("any_answer", 0.1, r"label_smoothing.*any_answer"),
        ("document", 0.1, r"label_smoothing.*document"),
    ],
)
def test_options_that_cannot_work_are_told(name: str, smoothing: float, told: str) -> None:
    (problem,) = objective_problems({"objective": name, "label_smoothing": smoothing})
    assert re.search(told, problem)
    assert not list(objective_problems({"objective": "first_answer", "label_smoothing": 0.9}))

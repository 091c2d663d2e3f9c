"""Claim: a training step without padding takes a fraction of the reference's.

A Longformer for question answering of base width (768, 12 heads, window 512) with four layers:
forward, backward, clipping and AdamW. Ours: windowed attention, rows padded to the longest of
the batch. Reference: transformers' attention, rows padded to 384, which the model pads to 512.
The demo's small model comes last, where the number of operations counts and not their size.
With an allocator that keeps memory the steps with dropout have to do.
"""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import LongformerConfig, LongformerForQuestionAnswering

from _timing import allocator, interleaved_medians, keeps_memory, print_table, run
from qa_lightning.attention import use_windowed_attention

QUESTION = 16


class Case(NamedTuple):
    """A model, the lengths of a batch's rows, and what the reference pads them to."""

    name: str
    layers: int
    width: int
    heads: int
    window: int
    lengths: tuple[int, ...]
    padded: int
    dropout: float


CASES = (
    Case("base, 2 x 384", 4, 768, 12, 512, (384, 384), 384, 0.0),
    Case("base, 2 x 384", 4, 768, 12, 512, (384, 384), 384, 0.1),
    Case("base, 232 and 240", 4, 768, 12, 512, (232, 240), 384, 0.1),
    Case("demo, 16 x 128", 3, 64, 2, 32, (128,) * 8 + (120,) * 8, 128, 0.0),
    Case("demo, 16 x 128", 3, 64, 2, 32, (128,) * 8 + (120,) * 8, 128, 0.1),
)


def make_model(case: Case, vocabulary: int = 5000) -> LongformerForQuestionAnswering:
    torch.manual_seed(0)
    config = LongformerConfig(
        vocab_size=vocabulary,
        hidden_size=case.width,
        num_hidden_layers=case.layers,
        num_attention_heads=case.heads,
        intermediate_size=4 * case.width,
        attention_window=case.window,
        max_position_embeddings=514,
        attention_probs_dropout_prob=case.dropout,
        hidden_dropout_prob=case.dropout,
        pad_token_id=1,
        type_vocab_size=1,
    )
    return LongformerForQuestionAnswering(config).train()


def make_batch(lengths: tuple[int, ...], padded: int) -> dict[str, Tensor]:
    length_b1 = torch.tensor(lengths)[:, None]
    place_1l = torch.arange(padded)[None, :]
    real_bl = place_1l < length_b1
    global_bl = (place_1l < QUESTION).expand_as(real_bl)
    return {
        "input_ids": torch.randint(5, 5000, real_bl.shape).where(real_bl, 1),
        "attention_mask": real_bl.long(),
        "global_attention_mask": global_bl.long(),
        "start_positions": torch.full((len(lengths),), 30),
        "end_positions": torch.full((len(lengths),), 33),
    }


def step_of(model: LongformerForQuestionAnswering, batch: dict[str, Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0.01, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def compare(case: Case, repeats: int) -> tuple[object, ...]:
    reference = make_model(case)
    ours = use_windowed_attention(copy.deepcopy(reference))
    times = interleaved_medians(
        {
            "theirs": step_of(reference, make_batch(case.lengths, case.padded)),
            "ours": step_of(ours, make_batch(case.lengths, max(case.lengths))),
        },
        repeats=repeats,
    )
    theirs, mine = times["theirs"], times["ours"]
    return case.name, case.dropout, theirs * 1e3, mine * 1e3, theirs / mine


def measure(quick: bool) -> None:
    torch.set_num_threads(1)
    cases = (CASES[1], CASES[-1]) if quick else CASES
    if keeps_memory():
        cases = tuple(case for case in cases if case.dropout)
    print_table(
        f"Training step, {allocator()}",
        ("batch", "dropout", "reference ms", "ours ms", "ratio"),
        [compare(case, repeats=20 if case.width == 64 else 2) for case in cases],
    )


if __name__ == "__main__":
    run(__doc__, measure)

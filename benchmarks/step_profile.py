"""What is left of a training step: its operators, and the floor that matrix products alone take.

A step as in `training_epoch.py`: a Longformer of base width with four layers and the vocabulary
of the AllenAI checkpoints, two windows of the sample's mean length, dropout 0.1, clipping, AdamW.
The reference's step pads them to 384, and its model to 512. The floor is the time of the products
that no exact way can leave out, at the same sizes and on the same thread, and nothing else: for
each linear layer the forward and the gradients of its input and weight, for attention two products
forward and four backward. Reference ÷ floor is a ratio that no implementation reaches.

What is not a product moves memory. For the operators that touch every weight once a step the floor
is the time in which this machine moves their bytes (as `torch.add` of arrays of an embedding's
size does): AdamW reads a weight, its gradient and two moments and writes all but the gradient,
clipping reads the gradients for their norm and reads and writes them to shorten them, and the
gradient of the word embedding, as wide as the vocabulary, is filled with zeros.
"""

import copy
from collections.abc import Callable

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from _timing import allocator, interleaved_medians, print_table, run
from qa_lightning.attention import use_windowed_attention
from training_step import Case, make_batch, make_model, step_of

VOCABULARY = 50_265
CASE = Case("windows of the sample", 4, 768, 12, 512, (285, 285), 384, 0.1)
SHOWN = 12


def products(case: Case) -> Callable[[], None]:
    """Return a call that forms the matrix products of a step, each where its numbers are."""
    rows, length, width = len(case.lengths), max(case.lengths), case.width
    tokens, stacks, head = rows * length, rows * case.heads, width // case.heads
    linear = [(width, width)] * 4 + [(width, 4 * width), (4 * width, width)]
    pairs = []
    for inputs, outputs in linear:
        x, w, y = (torch.randn(s) for s in ((tokens, inputs), (inputs, outputs), (tokens, outputs)))
        pairs += [(x, w, y), (y, w.t(), torch.empty_like(x)), (x.t(), y, torch.empty_like(w))]
    states, square = torch.randn(stacks, length, head), torch.randn(stacks, length, length)
    mixed, scores = torch.empty_like(states), torch.empty_like(square)

    def call() -> None:
        for _ in range(case.layers):
            for left, right, out in pairs:
                torch.mm(left, right, out=out)
            for _ in range(2):  # scores; the gradient of the probabilities
                torch.bmm(states, states.transpose(1, 2), out=scores)
            for _ in range(4):  # contexts; the gradients of queries, keys and values
                torch.bmm(square, states, out=mixed)

    return call


def bytes_a_second(values: int) -> float:
    """Return how fast sums of arrays of so many values move through memory."""
    left, right, total = (torch.ones(values) for _ in range(3))
    times = interleaved_medians({"add": lambda: torch.add(left, right, out=total)}, repeats=5)
    return 3 * values * left.element_size() / times["add"]


def floors(model: nn.Module) -> list[tuple[str, float]]:
    """Return the operators that only move memory, and the ms that this takes at least."""
    weights = sum(p.numel() for p in model.parameters())
    words = VOCABULARY * CASE.width
    moved = {
        "aten::_fused_adamw_": 7 * weights,
        "aten::linalg_vector_norm": weights,
        "aten::mul_ (clipping)": 2 * weights,
        "aten::fill_ (word embedding)": words,
    }
    speed = bytes_a_second(words)
    return [(name, 4 * count / speed * 1e3) for name, count in moved.items()]


def operators(step: Callable[[], None], steps: int) -> list[tuple[str, float]]:
    """Return the operators that take longest: name, and percent of the step."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(steps):
            step()
    events = profiled.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    events = sorted(events, key=lambda event: -event.self_cpu_time_total)
    shown = [(event.key[:48], event.self_cpu_time_total) for event in events[:SHOWN]]
    shown.append(("all others", total - sum(time for _, time in shown)))
    return [(name, 100 * time / total) for name, time in shown]


def measure(quick: bool) -> None:
    torch.set_num_threads(1)
    reference = make_model(CASE, VOCABULARY)
    network = use_windowed_attention(copy.deepcopy(reference))
    ours = step_of(network, make_batch(CASE.lengths, 285))
    times = interleaved_medians(
        {
            "reference, padded": step_of(reference, make_batch(CASE.lengths, CASE.padded)),
            "ours": ours,
            "matrix products alone": products(CASE),
        },
        repeats=1 if quick else 2,
    )
    slowest = times["reference, padded"]
    print_table(
        f"A training step on two windows of 285 tokens, {allocator()}",
        ("way", "ms", "reference ÷ it"),
        [(name, seconds * 1e3, slowest / seconds) for name, seconds in times.items()],
    )
    print_table(
        f"Our step by operator, {allocator()}",
        ("operator", "%"),
        operators(ours, steps=1 if quick else 2),
    )
    print_table(
        f"What moving memory takes at least, {allocator()}",
        ("operator", "ms", "% of our step"),
        [(name, ms, ms / times["ours"] / 10) for name, ms in floors(network)],
    )


if __name__ == "__main__":
    run(__doc__, measure)

"""Claim: in bf16 a step takes a fraction of its time in float32, at every length, and learns alike.

A Longformer of base width with four layers, dropout 0.1, one thread: training steps and forward
passes with `trainer.precision: bf16-mixed` against the same in float32, in turns. The goal is 2.5
where processors multiply bfloat16 (AVX512-BF16, AMX); elsewhere `fit` says that there is no gain.

Then what it costs: the error of the attention's output and gradients against float64, beside
float32's and that of torch's fused kernel (which keeps scores in float32). Last the loss of 200
steps of the demo in both precisions, same weights and same batches.
"""

import copy
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
import yaml
from lightning.pytorch import Callback
from torch import Tensor, nn
from transformers import LongformerForQuestionAnswering

from _timing import allocator, interleaved_medians, keeps_memory, print_table, run
from qa_lightning import fit
from qa_lightning.attention import kernels, use_windowed_attention
from qa_lightning.attention.layout import AttentionLayout
from qa_lightning.processors import has_fast_bfloat16
from training_step import Case, make_batch, make_model

DEMO = Path(__file__).resolve().parents[1] / "configs" / "demo.yaml"
DROPOUT = {"attention_probs_dropout_prob": 0.1, "hidden_dropout_prob": 0.1}
LENGTHS = (285, 512, 1024, 2048, 4096)
STEPS, SHOWN = 200, 25


def make_long_model(length: int) -> LongformerForQuestionAnswering:
    model = make_model(Case("", 4, 768, 12, 512, (length,), length, 0.1))
    positions = nn.Embedding(length + 2, 768, padding_idx=1)
    model.longformer.embeddings.position_embeddings = positions
    return use_windowed_attention(model)


def step(model: LongformerForQuestionAnswering, batch: dict[str, Tensor], casts: bool) -> Callable:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0.01, fused=True)

    def call() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=casts):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return call


def reading(
    model: LongformerForQuestionAnswering, batch: dict[str, Tensor], casts: bool
) -> Callable:
    def call() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=casts):
            model(**batch)

    return call


def speed(length: int) -> tuple[object, ...]:
    rows = 2 if length < 1000 else 1
    model = make_long_model(length)
    batch = make_batch((length,) * rows, length)
    evaluated = copy.deepcopy(model).eval()
    times = interleaved_medians(
        {
            "trained": step(model, batch, False),
            "trained in bf16": step(copy.deepcopy(model), batch, True),
            "read": reading(evaluated, batch, False),
            "read in bf16": reading(evaluated, batch, True),
        },
        repeats=3,
    )
    trained, trained_bf16, read, read_bf16 = times.values()
    ratios = trained / trained_bf16, read / read_bf16
    return f"{rows} x {length}", trained * 1e3, trained_bf16 * 1e3, ratios[0], ratios[1]


def attended(dtype: torch.dtype, length: int, own: bool) -> list[Tensor]:
    """Return the output and the gradients of queries, keys and values, in float64."""
    generator = torch.Generator().manual_seed(0)
    states = [torch.randn(1, length, 768, generator=generator).bfloat16() for _ in range(4)]
    query, key, value = (1.5 * s.to(dtype) for s in states[:3])
    for state in (query, key, value):
        state.requires_grad_()
    place_1l = torch.arange(length)[None]
    layout = AttentionLayout(place_1l >= length - 20, place_1l < 20)
    with mock.patch.object(kernels, "has_own_backward", return_value=own):
        context = kernels.windowed_attention(query, key, value, layout, heads=12, one_sided=256)
    gradients = torch.autograd.grad(context, (query, key, value), states[3].to(dtype))
    return [tensor.detach().double() for tensor in (context, *gradients)]


def errors(length: int) -> list[tuple[object, ...]]:
    exact = attended(torch.float64, length, own=True)
    ways = (
        ("float32", torch.float32, True),
        ("bf16, ours", torch.bfloat16, True),
        ("bf16, torch's fused kernel", torch.bfloat16, False),
    )
    rows: list[tuple[object, ...]] = []
    for name, dtype, own in ways:
        found = attended(dtype, length, own)
        differences = (
            f"{float((a - b).norm() / b.norm()):.1e}" for a, b in zip(found, exact, strict=True)
        )
        rows.append((length, name, *differences))
    return rows


class Losses(Callback):
    """Keep the loss of each batch."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, *args: object) -> None:
        self.values.append(float(args[2]["loss"]))  # type: ignore[index]


def losses(precision: str, steps: int) -> list[float]:
    """Return the training loss of each of the demo's first steps."""
    kept = Losses()
    demo = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    options = {
        "model": {"config": demo["model"]["config"] | DROPOUT},
        "trainer.precision": precision,
        "trainer.max_steps": steps,
        "trainer.limit_val_batches": 0,
        "trainer.logger": False,
        "trainer.callbacks": [],
        "trainer.enable_progress_bar": False,
        "trainer.enable_checkpointing": False,
        "trainer.enable_model_summary": False,
    }
    with tempfile.TemporaryDirectory() as folder:
        fit(config=DEMO, output=folder, options=options, callbacks=[kept])
    return kept.values


def curves(steps: int) -> list[tuple[object, ...]]:
    """Return mean losses of 25 steps each, in float32 and in bf16, and their difference."""
    exact, rounded = losses("32-true", steps), losses("bf16-mixed", steps)
    assert len(exact) == len(rounded) == steps
    rows: list[tuple[object, ...]] = []
    for start in range(0, steps, SHOWN):
        a, b = (statistics.fmean(v[start : start + SHOWN]) for v in (exact, rounded))
        rows.append((f"{start + 1} to {start + SHOWN}", f"{a:.4f}", f"{b:.4f}", f"{b - a:+.4f}"))
    return rows


def measure(quick: bool) -> None:
    torch.set_num_threads(1)
    multiplies = {True: "multiply", False: "do not multiply", None: "may or may not multiply"}
    print_table(
        f"bf16 beside float32, {allocator()}; processors {multiplies[has_fast_bfloat16()]} it",
        ("batch", "step ms, float32", "step ms, bf16", "training: times", "reading: times"),
        [speed(length) for length in (LENGTHS[:1] if quick else LENGTHS)],
    )
    if keeps_memory():
        return
    print_table(
        "Errors of attention, relative, against float64",
        ("tokens", "way", "output", "queries' gradient", "keys'", "values'"),
        [row for length in (600, 4096)[: 1 if quick else 2] for row in errors(length)],
    )
    print_table(
        "Mean loss of the demo's first steps, dropout 0.1",
        ("steps", "float32", "bf16-mixed", "difference"),
        curves(SHOWN if quick else STEPS),
    )


if __name__ == "__main__":
    run(__doc__, measure)

"""What predicting many questions costs, step by step, and what ten million would take.

    python benchmarks/prediction.py
    python benchmarks/prediction.py --questions 1000000 --windows_per_second 2000

The questions and contexts of the machine-translated sample, its tokenizer (Longformer's), windows
of 384 tokens with an overlap of 128, in blocks and parts as `lightning predict` makes them. The
network is a BERT of all-MiniLM-L6-v2's shape (22 million parameters) with random weights: its
pace counts, not its answers. One thread, processor time.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import AutoTokenizer, BertConfig, BertForQuestionAnswering

from _proof import DATA
from _timing import print_table
from qa_lightning.answerer import BlockPlan, DecisionSettings, prediction_loader
from qa_lightning.answerer.deciding import decide, join_candidates
from qa_lightning.answerer.parts import PartFolder, answer_row
from qa_lightning.batches import WindowCollator
from qa_lightning.callbacks.predictions import in_characters
from qa_lightning.candidates import WindowCandidates, window_candidates
from qa_lightning.examples import load_examples
from qa_lightning.features import WindowSettings

BATCH, READ_TIMES, NETWORK_BATCHES = 32, 4, 12
WINDOWS = WindowSettings(max_length=384, doc_stride=128, max_question_length=64)


class Clock:
    """Add up the processor seconds of steps, by their names."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, step: str, call: Callable[[], Any]) -> Any:
        begin = time.process_time()
        result = call()
        self.seconds[step] = self.seconds.get(step, 0.0) + time.process_time() - begin
        return result

    def each(self, step: str, values: Iterator[Any]) -> Iterator[Any]:
        """Yield what an iterator gives, its own time counted."""
        end = object()
        while (value := self.time(step, lambda: next(values, end))) is not end:
            yield value


def examples_of(clock: Clock, folder: Path) -> datasets.Dataset:
    """Write the sample's rows several times over, and read and check them as predict does."""
    sample = load_examples(DATA / "squad_v1_pt_sample.json")
    asked = [sample.remove_columns(["answers"]).with_format("arrow")[:]] * READ_TIMES
    table = pa.concat_tables(asked)
    ids = pa.array(f"q{number}" for number in range(table.num_rows))
    pq.write_table(table.set_column(0, "id", ids), folder / "asked.parquet")
    return clock.time(
        "read", lambda: load_examples(folder / "asked.parquet", with_answers=False)
    ).select(range(len(sample)))


def network_of(vocabulary: int) -> BertForQuestionAnswering:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=vocabulary, hidden_size=384, num_hidden_layers=6,
                        num_attention_heads=12, intermediate_size=1_536)  # fmt: skip
    return BertForQuestionAnswering(config).eval()


def spans(batch: dict[str, torch.Tensor], generator: torch.Generator) -> WindowCandidates:
    """Find the best spans of drawn logits, and their characters."""
    drawn = [torch.randn(batch["input_ids"].shape, generator=generator) for _ in range(2)]
    tokens = window_candidates(
        *drawn,
        context_mask_bl=batch["context_mask"],
        attention_mask_bl=batch["attention_mask"],
        cls_positions_b=batch["cls_positions"],
        feature_index_b=batch["feature_index"],
        n_best=20,
        max_answer_length=30,
    )
    return in_characters(tokens, batch["context_offsets"])


def answer_blocks(examples: datasets.Dataset, clock: Clock, folder: Path) -> dict[str, float]:
    """Answer all questions but for the network's logits; return what was counted."""
    tokenizer = AutoTokenizer.from_pretrained(DATA / "longformer_bpe")
    network, generator = network_of(len(tokenizer)), torch.Generator().manual_seed(0)
    plan, parts = BlockPlan(len(examples), 1_024), PartFolder(folder / "out", "jsonl")
    loader = prediction_loader(
        examples, tokenizer, settings=WINDOWS, collator=WindowCollator.for_tokenizer(tokenizer),
        plan=plan, rank=0, world_size=1, batch_size=BATCH,
    )  # fmt: skip
    found: list[WindowCandidates] = []
    rows: list[np.ndarray] = []
    counted = {"windows": 0.0, "tokens": 0.0, "network's": 0.0, "bytes": 0.0}
    for number, batch in enumerate(clock.each("cut", iter(loader))):
        found.append(clock.time("spans", lambda: spans(batch, generator)))  # noqa: B023
        rows.append(batch["example_index"].numpy())
        counted["windows"] += len(rows[-1])
        counted["tokens"] += int(batch["attention_mask"].sum())
        if number % 11 == 0 and counted["network's"] < NETWORK_BATCHES * BATCH:
            given = {name: batch[name] for name in ("input_ids", "attention_mask")}
            with torch.inference_mode():
                clock.time("network", lambda: network(**given))  # noqa: B023
            counted["network's"] += len(rows[-1])
        if bool(batch["block_ends"]):
            clock.time("decide", lambda: write(examples, plan, parts, batch, found, rows))  # noqa: B023
            found, rows = [], []
    merged = clock.time("join", lambda: parts.merge(plan))
    return counted | {"bytes": float(merged.stat().st_size)}


def write(
    examples: datasets.Dataset,
    plan: BlockPlan,
    parts: PartFolder,
    batch: dict[str, torch.Tensor],
    found: list[WindowCandidates],
    rows: list[np.ndarray],
) -> None:
    """Decide a block's answers and write its part, as the callback of `predict` does."""
    block = plan.rows(int(batch["block"]))
    texts = examples.select(block).select_columns(["id", "context"])
    answers = decide(
        join_candidates(found), np.concatenate(rows) - block.start, texts["context"][:],
        decision=DecisionSettings(), n_best=20,
    )  # fmt: skip
    named = zip(texts["id"][:], answers, strict=True)
    parts.write(int(batch["block"]), [
        answer_row(name, each, n_best=1, knows_no_answer=False) for name, each in named
    ])  # fmt: skip


def hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h" if seconds >= 3600 else f"{seconds / 60:,.1f} min"


def main() -> None:
    """Measure, and multiply."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=10_000_000)
    parser.add_argument("--windows_per_second", type=float, default=500.0, help="of a device")
    parser.add_argument("--limit", type=int, help="questions of the sample; default: all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    clock = Clock()
    with tempfile.TemporaryDirectory() as work:
        examples = examples_of(clock, Path(work))
        read = len(examples) * READ_TIMES
        if options.limit:
            examples = examples.select(range(options.limit))
        counted = answer_blocks(examples, clock, Path(work))
    n, million = len(examples), options.questions / 1e6
    windows, each = counted["windows"] / n, {k: s / n for k, s in clock.seconds.items()}
    each |= {"read": clock.seconds["read"] / read}
    pace = counted["network's"] / clock.seconds["network"]
    print_table(
        f"Each of {n:,} questions",
        ["what", "measured"],
        [
            ["windows", f"{windows:.2f}, of {counted['tokens'] / counted['windows']:.0f} tokens"],
            ["cut and collated (loader's workers), ms", f"{1e3 * each['cut']:.2f}"],
            ["best spans and their characters, ms", f"{1e3 * each['spans']:.2f}"],
            ["merged, decided, written, ms", f"{1e3 * each['decide']:.2f}"],
            ["a line of JSON, one span, bytes", f"{counted['bytes'] / n:.0f}"],
            ["read and checked (once, rank zero), µs", f"{1e6 * each['read']:.1f}"],
            ["parts joined (once, rank zero), µs", f"{1e6 * each['join']:.1f}"],
            ["the network, windows a second of one thread", f"{pace:.1f}"],
        ],
    )
    total, device = options.questions * windows, options.windows_per_second
    own = each["spans"] + each["decide"]
    print_table(
        f"{million:g} million questions",
        ["what", "of it all"],
        [
            ["windows, million", f"{total / 1e6:.1f}"],
            ["tokens, billion", f"{counted['tokens'] / n * options.questions / 1e9:.2f}"],
            *(
                [f"{count} devices of {device:g} windows a second", hours(total / device / count)]
                for count in (1, 8, 64)
            ),
            ["100 threads with the network above", hours(total / pace / 100)],
            ["workers, all together", hours(options.questions * each["cut"])],
            ["a worker keeps up with, windows a second", f"{windows / each['cut']:,.0f}"],
            ["ranks' own processes, all together", hours(options.questions * own)],
            ["a rank keeps up with, windows a second", f"{windows / own:,.0f}"],
            ["files, GB", f"{counted['bytes'] / n * options.questions / 1e9:.1f}"],
            ["parts", f"{-(-options.questions // 1_024):,}"],
            ["read and checked, before the first answer", hours(options.questions * each["read"])],
            ["parts joined", hours(options.questions * each["join"])],
        ],
    )


if __name__ == "__main__":
    main()

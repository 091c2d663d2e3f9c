"""Claim: the time per token stays flat from 1,024 to 16,384 tokens, memory grows at most so.

A Longformer of two layers (256 wide, 4 heads, window 256, position embeddings for 16,384
tokens), forward and backward on one row. Each length runs in a process of its own; what counts
is how far its highest resident memory lies above that before. The plot is of the whole run with the
default allocator; it is written beside this file where matplotlib is installed.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from transformers import LongformerConfig, LongformerModel

from _timing import allocator, keeps_memory, print_table, run
from qa_lightning.attention import use_windowed_attention

LENGTHS = (1024, 2048, 4096, 8192, 16384)
PLOT = Path(__file__).with_suffix(".svg")


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_one(length: int, repeats: int) -> dict[str, float]:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = LongformerConfig(
        vocab_size=1000,
        hidden_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=1024,
        attention_window=256,
        max_position_embeddings=LENGTHS[-1] + 2,
        pad_token_id=1,
    )
    model = use_windowed_attention(LongformerModel(config, add_pooling_layer=False)).train()
    input_ids = torch.randint(5, 1000, (1, length))
    global_mask = (torch.arange(length) < 16).long()[None]
    before, seconds = peak_mb(), []
    for _ in range(repeats + 1):
        start = time.process_time()
        states = model(input_ids, global_attention_mask=global_mask).last_hidden_state
        states.backward(torch.ones_like(states))
        seconds.append(time.process_time() - start)
        del states
    return {"seconds": statistics.median(seconds[1:]), "megabytes": peak_mb() - before}


def in_own_process(length: int, repeats: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--length", str(length), str(repeats)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(quick: bool) -> None:
    lengths = LENGTHS[:3] if quick else LENGTHS
    results = [in_own_process(length, repeats=2) for length in lengths]
    rows = [
        (
            f"{length:,}",
            result["seconds"],
            result["seconds"] / length * 1e6,
            result["megabytes"],
            result["megabytes"] / length * 1024,
        )
        for length, result in zip(lengths, results, strict=True)
    ]
    print_table(
        f"Length scaling, {allocator()}",
        ("tokens", "seconds", "us per token", "peak MB", "KB per token"),
        rows,
    )
    if not (quick or keeps_memory()):
        plot(lengths, rows)


def plot(lengths: tuple[int, ...], rows: list[tuple[object, ...]]) -> None:
    try:
        from matplotlib import pyplot
    except ImportError:
        print("\nNo plot: matplotlib is not installed.")
        return
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.5))
    for axis, column, title in zip(axes, (2, 3), ("µs per token", "peak MB"), strict=True):
        axis.plot(lengths, [row[column] for row in rows], marker="o")
        axis.set(xlabel="tokens", title=title, ylim=(0, None))
    figure.tight_layout()
    figure.savefig(PLOT, metadata={"Date": None})
    print(f"\n![Time per token and peak memory against length]({PLOT.name})", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--length"]:
        print(json.dumps(measure_one(int(sys.argv[2]), int(sys.argv[3]))))
    else:
        run(__doc__, measure)

"""Claim: what training takes can be told beforehand, for three sizes of Longformer.

Each size trains alone in a process, so that its peak of memory is its own: forward, backward,
clipping and AdamW, on the demo's windows (16 of 128 tokens) or on two of 384, as
`configs/squad_v1_pt.yaml` has them. With `--device cuda` memory is what the device's allocator
took at most.
"""

import argparse
import resource
import subprocess
import sys
import time

import torch
from transformers import LongformerConfig, LongformerForQuestionAnswering

from _timing import table
from qa_lightning.attention import use_windowed_attention
from training_step import make_batch

SIZES = {
    # name: layers, width, heads, window, vocabulary, windows, tokens
    "demo": (3, 64, 2, 32, 4_000, 16, 128),
    "base": (12, 768, 12, 512, 50_265, 2, 384),
    "large": (24, 1_024, 16, 512, 50_265, 2, 384),
}


def train(name: str, device: str, steps: int) -> tuple[int, float, float]:
    """Train one size; return its parameters, seconds a step, and peak of memory in GB."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    layers, width, heads, window, vocabulary, windows, tokens = SIZES[name]
    config = LongformerConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=(2 if name == "demo" else 4) * width,
        attention_window=window,
        max_position_embeddings=4_098,
        pad_token_id=1,
        type_vocab_size=1,
    )
    network = use_windowed_attention(LongformerForQuestionAnswering(config)).to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6, fused=True)
    batch = {
        key: value.to(device) for key, value in make_batch((tokens,) * windows, tokens).items()
    }
    batch["input_ids"] %= vocabulary
    seconds = []
    for _ in range(steps + 1):
        begin = time.perf_counter() if device == "cuda" else time.process_time()
        optimizer.zero_grad(set_to_none=True)
        network(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append((time.perf_counter() if device == "cuda" else time.process_time()) - begin)
    peak = (
        torch.cuda.max_memory_allocated() / 1e9
        if device == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    )
    return sum(p.numel() for p in network.parameters()), sorted(seconds[1:])[steps // 2], peak


def main() -> None:
    """Print the table, or train the one size that was named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=list(SIZES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=3)
    given = parser.parse_args()
    if given.size:
        print(*train(given.size, given.device, given.steps))
        return
    rows = []
    for name, (*_, windows, tokens) in SIZES.items():
        options = ["--size", name, "--device", given.device, "--steps", str(given.steps)]
        command = [sys.executable, __file__, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        parameters, seconds, peak = map(float, done.stdout.split())
        batch = f"{windows} x {tokens}"
        thousand = 1000 / windows * seconds / 60
        rows.append((name, f"{parameters / 1e6:.1f}", batch, seconds, thousand, peak))
    heads = ("size", "million parameters", "batch", "seconds a step", "minutes per 1,000", "GB")
    print(table(f"Training on {given.device}, one thread", heads, rows))


if __name__ == "__main__":
    main()

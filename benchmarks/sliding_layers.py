"""Claim: ModernBERT's sliding layers attend several times faster than by transformers' own way.

Queries, keys and values of base size (12 heads of 64, 64 tokens seen on either side), no padding:
transformers' SDPA under its mask against our blocks, in turns, inference and training; then a
whole ModernBERT of three layers, one full and two sliding. `make bench` runs this file; so does
`python benchmarks/sliding_layers.py [--quick]`.
"""

import torch
from torch import Tensor
from transformers import ModernBertConfig, ModernBertModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask, sliding_window_bidirectional_mask_function

from _timing import interleaved_medians, print_table, run
from qa_lightning.attention import use_reference_attention, use_windowed_attention
from qa_lightning.attention.sliding import attend, padding_layout

HEADS, WIDTH, SEEN = 12, 64, 64
LENGTHS = (512, 1024, 4096)
HEADER = ("tokens", "what", "transformers (s)", "ours (s)", "times as fast", "difference")


def layer_rows(length: int, *, repeats: int) -> list[tuple[object, ...]]:
    torch.manual_seed(0)
    states = [torch.randn(1, HEADS, length, WIDTH) for _ in range(3)]
    band = sliding_window_bidirectional_mask_function(SEEN)
    mask = sdpa_mask(1, length, length, mask_function=band, allow_is_causal_skip=False)
    layout = padding_layout(batch_size=1, kv_length=length)
    module = torch.nn.Module()

    def theirs() -> Tensor:
        return sdpa_attention_forward(module, *states, mask, scaling=WIDTH**-0.5)[0]

    def ours() -> Tensor:
        return attend(module, *states, layout, scaling=WIDTH**-0.5, sliding_window=SEEN + 1)[0]

    rows = []
    for what in ("inference", "training"):
        training = what == "training"
        for state in states:
            state.requires_grad_(training)

        def call(way: object, training: bool = training) -> None:
            context = way()  # type: ignore[operator]
            if training:
                context.sum().backward()

        with torch.set_grad_enabled(training):
            difference = float((theirs() - ours()).detach().abs().max())
            taken = interleaved_medians(
                {"theirs": lambda: call(theirs), "ours": lambda: call(ours)}, repeats=repeats
            )
        ratio = taken["theirs"] / taken["ours"]
        rows.append((length, what, taken["theirs"], taken["ours"], ratio, f"{difference:.0e}"))
    return rows


def network_row(length: int, *, repeats: int) -> tuple[object, ...]:
    torch.manual_seed(0)
    config = ModernBertConfig(vocab_size=1000, num_hidden_layers=3, pad_token_id=0)
    networks = {"theirs": ModernBertModel(config).eval()}
    networks["ours"] = ModernBertModel(ModernBertConfig(**config.to_diff_dict())).eval()
    networks["ours"].load_state_dict(networks["theirs"].state_dict())
    use_reference_attention(networks["theirs"])
    use_windowed_attention(networks["ours"])
    ids = torch.randint(5, 1000, (1, length))
    with torch.inference_mode():
        states = {name: network(ids).last_hidden_state for name, network in networks.items()}
        taken = interleaved_medians(
            {name: lambda network=network: network(ids) for name, network in networks.items()},
            repeats=repeats,
        )
    difference = float((states["theirs"] - states["ours"]).abs().max())
    ratio = taken["theirs"] / taken["ours"]
    return length, "3 layers", taken["theirs"], taken["ours"], ratio, f"{difference:.0e}"


def main(quick: bool) -> None:
    rows = []
    for length in LENGTHS[-1:] if quick else LENGTHS:
        rows += layer_rows(length, repeats=3)
        rows.append(network_row(length, repeats=3))
    print_table("Sliding attention of ModernBERT, one thread, float32", HEADER, rows)


if __name__ == "__main__":
    run(__doc__, main)

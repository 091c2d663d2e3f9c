"""Claim: the attention layer is several times faster than the reference, and keeps less.

One LongformerSelfAttention of base size (768 wide, 12 heads, window 512), forward and backward,
sixteen global tokens a row. The reference gets what it would get inside its model: rows padded
to a multiple of the window. `make bench` runs this file; so does
`python benchmarks/attention_layer.py [--quick]`.
"""

import copy
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import LongformerConfig
from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

from _timing import allocator, interleaved_medians, print_table, run
from qa_lightning.attention import use_windowed_attention

WINDOW, WIDTH, GLOBALS = 512, 768, 16
SIZES = ((2, 384), (1, 512), (1, 1024), (1, 2048), (1, 4096))


class Layer(NamedTuple):
    """A layer and its input; what stands behind the length is padding."""

    module: LongformerSelfAttention
    states_ble: Tensor
    mask_bl: Tensor

    def forward(self) -> Tensor:
        return self.module(
            self.states_ble,
            attention_mask=self.mask_bl,
            is_index_masked=self.mask_bl < 0,
            is_index_global_attn=self.mask_bl > 0,
            is_global_attn=True,
        )[0]

    def step(self) -> None:
        self.states_ble.grad = None
        self.module.zero_grad(set_to_none=True)
        context_ble = self.forward()
        context_ble.backward(torch.ones_like(context_ble))

    def bytes_kept(self) -> int:
        """Return the bytes kept for the backward beside the weights and the input."""
        given = {p.untyped_storage().data_ptr() for p in self.module.parameters()}
        given.add(self.states_ble.untyped_storage().data_ptr())
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in given:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            alive = self.forward()
        del alive
        return sum(kept.values())


def layer(module: LongformerSelfAttention, rows: int, length: int, padded: int) -> Layer:
    mask_bl = torch.zeros(rows, padded)
    mask_bl[:, :GLOBALS] = 1e30
    mask_bl[:, length:] = -1e30
    return Layer(module, torch.randn(rows, padded, WIDTH, requires_grad=True), mask_bl)


def compare(rows: int, length: int, dropout: float, repeats: int) -> tuple[object, ...]:
    config = LongformerConfig(
        attention_window=[WINDOW], num_hidden_layers=1, attention_probs_dropout_prob=dropout
    )
    torch.manual_seed(0)
    reference = LongformerSelfAttention(config, 0)
    padded = -(-length // WINDOW) * WINDOW
    theirs = layer(reference, rows, length, padded)
    ours = layer(use_windowed_attention(copy.deepcopy(reference)), rows, length, length)
    times = interleaved_medians({"theirs": theirs.step, "ours": ours.step}, repeats=repeats)
    kept = theirs.bytes_kept() / 1e6, ours.bytes_kept() / 1e6
    return (
        f"{rows} x {length:,}",
        dropout,
        times["theirs"] * 1e3,
        times["ours"] * 1e3,
        times["theirs"] / times["ours"],
        *kept,
        kept[0] / kept[1],
    )


def measure(quick: bool) -> None:
    torch.set_num_threads(1)
    cases = [(rows, length, 0.0) for rows, length in (SIZES[:3] if quick else SIZES)]
    if not quick:
        cases += [(2, 384, 0.1), (1, 1024, 0.1)]
    table = [compare(rows, length, dropout, repeats=2) for rows, length, dropout in cases]
    print_table(
        f"Attention layer, forward and backward, {allocator()}",
        ("tokens", "dropout", "reference ms", "ours ms", "ratio", "kept MB", "ours MB", "ratio"),
        table,
    )


if __name__ == "__main__":
    run(__doc__, measure)

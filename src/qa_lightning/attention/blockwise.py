"""Windowed attention on the CPU, block of queries by block, with a backward of its own.

Autograd would keep copies of keys, values and probabilities for every block. Here a block's
scores are formed from views of the keys and formed again in the backward: what is kept is the
queries, keys and values alone.

Axes: b rows, h heads, x = b * h, l tokens, d width of a head, e = h * d, q queries of a block,
g global columns, s keys of a block, c = g + s.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.amp import custom_bwd, custom_fwd

from qa_lightning.attention.blocks import Block, block_mask, blocks_of
from qa_lightning.attention.dropping import Dropper
from qa_lightning.attention.layout import AttentionLayout

_MOST_BLOCKS: ContextVar[int | None] = ContextVar("most_blocks", default=None)


@contextmanager
def few_blocks() -> Iterator[None]:
    """Compute two blocks of each row alone: enough where memory counts and numbers do not."""
    token = _MOST_BLOCKS.set(2)
    try:
        yield
    finally:
        _MOST_BLOCKS.reset(token)


class Keys(NamedTuple):
    """Something per key (keys, values, or their gradients), and the same of the global keys."""

    all_xld: Tensor
    column_xgd: Tensor

    def sums(self) -> "Keys":
        """Return zeros to add to, in float32 at least: a block's share of 16 bits gets lost."""
        dtype = torch.promote_types(self.all_xld.dtype, torch.float32)
        return Keys(*(torch.zeros_like(states, dtype=dtype) for states in self))

    def scores(self, query_xqd: Tensor, block: Block) -> Tensor:
        """Return the product of queries and the block's keys, [x, q, c]."""
        shape = (*query_xqd.shape[:2], block.width)
        scores_xqc = torch.empty(shape, dtype=query_xqd.dtype)
        near_xds = self.all_xld[:, block.low : block.high].transpose(1, 2)
        torch.bmm(query_xqd, near_xds, out=scores_xqc[:, :, block.columns :])
        if block.columns:
            column_xdg = self.column_xgd.transpose(1, 2)
            torch.bmm(query_xqd, column_xdg, out=scores_xqc[:, :, : block.columns])
        return scores_xqc

    def mix(self, weights_xqc: Tensor, block: Block) -> Tensor:
        """Return the block's keys weighted for each query, [x, q, d]."""
        near_xsd = self.all_xld[:, block.low : block.high]
        mixed_xqd = torch.bmm(weights_xqc[:, :, block.columns :], near_xsd)
        if block.columns:
            mixed_xqd.baddbmm_(weights_xqc[:, :, : block.columns], self.column_xgd)
        return mixed_xqd

    def add(self, weights_xqc: Tensor, query_xqd: Tensor, block: Block) -> None:
        """Add to each of the block's keys what its queries give it."""
        weights_xcq = weights_xqc.transpose(1, 2)
        near_xsd = self.all_xld[:, block.low : block.high]
        if near_xsd.dtype == query_xqd.dtype:
            near_xsd.baddbmm_(weights_xcq[:, block.columns :], query_xqd)
            if block.columns:
                self.column_xgd.baddbmm_(weights_xcq[:, : block.columns], query_xqd)
            return
        given_xcd = torch.bmm(weights_xcq, query_xqd)
        near_xsd.add_(given_xcd[:, block.columns :])
        if block.columns:
            self.column_xgd.add_(given_xcd[:, : block.columns])


class Plan:
    """Bind a layer's settings to a batch: blocks, masks, and the way between axes."""

    def __init__(self, layout: AttentionLayout, *, heads: int, one_sided: int) -> None:
        self.layout = layout
        self.heads = heads
        self.one_sided = one_sided

    def blocks(self) -> Iterator[Block]:
        """Cut the queries into blocks."""
        blocks = blocks_of(self.layout, heads=self.heads, one_sided=self.one_sided)
        return islice(blocks, _MOST_BLOCKS.get())

    def by_head(self, states_ble: Tensor, scale: float = 1.0) -> Tensor:
        """Copy [b, l, e] to [b * h, l, d], multiplied by ``scale``."""
        rows, length, width = states_ble.shape
        states_bhld = states_ble.view(rows, length, self.heads, -1).transpose(1, 2)
        copied_bhld = torch.empty(states_bhld.shape, dtype=states_ble.dtype)
        torch.mul(states_bhld, scale, out=copied_bhld)
        return copied_bhld.view(rows * self.heads, length, width // self.heads)

    def put(self, into_ble: Tensor, block: Block, states_xqd: Tensor) -> None:
        """Copy a block's [b * h, q, d] to its place in [b, l, e]."""
        rows, _, width = into_ble.shape
        into_bqe = into_ble[:, block.start : block.stop]
        into_bqhd = into_bqe.unflatten(2, (self.heads, width // self.heads))  # type: ignore[no-untyped-call]
        into_bqhd.copy_(states_xqd.view(rows, self.heads, *states_xqd.shape[1:]).transpose(1, 2))

    def keys(self, states_xld: Tensor) -> Keys:
        """Gather the global columns of keys or values."""
        return Keys(states_xld, states_xld.gather(1, self._columns(states_xld)))

    def join(self, grads: Keys, dtype: torch.dtype) -> Tensor:
        """Add the columns' gradients to their keys', and return them as [b, l, e]."""
        grad_xld = grads.all_xld
        grad_xld.scatter_add_(1, self._columns(grad_xld), grads.column_xgd)
        stacks, length, _ = grad_xld.shape
        grad_bhld = grad_xld.view(stacks // self.heads, self.heads, length, -1)
        return grad_bhld.transpose(1, 2).flatten(2).to(dtype)

    def _columns(self, states_xld: Tensor) -> Tensor:
        index_xg = self.layout.global_index_bg.repeat_interleave(self.heads, dim=0)
        return index_xg[:, :, None].expand(-1, -1, states_xld.shape[2])

    def probabilities(self, query_xld: Tensor, keys: Keys, block: Block) -> Tensor:
        """Return the softmax of a block's masked scores, [x, q, c]."""
        dtype, one_sided = query_xld.dtype, self.one_sided
        mask_b1qc = self.layout.mask(
            (block, one_sided, dtype), lambda: block_mask(self.layout, block, one_sided, dtype)
        )
        scores_xqc = keys.scores(query_xld[:, block.start : block.stop], block)
        scores_xqc.view(-1, self.heads, *scores_xqc.shape[1:]).add_(mask_b1qc)
        return torch.softmax(scores_xqc, dim=-1)


class BlockwiseAttention(torch.autograd.Function):
    """Attend within the window and to the global columns; rows of padding give zeros."""

    @staticmethod
    @custom_fwd(device_type="cpu", cast_inputs=torch.bfloat16)  # type: ignore[untyped-decorator]
    def forward(
        ctx: Any,
        query_ble: Tensor,
        key_ble: Tensor,
        value_ble: Tensor,
        plan: Plan,
        dropout: float,
    ) -> Tensor:
        """Return the context of each query, [b, l, e]."""
        ctx.plan, ctx.dropper = plan, Dropper(dropout)
        ctx.scale = (query_ble.shape[2] // plan.heads) ** -0.5
        query_xld = plan.by_head(query_ble, ctx.scale)
        key_xld, value_xld = plan.by_head(key_ble), plan.by_head(value_ble)
        ctx.save_for_backward(query_xld, key_xld, value_xld)
        keys, values = plan.keys(key_xld), plan.keys(value_xld)
        context_ble = torch.empty_like(query_ble)
        ctx.dropper.restart()
        for block in plan.blocks():
            probs_xqc = plan.probabilities(query_xld, keys, block)
            if dropout:
                probs_xqc.mul_(ctx.dropper.keep(probs_xqc))
            plan.put(context_ble, block, values.mix(probs_xqc, block))
        return _cleared(context_ble, plan, ctx.dropper)

    @staticmethod
    @custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad_ble: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of queries, keys and values."""
        plan: Plan = ctx.plan
        query_xld, key_xld, value_xld = ctx.saved_tensors
        keys, values = plan.keys(key_xld), plan.keys(value_xld)
        grad_keys, grad_values = keys.sums(), values.sums()
        grad_xld = plan.by_head(_cleared(grad_ble.clone(), plan, ctx.dropper))
        grad_query_ble = torch.empty_like(grad_ble, memory_format=torch.contiguous_format)
        ctx.dropper.restart()
        for block in plan.blocks():
            query_xqd, grad_xqd = (t[:, block.start : block.stop] for t in (query_xld, grad_xld))
            probs_xqc = plan.probabilities(query_xld, keys, block)
            kept_xqc = probs_xqc
            if ctx.dropper.threshold:
                kept_xqc = probs_xqc * ctx.dropper.keep(probs_xqc)
            grad_values.add(kept_xqc, grad_xqd, block)
            slope_xqc = _through_softmax(probs_xqc, kept_xqc, values.scores(grad_xqd, block))
            plan.put(grad_query_ble, block, keys.mix(slope_xqc, block))
            grad_keys.add(slope_xqc, query_xqd, block)
        grad_query_ble.mul_(ctx.scale)
        dtype = grad_ble.dtype
        grad_key_ble, grad_value_ble = (
            plan.join(grads, dtype) for grads in (grad_keys, grad_values)
        )
        return grad_query_ble, grad_key_ble, grad_value_ble, None, None


def _cleared(context_ble: Tensor, plan: Plan, dropper: Dropper) -> Tensor:
    if dropper.threshold:
        context_ble.mul_(dropper.scale)
    return context_ble.masked_fill_(plan.layout.padding_bl[..., None], 0.0)


def _through_softmax(probs_xqc: Tensor, kept_xqc: Tensor, grad_xqc: Tensor) -> Tensor:
    """Turn the gradient of the kept probabilities into that of the scores, in place."""
    grad_xqc.mul_(kept_xqc)
    return grad_xqc.addcmul_(probs_xqc, grad_xqc.sum(dim=-1, keepdim=True), value=-1)

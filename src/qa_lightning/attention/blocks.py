"""Which queries meet which keys in windowed attention done block by block."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from qa_lightning.attention.layout import AttentionLayout, additive

# Scores of one block, all rows and heads: 2 MB in float32. More of them leave the cache, fewer
# mean more and smaller products; measured at 384 to 2,048 tokens.
SCORES_IN_CACHE = 2**19
SHORTEST_BLOCK = 32


class Block(NamedTuple):
    """Queries [start, stop) and the keys [low, high) that their windows reach.

    ``columns`` global keys come before those keys; 0 where the keys are the whole sequence.
    """

    start: int
    stop: int
    low: int
    high: int
    columns: int

    @property
    def width(self) -> int:
        """Return the number of scores of a query."""
        return self.columns + self.high - self.low


def block_length(length: int, *, stacks: int, one_sided: int) -> int:
    """Return how many queries a block takes, for ``stacks`` rows times heads."""
    reach = min(length, 2 * one_sided + SHORTEST_BLOCK)
    fitting = SCORES_IN_CACHE // (stacks * reach)
    if length <= 2 * fitting:
        return length
    return max(SHORTEST_BLOCK, fitting // SHORTEST_BLOCK * SHORTEST_BLOCK)


def blocks_of(layout: AttentionLayout, *, heads: int, one_sided: int) -> Iterator[Block]:
    """Cut the queries into blocks, and give each its keys."""
    rows, length = layout.padding_bl.shape
    step = block_length(length, stacks=rows * heads, one_sided=one_sided)
    for start in range(0, length, step):
        stop = min(start + step, length)
        low, high = max(start - one_sided, 0), min(stop + one_sided, length)
        if high - low + layout.global_count >= length:
            yield Block(start, stop, 0, length, 0)
        else:
            yield Block(start, stop, low, high, layout.global_count)


def block_mask(layout: AttentionLayout, block: Block, one_sided: int, dtype: torch.dtype) -> Tensor:
    """Return what is added to a block's scores, [b, 1, q, columns + keys]."""
    query_q = torch.arange(block.start, block.stop)
    key_s = torch.arange(block.low, block.high)
    near_qs = (query_q[:, None] - key_s[None, :]).abs() <= one_sided
    global_b1s = layout.global_bl[:, None, block.low : block.high]
    real_b1s = ~layout.padding_bl[:, None, block.low : block.high]
    if block.columns:
        allowed_bqs = near_qs & real_b1s & ~global_b1s
        column_bqg = layout.global_valid_bg[:, None, :].expand(-1, len(query_q), -1)
        allowed_bqs = torch.cat((column_bqg, allowed_bqs), dim=2)
    else:
        allowed_bqs = (near_qs | global_b1s) & real_b1s
    return additive(allowed_bqs, dtype).unsqueeze(1)

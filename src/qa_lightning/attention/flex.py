"""The same attention by ``torch.nn.attention.flex_attention``, meant for CUDA."""

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.utils import logging

from qa_lightning.attention.global_rows import by_head
from qa_lightning.attention.kernels import windowed_attention, zero_padding
from qa_lightning.attention.layers import WindowedSelfAttention
from qa_lightning.attention.layout import AttentionLayout

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

logger = logging.get_logger(__name__)

FALLBACK_WARNING = (
    "`attention: flex` has no dropout of attention weights, and no gradients on the CPU: such "
    "steps use windowed attention. Set `attention_probs_dropout_prob` to 0, or "
    "`attention: windowed`."
)


def flex_windowed_attention(
    query_ble: Tensor,
    key_ble: Tensor,
    value_ble: Tensor,
    layout: AttentionLayout,
    *,
    heads: int,
    one_sided: int,
    dropout: float = 0.0,
) -> Tensor:
    """Attend as ``windowed_attention`` does, skipping blocks of pairs that are all masked."""
    on_cpu = query_ble.device.type == "cpu"
    if dropout or (on_cpu and torch.is_grad_enabled() and query_ble.requires_grad):
        logger.warning_once(FALLBACK_WARNING)
        return windowed_attention(
            query_ble,
            key_ble,
            value_ble,
            layout,
            heads=heads,
            one_sided=one_sided,
            dropout=dropout,
        )
    context_bhld = _kernel(on_cpu)(
        by_head(query_ble, heads),
        by_head(key_ble, heads),
        by_head(value_ble, heads),
        block_mask=layout.mask(("flex", one_sided), lambda: flex_mask(layout, one_sided)),
    )
    return zero_padding(context_bhld, layout).transpose(1, 2).flatten(2)


def flex_mask(layout: AttentionLayout, one_sided: int) -> "BlockMask":
    """Return who attends to whom as flex's own block mask."""
    from torch.nn.attention.flex_attention import create_block_mask

    real_bl, global_bl = ~layout.padding_bl, layout.global_bl

    def allowed(row: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        near = (query - key).abs() <= one_sided
        return (near | global_bl[row, key]) & real_bl[row, key] & real_bl[row, query]

    rows, length = real_bl.shape
    return create_block_mask(allowed, rows, None, length, length, device=real_bl.device.type)


@cache
def _kernel(on_cpu: bool) -> Any:
    """Return the kernel: compiled on a GPU; eager, for checking, on the CPU."""
    from torch.nn.attention.flex_attention import flex_attention

    return flex_attention if on_cpu else torch.compile(flex_attention, dynamic=True)


class FlexSelfAttention(WindowedSelfAttention):
    """Compute ``LongformerSelfAttention`` with flex_attention in place of masked products."""

    kernel = staticmethod(flex_windowed_attention)

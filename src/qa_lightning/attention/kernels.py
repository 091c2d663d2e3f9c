"""Attention within a window plus global columns, by ``scaled_dot_product_attention``.

Axes: b rows, h heads, l tokens, d width of a head, n blocks, q queries of a block, s keys of a
block, g global columns.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from qa_lightning.attention.blockwise import BlockwiseAttention, Plan
from qa_lightning.attention.global_rows import by_head
from qa_lightning.attention.graphs import graph_bounds
from qa_lightning.attention.layout import AttentionLayout, additive, is_traced

# Below, one masked square is cheaper than blocks whatever the window.
DENSE_LENGTH = 512
BLOCK_LENGTH = 128


def windowed_attention(
    query_ble: Tensor,
    key_ble: Tensor,
    value_ble: Tensor,
    layout: AttentionLayout,
    *,
    heads: int,
    one_sided: int,
    dropout: float = 0.0,
) -> Tensor:
    """Attend to the keys within ``one_sided`` tokens and to all global keys.

    Padding neither attends (its rows are zero) nor is attended to. The rows of global tokens
    hold nothing of use: they are for the caller to replace.

    Returns:
        The context, [b, l, e].
    """
    bounds = graph_bounds()
    if bounds is None and has_own_backward(query_ble, dropout):
        plan = Plan(layout, heads=heads, one_sided=one_sided)
        context_ble: Tensor = BlockwiseAttention.apply(  # type: ignore[no-untyped-call]
            query_ble, key_ble, value_ble, plan, dropout
        )
        return context_ble
    length = query_ble.shape[1] if bounds is None else bounds.length
    attend = dense if length <= max(3 * one_sided, DENSE_LENGTH) else blockwise
    context_bhld = attend(
        by_head(query_ble, heads),
        by_head(key_ble, heads),
        by_head(value_ble, heads),
        layout,
        one_sided=one_sided,
        dropout=dropout,
    )
    return zero_padding(context_bhld, layout).transpose(1, 2).flatten(2)


def has_own_backward(query_ble: Tensor, dropout: float) -> bool:
    """Tell whether the CPU's own way applies: long rows, and dropout at any length.

    Without dropout one call of SDPA's fused kernel is best for a short row. Compiled, exported
    and traced graphs and float16 always go by SDPA.
    """
    casts = torch.is_autocast_enabled("cpu")
    dtype = torch.get_autocast_dtype("cpu") if casts else query_ble.dtype
    return (
        query_ble.device.type == "cpu"
        and dtype in {torch.float32, torch.float64, torch.bfloat16}
        and (dropout > 0.0 or query_ble.shape[1] > DENSE_LENGTH)
        and not (torch.compiler.is_compiling() or is_traced())
    )


def zero_padding(context_bhld: Tensor, layout: AttentionLayout) -> Tensor:
    """Clear the rows of padding, which the kernels leave undefined (see ``additive``)."""
    return context_bhld.masked_fill(layout.padding_bl[:, None, :, None], 0.0)


def dense(
    query_bhld: Tensor,
    key_bhld: Tensor,
    value_bhld: Tensor,
    layout: AttentionLayout,
    *,
    one_sided: int,
    dropout: float,
) -> Tensor:
    """Attend by one masked square of all queries and all keys."""
    dtype = query_bhld.dtype
    mask_b1ll = layout.mask(
        ("dense", one_sided, dtype), lambda: dense_mask(layout, one_sided=one_sided, dtype=dtype)
    )
    return F.scaled_dot_product_attention(
        query_bhld, key_bhld, value_bhld, attn_mask=mask_b1ll, dropout_p=dropout
    )


def dense_mask(layout: AttentionLayout, *, one_sided: int, dtype: torch.dtype) -> Tensor:
    """Return the additive mask of all pairs of tokens, [b, 1, l, l]."""
    length = layout.padding_bl.shape[1]
    place_l = torch.arange(length, device=layout.padding_bl.device)
    band_ll = (place_l[:, None] - place_l[None, :]).abs() <= one_sided
    real_bl = ~layout.padding_bl
    near_bll = band_ll | layout.global_bl[:, None, :]
    allowed_bll = near_bll & real_bl[:, None, :] & real_bl[:, :, None]
    return additive(allowed_bll, dtype).unsqueeze(1)


def blockwise(
    query_bhld: Tensor,
    key_bhld: Tensor,
    value_bhld: Tensor,
    layout: AttentionLayout,
    *,
    one_sided: int,
    dropout: float,
) -> Tensor:
    """Attend block of queries by block: its global columns, then the keys around it."""
    rows, heads, length, width = query_bhld.shape
    blocks = (length + BLOCK_LENGTH - 1) // BLOCK_LENGTH  # exporters divide towards zero
    query_bhld = F.pad(query_bhld, (0, 0, 0, blocks * BLOCK_LENGTH - length))
    query_bhnqd = query_bhld.view(rows, heads, blocks, BLOCK_LENGTH, width)
    query_xhqd = query_bhnqd.transpose(1, 2).flatten(0, 1)
    dtype = query_bhld.dtype
    mask_x1qs = layout.mask(
        ("block", one_sided, dtype), lambda: block_mask(layout, one_sided=one_sided, dtype=dtype)
    )
    context_xhqd = F.scaled_dot_product_attention(
        query_xhqd,
        gather_keys(key_bhld, layout, blocks=blocks, one_sided=one_sided),
        gather_keys(value_bhld, layout, blocks=blocks, one_sided=one_sided),
        attn_mask=mask_x1qs,
        dropout_p=dropout,
    )
    context_bnhqd = context_xhqd.view(rows, blocks, heads, BLOCK_LENGTH, width)
    context_bhld = context_bnhqd.transpose(1, 2).reshape(rows, heads, -1, width)
    return context_bhld[:, :, :length]


def gather_keys(
    key_bhld: Tensor, layout: AttentionLayout, *, blocks: int, one_sided: int
) -> Tensor:
    """Return each block's global and neighbouring keys, [b * n, h, g + s, d]."""
    span_bnhsd = spans(key_bhld, dim=2, blocks=blocks, one_sided=one_sided)
    span_bnhsd = span_bnhsd.permute(0, 2, 1, 4, 3)
    column_bhgd = select_tokens(key_bhld, layout)
    column_bnhgd = column_bhgd.unsqueeze(1).expand(-1, blocks, -1, -1, -1)
    return torch.cat((column_bnhgd, span_bnhsd), dim=3).flatten(0, 1)


def select_tokens(key_bhld: Tensor, layout: AttentionLayout) -> Tensor:
    """Return the keys of the global tokens, [b, h, g, d]."""
    rows, heads, _, width = key_bhld.shape
    index_bhgd = layout.global_index_bg[:, None, :, None].expand(rows, heads, -1, width)
    return key_bhld.gather(2, index_bhgd)


def spans(tokens: Tensor, *, dim: int, blocks: int, one_sided: int) -> Tensor:
    """Cut a dimension into the overlapping keys of each block, zeros outside the sequence."""
    missing = blocks * BLOCK_LENGTH - tokens.shape[dim]
    padding = [0, 0] * (tokens.dim() - 1 - dim) + [one_sided, one_sided + missing]
    return F.pad(tokens, padding).unfold(dim, BLOCK_LENGTH + 2 * one_sided, BLOCK_LENGTH)


def block_mask(layout: AttentionLayout, *, one_sided: int, dtype: torch.dtype) -> Tensor:
    """Return the additive mask of each block's queries and keys, [b * n, 1, q, g + s]."""
    device = layout.padding_bl.device
    length = layout.padding_bl.shape[1]
    blocks = (length + BLOCK_LENGTH - 1) // BLOCK_LENGTH  # exporters divide towards zero
    local_bl = ~(layout.padding_bl | layout.global_bl)
    local_bns = spans(local_bl, dim=1, blocks=blocks, one_sided=one_sided)
    query_q = torch.arange(BLOCK_LENGTH, device=device)
    key_s = torch.arange(-one_sided, BLOCK_LENGTH + one_sided, device=device)
    band_qs = (query_q[:, None] - key_s[None, :]).abs() <= one_sided
    near_bnqs = band_qs & local_bns[:, :, None, :]
    column_bnqg = layout.global_valid_bg[:, None, None, :].expand(-1, blocks, BLOCK_LENGTH, -1)
    real_bl = F.pad(~layout.padding_bl, (0, blocks * BLOCK_LENGTH - length))
    real_bnq = real_bl.view(-1, blocks, BLOCK_LENGTH)
    allowed_bnqs = torch.cat((column_bnqg, near_bnqs), dim=3) & real_bnq[..., None]
    return additive(allowed_bnqs, dtype).flatten(0, 1).unsqueeze(1)

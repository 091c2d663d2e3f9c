"""The rows of global tokens: their own projections, over everything that is not padding.

Axes: b rows, g global tokens, l tokens, e width of the model, h heads, d width of a head,
r = h * g.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

from qa_lightning.attention.dropping import drop
from qa_lightning.attention.layout import AttentionLayout


def global_rows(
    layer: LongformerSelfAttention, hidden_ble: Tensor, layout: AttentionLayout, dropout: float
) -> Tensor:
    """Return the context of each row's global tokens, [b, g, e]."""
    rows_b1 = torch.arange(hidden_ble.shape[0], device=hidden_ble.device)[:, None]
    query_bge = layer.query_global(hidden_ble[rows_b1, layout.global_index_bg])
    query_bhgd = by_head(query_bge, layer.num_heads)
    attend = _absorbed if can_absorb(layer, layout) else _projected
    return attend(layer, query_bhgd, hidden_ble, layout, dropout).transpose(1, 2).flatten(2)


def by_head(states_ble: Tensor, heads: int) -> Tensor:
    """View [b, l, e] as [b, h, l, d]."""
    rows, length, width = states_ble.shape
    return states_ble.view(rows, length, heads, width // heads).transpose(1, 2)


def can_absorb(layer: LongformerSelfAttention, layout: AttentionLayout) -> bool:
    """Tell whether the key and value projections are cheaper, and safe, on the query side.

    Safe: a plain linear layer. LoRA and quantized layers are no such, and hooks (offloading,
    ZeRO-3) expect to be called before the weights are read.
    """
    few = layout.global_count * (layer.num_heads - 1) < layer.embed_dim
    return few and all(_is_plain(linear) for linear in (layer.key_global, layer.value_global))


def _is_plain(linear: nn.Module) -> bool:
    hooked = linear._forward_hooks or linear._forward_pre_hooks
    return type(linear) is nn.Linear and type(linear.weight) is nn.Parameter and not hooked


def _projected(
    layer: LongformerSelfAttention,
    query_bhgd: Tensor,
    hidden_ble: Tensor,
    layout: AttentionLayout,
    dropout: float,
) -> Tensor:
    return F.scaled_dot_product_attention(
        query_bhgd,
        by_head(layer.key_global(hidden_ble), layer.num_heads),
        by_head(layer.value_global(hidden_ble), layer.num_heads),
        attn_mask=~layout.padding_bl[:, None, None, :],
        dropout_p=dropout,
    )


def _absorbed(
    layer: LongformerSelfAttention,
    query_bhgd: Tensor,
    hidden_ble: Tensor,
    layout: AttentionLayout,
    dropout: float,
) -> Tensor:
    """Project few queries instead of all keys: q (W x + b) = (W' q) x + q b.

    The part of the key's bias is the same for all keys and falls out of the softmax; it is there
    so that the bias has a gradient, of zeros, as in the reference.
    """
    rows, heads, count, width = query_bhgd.shape
    query_bhgd = query_bhgd * width**-0.5
    key_hde = layer.key_global.weight.view(heads, width, -1)
    value_hde = layer.value_global.weight.view(heads, width, -1)
    asking_bre = _per_head(query_bhgd, key_hde).flatten(1, 2)
    constant_bhg1 = query_bhgd @ layer.key_global.bias.view(heads, width, 1)
    scores_brl = torch.baddbmm(constant_bhg1.flatten(1, 2), asking_bre, hidden_ble.transpose(1, 2))
    scores_brl = scores_brl.masked_fill(
        layout.padding_bl[:, None, :], torch.finfo(scores_brl.dtype).min
    )
    probs_brl = drop(torch.softmax(scores_brl, dim=-1), dropout)
    mixed_bhge = (probs_brl.to(hidden_ble.dtype) @ hidden_ble).view(rows, heads, count, -1)
    context_bhgd = _per_head(mixed_bhge, value_hde.transpose(1, 2))
    bias_h1d = layer.value_global.bias.view(heads, 1, width)
    if dropout == 0.0:
        return context_bhgd + bias_h1d
    return context_bhgd + probs_brl.sum(dim=-1).view(rows, heads, count, 1) * bias_h1d


def _per_head(states_bhgd: Tensor, weight_hde: Tensor) -> Tensor:
    """Multiply by each head's weight; a broadcast product would copy the weight for every row."""
    rows, heads, count, _ = states_bhgd.shape
    states_hrd = states_bhgd.transpose(0, 1).flatten(1, 2)
    return torch.bmm(states_hrd, weight_hde).view(heads, rows, count, -1).transpose(0, 1)

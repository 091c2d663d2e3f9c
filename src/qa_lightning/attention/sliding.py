"""Encoders with sliding layers (ModernBERT's kin): those layers by blocks, the others as they are.

Transformers computes a sliding layer as full attention under a mask. Here its attention interface
gets one more implementation, which is given the batch's padding in place of masks.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from qa_lightning.attention.graphs import graph_bounds
from qa_lightning.attention.kernels import DENSE_LENGTH, dense, windowed_attention
from qa_lightning.attention.layout import AttentionLayout

NAME = "qa_lightning_windowed"


def sliding_networks(model: nn.Module) -> list[PreTrainedModel]:
    """Return the networks in a module that have sliding layers which can be given another way."""
    return [part for part in model.modules() if _slides(part)]  # type: ignore[misc]


def has_sliding_layers(model: nn.Module) -> bool:
    """Tell whether a module holds such a network."""
    return bool(sliding_networks(model))


def _slides(part: nn.Module) -> bool:
    return (
        isinstance(part, PreTrainedModel)
        and bool(part._supports_sdpa and part._supports_attention_backend)
        and "sliding_attention" in (getattr(part.config, "layer_types", None) or ())
        and not getattr(part.config, "is_decoder", False)
    )


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: AttentionLayout | Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Return the context, [b, l, h, d], as an implementation of transformers' interface.

    Args:
        module: the layer.
        query: [b, h, l, d].
        key: [b, k, l, d], of as many heads or of some that are shared.
        value: as ``key``.
        attention_mask: what ``padding_layout`` made; a mask of the caller's own goes by SDPA.
        dropout: of the probabilities.
        scaling: of the scores; None is ``d ** -0.5``.
        sliding_window: one more than the tokens seen on either side; None: all are seen.
        others: what other implementations take.
    """
    if not isinstance(attention_mask, AttentionLayout):
        found: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **others
        )
        return found
    layout = attention_mask.to(query.device)
    rows, heads, length, width = query.shape
    key, value = (t.repeat_interleave(heads // t.shape[1], dim=1) for t in (key, value))
    if sliding_window is None:
        mask_b11l = layout.mask(("full",), lambda: ~layout.padding_bl[:, None, None, :])
        context_bhld = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask_b11l, dropout_p=dropout, scale=scaling
        )
        return context_bhld.transpose(1, 2), None
    if scaling is not None and scaling != width**-0.5:
        query = query * (scaling * width**0.5)
    one_sided = sliding_window - 1
    if graph_bounds() is None and length <= DENSE_LENGTH:  # saves the way to other axes and back
        context_bhld = dense(query, key, value, layout, one_sided=one_sided, dropout=dropout)
        return context_bhld.transpose(1, 2), None
    query_ble, key_ble, value_ble = (t.transpose(1, 2).flatten(2) for t in (query, key, value))
    context_ble = windowed_attention(
        query_ble,
        key_ble,
        value_ble,
        layout,
        heads=heads,
        one_sided=one_sided,
        dropout=dropout,
    )
    return context_ble.view(rows, length, heads, width), None


def padding_layout(
    *,
    batch_size: int,
    kv_length: int,
    attention_mask: Tensor | None = None,
    device: torch.device | str = "cpu",
    **_: Any,
) -> AttentionLayout:
    """Return a batch's padding, as an implementation of transformers' interface of masks.

    Releases differ in what else they give, and give all by name.
    """
    if attention_mask is None:
        padding_bl = torch.zeros((batch_size, kv_length), dtype=torch.bool, device=device)
    else:
        padding_bl = ~attention_mask.bool()
    return AttentionLayout(padding_bl, torch.zeros_like(padding_bl))


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, padding_layout)

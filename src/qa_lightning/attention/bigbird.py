"""BigBird whose attention depends on the length of its windows, not on what it read before.

Transformers' BigBird attends in blocks where a batch is long, and once a batch was short it
attends fully for good: a window's logits then depend on the batches before it.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions
from transformers.models.big_bird.modeling_big_bird import BigBirdAttention, BigBirdModel

from qa_lightning.attention.global_rows import by_head
from qa_lightning.errors import InputError

LEFT_PADDING = (
    "Expected windows padded on the right for a BigBird, whose head looks for the question in "
    "front; got padding on the left. Set `padding_side` of the tokenizer to right."
)


def check_padding_side(model_type: str, side: str) -> None:
    """Refuse a tokenizer that puts the context in front of a BigBird's question.

    Raises:
        InputError: it does.
    """
    if model_type == "big_bird" and side == "left":
        raise InputError(LEFT_PADDING)


class PinnedAttention(BigBirdAttention):
    """Attend in blocks where masks of blocks come, and fully otherwise, by the same weights."""

    def forward(  # type: ignore[override]
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        band_mask: Tensor | None = None,
        **others: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the attended states; full attention has no weights to show."""
        if band_mask is not None or self.attention_type == "original_full":
            attended: tuple[Tensor, Tensor | None] = super().forward(
                hidden_states, attention_mask, band_mask=band_mask, **others
            )
            return attended
        layer: Any = self.self
        query, key, value = (
            by_head(project(hidden_states), layer.num_attention_heads)
            for project in (layer.query, layer.key, layer.value)
        )
        dropout = self.config.attention_probs_dropout_prob if self.training else 0.0
        context_bhld = F.scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, dropout_p=dropout
        )
        return self.output(context_bhld.transpose(1, 2).flatten(2), hidden_states), None


class PinnedModel(BigBirdModel):  # type: ignore[no-untyped-call]
    """Attend fully where a batch is too short for blocks, and in blocks again in the next."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        **others: Any,
    ) -> Any:
        """Return what ``BigBirdModel`` returns for its first batch."""
        least = (5 + 2 * self.config.num_random_blocks) * self.block_size
        blocks = self.attention_type == "block_sparse" and (
            input_ids is None or input_ids.shape[1] > least
        )
        if blocks or self.attention_type == "original_full":
            return super().forward(
                input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids, **others
            )
        embedded_ble = self.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
        mask = create_bidirectional_mask(
            config=self.config, inputs_embeds=embedded_ble, attention_mask=attention_mask
        )
        states_ble = self.encoder(embedded_ble, attention_mask=mask).last_hidden_state
        return BaseModelOutputWithPoolingAndCrossAttentions(last_hidden_state=states_ble)

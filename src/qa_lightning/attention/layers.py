"""What replaces transformers' Longformer classes; the weights stay where they are."""

from typing import Any

import torch
from torch import Tensor
from transformers.models.longformer.modeling_longformer import (
    LongformerBaseModelOutput,
    LongformerBaseModelOutputWithPooling,
    LongformerEncoder,
    LongformerModel,
    LongformerSelfAttention,
)
from transformers.utils import logging

from qa_lightning.attention.global_rows import global_rows
from qa_lightning.attention.kernels import windowed_attention
from qa_lightning.attention.layout import AttentionLayout

logger = logging.get_logger(__name__)

ATTENTIONS_WARNING = (
    "`output_attentions=True` asks for attention weights, which windowed attention never forms: "
    "this call uses the reference attention of transformers."
)


class WindowedSelfAttention(LongformerSelfAttention):
    """Compute ``LongformerSelfAttention`` from the same weights, with a layout for its masks."""

    kernel = staticmethod(windowed_attention)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | AttentionLayout | None = None,
        is_index_masked: Tensor | None = None,
        is_index_global_attn: Tensor | None = None,
        is_global_attn: bool | None = None,
        output_attentions: bool = False,
    ) -> tuple[Tensor, ...]:
        """Return the attended states; with ``output_attentions`` the reference does it all."""
        if output_attentions:
            logger.warning_once(ATTENTIONS_WARNING)
            outputs: tuple[Tensor, ...] = super().forward(  # type: ignore[no-untyped-call]
                hidden_states,
                attention_mask=attention_mask,
                is_index_masked=is_index_masked,
                is_index_global_attn=is_index_global_attn,
                is_global_attn=is_global_attn,
                output_attentions=True,
            )
            return outputs
        return (self._attend(hidden_states, layout_for(hidden_states, attention_mask)),)

    def _attend(self, hidden_ble: Tensor, layout: AttentionLayout) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        context_ble = self.kernel(
            self.query(hidden_ble),
            self.key(hidden_ble),
            self.value(hidden_ble),
            layout,
            heads=self.num_heads,
            one_sided=self.one_sided_attn_window_size,
            dropout=dropout,
        )
        if layout.global_count == 0:
            return context_ble + self._unused() if self.training else context_ble
        global_bge = global_rows(self, hidden_ble, layout, dropout).to(context_ble.dtype)
        return layout.replace_global(context_ble, global_bge)

    def _unused(self) -> Tensor | int:
        """Return a zero that gives the global projections gradients of zero, not none at all.

        Without them, DDP would wait for ever for a process whose batch has no global token.
        """
        unused = (self.query_global, self.key_global, self.value_global)
        parameters = [p for module in unused for p in module.parameters() if p.requires_grad]
        return sum(parameter.flatten()[:0].sum() for parameter in parameters)


class WindowedEncoder(LongformerEncoder):
    """Run the layers with one layout for all of them."""

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | AttentionLayout | None = None,
        padding_len: int = 0,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        return_dict: bool = True,
    ) -> Any:
        """Return the last states, and all states when asked for."""
        if output_attentions:
            return super().forward(  # type: ignore[no-untyped-call]
                hidden_states,
                attention_mask=attention_mask,
                padding_len=padding_len,
                output_attentions=True,
                output_hidden_states=output_hidden_states,
                return_dict=return_dict,
            )
        layout = layout_for(hidden_states, attention_mask)
        states = [hidden_states]
        for layer in self.layer:
            states.append(layer(states[-1], attention_mask=layout)[0])
        length = hidden_states.shape[1] - padding_len
        every = tuple(s[:, :length] for s in states) if output_hidden_states else None
        last_ble = states[-1][:, :length]
        if not return_dict:
            return (last_ble,) if every is None else (last_ble, every)
        return LongformerBaseModelOutput(last_hidden_state=last_ble, hidden_states=every)


class WindowedModel(LongformerModel):  # type: ignore[no-untyped-call]
    """Run the model at the length it is given: no padding to a multiple of the window."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        global_attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return what ``LongformerModel`` returns."""
        if output_attentions or (output_attentions is None and self.config.output_attentions):
            return super().forward(
                input_ids=input_ids,
                attention_mask=attention_mask,
                global_attention_mask=global_attention_mask,
                token_type_ids=token_type_ids,
                position_ids=position_ids,
                inputs_embeds=inputs_embeds,
                output_attentions=True,
                output_hidden_states=output_hidden_states,
                return_dict=return_dict,
                **kwargs,
            )
        check_one_input(input_ids, inputs_embeds)
        if input_ids is not None:
            self.warn_if_padding_and_no_attention_mask(input_ids, attention_mask)  # type: ignore[no-untyped-call]
        embedded_ble = self.embeddings(
            input_ids=input_ids,
            position_ids=position_ids,
            token_type_ids=token_type_ids,
            inputs_embeds=inputs_embeds,
        )
        layout = layout_from_masks(embedded_ble, attention_mask, global_attention_mask)
        return self._finish(embedded_ble, layout, output_hidden_states, return_dict)

    def _finish(
        self,
        embedded_ble: Tensor,
        layout: AttentionLayout,
        output_hidden_states: bool | None,
        return_dict: bool | None,
    ) -> Any:
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        encoded = self.encoder(
            embedded_ble, attention_mask=layout, output_hidden_states=output_hidden_states
        )
        last_ble = encoded.last_hidden_state
        pooled_be = None if self.pooler is None else self.pooler(last_ble)
        if not (self.config.return_dict if return_dict is None else return_dict):
            states = () if encoded.hidden_states is None else (encoded.hidden_states,)
            return (last_ble, pooled_be, *states)
        return LongformerBaseModelOutputWithPooling(
            last_hidden_state=last_ble, pooler_output=pooled_be, hidden_states=encoded.hidden_states
        )


def check_one_input(input_ids: Tensor | None, inputs_embeds: Tensor | None) -> None:
    """Raise as the reference does unless exactly one of the two inputs is given."""
    if input_ids is not None and inputs_embeds is not None:
        raise ValueError("You cannot specify both input_ids and inputs_embeds at the same time")
    if input_ids is None and inputs_embeds is None:
        raise ValueError("You have to specify either input_ids or inputs_embeds")


def layout_for(
    hidden_ble: Tensor, attention_mask: Tensor | AttentionLayout | None
) -> AttentionLayout:
    """Return the layout that a layer was given, or make it from the reference's own mask."""
    if isinstance(attention_mask, AttentionLayout):
        return attention_mask.to(hidden_ble.device)
    if attention_mask is None:
        attention_mask = hidden_ble.new_zeros(hidden_ble.shape[:2])
    return AttentionLayout.from_signed_mask(attention_mask)


def layout_from_masks(
    hidden_ble: Tensor, attention_mask: Tensor | None, global_attention_mask: Tensor | None
) -> AttentionLayout:
    """Merge the model's two masks as the reference does: 0 padding, 1 local, 2 global."""
    if attention_mask is None:
        attention_mask = torch.ones(hidden_ble.shape[:2], device=hidden_ble.device)
    if global_attention_mask is not None:
        attention_mask = attention_mask * (global_attention_mask + 1)
    return AttentionLayout(attention_mask <= 0, attention_mask == 2)

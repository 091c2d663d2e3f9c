"""A question-answering head on encoders that transformers has none for."""

from functools import cache
from typing import Any

from torch import Tensor, nn
from transformers import MODEL_FOR_TEXT_ENCODING_MAPPING, MODEL_MAPPING, PreTrainedConfig
from transformers.modeling_outputs import QuestionAnsweringModelOutput

HALVES = {"t5gemma"}
"""Encoders that are one half of what ``AutoModel`` loads."""


class SpanHead(nn.Module):
    """Give each token of an encoder a start and an end logit, as transformers' own heads do."""

    encoder_class: type[nn.Module]
    base_model_prefix: str

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.encoder_class(config))
        self.qa_outputs = nn.Linear(getattr(config, "encoder", config).hidden_size, 2)
        self.post_init()  # type: ignore[operator]

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
    ) -> QuestionAnsweringModelOutput:
        """Return the logits of all tokens."""
        given = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
            "inputs_embeds": inputs_embeds,
        }
        encoder = getattr(self, self.base_model_prefix)
        outputs = encoder(**{name: tensor for name, tensor in given.items() if tensor is not None})
        start_bl, end_bl = self.qa_outputs(outputs.last_hidden_state).unbind(-1)
        return QuestionAnsweringModelOutput(
            start_logits=start_bl.contiguous(), end_logits=end_bl.contiguous()
        )


@cache
def class_with_head(config_class: Any) -> Any:
    """Return a class of transformers' make for the encoder of such a config, with our head.

    Its weights are named as those of transformers' own classes for the family: any checkpoint of
    it loads, and the encoder of what is saved loads by ``AutoModel``.
    """
    parts = config_class.model_type in HALVES
    encoders: Any = MODEL_FOR_TEXT_ENCODING_MAPPING if parts else MODEL_MAPPING
    encoder = encoders[config_class]
    family = encoder.__mro__[1]
    name = family.__name__.replace("PreTrainedModel", "ForQuestionAnswering")
    fields = {"encoder_class": encoder, "base_model_prefix": family.base_model_prefix}
    return type(name, (SpanHead, family), {**fields, "__module__": __name__})

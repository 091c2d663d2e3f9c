"""Small short-context checkpoints with their tokenizers, as the Hub has them."""

from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForQuestionAnswering

from running import small_tokenizer

SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 66,
}
BACKBONES: dict[str, dict[str, Any]] = {
    "bert": {**SMALL, "type_vocab_size": 2},
    "roberta": {**SMALL, "type_vocab_size": 1},
    "distilbert": {
        "dim": 16,
        "n_layers": 2,
        "n_heads": 2,
        "hidden_dim": 16,
        "max_position_embeddings": 66,
    },
}


def plain_values(model_type: str) -> dict[str, Any]:
    """Return the config of a small network as `model.config` takes it."""
    return {
        **BACKBONES[model_type],
        "model_type": model_type,
        "vocab_size": len(small_tokenizer()),
        "pad_token_id": 1,
    }


def write_backbone(folder: Path, model_type: str) -> Path:
    """Write a small checkpoint whose logits differ clearly from token to token."""
    values = plain_values(model_type)
    torch.manual_seed(0)
    network = AutoModelForQuestionAnswering.from_config(
        CONFIG_MAPPING[values.pop("model_type")](**values)
    )
    network.qa_outputs.weight.data.mul_(40)
    network.save_pretrained(folder)
    small_tokenizer().save_pretrained(folder)
    return folder

"""Small short-context checkpoints with random weights that tell tokens, types and places apart."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    BertConfig,
    CamembertConfig,
    PreTrainedConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from features_support import CORPUS, MAKERS

POSITIONS = 64
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
ROBERTA: dict[str, Any] = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
ROBERTA["max_position_embeddings"] = POSITIONS + 2

# What differs between real checkpoints: the family of the tokenizer, and the config.
CHECKPOINTS: dict[str, tuple[str, PreTrainedConfig]] = {
    "bert": ("bert", BertConfig(**SMALL, max_position_embeddings=POSITIONS)),
    "bert-like-minilm": (
        "bert",
        BertConfig(
            **SMALL,
            max_position_embeddings=POSITIONS,
            hidden_act="gelu_new",
            layer_norm_eps=1e-3,
            type_vocab_size=3,
        ),
    ),
    # As HerBERT: BERT's network with the special tokens of RoBERTa, and here a config that says 0.
    "bert-other-padding": (
        "roberta",
        BertConfig(**SMALL, max_position_embeddings=POSITIONS, type_vocab_size=1),
    ),
    "roberta": ("roberta", RobertaConfig(**SMALL, **ROBERTA, type_vocab_size=1)),
    "roberta-like": (
        "roberta-prefix",
        RobertaConfig(
            **SMALL, **ROBERTA, type_vocab_size=2, hidden_act="relu", layer_norm_eps=1e-5
        ),
    ),
    "roberta-later-padding": (
        "roberta",
        RobertaConfig(
            **SMALL, **{**ROBERTA, "pad_token_id": 5, "max_position_embeddings": POSITIONS + 6}
        ),
    ),
    "xlm-roberta": ("unigram", XLMRobertaConfig(**SMALL, **ROBERTA, type_vocab_size=1)),
    "camembert": ("unigram", CamembertConfig(**SMALL, **ROBERTA, type_vocab_size=1)),
}


def write_checkpoint(folder: Path, name: str, *, auto: Any = AutoModelForQuestionAnswering) -> Path:
    """Write one of the checkpoints, with its tokenizer."""
    family, config = CHECKPOINTS[name]
    tokenizer = MAKERS[family]()
    config.vocab_size = len(tokenizer)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = auto.from_config(config)
        for path, module in model.named_modules():
            _spread(path, module)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@torch.no_grad()
def _spread(path: str, module: nn.Module) -> None:
    """Make attention sharp and all rows differ: with the usual weights everything is alike."""
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight)  # the row of padding too
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.4 if "attention" in path else 0.2)
        nn.init.normal_(module.bias, std=0.2)


def inputs_of(folder: Path, length: int) -> dict[str, Tensor]:
    """Return two padded pairs of a question and a text, the longer one of ``length`` tokens."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = " ".join(CORPUS)
    encodings = [
        tokenizer("Quem?", text, max_length=size, truncation="only_second")
        for size in (length, length - 5)
    ]
    inputs = tokenizer.pad(encodings, return_tensors="pt")
    assert inputs["input_ids"].shape == (2, length)
    types = torch.zeros_like(inputs["input_ids"])
    types[:, 6:] = 1
    return {
        "input_ids": inputs["input_ids"],
        "attention_mask": inputs["attention_mask"],
        "token_type_ids": types,
    }

"""Any question-answering model of transformers answers, each with the inputs it knows."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    BertConfig,
    DistilBertConfig,
    PreTrainedConfig,
    RobertaConfig,
    XLNetConfig,
)

from features_support import MAKERS
from qa_lightning.answerer import QuestionAnswerer
from qa_lightning.errors import InputError

CONTEXT = "A cidade de Lisboa fica na foz do Tejo. Vasco da Gama partiu em 1497! " * 12
SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
CONFIGS: dict[str, tuple[str, PreTrainedConfig]] = {
    "bert": ("bert", BertConfig(**SMALL, max_position_embeddings=64)),
    "distilbert": (
        "bert",
        DistilBertConfig(dim=16, n_layers=1, n_heads=2, hidden_dim=16, max_position_embeddings=64),
    ),
    "roberta": (
        "roberta",
        RobertaConfig(**SMALL, max_position_embeddings=66, type_vocab_size=1, pad_token_id=1),
    ),
    # Its tokenizer gives no token types, so that it has seen one of its two alone.
    "roberta of two types": (
        "roberta",
        RobertaConfig(**SMALL, max_position_embeddings=66, type_vocab_size=2, pad_token_id=1),
    ),
    "xlnet": ("xlnet", XLNetConfig(d_model=16, n_layer=1, n_head=2, d_inner=16)),
}


def write(folder: Path, name: str, *, head: bool = True) -> Path:
    family, config = CONFIGS[name]
    tokenizer = MAKERS[family]()
    if name == "xlnet":
        tokenizer.padding_side = "left"
    config.vocab_size = len(tokenizer)
    torch.manual_seed(0)
    auto = AutoModelForQuestionAnswering if head else AutoModelForMaskedLM
    auto.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", CONFIGS)
def test_a_model_of_transformers_answers(name: str, tmp_path: Path) -> None:
    answerer = QuestionAnswerer.from_checkpoint(write(tmp_path, name), device="cpu")
    answers = answerer.answer("Quem partiu em 1497?", CONTEXT, 5)
    assert len(answers) == 5
    assert all(a.text == CONTEXT[a.start_char : a.end_char] for a in answers)
    batch = answerer.answer_batch([("Quem?", "Vasco."), ("Quem partiu em 1497?", CONTEXT)], 5)
    assert [a[:2] for a in batch[1]] == [a[:2] for a in answers]
    assert answerer.answer("Quem?", "").text is None


@pytest.mark.parametrize(("name", "positions"), [("bert", 64), ("roberta", 64), ("xlnet", 384)])
def test_windows_fit_the_models_positions(name: str, positions: int, tmp_path: Path) -> None:
    answerer = QuestionAnswerer.from_checkpoint(write(tmp_path, name), device="cpu")
    assert answerer.reader.windows.max_length == positions
    assert not answerer.reader.is_longformer


def test_a_model_without_a_trained_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="would answer at random"):
        QuestionAnswerer.from_checkpoint(write(tmp_path, "bert", head=False))


@pytest.mark.parametrize(("name", "known"), [("bert", True), ("roberta of two types", False)])
def test_token_types_reach_models_that_know_them(name: str, known: bool, tmp_path: Path) -> None:
    answerer = QuestionAnswerer.from_checkpoint(write(tmp_path, name), device="cpu")
    network, tokenizer = answerer.reader.network, answerer.reader.tokenizer
    encoding = tokenizer(
        "Quem?", "Vasco da Gama partiu", return_tensors="pt", return_token_type_ids=True
    )
    assert bool(encoding["token_type_ids"].any()) is known
    with torch.no_grad():
        outputs = network(**encoding)
    (best,) = answerer.answer("Quem?", "Vasco da Gama partiu")
    start = encoding.char_to_token(0, best.start_char, sequence_index=1)
    last = encoding.char_to_token(0, best.end_char - 1, sequence_index=1)
    logits = outputs.start_logits[0], outputs.end_logits[0]
    expected = logits[0][start] + logits[1][last] - logits[0][0] - logits[1][0]
    assert best.score == pytest.approx(float(expected), abs=1e-5)

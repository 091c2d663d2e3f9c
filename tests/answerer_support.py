"""What the tests of answering share: a small checkpoint, and a slow reference reader."""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import LongformerConfig, LongformerForQuestionAnswering

import running
from qa_lightning.datamodule import tokenizer_files

MAX_LENGTH, DOC_STRIDE = 64, 16


def small_network(seed: int = 0, **settings: Any) -> LongformerForQuestionAnswering:
    """Return an untrained network whose logits differ clearly from token to token."""
    tokenizer = tokenizer_once()
    torch.manual_seed(seed)
    config = LongformerConfig(
        **{**running.NETWORK, "attention_window": [8], "vocab_size": len(tokenizer), **settings},
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        sep_token_id=2,
    )
    network = LongformerForQuestionAnswering(config)
    network.qa_outputs.weight.data.mul_(40)
    return network.eval()


@cache
def tokenizer_once() -> Any:
    """Return the small tokenizer, trained once."""
    return running.small_tokenizer()


def write_checkpoint(
    path: Path,
    *,
    fitted: dict[str, Any] | None = None,
    seed: int = 0,
    max_length: int = MAX_LENGTH,
) -> Path:
    """Write what ``lightning fit`` writes, as far as anybody reads it."""
    network = small_network(seed, max_position_embeddings=max_length + 16)
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = {
        "epoch": 1,
        "global_step": 60,
        "pytorch-lightning_version": "2.6.0",
        "state_dict": {f"network.{name}": t for name, t in network.state_dict().items()},
        "hyper_parameters": {
            "config": network.config.to_diff_dict() | {"attention_window": [8]},
            "attention": "windowed",
            "learning_rate": 1e-5,
            "model_name_or_path": None,
        },
        "datamodule_hyper_parameters": {"dataset": "squad_v1_pt", "train_split": "train"},
        "QADataModule": {
            "tokenizer_files": tokenizer_files(tokenizer_once()),
            "max_length": max_length,
            "doc_stride": DOC_STRIDE,
            "max_question_length": 24,
            "separators": "auto",
            "token_types": True,
            "global_attention": "question",
            "language": "pt",
        },
        "callbacks": {
            "AnswerEvaluation": {"threshold": None, "temperature": 1.0, "no_answer": False}
            | (fitted or {}),
            "BestCheckpoint{'monitor': 'val/f1'}": {
                "monitor": "val/f1",
                "current_score": torch.tensor(61.5),
            },
        },
    }
    torch.save(checkpoint, path)
    return path


class Span(NamedTuple):
    """A span of a context, with its logits' sum less that of its window's CLS token."""

    start_char: int
    end_char: int
    score: float


def reference_spans(
    question: str, context: str, *, max_answer_length: int = 30, seed: int = 0
) -> list[Span]:
    """Score every span of every window, by transformers' own tokenizer call and attention."""
    tokenizer, network = tokenizer_once(), small_network(seed)
    encoding = tokenizer(
        question,
        context,
        truncation="only_second",
        max_length=MAX_LENGTH,
        stride=DOC_STRIDE,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    best: dict[tuple[int, int], float] = {}
    for window, (ids, offsets) in enumerate(
        zip(encoding["input_ids"], encoding["offset_mapping"], strict=True)
    ):
        owners = encoding.sequence_ids(window)
        input_ids = torch.tensor([ids])
        # Everything in front of the context's separators attends globally.
        question_end = max(n for n, owner in enumerate(owners) if owner == 0) + 1
        globals_ = torch.zeros_like(input_ids)
        globals_[0, :question_end] = 1
        with torch.no_grad():
            outputs = network(
                input_ids=input_ids,
                attention_mask=torch.ones_like(input_ids),
                global_attention_mask=globals_,
            )
        starts, ends = outputs.start_logits[0].tolist(), outputs.end_logits[0].tolist()
        inside = [n for n, owner in enumerate(owners) if owner == 1]
        for first in inside:
            for last in inside:
                if first <= last < first + max_answer_length:
                    start_char, end_char = offsets[first][0], offsets[last][1]
                    score = starts[first] + ends[last] - starts[0] - ends[0]
                    text = context[start_char:end_char]
                    start_char += len(text) - len(text.lstrip())
                    end_char -= len(text) - len(text.rstrip())
                    if start_char < end_char:
                        key = (start_char, end_char)
                        best[key] = max(best.get(key, -1e9), score)
    spans = [Span(*key, score) for key, score in best.items()]
    return sorted(spans, key=lambda span: (-span.score, span.start_char, span.end_char))

"""What decides the windows, checked once, and the key under which they are cached."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from qa_lightning.errors import InputError
from qa_lightning.ranges import SEEDS, Rule, check, flag, number, one_of, whole

FEATURES_VERSION = 4  # raise it whenever the same input would give other windows

Separators = Literal["auto", 2, 3]

WINDOW_RULES: dict[str, Rule] = {
    "max_length": whole(1, remedy="It counts the tokens of a window."),
    "doc_stride": whole(0, remedy="It is the overlap of windows, in tokens."),
    "max_question_length": whole(1),
    "separators": one_of(("auto", 2, 3)),
    "negative_windows": number(0, 1, remedy="It is a share."),
    "all_gold_spans": flag(),
    "unaligned": one_of(("ignore", "no_answer")),
    "seed": whole(0, SEEDS),
}


@dataclass(frozen=True)
class WindowSettings:
    """Hold the choices that decide how examples are cut into windows.

    Attributes:
        max_length: tokens of a window, special tokens included.
        doc_stride: context tokens that neighbouring windows share (transformers' ``stride``).
        max_question_length: tokens after which a question is cut.
        separators: ``auto`` for the tokenizer's own pair template, 2 for
            ``<s> question </s> document </s>`` (the AllenAI checkpoints), 3 for
            ``<s> question </s></s> document </s>``.
        negative_windows: share, 0 to 1, of the training windows without the answer that is kept.
            Windows of questions without an answer count among them.
        all_gold_spans: windows that hold any trusted span have the answer, not only those that
            hold the first.
        unaligned: label of examples whose answers have no trusted span: ``ignore`` leaves them out
            of the loss, ``no_answer`` labels them as unanswerable.
        seed: seed of the sampling of negative windows.

    Raises:
        InputError: a value is outside of its range.
    """

    max_length: int = 384
    doc_stride: int = 128
    max_question_length: int = 64
    separators: Separators = "auto"
    negative_windows: float = 1.0
    all_gold_spans: bool = False
    unaligned: Literal["ignore", "no_answer"] = "ignore"
    seed: int = 0

    def __post_init__(self) -> None:
        check(WINDOW_RULES, vars(self), prefix="data.")


def features_fingerprint(
    examples_fingerprint: str,
    tokenizer: PreTrainedTokenizerBase,
    settings: WindowSettings,
    *,
    training: bool,
    labels: bool,
) -> str:
    """Hash everything that decides the windows: the name of their cache file.

    Args:
        examples_fingerprint: hash of the examples and of what alignment did to them.
        tokenizer: a fast tokenizer; its whole JSON, sides and special ids are hashed.
        settings: all of them are hashed.
        training: as given to ``build_features``.
        labels: as given to ``build_features``.

    Returns:
        32 hexadecimal digits.
    """
    parts = {
        "version": FEATURES_VERSION,
        "examples": examples_fingerprint,
        "tokenizer": _tokenizer_state(tokenizer),
        "settings": asdict(settings),
        "training": training,
        "labels": labels,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _tokenizer_state(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise slow_tokenizer_error(tokenizer)
    # Both are what the last call asked for, and part of the JSON; every call sets them anew.
    backend.no_truncation()
    backend.no_padding()
    return {
        "backend": backend.to_str(),
        "padding_side": tokenizer.padding_side,
        "truncation_side": tokenizer.truncation_side,
        "split_special_tokens": bool(getattr(tokenizer, "split_special_tokens", False)),
        "cls": tokenizer.cls_token_id,
        "sep": tokenizer.sep_token_id,
        "bos": tokenizer.bos_token_id,
        "eos": tokenizer.eos_token_id,
        "pad": tokenizer.pad_token_id,
    }


def slow_tokenizer_error(tokenizer: object) -> InputError:
    """Return the error for a tokenizer that cannot tell character offsets."""
    return InputError(
        "Expected a fast tokenizer (one with a tokenizer.json), which knows the characters of "
        f"each token. Got {type(tokenizer).__name__}. Load it with "
        "`AutoTokenizer.from_pretrained(..., use_fast=True)` or convert the checkpoint's "
        "tokenizer first."
    )

"""A short-context checkpoint → a Longformer checkpoint that says the same of short texts.

The recipe is that of Beltagy et al. 2020, section 5 (https://arxiv.org/abs/2004.05150): position
embeddings are repeated up to the new length, and the projections of global attention start as
copies of the local ones. A window that covers the whole input is full attention, and so is global
attention with equal projections: where half the window covers the input, the hidden states are the
original's.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    LongformerForQuestionAnswering,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from qa_lightning.errors import InputError
from qa_lightning.folders import absent_folder, folder_problems, whole_folder
from qa_lightning.longify.conversion import HEAD, longformer_of
from qa_lightning.saved import reason

__all__ = ["SUPPORTED", "longformer_of", "longify"]

log = logging.getLogger(__name__)

SUPPORTED = ("bert", "roberta", "xlm-roberta", "camembert")
"""The values of ``model_type`` in ``config.json``; BERTimbau is a ``bert``."""


def longify(
    model: str | Path,
    output: str | Path,
    *,
    max_length: int = 4096,
    attention_window: int = 512,
    revision: str | None = None,
    seed: int = 0,
) -> Path:
    """Write a Longformer made of a short-context checkpoint, as a folder.

    The folder appears whole or not at all. It holds the weights (safetensors, float32),
    ``config.json`` and the tokenizer; heads other than that of question answering are left out.

    Args:
        model: folder or Hub id of a BERT, RoBERTa, XLM-RoBERTa or CamemBERT checkpoint.
        output: a folder that does not exist, or is empty.
        max_length: tokens that the Longformer has positions for.
        attention_window: tokens that a token attends to, half of them on either side.
        revision: branch, tag or commit of the Hub checkpoint.
        seed: of the question-answering head, for a checkpoint that has none.

    Returns:
        The folder.

    Raises:
        InputError: the checkpoint, the folder or a number cannot be used; the problems with the
            arguments are told at once.
    """
    folder = Path(output).expanduser()
    problems = list(_argument_problems(folder, max_length, attention_window))
    if problems:
        raise InputError("\n".join(problems))
    original, tokenizer, has_head = _load(str(model), revision)
    longformer = longformer_of(
        original,
        max_length=max_length,
        attention_window=attention_window,
        tokenizer=tokenizer,
        head_seed=None if has_head else seed,
    )
    if not has_head:
        log.warning(
            "%s has no question-answering head: a random one (seed %d) was written, to be trained",
            model,
            seed,
        )
    _write(longformer, _lengthened(tokenizer, max_length), folder)
    return folder


def _argument_problems(folder: Path, max_length: int, attention_window: int) -> Iterator[str]:
    if attention_window < 2 or attention_window % 2:
        yield (
            "Expected `attention_window` to be an even number of tokens, half of them on either "
            f"side; got {attention_window}. Take {max(2, attention_window + 1)}, for example."
        )
    if max_length < 1:
        yield f"Expected `max_length` to be a number of tokens, 1 or more; got {max_length}."
    yield from folder_problems(folder, "output")


def _load(name: str, revision: str | None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, bool]:
    """Load a checkpoint in float32 and its tokenizer, and tell whether it has our head."""
    config = _load_config(name, revision)
    config.num_labels = 2  # a classifier's own number would shape the head
    tokenizer = _load_tokenizer(name, revision)
    try:
        model, loaded = AutoModelForQuestionAnswering.from_pretrained(
            name,
            config=config,
            revision=revision,
            dtype=torch.float32,
            output_loading_info=True,
            trust_remote_code=False,
        )
    except Exception as error:  # safetensors, torch and transformers each raise their own
        raise _unreadable(name, error) from error
    missing = sorted(key for key in loaded["missing_keys"] if not key.startswith(f"{HEAD}."))
    if missing:
        raise InputError(
            f"Expected {name!r} to hold all weights of a {config.model_type!r} model; "
            f"{len(missing)} are missing, {missing[0]!r} first. Fetch the checkpoint anew."
        )
    return model, tokenizer, not loaded["missing_keys"]


def _load_config(name: str, revision: str | None) -> PreTrainedConfig:
    if absent := absent_folder(name):  # the Hub is not asked for it
        raise _unreadable(name, FileNotFoundError(absent))
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            name, revision=revision, trust_remote_code=False
        )
    except Exception as error:  # also that of a value of the wrong type, which is no ValueError
        raise _unreadable(name, error) from error
    _check_supported(config, name)
    return config


def _load_tokenizer(name: str, revision: str | None) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            name, revision=revision, trust_remote_code=False
        )
    except Exception as error:  # the tokenizers' own is a bare Exception
        raise _unreadable(name, error) from error
    # Where there are no files, transformers makes a tokenizer that knows its special tokens alone.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise InputError(
            f"Expected `model` to hold its tokenizer too; {name!r} has none. Put the tokenizer's "
            "files beside config.json."
        )
    return tokenizer


def _unreadable(name: str, error: Exception) -> InputError:
    return InputError(
        "Expected `model` to be the folder or the Hub id of a checkpoint; "
        f"{name!r} could not be loaded: {absent_folder(name) or reason(error)}"
    )


def _check_supported(config: PreTrainedConfig, name: str) -> None:
    if config.model_type not in SUPPORTED:
        hint = " It is one already." if config.model_type == "longformer" else ""
        raise InputError(
            f"Expected a model of one of the types {', '.join(SUPPORTED)} to make a Longformer of; "
            f"{name!r} is of type {config.model_type!r}.{hint}"
        )
    positions = getattr(config, "position_embedding_type", None) or "absolute"
    if getattr(config, "is_decoder", False) or positions != "absolute":
        raise InputError(
            "Expected an encoder with absolute positions to make a Longformer of; "
            f"{name!r} has `is_decoder` {getattr(config, 'is_decoder', False)} and positions of "
            f"type {positions!r}. Take another checkpoint."
        )


def _lengthened(tokenizer: PreTrainedTokenizerBase, max_length: int) -> PreTrainedTokenizerBase:
    """Let a tokenizer know the new length, and forget those stored in its files."""
    tokenizer.model_max_length = max_length
    # Tokenizers of sentence embeddings cut and pad at 128 tokens on their own.
    for key in ("max_length", "stride", "truncation_strategy"):
        tokenizer.init_kwargs.pop(key, None)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        backend.no_truncation()
        backend.no_padding()
    return tokenizer


def _write(
    longformer: LongformerForQuestionAnswering, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> None:
    with whole_folder(folder, "output") as scratch:
        longformer.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        for file in scratch.glob("*.safetensors"):
            file.chmod((scratch / "config.json").stat().st_mode)  # made for the owner alone

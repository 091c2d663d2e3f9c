"""A short-context checkpoint → a Longformer checkpoint that says the same of short texts.

The recipe is that of Beltagy et al. 2020, section 5 (https://arxiv.org/abs/2004.05150): position
embeddings are repeated up to the new length, and the projections of global attention start as
copies of the local ones. A window that covers the whole input is full attention, and so is global
attention with equal projections: where half the window covers the input, the hidden states are the
original's.
"""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    LongformerConfig,
    LongformerForQuestionAnswering,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from qa_lightning.errors import InputError

log = logging.getLogger(__name__)

SUPPORTED = ("bert", "roberta", "xlm-roberta", "camembert")
"""The values of ``model_type`` in ``config.json``; BERTimbau is a ``bert``."""

_HEAD = "qa_outputs"
_POSITIONS = "embeddings.position_embeddings.weight"
_PROJECTIONS = ("query", "key", "value")
_SAME_KEYS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "type_vocab_size",
    "initializer_range",
    "layer_norm_eps",
)


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
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        yield (
            f"Expected `output` to be a new or an empty folder; {folder} holds something. Name "
            "another, or remove it."
        )


def _load(name: str, revision: str | None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, bool]:
    """Load a checkpoint in float32 and its tokenizer, and tell whether it has our head."""
    config = _load_config(name, revision)
    config.num_labels = 2  # a classifier's own number would shape the head
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
        model, loaded = AutoModelForQuestionAnswering.from_pretrained(
            name,
            config=config,
            revision=revision,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreadable(name, error) from error
    missing = sorted(key for key in loaded["missing_keys"] if not key.startswith(f"{_HEAD}."))
    if missing:
        raise InputError(
            f"Expected {name!r} to hold all weights of a {config.model_type!r} model; "
            f"{len(missing)} are missing, {missing[0]!r} first. Fetch the checkpoint anew."
        )
    return model, tokenizer, not loaded["missing_keys"]


def _load_config(name: str, revision: str | None) -> PreTrainedConfig:
    try:
        config = AutoConfig.from_pretrained(name, revision=revision)
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error
    _check_supported(config, name)
    return config


def _unreadable(name: str, error: Exception) -> InputError:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return InputError(
        "Expected `model` to be the folder or the Hub id of a checkpoint with its tokenizer; "
        f"{name!r} could not be loaded: {reason}"
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


def longformer_of(
    model: PreTrainedModel,
    *,
    max_length: int,
    attention_window: int,
    tokenizer: PreTrainedTokenizerBase,
    head_seed: int | None = None,
) -> LongformerForQuestionAnswering:
    """Return a Longformer with a copy of a question-answering model's weights, in evaluation mode.

    Args:
        model: of one of the ``SUPPORTED`` types, with a head ``qa_outputs``.
        max_length: tokens that the Longformer has positions for.
        attention_window: even number of tokens.
        tokenizer: the model's; it tells the special ids.
        head_seed: seed of a new head; None keeps the model's own.

    Raises:
        InputError: there is no padding token, which Longformer's positions are counted from.
    """
    pad_token_id = _pad_token_id(model.config, tokenizer)
    config = _longformer_config(model.config, tokenizer, pad_token_id, max_length, attention_window)
    weights = {name: weight.clone() for name, weight in model.base_model.state_dict().items()}
    weights[_POSITIONS] = _tiled_positions(
        weights[_POSITIONS],
        max_length=max_length,
        first_of_original=0 if model.config.model_type == "bert" else pad_token_id + 1,
        first=pad_token_id + 1,
    )
    weights |= dict(_global_twins(weights))
    weights = {f"longformer.{name}": weight for name, weight in weights.items()}
    weights |= _head(model, head_seed)
    # On the meta device no weight is drawn at random only to be replaced.
    with torch.device("meta"):
        longformer = LongformerForQuestionAnswering(config)
    longformer.load_state_dict(weights, assign=True)
    return longformer.eval()


def _pad_token_id(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    # RoBERTa counts positions from its config's padding id, and Longformer as well. BERT does not
    # care, so that its configs may well be wrong: there the tokenizer knows.
    known = [config.pad_token_id, tokenizer.pad_token_id]
    if config.model_type == "bert":
        known.reverse()
    found = next((number for number in known if number is not None), None)
    if found is None:
        raise InputError(
            "Expected the tokenizer or the config to name a padding token, which Longformer's "
            "positions are counted from; neither does. Add `pad_token_id` to config.json."
        )
    return int(found)


def _longformer_config(
    config: PreTrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    pad_token_id: int,
    max_length: int,
    attention_window: int,
) -> LongformerConfig:
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    return LongformerConfig(
        **{key: getattr(config, key) for key in _SAME_KEYS},
        attention_window=[attention_window] * config.num_hidden_layers,
        max_position_embeddings=pad_token_id + 1 + max_length,
        pad_token_id=pad_token_id,
        sep_token_id=last,
        bos_token_id=first if config.bos_token_id is None else config.bos_token_id,
        eos_token_id=last if config.eos_token_id is None else config.eos_token_id,
        architectures=[LongformerForQuestionAnswering.__name__],
    )


def _tiled_positions(
    original_pd: Tensor, *, max_length: int, first_of_original: int, first: int
) -> Tensor:
    """Repeat the rows in use up to ``max_length`` of them, behind ``first`` rows that are not."""
    used_pd = original_pd[first_of_original:]
    rows_p = torch.arange(max_length) % len(used_pd)
    unused_pd = original_pd.new_zeros(first, original_pd.shape[1])
    unused_pd[:first_of_original] = original_pd[:first_of_original]
    return torch.cat((unused_pd, used_pd[rows_p]))


def _global_twins(weights: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield a copy of each local projection, by the name of its global twin."""
    for name, weight in weights.items():
        module, _, kind = name.rpartition(".")
        if module.endswith(tuple(f".attention.self.{each}" for each in _PROJECTIONS)):
            yield f"{module}_global.{kind}", weight.clone()


def _head(model: PreTrainedModel, seed: int | None) -> dict[str, Tensor]:
    """Return the weights of the answer head: the model's own, or new ones."""
    head = model.get_submodule(_HEAD).state_dict()
    if seed is None:
        return {f"{_HEAD}.{name}": weight.clone() for name, weight in head.items()}
    generator = torch.Generator().manual_seed(seed)
    std = model.config.initializer_range
    weight_kd = torch.empty_like(head["weight"]).normal_(std=std, generator=generator)
    return {f"{_HEAD}.weight": weight_kd, f"{_HEAD}.bias": torch.zeros_like(head["bias"])}


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
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        whole = Path(scratch) / "model"
        longformer.save_pretrained(whole)
        tokenizer.save_pretrained(whole)
        for file in whole.glob("*.safetensors"):
            file.chmod((whole / "config.json").stat().st_mode)  # they are made for the owner alone
        if folder.exists():
            folder.rmdir()
        shutil.move(whole, folder)

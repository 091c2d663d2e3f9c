"""Values that the user need not type twice, and what can be refused before anything runs."""

from collections.abc import Iterator
from typing import Any

from jsonargparse import Namespace
from transformers import AutoConfig, PreTrainedTokenizerBase

from qa_lightning.callbacks.evaluation import evaluation_problems
from qa_lightning.datamodule import data_problems, load_tokenizer
from qa_lightning.demo import demo_tokenizer
from qa_lightning.errors import InputError
from qa_lightning.model import module_problems

SPECIAL_IDS = ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id")


def fill_and_check(config: Namespace, command: str) -> None:
    """Fill values left ``None``, then refuse what cannot work, all problems at once.

    Raises:
        InputError: one line for each problem.
    """
    _fill_plain(config)
    problems = [
        *module_problems(config.model),
        *data_problems(config.data),
        *evaluation_problems(config.evaluation),
        *split_problems(config.data, command),
    ]
    if not problems:
        _fill_from_tokenizer(config)
        problems = list(position_problems(config))
    if problems:
        raise InputError("\n".join(problems))


def split_problems(data: Namespace, command: str) -> Iterator[str]:
    """Yield a sentence if a command has no split to work on."""
    if command == "test" and data.test_split is None:
        yield (
            "Expected `data.test_split` to name the split to test; got none. Set it, or use "
            f"`validate` for the validation split ({data.val_split!r})."
        )
    if command == "predict" and data.predict_split is None:
        yield (
            "Expected `data.predict_split` to name the split to answer; got none. Set it, for "
            "example `--data.predict_split test`."
        )


def _fill_plain(config: Namespace) -> None:
    if config.data.tokenizer is None and config.model.model_name_or_path is not None:
        config.data.tokenizer = config.model.model_name_or_path
        config.data.tokenizer_revision = config.model.revision
    if config.evaluation.language is None:
        config.evaluation.language = config.data.language
    seed = config.seed_everything
    if config.data.seed is None and not isinstance(seed, bool):
        config.data.seed = seed


def _fill_from_tokenizer(config: Namespace) -> None:
    """Give a network built from scratch the tokenizer's vocabulary and special ids."""
    settings = config.model.config
    if settings is None:
        return
    missing = [key for key in ("vocab_size", *SPECIAL_IDS) if settings.get(key) is None]
    if not missing:
        return
    tokenizer = _tokenizer(config)
    filled = dict(settings)
    for key in missing:
        value = len(tokenizer) if key == "vocab_size" else getattr(tokenizer, key)
        if value is not None:
            filled[key] = value
    config.model.config = filled


def _tokenizer(config: Namespace) -> PreTrainedTokenizerBase:
    data = config.data
    if data.tokenizer is not None:
        return load_tokenizer(data.tokenizer, revision=data.tokenizer_revision)
    if data.dataset == "demo" and not data.data_files:
        return demo_tokenizer(seed=data.seed or 0)
    raise InputError(
        "Expected `data.tokenizer` (a Hub id or a folder), since the model is built from "
        "`model.config` and has none of its own; got none."
    )


def position_problems(config: Namespace) -> Iterator[str]:
    """Yield a sentence if windows are longer than the model has positions for."""
    settings = _network_settings(config)
    if settings is None:
        return
    # Positions of RoBERTa-like models begin behind the padding's.
    room = settings["max_position_embeddings"] - settings["pad_token_id"] - 1
    if config.data.max_length > room:
        yield (
            f"Expected `data.max_length` to be at most the {room} positions of the model; got "
            f"{config.data.max_length}. Lower `data.max_length`, or raise "
            "`model.config.max_position_embeddings` of a model built from scratch."
        )


def _network_settings(config: Namespace) -> dict[str, Any] | None:
    if config.model.config is not None:
        return {"max_position_embeddings": 512, "pad_token_id": 1, **config.model.config}
    name = config.model.model_name_or_path
    try:
        return AutoConfig.from_pretrained(name, revision=config.model.revision).to_dict()  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        raise InputError(
            "Expected `model.model_name_or_path` to be a folder with a checkpoint or a Hub id; "
            f"{name!r} could not be loaded: {str(error).splitlines()[0]}"
        ) from error

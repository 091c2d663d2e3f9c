"""Values that the user need not type twice, and what can be refused before anything runs."""

import logging
from collections.abc import Iterator

from jsonargparse import Namespace
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from qa_lightning.attention import check_padding_side
from qa_lightning.backbones import (
    check_checkpointing,
    network_config,
    positions_of,
    pretrained_config,
    target_problems,
    trained_length,
)
from qa_lightning.callbacks.evaluation import evaluation_problems
from qa_lightning.cli.preflight import run_problems
from qa_lightning.cli.room import disk_problems
from qa_lightning.datamodule import STAGE_SPLITS, data_problems, load_tokenizer
from qa_lightning.demo import demo_tokenizer
from qa_lightning.errors import InputError
from qa_lightning.examples.sources import file_source
from qa_lightning.examples.splits import choose_splits
from qa_lightning.longify import SUPPORTED
from qa_lightning.model import module_problems
from qa_lightning.model.attending import check_attention

log = logging.getLogger(__name__)

DEFAULT_EPOCHS = 3
SPECIAL_IDS = ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id")


def fill_and_check(config: Namespace, command: str) -> None:
    """Fill values left ``None``, then refuse what cannot work, all problems at once.

    Raises:
        InputError: one line for each problem.
    """
    fill_plain(config)
    settled = [*module_problems(config.model), *data_problems(config.data)]
    evaluation = dict(vars(config.evaluation))
    if evaluation["language"] == config.data.language:  # which is filled in: told of once
        evaluation["language"] = None
    found = [
        *settled,
        *objective_data_problems(config),
        *evaluation_problems(evaluation),
        *run_problems(config, command),
        *split_problems(config.data, command),
    ]
    if not settled:
        try:
            _fill_from_tokenizer(config)
            found += network_problems(config)
        except InputError as error:
            found.append(str(error))
    if not found and command == "fit":
        found = list(disk_problems(config, _network_settings(config)))
    if found:  # alone, they are told with what else is wrong in the files, when these are opened
        found += absent_split_problems(config.data, command)
        raise InputError("\n".join(dict.fromkeys(found)))
    if command == "fit":
        _fill_epochs(config.trainer)
    if command != "fit" and config.ckpt_path is None and config.model.config is not None:
        log.warning(
            "the network of `model.config` starts from random weights: its answers mean nothing. "
            "Add `--ckpt_path best` for those that `fit` learned."
        )


def split_problems(data: Namespace, command: str) -> Iterator[str]:
    """Yield a sentence for each split that a command has not to work on."""
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


def absent_split_problems(data: Namespace, command: str) -> Iterator[str]:
    """Yield a sentence for each split that the data files have not."""
    if not data.data_files or data.in_memory:
        return
    try:
        source = file_source(data.data_files)
    except InputError as error:  # no paths at all
        yield f"`data.data_files`: {error}"
        return
    for role in STAGE_SPLITS[command]:
        if (split := data[f"{role}_split"]) is not None:
            try:
                choose_splits(split, source.splits(), source.label)
            except InputError as error:
                yield f"`data.{role}_split`: {error}"


def fill_plain(config: Namespace) -> None:
    """Fill what other keys say, without reading a file."""
    if config.data.tokenizer is None and config.model.model_name_or_path is not None:
        config.data.tokenizer = config.model.model_name_or_path
        config.data.tokenizer_revision = config.model.revision
    if config.evaluation.language is None:
        config.evaluation.language = config.data.language
    seed = config.seed_everything
    if config.data.seed is None and not isinstance(seed, bool):
        config.data.seed = seed
    _fill_for_objective(config.model, config.data)


def _fill_epochs(trainer: Namespace) -> None:
    """Bound a training that nothing else does: Lightning's own bound is a thousand epochs."""
    unbounded = trainer.max_epochs is None and trainer.max_steps == -1 and trainer.max_time is None
    if unbounded and not trainer.fast_dev_run:
        trainer.max_epochs = DEFAULT_EPOCHS
        log.warning(
            "`trainer.max_epochs` was left open: training ends after %d epochs. Set it, or "
            "`trainer.max_steps`.",
            DEFAULT_EPOCHS,
        )


def _fill_for_objective(model: Namespace, data: Namespace) -> None:
    """Ask the data for what the objective needs, where the user did not say."""
    if data.all_gold_spans is None and model.objective in ("any_answer", "document"):
        data.all_gold_spans = True
    if data.group_by_document is None and model.objective == "document":
        data.group_by_document = True


def objective_data_problems(config: Namespace) -> Iterator[str]:
    """Yield a sentence for each `data:` key that the objective cannot work with."""
    model, data = config.model, config.data
    needs = {
        "all_gold_spans": model.objective in ("any_answer", "document"),
        "group_by_document": model.objective == "document",
    }
    for key, needed in needs.items():
        if needed and data[key] is False:
            yield (
                f"Expected `data.{key}` to be true for `model.objective` {model.objective}; got "
                "false. Leave it out: it is filled in."
            )
    if model.confidence_weighting and data.alignment == "keep":
        yield (
            "Expected another `data.alignment` than keep with `model.confidence_weighting`, since "
            "it trains on `answer_start` whatever the confidence in it. Use repair, or turn the "
            "weighting off."
        )


def _fill_from_tokenizer(config: Namespace) -> None:
    """Give a network built from scratch the tokenizer's vocabulary and special ids."""
    settings = config.model.config
    if settings is None:
        return
    known = network_config(settings)  # BERT's has no separator, for one
    keys = [key for key in ("vocab_size", *SPECIAL_IDS) if hasattr(known, key)]
    missing = [key for key in keys if settings.get(key) is None]
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
    if data.dataset == "demo" and not (data.data_files or data.in_memory):
        return demo_tokenizer(seed=data.seed or 0)
    raise InputError(
        "Expected `data.tokenizer` (a Hub id or a folder), since the model is built from "
        "`model.config` and has none of its own; got none."
    )


def network_problems(config: Namespace) -> Iterator[str]:
    """Yield a sentence if windows or their token ids do not fit the network."""
    settings = _network_settings(config)
    room = positions_of(settings)
    if room is not None and config.data.max_length > room:
        yield (
            f"Expected `data.max_length` to be at most the {room} positions of the model; got "
            f"{config.data.max_length}. Lower `data.max_length`, or "
            + _more_room(config.model.model_name_or_path, settings)
        )
    if config.model.lora is not None:
        yield from target_problems(settings, config.model.lora)
    made_for = trained_length(settings)
    if room is None and made_for is not None and config.data.max_length > made_for:
        log.warning(
            "`data.max_length` is %d, and the network was made for %d tokens: it takes longer "
            "windows, and may read them worse",
            config.data.max_length,
            made_for,
        )
    tokenizer = _tokenizer(config)
    try:
        check_padding_side(settings.model_type, tokenizer.padding_side)
        check_attention(settings, config.model.attention)
        if config.model.gradient_checkpointing:
            check_checkpointing(settings)
    except InputError as error:
        yield str(error)
    tokens = len(tokenizer)
    vocabulary = getattr(settings, "encoder", settings).vocab_size
    if tokens > vocabulary:
        yield (
            f"Expected the model's vocabulary to hold the {tokens} tokens of the tokenizer; it "
            f"holds {vocabulary}. Leave `model.config.vocab_size` out, or name the "
            "model's own tokenizer in `data.tokenizer`."
        )


def _more_room(name: str | None, settings: PreTrainedConfig) -> str:
    if name is not None and settings.model_type in SUPPORTED:
        return f"turn the model into a Longformer: `qa-lightning longify {name} --output DIR`."
    if name is not None:
        return (
            "take a checkpoint with more positions (`qa-lightning longify` makes one with "
            "`--max_length`)."
        )
    return "raise `model.config.max_position_embeddings`."


def _network_settings(config: Namespace) -> PreTrainedConfig:
    if config.model.config is not None:
        return network_config(config.model.config)
    return pretrained_config(config.model.model_name_or_path, config.model.revision)

"""A network from its config or its checkpoint, and which inputs and lengths it takes."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import nn
from transformers import (
    MODEL_FOR_QUESTION_ANSWERING_MAPPING,
    PreTrainedConfig,
    PreTrainedModel,
)

from qa_lightning.backbones.configs import (
    UNBUILDABLE,
    not_buildable,
    not_loadable,
    pretrained_config,
)
from qa_lightning.backbones.families import COMPARE_TYPES, OWN_HEADS
from qa_lightning.backbones.heads import class_with_head
from qa_lightning.errors import InputError


def network_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """Return the class that answers questions with such a config: transformers', or ours.

    Raises:
        InputError: there is none.
    """
    if config.model_type in OWN_HEADS:
        return cast(type[PreTrainedModel], class_with_head(type(config)))  # type: ignore[arg-type]
    if type(config) not in MODEL_FOR_QUESTION_ANSWERING_MAPPING:
        raise InputError(
            "Expected a network that transformers has a question-answering head for; a "
            f"{config.model_type!r} model has none. Name a question-answering model."
        )
    return cast(type[PreTrainedModel], MODEL_FOR_QUESTION_ANSWERING_MAPPING[type(config)])


def build_network(config: PreTrainedConfig) -> PreTrainedModel:
    """Build an untrained network.

    Raises:
        InputError: the config's values contradict each other.
    """
    try:
        return network_class(config)(config)
    except UNBUILDABLE as error:
        raise not_buildable(error, config.model_type) from error


def load_network(name: str, revision: str | None = None) -> PreTrainedModel:
    """Load a checkpoint's network in float32, with a new head where it has none.

    Raises:
        InputError: there is none of that name, or it cannot have a question-answering head.
    """
    config = pretrained_config(name, revision)
    try:
        network: PreTrainedModel = network_class(config).from_pretrained(
            name, config=config, revision=revision or "main", dtype=torch.float32
        )
    except Exception as error:  # safetensors, torch and transformers each raise their own
        raise not_loadable(name, error) from error
    _freeze_what_is_computed(network)
    return network


def _freeze_what_is_computed(network: PreTrainedModel) -> None:
    """Keep out of training what a new network does; weights that are read lose that mark."""
    with _without_memory():
        fixed = network_class(network.config)(network.config).named_parameters()
        frozen = {name for name, parameter in fixed if not parameter.requires_grad}
    for name, parameter in network.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)


def check_checkpointing(config: PreTrainedConfig) -> None:
    """Refuse to recompute the activations of a network that does not know how.

    Raises:
        InputError: it does not.
    """
    if not network_class(config).supports_gradient_checkpointing:
        raise InputError(
            "Expected `model.gradient_checkpointing` false with a network of type "
            f"{config.model_type!r}, whose activations transformers cannot recompute; got true. "
            "Turn it off, or take a bert, a deberta-v2 or a modernbert."
        )


def recompute_activations(network: PreTrainedModel) -> None:
    """Keep layers' inputs alone in training, and compute the rest again in the backward pass.

    Non-reentrant, so that frozen parts and unused parameters are no matter. ``check_checkpointing``
    says whether a network can.
    """
    options = {"use_reentrant": False}
    if hasattr(network, "activation_checkpointing_enable"):  # as newer releases call it
        network.activation_checkpointing_enable(activation_checkpointing_kwargs=options)
    else:
        network.gradient_checkpointing_enable(  # type: ignore[no-untyped-call]
            gradient_checkpointing_kwargs=options
        )


def model_inputs(network: PreTrainedModel) -> list[str]:
    """Return which tensors of a batch a network takes.

    Token types are left out where there is one type alone: most tokenizers of such networks count
    two all the same.
    """
    accepted = inspect.signature(network.forward).parameters
    names = ["input_ids", "attention_mask"]
    if "global_attention_mask" in accepted:
        names.append("global_attention_mask")
    config = network.config
    several = config.model_type in COMPARE_TYPES or getattr(config, "type_vocab_size", 0) > 1
    if "token_type_ids" in accepted and several:
        names.append("token_type_ids")
    return names


def longest_window(network: PreTrainedModel) -> int | None:
    """Return how many tokens the network has positions for; None: any number."""
    tables = (
        (parent, getattr(parent, name))
        for parent in network.base_model.modules()
        for name in ("position_embeddings", "embed_positions")
        if isinstance(getattr(getattr(parent, name, None), "weight", None), nn.Parameter)
    )
    parent, table = next(tables, (None, None))
    if table is None:
        return None
    # RoBERTa's kin, Longformers among them, count from behind the padding's position; others have
    # a table that is longer than what they count.
    behind = getattr(table, "padding_idx", None)
    room = len(table.weight) - (0 if behind is None else behind + 1)
    counted = getattr(parent, "position_ids", None)
    return room if counted is None else min(room, counted.shape[-1])


def positions_of(config: PreTrainedConfig) -> int | None:
    """Return ``longest_window`` of a network that has not been built.

    Raises:
        InputError: the config's values contradict each other.
    """
    with _without_memory():
        return longest_window(build_network(config))


@contextmanager
def _without_memory() -> Iterator[None]:
    """Build on the meta device; what is drawn there must not move the run's own start."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        yield


def parameter_count(config: PreTrainedConfig) -> int:
    """Return how many parameters a network has, without its memory.

    Raises:
        InputError: the config's values contradict each other.
    """
    with _without_memory():
        return sum(parameter.numel() for parameter in build_network(config).parameters())


def trained_length(config: PreTrainedConfig) -> int | None:
    """Return how many tokens a network without a table of positions was made for, if it says."""
    length = getattr(getattr(config, "encoder", config), "max_position_embeddings", None)
    return length if length and length > 0 else None

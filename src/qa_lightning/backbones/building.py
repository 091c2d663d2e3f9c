"""A network from its config or its checkpoint, and which inputs and lengths it takes."""

import inspect
from typing import cast

import torch
from torch import nn
from transformers import (
    MODEL_FOR_QUESTION_ANSWERING_MAPPING,
    AutoModelForQuestionAnswering,
    PreTrainedConfig,
    PreTrainedModel,
)

from qa_lightning.backbones.configs import (
    UNBUILDABLE,
    not_buildable,
    not_loadable,
    pretrained_config,
)


def network_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """Return the class of transformers that answers questions with such a config."""
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
    pretrained_config(name, revision)
    try:
        network: PreTrainedModel = AutoModelForQuestionAnswering.from_pretrained(
            name, revision=revision, dtype=torch.float32, trust_remote_code=False
        )
    except Exception as error:  # safetensors, torch and transformers each raise their own
        raise not_loadable(name, error) from error
    return network


def recompute_activations(network: PreTrainedModel) -> None:
    """Keep layers' inputs alone in training, and compute the rest again in the backward pass.

    Non-reentrant, so that frozen parts and unused parameters are no matter.
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
    if "token_type_ids" in accepted and getattr(network.config, "type_vocab_size", 0) > 1:
        names.append("token_type_ids")
    return names


def longest_window(network: PreTrainedModel) -> int | None:
    """Return how many tokens the network has positions for; None: any number."""
    table = getattr(getattr(network.base_model, "embeddings", None), "position_embeddings", None)
    if not isinstance(table, nn.Embedding):
        return None
    # RoBERTa's kin, Longformers among them, count from behind the padding's position.
    return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)


def positions_of(config: PreTrainedConfig) -> int | None:
    """Return ``longest_window`` of a network that has not been built.

    Raises:
        InputError: the config's values contradict each other.
    """
    # On the meta device no memory is filled; what it draws must not move the run's own start.
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return longest_window(build_network(config))

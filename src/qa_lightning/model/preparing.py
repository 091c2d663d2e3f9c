"""A network as the arguments of `QAModule` say, but for its weights."""

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedConfig, PreTrainedModel

from qa_lightning.backbones import (
    add_adapters,
    network_config,
    pretrained_config,
    recompute_activations,
)
from qa_lightning.model.attending import attend
from qa_lightning.model.optimizer import freeze_embeddings


def network_settings(settings: Mapping[str, Any]) -> PreTrainedConfig:
    """Return the config of the network, from the values given or the checkpoint named.

    Args:
        settings: the arguments of `QAModule`.

    Raises:
        InputError: there is no such network.
    """
    given = settings["config"]
    if given is None:
        return pretrained_config(settings["model_name_or_path"], settings["revision"])
    return network_config(given)


def prepare(network: PreTrainedModel, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give a network its attention, checkpointing, adapters and frozen parts, in place.

    Args:
        network: with its weights, if it has any.
        settings: the arguments of `QAModule`.

    Returns:
        The settings of its adapters with nothing left open; None without adapters.
    """
    attend(network, settings["attention"])
    if settings["gradient_checkpointing"]:
        recompute_activations(network)
    lora = settings["lora"]
    adapters = None if lora is None else add_adapters(network, lora)
    if settings["freeze_embeddings"]:
        freeze_embeddings(network.base_model)
    return adapters

"""Networks that answer questions: from plain values or a checkpoint, and what they take."""

from qa_lightning.backbones.adapters import (
    adapter_problems,
    adapter_settings,
    add_adapters,
    merged_weights,
)
from qa_lightning.backbones.building import (
    build_network,
    load_network,
    longest_window,
    model_inputs,
    network_class,
    positions_of,
    recompute_activations,
)
from qa_lightning.backbones.configs import network_config, plain_config, pretrained_config

__all__ = [
    "adapter_problems",
    "adapter_settings",
    "add_adapters",
    "build_network",
    "load_network",
    "longest_window",
    "merged_weights",
    "model_inputs",
    "network_class",
    "network_config",
    "plain_config",
    "positions_of",
    "pretrained_config",
    "recompute_activations",
]

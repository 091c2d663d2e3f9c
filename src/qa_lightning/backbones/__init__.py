"""Networks that answer questions: from plain values or a checkpoint, and what they take."""

from qa_lightning.backbones.adapters import (
    adapter_problems,
    adapter_settings,
    add_adapters,
    merged_weights,
    target_problems,
)
from qa_lightning.backbones.building import (
    build_network,
    check_checkpointing,
    load_network,
    longest_window,
    model_inputs,
    network_class,
    parameter_count,
    positions_of,
    recompute_activations,
    trained_length,
)
from qa_lightning.backbones.configs import (
    any_config,
    network_config,
    plain_config,
    pretrained_config,
)
from qa_lightning.backbones.families import COMPARE_TYPES, FLOAT32_ALONE, OWN_HEADS
from qa_lightning.backbones.heads import HALVES
from qa_lightning.backbones.products import FollowedNetwork, fast_network
from qa_lightning.backbones.reading import span_logits
from qa_lightning.backbones.unused import freeze_unused

__all__ = [
    "COMPARE_TYPES",
    "FLOAT32_ALONE",
    "HALVES",
    "OWN_HEADS",
    "FollowedNetwork",
    "adapter_problems",
    "adapter_settings",
    "add_adapters",
    "any_config",
    "build_network",
    "check_checkpointing",
    "fast_network",
    "freeze_unused",
    "load_network",
    "longest_window",
    "merged_weights",
    "model_inputs",
    "network_class",
    "network_config",
    "parameter_count",
    "plain_config",
    "positions_of",
    "pretrained_config",
    "recompute_activations",
    "span_logits",
    "target_problems",
    "trained_length",
]

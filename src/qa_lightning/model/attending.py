"""How a network attends: as `model.attention` says, where network and machine can."""

import logging
from collections.abc import Iterator

import torch
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils.import_utils import is_flash_attn_2_available

from qa_lightning.attention import (
    has_sliding_layers,
    pin_bigbird_attention,
    use_flex_attention,
    use_windowed_attention,
)
from qa_lightning.backbones import network_class
from qa_lightning.errors import InputError
from qa_lightning.processors import has_fast_bfloat16

log = logging.getLogger(__name__)

ATTENTIONS = ("windowed", "flex", "reference", "sdpa", "flash")
_NAMES = {"sdpa": "sdpa", "flash": "flash_attention_2", "flex": "flex_attention"}
"""What transformers calls them."""


def check_attention(config: PreTrainedConfig, attention: str) -> None:
    """Refuse an attention that the network has not, before anything is loaded.

    Raises:
        InputError: one line that says why, and what to take.
    """
    longformer = config.model_type == "longformer"
    if attention not in _NAMES or (longformer and attention == "flex"):
        return
    network = network_class(config)
    known = {
        "sdpa": network._supports_sdpa,
        "flash": network._supports_flash_attn,
        "flex": network._supports_flex_attn,
    }
    if longformer or not known[attention]:
        raise InputError(
            f"Expected `model.attention` to be one that a {config.model_type} has; got "
            f"{attention!r}. Take windowed or reference."
        )


def machine_problems(attention: object) -> Iterator[str]:
    """Yield one line if this machine has not what an attention needs."""
    if attention == "flash" and not (torch.cuda.is_available() and is_flash_attn_2_available()):
        yield (
            "Expected a GPU of CUDA and the package flash-attn for `model.attention` flash; "
            "there is not both here. Take windowed or sdpa."
        )


def warn_of_slow_precision(precision: object, device: torch.device) -> None:
    """Say in one line that bfloat16 gains nothing where processors do not multiply it."""
    if device.type == "cpu" and str(precision).startswith("bf16") and has_fast_bfloat16() is False:
        log.warning(
            "This machine's processors do not multiply bfloat16 (no AVX512-BF16 or AMX): "
            "`trainer.precision` 32 is as fast or faster here, and exact"
        )


def attend(network: PreTrainedModel, attention: str) -> None:
    """Make a network attend as named, in place; a BigBird never changes how it does.

    Of networks without a window ``windowed`` and ``reference`` are transformers' own choice.
    """
    kind = network.config.model_type
    if kind == "big_bird":
        pin_bigbird_attention(network)
    if attention == "windowed" and (kind == "longformer" or has_sliding_layers(network)):
        use_windowed_attention(network)
    elif kind == "longformer":
        if attention == "flex":
            use_flex_attention(network)
    elif attention == "flex" and not torch.cuda.is_available():
        log.warning("flex_attention is for GPUs: the network attends as transformers chooses")
    elif attention in _NAMES:
        network.set_attn_implementation(_NAMES[attention])

"""LoRA (Hu et al. 2021): small matrices beside frozen ones, and the sum of the two."""

import math
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from qa_lightning.backbones.building import build_network
from qa_lightning.errors import InputError
from qa_lightning.ranges import Rule, flag, number, problems, shown, whole

DEFAULTS: dict[str, Any] = {
    "r": 8,
    "lora_alpha": 16,
    "lora_dropout": 0.0,
    "use_rslora": False,
    "target_modules": None,
}
"""The keys of peft's ``LoraConfig`` that can be chosen; None: ``PROJECTIONS``."""

PROJECTIONS = frozenset(
    (
        *("query", "key", "value", "query_global", "key_global", "value_global"),
        *("q_lin", "k_lin", "v_lin", "query_proj", "key_proj", "value_proj"),
        *("q_proj", "k_proj", "v_proj", "q", "k", "v", "Wqkv"),
        *("in_proj", "q_head", "k_head", "v_head"),
    )
)
"""What the projections of queries, keys and values are called in transformers' encoders."""

_BASE = ".base_layer."
_ADAPTER = ".lora_"


def adapter_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the defaults filled in.

    >>> adapter_settings({"r": 4})["lora_alpha"]
    16
    """
    return {**DEFAULTS, **given}


def adapter_problems(given: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield one sentence for each value of `model.lora` that cannot work."""
    if given is None:
        return
    if not isinstance(given, Mapping):
        yield f"Expected `model.lora` to hold keys such as `r`; got {shown(given)}. {{}} will do."
        return
    if find_spec("peft") is None:
        yield (
            "Expected the package peft, which `model.lora` needs; it is not installed. Install it "
            "by `pip install peft`, or set `model.lora` to null."
        )
    for key in sorted(map(str, given.keys() - DEFAULTS.keys())):
        yield f"Expected `model.lora` to hold keys among {', '.join(DEFAULTS)}; got {key!r}."
    yield from problems(RULES, adapter_settings(given), prefix="model.lora.")


def target_problems(config: PreTrainedConfig, given: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence if a network, built without memory, has no such layers to adapt."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        network = build_network(config)
    try:
        _targets(network, adapter_settings(given)["target_modules"])
    except InputError as error:
        yield str(error)


def add_adapters(network: PreTrainedModel, given: Mapping[str, Any]) -> dict[str, Any]:
    """Freeze the backbone and put trainable adapters into it, in place; the head is trained whole.

    Returns:
        The settings with nothing left open, from which the same adapters can be made again.

    Raises:
        InputError: the network has no such layers, or they are not linear.
    """
    from peft import LoraConfig, inject_adapter_in_model

    settings = adapter_settings(given)
    settings["target_modules"] = targets = _targets(network, settings["target_modules"])
    head = set(network.parameters()) - set(network.base_model.parameters())
    inject_adapter_in_model(LoraConfig(**settings), network.base_model)
    for parameter in head:
        parameter.requires_grad_(True)
    settings["target_modules"] = list(targets)  # peft makes a set of its own
    return settings


def merged_weights(weights: Mapping[str, Tensor], given: Mapping[str, Any]) -> dict[str, Tensor]:
    """Add each adapter to the matrix beside it: the weights of the network without adapters.

    Args:
        weights: of a network with adapters.
        given: the settings they were made with.
    """
    settings = adapter_settings(given)
    root = settings["r"] if not settings["use_rslora"] else math.sqrt(settings["r"])
    scale = settings["lora_alpha"] / root
    merged = {
        name.replace(_BASE, "."): tensor for name, tensor in weights.items() if _ADAPTER not in name
    }
    for name, tensor in weights.items():
        layer, found, leaf = name.partition(_BASE)
        if found and leaf == "weight":
            down, up = (weights[f"{layer}.lora_{half}.default.weight"] for half in "AB")
            change = scale * (up.float() @ down.float())
            merged[f"{layer}.weight"] = (tensor.float() + change).to(tensor.dtype)
    return merged


def _targets(network: PreTrainedModel, wanted: list[str] | None) -> list[str]:
    """Return the names of the layers to adapt, checked; sorted, so that runs are alike."""
    layers: dict[str, list[nn.Module]] = {}
    for path, module in network.base_model.named_modules():
        layers.setdefault(path.rpartition(".")[2], []).append(module)
    linear = {name for name, found in layers.items() if all(type(m) is nn.Linear for m in found)}
    chosen = linear & PROJECTIONS if wanted is None else set(wanted)
    if chosen and chosen <= linear:
        return sorted(chosen)
    missing = ", ".join(sorted(chosen - linear)) or "its attention's projections"
    raise InputError(
        "Expected `model.lora.target_modules` to name linear layers of the network; "
        f"{type(network).__name__} has none for {missing}. "
        + (f"Choose among {', '.join(sorted(linear))}." if linear else "Train it without.")
    )


def _are_names(targets: Any) -> bool:
    names = isinstance(targets, list | tuple) and all(isinstance(name, str) for name in targets)
    return names and len(targets) > 0


RULES: dict[str, Rule] = {
    "r": whole(1, remedy="It is a rank."),
    "lora_alpha": number(above=0),
    "lora_dropout": number(0, below=1),
    "use_rslora": flag(),
    "target_modules": Rule(
        "to be a list of the names of linear layers",
        "For example [query, value].",
        _are_names,
        optional=True,
    ),
}

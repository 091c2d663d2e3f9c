"""What a training step keeps in memory, from a step of the network without numbers."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import torch
from lightning.pytorch.plugins.precision import Precision
from torch import Tensor
from transformers import PreTrainedModel

from qa_lightning.attention import few_blocks
from qa_lightning.backbones import build_network, span_logits
from qa_lightning.footprint.live import LiveMemory, place, unreal_floats
from qa_lightning.model.preparing import network_settings, prepare

_MOMENTS = 2  # of AdamW


@dataclass(frozen=True)
class Footprint:
    """Hold how much memory a training step takes on one process at its peak, in bytes.

    What Python, the libraries and a device's own context take comes on top.

    Attributes:
        weights: of the network, frozen ones too.
        gradients: of what is trained.
        optimizer: its state.
        activations: all else that lives at the peak: what the backward pass needs, and passing
            results.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """Return the sum."""
        return self.weights + self.gradients + self.optimizer + self.activations

    def __str__(self) -> str:
        """Tell it in gibibytes."""
        return (
            f"{gib(self.total)} (weights {gib(self.weights)}, gradients {gib(self.gradients)}, "
            f"AdamW {gib(self.optimizer)}, activations {gib(self.activations)})"
        )


def gib(size: float) -> str:
    """Tell a number of bytes.

    >>> gib(3 << 29)
    '1.5 GiB'
    """
    amount = size / 2**30
    return f"{amount:.1f} GiB" if amount >= 0.995 else f"{amount:.2f} GiB"


def step_footprint(
    settings: Mapping[str, Any],
    batch: Mapping[str, Tensor],
    *,
    device: torch.device,
    precision: Precision,
) -> Footprint:
    """Return what an AdamW step takes, by running one on tensors that have no numbers.

    The network does in it whatever it does in training (attention, checkpointing, adapters, mixed
    precision), so that nothing is known here of how it computes.

    Args:
        settings: the arguments of `QAModule`.
        batch: of windows; real.
        device: where it would run.
        precision: the trainer's plugin.
    """
    config = network_settings(settings)
    live = LiveMemory(device)
    with torch.random.fork_rng(devices=[]), ExitStack() as stack:
        with torch.device("meta"), precision.module_init_context():
            network = build_network(config)
            prepare(network, settings)
            network = cast(PreTrainedModel, precision.convert_module(network)).train()
        for mode in (few_blocks(), unreal_floats(), live):
            stack.enter_context(mode)
        place(network, device)
        weights = live.now
        live.restart()
        with precision.forward_context():
            start_logits_bl, end_logits_bl = span_logits(network, batch)
            loss = start_logits_bl.float().sum() + end_logits_bl.float().sum()
        forward = live.peak - weights
        live.restart()
        loss.backward()  # type: ignore[no-untyped-call]
        backward = live.peak - weights
        gradients = sum(p.grad.nbytes for p in network.parameters() if p.grad is not None)
    # Lightning keeps the last step's gradients until the forward pass is over.
    return Footprint(
        weights=weights,
        gradients=gradients,
        optimizer=_MOMENTS * gradients,
        activations=max(forward, backward - gradients),
    )

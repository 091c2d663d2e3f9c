"""Say at the start of a training how much memory its largest step takes, and whether it fits."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from qa_lightning.backbones import network_class
from qa_lightning.batches import WindowDataset
from qa_lightning.errors import InputError
from qa_lightning.footprint.estimating import Footprint, gib, step_footprint
from qa_lightning.model.preparing import network_settings

log = logging.getLogger(__name__)

CERTAIN = 0.85
"""The share of an estimate that a step takes at the very least."""


@dataclass(frozen=True)
class TrainingStep:
    """Hold what decides how much memory a step takes.

    Attributes:
        settings: the arguments of `QAModule`.
        batch: of windows; real.
        device: where it runs.
        precision: the trainer's plugin.
        how: what was changed, in the words of the command line.
    """

    settings: Mapping[str, Any]
    batch: Mapping[str, Tensor]
    device: torch.device
    precision: Precision
    how: str = ""

    def footprint(self) -> Footprint | None:
        """Return what it takes; None of a network that does not run without numbers."""
        try:
            return step_footprint(
                self.settings, self.batch, device=self.device, precision=self.precision
            )
        except InputError:
            raise
        except Exception as error:  # of operators that fake tensors have no rule for
            log.debug("the memory of a step could not be estimated", exc_info=error)
            return None

    def ways(self) -> Iterator["TrainingStep"]:
        """Yield steps that take less, the least loss first, each with what it changes."""
        step = self
        rows = len(self.batch["input_ids"])
        while rows > 1:
            rows //= 2
            parts = -(-len(self.batch["input_ids"]) // rows)
            yield step._changed(
                f"`data.batch_size` {rows} with `trainer.accumulate_grad_batches` {parts}",
                batch={key: tensor[:rows] for key, tensor in self.batch.items()},
            )
        checkpointing = network_class(network_settings(self.settings))
        if (
            not self.settings["gradient_checkpointing"]
            and checkpointing.supports_gradient_checkpointing
        ):
            step = self._changed(
                "`model.gradient_checkpointing` true",
                settings={**self.settings, "gradient_checkpointing": True},
            )
            yield step
        if self.precision.precision == "32-true":
            plugin = MixedPrecision("bf16-mixed", self.device.type)
            step = step._changed("`trainer.precision` bf16-mixed", precision=plugin)
            yield step
        if self.settings["lora"] is None:
            yield step._changed("`model.lora.r` 8", settings={**step.settings, "lora": {"r": 8}})

    def _changed(self, how: str, **changes: Any) -> "TrainingStep":
        return replace(self, how=f"{self.how} and {how}" if self.how else how, **changes)


class MemoryForecast(Callback):
    """Tell, before weights are loaded, what the largest step takes; on CUDA refuse too much.

    The estimate is of the network itself, run on tensors without numbers (see ``step_footprint``),
    and of the batch of the training data's longest windows. Of a network that cannot be run so,
    and of shards (FSDP), nothing is said.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Estimate and tell.

        Raises:
            InputError: the GPU has not so much memory.
        """
        data: Any = getattr(trainer, "datamodule", None)
        if stage != "fit" or not hasattr(data, "train_features"):
            return
        if isinstance(trainer.strategy, ModelParallelStrategy):
            return
        step = TrainingStep(
            settings=pl_module.hparams,
            batch=largest_batch(data),
            device=trainer.strategy.root_device,
            precision=trainer.precision_plugin,
        )
        found = step.footprint()
        if found is None:
            return
        rows, length = step.batch["input_ids"].shape
        rank_zero_info(f"A training step of {rows} x {length} tokens takes about {found}.")
        if step.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(step.device)
            check_room(step, found, free)


def largest_batch(data: Any) -> dict[str, Tensor]:
    """Return a batch of a data module's longest training windows, as many as one may have."""
    settings = data.hparams
    count = settings["batch_size"]
    if settings["group_by_document"]:
        count *= settings["windows_per_document"]
    windows = WindowDataset(data.train_features)
    longest = np.argsort(np.asarray(windows.lengths()), kind="stable")[::-1][:count]
    batch: dict[str, Tensor] = data.collator()(windows.__getitems__(longest.tolist()))
    return batch


def check_room(step: TrainingStep, found: Footprint, free: int) -> None:
    """Refuse a step that takes more memory than there is.

    Raises:
        InputError: what it takes, and which changes would fit.
    """
    if CERTAIN * found.total <= free:
        return
    fitting = []
    for way in step.ways():
        less = way.footprint()
        if less is not None and less.total <= free:
            fitting.append(f"{way.how} ({gib(less.total)})")
    raise InputError(
        f"Expected a training step to fit into the {gib(free)} that are free on {step.device}; it "
        f"takes about {found}. "
        + (
            f"These would fit: {'; '.join(fitting)}."
            if fitting
            else "Lower `data.max_length`, or take a smaller network or more GPUs "
            "(`--config configs/overlays/fsdp.yaml`)."
        )
    )

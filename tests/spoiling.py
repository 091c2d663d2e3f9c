"""Callbacks that spoil chosen batches of a run, and one that keeps what its steps changed."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch import Callback

from qa_lightning.model.sharding import local
from qa_lightning.objectives import Objective

WAYS = ("loss_nan", "loss_inf", "loss_only", "gradient_nan", "gradient_inf", "gradient_large")
"""What is not finite: the loss and with it the gradient, the loss alone, the gradient alone."""


@dataclass(frozen=True, kw_only=True)
class SpoiltObjective(Objective):
    """Return a loss that is not finite."""

    way: str = "loss_nan"

    def training_loss(self, *inputs: Any) -> torch.Tensor:
        loss = super().training_loss(*inputs)
        if self.way == "loss_only":
            return loss + math.nan
        return loss * (math.nan if self.way == "loss_nan" else math.inf)


class Spoil(Callback):
    """Spoil batches on one rank.

    Args:
        batches: their numbers in the epoch; a negative one spoils all from its absolute value on.
        way: one of ``WAYS``, or ``weights``: those turn NaN when the batch has been trained on.
        rank: the only one where it happens.
    """

    def __init__(self, batches: list[int], way: str = "loss_nan", rank: int = 0) -> None:
        self.batches, self.way, self.rank = batches, way, rank

    def _chosen(self, trainer: Any, batch_idx: int) -> bool:
        chosen = batch_idx in self.batches or any(batch_idx >= -b > 0 for b in self.batches)
        return chosen and trainer.global_rank == self.rank

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        self.objective = pl_module.objective

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        pl_module.objective = self.objective
        if self.way.startswith("loss") and self._chosen(trainer, batch_idx):
            name = self.objective.name
            pl_module.objective = SpoiltObjective(name=name, way=self.way)
        self.now = self.way.startswith("gradient") and self._chosen(trainer, batch_idx)

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: torch.Tensor) -> None:
        if self.now:  # as a backward pass of a network does that overflows somewhere
            head = pl_module.network.qa_outputs
            weight = getattr(head, "modules_to_save", {"default": head})["default"].weight
            value = {"nan": math.nan, "inf": math.inf, "large": 1e30}[self.way.split("_")[1]]
            handle = weight.register_hook(lambda gradient: torch.full_like(gradient, value))
            self.handle = handle

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        if self.now:
            self.handle.remove()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.way == "weights" and self._chosen(trainer, batch_idx):
            with torch.no_grad():
                next(pl_module.parameters()).view(-1)[0] = math.nan


class Steps(Callback):
    """Keep of each batch: its windows, and whether weights and the optimizer's state changed."""

    runs: ClassVar[list["Steps"]] = []

    def __init__(self) -> None:
        self.windows: list[list[int]] = []
        self.changed: list[bool] = []
        self.rates: list[float] = []
        self.counts: list[float] = []
        self.runs.append(self)

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        self.trainer = trainer

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        weights = [float(local(value).double().sum()) for value in pl_module.parameters()]
        seen = {"changed": self.changed, "windows": self.windows, "weights": weights}
        path = Path(trainer.default_root_dir) / f"steps{trainer.global_rank}.json"
        path.write_text(json.dumps(seen), encoding="utf-8")

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        self.windows.append(batch["feature_index"].tolist())
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        self.before = self._state(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        after = self._state(trainer, pl_module)
        assert all(tensor.isfinite().all() for tensor in after.values())
        # The state is made, of zeros, at the first step, whether that is applied or not.
        zero = torch.zeros(())
        same = [torch.equal(v, self.before.get(k, zero.expand(v.shape))) for k, v in after.items()]
        self.changed.append(not all(same))

    def _state(self, trainer: Any, pl_module: Any) -> dict[str, torch.Tensor]:
        named = pl_module.named_parameters()
        found = {name: local(value.detach()).clone() for name, value in named}
        states = trainer.optimizers[0].state
        for number, state in enumerate(states.values()):
            for key, value in state.items():
                if torch.is_tensor(value):
                    found[f"{number}.{key}"] = local(value.detach()).clone()
        return found

"""What runs inside the processes of the tests."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from torch import distributed

from qa_lightning.callbacks.gathering import WindowStore
from qa_lightning.candidates import window_candidates


class RankLog(Callback):
    """Write ``rank<n>.json`` into the run's folder at the end of training."""

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        values = {key: float(value) for key, value in trainer.callback_metrics.items()}
        seen = {
            "keys": sorted(values),
            "values": values,
            "weights": [float(parameter.double().sum()) for parameter in pl_module.parameters()],
            "steps": trainer.global_step,
            "batches": len(trainer.train_dataloader),
            "windows": len(trainer.datamodule.train_features),
        }
        path = Path(trainer.default_root_dir) / f"rank{trainer.global_rank}.json"
        path.write_text(json.dumps(seen), encoding="utf-8")


class GpuUse(Callback):
    """Write ``use<n>.json``: the most bytes on this process's GPU, and the seconds of an epoch."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.began = time.perf_counter()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        torch.cuda.synchronize()
        self.seconds = time.perf_counter() - self.began

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        use = {"peak": torch.cuda.max_memory_allocated(), "seconds": self.seconds}
        path = Path(trainer.default_root_dir) / f"use{trainer.global_rank}.json"
        path.write_text(json.dumps(use), encoding="utf-8")


class Gradients(Callback):
    """Write ``gradients<rank>.pt``: the first step's gradients, and what its batches held."""

    def __init__(self) -> None:
        self.windows: list[list[int]] = []
        self.documents = 0
        self.weights: list[float] = []

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        self.windows.append(batch["feature_index"].tolist())
        self.weights += batch["label_weights"].tolist()
        if "document_index" in batch:
            self.documents += int(batch["document_index"].max()) + 1

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        found = {name: value.grad.clone() for name, value in pl_module.named_parameters()}
        path = Path(trainer.default_root_dir) / f"gradients{trainer.global_rank}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(
            {
                "gradients": found,
                "windows": self.windows,
                "documents": self.documents,
                "weights": self.weights,
            },
            path,
        )


class Fail(Callback):
    """Fail on one rank, when it begins a batch.

    Args:
        way: ``kill`` as the kernel does, ``raise`` as a bug does; ``kill_alone``, ``raise_alone``:
            while the others are in no collective and will be in none for a long time.
        rank: where.
        batch: when.
    """

    def __init__(self, way: str, rank: int = 1, batch: int = 1) -> None:
        self.way, self.rank, self.batch = way, rank, batch

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx != self.batch:
            return
        path = Path(trainer.default_root_dir) / "failed_at"
        if trainer.global_rank == self.rank:
            path.write_text(str(time.time()), encoding="utf-8")
        if trainer.global_rank != self.rank:
            time.sleep(600 if self.way.endswith("alone") else 0)
        elif self.way.startswith("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            raise ValueError("the disk is on fire")


# Sizes of the batches of each rank: a loader of the user's own may leave a rank without windows.
UNEVEN = {1: [[3, 2]], 2: [[3, 0], []], 3: [[3, 0], [2], []]}


def gather_uneven() -> None:
    """Gather windows of which one rank has an empty last batch and another one none."""
    world_size, rank = distributed.get_world_size(), distributed.get_rank()
    store = WindowStore(n_best=4)
    store.begin(torch.device("cpu"))
    begin = 10 * rank
    for size in UNEVEN[world_size][rank]:
        logits_bl = torch.full((size, 6), float(rank))
        mask_bl = torch.ones(size, 6, dtype=torch.long)
        candidates = window_candidates(
            logits_bl,
            logits_bl,
            context_mask_bl=mask_bl.bool(),
            attention_mask_bl=mask_bl,
            cls_positions_b=torch.zeros(size, dtype=torch.long),
            feature_index_b=torch.arange(begin, begin + size),
            n_best=4,
            max_answer_length=3,
        )
        store.update(candidates, torch.full((size,), float(rank)))
        begin += size
    gathered = store.gathered()
    expected = {1: [0, 1, 2, 3, 4], 2: [0, 1, 2], 3: [0, 1, 2, 10, 11]}[world_size]
    assert gathered.candidates.feature_index_b.tolist() == expected
    assert gathered.loss_b.tolist() == [float(index // 10) for index in expected]
    assert gathered.candidates.score_bn.shape == (len(expected), 4)
    assert gathered.candidates.start_token_bn.dtype == torch.int32

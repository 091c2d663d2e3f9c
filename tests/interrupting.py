"""Callbacks that end the process they run in at a chosen moment, and that note what a run did."""

import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback

from running import read_checkpoint

HOOKS = (
    "setup",
    "on_train_batch_start",
    "on_before_optimizer_step",
    "on_train_batch_end",
    "on_validation_batch_start",
    "on_validation_end",
    "on_train_epoch_end",
    "on_train_end",
    "on_predict_batch_start",
)


class Killed(BaseException):
    """End a run without its doing anything more, as SIGKILL does, but within this process."""


class SignalAt(Callback):
    """Send this process a signal in a hook of the trainer, the ``count``-th time it is called.

    Args:
        hook: one of ``HOOKS``.
        count: from 1; those of the sanity check do not count.
        name: of the signal; none: ``Killed`` is raised.
        rank: of the process that is signalled.
    """

    def __init__(self, hook: str, count: int, name: str | None = None, rank: int = 0) -> None:
        self.hook, self.count, self.name, self.rank = hook, count, name, rank

    def _called(self, hook: str, trainer: Any) -> None:
        if hook != self.hook or trainer.sanity_checking or trainer.global_rank != self.rank:
            return
        self.count -= 1
        if self.count:
            return
        if self.name is None:
            raise Killed
        os.kill(os.getpid(), getattr(signal, self.name))


def _counted(hook: str) -> Any:
    def called(self: SignalAt, trainer: Any, *_: Any, **__: Any) -> None:
        self._called(hook, trainer)

    return called


for _hook in HOOKS:
    setattr(SignalAt, _hook, _counted(_hook))


class Trace(Callback):
    """Write a line to ``trace<rank>.jsonl`` for each batch and each validation of a training.

    A batch's line has its windows, loss and rate, and draws of the three generators of random
    numbers, which it moves on thereby.
    """

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._write(
            trainer,
            batch=trainer.fit_loop.total_batch_idx,
            epoch=trainer.current_epoch,
            place=batch_idx,
            step=trainer.global_step,
            windows=batch["feature_index"].tolist(),
            loss=float(outputs["loss"]),
            rate=trainer.optimizers[0].param_groups[0]["lr"],
            drawn=[random.random(), float(np.random.rand()), float(torch.rand(()))],
        )

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            logged = trainer.callback_metrics.items()
            scores = {key: float(value) for key, value in logged if key.startswith("val")}
            self._write(trainer, validation=trainer.fit_loop.total_batch_idx, scores=scores)

    def _write(self, trainer: Any, **values: Any) -> None:
        path = Path(trainer.default_root_dir) / f"trace{trainer.global_rank}.jsonl"
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")


def trace_of(folder: Path, rank: int = 0) -> dict[str, Any]:
    """Return what a run did at each batch and validation; what it did twice must be the same."""
    found: dict[str, Any] = {}
    for line in (folder / f"trace{rank}.jsonl").read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        kind = "batch" if "batch" in values else "validation"
        key = f"{kind} {values[kind]}"
        assert found.setdefault(key, values) == values, (found[key], values)
    return found


def assert_same_end(folder: Path, expected: Path, *, ranks: int = 1) -> None:
    """Hold a run that was interrupted to one that was not: to the bit, in all that it did."""
    for name in ("last", "best"):
        ends = [read_checkpoint(f / "checkpoints" / f"{name}.ckpt") for f in (folder, expected)]
        steps = [end["global_step"] for end in ends]
        assert steps[0] == steps[1], (name, steps)
        assert ends[0]["epoch"] == ends[1]["epoch"]
        for key in ("state_dict", "optimizer_states", "lr_schedulers"):
            assert_same(ends[0][key], ends[1][key], f"{name}: {key}")
    for rank in range(ranks):
        traces = [trace_of(each, rank) for each in (folder, expected)]
        assert traces[0].keys() == traces[1].keys()
        for key, values in traces[1].items():
            assert traces[0][key] == values, key


def assert_same(value: Any, expected: Any, name: str) -> None:
    """Compare nested values, tensors to the bit."""
    if isinstance(expected, torch.Tensor):
        assert value.dtype == expected.dtype, name
        assert torch.equal(value, expected), name
    elif isinstance(expected, dict):
        assert value.keys() == expected.keys(), name
        for key, entry in expected.items():
            assert_same(value[key], entry, f"{name}.{key}")
    elif isinstance(expected, list | tuple):
        assert len(value) == len(expected), name
        for place, entry in enumerate(expected):
            assert_same(value[place], entry, f"{name}.{place}")
    else:
        assert value == expected, (name, value, expected)

"""Steps whose loss or gradient is not finite: held back, told by the ids of their examples."""

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn

from qa_lightning.errors import InputError
from qa_lightning.model.sharding import local, on_all_processes

log = logging.getLogger(__name__)

POLICIES = ("raise", "skip")
GIVE_UP_AFTER = 10
"""So many steps in a row that are not finite end a run that skips them."""

MOST_OVERFLOWS = 100
"""So many steps in a row that a gradient scaler holds back end a run: none will be applied."""

_NAMED = 20
_FINE, _OVERFLOW, _FAULT = range(3)
Names = Callable[[Sequence[int]], list[str]]
"""From the ``feature_index`` of windows to what the user calls them."""


@dataclass(frozen=True)
class BatchLoss:
    """Hold the loss of one batch of a step, and which windows it is of; both on the device.

    Attributes:
        loss: a scalar.
        feature_index_b: numbers of the windows; None where the batch does not say.
    """

    loss: Tensor
    feature_index_b: Tensor | None


@dataclass(frozen=True)
class Verdict:
    """Hold whether a step was held back, on its way to the host.

    Attributes:
        grade: ``_FAULT`` if loss or gradient were not finite, ``_OVERFLOW`` if that is for the
            gradient scaler to mend.
        arrived: when ``grade`` may be read without waiting for the device; None: at once.
        step: number of the optimizer step, from 1.
        batches: what the step was made of.
    """

    grade: Tensor
    arrived: Any
    step: int
    batches: tuple[BatchLoss, ...]


class StepGuard:
    """Hold back optimizer steps whose loss or gradient is not finite, and tell them.

    A loss that is not finite makes the whole gradient NaN (``watch``), and the processes' mean
    spreads a NaN to all of them: the gradient's norm alone decides, the same everywhere. The
    decision stays on the device, where the optimizer reads it as it reads a gradient scaler's;
    the host reads it while the next step runs, so that no step waits.

    Under a gradient scaler the norm says nothing, since an overflow is what the scaler looks for;
    there the loss decides. The scaler itself holds back the step.

    Args:
        policy: one of ``POLICIES``.
    """

    def __init__(self, policy: str) -> None:
        self.policy = policy
        self.skipped = 0
        self.in_a_row = 0
        self._overflows = 0
        self._batches: list[BatchLoss] = []
        self._pending: deque[Verdict] = deque()

    def watch(self, loss: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Return a batch's loss; one that is not finite has a gradient of NaN throughout."""
        seen = loss.detach()
        self._batches.append(BatchLoss(seen, batch.get("feature_index")))
        return loss * torch.where(seen.isfinite(), 1.0, math.nan)

    def judge(
        self, optimizer: torch.optim.Optimizer, norm: Tensor, *, step: int, scaled: bool
    ) -> None:
        """Hold the optimizer's coming step back if it is not finite.

        Args:
            optimizer: its gradients are complete, and the same on all processes.
            norm: of the gradients, before clipping.
            step: number of the coming step, from 1.
            scaled: a gradient scaler is at work.
        """
        overflow = ~norm.isfinite()
        if scaled:
            bad = torch.stack([~each.loss.isfinite() for each in self._batches]).any()
            grade = torch.maximum(_on_any_process(bad) * _FAULT, overflow * _OVERFLOW)
        else:
            _hold_back(optimizer, overflow)
            grade = overflow * _FAULT
        host, arrived = _on_its_way(grade)
        self._pending.append(Verdict(host, arrived, step, tuple(self._batches)))
        self._batches.clear()

    def settle(self, module: nn.Module, names: Names, *, all_of_them: bool = False) -> None:
        """Read the verdicts that have arrived; count, tell, or end the run.

        All processes read the same ones at the same time.

        Args:
            module: what is trained.
            names: of windows.
            all_of_them: wait for those of the newest step too.

        Raises:
            InputError: a step was held back, and ``policy`` does not (or no longer) skip it.
        """
        while self._pending:
            newest = self._pending[-1].arrived is not None and len(self._pending) == 1
            if newest and not all_of_them:
                return
            verdict = self._pending.popleft()
            if verdict.arrived is not None:
                verdict.arrived.synchronize()
            grade = int(verdict.grade)
            if grade == _FAULT:
                self._held_back(verdict, module, names)
            else:
                self.in_a_row = 0
                self._overflows = self._overflows + 1 if grade == _OVERFLOW else 0
                self._check_overflows(verdict)

    def _check_overflows(self, verdict: Verdict) -> None:
        if self._overflows >= MOST_OVERFLOWS:
            raise InputError(
                "Expected gradients that the scaler of `trainer.precision` 16-mixed can make "
                f"finite; up to step {verdict.step}, {self._overflows} steps in a row had none, "
                "though their losses are finite. Nothing was learnt in them: use bf16-mixed or "
                "32-true."
            )

    def _held_back(self, verdict: Verdict, module: nn.Module, names: Names) -> None:
        self.skipped += 1
        self.in_a_row += 1
        found = f"step {verdict.step} was not applied: {_told(verdict.batches, names)}"
        spoilt = nonfinite_weights(module)
        if spoilt:
            raise InputError(f"{_spoilt_text(spoilt)} That showed when {found}.")
        if self.policy == "raise":
            raise InputError(f"Expected a finite loss and gradient; {found}. {_remedy(module)}")
        if self.in_a_row >= GIVE_UP_AFTER:
            raise InputError(
                f"Expected a finite loss and gradient; {self.in_a_row} steps in a row had none. "
                f"The last: {found}. {_remedy(module)}"
            )
        if _rank() == 0:
            log.warning(
                "%s; `model.nonfinite` is skip, and training goes on (%d skipped so far)",
                found,
                self.skipped,
            )

    def state_dict(self) -> dict[str, int]:
        """Return the counts, for a checkpoint."""
        return {"skipped": self.skipped, "in_a_row": self.in_a_row}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on counting from a checkpoint."""
        self.skipped, self.in_a_row = state["skipped"], state["in_a_row"]


def _remedy(module: nn.Module) -> str:
    """Return what to do; a huge weight shows that it is not the examples' fault."""
    largest = max(
        float(local(w.detach()).abs().max()) for w in module.parameters() if len(local(w))
    )
    return (
        f"The weights are as they were before it, the largest {largest:.3g}. Lower "
        "`model.learning_rate`, set `trainer.gradient_clip_val` or a `model.warmup_ratio`, or "
        "leave such steps out by `--model.nonfinite skip`; `--ckpt_path last` goes on from the "
        "last checkpoint."
    )


def check_weights(module: nn.Module) -> None:
    """Refuse weights that are not finite.

    Raises:
        InputError: some are not.
    """
    spoilt = nonfinite_weights(module)
    if spoilt:
        raise InputError(_spoilt_text(spoilt))


def nonfinite_weights(module: nn.Module) -> list[str]:
    """Return the names of a module's parameters that hold infinity or NaN, on any process."""
    named = dict(module.named_parameters())
    here = torch.stack([local(weights.detach()).isfinite().all() for weights in named.values()])
    finite = on_all_processes(here, *named.values())
    return [name for name, good in zip(named, finite.tolist(), strict=True) if not good]


def _spoilt_text(names: Sequence[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        f"Expected finite weights; {names[0]}{more} hold infinity or NaN, and no checkpoint is "
        "written of them. Training diverged (or the checkpoint it began with was spoilt): go on "
        "from an earlier checkpoint (`--ckpt_path best` or `last`) with a lower "
        "`model.learning_rate` or with `trainer.gradient_clip_val`."
    )


def _hold_back(optimizer: torch.optim.Optimizer, bad: Tensor) -> None:
    """Make the coming step change neither weights nor the optimizer's state if it is bad."""
    if getattr(optimizer, "_step_supports_amp_scaling", False):
        # What GradScaler tells fused optimizers by: their kernels read it on the device.
        optimizer.grad_scale = None  # type: ignore[attr-defined]
        optimizer.found_inf = bad.float()  # type: ignore[attr-defined]
    elif bad:  # the host waits for the device: another optimizer than ours
        optimizer.zero_grad(set_to_none=True)


def _on_its_way(grade: Tensor) -> tuple[Tensor, Any]:
    """Send a number to the host; return it with the event after which it may be read."""
    if grade.device.type == "cpu":
        return grade, None
    host = grade.to("cpu", non_blocking=True)
    arrived = torch.Event(grade.device)
    arrived.record()
    return host, arrived


def _on_any_process(flag: Tensor) -> Tensor:
    if not _is_distributed():
        return flag
    count = flag.int()
    distributed.all_reduce(count, distributed.ReduceOp.MAX)
    return count.bool()


def _told(batches: Sequence[BatchLoss], names: Names) -> str:
    """Return which examples a step that was held back was made of; the same on all processes."""
    found = [_Found(each.loss.item(), _names(each.feature_index_b, names)) for each in batches]
    ranks: list[list[_Found]] = [found]
    if _is_distributed():
        ranks = [[] for _ in range(distributed.get_world_size())]
        distributed.all_gather_object(ranks, found)
    parts = list(_parts(ranks))
    if parts:
        return "the loss is " + "; ".join(parts)
    everything = [name for found in ranks for each in found for name in each.names]
    return f"the loss is finite and the gradient is not, of examples {_listed(everything)}"


def _names(feature_index_b: Tensor | None, names: Names) -> list[str]:
    return ["(unknown)"] if feature_index_b is None else names(feature_index_b.tolist())


@dataclass(frozen=True)
class _Found:
    loss: float
    names: list[str]


def _parts(ranks: Sequence[Sequence[_Found]]) -> Iterator[str]:
    for rank, found in enumerate(ranks):
        for each in found:
            if not math.isfinite(each.loss):
                where = f" on rank {rank}" if len(ranks) > 1 else ""
                yield f"{each.loss}{where} for examples {_listed(each.names)}"


def _listed(names: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - _NAMED} more" if len(distinct) > _NAMED else ""
    return ", ".join(repr(name) for name in distinct[:_NAMED]) + more


def _is_distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _rank() -> int:
    return distributed.get_rank() if _is_distributed() else 0

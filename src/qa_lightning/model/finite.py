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
from qa_lightning.model.sharding import local
from qa_lightning.model.weights import (
    is_distributed,
    nonfinite_weights,
    on_any_process,
    spoilt_text,
)

log = logging.getLogger(__name__)

POLICIES = ("raise", "skip")
GIVE_UP_AFTER = 10
"""So many steps in a row that are not finite end a run that skips them."""

MOST_OVERFLOWS = 100
"""So many steps in a row that a gradient scaler holds back end a run: none will be applied."""

_NAMED = 20
_FINE, _OVERFLOW, _FAULT = range(3)
Batch = Mapping[str, Tensor]
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
        newest: the last of them, whole.
    """

    grade: Tensor
    arrived: Any
    step: int
    batches: tuple[BatchLoss, ...]
    newest: Batch | None


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

    Attributes:
        witness: a batch of the last step that was applied. Its loss was finite before that step:
            what the weights read in it now shows whether the step has ruined them.
    """

    def __init__(self, policy: str) -> None:
        self.policy = policy
        self.witness: Batch | None = None
        self.skipped = 0
        self.in_a_row = 0
        self._overflows = 0
        self._batches: list[BatchLoss] = []
        self._newest: Batch | None = None
        self._pending: deque[Verdict] = deque()

    def watch(self, loss: Tensor, batch: Batch) -> Tensor:
        """Return a batch's loss; one that is not finite has a gradient of NaN throughout."""
        seen = loss.detach()
        self._batches.append(BatchLoss(seen, batch.get("feature_index")))
        self._newest = batch
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
            grade = torch.maximum(on_any_process(bad) * _FAULT, overflow * _OVERFLOW)
        else:
            _hold_back(optimizer, overflow)
            grade = overflow * _FAULT
        host, arrived = _on_its_way(grade)
        made_of = tuple(self._batches)
        self._pending.append(Verdict(host, arrived, step, made_of, self._newest))
        self._batches.clear()

    def settle(
        self,
        module: nn.Module,
        names: Names,
        *,
        all_of_them: bool = False,
        advice: Callable[[], str] = str,
    ) -> None:
        """Read the verdicts that have arrived; count, tell, or end the run.

        All processes read the same ones at the same time.

        Args:
            module: what is trained.
            names: of windows.
            all_of_them: wait for those of the newest step too.
            advice: returns from where to go on.

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
                self._held_back(verdict, module, names, advice)
            else:
                self.in_a_row = 0
                self.witness = verdict.newest if grade == _FINE else self.witness
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

    def _held_back(
        self, verdict: Verdict, module: nn.Module, names: Names, advice: Callable[[], str]
    ) -> None:
        self.skipped += 1
        self.in_a_row += 1
        found = f"step {verdict.step} was not applied: {_told(verdict.batches, names)}"
        spoilt = nonfinite_weights(module)
        if spoilt:
            raise InputError(f"{spoilt_text(spoilt)} That showed when {found}.{advice()}")
        if self.policy == "raise":
            raise InputError(
                f"Expected a finite loss and gradient; {found}. {_remedy(module)}, or leave such "
                f"steps out by `--model.nonfinite skip`.{advice()}"
            )
        if self.in_a_row >= GIVE_UP_AFTER:
            raise InputError(
                f"Expected a finite loss and gradient; {self.in_a_row} steps in a row had none. "
                f"The last: {found}. {_remedy(module)}.{advice()}"
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
        "`model.learning_rate`, set `trainer.gradient_clip_val` or a `model.warmup_ratio`"
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


def _told(batches: Sequence[BatchLoss], names: Names) -> str:
    """Return which examples a step that was held back was made of; the same on all processes."""
    found = [_Found(each.loss.item(), _names(each.feature_index_b, names)) for each in batches]
    ranks: list[list[_Found]] = [found]
    if is_distributed():
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


def _rank() -> int:
    return distributed.get_rank() if is_distributed() else 0

"""What each process keeps of its windows, and how all processes come to hold it all."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from qa_lightning.candidates import TokenCandidates

NO_LOSS = float("-inf")
"""The loss of a window that has no label; NaN is the loss of a network that diverged."""


_JOINED_PARTS = 100


class GatheredWindows(NamedTuple):
    """Hold the windows of all processes, replicas of the sampler included.

    Attributes:
        candidates: their best spans.
        loss_b: float32 loss of each window; ``NO_LOSS`` where it has no label.
    """

    candidates: TokenCandidates
    loss_b: Tensor


class WindowStore(Metric):
    """Collect small tensors of windows; ``gathered`` returns those of all processes.

    Uneven processes gather well only if each holds tensors of the right type and shape, so that
    every process begins with empty ones.
    """

    full_state_update = False
    _names = (*TokenCandidates._fields, "loss_b")

    def __init__(self, n_best: int) -> None:
        super().__init__()
        self.n_best = n_best
        for name in self._names:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def begin(self, device: torch.device) -> None:
        """Forget all windows and lay down empty tensors on a device."""
        self.to(device)
        self.reset()
        empty = TokenCandidates.empty(self.n_best, device)
        self.update(empty, torch.empty(0, dtype=torch.float32, device=device))

    def update(self, candidates: TokenCandidates, loss_b: Tensor) -> None:
        """Add the windows of a batch."""
        for name, tensor in zip(TokenCandidates._fields, candidates, strict=True):
            getattr(self, name).append(tensor)
        self.loss_b.append(loss_b.float())  # type: ignore[operator, union-attr]
        if len(self.loss_b) >= _JOINED_PARTS:  # type: ignore[arg-type]
            self._join()

    def _join(self) -> None:
        # Many small tensors between the batches' large ones leave the heap in pieces: ten times
        # the memory of what they hold.
        for name in self._names:
            setattr(self, name, [dim_zero_cat(getattr(self, name))])

    def compute(self) -> list[Tensor]:
        """Return the states of all processes, on the CPU."""
        return [dim_zero_cat(getattr(self, name)).cpu() for name in self._names]

    def gathered(self) -> GatheredWindows:
        """Return the windows of all processes, on the CPU.

        torchmetrics squeezes what ``compute`` returns where it has one element: data of a single
        window gets its axes back.
        """
        *tensors, loss_b = self.compute()
        shapes = [(-1, *like.shape[1:]) for like in TokenCandidates.empty(self.n_best)]
        shaped = [tensor.reshape(shape) for tensor, shape in zip(tensors, shapes, strict=True)]
        return GatheredWindows(TokenCandidates(*shaped), loss_b.reshape(-1))

"""The order in which ranks serve windows: like lengths together, the same number each."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DistributedSampler
from transformers.trainer_pt_utils import get_length_grouped_indices


class _GlobalBatchSampler(DistributedSampler[Any]):
    """Deal an order of windows out to the ranks, global batch by global batch.

    Each rank takes a run of every global batch, so that its rows are of like length, and the same
    number of rows: where they do not divide, the last rows are served twice.
    """

    def __init__(
        self,
        lengths: Sequence[int] | NDArray[np.int64],
        *,
        batch_size: int,
        num_replicas: int | None = None,
        rank: int | None = None,
        seed: int = 0,
    ) -> None:
        joined = torch.distributed.is_available() and torch.distributed.is_initialized()
        if num_replicas is None:
            num_replicas = torch.distributed.get_world_size() if joined else 1
        if rank is None:
            rank = torch.distributed.get_rank() if joined else 0
        self.lengths = np.asarray(lengths).tolist()
        self.batch_size = batch_size
        super().__init__(self.lengths, num_replicas, rank, shuffle=True, seed=seed)

    def order(self) -> list[int]:
        """Return all windows in the order in which the ranks together serve them."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        if not self.lengths:
            return
        order = self.order()
        missing = self.num_samples * self.num_replicas - len(order)
        order += (order[::-1] * (missing // len(order) + 1))[:missing]
        global_batch = self.batch_size * self.num_replicas
        for start in range(0, len(order), global_batch):
            rows = order[start : start + global_batch]
            share = len(rows) // self.num_replicas
            yield from rows[self.rank * share : (self.rank + 1) * share]


class LengthGroupedSampler(_GlobalBatchSampler):
    """Draw training windows at random in batches of like length, for one and many ranks.

    The batches are transformers' (``get_length_grouped_indices``), seeded by seed and epoch
    (``set_epoch``) and grouped by the batch of all ranks together, but served in an order of their
    own: transformers' runs from the longest to the shortest over and over, and so ends each epoch,
    at the lowest rates, with short windows alone. (Short windows have an answer more often.) The
    batch with the longest window stays first, so that memory runs out at once or never.

    Args:
        lengths: tokens of each window.
        batch_size: windows of one rank's batch.
        num_replicas: number of ranks; the process group's by default, 1 without one.
        rank: this rank; likewise.
        seed: the same on all ranks.
    """

    def order(self) -> list[int]:
        """Return this epoch's order, the same on every rank."""
        generator, size = self.generator(), self.batch_size * self.num_replicas
        grouped: list[int] = get_length_grouped_indices(  # type: ignore[no-untyped-call]
            self.lengths, size, generator=generator
        )
        whole = len(grouped) // size
        later = 1 + torch.randperm(max(whole - 1, 0), generator=generator)
        order = grouped[:size]
        for batch in later.tolist():
            order += grouped[batch * size : (batch + 1) * size]
        return order + grouped[max(whole, 1) * size :]  # what fills no batch stays the last

    def generator(self) -> torch.Generator:
        """Return a generator of random numbers that seed and epoch decide."""
        state = np.random.SeedSequence([self.seed, self.epoch]).generate_state(1)
        return torch.Generator().manual_seed(int(state[0]))


class EvaluationSampler(_GlobalBatchSampler):
    """Serve all windows, the longest first, so that memory runs out at once or never.

    On several ranks some windows are served twice where they do not divide: whoever evaluates
    drops the replicas by ``feature_index``.

    Args:
        lengths: tokens of each window.
        batch_size: windows of one rank's batch.
        num_replicas: number of ranks; the process group's by default, 1 without one.
        rank: this rank; likewise.
        seed: not used.
    """

    def order(self) -> list[int]:
        """Return the windows by falling length, ties in their own order."""
        order: list[int] = np.argsort(-np.array(self.lengths), kind="stable").tolist()
        return order

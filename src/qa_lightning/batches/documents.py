"""Whole documents in a batch: all windows of a question, or as many as are allowed."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from qa_lightning.batches.collating import WindowDataset
from qa_lightning.batches.ordering import LengthGroupedSampler

Draw = int | tuple[int, int]
"""A document's number and the epoch in which it is drawn; the number alone is of epoch 0.

``Trainer(overfit_batches=…)`` puts a sampler of its own in place of ours, which knows no epochs.
"""


class DocumentDataset(Dataset[list[dict[str, Any]]]):
    """Serve the windows of documents: those of one question, in their order.

    A batch of ``n`` draws is the windows of ``n`` documents one behind the other, each with its
    document's place in the batch as ``document_index``. A document drawn twice counts as two.

    Args:
        windows: labelled windows.
        windows_per_document: how many windows of a document are served at most. Of longer
            documents all windows with a gold span are, and those without are drawn at random,
            anew in every epoch; the draw depends on seed, epoch and document alone. Where even
            those with a gold span are too many, they are drawn likewise.
        seed: of the draw.
    """

    def __init__(self, windows: WindowDataset, *, windows_per_document: int, seed: int = 0) -> None:
        self._windows = windows
        self._most = windows_per_document
        self._seed = seed
        example_w = windows.examples()
        self._rows_n = np.argsort(example_w, kind="stable")
        count_d = np.unique(example_w, return_counts=True)[1]
        self._bounds_d = np.concatenate([np.zeros(1, np.int64), np.cumsum(count_d)])
        self._has_gold_w = windows.gold_counts() > 0

    def __len__(self) -> int:
        return len(self._bounds_d) - 1

    def __getitem__(self, draw: Draw) -> list[dict[str, Any]]:
        return self.__getitems__([draw])

    def __getitems__(self, draws: list[Draw]) -> list[dict[str, Any]]:
        """Return the windows of several documents; the collator takes them as one batch."""
        pairs = [(draw, 0) if isinstance(draw, int) else draw for draw in draws]
        chosen = [self.rows_of(document, epoch) for document, epoch in pairs]
        rows = self._windows.__getitems__(np.concatenate(chosen).tolist())
        place_b = np.repeat(np.arange(len(chosen)), [len(rows_w) for rows_w in chosen])
        for row, place in zip(rows, place_b.tolist(), strict=True):
            row["document_index"] = place
        return rows

    def rows_of(self, document: int, epoch: int) -> NDArray[np.int64]:
        """Return the ``feature_index`` of the windows that a draw serves."""
        rows_w = self._rows_n[self._bounds_d[document] : self._bounds_d[document + 1]]
        if len(rows_w) <= self._most:
            return rows_w
        generator = np.random.default_rng([self._seed, epoch, document])
        shuffled_w = generator.permutation(rows_w)
        first_w = np.argsort(~self._has_gold_w[shuffled_w], kind="stable")
        kept_w: NDArray[np.int64] = np.sort(shuffled_w[first_w][: self._most])
        return kept_w

    def lengths(self) -> NDArray[np.int64]:
        """Return about how many tokens every document's served windows have, for the sampler."""
        if not len(self):
            return np.empty(0, np.int64)
        token_d = np.add.reduceat(self._windows.lengths()[self._rows_n], self._bounds_d[:-1])
        count_d = np.diff(self._bounds_d)
        lengths_d: NDArray[np.int64] = token_d * np.minimum(count_d, self._most) // count_d
        return lengths_d


class DocumentSampler(LengthGroupedSampler):
    """Draw the same number of documents for every batch of every process.

    Documents of like length are together, so that batches need little padding and processes take
    like times. Where the documents do not fill the last batch, some are drawn twice: with every
    batch of the same size, the mean over processes and accumulated batches is that over documents.

    Args:
        lengths: tokens of each document.
        batch_size: documents of one rank's batch.
        group_by_length: False for an order that is random throughout.
        num_replicas: number of ranks; the process group's by default, 1 without one.
        rank: this rank; likewise.
        seed: the same on all ranks.
    """

    def __init__(
        self,
        lengths: Sequence[int] | NDArray[np.int64],
        *,
        batch_size: int,
        group_by_length: bool = True,
        num_replicas: int | None = None,
        rank: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            lengths, batch_size=batch_size, num_replicas=num_replicas, rank=rank, seed=seed
        )
        self.group_by_length = group_by_length
        self.num_samples = batch_size * math.ceil(self.num_samples / batch_size)
        self.total_size = self.num_samples * self.num_replicas

    def order(self) -> list[int]:
        """Return this epoch's order of documents, the same on every rank."""
        if self.group_by_length:
            return super().order()
        order: list[int] = torch.randperm(len(self.lengths), generator=self.generator()).tolist()
        return order

    def __iter__(self) -> Iterator[Any]:
        """Yield each document with the epoch, by which ``DocumentDataset`` draws its windows."""
        for document in super().__iter__():
            yield document, self.epoch

"""Questions by the million, in blocks of whole questions, cut into windows as they are needed.

A block is what one rank answers and writes as one part. Blocks depend on the data alone, so that
any number of ranks can take up what others left.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import PreTrainedTokenizerBase

from qa_lightning.answerer.cutting import WindowCutter, WindowRows, screened
from qa_lightning.answerer.deciding import portions
from qa_lightning.batches import WindowCollator, WindowDataset
from qa_lightning.features import WindowSettings, WindowTable
from qa_lightning.screening import Screen

Batch = dict[str, Tensor]

_MOST_QUESTIONS = 1_024
_FEWEST_BLOCKS = 64  # a small data set is shared out among ranks too


@dataclass(frozen=True)
class BlockPlan:
    """Say which questions make up which block, and which blocks are done.

    Attributes:
        questions: how many there are.
        per_block: how many a block has; the last may have fewer.
        finished: blocks that need not be answered again.
    """

    questions: int
    per_block: int
    finished: frozenset[int] = field(default=frozenset(), repr=False)

    @classmethod
    def of(cls, questions: int, finished: frozenset[int] = frozenset()) -> "BlockPlan":
        """Return a plan with a fitting size of blocks."""
        per_block = min(_MOST_QUESTIONS, -(-questions // _FEWEST_BLOCKS))
        return cls(questions, max(1, per_block), finished)

    @property
    def count(self) -> int:
        """Return the number of blocks."""
        return -(-self.questions // self.per_block)

    def rows(self, block: int) -> range:
        """Return the rows of a block's questions."""
        start = block * self.per_block
        return range(start, min(start + self.per_block, self.questions))

    def share(self, rank: int, world_size: int) -> list[int]:
        """Return the blocks that a rank has to answer.

        >>> BlockPlan(10, 2, frozenset({0})).share(rank=0, world_size=2)
        [1, 3]
        """
        left = [block for block in range(self.count) if block not in self.finished]
        return left[rank::world_size]


class QuestionBlocks(IterableDataset[Batch]):
    """Serve the windows of some blocks in batches, the longest of a portion first.

    Each batch holds windows of one block. Beside what ``WindowCollator`` gives it has
    ``example_index`` (int64 [b], the question's row), ``context_offsets`` (int32 [b, l, 2],
    characters of the context's tokens, counted from the window's first), ``block`` (int64 [1]) and
    ``block_ends`` (bool [1]: no window of the block follows).

    Args:
        examples: rows with ``question`` and ``context``.
        tokenizer: a fast tokenizer.
        settings: how documents are cut.
        collator: pads windows.
        plan: which questions make up a block.
        blocks: those to serve.
        batch_size: windows of a batch.
        screen: windows to serve of each question; see ``screening.worth_reading``.
        language: ISO code, for screening.
    """

    def __init__(
        self,
        examples: datasets.Dataset,
        tokenizer: PreTrainedTokenizerBase,
        *,
        settings: WindowSettings,
        collator: WindowCollator,
        plan: BlockPlan,
        blocks: Sequence[int],
        batch_size: int,
        screen: Screen = "all",
        language: str | None = None,
    ) -> None:
        self._examples = examples
        self._tokenizer = tokenizer
        self._settings = settings
        self._collator = collator
        self._plan = plan
        self._blocks = list(blocks)
        self._batch_size = batch_size
        self._screen: Screen = screen
        self._language = language

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches; worker processes share the blocks."""
        worker = get_worker_info()
        blocks = self._blocks if worker is None else self._blocks[worker.id :: worker.num_workers]
        cutter = WindowCutter(self._tokenizer, self._settings)  # locks do not travel to workers
        for block in blocks:
            held: Batch | None = None
            for batch in self._batches(cutter, self._plan.rows(block)):
                if held is not None:
                    yield _marked(held, block, ends=False)
                held = batch
            if held is not None:
                yield _marked(held, block, ends=True)

    def _batches(self, cutter: WindowCutter, rows: range) -> Iterator[Batch]:
        columns = self._examples.select(rows).select_columns(["question", "context"])
        first_row = rows.start
        for portion in portions((row["question"], row["context"]) for row in columns):
            texts = list(dict.fromkeys(context for _, context in portion))
            documents = dict(zip(texts, cutter.documents(texts), strict=True))
            asked = [question for question, _ in portion]
            choose = screened(self._screen, self._language)
            cut = cutter.cut(asked, [documents[c] for _, c in portion], choose=choose)
            for windows in cut.rows:
                yield from self._collated(windows, first_row)
            first_row += len(portion)

    def _collated(self, features: WindowRows, first_row: int) -> Iterator[Batch]:
        windows, table = WindowDataset(features, borders=True), WindowTable(features)
        order = np.argsort(-windows.lengths(), kind="stable")
        row_w = table.numbers("example_index").astype(np.int64) + first_row
        for start in range(0, len(order), self._batch_size):
            which = order[start : start + self._batch_size]
            batch = self._collator(windows.__getitems__(which.tolist()))
            batch["example_index"] = torch.from_numpy(row_w[which])
            batch["context_offsets"] = _padded_offsets(table, which)
            yield batch


def prediction_loader(
    examples: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    settings: WindowSettings,
    collator: WindowCollator,
    plan: BlockPlan | None,
    rank: int,
    world_size: int,
    batch_size: int,
    num_workers: int = 0,
    pin_memory: bool = False,
    screen: Screen = "all",
    language: str | None = None,
) -> DataLoader[Any]:
    """Return the batches of one rank's share of the questions.

    Worker processes tokenize while the device computes.

    Args:
        examples: rows with ``question`` and ``context``.
        tokenizer: a fast tokenizer.
        settings: how documents are cut.
        collator: pads windows.
        plan: blocks and which are finished; None: all questions anew.
        rank: this rank.
        world_size: number of ranks.
        batch_size: windows of a batch.
        num_workers: processes that tokenize.
        pin_memory: for CUDA.
        screen: windows to serve of each question; see ``screening.worth_reading``.
        language: ISO code, for screening.
    """
    plan = plan or BlockPlan.of(len(examples))
    blocks = QuestionBlocks(
        examples,
        tokenizer,
        settings=settings,
        collator=collator,
        plan=plan,
        blocks=plan.share(rank, world_size),
        batch_size=batch_size,
        screen=screen,
        language=language,
    )
    return DataLoader(blocks, batch_size=None, num_workers=num_workers, pin_memory=pin_memory)


def _marked(batch: Batch, block: int, *, ends: bool) -> Batch:
    return batch | {"block": torch.tensor([block]), "block_ends": torch.tensor([ends])}


def _padded_offsets(table: WindowTable, which_b: NDArray[np.int64]) -> Tensor:
    offsets = [torch.from_numpy(table.context_offsets(int(w)).copy()) for w in which_b]
    return torch.nn.utils.rnn.pad_sequence(offsets, batch_first=True)

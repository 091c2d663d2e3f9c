"""Batches of an engine with processes of its own, such as Ray Data or Spark → their answers.

No engine is imported: a batch is a table in memory, and so is what is answered.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from qa_lightning.answerer.answering import RULES, QuestionAnswerer
from qa_lightning.answerer.cutting import Document
from qa_lightning.answerer.parts import ANSWER_SCHEMA, answer_row
from qa_lightning.documents import read_document
from qa_lightning.errors import InputError
from qa_lightning.examples import MemorySource, load_examples
from qa_lightning.ranges import check, shown
from qa_lightning.screening import DEFAULT_SCREEN, Screen

_DOCUMENTS_KEPT = 8  # tokenized, for the next batch: engines cut a document's questions anywhere


class AnswerQuestions:
    """Answer batches of questions, for an engine that maps a class or a function over batches.

    ``ray.data.read_parquet(…).map_batches(AnswerQuestions, fn_constructor_args=["runs/demo"])``;
    each worker makes one, which loads the checkpoint. A batch is a pandas or polars frame, an
    Arrow table or record batch, or columns by name (numpy's arrays, lists), with ``id``,
    ``question`` and ``context`` under any of the names that files may have. Other columns are
    passed over. What is returned are the rows, in the batch's order, and the columns that
    ``lightning predict`` writes into Parquet: a pandas frame of a pandas frame, a record batch of a
    record batch, else an Arrow table, which alone of these holds whole numbers that are absent.

    It is sent between processes by its arguments: whoever unpickles it loads the checkpoint.

    Args:
        checkpoint: as for ``QuestionAnswerer.from_checkpoint``; every worker must see a path.
        n_best: spans of each question.
        screen: windows to read of each document; see ``QuestionAnswerer.answer``.
        columns: ``{canonical name: name in the batch}``, as ``data.columns``.
        documents: the column that names a file (text, Markdown, HTML, DOCX, PDF), which every
            worker must see, in place of a ``context``.
        device: where to run; None is CUDA, else MPS, else the CPU.
        dtype: of the weights.
        tokens_per_batch: tokens the network reads at a time; None is what is fast on the device.
        precision: of the products; see ``QuestionAnswerer.from_checkpoint``.

    Raises:
        InputError: there is no such checkpoint, a value is out of range, or, of a batch, a column
            is missing, rows cannot be read, or one has no id: which row of all it is, no batch
            knows.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        *,
        n_best: int = 1,
        screen: Screen = DEFAULT_SCREEN,
        columns: Mapping[str, str] | None = None,
        documents: str | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype = torch.float32,
        tokens_per_batch: int | None = None,
        precision: str = "float32",
    ) -> None:
        check(RULES, {"n_best": n_best, "screen": screen}, prefix="")
        if not isinstance(columns, Mapping | None):
            raise InputError(
                "Expected `columns` as {canonical name: name in the batch}, or None; got "
                f"{shown(columns)}."
            )
        given = dict(columns or {})
        if documents is not None and "context" in given:
            raise InputError(
                f"Expected one column of contexts; got `documents` {documents!r} and in `columns` "
                f"`context` {given['context']!r}. Leave one out."
            )
        self._again = partial(
            type(self),
            checkpoint,
            n_best=n_best,
            screen=screen,
            columns=columns,
            documents=documents,
            device=device,
            dtype=dtype,
            tokens_per_batch=tokens_per_batch,
            precision=precision,
        )
        self._n_best = n_best
        self._screen: Screen = screen
        self._columns = given if documents is None else {**given, "context": documents}
        self._reads_documents = documents is not None
        self._answerer = QuestionAnswerer.from_checkpoint(
            checkpoint,
            device=device,
            dtype=dtype,
            tokens_per_batch=tokens_per_batch,
            precision=precision,
        )
        self._document = lru_cache(maxsize=_DOCUMENTS_KEPT)(self._read)

    def __call__(self, batch: Any) -> Any:
        """Return the answers to a batch's questions, as a table of the batch's kind."""
        is_record_batch = isinstance(batch, pa.RecordBatch)
        given = pa.Table.from_batches([batch]) if is_record_batch else batch
        answered = pa.RecordBatch.from_pylist(list(self._rows(given)), schema=ANSWER_SCHEMA)
        if is_record_batch:
            return answered
        table = pa.Table.from_batches([answered])
        return table.to_pandas(integer_object_nulls=True) if _is_pandas(batch) else table

    def __reduce__(self) -> tuple[Any, ...]:
        return self._again, ()

    def _rows(self, batch: Any) -> Iterator[dict[str, Any]]:
        _refuse_rows(batch)
        if _is_empty(batch):  # an engine's empty block may have no columns either
            return
        examples = load_examples(
            MemorySource({"batch": batch}),
            columns=self._columns,
            with_answers=False,
            made_ids=False,
        )
        asked = zip(examples["question"], examples["context"], strict=True)
        pairs = ((question, self._context(context)) for question, context in asked)
        decided = self._answerer.decided(pairs, n_best=self._n_best, screen=self._screen)
        knows = self._answerer.reader.decision.no_answer
        for name, answers in zip(examples["id"], decided, strict=True):
            yield answer_row(name, answers, n_best=self._n_best, knows_no_answer=knows)

    def _context(self, text: str) -> str | Document:
        return self._document(text) if self._reads_documents else text

    def _read(self, path: str) -> Document:
        return self._answerer.read(read_document(path).text)


def _is_pandas(batch: object) -> bool:
    kind = type(batch)
    return (kind.__module__.partition(".")[0], kind.__name__) == ("pandas", "DataFrame")


def _refuse_rows(batch: Any) -> None:
    """Refuse a single row, and a list, which would be taken for the names of files."""
    if isinstance(batch, Mapping):
        is_batch = all(map(_holds_values, batch.values()))
    else:
        is_batch = hasattr(batch, "__len__") and hasattr(batch, "columns")
    if not is_batch:
        raise InputError(
            "Expected a batch of rows: a frame, an Arrow table, or columns by name; got "
            f"{shown(batch)}. Give it to `map_batches` (Ray) or `mapInPandas` (Spark), which map "
            "batches and not rows."
        )


def _holds_values(column: Any) -> bool:
    is_one = isinstance(column, str | bytes | Mapping) or getattr(column, "shape", None) == ()
    return hasattr(column, "__len__") and not is_one


def _is_empty(batch: Any) -> bool:
    if isinstance(batch, Mapping):
        return not any(map(len, batch.values()))
    return len(batch) == 0

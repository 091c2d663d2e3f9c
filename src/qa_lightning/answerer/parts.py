"""Answers by the million as files: parts that appear whole, and the one file they make."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from qa_lightning.answerer.blocks import BlockPlan
from qa_lightning.answers import QuestionAnswers
from qa_lightning.errors import InputError

FORMATS = ("jsonl", "parquet")
_MANIFEST = "manifest.json"
_SPAN = [
    ("text", pa.string()),
    ("start_char", pa.int64()),
    ("end_char", pa.int64()),
    ("score", pa.float64()),
    ("confidence", pa.float64()),
]
ANSWER_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("answer", pa.string()),
        ("start_char", pa.int64()),
        ("end_char", pa.int64()),
        ("confidence", pa.float64()),
        ("no_answer_probability", pa.float64()),
        ("n_best", pa.list_(pa.struct(_SPAN))),
    ]
)

Row = dict[str, Any]


def answer_row(
    question_id: str, answers: QuestionAnswers, *, n_best: int, knows_no_answer: bool
) -> Row:
    """Return what is written of a question: null in place of an answer that is not given.

    So is the probability of no answer, of a model that never saw a question without one.
    """
    given = answers.answer
    return {
        "id": question_id,
        "answer": given and given.text,
        "start_char": given and given.start_char,
        "end_char": given and given.end_char,
        "confidence": answers.confidence,
        "no_answer_probability": answers.no_answer_probability if knows_no_answer else None,
        "n_best": [answer._asdict() for answer in answers.answers[:n_best]],
    }


class PartFolder:
    """Write blocks of answers as parts, and merge them in the order of the input.

    Each part is written beside its place and moved there, so that a part that is there is whole,
    whatever happened to the process; a block is written by one rank, so that nothing is double.

    Args:
        folder: of the merged file, ``answers.jsonl`` or ``answers.parquet``; the parts are in
            ``parts`` in it until then. All ranks must see the same folder.
        file_format: ``jsonl`` or ``parquet``.
    """

    def __init__(self, folder: Path, file_format: str) -> None:
        self.folder = folder
        self.merged = folder / f"answers.{file_format}"
        self._parts = folder / "parts"
        self._format = file_format

    def part(self, block: int) -> Path:
        """Return the place of a block's part."""
        return self._parts / f"part-{block:08d}.{self._format}"

    def plan(self, questions: int) -> BlockPlan:
        """Return the blocks, those that an earlier process finished marked."""
        manifest = self._manifest()
        plan = BlockPlan.of(questions)
        if manifest is None:
            return plan
        per_block = int(manifest["per_block"])
        plan = BlockPlan(questions, per_block)
        finished = frozenset(block for block in range(plan.count) if self.part(block).is_file())
        return BlockPlan(questions, per_block, finished)

    def begin(self, identity: Mapping[str, Any], *, write: bool = True) -> None:
        """Note what the parts are of; refuse to mix them with another run's.

        Args:
            identity: plain values that must be equal in a run that takes up the parts.
            write: note it; one rank does, all check.

        Raises:
            InputError: the parts in the folder are of other questions, weights or settings.
        """
        wanted = json.loads(json.dumps(identity))
        found = self._manifest()
        if found is None:
            if write:
                self._write_manifest(json.dumps(wanted))
            return
        differing = sorted(key for key in wanted if wanted[key] != found.get(key))
        if differing:
            raise InputError(
                f"Expected the unfinished answers in {self._parts} to be of this run; they differ "
                f"in {', '.join(differing)}. Finish that run with its own settings, name another "
                "`prediction.output_dir`, or remove the folder."
            )

    def write(self, block: int, rows: Sequence[Row]) -> None:
        """Write a block's answers."""
        writer = _write_parquet if self._format == "parquet" else _write_lines
        self._write(self.part(block), lambda file: writer(file, rows))

    def missing(self, plan: BlockPlan) -> list[int]:
        """Return the blocks that have no part yet."""
        return [block for block in range(plan.count) if not self.part(block).is_file()]

    def merge(self, plan: BlockPlan) -> Path:
        """Make one file of all parts, in the order of the input, and remove them."""
        self._remove_leftovers()
        parts = [self.part(block) for block in range(plan.count)]
        merger = _merge_parquet if self._format == "parquet" else _merge_lines
        self._write(self.merged, lambda file: merger(file, parts))
        # Away at once: parts without a manifest could be taken for those of the next run.
        shutil.rmtree(self._parts.rename(self.folder / f".parts.{os.getpid()}"))
        return self.merged

    def _remove_leftovers(self) -> None:
        """Remove what a process that was killed while it merged left behind."""
        for path in self.folder.glob(f".{self.merged.name}.*"):
            path.unlink()
        for path in self.folder.glob(".parts.*"):
            shutil.rmtree(path)

    def _write_manifest(self, text: str) -> None:
        try:
            self._write(self._parts / _MANIFEST, lambda file: file.write_text(text))
        except OSError as error:
            raise InputError(
                f"Expected `prediction.output_dir` to be a folder that can be written; "
                f"{self.folder} cannot: {error.strerror}."
            ) from error

    def _manifest(self) -> Row | None:
        file = self._parts / _MANIFEST
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None

    def _write(self, path: Path, fill: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            fill(scratch)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)


def read_answers(path: str | Path) -> Iterator[Row]:
    """Yield the rows of a merged file or a part, of either format."""
    path = Path(path)
    if path.suffix == ".parquet":
        for batch in pq.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
        return
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _write_lines(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write_parquet(path: Path, rows: Sequence[Row]) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows), schema=ANSWER_SCHEMA), path)


def _merge_lines(path: Path, parts: Sequence[Path]) -> None:
    with path.open("wb") as file:
        for part in parts:
            with part.open("rb") as lines:
                shutil.copyfileobj(lines, file, 1 << 20)


def _merge_parquet(path: Path, parts: Sequence[Path]) -> None:
    with pq.ParquetWriter(path, ANSWER_SCHEMA) as writer:
        for part in parts:
            writer.write_table(pq.read_table(part, schema=ANSWER_SCHEMA))

"""An audit as files: a JSON line per answer, and the data set with repaired spans."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from datasets import Dataset, Features

from qa_lightning.examples.writing import json_document
from qa_lightning.reports.writing import fill_whole, whole_file, write_whole

REPAIRED_KINDS: Final = (".json", ".jsonl", ".parquet")
_COLUMNS: Final = ("id", "title", "context", "question", "answers")
_ANSWER: Final = ("text", "answer_start")


def audit_lines(aligned: Dataset) -> Iterator[dict[str, Any]]:
    """Yield one record per answer of aligned examples.

    ``start_char``, ``end_char`` and ``text`` are None where no span is trusted.
    """
    for row in aligned.select_columns(["id", "context", "answers", "spans"]):
        spans = row["spans"]
        for index, answer in enumerate(row["answers"]["text"]):
            start, end = spans["start_char"][index], spans["end_char"][index]
            yield {
                "id": row["id"],
                "answer": answer,
                "status": spans["status"][index],
                "start_char": start,
                "end_char": end,
                "text": None if start is None else row["context"][start:end],
                "confidence": round(spans["confidence"][index], 4),
            }


def write_repaired(path: str | os.PathLike[str], aligned: Dataset) -> None:
    """Write a data set with its trusted spans as answers, in the format that the name ends in.

    ``.json`` is SQuAD's, ``.label_studio.json`` holds tasks for Label Studio, ``.jsonl`` and
    ``.parquet`` hold a row a question with the columns of the Hub's SQuAD, which ``load_dataset``
    reads and transformers' ``run_qa.py`` takes. Answers without a trusted span are left out, and
    questions that keep none of theirs; questions that never had an answer stay.

    Raises:
        InputError: the file cannot be written.
    """
    kind = Path(path).suffix.lower()
    if kind == ".jsonl":
        write_lines(path, map(_with_lists, _repaired_rows(aligned)))
    elif kind == ".parquet":
        fill_whole(path, lambda target: _write_parquet(target, aligned))
    else:
        rows = map(_with_lists, _repaired_rows(aligned))
        write_json(path, json_document(path, rows, version="repaired"))


def _write_parquet(target: Path, aligned: Dataset) -> None:
    features = Features({name: aligned.features[name] for name in _COLUMNS})
    rows = Dataset.from_list([_with_lists(row) for row in _repaired_rows(aligned)], features)
    with whole_file(target) as scratch:
        rows.to_parquet(scratch)


def _repaired_rows(aligned: Dataset) -> Iterator[dict[str, Any]]:
    """Yield the questions that keep an answer or never had one, with the answers of a file."""
    for row in aligned:
        answers = _repaired_answers(row)
        if answers or not row["answers"]["text"]:
            yield {name: row[name] for name in _COLUMNS} | {"answers": answers}


def _with_lists(row: dict[str, Any]) -> dict[str, Any]:
    """Put the answers of a row into lists, as the Hub has them."""
    lists = {name: [answer[name] for answer in row["answers"]] for name in _ANSWER}
    return {**row, "answers": lists}


def _repaired_answers(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    spans = zip(row["spans"]["start_char"], row["spans"]["end_char"], strict=True)
    return [
        {"text": row["context"][start:end], "answer_start": start}
        for start, end in spans
        if start is not None
    ]


def write_lines(path: str | os.PathLike[str], records: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    write_whole(path, lines)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write one JSON document, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    write_whole(path, (json.dumps(value, ensure_ascii=False, indent=1) + "\n",))
